// SPDX-License-Identifier: MIT OR Apache-2.0

use super::Simd;

/// Four lanes of plain Rust, which compilers make vectors of wherever there are some.
#[derive(Clone, Copy)]
pub struct Portable;

/// The lanes of both operands, put together one by one.
#[inline(always)]
fn each(a: [f32; 4], b: [f32; 4], f: impl Fn(f32, f32) -> f32) -> [f32; 4] {
    [f(a[0], b[0]), f(a[1], b[1]), f(a[2], b[2]), f(a[3], b[3])]
}

// SAFETY of the blocks with pointers: the memory is there, as the caller promises.
impl Simd for Portable {
    const LANES: usize = 4;
    type Vector = [f32; 4];

    #[inline(always)]
    unsafe fn splat(value: f32) -> [f32; 4] {
        [value; 4]
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> [f32; 4] {
        unsafe { from.cast::<[f32; 4]>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, vector: [f32; 4]) {
        unsafe { to.cast::<[f32; 4]>().write_unaligned(vector) }
    }

    #[inline(always)]
    unsafe fn add(a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        each(a, b, |a, b| a + b)
    }

    #[inline(always)]
    unsafe fn sub(a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        each(a, b, |a, b| a - b)
    }

    #[inline(always)]
    unsafe fn mul(a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        each(a, b, |a, b| a * b)
    }

    /// Rounded twice: without the instruction a fused one would be a call of a function.
    #[inline(always)]
    unsafe fn mul_add(a: [f32; 4], b: [f32; 4], c: [f32; 4]) -> [f32; 4] {
        each(each(a, b, |a, b| a * b), c, |ab, c| ab + c)
    }

    #[inline(always)]
    unsafe fn max(a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        each(a, b, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    unsafe fn greater(a: [f32; 4], b: [f32; 4]) -> u16 {
        let bit = |lane: usize| u16::from(a[lane] > b[lane]) << lane;
        bit(0) | bit(1) | bit(2) | bit(3)
    }

    #[inline(always)]
    unsafe fn keep(vector: [f32; 4], bits: u16) -> [f32; 4] {
        let mut kept = vector;
        for (lane, value) in kept.iter_mut().enumerate() {
            // A bit becomes a mask of all ones or all zeros: no branch on random data.
            let mask = 0u32.wrapping_sub(u32::from(bits >> lane & 1));
            *value = f32::from_bits(value.to_bits() & mask);
        }
        kept
    }
}
