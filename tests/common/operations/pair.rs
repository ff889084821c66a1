// SPDX-License-Identifier: MIT OR Apache-2.0

//! A backend beside the f64 reference, with the same operands.
//!
//! How far the two may be apart follows from the arithmetic of IEEE floats alone (Higham, "Accuracy and Stability of
//! Numerical Algorithms", §3.1). With u = 2⁻²⁴, the unit roundoff of f32, and γ_n = n u / (1 − n u), a sum of n
//! products taken in f32, in whatever order and with or without fused multiply-add, differs from the exact one by
//! at most γ_n Σ |a b|. Each further rounding adds 1 to n. So every bound here is a count of roundings times the sum
//! of the *magnitudes*, which the reference computes by doing the same with absolute values.
//!
//! A backend may keep some tensors in fp16, see [`Arithmetic`]. Operands are then made of numbers that fp16 has, so that both
//! start from the same; what is stored is rounded once more; and operands of products that are rounded on their way
//! add their share of the sum of magnitudes.

use neuralstyle::backend::cancel::CancelToken;
use neuralstyle::backend::cpu::Cpu;
use neuralstyle::backend::cuda::Cuda;
use neuralstyle::backend::prelude::*;
use neuralstyle::backend::reference::{self, Reference};
use neuralstyle::backend::{Backend, Shape};

use super::random::Random;

/// u, the unit roundoff of f32.
pub const UNIT: f64 = 1.0 / (1u64 << 24) as f64;

/// The unit roundoff of fp16.
const HALF_UNIT: f64 = 1.0 / (1u64 << 11) as f64;

/// The distance of fp16's numbers below its least normal one, 2⁻¹⁴.
const HALF_SPACING: f64 = HALF_UNIT / (1u64 << 13) as f64;

/// In what numbers a backend computes.
#[derive(Clone, Copy, Debug)]
pub enum Arithmetic {
    /// f32 throughout.
    Single,
    /// Tensors of more than 4 channels are stored in fp16, multiplied by powers of two that bring the largest near 1.
    /// The operands of convolutions and of the products with and of Gram matrices are fp16 too. Everything else is
    /// f32, sums first of all.
    Half,
}

impl Arithmetic {
    fn keeps_in_half(self, shape: Shape) -> bool {
        matches!(self, Self::Half) && shape.channels > 4
    }

    /// The number that a tensor of this shape holds for `value`.
    pub fn rounded(self, shape: Shape, value: f32) -> f32 {
        if self.keeps_in_half(shape) {
            half::f16::from_f32(value).to_f32()
        } else {
            value
        }
    }

    /// The relative error of storing into a tensor of this shape, as far as no count of roundings in f32 includes it.
    pub fn storing(self, shape: Shape) -> f64 {
        if self.keeps_in_half(shape) { HALF_UNIT } else { 0.0 }
    }

    /// The absolute error of storing, where the largest number of the tensor is `largest`: the power of two that brings
    /// it near 1 may miss by a factor of 4.
    pub fn underflow(self, shape: Shape, largest: f64) -> f64 {
        if self.keeps_in_half(shape) {
            4.0 * HALF_SPACING * largest.max(1.0)
        } else {
            0.0
        }
    }

    /// The relative error of an element of a tensor of this shape when it goes into a product on the tensor cores.
    pub fn entering(self, shape: Shape) -> f64 {
        match self {
            Self::Half if !self.keeps_in_half(shape) => HALF_UNIT,
            _ => 0.0,
        }
    }
}

/// A backend to be tested.
pub trait Machine: Backend {
    const ARITHMETIC: Arithmetic;
}

impl Machine for Cpu {
    const ARITHMETIC: Arithmetic = Arithmetic::Single;
}

impl Machine for Cuda {
    const ARITHMETIC: Arithmetic = Arithmetic::Half;
}

/// γ_n: the relative error of n roundings.
pub fn gamma(roundings: usize) -> f64 {
    let nu = roundings as f64 * UNIT;
    nu / (1.0 - nu)
}

/// The relative error of a sum of `terms` numbers with one sign. A sum over a whole tensor must be taken in f64, or
/// in f32 by a tree whose leaves are runs of at most 64: a plain loop in f32 over a million numbers is not good
/// enough for any backend.
pub fn gamma_of_sum(terms: usize) -> f64 {
    gamma(64 + terms.max(1).ilog2() as usize)
}

/// The same tensor on both.
pub struct Twin<T> {
    pub real: T,
    pub exact: reference::Tensor,
}

pub struct Pair<'a, B: Machine> {
    pub ops: &'a mut B,
    pub exact: Reference,
    pub random: Random,
}

impl<'a, B: Machine> Pair<'a, B> {
    pub fn new(ops: &'a mut B, seed: u64) -> Self {
        Self {
            ops,
            exact: Reference::new(CancelToken::new()),
            random: Random(seed),
        }
    }

    pub fn tensor(&mut self, shape: Shape, values: &[f32]) -> Twin<B::Tensor> {
        let mut real = self.ops.tensor(shape).unwrap();
        let mut exact = self.exact.tensor(shape).unwrap();
        let values = self.rounded(shape, values);
        self.ops.upload(&values, &mut real).unwrap();
        self.exact.upload(&values, &mut exact).unwrap();
        Twin { real, exact }
    }

    /// The numbers that a tensor of this shape holds for these.
    pub fn rounded(&self, shape: Shape, values: &[f32]) -> Vec<f32> {
        let rounded = values.iter().map(|&value| B::ARITHMETIC.rounded(shape, value));
        rounded.collect()
    }

    /// Uniform in −1..1.
    pub fn signed(&mut self, shape: Shape) -> Twin<B::Tensor> {
        let values = self.random.signeds(shape.elements());
        self.tensor(shape, &values)
    }

    /// Uniform in 0..1.
    pub fn units(&mut self, shape: Shape) -> Twin<B::Tensor> {
        let values = self.random.units(shape.elements());
        self.tensor(shape, &values)
    }

    /// Full of what nobody wants to see again: an output of which every element must be written.
    pub fn soiled(&mut self, shape: Shape) -> Twin<B::Tensor> {
        self.tensor(shape, &vec![-4711.0; shape.elements()])
    }

    pub fn values(&mut self, tensor: &B::Tensor) -> Vec<f32> {
        let mut values = vec![0.0; self.ops.shape(tensor).elements()];
        self.ops.download(tensor, &mut values).unwrap();
        values
    }

    /// Each element within its bound of the reference's, and what storing it adds.
    pub fn assert_close(&mut self, what: &str, twin: &Twin<B::Tensor>, bound: impl Fn(usize) -> f64) {
        let (shape, exact) = (twin.exact.shape, &twin.exact.values);
        let storing = B::ARITHMETIC.storing(shape);
        let largest = exact.iter().fold(0.0, |most: f64, value| most.max(value.abs()));
        let underflow = B::ARITHMETIC.underflow(shape, largest);
        self.assert_within(what, twin, |index| {
            let bound = bound(index);
            bound + storing * (exact[index].abs() + bound) + underflow
        });
    }

    /// Each element bit by bit the reference's.
    pub fn assert_same(&mut self, what: &str, twin: &Twin<B::Tensor>) {
        self.assert_within(what, twin, |_| 0.0);
    }

    fn assert_within(&mut self, what: &str, twin: &Twin<B::Tensor>, bound: impl Fn(usize) -> f64) {
        let values = self.values(&twin.real);
        assert_eq!(values.len(), twin.exact.values.len(), "{what}");
        for (index, (&value, &exact)) in values.iter().zip(&twin.exact.values).enumerate() {
            let (error, bound) = ((f64::from(value) - exact).abs(), bound(index));
            // Whatever is smaller than the least normal f32 may be flushed to zero.
            assert!(
                error <= bound + f64::from(f32::MIN_POSITIVE),
                "{what}, element {index} of {:?}: {value} instead of {exact}, {error:e} > {bound:e}",
                twin.exact.shape
            );
        }
    }
}

/// |x| of a tensor.
pub fn magnitudes(tensor: &reference::Tensor) -> reference::Tensor {
    reference::Tensor {
        shape: tensor.shape,
        values: tensor.values.iter().map(|value| value.abs()).collect(),
    }
}

/// Single pixels, rows, columns, odd sizes; 63, 64 and 65, 1023 … 1025 and more than 64 · 1024 elements, where work
/// is cut into pieces; 1 to 70 channels. Of the largest, a card's threads take more than one item each: there are at most
/// 1024 · 256 of them, and an item may be eight channels of a pixel.
pub const SHAPES: [Shape; 24] = [
    Shape::new(1, 1, 1),
    Shape::new(1, 1, 7),
    Shape::new(3, 9, 1),
    Shape::new(2, 2, 2),
    Shape::new(3, 2, 3),
    Shape::new(3, 5, 7),
    Shape::new(1, 9, 7),
    Shape::new(2, 8, 8),
    Shape::new(2, 13, 5),
    Shape::new(70, 3, 3),
    Shape::new(69, 1, 1),
    Shape::new(1, 31, 33),
    Shape::new(1, 32, 32),
    Shape::new(1, 25, 41),
    Shape::new(3, 37, 83),
    Shape::new(33, 17, 16),
    Shape::new(3, 149, 157),
    Shape::new(4, 7, 9),
    Shape::new(3, 1, 8),
    Shape::new(9, 1, 7),
    Shape::new(9, 7, 1),
    Shape::new(1, 419, 427),
    Shape::new(1, 513, 512),
    Shape::new(5, 513, 512),
];

/// More numbers than a backend has threads for, in f32 and in vectors of eight: more than 1024 · 256, so that some threads
/// add up several.
pub const LONG: [Shape; 2] = [Shape::new(1, 513, 514), Shape::new(64, 181, 182)];

/// Those of [`SHAPES`] that can be pictures, as RGB.
pub fn pictures() -> impl Iterator<Item = Shape> {
    SHAPES.into_iter().map(|shape| shape.with_channels(3))
}
