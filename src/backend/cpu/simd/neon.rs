// SPDX-License-Identifier: MIT OR Apache-2.0

use std::arch::aarch64::*;

use super::Simd;

/// Four lanes, 32 registers, with fused multiply-add.
#[derive(Clone, Copy)]
pub struct Neon;

/// A bit for each lane.
const BITS: [u32; 4] = [1, 2, 4, 8];

// SAFETY of all blocks: the instruction and the memory are there, as the caller of a `Simd` function promises.
impl Simd for Neon {
    const LANES: usize = 4;
    type Vector = float32x4_t;

    #[inline(always)]
    unsafe fn splat(value: f32) -> float32x4_t {
        unsafe { vdupq_n_f32(value) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> float32x4_t {
        unsafe { vld1q_f32(from) }
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, vector: float32x4_t) {
        unsafe { vst1q_f32(to, vector) }
    }

    #[inline(always)]
    unsafe fn add(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        unsafe { vaddq_f32(a, b) }
    }

    #[inline(always)]
    unsafe fn sub(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        unsafe { vsubq_f32(a, b) }
    }

    #[inline(always)]
    unsafe fn mul(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        unsafe { vmulq_f32(a, b) }
    }

    #[inline(always)]
    unsafe fn mul_add(a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t {
        unsafe { vfmaq_f32(c, a, b) }
    }

    #[inline(always)]
    unsafe fn max(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        unsafe { vmaxq_f32(a, b) }
    }

    #[inline(always)]
    unsafe fn greater(a: float32x4_t, b: float32x4_t) -> u16 {
        unsafe { vaddvq_u32(vandq_u32(vcgtq_f32(a, b), vld1q_u32(BITS.as_ptr()))) as u16 }
    }

    #[inline(always)]
    unsafe fn keep(vector: float32x4_t, bits: u16) -> float32x4_t {
        unsafe {
            let set = vtstq_u32(vdupq_n_u32(u32::from(bits)), vld1q_u32(BITS.as_ptr()));
            vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(vector), set))
        }
    }
}
