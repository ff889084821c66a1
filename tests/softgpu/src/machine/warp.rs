// SPDX-License-Identifier: MIT OR Apache-2.0

//! A warp: 32 lanes that run one instruction at a time, those with the lowest program counter first.
//!
//! Lanes that go different ways run one after the other and join again where their program counters meet. At an
//! instruction that needs several lanes (a barrier, a shuffle, the tensor core) those that are there wait for the rest;
//! when nobody else can come any more, that is a divergence, which is reported.

use super::WARP;
use super::copies::Copies;
use super::lanes::Registers;
use super::local::Local;
use super::memory::Memory;
use super::races::Accessor;
use super::report::{Checked, Kind, Problem};
use crate::ptx::instruction::{Instruction, Kernel};

/// Lanes at one program counter.
#[derive(Debug, Clone, Copy)]
pub struct Group {
    pub at: u32,
    pub mask: u32,
}

/// Why a warp stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    Done,
    /// At a barrier: its number, and how many threads it is for (None: all of the block).
    Barrier {
        number: u32,
        threads: Option<u32>,
    },
}

/// What a warp needs beside itself.
pub struct Scene<'a> {
    pub kernel: &'a Kernel,
    pub parameters: &'a [u8],
    pub memory: &'a Memory,
    pub who: Accessor<'a>,
    pub wrong_mma: bool,
}

pub struct Warp {
    pub number: u32,
    pub registers: Registers,
    pub predicates: Vec<u32>,
    /// Lanes that exist: the last warp of a block may have fewer than 32.
    pub present: u32,
    pub exited: u32,
    pub at: u32,
    pub mask: u32,
    /// Other groups that can run, lowest program counter last.
    pub waiting: Vec<Group>,
    /// Groups at an instruction that needs lanes which are not there yet.
    parked: Vec<Group>,
    pub local: Local,
    pub copies: Copies,
    pub branches: u64,
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

    /// Whether the lanes that are here have one value in a register.
    pub fn agrees_on(&self, register: u32) -> bool {
        let (values, first) = (self.registers.words(register), self.some_lane() as usize);
        (0..WARP).all(|lane| self.mask >> lane & 1 == 0 || values[lane] == values[first])
    }

    /// Keeps the lanes of `mask` here and sends the others on to the next instruction.
    #[inline(always)]
    pub fn split(&mut self, mask: u32) {
        if mask != self.mask {
            self.wait(Group {
                at: self.at + 1,
                mask: self.mask & !mask,
            });
            self.mask = mask;
        }
    }

    pub fn wait(&mut self, group: Group) {
        if let Some(same) = self.waiting.iter_mut().find(|other| other.at == group.at) {
            same.mask |= group.mask;
            return;
        }
        let place = self.waiting.partition_point(|other| other.at > group.at);
        self.waiting.insert(place, group);
    }

    /// Moves the current lanes to another instruction and goes on with the lowest.
    pub fn leave(&mut self, to: u32) {
        self.wait(Group {
            at: to,
            mask: self.mask,
        });
        self.mask = 0;
        self.next_group();
    }

    /// Joins the group that waits here, or lets one that is behind run first.
    #[cold]
    pub fn join(&mut self) {
        if self.mask != 0 {
            self.wait(Group {
                at: self.at,
                mask: self.mask,
            });
        }
        self.next_group();
    }

    pub fn next_group(&mut self) -> bool {
        match self.waiting.pop() {
            Some(group) => {
                (self.at, self.mask) = (group.at, group.mask);
                true
            }
            None => false,
        }
    }

    pub fn branch_indexed(&mut self, at: &Instruction, mask: u32) -> Checked<()> {
        self.split(mask);
        let chosen = *self.registers.words(at.a);
        for lane in (0..WARP).filter(|lane| mask >> lane & 1 == 1) {
            let Some(target) = at.list.get(chosen[lane] as usize) else {
                let what = format!("a branch to number {} of {} targets", chosen[lane], at.list.len());
                return Err(Problem::new(Kind::Trap, what).in_lane(lane));
            };
            self.wait(Group {
                at: *target,
                mask: 1 << lane,
            });
        }
        self.mask = 0;
        self.next_group();
        Ok(())
    }

    /// Whether all lanes that an instruction needs are here; if not, those that are wait for them.
    #[inline(always)]
    pub fn gather(&mut self, mask: u32, needed: u32) -> Checked<bool> {
        if mask == needed && mask == self.mask {
            return Ok(true);
        }
        self.gather_slowly(mask, needed)
    }

    #[cold]
    fn gather_slowly(&mut self, mask: u32, needed: u32) -> Checked<bool> {
        self.split(mask);
        let here = self.at;
        let parked: u32 = self
            .parked
            .iter()
            .filter(|group| group.at == here)
            .fold(0, |all, group| all | group.mask);
        self.parked.retain(|group| group.at != here);
        self.mask |= parked;
        if self.mask & !needed != 0 {
            let what = format!(
                "lanes {:#010x} are here, but the member mask is {needed:#010x}",
                self.mask
            );
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
        self.parked.push(Group {
            at: here,
            mask: self.mask,
        });
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
    pub fn end(&mut self) -> Checked<Stop> {
        match self.parked.pop() {
            None => Ok(Stop::Done),
            Some(group) => {
                (self.at, self.mask) = (group.at, group.mask);
                Err(self.stuck(self.present & !group.mask))
            }
        }
    }
}
