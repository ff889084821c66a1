// SPDX-License-Identifier: MIT OR Apache-2.0

//! Space that operations share, one after the other. It grows when an operation first needs more; in a step that is
//! captured nothing may grow, so a step is performed once before it is.

use std::collections::HashMap;
use std::sync::Arc;

use super::convolution::{Multiprocessors, Plan};
use super::kernels::{MOST_BLOCKS, countable};
use super::layout::{Layout, lanes};
use super::losses::{GramPlan, packed_matrix};
use super::memory::{Buffer, Memory, Pointer};
use super::pictures::GUIDES;
use crate::backend::resample::Taps;
use crate::backend::{Error, Result, Work};

/// Numbers of f64 that the sums of a picture's colours take for each block.
const COLOUR_SUMS: usize = 9;

pub struct Scratch {
    memory: Memory,
    /// A partial sum for each block of a pass.
    partials: Buffer,
    /// Partial products of a convolution or a Gram matrix.
    products: Buffer,
    /// A symmetric matrix in fp16, with its scale before it.
    matrix: Buffer,
    /// A tensor of few channels, blocked.
    narrow: Buffer,
    /// Half-resampled pictures, and tensors on their way to another layout.
    lines: Buffer,
    /// Tables by (inputs, outputs).
    taps: HashMap<(usize, usize), Arc<Table>>,
    /// Counts how often something moved or went: a captured step knows the addresses of then.
    pub generation: u64,
    /// While a step is written down.
    pub fixed: bool,
}

/// Taps of a resampling on the card.
pub struct Table {
    pub width: usize,
    pub first: Buffer,
    pub weights: Buffer,
}

/// Bytes before the matrix, which hold its scale.
const SCALE: usize = 16;

/// Tables kept at a time. A frame needs a few for each size at which it is painted.
const MOST_TABLES: usize = 64;

/// Bytes that all of `work` takes here and in frames on their way, on a card with such multiprocessors.
pub fn planned(work: &[Work], multiprocessors: Multiprocessors) -> usize {
    let (mut products, mut matrix, mut narrow, mut lines, mut frames) = (0, 0, 0, 0, 0);
    for work in work {
        match *work {
            Work::Convolution { from, outputs } => {
                let to = from.with_channels(outputs);
                let (inputs, results) = (lanes(from.channels), lanes(outputs));
                if Layout::of(from).blocked {
                    let forward = Plan::new(from, results, from.channels, multiprocessors);
                    let backward = Plan::new(to, inputs, outputs, multiprocessors);
                    products = products.max(forward.partials(from, results));
                    products = products.max(backward.partials(to, inputs));
                }
                if !Layout::of(to).blocked {
                    narrow = narrow.max(Layout::forced(to).bytes());
                }
            }
            Work::Gram(shape) => {
                let plan = GramPlan::new(shape.pixels(), lanes(shape.channels), multiprocessors.count);
                products = products.max(plan.partials());
                if Layout::of(shape).blocked {
                    matrix = matrix.max(SCALE + 2 * packed_matrix(lanes(shape.channels)));
                } else {
                    narrow = narrow.max(Layout::forced(shape).bytes());
                }
            }
            Work::Frame {
                width,
                height,
                inside,
            } => {
                // Where the frame is larger it guides what is laid onto it.
                let guides = if (inside.height, inside.width) == (height, width) {
                    0
                } else {
                    GUIDES * inside.height * (width + inside.width)
                };
                lines = lines
                    .max(3 * height * inside.width)
                    .max(3 * inside.height * width + guides);
                // One that comes and one that goes.
                frames = frames.max(2 * 3 * height * width);
            }
        }
    }
    size_of::<f32>() * (products + lines) + matrix + narrow + frames
}

impl Scratch {
    pub fn new(memory: &Memory) -> Result<Self> {
        Ok(Self {
            partials: memory.zeros(MOST_BLOCKS * COLOUR_SUMS * size_of::<f64>())?,
            products: memory.zeros(0)?,
            matrix: memory.zeros(0)?,
            narrow: memory.zeros(0)?,
            lines: memory.zeros(0)?,
            taps: HashMap::new(),
            generation: 0,
            fixed: false,
            memory: memory.clone(),
        })
    }

    pub fn partials(&self) -> &Buffer {
        &self.partials
    }

    /// Room for `count` floats of partial products.
    pub fn products(&mut self, count: usize) -> Result<Pointer> {
        self.roomy(|scratch| &mut scratch.products, count * size_of::<f32>())
    }

    /// A place for a scale, and room for `count` fp16 numbers.
    pub fn matrix(&mut self, count: usize) -> Result<(Pointer, Pointer)> {
        let start = self.roomy(|scratch| &mut scratch.matrix, SCALE + count * 2)?;
        Ok((start, Pointer(start.0 + SCALE as u64)))
    }

    /// Room for `bytes` of a blocked tensor of few channels.
    pub fn narrow(&mut self, bytes: usize) -> Result<Pointer> {
        self.roomy(|scratch| &mut scratch.narrow, bytes)
    }

    /// Room for `count` floats.
    pub fn lines(&mut self, count: usize) -> Result<&Buffer> {
        countable(count, count * size_of::<f32>())?;
        self.roomy(|scratch| &mut scratch.lines, count * size_of::<f32>())?;
        Ok(&self.lines)
    }

    fn roomy(&mut self, which: impl Fn(&mut Self) -> &mut Buffer, bytes: usize) -> Result<Pointer> {
        if which(self).bytes() < bytes {
            if self.fixed {
                return Err(Error::Device(
                    "a captured step asks for more space than before".into(),
                ));
            }
            let memory = self.memory.clone();
            self.generation += 1;
            memory.reserve(which(self), bytes)?;
        }
        Ok(which(self).pointer())
    }

    /// The table that turns `inputs` samples into `outputs`; `send` takes bytes to the card.
    pub fn taps(
        &mut self,
        inputs: usize,
        outputs: usize,
        mut send: impl FnMut(&[u8]) -> Result<Buffer>,
    ) -> Result<Arc<Table>> {
        if let Some(table) = self.taps.get(&(inputs, outputs)) {
            return Ok(table.clone());
        }
        if self.taps.len() >= MOST_TABLES {
            // A captured step may know the addresses of some.
            self.generation += 1;
            self.taps.clear();
        }
        let taps = Taps::new(inputs, outputs);
        let first: Vec<i32> = taps.first.iter().map(|&first| first as i32).collect();
        let table = Arc::new(Table {
            width: taps.width,
            first: send(bytemuck::cast_slice(&first))?,
            weights: send(bytemuck::cast_slice(&taps.weights))?,
        });
        self.taps.insert((inputs, outputs), table.clone());
        Ok(table)
    }
}
