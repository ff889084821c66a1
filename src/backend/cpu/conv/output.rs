// SPDX-License-Identifier: MIT OR Apache-2.0

//! The last third of a convolution: sums of products, transformed back into pixels, and what is done to these while
//! they are at hand.

use super::tiles::Tiling;
use super::transform::{MOST, Square, Tile};
use crate::backend::Pooling;
use crate::backend::cpu::layout::Layout;
use crate::backend::cpu::simd::{BLOCK, Simd, kernel};

/// Where the pixels of a convolution's output go.
pub trait Sink: Copy + Send + Sync {
    /// Rows and columns of the frame.
    fn extent(&self) -> (usize, usize);

    /// Takes lanes from `lane` on of a block of channels, of a tile that begins at (y, x). Of its OUT × OUT outputs `rows` ×
    /// `columns` lie within the frame.
    ///
    /// # Safety
    /// The block and the pixels exist, nobody else uses them, and all outputs are set; otherwise as [`Simd`].
    unsafe fn take<S: Simd, T: Tile>(&self, at: Place, outputs: &Square<S>);
}

/// Which lanes of which pixels a tile covers.
#[derive(Clone, Copy)]
pub struct Place {
    pub block: usize,
    pub lane: usize,
    pub y: usize,
    pub x: usize,
    pub rows: usize,
    pub columns: usize,
}

/// A tensor that is written, in either layout.
#[derive(Clone, Copy)]
pub struct Written {
    pub values: *mut f32,
    pub layout: Layout,
}

// SAFETY: a view of a tensor that outlives the convolution; each tile writes pixels of its own.
unsafe impl Sync for Written {}
unsafe impl Send for Written {}

impl Written {
    #[inline(always)]
    unsafe fn put<S: Simd>(&self, block: usize, lane: usize, y: usize, x: usize, vector: S::Vector) {
        let shape = self.layout.shape;
        // SAFETY: as promised by the caller of `take`; a planar tensor has one block, of which its channels are kept.
        unsafe {
            if self.layout.lanes == BLOCK {
                let at = ((block * shape.height + y) * shape.width + x) * BLOCK + lane;
                S::store(self.values.add(at), vector);
            } else {
                let mut lanes = [0.0; BLOCK];
                S::store(lanes.as_mut_ptr().add(lane), vector);
                for channel in lane..shape.channels.min(lane + S::LANES) {
                    *self.values.add((channel * shape.height + y) * shape.width + x) = lanes[channel];
                }
            }
        }
    }
}

/// A bit for each unit: whether its gradient goes on. [C / BLOCK, H, W] words of BLOCK bits.
#[derive(Clone, Copy)]
pub struct Bits {
    pub words: *mut u16,
    pub height: usize,
    pub width: usize,
}

// SAFETY: as of `Written`.
unsafe impl Sync for Bits {}
unsafe impl Send for Bits {}

impl Bits {
    /// Sets the bits of some lanes; those of a word are set in the order of the lanes.
    #[inline(always)]
    unsafe fn put(&self, block: usize, lane: usize, y: usize, x: usize, bits: u16) {
        // SAFETY: as promised by the caller of `take`.
        unsafe {
            let word = self.words.add((block * self.height + y) * self.width + x);
            *word = if lane == 0 { bits } else { *word | bits << lane };
        }
    }
}

/// A gradient, multiplied by a constant.
#[derive(Clone, Copy)]
pub struct Scaled {
    pub to: Written,
    pub factor: f32,
}

/// max(0, output + bias), and where it is positive.
#[derive(Clone, Copy)]
pub struct Rectified {
    pub to: Written,
    pub bits: Bits,
    /// One for each lane of each block.
    pub bias: *const f32,
}

/// The same, of which only the pooled values are kept. The bits say where the gradient goes on through both: for max
/// pooling those of a window's winner alone.
#[derive(Clone, Copy)]
pub struct RectifiedAndPooled {
    pub rectified: Rectified,
    pub pooling: Pooling,
}

// SAFETY of both: as of `Written`; the bias is only read.
unsafe impl Sync for Rectified {}
unsafe impl Sync for RectifiedAndPooled {}
unsafe impl Send for Rectified {}
unsafe impl Send for RectifiedAndPooled {}

impl Sink for Scaled {
    fn extent(&self) -> (usize, usize) {
        (self.to.layout.shape.height, self.to.layout.shape.width)
    }

    #[inline(always)]
    unsafe fn take<S: Simd, T: Tile>(&self, at: Place, outputs: &Square<S>) {
        for row in 0..T::OUT.min(at.rows) {
            for column in 0..T::OUT.min(at.columns) {
                // SAFETY: as promised by the caller.
                unsafe {
                    let value = S::mul(outputs.at(row, column), S::splat(self.factor));
                    self.to
                        .put::<S>(at.block, at.lane, at.y + row, at.x + column, value);
                }
            }
        }
    }
}

impl Sink for Rectified {
    fn extent(&self) -> (usize, usize) {
        (self.bits.height, self.bits.width)
    }

    #[inline(always)]
    unsafe fn take<S: Simd, T: Tile>(&self, at: Place, outputs: &Square<S>) {
        // SAFETY: as promised by the caller.
        unsafe {
            let (zero, bias) = (S::splat(0.0), S::load(self.bias.add(at.block * BLOCK + at.lane)));
            for row in 0..T::OUT.min(at.rows) {
                for column in 0..T::OUT.min(at.columns) {
                    let (y, x) = (at.y + row, at.x + column);
                    let value = S::max(S::add(outputs.at(row, column), bias), zero);
                    self.to.put::<S>(at.block, at.lane, y, x, value);
                    self.bits.put(at.block, at.lane, y, x, S::greater(value, zero));
                }
            }
        }
    }
}

impl Sink for RectifiedAndPooled {
    fn extent(&self) -> (usize, usize) {
        self.rectified.extent()
    }

    #[inline(always)]
    unsafe fn take<S: Simd, T: Tile>(&self, at: Place, outputs: &Square<S>) {
        let Rectified { to, bits, bias } = self.rectified;
        // A frame of one row or column has windows of one.
        let (down, right) = (bits.height > 1, bits.width > 1);
        let share = 1.0 / ((1 + usize::from(down)) * (1 + usize::from(right))) as f32;
        // SAFETY: as promised by the caller; tiles begin at even pixels, so that no window lies in two.
        unsafe {
            let (zero, bias) = (S::splat(0.0), S::load(bias.add(at.block * BLOCK + at.lane)));
            for row in (0..T::OUT).step_by(2) {
                for column in (0..T::OUT).step_by(2) {
                    if row >= at.rows || column >= at.columns {
                        continue;
                    }
                    let (below, beside) = (row + 1 < at.rows, column + 1 < at.columns);
                    let window = [
                        rectified::<S>(outputs.at(row, column), bias, true),
                        rectified::<S>(outputs.at(row, column + 1), bias, beside),
                        rectified::<S>(outputs.at(row + 1, column), bias, below),
                        rectified::<S>(outputs.at(row + 1, column + 1), bias, below && beside),
                    ];
                    // Rows and columns that are left over have no window.
                    let covered = (below || !down) && (beside || !right);
                    let mut passes = [0; 4];
                    let value = match self.pooling {
                        Pooling::Average => {
                            for (passes, value) in passes.iter_mut().zip(window) {
                                *passes = S::greater(value, zero);
                            }
                            let sum = S::add(S::add(window[0], window[1]), S::add(window[2], window[3]));
                            S::mul(sum, S::splat(share))
                        }
                        Pooling::Max => {
                            let best = S::max(S::max(window[0], window[1]), S::max(window[2], window[3]));
                            // In a tie the first wins; a window of zeros has no winner that a gradient could pass.
                            let mut open = S::greater(best, zero);
                            for (passes, value) in passes.iter_mut().zip(window) {
                                *passes = open & !S::greater(best, value);
                                open &= !*passes;
                            }
                            best
                        }
                    };
                    let (y, x) = (at.y + row, at.x + column);
                    if covered {
                        to.put::<S>(at.block, at.lane, y / 2, x / 2, value);
                    } else {
                        passes = [0; 4];
                    }
                    bits.put(at.block, at.lane, y, x, passes[0]);
                    if beside {
                        bits.put(at.block, at.lane, y, x + 1, passes[1]);
                    }
                    if below {
                        bits.put(at.block, at.lane, y + 1, x, passes[2]);
                    }
                    if below && beside {
                        bits.put(at.block, at.lane, y + 1, x + 1, passes[3]);
                    }
                }
            }
        }
    }
}

/// max(0, output + bias), or zero for a pixel that does not exist.
#[inline(always)]
unsafe fn rectified<S: Simd>(output: S::Vector, bias: S::Vector, exists: bool) -> S::Vector {
    // SAFETY: as promised by the caller of `take`.
    unsafe {
        let zero = S::splat(0.0);
        if exists {
            S::max(S::add(output, bias), zero)
        } else {
            zero
        }
    }
}

/// Sums to transform, and where from: point p of tile `tiling.first + t` in block `blocks.0 + b` is at
/// `from + p · point + b · block + t · BLOCK`.
#[derive(Clone, Copy)]
pub struct Sums {
    pub tiling: Tiling,
    /// First and one past the last.
    pub blocks: (usize, usize),
    pub from: *const f32,
    pub point: usize,
    pub block: usize,
}

kernel! {
    /// Aᵀ m A of tiles, handed to `sink`.
    ///
    /// # Safety
    /// The tiles and blocks exist, and the pixels to which they belong are used by nobody else.
    pub transform_output[T: Tile, K: Sink](sink: K, job: &Sums) = transform_output_with
}

#[inline(always)]
unsafe fn transform_output_with<S: Simd, T: Tile, K: Sink>(sink: K, job: &Sums) {
    let (height, width) = sink.extent();
    for block in job.blocks.0..job.blocks.1 {
        let mut from = job.from.wrapping_add((block - job.blocks.0) * job.block);
        for (y, x) in job.tiling.corners::<T>() {
            let (rows, columns) = ((height - y).min(T::OUT), (width - x).min(T::OUT));
            let mut lane = 0;
            while lane < BLOCK {
                let at = Place {
                    block,
                    lane,
                    y,
                    x,
                    rows,
                    columns,
                };
                // SAFETY: as promised by the caller.
                unsafe { sink.take::<S, T>(at, &transform_back::<S, T>(from.add(lane), job.point)) };
                lane += S::LANES;
            }
            from = from.wrapping_add(BLOCK);
        }
    }
}

#[inline(always)]
unsafe fn transform_back<S: Simd, T: Tile>(from: *const f32, point: usize) -> Square<S> {
    // SAFETY: as promised by the caller.
    unsafe {
        let mut half = Square::<S>::new();
        for column in 0..T::IN {
            let mut m = [S::splat(0.0); MOST];
            for row in 0..T::IN {
                m[row] = S::load(from.add((row * T::IN + column) * point));
            }
            let m = T::output::<S>(m);
            for row in 0..T::OUT {
                half.set(row, column, m[row]);
            }
        }
        let mut outputs = Square::<S>::new();
        for row in 0..T::OUT {
            let m = T::output::<S>(half.row(row, T::IN));
            for column in 0..T::OUT {
                outputs.set(row, column, m[column]);
            }
        }
        outputs
    }
}
