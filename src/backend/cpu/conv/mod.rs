// SPDX-License-Identifier: MIT OR Apache-2.0

//! 3×3 convolutions by Winograd's method, see [`transform`].
//!
//! A convolution has three parts: tiles of the input are [transformed](input), for each of the 36 or 64 points the
//! transformed tiles [T, I] are [multiplied](super::product) by the transformed weights [I, O], and the sums are
//! [transformed back](output) into pixels. ReLU, pooling and masks are done while a tile is at hand. The way back to
//! the input is the same with the weights turned round.
//!
//! Work is cut in one of two ways, so that what passes between the parts stays in the cache:
//! - *by tiles*: a thread takes some tiles through all three parts. For large pictures with few channels.
//! - *by panels*: all threads transform the input together; then each takes some panels of outputs through the rest. For small
//!   pictures with many channels, whose weights are larger than anything else; they are read once.

mod filter;
mod input;
mod output;
mod tiles;
mod transform;

use std::sync::Mutex;

use rayon::prelude::*;

pub use filter::{Direction, Filter, TileSize};
pub use input::{Blocked, Masked, Pixels, Planar, Unpooled};
pub use output::{Bits, Rectified, RectifiedAndPooled, Scaled, Sink, Written};

use super::buffer::Buffer;
use super::parallel::Parts;
use super::product::{Product, multiply};
use super::simd::{BLOCK, InstructionSet};
use crate::backend::{CancelToken, Result};
use filter::point_stride;
use input::{Transformed, transform_input};
use output::{Sums, transform_output};
use tiles::Tiling;
use transform::{Four, Six, Tile};

/// Bytes of transformed tiles that a thread handles at a time: a good part of the second-level cache.
const CACHED_BYTES: usize = 1 << 19;
/// Tiles of a piece are multiples of the rows that the product kernel likes best.
const ROWS: usize = 14;
/// The most tiles of a piece that is cut by tiles.
const MOST_TILES: usize = 9 * ROWS;
/// The most tiles that are handled at a time by panels.
const MOST_SHARED_TILES: usize = 10 * ROWS;
/// Pieces are multiples of this many, so that several threads get equal shares.
const SHARES: usize = 8;
/// Panels that are taken through the products together: what the product kernel takes at once.
const PANELS: usize = 2;
/// Channels for which weights are transformed at a time on the way.
const DEPTH: usize = 256;

/// Space that a convolution works in.
pub struct Scratch {
    /// One for each thread: transformed tiles, weights, sums.
    threads: Vec<Mutex<[Buffer<f32>; 3]>>,
    /// Transformed tiles that all threads read.
    shared: Buffer<f32>,
}

/// Numbers of each kind of space that a filter needs.
#[derive(Clone, Copy, Debug, Default)]
struct Needed {
    tiles: usize,
    weights: usize,
    sums: usize,
    shared: usize,
}

impl Scratch {
    pub fn new(threads: usize, total: &std::sync::Arc<std::sync::atomic::AtomicUsize>) -> Result<Self> {
        let nothing = || Buffer::zeros(0, total);
        let threads = (0..threads).map(|_| Ok(Mutex::new([nothing()?, nothing()?, nothing()?])));
        Ok(Self {
            threads: threads.collect::<Result<_>>()?,
            shared: nothing()?,
        })
    }

    /// Has space for each of so many threads, as large as the others have.
    pub fn set_threads(
        &mut self,
        threads: usize,
        total: &std::sync::Arc<std::sync::atomic::AtomicUsize>,
    ) -> Result<()> {
        let lengths = match self.threads.first_mut() {
            Some(space) => space
                .get_mut()
                .unwrap_or_else(|poisoned| poisoned.into_inner())
                .each_ref()
                .map(|buffer| buffer.len()),
            None => [0; 3],
        };
        self.threads.truncate(threads);
        while self.threads.len() < threads {
            let [tiles, weights, sums] = lengths.map(|length| Buffer::zeros(length, total));
            self.threads.push(Mutex::new([tiles?, weights?, sums?]));
        }
        Ok(())
    }

    /// Makes room for convolutions with this filter, of pictures of any size.
    pub fn reserve(&mut self, filter: &Filter) -> Result<()> {
        let directions = [Direction::Forward, Direction::Backward].into_iter();
        let ways = directions.flat_map(|direction| filter.sizes().iter().map(move |&size| (direction, size)));
        for (direction, size) in ways {
            let needed = needed(filter, direction, size);
            self.shared.reserve(needed.shared)?;
            for space in &mut self.threads {
                let [tiles, weights, sums] = space.get_mut().unwrap_or_else(|poisoned| poisoned.into_inner());
                tiles.reserve(needed.tiles)?;
                weights.reserve(needed.weights)?;
                sums.reserve(needed.sums)?;
            }
        }
        Ok(())
    }
}

fn needed(filter: &Filter, direction: Direction, size: TileSize) -> Needed {
    let (points, depth) = (size.points(), filter.depth(direction));
    let blocks = depth.div_ceil(BLOCK);
    let kept = filter.transformed(direction).is_some();
    Needed {
        tiles: points * stride(blocks, most_tiles(points, blocks)),
        weights: if kept {
            0
        } else {
            PANELS * points * point_stride(DEPTH.min(depth))
        },
        sums: points * stride(PANELS, MOST_SHARED_TILES),
        shared: points * stride(blocks, MOST_SHARED_TILES),
    }
}

/// Numbers from one point to the next of `blocks` blocks of `tiles` tiles. An odd number of cache lines: the points of
/// a tile are written one after the other, and would otherwise all fall into the same few places of the cache.
fn stride(blocks: usize, tiles: usize) -> usize {
    (blocks * tiles) / 2 * 2 * BLOCK + BLOCK
}

/// The most tiles of a piece of a picture of `blocks` blocks of channels.
fn most_tiles(points: usize, blocks: usize) -> usize {
    let tile = points * blocks * BLOCK * size_of::<f32>();
    (CACHED_BYTES / tile / ROWS * ROWS).clamp(3 * ROWS, MOST_TILES)
}

/// One convolution: which filter, which way, on frames of which size.
pub struct Convolution<'a> {
    pub instructions: InstructionSet,
    pub filter: &'a Filter,
    pub direction: Direction,
    pub height: usize,
    pub width: usize,
    pub scratch: &'a mut Scratch,
    pub cancel: &'a CancelToken,
}

impl Convolution<'_> {
    /// From `pixels` to `sink`; runs in the pool of the calling thread.
    pub fn run<P: Pixels, K: Sink>(self, pixels: P, sink: K) {
        let size = self.filter.size_for(self.height, self.width, MOST_SHARED_TILES);
        match size {
            TileSize::Four => self.run_with::<Four, P, K>(size, pixels, sink),
            TileSize::Six => self.run_with::<Six, P, K>(size, pixels, sink),
        }
    }

    fn run_with<T: Tile, P: Pixels, K: Sink>(self, size: TileSize, pixels: P, sink: K) {
        let tiling = Tiling::of::<T>(self.height, self.width);
        let blocks = self.filter.depth(self.direction).div_ceil(BLOCK);
        let panels = self.filter.panels(self.direction);
        let most = most_tiles(T::IN * T::IN, blocks);
        match self.filter.transformed(self.direction) {
            Some(weights) if tiling.count >= SHARES * most || panels < SHARES => {
                let pieces = tiling.count.div_ceil(most).next_multiple_of(SHARES);
                let size = tiling.count.div_ceil(pieces);
                self.by_tiles::<T, P, K>(tiling, size, weights, pixels, sink);
            }
            weights => self.by_panels::<T, P, K>(tiling, size, weights, pixels, sink),
        }
    }

    fn by_tiles<T: Tile, P: Pixels, K: Sink>(
        self,
        tiling: Tiling,
        size: usize,
        weights: &[f32],
        pixels: P,
        sink: K,
    ) {
        let Self {
            instructions,
            filter,
            direction,
            scratch,
            cancel,
            ..
        } = self;
        let depth = filter.depth(direction);
        let (points, blocks) = (T::IN * T::IN, depth.div_ceil(BLOCK));
        let panels = filter.panels(direction);
        (0..tiling.count.div_ceil(size))
            .into_par_iter()
            .for_each(|index| {
                if cancel.is_cancelled() {
                    return;
                }
                let piece = tiling.piece(index, size);
                let thread = rayon::current_thread_index().unwrap_or(0);
                let mut space = scratch.threads[thread]
                    .lock()
                    .unwrap_or_else(|poisoned| poisoned.into_inner());
                let [tiles, _, sums] = &mut *space;
                let transformed = Transformed {
                    tiling: piece,
                    blocks: (0, blocks),
                    to: tiles.as_mut_ptr(),
                    point: stride(blocks, piece.count),
                    block: piece.count * BLOCK,
                };
                // SAFETY: the operands were checked to belong together, `reserve` has made the room, which this thread has
                // locked, and the pixels that come out of a piece belong to it alone.
                unsafe {
                    transform_input::<T, P>(instructions, pixels, &transformed);
                    for first in (0..panels).step_by(PANELS) {
                        let last = panels.min(first + PANELS);
                        let sums = Sums {
                            tiling: piece,
                            blocks: (first, last),
                            from: sums.as_mut_ptr(),
                            point: stride(PANELS, piece.count),
                            block: piece.count * BLOCK,
                        };
                        let panel = points * point_stride(depth);
                        let weights = weights.as_ptr().add(first * panel);
                        multiply_points(
                            instructions,
                            points,
                            &transformed,
                            depth,
                            (weights, panel),
                            &sums,
                            false,
                        );
                        transform_output::<T, K>(instructions, sink, &sums);
                    }
                }
            });
    }

    fn by_panels<T: Tile, P: Pixels, K: Sink>(
        self,
        tiling: Tiling,
        tile_size: TileSize,
        weights: Option<&[f32]>,
        pixels: P,
        sink: K,
    ) {
        let Self {
            instructions,
            filter,
            direction,
            scratch,
            cancel,
            ..
        } = self;
        let depth = filter.depth(direction);
        let (points, blocks) = (T::IN * T::IN, depth.div_ceil(BLOCK));
        let panels = filter.panels(direction);
        let pieces = tiling.count.div_ceil(MOST_SHARED_TILES);
        let size = tiling.count.div_ceil(pieces);
        let threads = &scratch.threads;
        let shared = Parts::new(&mut scratch.shared);
        for index in 0..pieces {
            let piece = tiling.piece(index, size);
            let (point, block) = (stride(blocks, piece.count), piece.count * BLOCK);
            (0..blocks).into_par_iter().for_each(|index| {
                if cancel.is_cancelled() {
                    return;
                }
                let transformed = Transformed {
                    tiling: piece,
                    blocks: (index, index + 1),
                    to: shared.at(index * block),
                    point,
                    block,
                };
                // SAFETY: the operands were checked to belong together, and `reserve` has made the room, in which each
                // block of channels has places of its own.
                unsafe { transform_input::<T, P>(instructions, pixels, &transformed) };
            });
            (0..panels.div_ceil(PANELS)).into_par_iter().for_each(|index| {
                if cancel.is_cancelled() {
                    return;
                }
                let (first, last) = (index * PANELS, panels.min((index + 1) * PANELS));
                let thread = rayon::current_thread_index().unwrap_or(0);
                let mut space = threads[thread]
                    .lock()
                    .unwrap_or_else(|poisoned| poisoned.into_inner());
                let [_, scratch, sums] = &mut *space;
                let sums = Sums {
                    tiling: piece,
                    blocks: (first, last),
                    from: sums.as_mut_ptr(),
                    point: stride(PANELS, piece.count),
                    block,
                };
                let tiles = |channel: usize| Transformed {
                    tiling: piece,
                    blocks: (channel / BLOCK, blocks),
                    to: shared.at(channel / BLOCK * block),
                    point,
                    block,
                };
                // SAFETY: as above; the transformed tiles are only read now, and the pixels that come out of a panel
                // belong to it alone.
                unsafe {
                    match weights {
                        Some(weights) => {
                            let panel = points * point_stride(depth);
                            let weights = weights.as_ptr().add(first * panel);
                            multiply_points(
                                instructions,
                                points,
                                &tiles(0),
                                depth,
                                (weights, panel),
                                &sums,
                                false,
                            );
                        }
                        None => {
                            for channel in (0..depth).step_by(DEPTH) {
                                let end = depth.min(channel + DEPTH);
                                let panel = points * point_stride(end - channel);
                                for index in first..last {
                                    let to = scratch.as_mut_ptr().add((index - first) * panel);
                                    filter.transform(
                                        instructions,
                                        tile_size,
                                        direction,
                                        index,
                                        (channel, end),
                                        to,
                                    );
                                }
                                let weights = (scratch.as_ptr(), panel);
                                multiply_points(
                                    instructions,
                                    points,
                                    &tiles(channel),
                                    end - channel,
                                    weights,
                                    &sums,
                                    channel > 0,
                                );
                            }
                        }
                    }
                    transform_output::<T, K>(instructions, sink, &sums);
                }
            });
        }
    }
}

/// For each point the product of the transformed tiles [T, depth] and weights [depth, panels], which lie `panel` numbers apart, into
/// the sums.
///
/// # Safety
/// As [`multiply`], for each point.
unsafe fn multiply_points(
    instructions: InstructionSet,
    points: usize,
    tiles: &Transformed,
    depth: usize,
    (weights, panel): (*const f32, usize),
    sums: &Sums,
    add: bool,
) {
    for point in 0..points {
        let product = Product {
            rows: tiles.tiling.count,
            depth,
            panels: sums.blocks.1 - sums.blocks.0,
            a: tiles.to.wrapping_add(point * tiles.point),
            a_block: tiles.block,
            b: weights.wrapping_add(point * point_stride(depth)),
            b_panel: panel,
            c: sums.from.wrapping_add(point * sums.point).cast_mut(),
            c_panel: sums.block,
            add,
            next: match point + 1 < points {
                true => weights.wrapping_add((point + 1) * point_stride(depth)),
                false => weights.wrapping_add(PANELS * panel),
            },
        };
        // SAFETY: as promised by the caller.
        unsafe { multiply(instructions, &product) };
    }
}
