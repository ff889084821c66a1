// SPDX-License-Identifier: MIT OR Apache-2.0

use neuralstyle::backend::prelude::*;
use neuralstyle::backend::{Moments, Scalar, Shape, Slot};

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

pub fn moments<B: Machine>(ops: &mut B) {
    let mut pair = Pair::new(ops, 24);
    for shape in GRAMS {
        let a = pair.signed(shape);
        let (square, vector) = (Shape::square(shape.channels), Shape::vector(shape.channels));
        let (mut gram, mut mean) = (pair.soiled(square), pair.soiled(vector));
        let scale = 1.0 / shape.elements() as f32;
        pair.ops
            .moments(&a.real, scale, &mut gram.real, &mut mean.real)
            .unwrap();
        pair.exact
            .moments(&a.exact, scale, &mut gram.exact, &mut mean.exact)
            .unwrap();
        let mut sizes = pair.exact.tensor(square).unwrap();
        let mut mean_sizes = pair.exact.tensor(vector).unwrap();
        pair.exact
            .moments(&magnitudes(&a.exact), scale, &mut sizes, &mut mean_sizes)
            .unwrap();
        // Runs of at most 2048 pixels in one f32 sum, and those together; the scale, and what is stored.
        let roundings = shape.pixels().min(2048) + 5;
        // Both operands, where they are rounded first.
        let one = B::ARITHMETIC.entering(shape);
        let entering = (1.0 + one).powi(2) - 1.0;
        pair.assert_close("the Gram matrix", &gram, |i| {
            (gamma(roundings) + entering) * sizes.values[i]
        });
        pair.assert_close("the mean", &mean, |i| {
            (gamma(roundings) + one) * mean_sizes.values[i]
        });
    }
}

pub fn covariance_difference<B: Machine>(ops: &mut B) {
    let mut pair = Pair::new(ops, 27);
    for channels in [1, 2, 3, 8, 9, 31, 33, 70, 257, 513] {
        let (square, vector) = (Shape::square(channels), Shape::vector(channels));
        let (gram, covariance) = (pair.signed(square), pair.signed(square));
        let (mean, wanted) = (pair.signed(vector), pair.signed(vector));
        let (mut difference, mut offset) = (pair.soiled(square), pair.soiled(vector));
        let mut numbers = Numbers::new(&mut pair);
        let q = 0.3_f32;
        macro_rules! compare {
            ($ops:expr, $of:ident) => {
                $ops.covariance_difference(
                    Moments {
                        second: &gram.$of,
                        mean: &mean.$of,
                    },
                    Moments {
                        second: &covariance.$of,
                        mean: &wanted.$of,
                    },
                    q,
                    scalar!(numbers.knobs.$of),
                    &mut difference.$of,
                    &mut offset.$of,
                    slot!(numbers.sums.$of),
                )
                .unwrap()
            };
        }
        compare!(pair.ops, real);
        compare!(pair.exact, exact);
        let (q, weight) = (f64::from(q), f64::from(COEFFICIENT).abs());
        let (mu, nu) = (&mean.exact.values, &wanted.exact.values);
        // What each entry is a difference of.
        let parts = |i: usize| {
            let product = q * mu[i / channels].abs() * mu[i % channels].abs();
            gram.exact.values[i].abs() + product + covariance.exact.values[i].abs()
        };
        // Two products and two differences.
        let of_entry = |i: usize| gamma(4) * parts(i);
        pair.assert_close("covariance_difference", &difference, of_entry);
        let entries = &difference.exact.values;
        // The product with the mean inherits the entries' errors and is a sum; the mean's difference, its quotient and product,
        // and the difference of both.
        let of_product = |row: usize| -> f64 {
            (row * channels..(row + 1) * channels)
                .map(|i| of_entry(i) + gamma(channels.div_ceil(32) + 8) * entries[i].abs())
                .zip(mu)
                .map(|(bound, mu)| bound * mu.abs())
                .sum()
        };
        let error = |row: usize| (mu[row] - nu[row]).abs();
        pair.assert_close("covariance_difference's offset", &offset, |row| {
            of_product(row) + gamma(6) * (weight / (2.0 * q) * error(row) + offset.exact.values[row].abs())
        });
        // A square changes by twice its entry's error. A term of the means is rounded five times: its difference twice, as it is
        // squared, and the two products.
        let squares: f64 = (0..channels * channels)
            .map(|i| {
                2.0 * entries[i].abs() * of_entry(i) + of_entry(i).powi(2) + gamma(1) * entries[i].powi(2)
            })
            .sum();
        let means: f64 = (0..channels).map(|row| weight * error(row).powi(2)).sum();
        let all: f64 = entries.iter().map(|entry| entry * entry).sum::<f64>() + means;
        let bound = squares + gamma(5) * means + (gamma_of_sum(channels * channels) + gamma(2)) * all;
        numbers.assert_sum(&mut pair, "covariance_difference", bound);
    }
}

pub fn moments_backward<B: Machine>(ops: &mut B) {
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
        let offset = pair.signed(Shape::vector(channels));
        let numbers = Numbers::new(&mut pair);
        let mut sizes = magnitudes(&gradient.exact);
        let absolute = pair.tensor(Shape::vector(1), &[COEFFICIENT.abs()]);
        let coefficient = Scalar {
            of: &absolute.exact,
            at: 0,
        };
        pair.exact
            .moments_backward(
                &magnitudes(&a.exact),
                &magnitudes(&d.exact),
                &magnitudes(&offset.exact),
                coefficient,
                &mut sizes,
            )
            .unwrap();
        pair.ops
            .moments_backward(
                &a.real,
                &d.real,
                &offset.real,
                scalar!(numbers.knobs.real),
                &mut gradient.real,
            )
            .unwrap();
        pair.exact
            .moments_backward(
                &a.exact,
                &d.exact,
                &offset.exact,
                scalar!(numbers.knobs.exact),
                &mut gradient.exact,
            )
            .unwrap();
        // C products, the offset, the coefficient, the sum with what was there; and the matrix, where it is rounded first. A backend
        // that does that rounds neither the tensors of few channels nor their matrix.
        let entering = if B::ARITHMETIC.entering(shape) > 0.0 {
            0.0
        } else {
            B::ARITHMETIC.entering(Shape::square(channels))
        };
        pair.assert_close("moments_backward", &gradient, |i| {
            (gamma(channels + 3) + entering) * sizes.values[i]
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
