// SPDX-License-Identifier: MIT OR Apache-2.0

//! Which instructions of a kernel ran, and which ways its branches went.

use super::watch::{Step, Watch};
use crate::ptx::Kernel;
use crate::ptx::instruction::Op;

/// What is known of an instruction: it ran in some lane; as a branch it was taken by some lane, and not by another.
pub const RAN: u8 = 1;
pub const TAKEN: u8 = 2;
pub const NOT_TAKEN: u8 = 4;

/// By instruction of a kernel, which of the above is true.
pub struct Coverage {
    pub seen: Vec<u8>,
    /// Which instructions are branches.
    branches: Vec<bool>,
}

impl Coverage {
    pub fn new(kernel: &Kernel) -> Self {
        let code = &kernel.code;
        Self {
            seen: vec![0; code.len()],
            branches: code.iter().map(|at| at.op == Op::Branch).collect(),
        }
    }
}

impl Watch for Coverage {
    fn begin_block(&mut self) {}

    fn runs(&mut self, step: &Step) {
        let mut seen = RAN;
        if self.branches[step.at] {
            seen |= TAKEN;
            if step.mask != step.came {
                seen |= NOT_TAKEN;
            }
        }
        self.seen[step.at] |= seen;
    }

    fn passed_over(&mut self, at: usize) {
        if self.branches[at] {
            self.seen[at] |= NOT_TAKEN;
        }
    }
}
