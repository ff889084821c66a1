// SPDX-License-Identifier: MIT OR Apache-2.0

use std::arch::x86_64::*;

use super::Simd;

/// Sixteen lanes, 32 registers, a mask register for each choice of lanes.
#[derive(Clone, Copy)]
pub struct Avx512;

// SAFETY of all blocks: the instruction and the memory are there, as the caller of a `Simd` function promises.
impl Simd for Avx512 {
    const LANES: usize = 16;
    type Vector = __m512;

    #[inline(always)]
    unsafe fn splat(value: f32) -> __m512 {
        unsafe { _mm512_set1_ps(value) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> __m512 {
        unsafe { _mm512_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, vector: __m512) {
        unsafe { _mm512_storeu_ps(to, vector) }
    }

    #[inline(always)]
    unsafe fn add(a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_add_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn sub(a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_sub_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn mul(a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_mul_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn mul_add(a: __m512, b: __m512, c: __m512) -> __m512 {
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    unsafe fn max(a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_max_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn greater(a: __m512, b: __m512) -> u16 {
        unsafe { _mm512_cmp_ps_mask::<_CMP_GT_OQ>(a, b) }
    }

    #[inline(always)]
    unsafe fn keep(vector: __m512, bits: u16) -> __m512 {
        unsafe { _mm512_maskz_mov_ps(bits, vector) }
    }

    /// Four columns at a time: rows r, r + 4, r + 8 and r + 12 share a vector, so that 4×4 blocks are turned within
    /// its quarters.
    #[inline(always)]
    unsafe fn transpose(from: *const f32, to: *mut f32, stride: usize) {
        unsafe {
            for quarter in 0..4 {
                let rows = |row: usize| {
                    let part =
                        |group: usize| _mm_loadu_ps(from.add((group * 4 + row) * stride + quarter * 4));
                    let rows = _mm512_castps128_ps512(part(0));
                    let rows = _mm512_insertf32x4::<1>(rows, part(1));
                    let rows = _mm512_insertf32x4::<2>(rows, part(2));
                    _mm512_insertf32x4::<3>(rows, part(3))
                };
                let (a, b, c, d) = (rows(0), rows(1), rows(2), rows(3));
                let (ab_low, ab_high) = (_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
                let (cd_low, cd_high) = (_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
                let pairs = |low: __m512, high: __m512| {
                    let (low, high) = (_mm512_castps_pd(low), _mm512_castps_pd(high));
                    (
                        _mm512_castpd_ps(_mm512_unpacklo_pd(low, high)),
                        _mm512_castpd_ps(_mm512_unpackhi_pd(low, high)),
                    )
                };
                let (first, second) = pairs(ab_low, cd_low);
                let (third, fourth) = pairs(ab_high, cd_high);
                for (column, vector) in [first, second, third, fourth].into_iter().enumerate() {
                    _mm512_storeu_ps(to.add((quarter * 4 + column) * stride), vector);
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn prefetch(at: *const f32) {
        unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) }
    }

    #[inline(always)]
    unsafe fn prefetch_far(at: *const f32) {
        unsafe { _mm_prefetch::<_MM_HINT_T1>(at.cast()) }
    }
}
