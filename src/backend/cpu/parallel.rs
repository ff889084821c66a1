// SPDX-License-Identifier: MIT OR Apache-2.0

//! How work is cut for the threads. Every cut depends on the sizes of the operands alone, never on the number of
//! threads, and sums are added in a fixed order: so results are the same bytes for any number of threads.

use rayon::prelude::*;

/// The most pieces into which an elementwise pass or a sum is cut.
pub const PIECES: usize = 32;

/// Elements of one piece of an array of `length`; enough to be worth a thread's attention.
pub fn piece(length: usize) -> usize {
    length.div_ceil(PIECES).max(4096)
}

/// Σ over the pieces 0.. of `length` elements of what `of` says of each range.
pub fn sum(length: usize, of: impl Fn(std::ops::Range<usize>) -> f64 + Sync) -> f64 {
    let size = piece(length);
    let mut partial = [0.0; PIECES];
    partial[..length.div_ceil(size)]
        .par_iter_mut()
        .enumerate()
        .for_each(|(index, partial)| {
            *partial = of(index * size..((index + 1) * size).min(length));
        });
    partial.iter().sum()
}

/// Calls `f` with each piece of `out` and its first index, and adds up in order what it returns. Pieces end between
/// units of `unit` elements: pixels, rows.
pub fn map_sum(out: &mut [f32], unit: usize, f: impl Fn(usize, &mut [f32]) -> f64 + Sync) -> f64 {
    let size = piece(out.len()).next_multiple_of(unit);
    let mut partial = [0.0; PIECES];
    out.par_chunks_mut(size)
        .zip(partial.par_iter_mut())
        .enumerate()
        .for_each(|(index, (out, partial))| *partial = f(index * size, out));
    partial.iter().sum()
}

/// Calls `f` with each piece of `out` and its first index.
pub fn each(out: &mut [f32], f: impl Fn(usize, &mut [f32]) + Sync) {
    let size = piece(out.len());
    out.par_chunks_mut(size)
        .enumerate()
        .for_each(|(index, out)| f(index * size, out));
}

/// A pointer to memory of which several threads write parts that do not overlap.
#[derive(Clone, Copy)]
pub struct Parts<T>(*mut T);

// SAFETY: a `Parts` is only an address; every dereference states by itself why its part is not shared.
unsafe impl<T: Send> Send for Parts<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Parts<T> {}

impl<T> Parts<T> {
    pub fn new(slice: &mut [T]) -> Self {
        Self(slice.as_mut_ptr())
    }

    /// The address of the element `offset`.
    pub fn at(&self, offset: usize) -> *mut T {
        self.0.wrapping_add(offset)
    }
}
