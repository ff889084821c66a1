// SPDX-License-Identifier: MIT OR Apache-2.0

//! The weights of a convolution, transformed beforehand or on the way.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use rayon::prelude::*;

use super::tiles::Tiling;
use super::transform::{Four, Six, Square, Tile};
use crate::backend::cpu::buffer::Buffer;
use crate::backend::cpu::parallel::Parts;
use crate::backend::cpu::simd::{BLOCK, InstructionSet, Simd, kernel};
use crate::backend::{FilterData, Result};

/// Weights of both directions.
pub struct Filter {
    pub outputs: usize,
    pub inputs: usize,
    /// One for each lane of each block of outputs.
    pub bias: Buffer<f32>,
    /// [O / BLOCK, I / BLOCK, BLOCK of I, 9, BLOCK of O]; empty if both directions are transformed beforehand.
    packed: Buffer<f32>,
    /// Weights [panel, point, depth, BLOCK] transformed beforehand for tiles of [`KEPT`], one set for each direction; nothing if
    /// they are made on the way.
    kept: Option<[Buffer<f32>; 2]>,
}

/// Which way a convolution goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Forward,
    /// Inputs and outputs exchanged, the kernel turned by 180°: the adjoint.
    Backward,
}

/// How large tiles are, see [`Tile`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TileSize {
    Four,
    Six,
}

impl TileSize {
    pub fn points(self) -> usize {
        match self {
            TileSize::Four => Four::IN * Four::IN,
            TileSize::Six => Six::IN * Six::IN,
        }
    }

    /// Tiles that cover a frame.
    fn tiles(self, height: usize, width: usize) -> usize {
        match self {
            TileSize::Four => Tiling::of::<Four>(height, width).count,
            TileSize::Six => Tiling::of::<Six>(height, width).count,
        }
    }
}

/// The most weights of which transformed sets are kept. Larger sets are made on the way, panel by panel: reading the weights
/// and transforming them costs hardly more than reading four or seven times as much.
const MOST_KEPT: usize = 128 * 256;
/// The tiles for which sets are kept: layers with few channels are those of large pictures, where tiles at the edges matter
/// less.
const KEPT: TileSize = TileSize::Six;
/// What transforming the weights on the way costs, in tiles: as long as this many take through the products.
const TRANSFORM_COST: usize = 15;

/// Numbers from one point to the next of a panel of transformed weights for `depth` channels: an odd number of cache lines, see
/// [`stride`](super::stride).
pub fn point_stride(depth: usize) -> usize {
    (depth | 1) * BLOCK
}

/// A pack of weights between a block of inputs and a block of outputs.
const PACK: usize = 9 * BLOCK * BLOCK;

impl Filter {
    /// Lays out and transforms; runs in the pool of the calling thread.
    pub fn new(data: &FilterData, instructions: InstructionSet, total: &Arc<AtomicUsize>) -> Result<Self> {
        let (outputs, inputs) = (data.outputs, data.inputs);
        let (output_blocks, input_blocks) = (outputs.div_ceil(BLOCK), inputs.div_ceil(BLOCK));
        let mut bias = Buffer::zeros(output_blocks * BLOCK, total)?;
        bias[..outputs].copy_from_slice(&data.bias);
        let mut packed = Buffer::zeros(output_blocks * input_blocks * PACK, total)?;
        packed
            .par_chunks_mut(input_blocks * PACK)
            .enumerate()
            .for_each(|(block, packed)| {
                for output in block * BLOCK..outputs.min((block + 1) * BLOCK) {
                    for input in 0..inputs {
                        for tap in 0..9 {
                            let place = input * 9 + tap;
                            packed[place * BLOCK + output % BLOCK] =
                                data.weights[(output * inputs + input) * 9 + tap];
                        }
                    }
                }
            });
        let mut filter = Self {
            outputs,
            inputs,
            bias,
            packed,
            kept: None,
        };
        if output_blocks * input_blocks * BLOCK * BLOCK <= MOST_KEPT {
            let set = |direction| filter.transform_all(instructions, direction, total);
            filter.kept = Some([set(Direction::Forward)?, set(Direction::Backward)?]);
            filter.packed = Buffer::zeros(0, total)?;
        }
        Ok(filter)
    }

    /// The set of a direction that is kept.
    fn transform_all(
        &self,
        instructions: InstructionSet,
        direction: Direction,
        total: &Arc<AtomicUsize>,
    ) -> Result<Buffer<f32>> {
        let (depth, panels) = (self.depth(direction), self.panels(direction));
        let panel = KEPT.points() * point_stride(depth);
        let mut set = Buffer::zeros(panels * panel, total)?;
        let parts = Parts::new(&mut set);
        (0..panels).into_par_iter().for_each(|index| {
            let to = parts.at(index * panel);
            // SAFETY: each panel of the set is written by one call alone.
            unsafe { self.transform(instructions, KEPT, direction, index, (0, depth), to) };
        });
        Ok(set)
    }

    /// The sizes of tiles that may be asked for.
    pub fn sizes(&self) -> &[TileSize] {
        match &self.kept {
            Some(_) => &[KEPT],
            None => &[TileSize::Four, TileSize::Six],
        }
    }

    /// The size of tiles that costs least on a frame, of which at most `most` tiles are handled at a time.
    pub fn size_for(&self, height: usize, width: usize, most: usize) -> TileSize {
        let cost = |size: &&TileSize| {
            let tiles = size.tiles(height, width);
            size.points() * (tiles + tiles.div_ceil(most) * TRANSFORM_COST)
        };
        self.sizes()
            .iter()
            .min_by_key(cost)
            .copied()
            .unwrap_or(TileSize::Four)
    }

    /// Channels that are summed up.
    pub fn depth(&self, direction: Direction) -> usize {
        match direction {
            Direction::Forward => self.inputs,
            Direction::Backward => self.outputs,
        }
    }

    /// Blocks of channels that come out.
    pub fn panels(&self, direction: Direction) -> usize {
        match direction {
            Direction::Forward => self.outputs.div_ceil(BLOCK),
            Direction::Backward => self.inputs.div_ceil(BLOCK),
        }
    }

    /// The weights [panel, point, depth, BLOCK], if they are transformed beforehand.
    pub fn transformed(&self, direction: Direction) -> Option<&[f32]> {
        self.kept.as_ref().map(|sets| &*sets[direction as usize])
    }

    /// Writes a panel of transformed weights for the channels first..last of the depth: [point, channel, BLOCK].
    ///
    /// # Safety
    /// `to` has that much room, which nobody else uses.
    pub unsafe fn transform(
        &self,
        instructions: InstructionSet,
        size: TileSize,
        direction: Direction,
        panel: usize,
        (first, last): (usize, usize),
        to: *mut f32,
    ) {
        let blocks = self.inputs.div_ceil(BLOCK);
        let job = Packs {
            packed: self.packed.as_ptr(),
            blocks,
            panel,
            channels: (first, last),
            to,
        };
        // SAFETY: as promised by the caller; the panel and the channels exist.
        unsafe {
            match (size, direction) {
                (TileSize::Four, Direction::Forward) => transform_filter::<Four, Ahead>(instructions, &job),
                (TileSize::Four, Direction::Backward) => transform_filter::<Four, Back>(instructions, &job),
                (TileSize::Six, Direction::Forward) => transform_filter::<Six, Ahead>(instructions, &job),
                (TileSize::Six, Direction::Backward) => transform_filter::<Six, Back>(instructions, &job),
            }
        }
    }
}

/// Packs to transform, see [`Filter::transform`].
struct Packs {
    packed: *const f32,
    /// Blocks of inputs.
    blocks: usize,
    panel: usize,
    channels: (usize, usize),
    to: *mut f32,
}

/// How a direction finds its weights.
trait Way {
    /// The place of the pack between a block of the depth and a panel.
    fn pack(block: usize, panel: usize, blocks: usize) -> usize;
    /// Brings a pack into the order [BLOCK of the depth, 9, BLOCK of the panel].
    unsafe fn arrange<S: Simd>(pack: *const f32, scratch: &mut [f32; PACK]) -> *const f32;
}

struct Ahead;
struct Back;

impl Way for Ahead {
    #[inline(always)]
    fn pack(block: usize, panel: usize, blocks: usize) -> usize {
        panel * blocks + block
    }

    #[inline(always)]
    unsafe fn arrange<S: Simd>(pack: *const f32, _: &mut [f32; PACK]) -> *const f32 {
        pack
    }
}

impl Way for Back {
    #[inline(always)]
    fn pack(block: usize, panel: usize, blocks: usize) -> usize {
        block * blocks + panel
    }

    #[inline(always)]
    unsafe fn arrange<S: Simd>(pack: *const f32, scratch: &mut [f32; PACK]) -> *const f32 {
        for tap in 0..9 {
            let turned = scratch[(8 - tap) * BLOCK..].as_mut_ptr();
            // SAFETY: a pack has BLOCK · 9 · BLOCK numbers.
            unsafe { S::transpose(pack.add(tap * BLOCK), turned, 9 * BLOCK) };
        }
        scratch.as_ptr()
    }
}

kernel! {
    /// G g Gᵀ.
    transform_filter[T: Tile, W: Way](job: &Packs) = transform_filter_with
}

#[inline(always)]
unsafe fn transform_filter_with<S: Simd, T: Tile, W: Way>(job: &Packs) {
    let (first, last) = job.channels;
    let depth = last - first;
    let mut scratch = [0.0; PACK];
    for block in first / BLOCK..last.div_ceil(BLOCK) {
        // SAFETY: as promised by the caller of `Filter::transform`.
        unsafe {
            let pack = job.packed.add(W::pack(block, job.panel, job.blocks) * PACK);
            let pack = W::arrange::<S>(pack, &mut scratch);
            for channel in first.max(block * BLOCK)..last.min((block + 1) * BLOCK) {
                let from = pack.add(channel % BLOCK * 9 * BLOCK);
                let to = job.to.add((channel - first) * BLOCK);
                let mut lane = 0;
                while lane < BLOCK {
                    transform_taps::<S, T>(from.add(lane), to.add(lane), point_stride(depth));
                    lane += S::LANES;
                }
            }
        }
    }
}

/// One vector of kernels: taps are BLOCK apart, points go `point` apart.
#[inline(always)]
unsafe fn transform_taps<S: Simd, T: Tile>(from: *const f32, to: *mut f32, point: usize) {
    // SAFETY: as promised by the caller.
    unsafe {
        let mut half = Square::<S>::new();
        for column in 0..3 {
            let tap = |row: usize| from.add((row * 3 + column) * BLOCK);
            let g = T::filter::<S>([S::load(tap(0)), S::load(tap(1)), S::load(tap(2))]);
            for row in 0..T::IN {
                half.set(row, column, g[row]);
            }
        }
        for row in 0..T::IN {
            let g = T::filter::<S>([half.at(row, 0), half.at(row, 1), half.at(row, 2)]);
            for column in 0..T::IN {
                S::store(to.add((row * T::IN + column) * point), g[column]);
            }
        }
    }
}
