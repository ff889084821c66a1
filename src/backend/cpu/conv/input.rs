// SPDX-License-Identifier: MIT OR Apache-2.0

//! The first third of a convolution: tiles of what goes in, transformed.

use super::tiles::Tiling;
use super::transform::{MOST, Square, Tile};
use crate::backend::cpu::layout::Layout;
use crate::backend::cpu::simd::{BLOCK, Simd, kernel};

/// Where the pixels of a convolution's input come from. What lies beyond the frame is zero and never asked for.
pub trait Pixels: Copy + Send + Sync {
    /// Whether a vector of a pixel can be loaded as it lies in memory, within the [`extent`](Self::extent).
    const DIRECT: bool;

    /// Rows and columns that are not zero.
    fn extent(&self) -> (usize, usize);

    /// Lanes from `lane` on of a block of channels at a pixel within the extent.
    ///
    /// # Safety
    /// The block and the pixel exist; otherwise as [`Simd`].
    unsafe fn load<S: Simd>(&self, block: usize, y: usize, x: usize, lane: usize) -> S::Vector;
}

/// Activations in blocks.
#[derive(Clone, Copy)]
pub struct Blocked {
    pub values: *const f32,
    pub height: usize,
    pub width: usize,
}

/// A gradient, zero where its ReLU was.
#[derive(Clone, Copy)]
pub struct Masked<P> {
    pub gradient: P,
    pub bits: *const u16,
}

/// A gradient before pooling, from that behind it: each pixel of a window gets the window's, where its bit is set.
#[derive(Clone, Copy)]
pub struct Unpooled<P> {
    pub pooled: P,
    pub bits: *const u16,
    /// Size of the picture before pooling.
    pub height: usize,
    pub width: usize,
}

/// A few channels in planes: a picture.
#[derive(Clone, Copy)]
pub struct Planar {
    pub values: *const f32,
    pub layout: Layout,
}

// SAFETY of the four: they are views of tensors that outlive the convolution, which only reads them.
unsafe impl Sync for Blocked {}
unsafe impl<P: Sync> Sync for Masked<P> {}
unsafe impl<P: Sync> Sync for Unpooled<P> {}
unsafe impl Sync for Planar {}
// SAFETY: as above.
unsafe impl Send for Blocked {}
unsafe impl<P: Send> Send for Masked<P> {}
unsafe impl<P: Send> Send for Unpooled<P> {}
unsafe impl Send for Planar {}

impl Pixels for Blocked {
    const DIRECT: bool = true;

    fn extent(&self) -> (usize, usize) {
        (self.height, self.width)
    }

    #[inline(always)]
    unsafe fn load<S: Simd>(&self, block: usize, y: usize, x: usize, lane: usize) -> S::Vector {
        // SAFETY: as promised by the caller.
        unsafe {
            S::load(
                self.values
                    .add(((block * self.height + y) * self.width + x) * BLOCK + lane),
            )
        }
    }
}

impl<P: Pixels> Pixels for Masked<P> {
    const DIRECT: bool = P::DIRECT;

    fn extent(&self) -> (usize, usize) {
        self.gradient.extent()
    }

    #[inline(always)]
    unsafe fn load<S: Simd>(&self, block: usize, y: usize, x: usize, lane: usize) -> S::Vector {
        let (height, width) = self.gradient.extent();
        // SAFETY: as promised by the caller; there is a word of bits for each pixel of a block.
        unsafe {
            let bits = *self.bits.add((block * height + y) * width + x);
            S::keep(self.gradient.load::<S>(block, y, x, lane), bits >> lane)
        }
    }
}

impl<P: Pixels> Pixels for Unpooled<P> {
    const DIRECT: bool = P::DIRECT;

    /// Rows and columns that no window covers get nothing.
    fn extent(&self) -> (usize, usize) {
        let (height, width) = self.pooled.extent();
        ((2 * height).min(self.height), (2 * width).min(self.width))
    }

    #[inline(always)]
    unsafe fn load<S: Simd>(&self, block: usize, y: usize, x: usize, lane: usize) -> S::Vector {
        // SAFETY: as promised by the caller; a pixel within the extent has a window.
        unsafe {
            let bits = *self.bits.add((block * self.height + y) * self.width + x);
            S::keep(self.pooled.load::<S>(block, y / 2, x / 2, lane), bits >> lane)
        }
    }
}

impl Pixels for Planar {
    const DIRECT: bool = false;

    fn extent(&self) -> (usize, usize) {
        (self.layout.shape.height, self.layout.shape.width)
    }

    #[inline(always)]
    unsafe fn load<S: Simd>(&self, _block: usize, y: usize, x: usize, lane: usize) -> S::Vector {
        let shape = self.layout.shape;
        let mut lanes = [0.0; BLOCK];
        for (channel, value) in lanes.iter_mut().enumerate().take(shape.channels) {
            // SAFETY: as promised by the caller; a planar tensor has one block.
            *value = unsafe { *self.values.add((channel * shape.height + y) * shape.width + x) };
        }
        // SAFETY: `lane` is a multiple of the lanes, which divide BLOCK.
        unsafe { S::load(lanes.as_ptr().add(lane)) }
    }
}

/// Tiles to transform, and where to: point p of tile `tiling.first + t` in block `blocks.0 + b` goes to
/// `to + p · point + b · block + t · BLOCK`.
#[derive(Clone, Copy)]
pub struct Transformed {
    pub tiling: Tiling,
    /// First and one past the last.
    pub blocks: (usize, usize),
    pub to: *mut f32,
    pub point: usize,
    pub block: usize,
}

kernel! {
    /// Bᵀ d B of tiles of `pixels`.
    ///
    /// # Safety
    /// The tiles and blocks exist, and the places to which they go can be written and are used by nobody else.
    pub transform_input[T: Tile, P: Pixels](pixels: P, job: &Transformed) = transform_input_with
}

#[inline(always)]
unsafe fn transform_input_with<S: Simd, T: Tile, P: Pixels>(pixels: P, job: &Transformed) {
    let (rows, columns) = pixels.extent();
    let mut patch = [[[0.0; BLOCK]; MOST]; MOST];
    for block in job.blocks.0..job.blocks.1 {
        let mut to = job.to.wrapping_add((block - job.blocks.0) * job.block);
        for (y, x) in job.tiling.corners::<T>() {
            // The filter reaches one pixel beyond the tile, which the outer tiles do not have.
            let whole = y >= 1 && x >= 1 && y - 1 + T::IN <= rows && x - 1 + T::IN <= columns;
            // SAFETY: as promised by the caller; a whole tile lies within the extent, and the patch has all of its pixels.
            unsafe {
                if P::DIRECT && whole {
                    transform_tile::<S, T, P>(pixels, block, y - 1, x - 1, to, job.point);
                } else {
                    gather::<S, T, P>(pixels, block, y, x, &mut patch);
                    let patch = Blocked {
                        values: patch.as_ptr().cast(),
                        height: MOST,
                        width: MOST,
                    };
                    transform_tile::<S, T, Blocked>(patch, 0, 0, 0, to, job.point);
                }
            }
            to = to.wrapping_add(BLOCK);
        }
    }
}

/// The pixels of the tile whose outputs begin at (y, x), zeros where there are none.
#[inline(always)]
unsafe fn gather<S: Simd, T: Tile, P: Pixels>(
    pixels: P,
    block: usize,
    y: usize,
    x: usize,
    patch: &mut [[[f32; BLOCK]; MOST]; MOST],
) {
    let (rows, columns) = pixels.extent();
    for row in 0..T::IN {
        for column in 0..T::IN {
            // Row and column of the frame, one more so that they are not negative.
            let (v, u) = (y + row, x + column);
            let within = v >= 1 && u >= 1 && v <= rows && u <= columns;
            let mut lane = 0;
            while lane < BLOCK {
                // SAFETY: what is loaded is within the extent.
                unsafe {
                    let vector = match within {
                        true => pixels.load::<S>(block, v - 1, u - 1, lane),
                        false => S::splat(0.0),
                    };
                    S::store(patch[row][column].as_mut_ptr().add(lane), vector);
                }
                lane += S::LANES;
            }
        }
    }
}

/// Bᵀ d B of the inputs from (y, x) on.
#[inline(always)]
unsafe fn transform_tile<S: Simd, T: Tile, P: Pixels>(
    pixels: P,
    block: usize,
    y: usize,
    x: usize,
    to: *mut f32,
    point: usize,
) {
    let mut lane = 0;
    while lane < BLOCK {
        // SAFETY: as promised by the caller.
        unsafe {
            let zero = S::splat(0.0);
            let mut half = Square::<S>::new();
            for column in 0..T::IN {
                let mut d = [zero; MOST];
                for row in 0..T::IN {
                    d[row] = pixels.load::<S>(block, y + row, x + column, lane);
                }
                let d = T::input::<S>(d);
                for row in 0..T::IN {
                    half.set(row, column, d[row]);
                }
            }
            for row in 0..T::IN {
                let d = T::input::<S>(half.row(row, T::IN));
                for column in 0..T::IN {
                    S::store(to.add((row * T::IN + column) * point + lane), d[column]);
                }
            }
        }
        lane += S::LANES;
    }
}
