// SPDX-License-Identifier: MIT OR Apache-2.0

use gemm::Parallelism;

/// A matrix in memory: where its first element lies, and how far apart neighbours in a row and in a column are.
#[derive(Clone, Copy)]
pub struct Matrix<P> {
    pub first: P,
    /// From one element of a row to the next.
    pub across: usize,
    /// From one row to the next.
    pub down: usize,
}

impl<P> Matrix<P> {
    /// Rows `stride` elements apart.
    pub fn rows(first: P, stride: usize) -> Self {
        Self {
            first,
            across: 1,
            down: stride,
        }
    }

    /// The transpose of a matrix with rows `stride` elements apart.
    pub fn transposed(first: P, stride: usize) -> Self {
        Self {
            first,
            across: stride,
            down: 1,
        }
    }
}

/// c[m, n] := `factor` · a[m, k] b[k, n], added to what c holds if `add`; on the calling thread.
///
/// # Safety
/// All elements of the three matrices lie within memory that may be read, those of c also written, and c overlaps
/// neither a nor b nor anything that another thread uses meanwhile.
pub unsafe fn product(
    [m, k, n]: [usize; 3],
    factor: f32,
    a: Matrix<*const f32>,
    b: Matrix<*const f32>,
    c: Matrix<*mut f32>,
    add: bool,
) {
    // SAFETY: as promised by the caller.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            c.first,
            c.across as isize,
            c.down as isize,
            add,
            a.first,
            a.across as isize,
            a.down as isize,
            b.first,
            b.across as isize,
            b.down as isize,
            1.0,
            factor,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}
