// SPDX-License-Identifier: MIT OR Apache-2.0

//! The registers of a warp: 32 lanes of one register lie beside each other, so that a loop over them becomes vector
//! instructions of the host.

use super::WARP;
use super::float16;

pub type Words = [u32; WARP];
pub type Doubles = [u64; WARP];

#[derive(Clone, Copy)]
#[repr(align(64))]
struct Slot(Words);

/// All registers of a warp. A register is named by the word at which it begins, a multiple of 32.
pub struct Registers {
    slots: Vec<Slot>,
}

impl Registers {
    pub fn new(words: usize) -> Self {
        // One more than asked for: the last register may be written as 64 bits by an instruction without result.
        Self {
            slots: vec![Slot([0; WARP]); words / WARP + 1],
        }
    }

    #[inline(always)]
    pub fn words(&self, at: u32) -> &Words {
        &self.slots[at as usize / WARP].0
    }

    #[inline(always)]
    pub fn words_mut(&mut self, at: u32) -> &mut Words {
        &mut self.slots[at as usize / WARP].0
    }

    #[inline(always)]
    pub fn doubles(&self, at: u32) -> &Doubles {
        let pair = &self.slots[at as usize / WARP..at as usize / WARP + 2];
        // SAFETY: two slots are 256 bytes without padding, aligned to 64; every bit pattern is a u64.
        unsafe { &*pair.as_ptr().cast::<Doubles>() }
    }

    #[inline(always)]
    pub fn doubles_mut(&mut self, at: u32) -> &mut Doubles {
        let pair = &mut self.slots[at as usize / WARP..at as usize / WARP + 2];
        // SAFETY: as in `doubles`, and the borrow is exclusive.
        unsafe { &mut *pair.as_mut_ptr().cast::<Doubles>() }
    }

    /// An address or size in a register of either width.
    #[inline(always)]
    pub fn addresses(&self, at: u32, wide: bool) -> Doubles {
        if wide {
            *self.doubles(at)
        } else {
            over(self.words(at), u64::from)
        }
    }
}

/// What a function gives for each lane. The loops of the standard library would do, were they always compiled into
/// the function that calls them, which is one with the host's vector instructions.
#[inline(always)]
pub fn by_lane<T: Copy>(f: impl Fn(usize) -> T) -> [T; WARP] {
    let mut found = [f(0); WARP];
    for (lane, place) in found.iter_mut().enumerate() {
        *place = f(lane);
    }
    found
}

/// What a function makes of the value of each lane.
#[inline(always)]
pub fn over<T: Copy, R: Copy>(values: &[T; WARP], f: impl Fn(T) -> R) -> [R; WARP] {
    by_lane(|lane| f(values[lane]))
}

/// A value that a lane of a register can hold.
pub trait Lane: Copy {
    fn load(registers: &Registers, at: u32) -> [Self; WARP];
    fn store(registers: &mut Registers, at: u32, values: [Self; WARP], mask: u32);
}

#[inline(always)]
fn blend<T: Copy>(into: &mut [T; WARP], values: &[T; WARP], mask: u32) {
    if mask == u32::MAX {
        *into = *values;
        return;
    }
    for lane in 0..WARP {
        into[lane] = if mask & (1 << lane) != 0 {
            values[lane]
        } else {
            into[lane]
        };
    }
}

macro_rules! lane {
    ($kind:ty, $slots:ident, $slots_mut:ident, |$read:ident| $from:expr, |$write:ident| $to:expr) => {
        impl Lane for $kind {
            #[inline(always)]
            fn load(registers: &Registers, at: u32) -> [Self; WARP] {
                over(registers.$slots(at), |$read| $from)
            }

            #[inline(always)]
            fn store(registers: &mut Registers, at: u32, values: [Self; WARP], mask: u32) {
                blend(registers.$slots_mut(at), &over(&values, |$write| $to), mask);
            }
        }
    };
}

lane!(u32, words, words_mut, |x| x, |x| x);
lane!(i32, words, words_mut, |x| x as i32, |x| x as u32);
lane!(f32, words, words_mut, |x| f32::from_bits(x), |x| x.to_bits());
lane!(u16, words, words_mut, |x| x as u16, |x| u32::from(x));
lane!(i16, words, words_mut, |x| x as i16, |x| u32::from(x as u16));
lane!(u64, doubles, doubles_mut, |x| x, |x| x);
lane!(i64, doubles, doubles_mut, |x| x as i64, |x| x as u64);
lane!(f64, doubles, doubles_mut, |x| f64::from_bits(x), |x| x.to_bits());

/// A half, held as the single of the same value; storing it rounds.
#[derive(Clone, Copy)]
pub struct Half(pub f32);

lane!(
    Half,
    words,
    words_mut,
    |x| Half(float16::to_single(x as u16)),
    |x| u32::from(float16::from_single(x.0))
);

/// The lower and upper halves of a register of two.
#[inline(always)]
pub fn halves(registers: &Registers, at: u32) -> ([f32; WARP], [f32; WARP]) {
    let words = registers.words(at);
    (
        over(words, |x| float16::to_single(x as u16)),
        over(words, |x| float16::to_single((x >> 16) as u16)),
    )
}

#[inline(always)]
pub fn join(low: &[f32; WARP], high: &[f32; WARP]) -> Words {
    let mut joined = [0; WARP];
    for lane in 0..WARP {
        let (low, high) = (float16::from_single(low[lane]), float16::from_single(high[lane]));
        joined[lane] = u32::from(low) | u32::from(high) << 16;
    }
    joined
}
