// SPDX-License-Identifier: MIT OR Apache-2.0

//! The weights of a convolution as the tensor cores take them. All elements of a process that paint with the same network on
//! one card share them, for as long as one of them lives.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use half::f16;

use super::allocator::{Allocator, Buffer, CountedBytes};
use super::layout::{CHUNK, lanes};
use crate::backend::filter_cache::FilterCache;
use crate::backend::{FilterData, Result};

/// Numbers for each output of a picture's pack: four channels at nine taps, and room to the next 16.
const PICTURE_ROW: usize = 48;

/// PackedWeights, which others may share.
pub struct Filter {
    of: Arc<PackedWeights>,
    /// Counted as in use by each who shares them.
    _held: CountedBytes,
}

impl std::ops::Deref for Filter {
    type Target = PackedWeights;

    fn deref(&self) -> &PackedWeights {
        &self.of
    }
}

/// Both packs and the bias of a convolution.
pub struct PackedWeights {
    pub outputs: usize,
    pub inputs: usize,
    /// The weights are multiplied by 2 to this, and with them whatever comes out.
    pub exponent: i32,
    pub forward: Forward,
    /// The pack for the way back.
    pub backward: Buffer,
    bias: Vec<f32>,
    /// The bias as it is added to outputs of each exponent that came up: one for each filter, unless a network has two that are
    /// alike.
    scaled: Mutex<BTreeMap<i32, Arc<Buffer>>>,
    /// A buffer allocated in advance for the first of them, which takes it.
    spare: Mutex<Option<Buffer>>,
}

/// The weights that the cards have, by card: the address of a device that lives, as it does while there are weights on it.
static KNOWN: LazyLock<FilterCache<usize, PackedWeights>> = LazyLock::new(FilterCache::default);

/// The weights on the way forward.
pub enum Forward {
    /// From a planar picture.
    Picture(Buffer),
    /// From a blocked tensor.
    Blocked(Buffer),
}

impl Filter {
    /// PackedWeights that the card has already, or new ones; `send` takes bytes to the card, into memory that it is told of. They
    /// are counted in `memory`.
    pub fn new(
        data: &FilterData,
        picture: bool,
        memory: &Allocator,
        send: impl Fn(&[u8], &Allocator) -> Result<Buffer>,
    ) -> Result<Self> {
        let of = KNOWN.get(data, memory.device_address(), || {
            // Not counted where they are made, since the backend that makes them may be dropped before the others.
            let uncounted = memory.uncounted();
            PackedWeights::new(data, picture, |bytes| send(bytes, &uncounted))
        })?;
        Ok(Self {
            _held: memory.hold(bytes(of.outputs, of.inputs, picture)),
            of,
        })
    }
}

impl PackedWeights {
    fn new(data: &FilterData, picture: bool, mut send: impl FnMut(&[u8]) -> Result<Buffer>) -> Result<Self> {
        let exponent = exponent(data);
        let factor = 2.0_f32.powi(exponent);
        let spare = Mutex::new(Some(send(&vec![0; bias_bytes(data.outputs)])?));
        let mut pack = |numbers: Vec<u16>| send(bytemuck::cast_slice(&numbers));
        let forward = if picture {
            Forward::Picture(pack(picture_pack(data, factor))?)
        } else {
            let at = |o: usize, i: usize, tap: usize| data.weights[(o * data.inputs + i) * 9 + tap] * factor;
            Forward::Blocked(pack(packed(data.outputs, data.inputs, at))?)
        };
        let turned =
            |i: usize, o: usize, tap: usize| data.weights[(o * data.inputs + i) * 9 + 8 - tap] * factor;
        Ok(Self {
            outputs: data.outputs,
            inputs: data.inputs,
            exponent,
            forward,
            backward: pack(packed(data.inputs, data.outputs, turned))?,
            bias: data.bias.clone(),
            scaled: Mutex::default(),
            spare,
        })
    }

    /// The bias multiplied by 2 to the `exponent`, a float for each lane. The first time `send` takes it to the card, into
    /// the buffer that it is given or else a new one.
    pub fn bias(
        &self,
        exponent: i32,
        send: impl FnOnce(&[u8], Option<Buffer>) -> Result<Buffer>,
    ) -> Result<Arc<Buffer>> {
        // What a panicking thread may have left is a map all the same.
        let mut scaled = self.scaled.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bias) = scaled.get(&exponent) {
            return Ok(bias.clone());
        }
        let mut values: Vec<f32> = self.bias.iter().map(|b| b * 2.0_f32.powi(exponent)).collect();
        values.resize(lanes(self.outputs), 0.0);
        let spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner).take();
        let bias = Arc::new(send(bytemuck::cast_slice(&values), spare)?);
        scaled.insert(exponent, bias.clone());
        Ok(bias)
    }
}

/// Bytes on the card of weights, `picture` those that take a planar picture: both packs and the bias.
pub fn bytes(outputs: usize, inputs: usize, picture: bool) -> usize {
    let forward = if picture {
        lanes(outputs) * PICTURE_ROW
    } else {
        packed_numbers(outputs, inputs)
    };
    2 * (forward + packed_numbers(inputs, outputs)) + bias_bytes(outputs)
}

fn bias_bytes(outputs: usize) -> usize {
    lanes(outputs) * size_of::<f32>()
}

fn packed_numbers(results: usize, channels: usize) -> usize {
    channels.div_ceil(CHUNK) * 9 * lanes(results) * CHUNK
}

/// The power of two that keeps activations near the size of the network's input, so that none leaves fp16's range.
///
/// ReLU and pooling are homogeneous, so that W · 2ⁿ gives 2ⁿ times the output. What the filter does to the size of its input
/// lies between two cases: inputs that have nothing to do with each other, whose squares add up, √(Σ w²), and inputs
/// that are all the same, |Σ w|. Behind a ReLU they are half of each, so the mean of the two squares over the outputs is
/// taken for the gain that is undone.
fn exponent(data: &FilterData) -> i32 {
    let gains = data.weights.chunks_exact(data.inputs * 9).map(|weights| {
        let sum: f64 = weights.iter().map(|&w| f64::from(w)).sum();
        let squares: f64 = weights.iter().map(|&w| f64::from(w) * f64::from(w)).sum();
        0.5 * (sum * sum + squares)
    });
    let gain = (gains.sum::<f64>() / data.outputs as f64).sqrt();
    if gain.is_finite() && gain > 0.0 {
        // No network needs more, and fp32 stays far from its own ends.
        (-gain.log2().round()).clamp(-40.0, 40.0) as i32
    } else {
        0
    }
}

/// [⌈K/32⌉][9][N, up to a multiple of 8][32] of `at(n, k, tap)` as bits of fp16, zeros where there is none.
fn packed(results: usize, channels: usize, at: impl Fn(usize, usize, usize) -> f32) -> Vec<u16> {
    let padded = lanes(results);
    let mut pack = vec![0; packed_numbers(results, channels)];
    for k in 0..channels {
        for tap in 0..9 {
            for n in 0..results {
                let place = (((k / CHUNK) * 9 + tap) * padded + n) * CHUNK + k % CHUNK;
                pack[place] = f16::from_f32(at(n, k, tap)).to_bits();
            }
        }
    }
    pack
}

/// [O, up to a multiple of 8][48]: channel i of tap t at 4 t + i.
fn picture_pack(data: &FilterData, factor: f32) -> Vec<u16> {
    let mut pack = vec![0; lanes(data.outputs) * PICTURE_ROW];
    for o in 0..data.outputs {
        for i in 0..data.inputs {
            for tap in 0..9 {
                let weight = data.weights[(o * data.inputs + i) * 9 + tap] * factor;
                pack[o * PICTURE_ROW + 4 * tap + i] = f16::from_f32(weight).to_bits();
            }
        }
    }
    pack
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(outputs: usize, inputs: usize, weight: impl Fn(usize) -> f32) -> FilterData {
        FilterData {
            outputs,
            inputs,
            weights: (0..outputs * inputs * 9).map(weight).collect(),
            bias: vec![0.0; outputs],
        }
    }

    #[test]
    fn a_pack_holds_each_weight_where_the_kernel_looks_for_it() {
        let data = filter(3, 33, |i| (i % 1000) as f32);
        let pack = packed(3, 33, |o, i, tap| data.weights[(o * 33 + i) * 9 + tap]);
        assert_eq!(pack.len(), 2 * 9 * 8 * 32);
        let at = |chunk: usize, tap: usize, n: usize, k: usize| {
            f16::from_bits(pack[((chunk * 9 + tap) * 8 + n) * 32 + k]).to_f32()
        };
        assert_eq!(at(0, 5, 2, 31), data.weights[(2 * 33 + 31) * 9 + 5]);
        assert_eq!(at(1, 8, 1, 0), data.weights[(33 + 32) * 9 + 8]);
        // An input and an output that there are not.
        assert_eq!((at(1, 8, 1, 1), at(0, 0, 3, 0)), (0.0, 0.0));
    }

    #[test]
    fn the_gain_is_undone_to_the_nearest_power_of_two() {
        // Signs that cancel: √(½ · 9 · 64 · w²) = w · 17, undone by 2⁻⁴.
        let checkered = filter(2, 64, |i| if i % 2 == 0 { 1.0 } else { -1.0 });
        assert_eq!(exponent(&checkered), -4);
        let small = filter(2, 64, |i| if i % 2 == 0 { 1e-3 } else { -1e-3 });
        assert_eq!(exponent(&small), 6);
        assert_eq!(exponent(&filter(4, 8, |_| 0.0)), 0);
    }
}
