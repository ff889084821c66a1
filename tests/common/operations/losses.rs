// SPDX-License-Identifier: MIT OR Apache-2.0

use neuralstyle::backend::prelude::*;
use neuralstyle::backend::{Scalar, Shape, Slot};

use super::pair::{LONG, Machine, Pair, SHAPES, Twin, UNIT, gamma, gamma_of_sum, magnitudes};

/// Coefficients and slots lie among others that are none of an operation's business.
const AT: usize = 2;
const COEFFICIENT: f32 = -0.3;

struct Numbers<T> {
    knobs: Twin<T>,
    sums: Twin<T>,
}

impl<T> Numbers<T> {
    fn new<B: Machine<Tensor = T>>(pair: &mut Pair<B>) -> Self {
        Self {
            knobs: pair.tensor(Shape::vector(4), &[50.0, 60.0, COEFFICIENT, 70.0]),
            sums: pair.tensor(Shape::vector(4), &[1.0, 2.0, 3.0, 4.0]),
        }
    }

    /// The sum is right, and the other slots are what they were.
    fn assert_sum<B: Machine<Tensor = T>>(&self, pair: &mut Pair<B>, what: &str, bound: f64) {
        pair.assert_close(what, &self.sums, |i| if i == AT { bound } else { 0.0 });
    }
}

macro_rules! scalar {
    ($tensor:expr) => {
        Scalar { of: &$tensor, at: AT }
    };
}

macro_rules! slot {
    ($tensor:expr) => {
        Slot {
            of: &mut $tensor,
            at: AT,
        }
    };
}

pub fn squared_norm<B: Machine>(ops: &mut B) {
    let mut pair = Pair::new(ops, 20);
    for shape in SHAPES.into_iter().chain(LONG) {
        let a = pair.signed(shape);
        let mut numbers = Numbers::new(&mut pair);
        pair.ops.squared_norm(&a.real, slot!(numbers.sums.real)).unwrap();
        pair.exact
            .squared_norm(&a.exact, slot!(numbers.sums.exact))
            .unwrap();
        let sum = numbers.sums.exact.values[AT];
        // A square and its place in the sum; the sum stored in f32.
        let bound = (gamma_of_sum(shape.elements()) + gamma(2)) * sum;
        numbers.assert_sum(&mut pair, "squared_norm", bound);
    }
}

pub fn squared_error<B: Machine>(ops: &mut B) {
    let mut pair = Pair::new(ops, 21);
    for shape in SHAPES.into_iter().chain(LONG) {
        let (a, target, mut gradient) = (pair.signed(shape), pair.signed(shape), pair.signed(shape));
        let before = gradient.exact.values.clone();
        let mut numbers = Numbers::new(&mut pair);
        pair.ops
            .squared_error(
                &a.real,
                &target.real,
                scalar!(numbers.knobs.real),
                &mut gradient.real,
                slot!(numbers.sums.real),
            )
            .unwrap();
        pair.exact
            .squared_error(
                &a.exact,
                &target.exact,
                scalar!(numbers.knobs.exact),
                &mut gradient.exact,
                slot!(numbers.sums.exact),
            )
            .unwrap();
        // A difference twice in each square, the square, the sum, which is stored.
        let bound = (gamma_of_sum(shape.elements()) + gamma(4)) * numbers.sums.exact.values[AT];
        numbers.assert_sum(&mut pair, "squared_error", bound);
        // A difference, a product, a sum.
        pair.assert_close("squared_error's gradient", &gradient, |i| {
            let error = (a.exact.values[i] - target.exact.values[i]).abs();
            gamma(3) * (before[i].abs() + f64::from(COEFFICIENT).abs() * error)
        });
    }
}

pub fn weighted_squared_error<B: Machine>(ops: &mut B) {
    let mut pair = Pair::new(ops, 22);
    for shape in SHAPES.into_iter().chain(LONG) {
        let (a, target, mut gradient) = (pair.signed(shape), pair.signed(shape), pair.signed(shape));
        let weight = pair.units(shape.with_channels(1));
        let before = gradient.exact.values.clone();
        let mut numbers = Numbers::new(&mut pair);
        pair.ops
            .weighted_squared_error(
                &a.real,
                &target.real,
                &weight.real,
                scalar!(numbers.knobs.real),
                &mut gradient.real,
                slot!(numbers.sums.real),
            )
            .unwrap();
        pair.exact
            .weighted_squared_error(
                &a.exact,
                &target.exact,
                &weight.exact,
                scalar!(numbers.knobs.exact),
                &mut gradient.exact,
                slot!(numbers.sums.exact),
            )
            .unwrap();
        // As without a weight, and the product with it.
        let bound = (gamma_of_sum(shape.elements()) + gamma(5)) * numbers.sums.exact.values[AT];
        numbers.assert_sum(&mut pair, "weighted_squared_error", bound);
        pair.assert_close("weighted_squared_error's gradient", &gradient, |i| {
            let error = (a.exact.values[i] - target.exact.values[i]).abs();
            let weighed = weight.exact.values[i % shape.pixels()] * error;
            gamma(4) * (before[i].abs() + f64::from(COEFFICIENT).abs() * weighed)
        });
    }
}

pub fn difference<B: Machine>(ops: &mut B) {
    let mut pair = Pair::new(ops, 23);
    for side in [1, 2, 3, 31, 32, 33, 70, 257, 513] {
        let shape = Shape::square(side);
        let (g, target) = (pair.signed(shape), pair.signed(shape));
        let mut out = pair.soiled(shape);
        let mut numbers = Numbers::new(&mut pair);
        pair.ops
            .difference(&g.real, &target.real, &mut out.real, slot!(numbers.sums.real))
            .unwrap();
        pair.exact
            .difference(&g.exact, &target.exact, &mut out.exact, slot!(numbers.sums.exact))
            .unwrap();
        let bound = (gamma_of_sum(shape.elements()) + gamma(4)) * numbers.sums.exact.values[AT];
        numbers.assert_sum(&mut pair, "difference", bound);
        let sizes = out.exact.values.clone();
        pair.assert_close("difference", &out, |i| UNIT * sizes[i].abs());
    }
}

/// Below, at and above 2048 pixels and eight times as many, where the pixels are cut into pieces; more pixels, and more
/// entries of the matrix, than a card has threads.
const GRAMS: [Shape; 17] = [
    Shape::new(1, 1, 1),
    Shape::new(1, 1, 5),
    Shape::new(70, 1, 1),
    Shape::new(3, 7, 9),
    Shape::new(2, 8, 8),
    Shape::new(70, 5, 13),
    Shape::new(33, 17, 16),
    Shape::new(16, 23, 89),
    Shape::new(5, 32, 64),
    Shape::new(65, 3, 683),
    Shape::new(4, 1, 4097),
    Shape::new(7, 127, 129),
    Shape::new(7, 128, 128),
    Shape::new(8, 113, 145),
    Shape::new(4, 513, 512),
    Shape::new(400, 2, 2),
    Shape::new(1461, 1, 2),
];

pub fn gram<B: Machine>(ops: &mut B) {
    let mut pair = Pair::new(ops, 24);
    for shape in GRAMS {
        let a = pair.signed(shape);
        let square = Shape::square(shape.channels);
        let mut gram = pair.soiled(square);
        let scale = 1.0 / shape.elements() as f32;
        pair.ops.gram(&a.real, scale, &mut gram.real).unwrap();
        pair.exact.gram(&a.exact, scale, &mut gram.exact).unwrap();
        let mut sizes = pair.exact.tensor(square).unwrap();
        pair.exact.gram(&magnitudes(&a.exact), scale, &mut sizes).unwrap();
        // Runs of at most 2048 pixels in one f32 sum, and those together; the scale, and what is stored.
        let roundings = shape.pixels().min(2048) + 5;
        // Both operands, where they are rounded first.
        let entering = (1.0 + B::ARITHMETIC.entering(shape)).powi(2) - 1.0;
        pair.assert_close("gram", &gram, |i| (gamma(roundings) + entering) * sizes.values[i]);
    }
}

pub fn gram_backward<B: Machine>(ops: &mut B) {
    let mut pair = Pair::new(ops, 25);
    for shape in GRAMS {
        let channels = shape.channels;
        let (a, mut gradient) = (pair.signed(shape), pair.signed(shape));
        let mut values = pair.random.signeds(channels * channels);
        for k in 0..channels {
            for l in 0..k {
                values[k * channels + l] = values[l * channels + k];
            }
        }
        let d = pair.tensor(Shape::square(channels), &values);
        let numbers = Numbers::new(&mut pair);
        let mut sizes = magnitudes(&gradient.exact);
        let absolute = pair.tensor(Shape::vector(1), &[COEFFICIENT.abs()]);
        let coefficient = Scalar {
            of: &absolute.exact,
            at: 0,
        };
        pair.exact
            .gram_backward(
                &magnitudes(&a.exact),
                &magnitudes(&d.exact),
                coefficient,
                &mut sizes,
            )
            .unwrap();
        pair.ops
            .gram_backward(&a.real, &d.real, scalar!(numbers.knobs.real), &mut gradient.real)
            .unwrap();
        pair.exact
            .gram_backward(
                &a.exact,
                &d.exact,
                scalar!(numbers.knobs.exact),
                &mut gradient.exact,
            )
            .unwrap();
        // C products, the coefficient, the sum with what was there; and the matrix, where it is rounded first. A backend
        // that does that rounds neither the tensors of few channels nor their matrix.
        let entering = if B::ARITHMETIC.entering(shape) > 0.0 {
            0.0
        } else {
            B::ARITHMETIC.entering(Shape::square(channels))
        };
        pair.assert_close("gram_backward", &gradient, |i| {
            (gamma(channels + 2) + entering) * sizes.values[i]
        });
    }
}

pub fn total_variation<B: Machine>(ops: &mut B) {
    let mut pair = Pair::new(ops, 26);
    for shape in SHAPES.into_iter().chain(LONG) {
        let (x, mut gradient) = (pair.signed(shape), pair.signed(shape));
        let before = gradient.exact.values.clone();
        let mut numbers = Numbers::new(&mut pair);
        pair.ops
            .total_variation(
                &x.real,
                scalar!(numbers.knobs.real),
                &mut gradient.real,
                slot!(numbers.sums.real),
            )
            .unwrap();
        pair.exact
            .total_variation(
                &x.exact,
                scalar!(numbers.knobs.exact),
                &mut gradient.exact,
                slot!(numbers.sums.exact),
            )
            .unwrap();
        let bound = (gamma_of_sum(2 * shape.elements()) + gamma(4)) * numbers.sums.exact.values[AT];
        numbers.assert_sum(&mut pair, "total_variation", bound);
        // Four steps of at most 2 each: a difference, three sums, the coefficient and its 2, the sum with what was
        // there.
        let pull = 2.0 * f64::from(COEFFICIENT).abs() * 8.0;
        pair.assert_close("total_variation's gradient", &gradient, |i| {
            gamma(7) * (before[i].abs() + pull)
        });
    }
}
