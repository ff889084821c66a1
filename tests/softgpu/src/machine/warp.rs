// SPDX-License-Identifier: MIT OR Apache-2.0

//! A warp: 32 lanes that run one instruction at a time, those with the lowest program counter first.
//!
//! Lanes that go different ways run one after the other and join again where their program counters meet. At an
//! instruction that needs several lanes (a barrier, a shuffle, the tensor core) those that are there wait for the rest;
//! when nobody else can come any more, that is a divergence, which is reported.

use super::copies::Copies;
use super::lanes::{Lane, Registers};
use super::loads::{Local, Reach};
use super::memory::{Accessor, Memory};
use super::report::{Checked, Kind, Problem};
use super::shared::Shared;
use super::{WARP, arithmetic, collective, compare, convert, integer, tensor};
use crate::ptx::instruction::{Instruction, Kernel, Logic, NONE, Op};

/// Branches a warp may take before it is said to run for ever.
const MOST_BRANCHES: u64 = 1 << 30;

/// Lanes at one program counter.
#[derive(Debug, Clone, Copy)]
struct Group {
    at: u32,
    mask: u32,
}

/// Why a warp stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    Done,
    /// At a barrier: its number, and how many threads it is for (None: all of the block).
    Barrier { number: u32, threads: Option<u32> },
}

/// What a warp needs beside itself.
pub struct Scene<'a> {
    pub kernel: &'a Kernel,
    pub parameters: &'a [u8],
    pub memory: &'a Memory,
    pub who: Accessor,
    pub wrong_mma: bool,
}

pub struct Warp {
    pub number: u32,
    pub registers: Registers,
    pub predicates: Vec<u32>,
    /// Lanes that exist: the last warp of a block may have fewer than 32.
    present: u32,
    exited: u32,
    at: u32,
    mask: u32,
    /// Other groups that can run, lowest program counter last.
    waiting: Vec<Group>,
    /// Groups at an instruction that needs lanes which are not there yet.
    parked: Vec<Group>,
    pub local: Local,
    copies: Copies,
    branches: u64,
}

impl Warp {
    pub fn new(kernel: &Kernel, number: u32) -> Self {
        let mut registers = Registers::new(kernel.register_words);
        for (at, value, wide) in &kernel.constants {
            if *wide {
                *registers.doubles_mut(*at) = [*value; WARP];
            } else {
                *registers.words_mut(*at) = [*value as u32; WARP];
            }
        }
        let mut predicates = vec![0; kernel.predicates];
        if let Some(always) = kernel.always {
            predicates[always as usize] = u32::MAX;
        }
        Self {
            number,
            registers,
            predicates,
            present: 0,
            exited: 0,
            at: 0,
            mask: 0,
            waiting: Vec::new(),
            parked: Vec::new(),
            local: Local::new(kernel.local_bytes as usize),
            copies: Copies::default(),
            branches: 0,
        }
    }

    /// Puts so many lanes at the first instruction.
    pub fn start(&mut self, lanes: u32) {
        self.present = if lanes >= 32 { u32::MAX } else { (1 << lanes) - 1 };
        (self.exited, self.at, self.mask, self.branches) = (0, 0, self.present, 0);
        self.waiting.clear();
        self.parked.clear();
        self.local.clear();
        self.copies.clear();
    }

    /// The instruction that is being run.
    pub fn counter(&self) -> usize {
        self.at as usize
    }

    /// A lane that runs it.
    pub fn some_lane(&self) -> u32 {
        self.mask.trailing_zeros() & 31
    }

    /// Runs to the next barrier or the end.
    pub fn run(&mut self, scene: &Scene, shared: &mut Shared) -> Checked<Stop> {
        #[cfg(target_arch = "x86_64")]
        {
            if std::arch::is_x86_feature_detected!("avx2")
                && std::arch::is_x86_feature_detected!("fma")
                && std::arch::is_x86_feature_detected!("f16c")
            {
                // SAFETY: the features were just found.
                return unsafe { self.run_with_avx2(scene, shared) };
            }
        }
        self.run_anywhere(scene, shared)
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma,f16c,bmi1,bmi2,lzcnt,popcnt")]
    fn run_with_avx2(&mut self, scene: &Scene, shared: &mut Shared) -> Checked<Stop> {
        self.interpret(scene, shared)
    }

    fn run_anywhere(&mut self, scene: &Scene, shared: &mut Shared) -> Checked<Stop> {
        self.interpret(scene, shared)
    }

    #[inline(always)]
    fn interpret(&mut self, scene: &Scene, shared: &mut Shared) -> Checked<Stop> {
        loop {
            if self.waiting.last().is_some_and(|group| group.at <= self.at) {
                self.join();
            }
            let at = &scene.kernel.code[self.at as usize];
            let mut mask = self.mask;
            if at.guard != NONE {
                let guard = self.predicates[at.guard as usize];
                mask &= if at.guard_negated { !guard } else { guard };
                if mask == 0 {
                    self.at += 1;
                    continue;
                }
            }
            match &at.op {
                Op::Branch => {
                    self.branches += 1;
                    if self.branches > MOST_BRANCHES {
                        return Err(Problem::new(Kind::Timeout, "a warp took a thousand million branches"));
                    }
                    if mask == self.mask {
                        self.at = at.immediate as u32;
                    } else {
                        self.split(mask);
                        self.leave(at.immediate as u32);
                    }
                    continue;
                }
                Op::BranchIndexed => {
                    self.branch_indexed(at, mask)?;
                    continue;
                }
                Op::Exit => {
                    self.split(mask);
                    self.exited |= self.mask;
                    self.mask = 0;
                    if !self.next_group() {
                        return self.end();
                    }
                    continue;
                }
                Op::Barrier { counted } => {
                    if !self.gather(mask, self.present)? {
                        continue;
                    }
                    self.at += 1;
                    let lane = self.some_lane() as usize;
                    let threads = counted.then(|| self.registers.words(at.b)[lane]);
                    return Ok(Stop::Barrier { number: self.registers.words(at.a)[lane], threads });
                }
                Op::WarpBarrier => {
                    if self.gather(mask, self.members(at.b, mask))? {
                        self.at += 1;
                    }
                    continue;
                }
                Op::Shuffle(_) | Op::Vote(..) | Op::MatchAny(_) | Op::MatchAll(_) | Op::Reduce(..) => {
                    let members = if at.list.is_empty() { at.b } else { at.list[0] };
                    if self.gather(mask, self.members(members, mask))? {
                        self.together(at)?;
                        self.at += 1;
                    }
                    continue;
                }
                Op::Mma { depth, half_d, half_c } => {
                    if self.gather(mask, u32::MAX)? {
                        let wrong = scene.wrong_mma;
                        tensor::mma(usize::from(*depth), *half_d, *half_c, at, &mut self.registers, wrong);
                        self.at += 1;
                    }
                    continue;
                }
                Op::LoadMatrix { count, transposed, wide_address } => {
                    if self.gather(mask, u32::MAX)? {
                        let shape = (*count, *transposed, *wide_address);
                        tensor::load_matrix(shape, at, &mut self.registers, shared, self.number)?;
                        self.at += 1;
                    }
                    continue;
                }
                Op::Load(access) => self.reach(scene, shared, |reach, registers| {
                    reach.load(*access, at, registers, mask)
                })?,
                Op::Store(access) => self.reach(scene, shared, |reach, registers| {
                    reach.store(*access, at, registers, mask)
                })?,
                Op::Atomic(function, access, returns) => self.reach(scene, shared, |reach, registers| {
                    reach.atomic((*function, *access, *returns), at, registers, mask)
                })?,
                Op::CopyAsync { bytes, wide_shared } => {
                    let world = (shared as &mut Shared, scene.memory, scene.who);
                    self.copies.begin(at, (*bytes, *wide_shared), &self.registers, mask, self.number, world)?;
                }
                Op::CopyCommit => self.copies.commit(mask),
                Op::CopyWait => self.copies.wait(mask, Some(at.immediate as u32), self.number, shared),
                Op::CopyWaitAll => self.copies.wait(mask, None, self.number, shared),
                Op::Trap => return Err(Problem::new(Kind::Trap, "the kernel gave up by itself")),
                _ => self.lanewise(scene, at, mask)?,
            }
            self.at += 1;
        }
    }

    #[inline(always)]
    fn reach(
        &mut self,
        scene: &Scene,
        shared: &mut Shared,
        f: impl FnOnce(&mut Reach, &mut Registers) -> Checked<()>,
    ) -> Checked<()> {
        let mut reach =
            Reach { memory: scene.memory, shared, local: &mut self.local, warp: self.number, who: scene.who };
        f(&mut reach, &mut self.registers)
    }

    /// Instructions whose lanes have nothing to do with each other.
    #[inline(always)]
    fn lanewise(&mut self, scene: &Scene, at: &Instruction, mask: u32) -> Checked<()> {
        let registers = &mut self.registers;
        match at.op {
            Op::Integer1(function, kind) => integer::one(function, kind, registers, at, mask),
            Op::Integer2(function, kind) => integer::two(function, kind, registers, at, mask),
            Op::Integer3(function, kind) => integer::three(function, kind, registers, at, mask),
            Op::BitInsert(kind) => integer::insert(kind, registers, at, mask),
            Op::Logic3 => integer::logic3(registers, at, mask),
            Op::Float1(function, kind, _) => arithmetic::one(function, kind, registers, at, mask),
            Op::Float2(function, kind, rounding) => arithmetic::two(function, kind, rounding, registers, at, mask),
            Op::Fma(kind, rounding, relu) => arithmetic::fma(kind, rounding, relu, registers, at, mask),
            Op::Move32 => {
                let value = *registers.words(at.a);
                u32::store(registers, at.d, value, mask);
            }
            Op::Move64 => {
                let value = *registers.doubles(at.a);
                u64::store(registers, at.d, value, mask);
            }
            Op::MovePredicate => self.set_predicate(at.d, self.predicates[at.a as usize], mask),
            Op::PredicateNot => self.set_predicate(at.d, !self.predicates[at.a as usize], mask),
            Op::PredicateLogic(logic) => {
                let (a, b) = (self.predicates[at.a as usize], self.predicates[at.b as usize]);
                self.set_predicate(at.d, combined(logic, a, b), mask);
            }
            Op::Pack(part, whole) => pack(part, whole, at, registers, mask),
            Op::Unpack(part, whole) => unpack(part, whole, at, registers, mask),
            Op::Select(wide) => {
                let chosen = self.predicates[at.c as usize];
                if wide {
                    let (a, b) = (*registers.doubles(at.a), *registers.doubles(at.b));
                    let pick = |lane: usize| if chosen >> lane & 1 == 1 { a[lane] } else { b[lane] };
                    u64::store(registers, at.d, std::array::from_fn(pick), mask);
                } else {
                    let (a, b) = (*registers.words(at.a), *registers.words(at.b));
                    let pick = |lane: usize| if chosen & (1 << lane) != 0 { a[lane] } else { b[lane] };
                    u32::store(registers, at.d, std::array::from_fn(pick), mask);
                }
            }
            Op::SetPredicate(comparison, kind, combine) => {
                let mut found = compare::lanes(comparison, kind, registers, at);
                let mut opposite = !found;
                if kind == crate::ptx::instruction::Type::F16x2 {
                    // Two halves give two predicates, one each.
                    (found, opposite) = compare::pairs(comparison, registers, at);
                }
                if let Some((logic, negated)) = combine {
                    let with = self.predicates[at.c as usize];
                    let with = if negated { !with } else { with };
                    found = combined(logic, found, with);
                    opposite = combined(logic, opposite, with);
                }
                self.set_predicate(at.d, found, mask);
                if at.x != NONE {
                    self.set_predicate(at.x, opposite, mask);
                }
            }
            Op::Set(comparison, kind, result) => compare::set(comparison, kind, result, registers, at, mask),
            Op::Convert { .. } => convert::convert(registers, at, mask),
            Op::ConvertPair { relu } => convert::pair(relu, registers, at, mask),
            Op::LoadParameter(access, indexed) => load_parameter(access, indexed, scene, at, registers, mask)?,
            Op::ActiveMask => u32::store(registers, at.d, [mask; WARP], mask),
            Op::Clock(wide) => {
                // The count of branches never falls, which is all that a clock promises here.
                if wide {
                    u64::store(registers, at.d, [self.branches; WARP], mask);
                } else {
                    u32::store(registers, at.d, [self.branches as u32; WARP], mask);
                }
            }
            _ => {}
        }
        Ok(())
    }

    #[inline(always)]
    fn set_predicate(&mut self, at: u32, value: u32, mask: u32) {
        let predicate = &mut self.predicates[at as usize];
        *predicate = (*predicate & !mask) | (value & mask);
    }

    fn together(&mut self, at: &Instruction) -> Checked<()> {
        let (registers, predicates, mask) = (&mut self.registers, &mut self.predicates, self.mask);
        match at.op {
            Op::Shuffle(mode) => collective::shuffle(mode, at, registers, predicates, mask)?,
            Op::Vote(mode, negated) => collective::vote(mode, negated, at, registers, predicates, mask),
            Op::MatchAny(wide) => collective::match_any(wide, at, registers, mask),
            Op::MatchAll(wide) => collective::match_all(wide, at, registers, predicates, mask),
            Op::Reduce(function, kind) => collective::reduce(function, kind, at, registers, mask),
            _ => {}
        }
        Ok(())
    }

    /// The lanes that the member masks of the lanes of `mask` name.
    #[inline(always)]
    fn members(&self, register: u32, mask: u32) -> u32 {
        let masks = self.registers.words(register);
        (0..WARP).filter(|lane| mask >> lane & 1 == 1).fold(0, |all, lane| all | masks[lane])
    }

    /// Keeps the lanes of `mask` here and sends the others on to the next instruction.
    #[inline(always)]
    fn split(&mut self, mask: u32) {
        if mask != self.mask {
            self.wait(Group { at: self.at + 1, mask: self.mask & !mask });
            self.mask = mask;
        }
    }

    fn wait(&mut self, group: Group) {
        if let Some(same) = self.waiting.iter_mut().find(|other| other.at == group.at) {
            same.mask |= group.mask;
            return;
        }
        let place = self.waiting.partition_point(|other| other.at > group.at);
        self.waiting.insert(place, group);
    }

    /// Moves the current lanes to another instruction and goes on with the lowest.
    fn leave(&mut self, to: u32) {
        self.wait(Group { at: to, mask: self.mask });
        self.mask = 0;
        self.next_group();
    }

    /// Joins the group that waits here, or lets one that is behind run first.
    #[cold]
    fn join(&mut self) {
        if self.mask != 0 {
            self.wait(Group { at: self.at, mask: self.mask });
        }
        self.next_group();
    }

    fn next_group(&mut self) -> bool {
        match self.waiting.pop() {
            Some(group) => {
                (self.at, self.mask) = (group.at, group.mask);
                true
            }
            None => false,
        }
    }

    fn branch_indexed(&mut self, at: &Instruction, mask: u32) -> Checked<()> {
        self.split(mask);
        let chosen = *self.registers.words(at.a);
        for lane in (0..WARP).filter(|lane| mask >> lane & 1 == 1) {
            let Some(target) = at.list.get(chosen[lane] as usize) else {
                let what = format!("a branch to number {} of {} targets", chosen[lane], at.list.len());
                return Err(Problem::new(Kind::Trap, what).in_lane(lane));
            };
            self.wait(Group { at: *target, mask: 1 << lane });
        }
        self.mask = 0;
        self.next_group();
        Ok(())
    }

    /// Whether all lanes that an instruction needs are here; if not, those that are wait for them.
    #[inline(always)]
    fn gather(&mut self, mask: u32, needed: u32) -> Checked<bool> {
        if mask == needed && mask == self.mask {
            return Ok(true);
        }
        self.gather_slowly(mask, needed)
    }

    #[cold]
    fn gather_slowly(&mut self, mask: u32, needed: u32) -> Checked<bool> {
        self.split(mask);
        let here = self.at;
        let parked: u32 = self.parked.iter().filter(|group| group.at == here).fold(0, |all, group| all | group.mask);
        self.parked.retain(|group| group.at != here);
        self.mask |= parked;
        if self.mask & !needed != 0 {
            let what = format!("lanes {:#010x} are here, but the member mask is {needed:#010x}", self.mask);
            return Err(Problem::new(Kind::Divergence, what));
        }
        let missing = needed & !self.mask;
        if missing == 0 {
            return Ok(true);
        }
        let gone = missing & (self.exited | !self.present);
        if gone != 0 {
            let what = format!("lanes {gone:#010x} are needed here, but have left the kernel or never were");
            return Err(Problem::new(Kind::Divergence, what));
        }
        if self.waiting.is_empty() {
            return Err(self.stuck(missing));
        }
        self.parked.push(Group { at: here, mask: self.mask });
        self.mask = 0;
        self.next_group();
        Ok(false)
    }

    #[cold]
    fn stuck(&mut self, missing: u32) -> Box<Problem> {
        let what = format!(
            "lanes {:#010x} are here and wait for lanes {missing:#010x}, which wait elsewhere or have left",
            self.mask
        );
        Problem::new(Kind::Divergence, what)
    }

    /// The last group has left; nobody may be waiting for it.
    fn end(&mut self) -> Checked<Stop> {
        match self.parked.pop() {
            None => Ok(Stop::Done),
            Some(group) => {
                (self.at, self.mask) = (group.at, group.mask);
                Err(self.stuck(self.present & !group.mask))
            }
        }
    }
}

fn combined(logic: Logic, a: u32, b: u32) -> u32 {
    match logic {
        Logic::And => a & b,
        Logic::Or => a | b,
        Logic::Xor => a ^ b,
    }
}

#[inline(always)]
fn pack(part: u8, whole: u8, at: &Instruction, registers: &mut Registers, mask: u32) {
    let bits = 8 * u32::from(part);
    let low = u64::MAX >> (64 - bits);
    let mut packed = [0u64; WARP];
    for (place, register) in at.list.iter().enumerate() {
        let values = registers.words(*register);
        for lane in 0..WARP {
            packed[lane] |= (u64::from(values[lane]) & low) << (bits * place as u32);
        }
    }
    if whole == 8 {
        u64::store(registers, at.d, packed, mask);
    } else {
        u32::store(registers, at.d, packed.map(|bits| bits as u32), mask);
    }
}

#[inline(always)]
fn unpack(part: u8, whole: u8, at: &Instruction, registers: &mut Registers, mask: u32) {
    let bits = 8 * u32::from(part);
    let low = u64::MAX >> (64 - bits);
    let values = registers.addresses(at.a, whole == 8);
    for (place, register) in at.list.iter().enumerate() {
        let parts = values.map(|value| (value >> (bits * place as u32) & low) as u32);
        u32::store(registers, *register, parts, mask);
    }
}

fn load_parameter(
    access: crate::ptx::instruction::Access,
    indexed: bool,
    scene: &Scene,
    at: &Instruction,
    registers: &mut Registers,
    mask: u32,
) -> Checked<()> {
    let bases = if indexed { registers.addresses(at.a, access.wide_address) } else { [0; WARP] };
    let size = access.kind.bytes() as usize;
    for (part, register) in at.list.iter().enumerate() {
        for lane in (0..WARP).filter(|lane| mask >> lane & 1 == 1) {
            let from = bases[lane].wrapping_add(at.immediate as u64).wrapping_add((part * size) as u64);
            let Some(bytes) = usize::try_from(from).ok().and_then(|from| scene.parameters.get(from..from + size))
            else {
                let what = format!("byte {from} of {} of the parameters", scene.parameters.len());
                return Err(Problem::new(Kind::OutOfBounds, what).in_lane(lane));
            };
            let mut whole = [0; 8];
            whole[..size].copy_from_slice(bytes);
            let bits = u64::from_le_bytes(whole);
            let bits = match access.kind {
                crate::ptx::instruction::Type::S8 => i64::from(bits as i8) as u64,
                crate::ptx::instruction::Type::S16 => i64::from(bits as i16) as u64,
                crate::ptx::instruction::Type::S32 => i64::from(bits as i32) as u64,
                _ => bits,
            };
            if access.wide_value {
                registers.doubles_mut(*register)[lane] = bits;
            } else {
                registers.words_mut(*register)[lane] = bits as u32;
            }
        }
    }
    Ok(())
}
