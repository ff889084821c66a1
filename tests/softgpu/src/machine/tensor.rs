// SPDX-License-Identifier: MIT OR Apache-2.0

//! The tensor core: mma.sync on halves, and ldmatrix, which loads its fragments.
//!
//! Where an element of a matrix lies (PTX ISA, "Matrix Fragments for mma.m16n8k8" and "… mma.m16n8k16"), with
//! group = lane / 4 and member = lane % 4:
//! - A, 16 × k: register r holds rows group + 8·(r % 2) and columns 2·member + 8·(r / 2) and the next;
//! - B, k × 8: register r holds rows 2·member + 8·r and the next, column group;
//! - C and D, 16 × 8: value v lies in row group + 8·(v / 2), column 2·member + v % 2.

use super::float16::{from_single, to_single};
use super::lanes::{Registers, Words, by_lane, over};
use super::report::Checked;
use super::shared::Shared;
use super::{SHARED_WINDOW, WARP, WINDOW_BYTES};
use crate::ptx::instruction::Instruction;

/// D = A·B + C for one warp. `wrong` flips a bit of one result, to see who notices.
#[cfg_attr(vectors, target_feature(enable = "avx2,fma,f16c"))]
pub fn mma(
    depth: usize,
    half_d: bool,
    half_c: bool,
    at: &Instruction,
    registers: &mut Registers,
    wrong: bool,
) {
    let (d_count, c_count) = (if half_d { 2 } else { 4 }, if half_c { 2 } else { 4 });
    let (a_count, b_count) = (depth / 4, depth / 8);
    let (d_list, rest) = at.list.split_at(d_count);
    let (a_list, rest) = rest.split_at(a_count);
    let (b_list, c_list) = rest.split_at(b_count);
    debug_assert_eq!(c_list.len(), c_count);

    // A by columns, so that a column of A and a row of B give a whole 16 × 8 product.
    let mut a = [[0f32; 16]; 16];
    for (r, register) in a_list.iter().enumerate() {
        let (low, high) = singles(registers.words(*register));
        for lane in 0..WARP {
            let (row, column) = (lane / 4 + 8 * (r % 2), 2 * (lane % 4) + 8 * (r / 2));
            a[column][row] = low[lane];
            a[column + 1][row] = high[lane];
        }
    }
    let mut b = [[0f32; 8]; 16];
    for (r, register) in b_list.iter().enumerate() {
        let (low, high) = singles(registers.words(*register));
        for lane in 0..WARP {
            let row = 2 * (lane % 4) + 8 * r;
            b[row][lane / 4] = low[lane];
            b[row + 1][lane / 4] = high[lane];
        }
    }
    let mut sums = [[0f32; 8]; 16];
    for v in 0..4 {
        for lane in 0..WARP {
            let value = if half_c {
                to_single((registers.words(c_list[v / 2])[lane] >> (16 * (v % 2))) as u16)
            } else {
                f32::from_bits(registers.words(c_list[v])[lane])
            };
            sums[lane / 4 + 8 * (v / 2)][2 * (lane % 4) + v % 2] = value;
        }
    }
    // Products of halves are exact in singles; the order of the sum is this machine's own, as on every card.
    for rows in 0..4 {
        // Four rows at a time stay in registers of the host.
        let mut sum: [[f32; 8]; 4] = [
            sums[4 * rows],
            sums[4 * rows + 1],
            sums[4 * rows + 2],
            sums[4 * rows + 3],
        ];
        for k in 0..depth {
            for (row, sum) in sum.iter_mut().enumerate() {
                for column in 0..8 {
                    sum[column] = a[k][4 * rows + row].mul_add(b[k][column], sum[column]);
                }
            }
        }
        sums[4 * rows..4 * rows + 4].copy_from_slice(&sum);
    }
    if wrong {
        sums[3][5] = f32::from_bits(sums[3][5].to_bits() ^ 1 << 22);
    }
    for lane in 0..WARP {
        let value = |v: usize| sums[lane / 4 + 8 * (v / 2)][2 * (lane % 4) + v % 2];
        if half_d {
            for (pair, register) in d_list.iter().enumerate() {
                let (low, high) = (from_single(value(2 * pair)), from_single(value(2 * pair + 1)));
                registers.words_mut(*register)[lane] = u32::from(low) | u32::from(high) << 16;
            }
        } else {
            for (v, register) in d_list.iter().enumerate() {
                registers.words_mut(*register)[lane] = value(v).to_bits();
            }
        }
    }
}

#[inline(always)]
fn singles(words: &Words) -> ([f32; WARP], [f32; WARP]) {
    (
        over(words, |word| to_single(word as u16)),
        over(words, |word| to_single((word >> 16) as u16)),
    )
}

/// Loads 8 × 8 matrices of halves: lane 8·m + r names row r of matrix m; lane l receives elements 2·(l % 4) and the next
/// of row l / 4, or of column l / 4 when transposed.
#[cfg_attr(vectors, target_feature(enable = "avx2,fma,f16c"))]
pub fn load_matrix(
    (count, transposed, wide_address): (u8, bool, bool),
    at: &Instruction,
    registers: &mut Registers,
    shared: &mut Shared,
    warp: u32,
) -> Checked<()> {
    let addresses = registers.addresses(at.a, wide_address);
    for (matrix, register) in at.list.iter().enumerate().take(usize::from(count)) {
        let mut rows = [[0u16; 8]; 8];
        for (r, row) in rows.iter_mut().enumerate() {
            let lane = 8 * matrix + r;
            let mut address = addresses[lane].wrapping_add(at.immediate as u64);
            if address.wrapping_sub(SHARED_WINDOW) < WINDOW_BYTES {
                address -= SHARED_WINDOW;
            }
            let bytes = shared
                .read(address, 16, warp)
                .map_err(|problem| problem.in_lane(lane))?;
            for (element, pair) in row.iter_mut().zip(bytes.chunks_exact(2)) {
                *element = u16::from_le_bytes([pair[0], pair[1]]);
            }
        }
        let loaded = by_lane(|lane| {
            let (row, column) = (lane / 4, 2 * (lane % 4));
            let (low, high) = if transposed {
                (rows[column][row], rows[column + 1][row])
            } else {
                (rows[row][column], rows[row][column + 1])
            };
            u32::from(low) | u32::from(high) << 16
        });
        *registers.words_mut(*register) = loaded;
    }
    Ok(())
}
