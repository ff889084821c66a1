// SPDX-License-Identifier: MIT OR Apache-2.0

//! The CPU in f32: convolutions by Winograd's method and products in kernels of our own, chosen by what the processor
//! can do; threads by `rayon`.
#![allow(unsafe_code)]
// Kernels read like the formulas that they compute, with an index for each axis.
#![allow(clippy::needless_range_loop)]

mod available;
mod buffer;
mod control;
mod conv;
mod export;
mod gram;
mod layout;
mod losses;
mod memory;
mod network;
mod optimizer;
mod parallel;
mod pictures;
mod pool;
mod product;
mod shared;
mod simd;
mod tensor;
mod vector;
mod warp;
mod workers;

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use super::{CancelToken, Error, Result};
use buffer::Buffer;
use conv::Scratch;
pub use shared::Filter;
pub use simd::Level;
pub use tensor::{Mask, Tensor};
use workers::Workers;

/// The CPU and its threads.
pub struct Cpu {
    level: Level,
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
    /// `threads` = 0: one per core that this process may use. The kernels are those that [`Level::choose`] names.
    pub fn new(threads: usize, cancel: CancelToken) -> Result<Self> {
        Self::with_level(threads, cancel, Level::choose()?)
    }

    /// One thread that does not take turns with the other backends of the process: for little work for which somebody
    /// waits.
    pub fn aside(cancel: CancelToken) -> Result<Self> {
        Self::with_workers(Workers::aside()?, cancel, Level::choose()?)
    }

    /// With the kernels of a certain level; it must be [available](Level::available).
    pub fn with_level(threads: usize, cancel: CancelToken, level: Level) -> Result<Self> {
        if !Level::available().contains(&level) {
            return Err(Error::Device(format!("this processor has no {}", level.name())));
        }
        Self::with_workers(Workers::new(threads)?, cancel, level)
    }

    fn with_workers(workers: Workers, cancel: CancelToken, level: Level) -> Result<Self> {
        let in_use = Arc::new(AtomicUsize::new(0));
        Ok(Self {
            level,
            convolving: Scratch::new(workers.threads(), &in_use)?,
            workers,
            cancel,
            matrices: Buffer::zeros(0, &in_use)?,
            lines: Vec::new(),
            exporting: export::Scratch::default(),
            in_use,
        })
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
