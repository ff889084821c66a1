// SPDX-License-Identifier: MIT OR Apache-2.0

//! Memory, elementwise passes and the optimisers.

use neuralstyle::backend::prelude::*;
use neuralstyle::backend::{AdamKnobs, Capture, Scalar, Shape};

use super::pair::{LONG, Machine, Pair, SHAPES, Twin, UNIT, gamma, magnitudes};

pub fn memory<B: Machine>(ops: &mut B) {
    let mut pair = Pair::new(ops, 10);
    for shape in SHAPES {
        let fresh = pair.ops.tensor(shape).unwrap();
        assert_eq!(pair.ops.shape(&fresh), shape);
        assert!(
            pair.values(&fresh).iter().all(|&value| value == 0.0),
            "a new tensor is zero"
        );

        let from = pair.signed(shape);
        pair.assert_same("upload and download", &from);
        let mut to = pair.soiled(shape);
        pair.ops.copy(&from.real, &mut to.real).unwrap();
        pair.exact.copy(&from.exact, &mut to.exact).unwrap();
        pair.assert_same("copy", &to);
        pair.ops.fill(0.375, &mut to.real).unwrap();
        pair.exact.fill(0.375, &mut to.exact).unwrap();
        pair.assert_same("fill", &to);
    }
}

/// The memory of a large tensor serves smaller shapes in turn, and the large one again.
pub fn reshaping<B: Machine>(ops: &mut B) {
    let mut pair = Pair::new(ops, 11);
    let shapes = [
        Shape::new(3, 5, 7),
        Shape::new(7, 11, 13),
        Shape::new(1, 1, 1),
        Shape::new(17, 7, 11),
        Shape::new(1, 1, 1001),
    ];
    let mut tensor = pair.ops.tensor_for(&shapes).unwrap();
    assert_eq!(pair.ops.shape(&tensor), shapes[0]);
    for shape in shapes.into_iter().chain(shapes) {
        pair.ops.reshape(&mut tensor, shape);
        assert_eq!(pair.ops.shape(&tensor), shape);
        let values = pair.random.signeds(shape.elements());
        let values = pair.rounded(shape, &values);
        pair.ops.upload(&values, &mut tensor).unwrap();
        assert_eq!(pair.values(&tensor), values);
        let mut squares = pair.ops.tensor(shape).unwrap();
        pair.ops.square(&tensor, &mut squares).unwrap();
        let expected: Vec<f32> = values.iter().map(|value| value * value).collect();
        assert_eq!(pair.values(&squares), pair.rounded(shape, &expected));
    }
}

pub fn squaring<B: Machine>(ops: &mut B) {
    let mut pair = Pair::new(ops, 12);
    for shape in SHAPES.into_iter().chain(LONG) {
        let from = pair.signed(shape);
        let mut to = pair.soiled(shape);
        pair.ops.square(&from.real, &mut to.real).unwrap();
        pair.exact.square(&from.exact, &mut to.exact).unwrap();
        let sizes = to.exact.values.clone();
        pair.assert_close("square", &to, |i| UNIT * sizes[i]);
    }
}

pub fn adding<B: Machine>(ops: &mut B) {
    let mut pair = Pair::new(ops, 13);
    for shape in SHAPES {
        let x = pair.signed(shape);
        let mut to = pair.signed(shape);
        let sizes: Vec<f64> = (to.exact.values.iter().zip(&x.exact.values))
            .map(|(to, x)| to.abs() + 0.7 * x.abs())
            .collect();
        pair.ops.axpy(-0.7, &x.real, &mut to.real).unwrap();
        pair.exact.axpy(-0.7, &x.exact, &mut to.exact).unwrap();
        pair.assert_close("axpy", &to, |i| gamma(2) * sizes[i]);
    }
}

pub fn blurring<B: Machine>(ops: &mut B) {
    let mut pair = Pair::new(ops, 14);
    for shape in SHAPES {
        let from = pair.signed(shape);
        let mut to = pair.soiled(shape);
        pair.ops.blur(&from.real, &mut to.real).unwrap();
        pair.exact.blur(&from.exact, &mut to.exact).unwrap();
        let mut sizes = pair.exact.tensor(shape).unwrap();
        pair.exact.blur(&magnitudes(&from.exact), &mut sizes).unwrap();
        // Nine products.
        pair.assert_close("blur", &to, |i| gamma(9) * sizes.values[i]);
    }
}

/// Steps are taken with pictures, which have few channels.
const PICTURES: [Shape; 5] = [
    Shape::new(1, 1, 1),
    Shape::new(3, 1, 1),
    Shape::new(3, 5, 7),
    Shape::new(1, 64, 65),
    Shape::new(3, 301, 299),
];

/// Numbers of a step among others, so that a backend that reads the wrong one is found out.
fn knobs<B: Machine>(pair: &mut Pair<B>, values: [f32; 7]) -> Twin<B::Tensor> {
    pair.tensor(Shape::vector(7), &values)
}

pub fn adam<B: Machine>(ops: &mut B) {
    let mut pair = Pair::new(ops, 15);
    let (beta1, beta2, rate, root, epsilon) = (0.9f32, 0.99f32, 0.05f32, 3.2f32, 1e-6f32);
    let knobs = knobs(&mut pair, [9.0, root, epsilon, rate, -9.0, beta2, beta1]);
    let at = AdamKnobs {
        rate: 3,
        root: 1,
        beta1: 6,
        beta2: 5,
        epsilon: 2,
    };
    for shape in PICTURES {
        let (mut step, gradient, mut m) = (pair.soiled(shape), pair.signed(shape), pair.signed(shape));
        let (squared, mut v) = (pair.units(shape), pair.units(shape));
        let m_sizes: Vec<f64> = (m.exact.values.iter().zip(&gradient.exact.values))
            .map(|(m, g)| (0.9 * m).abs() + (0.1 * g).abs())
            .collect();
        macro_rules! take {
            ($ops:expr, $of:ident) => {
                $ops.adam(
                    &gradient.$of,
                    &squared.$of,
                    &mut m.$of,
                    &mut v.$of,
                    &knobs.$of,
                    at,
                    &mut step.$of,
                )
                .unwrap()
            };
        }
        take!(pair.ops, real);
        take!(pair.exact, exact);
        // Both moments: two products, 1 − β, and a sum.
        let v_sizes = v.exact.values.clone();
        pair.assert_close("adam's m", &m, |i| gamma(4) * m_sizes[i]);
        pair.assert_close("adam's v", &v, |i| gamma(4) * v_sizes[i]);
        // The step inherits m's error and makes roundings of its own: half of v's 4, the root, its product, + ε, and
        // the product and quotient with the rate: 7, of which a backend may double those of an inexact root and
        // quotient.
        let m_values = m.exact.values.clone();
        pair.assert_close("adam's step", &step, |i| {
            let slope = f64::from(rate) / (v_sizes[i].sqrt() * f64::from(root) + f64::from(epsilon));
            slope * (gamma(4) * m_sizes[i] + gamma(9) * m_values[i].abs())
        });
    }
}

pub fn sgd<B: Machine>(ops: &mut B) {
    let mut pair = Pair::new(ops, 16);
    let (rate, momentum) = (0.25f32, 0.9f32);
    let knobs = knobs(&mut pair, [7.0, 7.0, momentum, 7.0, rate, 7.0, 7.0]);
    for shape in PICTURES {
        let (mut step, gradient, mut velocity) = (pair.soiled(shape), pair.signed(shape), pair.signed(shape));
        let sizes: Vec<f64> = (velocity.exact.values.iter().zip(&gradient.exact.values))
            .map(|(u, g)| (f64::from(momentum) * u).abs() + g.abs())
            .collect();
        macro_rules! take {
            ($ops:expr, $of:ident) => {{
                let [rate, momentum] = [4, 2].map(|at| Scalar { of: &knobs.$of, at });
                $ops.sgd(
                    &gradient.$of,
                    &mut velocity.$of,
                    rate,
                    momentum,
                    &mut step.$of,
                )
                .unwrap()
            }};
        }
        take!(pair.ops, real);
        take!(pair.exact, exact);
        pair.assert_close("sgd's velocity", &velocity, |i| gamma(2) * sizes[i]);
        pair.assert_close("sgd's step", &step, |i| gamma(3) * f64::from(rate) * sizes[i]);
    }
}

pub fn descending<B: Machine>(ops: &mut B) {
    let mut pair = Pair::new(ops, 18);
    let axes = pair.signed(Shape::vector(9));
    for shape in PICTURES.into_iter().filter(|shape| shape.channels == 3) {
        let (mut x, step, blurred) = (pair.units(shape), pair.signed(shape), pair.signed(shape));
        let before = x.exact.values.clone();
        pair.ops
            .descend(&mut x.real, &step.real, &blurred.real, &axes.real)
            .unwrap();
        pair.exact
            .descend(&mut x.exact, &step.exact, &blurred.exact, &axes.exact)
            .unwrap();
        let pixels = shape.pixels();
        let total = |of: &Twin<B::Tensor>, pixel: usize| -> f64 {
            (0..3).map(|c| of.exact.values[c * pixels + pixel].abs()).sum()
        };
        // A mean takes two sums and a quotient, and there are two sums with it; then a product, two sums, and the difference. A
        // mean is at most a third of its pixel's numbers, and a number at most all of them.
        pair.assert_close("descend", &x, |i| {
            let (channel, pixel) = (i / pixels, i % pixels);
            let reach = total(&step, pixel) / 3.0 + 4.0 / 3.0 * total(&blurred, pixel);
            let axis: f64 = axes.exact.values[3 * channel..][..3]
                .iter()
                .map(|a| a.abs())
                .sum();
            gamma(9) * (before[i].abs() + axis * reach)
        });
    }
}

/// A captured step is performed at every call, and sees what was uploaded since it was recorded.
pub fn capturing<B: Machine>(ops: &mut B) {
    let mut pair = Pair::new(ops, 17);
    for shape in [Shape::new(3, 5, 7), Shape::new(1, 50, 70)] {
        let mut tensors = || [(); 10].map(|()| pair.ops.tensor(shape).unwrap());
        let [
            mut x,
            mut velocity,
            mut gradient,
            mut y,
            mut m,
            mut v,
            mut z,
            mut n,
            mut w,
            mut step,
        ] = tensors();
        pair.ops.fill(1.0, &mut gradient).unwrap();
        // Rate and momentum of one, and the numbers of the other.
        let mut knobs = pair.ops.tensor(Shape::vector(7)).unwrap();
        let (rate_of, momentum_of) = (0, 1);
        let of_adam = AdamKnobs {
            rate: 2,
            root: 3,
            beta1: 4,
            beta2: 5,
            epsilon: 6,
        };
        let mut capture = Capture::default();
        let mut expected = 0.0;
        for (run, rate) in [0.5f32, 0.25, 2.0, 1.0].into_iter().enumerate() {
            let numbers = [rate, 0.0, rate, 1.5, 0.75, 0.9, 1e-3];
            pair.ops.upload(&numbers, &mut knobs).unwrap();
            pair.ops
                .capture(&mut capture, |ops| {
                    let [rate, momentum] = [rate_of, momentum_of].map(|at| Scalar { of: &knobs, at });
                    ops.sgd(&gradient, &mut velocity, rate, momentum, &mut step)?;
                    ops.axpy(-1.0, &step, &mut x)?;
                    ops.adam(&gradient, &gradient, &mut m, &mut v, &knobs, of_adam, &mut y)
                })
                .unwrap();
            assert_eq!(capture.runs, run as u64 + 1);
            expected -= rate;
            assert!(
                pair.values(&x).iter().all(|&value| value == expected),
                "run {run}"
            );
            // The other does the same as when nobody writes it down.
            pair.ops
                .adam(&gradient, &gradient, &mut n, &mut w, &knobs, of_adam, &mut z)
                .unwrap();
            assert_eq!(pair.values(&y), pair.values(&z), "run {run}");
        }
    }
}
