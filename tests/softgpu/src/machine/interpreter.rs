// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a warp does, instruction by instruction, until it stops.

use super::lanes::Registers;
use super::loads::Reach;
use super::report::{Checked, Kind, Problem};
use super::shared::Shared;
use super::warp::{Scene, Stop, Warp};
use super::watch::{Onlooker, Step};
use super::{WARP, collective, tensor};
use crate::ptx::instruction::{Instruction, NONE, Op};

/// Branches a warp may take before it is said to run for ever.
const MOST_BRANCHES: u64 = 1 << 30;

impl Warp {
    /// Runs to the next barrier or the end.
    pub fn run(&mut self, scene: &Scene, shared: &mut Shared, watch: &mut Onlooker) -> Checked<Stop> {
        #[cfg(vectors)]
        {
            if !std::arch::is_x86_feature_detected!("avx2")
                || !std::arch::is_x86_feature_detected!("fma")
                || !std::arch::is_x86_feature_detected!("f16c")
            {
                let what = "this libcuda was built on a processor with AVX2, FMA and F16C; run `cargo clean --package softgpu` and \
                            build it on this one";
                return Err(Problem::new(Kind::Trap, what));
            }
            // SAFETY: the features were just found.
            unsafe { self.interpret(scene, shared, watch) }
        }
        #[cfg(not(vectors))]
        self.interpret(scene, shared, watch)
    }

    #[cfg_attr(vectors, target_feature(enable = "avx2,fma,f16c"))]
    fn interpret(&mut self, scene: &Scene, shared: &mut Shared, watch: &mut Onlooker) -> Checked<Stop> {
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
                    if let Some(watch) = watch {
                        watch.passed_over(self.at as usize);
                    }
                    self.at += 1;
                    continue;
                }
            }
            if let Some(watch) = watch
                && !gathers(&at.op)
            {
                watch.runs(&self.step(at, mask));
            }
            match &at.op {
                Op::Branch => {
                    self.branches += 1;
                    if self.branches > MOST_BRANCHES {
                        return Err(Problem::new(
                            Kind::Timeout,
                            "a warp took a thousand million branches",
                        ));
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
                    if !self.agrees_on(at.a) || *counted && !self.agrees_on(at.b) {
                        let what = "lanes of a warp come to different barriers, or say different counts";
                        return Err(Problem::new(Kind::Divergence, what));
                    }
                    self.show(watch, at);
                    self.at += 1;
                    let lane = self.some_lane() as usize;
                    let threads = counted.then(|| self.registers.words(at.b)[lane]);
                    return Ok(Stop::Barrier {
                        number: self.registers.words(at.a)[lane],
                        threads,
                    });
                }
                Op::WarpBarrier => {
                    if self.gather(mask, self.members(at.b, mask))? {
                        self.show(watch, at);
                        self.at += 1;
                    }
                    continue;
                }
                Op::Shuffle(_) | Op::Vote(..) | Op::MatchAny(_) | Op::MatchAll(_) | Op::Reduce(..) => {
                    let members = if at.list.is_empty() { at.b } else { at.list[0] };
                    if self.gather(mask, self.members(members, mask))? {
                        self.show(watch, at);
                        self.together(at)?;
                        self.at += 1;
                    }
                    continue;
                }
                Op::Mma {
                    depth,
                    half_d,
                    half_c,
                } => {
                    if self.gather(mask, u32::MAX)? {
                        self.show(watch, at);
                        let wrong = scene.wrong_mma;
                        tensor::mma(
                            usize::from(*depth),
                            *half_d,
                            *half_c,
                            at,
                            &mut self.registers,
                            wrong,
                        );
                        self.at += 1;
                    }
                    continue;
                }
                Op::LoadMatrix {
                    count,
                    transposed,
                    wide_address,
                } => {
                    if self.gather(mask, u32::MAX)? {
                        self.show(watch, at);
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
                    self.copies.begin(
                        at,
                        (*bytes, *wide_shared),
                        &self.registers,
                        mask,
                        self.number,
                        world,
                    )?;
                }
                Op::CopyCommit => self.copies.commit(mask),
                Op::CopyWait => self
                    .copies
                    .wait(mask, Some(at.immediate as u32), self.number, shared),
                Op::CopyWaitAll => self.copies.wait(mask, None, self.number, shared),
                Op::Trap => return Err(Problem::new(Kind::Trap, "the kernel gave up by itself")),
                _ => self.lanewise(scene, at, mask)?,
            }
            self.at += 1;
        }
    }

    /// What an onlooker is told of the instruction.
    #[inline(always)]
    fn step<'a>(&'a self, at: &'a Instruction, mask: u32) -> Step<'a> {
        Step {
            at: self.at as usize,
            instruction: at,
            mask,
            came: self.mask,
            registers: &self.registers,
        }
    }

    /// Tells an onlooker of an instruction for which all lanes that it needs are here.
    #[inline(always)]
    fn show(&self, watch: &mut Onlooker, at: &Instruction) {
        if let Some(watch) = watch {
            watch.runs(&self.step(at, self.mask));
        }
    }

    #[inline(always)]
    fn reach(
        &mut self,
        scene: &Scene,
        shared: &mut Shared,
        f: impl FnOnce(&mut Reach, &mut Registers) -> Checked<()>,
    ) -> Checked<()> {
        let mut reach = Reach {
            memory: scene.memory,
            shared,
            local: &mut self.local,
            warp: self.number,
            who: scene.who,
        };
        f(&mut reach, &mut self.registers)
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
        (0..WARP)
            .filter(|lane| mask >> lane & 1 == 1)
            .fold(0, |all, lane| all | masks[lane])
    }
}

/// Whether an instruction needs lanes that may have to be waited for.
#[inline(always)]
fn gathers(op: &Op) -> bool {
    matches!(
        op,
        Op::Barrier { .. }
            | Op::WarpBarrier
            | Op::Shuffle(_)
            | Op::Vote(..)
            | Op::MatchAny(_)
            | Op::MatchAll(_)
            | Op::Reduce(..)
            | Op::Mma { .. }
            | Op::LoadMatrix { .. }
    )
}
