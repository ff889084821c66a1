// SPDX-License-Identifier: MIT OR Apache-2.0

//! Vectors of f32 as the machine has them.
//!
//! A kernel is written once, generic over [`Simd`], and compiled once for each kind of machine; which of them runs
//! is found out when the program starts ([`InstructionSet::choose`]). Memory is always cut into blocks of [`BLOCK`] numbers,
//! so that layouts do not depend on the machine: a vector is a block or a whole part of it.
//!
//! All kinds but [`Portable`](portable::Portable) have fused multiply-add and so compute the same bits.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;

use crate::backend::{Error, Result};

/// Numbers of a block: one vector of AVX-512, and a line of the cache.
pub const BLOCK: usize = 16;

/// One kind of vector. The functions are thin names for instructions.
///
/// # Safety
/// All functions: the processor must have the kind's instructions, and pointers must be good for [`LANES`](Self::LANES)
/// numbers.
pub trait Simd: Copy + 'static {
    /// Numbers of a vector, a divisor of [`BLOCK`].
    const LANES: usize;
    type Vector: Copy;

    unsafe fn splat(value: f32) -> Self::Vector;
    unsafe fn load(from: *const f32) -> Self::Vector;
    unsafe fn store(to: *mut f32, vector: Self::Vector);
    unsafe fn add(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    unsafe fn sub(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    unsafe fn mul(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// a · b + c, rounded once where the machine can.
    unsafe fn mul_add(a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    unsafe fn max(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// A bit for each lane: whether a > b.
    unsafe fn greater(a: Self::Vector, b: Self::Vector) -> u16;
    /// The lanes whose bit is set; zero in the others.
    unsafe fn keep(vector: Self::Vector, bits: u16) -> Self::Vector;
    /// Turns BLOCK rows of BLOCK numbers into columns; rows are `stride` numbers apart on both sides.
    #[inline(always)]
    unsafe fn transpose(from: *const f32, to: *mut f32, stride: usize) {
        for row in 0..BLOCK {
            for column in 0..BLOCK {
                // SAFETY: as promised by the caller.
                unsafe { *to.add(column * stride + row) = *from.add(row * stride + column) };
            }
        }
    }
    /// Asks for the cache line at `at`, which need not exist.
    #[inline(always)]
    unsafe fn prefetch(_at: *const f32) {}
    /// The same, but not all the way: it is not needed at once.
    #[inline(always)]
    unsafe fn prefetch_far(_at: *const f32) {}
}

/// The instruction sets that there are kernels for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum InstructionSet {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "aarch64")]
    Neon,
    Portable,
}

const VARIABLE: &str = "NEURALSTYLE_KERNELS";

impl InstructionSet {
    /// Those that this processor can run, the fastest first.
    pub fn available() -> Vec<InstructionSet> {
        let mut sets = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            if std::is_x86_feature_detected!("avx512f") {
                sets.push(InstructionSet::Avx512);
            }
            if std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma") {
                sets.push(InstructionSet::Avx2);
            }
        }
        #[cfg(target_arch = "aarch64")]
        if std::arch::is_aarch64_feature_detected!("neon") {
            sets.push(InstructionSet::Neon);
        }
        sets.push(InstructionSet::Portable);
        sets
    }

    /// The fastest, or the one that the environment variable `NEURALSTYLE_KERNELS` names: for comparisons, and to find
    /// out whether a processor's newest instructions are to blame for something.
    ///
    /// # Errors
    /// Names those that there are, if that one is not among them.
    pub fn choose() -> Result<InstructionSet> {
        let sets = Self::available();
        let Some(wanted) = std::env::var_os(VARIABLE) else {
            return Ok(sets[0]);
        };
        let named = |instructions: &&InstructionSet| wanted.eq_ignore_ascii_case(instructions.name());
        sets.iter().find(named).copied().ok_or_else(|| {
            let names: Vec<_> = sets.iter().map(|instructions| instructions.name()).collect();
            let (wanted, names) = (wanted.display(), names.join(", "));
            Error::Unavailable(format!("{VARIABLE}={wanted}: this processor has {names}"))
        })
    }

    pub fn name(self) -> &'static str {
        match self {
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx512 => "AVX-512",
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx2 => "AVX2",
            #[cfg(target_arch = "aarch64")]
            InstructionSet::Neon => "NEON",
            InstructionSet::Portable => "portable",
        }
    }
}

/// Compiles a kernel for every kind of machine. `kernel!(name[G: Bound](argument: Type, …) = body)` makes
/// `unsafe fn name<G>(instructions, argument, …)`, where `body` is the path of an always inlined function that is generic over
/// [`Simd`] and then over the same G.
macro_rules! kernel {
    ($(#[$about:meta])* $visible:vis $name:ident $([$($generic:ident: $bound:ident),+])?
     ($($argument:ident: $kind:ty),* $(,)?) = $body:ident) => {
        $(#[$about])*
        #[inline]
        $visible unsafe fn $name $(<$($generic: $bound),+>)? (
            instructions: $crate::backend::cpu::simd::InstructionSet,
            $($argument: $kind),*
        ) {
            use $crate::backend::cpu::simd;
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f")]
            unsafe fn avx512 $(<$($generic: $bound),+>)? ($($argument: $kind),*) {
                // SAFETY: as promised by the caller.
                unsafe { $body::<simd::Avx512 $($(, $generic)+)?>($($argument),*) }
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            unsafe fn avx2 $(<$($generic: $bound),+>)? ($($argument: $kind),*) {
                // SAFETY: as promised by the caller.
                unsafe { $body::<simd::Avx2 $($(, $generic)+)?>($($argument),*) }
            }
            #[cfg(target_arch = "aarch64")]
            #[target_feature(enable = "neon")]
            unsafe fn neon $(<$($generic: $bound),+>)? ($($argument: $kind),*) {
                // SAFETY: as promised by the caller.
                unsafe { $body::<simd::Neon $($(, $generic)+)?>($($argument),*) }
            }
            // SAFETY: an instruction set is only named where the processor has its instructions; the rest is the caller's promise.
            unsafe {
                match instructions {
                    #[cfg(target_arch = "x86_64")]
                    simd::InstructionSet::Avx512 => avx512 $(::<$($generic),+>)? ($($argument),*),
                    #[cfg(target_arch = "x86_64")]
                    simd::InstructionSet::Avx2 => avx2 $(::<$($generic),+>)? ($($argument),*),
                    #[cfg(target_arch = "aarch64")]
                    simd::InstructionSet::Neon => neon $(::<$($generic),+>)? ($($argument),*),
                    simd::InstructionSet::Portable => $body::<simd::Portable $($(, $generic)+)?>($($argument),*),
                }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
pub use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
pub use avx512::Avx512;
pub(in crate::backend::cpu) use kernel;
#[cfg(target_arch = "aarch64")]
pub use neon::Neon;
pub use portable::Portable;
