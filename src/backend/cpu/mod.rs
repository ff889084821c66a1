// SPDX-License-Identifier: MIT OR Apache-2.0

//! The CPU in f32: convolutions by Winograd's method and products in kernels of our own, chosen by what the processor
//! can do; threads by `rayon`.
// Kernels read like the formulas that they compute, with an index for each axis.
#![allow(clippy::needless_range_loop)]

mod available;
mod buffer;
mod control;
#[allow(unsafe_code)]
mod conv;
#[allow(unsafe_code)]
mod export;
#[allow(unsafe_code)]
mod gram;
mod layout;
mod losses;
mod memory;
mod network;
mod optimizer;
#[allow(unsafe_code)]
mod parallel;
mod pictures;
mod pool;
#[allow(unsafe_code)]
mod product;
mod shared;
#[allow(unsafe_code)]
mod simd;
mod tensor;
mod vector;
#[allow(unsafe_code)]
mod warp;
mod workers;

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use super::{CancelToken, Error, Result};
use buffer::Buffer;
use conv::Scratch;
pub use shared::Filter;
pub use simd::InstructionSet;
pub use tensor::{Mask, Tensor};
use workers::Workers;

/// The CPU and its threads.
pub struct Cpu {
    instructions: InstructionSet,
    workers: Workers,
    cancel: CancelToken,
    in_use: Arc<AtomicUsize>,
    convolving: Scratch,
    /// The partial sums of a Gram matrix, or a matrix laid out for a product.
    matrices: Buffer<f32>,
    /// Half-resampled pictures.
    lines: Vec<f32>,
    exporting: export::Scratch,
}

impl Cpu {
    /// `threads` = 0: one per core that this process may use. The kernels are those that [`InstructionSet::choose`] names.
    pub fn new(threads: usize, cancel: CancelToken) -> Result<Self> {
        Self::with_instructions(threads, cancel, InstructionSet::choose()?)
    }

    /// One thread that does not take turns with the other backends of the process: for little work for which somebody
    /// waits.
    pub fn aside(cancel: CancelToken) -> Result<Self> {
        Self::with_workers(Workers::aside()?, cancel, InstructionSet::choose()?)
    }

    /// With the kernels of a certain instruction set; it must be [available](InstructionSet::available).
    pub fn with_instructions(
        threads: usize,
        cancel: CancelToken,
        instructions: InstructionSet,
    ) -> Result<Self> {
        if !InstructionSet::available().contains(&instructions) {
            return Err(Error::Unavailable(format!(
                "this processor has no {}",
                instructions.name()
            )));
        }
        Self::with_workers(Workers::new(threads)?, cancel, instructions)
    }

    fn with_workers(workers: Workers, cancel: CancelToken, instructions: InstructionSet) -> Result<Self> {
        let in_use = Arc::new(AtomicUsize::new(0));
        Ok(Self {
            instructions,
            convolving: Scratch::new(workers.threads(), &in_use)?,
            workers,
            cancel,
            matrices: Buffer::zeros(0, &in_use)?,
            lines: Vec::new(),
            exporting: export::Scratch::default(),
            in_use,
        })
    }

    /// Works with other threads from now on, each with scratch space of its own.
    fn set_workers(&mut self, workers: Workers) -> Result<()> {
        self.convolving.set_threads(workers.threads(), &self.in_use)?;
        self.workers = workers;
        Ok(())
    }

    /// The answer of an operation that looks at the flag while it runs.
    fn finished(&self) -> Result<()> {
        if self.cancel.is_cancelled() {
            Err(Error::Cancelled)
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::prelude::*;
    use crate::backend::{FilterData, Shape};

    /// A container may be given more cores between the first frame and the beginning of a live stream.
    #[test]
    fn threads_that_come_later_have_scratch_space_too() {
        let mut cpu = Cpu::new(1, CancelToken::new()).unwrap();
        let (shape, outputs) = (Shape::new(3, 60, 80), 24);
        let data = FilterData {
            outputs,
            inputs: 3,
            weights: (0..outputs * 27).map(|i| (i % 7) as f32 - 3.0).collect(),
            bias: vec![0.5; outputs],
        };
        let filter = cpu.filter(&data).unwrap();
        let mut from = cpu.tensor(shape).unwrap();
        let pixels: Vec<f32> = (0..shape.elements()).map(|i| (i % 11) as f32).collect();
        cpu.upload(&pixels, &mut from).unwrap();
        let whole = shape.with_channels(outputs);
        let mut found = Vec::new();
        for threads in [1, 3] {
            cpu.set_workers(Workers::new(threads).unwrap()).unwrap();
            let (mut to, mut mask) = (cpu.tensor(whole).unwrap(), cpu.mask(whole).unwrap());
            for _ in 0..20 {
                cpu.conv_relu(&from, &filter, &mut to, &mut mask).unwrap();
            }
            let mut values = vec![0.0; whole.elements()];
            cpu.download(&to, &mut values).unwrap();
            found.push(values);
        }
        assert!(found[0] == found[1]);
    }
}
