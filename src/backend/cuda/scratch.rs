// SPDX-License-Identifier: MIT OR Apache-2.0

//! Space that operations share, one after the other. It grows when an operation first needs more; in a step that is
//! captured nothing may grow, so a step is performed once before it is.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::allocator::{Allocator, Buffer};
use super::convolution::LaunchPlan;
use super::kernels::{MOST_BLOCKS, countable};
use super::layout::{Layout, lanes};
use super::losses::{GramPlan, packed_matrix};
use super::pictures::{COLOUR_LINES, GUIDES};
use super::pointer::Pointer;
use super::probe::Multiprocessors;
use crate::backend::resample::Taps;
use crate::backend::{Error, Result, ScratchUse};

/// Numbers of f64 that the sums of a picture's colours take for each block.
const COLOUR_SUMS: usize = 9;

pub struct Scratch {
    memory: Allocator,
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

/// Bytes of what is there from the beginning.
pub const STANDING: usize = MOST_BLOCKS * COLOUR_SUMS * size_of::<f64>();

/// What scratch uses take here and in frames on their way.
#[derive(Default)]
pub struct Needs {
    /// In bytes.
    products: usize,
    matrix: usize,
    narrow: usize,
    lines: usize,
    /// Bytes of the frame that comes in and of the one that goes out.
    pub frame: usize,
    pub painted: usize,
    /// Inputs and outputs of the resamplings.
    tables: BTreeSet<(usize, usize)>,
}

impl Needs {
    /// What all of these uses need, one after the other, on a card with such multiprocessors.
    pub fn of(uses: &[ScratchUse], multiprocessors: Multiprocessors) -> Self {
        let mut needs = Self::default();
        for scratch in uses {
            needs.add(*scratch, multiprocessors);
        }
        needs
    }

    fn add(&mut self, scratch: ScratchUse, multiprocessors: Multiprocessors) {
        const FLOAT: usize = size_of::<f32>();
        match scratch {
            ScratchUse::Convolution { from, outputs } => {
                let to = from.with_channels(outputs);
                let (inputs, results) = (lanes(from.channels), lanes(outputs));
                if Layout::of(from).blocked {
                    let forward = LaunchPlan::new(from, results, from.channels, multiprocessors);
                    let backward = LaunchPlan::new(to, inputs, outputs, multiprocessors);
                    let partials = forward.partials(from, results).max(backward.partials(to, inputs));
                    self.products = self.products.max(FLOAT * partials);
                }
                if !Layout::of(to).blocked {
                    self.narrow = self.narrow.max(Layout::forced(to).bytes());
                }
            }
            ScratchUse::Gram(shape) => {
                let plan = GramPlan::new(shape.pixels(), lanes(shape.channels), multiprocessors.count);
                self.products = self.products.max(FLOAT * plan.partials());
                if Layout::of(shape).blocked {
                    self.matrix = self.matrix.max(SCALE + 2 * packed_matrix(lanes(shape.channels)));
                } else {
                    self.narrow = self.narrow.max(Layout::forced(shape).bytes());
                }
            }
            ScratchUse::Import { frame, whole, inside } => {
                let (width, height) = frame.size();
                self.lines = self.lines.max(FLOAT * 3 * height * inside.width);
                self.frame = self.frame.max(frame.bytes());
                self.tables.extend([(width, whole.0), (height, whole.1)]);
            }
            ScratchUse::Export {
                frame,
                inside,
                guided,
            } => {
                let (width, height) = frame.size();
                let guides = if guided {
                    GUIDES * inside.height * (width + inside.width)
                } else {
                    0
                };
                self.lines = self.lines.max(FLOAT * (3 * inside.height * width + guides));
                self.frame = self.frame.max(frame.bytes());
                self.painted = self.painted.max(frame.bytes());
                self.tables
                    .extend([(inside.width, width), (inside.height, height)]);
            }
            ScratchUse::Resize { from, to } => {
                self.lines = self.lines.max(FLOAT * from.channels * from.height * to.width);
                self.tables
                    .extend([(from.width, to.width), (from.height, to.height)]);
            }
            ScratchUse::Colours => self.lines = self.lines.max(FLOAT * COLOUR_LINES),
        }
    }

    /// Everything, with what is there from the beginning.
    pub fn bytes(&self) -> usize {
        let buffers = self.products + self.matrix + self.narrow + self.lines + self.frame + self.painted;
        let tables = self
            .tables
            .iter()
            .map(|&(inputs, outputs)| Table::bytes(inputs, outputs));
        STANDING + buffers + tables.sum::<usize>()
    }
}

impl Table {
    /// The first inputs and the weights of the outputs from `output` on.
    pub fn from(&self, output: usize) -> (Pointer, Pointer) {
        let weights = output * self.width * size_of::<f32>();
        (
            self.first.pointer().beyond(output * size_of::<i32>()),
            self.weights.pointer().beyond(weights),
        )
    }

    /// Bytes of the first inputs, and of the weights.
    fn bytes(inputs: usize, outputs: usize) -> usize {
        outputs * size_of::<i32>() + outputs * Taps::width(inputs, outputs) * size_of::<f32>()
    }
}

impl Scratch {
    pub fn new(memory: &Allocator) -> Result<Self> {
        Ok(Self {
            partials: memory.zeros(STANDING)?,
            products: memory.nothing(),
            matrix: memory.nothing(),
            narrow: memory.nothing(),
            lines: memory.nothing(),
            taps: HashMap::new(),
            generation: 0,
            fixed: false,
            memory: memory.clone(),
        })
    }

    /// Makes room for just these needs; `send` takes bytes to the card.
    pub fn prepare(&mut self, needs: &Needs, mut send: impl FnMut(&[u8]) -> Result<Buffer>) -> Result<()> {
        let tables = self.taps.len();
        self.taps.retain(|sides, _| needs.tables.contains(sides));
        let memory = &self.memory;
        let mut unfit = Vec::new();
        for (buffer, bytes) in [
            (&mut self.products, needs.products),
            (&mut self.matrix, needs.matrix),
            (&mut self.narrow, needs.narrow),
            (&mut self.lines, needs.lines),
        ] {
            if buffer.bytes() != bytes {
                *buffer = memory.nothing();
                unfit.push((buffer, bytes));
            }
        }
        // A captured step knows the addresses of some.
        if tables != self.taps.len() || !unfit.is_empty() {
            self.generation += 1;
        }
        for (buffer, bytes) in unfit {
            countable(bytes / size_of::<f32>(), bytes)?;
            *buffer = memory.zeros(bytes)?;
        }
        for &(inputs, outputs) in &needs.tables {
            self.taps(inputs, outputs, &mut send)?;
        }
        Ok(())
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
                return Err(Error::Internal("a captured step asks for more space than before"));
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
