// SPDX-License-Identifier: MIT OR Apache-2.0

//! Who looks on while a launch runs.

use super::lanes::Registers;
use crate::ptx::instruction::Instruction;

/// An instruction that is about to run.
pub struct Step<'a> {
    /// Its place in the code of the kernel.
    pub at: usize,
    pub instruction: &'a Instruction,
    /// The lanes that run it, and those that came to it: the guard of the others is false.
    pub mask: u32,
    pub came: u32,
    pub registers: &'a Registers,
}

/// Each thread of the host has an onlooker of its own, which sees block after block.
pub trait Watch: Send {
    fn begin_block(&mut self);

    /// An instruction runs in at least one lane. The registers are as they were before.
    fn runs(&mut self, step: &Step);

    /// The guard of an instruction is false in all lanes that came to it.
    fn passed_over(&mut self, at: usize);
}

/// The onlooker of a thread of the host, if there is one.
pub type Onlooker<'a> = Option<&'a mut dyn Watch>;

impl<A: Watch, B: Watch> Watch for (Option<A>, Option<B>) {
    fn begin_block(&mut self) {
        self.0.iter_mut().for_each(Watch::begin_block);
        self.1.iter_mut().for_each(Watch::begin_block);
    }

    fn runs(&mut self, step: &Step) {
        self.0.iter_mut().for_each(|watch| watch.runs(step));
        self.1.iter_mut().for_each(|watch| watch.runs(step));
    }

    fn passed_over(&mut self, at: usize) {
        self.0.iter_mut().for_each(|watch| watch.passed_over(at));
        self.1.iter_mut().for_each(|watch| watch.passed_over(at));
    }
}
