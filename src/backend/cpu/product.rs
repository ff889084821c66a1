// SPDX-License-Identifier: MIT OR Apache-2.0

//! The matrix product that everything heavy is made of: c[rows, columns] (+)= a[rows, depth] · b[depth, columns].
//!
//! No operand is packed: tensors and weights already lie in memory as the kernel wants to read them. A tile of c
//! stays in registers while the depth runs; per step a few vectors of b are loaded and each number of a that meets
//! them is copied to all lanes. Every entry of c is one chain of multiply-adds in the order of the depth, so that its
//! bits do not depend on how the rows and columns are cut.

use super::simd::{BLOCK, Simd, kernel};

/// A product and where its operands lie. `a` is in blocks of [`BLOCK`] steps of the depth, `b` and `c` are in panels of
/// [`BLOCK`] columns.
#[derive(Clone, Copy)]
pub struct Product {
    pub rows: usize,
    pub depth: usize,
    /// Panels of b and c.
    pub panels: usize,
    /// a[row, block · BLOCK + step] is at `a + block · a_block + row · BLOCK + step` in [`multiply`], and at
    /// `a + block · a_block + step · BLOCK + row` in [`multiply_transposed`].
    pub a: *const f32,
    pub a_block: usize,
    /// b[step, panel · BLOCK + column] is at `b + panel · b_panel + step · BLOCK + column`.
    pub b: *const f32,
    pub b_panel: usize,
    /// c[row, panel · BLOCK + column] is at `c + panel · c_panel + row · BLOCK + column`.
    pub c: *mut f32,
    pub c_panel: usize,
    /// Whether the product is added to what c holds.
    pub add: bool,
    /// The b of the product that comes next, in panels as far apart: it is brought closer meanwhile.
    pub next: *const f32,
}

impl Product {
    /// The product of a part of the rows and panels.
    #[inline(always)]
    fn part(&self, row: usize, a_row: usize, panel: usize) -> Self {
        Self {
            a: self.a.wrapping_add(row * a_row),
            b: self.b.wrapping_add(panel * self.b_panel),
            c: self.c.wrapping_add(panel * self.c_panel + row * BLOCK),
            ..*self
        }
    }
}

kernel! {
    /// Any number of rows. A row of a is a pixel or a tile, a step of the depth a channel.
    ///
    /// # Safety
    /// All elements of a and b can be read, those of c also written, and c overlaps neither a nor b nor anything that
    /// another thread uses meanwhile.
    pub multiply(product: &Product) = multiply_with
}

kernel! {
    /// As [`multiply`], with at most [`BLOCK`] rows, which are the lanes of a block of a: a row is a channel, a step of
    /// the depth a pixel.
    ///
    /// # Safety
    /// As [`multiply`].
    pub multiply_transposed(product: &Product) = multiply_transposed_with
}

/// How far ahead of the product b is asked for, in numbers; it lies in the second-level cache by then.
const AHEAD: usize = 16 * BLOCK;
/// How far ahead a is asked for, in blocks.
const BLOCKS_AHEAD: usize = 2;
/// Rows of a tile: as many as the registers of AVX-512 hold beside two panels.
const MOST_ROWS: usize = 14;

/// Cuts rows and panels into tiles of nearly the same size that fit into the registers.
#[inline(always)]
pub unsafe fn multiply_with<S: Simd>(product: &Product) {
    // Rows and panels of a tile by what the machine's registers hold.
    let (most_rows, most_panels) = match S::LANES {
        16 => (MOST_ROWS, 2),
        8 => (6, 1),
        _ => (4, 1),
    };
    let tiles = product.rows.div_ceil(most_rows);
    let mut panel = 0;
    while panel < product.panels {
        let panels = most_panels.min(product.panels - panel);
        let mut row = 0;
        for tile in 0..tiles {
            let rows = (product.rows - row).div_ceil(tiles - tile);
            let mut part = product.part(row, BLOCK, panel);
            // The tiles share the work of asking for what comes next: of each block of steps some lines.
            let lines = BLOCK.div_ceil(tiles.div_ceil(panels));
            let first = (tile / panels * lines).min(BLOCK);
            let next_panel = (panel + tile % panels) * product.b_panel;
            part.next = product.next.wrapping_add(next_panel + first * BLOCK);
            let next_lines = lines.min(BLOCK - first);
            // SAFETY: a part of what the caller promised.
            unsafe {
                match (S::LANES, panels) {
                    (16, 2) => tile_of_any_height::<S, 2>(&part, next_lines, rows),
                    (16, _) => tile_of_any_height::<S, 1>(&part, next_lines, rows),
                    (8, _) => tile_of_any_height::<S, 2>(&part, next_lines, rows),
                    _ => tile_of_any_height::<S, 4>(&part, next_lines, rows),
                }
            }
            row += rows;
        }
        panel += panels;
    }
}

/// Makes the number of rows a constant.
#[inline(always)]
unsafe fn tile_of_any_height<S: Simd, const VECTORS: usize>(
    product: &Product,
    next_lines: usize,
    rows: usize,
) {
    macro_rules! heights {
        ($($rows:literal)*) => {
            match rows {
                $($rows if $rows <= 4 || ($rows <= 6 && S::LANES >= 8) || S::LANES == 16 => unsafe {
                    tile::<S, $rows, VECTORS, BLOCK, 1>(product, next_lines)
                },)*
                _ => unreachable!("a tile has 1 to {MOST_ROWS} rows"),
            }
        };
    }
    // SAFETY: as promised by the caller.
    heights!(1 2 3 4 5 6 7 8 9 10 11 12 13 14)
}

#[inline(always)]
pub unsafe fn multiply_transposed_with<S: Simd>(product: &Product) {
    let mut panel = 0;
    while panel < product.panels {
        let panels = if S::LANES == 16 {
            3.min(product.panels - panel)
        } else {
            1
        };
        let mut row = 0;
        while row < product.rows {
            let part = product.part(row, 1, panel);
            // SAFETY: a part of what the caller promised; the blocks have BLOCK lanes, so that a height that divides BLOCK
            // never leaves them.
            unsafe {
                match (S::LANES, panels) {
                    (16, 3) => tile::<S, 8, 3, 1, BLOCK>(&part, 0),
                    (16, 2) => tile::<S, 8, 2, 1, BLOCK>(&part, 0),
                    (16, _) => tile::<S, 8, 1, 1, BLOCK>(&part, 0),
                    (8, _) => tile::<S, 4, 2, 1, BLOCK>(&part, 0),
                    _ => tile::<S, 4, 4, 1, BLOCK>(&part, 0),
                }
            }
            row += if S::LANES == 16 { 8 } else { 4 };
        }
        panel += panels;
    }
}

/// ROWS rows and VECTORS vectors of columns of c, in registers while the depth runs. a[row, step] lies `row · ROW + step ·
/// STEP` into its block. Of each block of steps of what comes next `next_lines` lines are asked for.
#[inline(always)]
unsafe fn tile<S: Simd, const ROWS: usize, const VECTORS: usize, const ROW: usize, const STEP: usize>(
    product: &Product,
    next_lines: usize,
) {
    // SAFETY: as promised by the caller of `multiply`.
    unsafe {
        // Where a vector of columns lies: a panel has BLOCK / LANES of them.
        let place = |vector: usize, panel: usize| {
            let column = vector * S::LANES;
            column / BLOCK * panel + column % BLOCK
        };
        let mut sums = [[S::splat(0.0); VECTORS]; ROWS];
        if product.add {
            for row in 0..ROWS {
                for vector in 0..VECTORS {
                    sums[row][vector] = S::load(product.c.add(place(vector, product.c_panel) + row * BLOCK));
                }
            }
        }
        let (mut a, mut b, mut next, mut left) = (product.a, product.b, product.next, product.depth);
        while left > 0 {
            let steps = left.min(BLOCK);
            for line in 0..next_lines {
                S::prefetch_far(next.wrapping_add(line * BLOCK));
            }
            next = next.wrapping_add(BLOCK * BLOCK);
            for step in 0..steps {
                let mut columns = [S::splat(0.0); VECTORS];
                for vector in 0..VECTORS {
                    let at = b.wrapping_add(place(vector, product.b_panel));
                    if vector * S::LANES % BLOCK == 0 {
                        S::prefetch(at.wrapping_add(AHEAD));
                    }
                    columns[vector] = S::load(at);
                }
                if STEP == 1 && step < ROWS {
                    S::prefetch(a.wrapping_add(BLOCKS_AHEAD * product.a_block + step * BLOCK));
                    if product.add {
                        // The rows of c that come after these.
                        for panel in 0..VECTORS * S::LANES / BLOCK {
                            let c = product.c.wrapping_add(panel * product.c_panel);
                            S::prefetch(c.wrapping_add((ROWS + step) * BLOCK));
                        }
                    }
                }
                for row in 0..ROWS {
                    let factor = S::splat(*a.add(row * ROW + step * STEP));
                    for vector in 0..VECTORS {
                        sums[row][vector] = S::mul_add(factor, columns[vector], sums[row][vector]);
                    }
                }
                b = b.add(BLOCK);
            }
            a = a.wrapping_add(product.a_block);
            left -= steps;
        }
        for row in 0..ROWS {
            for vector in 0..VECTORS {
                S::store(
                    product.c.add(place(vector, product.c_panel) + row * BLOCK),
                    sums[row][vector],
                );
            }
        }
    }
}
