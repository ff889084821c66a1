// SPDX-License-Identifier: MIT OR Apache-2.0

use neuralstyle::backend::prelude::*;
use neuralstyle::backend::{Capture, Result, Scalar, Shape, Slot};

use super::network::{map_filter, random_filter};
use super::pair::{Machine, Pair, magnitudes};

/// Channels between two convolutions and behind them, height and width: for each way that a card has of computing an adjoint.
const STEPS: [(usize, usize, usize, usize); 7] = [
    (24, 8, 65, 64),
    (40, 9, 65, 64),
    (72, 7, 65, 64),
    (6, 5, 9, 7),
    (9, 3, 7, 11),
    (72, 230, 5, 6),
    (72, 9, 33, 65),
];

/// Steps that are enough for a scale of gradients to become a thousandth, and to be tried larger again.
const ADAPTING: usize = 16;
const CLEAN: usize = 201;

/// A step is a gradient's way from a loss to the picture. A backend that stores it in fp16 scales it, and finds out by how
/// much, beginning where everything here overflows; what comes out is the same. So it is some steps after gradients have become
/// much larger, and smaller again.
pub fn backward<B: Machine>(ops: &mut B) {
    let mut pair = Pair::new(ops, 8);
    for (turn, (between, behind, height, width)) in STEPS.into_iter().enumerate() {
        let shapes = [3, between, behind].map(|channels| Shape::new(channels, height, width));
        // Products of at most 1 in sum, and a bias that lets everything through.
        let layers: Vec<_> = shapes
            .windows(2)
            .map(|pair_of| {
                let [inputs, outputs] = [pair_of[0], pair_of[1]].map(|shape| shape.channels);
                let mut data = random_filter(&mut pair.random, inputs, outputs, 0.0);
                data.weights.iter_mut().for_each(|w| *w /= 9.0 * inputs as f32);
                data.bias.fill(2.0);
                let (x, mut y) = (pair.signed(pair_of[0]), pair.soiled(pair_of[1]));
                let filter = pair.ops.filter(&data).unwrap();
                let mut mask = pair.ops.mask(pair_of[1]).unwrap();
                pair.ops
                    .conv_relu(&x.real, &filter, &mut y.real, &mut mask)
                    .unwrap();
                let mut exact_mask = pair.exact.mask(pair_of[1]).unwrap();
                pair.exact
                    .conv_relu(&x.exact, &data, &mut y.exact, &mut exact_mask)
                    .unwrap();
                (filter, mask, data, exact_mask)
            })
            .collect();
        let (y, target, weight) = (
            pair.signed(shapes[2]),
            pair.signed(shapes[2]),
            pair.units(shapes[2].with_channels(1)),
        );
        // A difference of Gram matrices of which each sum has one term, and each term one number that is rounded.
        let mut diagonal = vec![0.0; behind * behind];
        for channel in 0..behind {
            diagonal[channel * (behind + 1)] = [0.5, -1.0, 0.25][channel % 3];
        }
        let matrix = pair.tensor(Shape::square(behind), &diagonal);
        let offset = pair.tensor(Shape::vector(behind), &vec![0.0; behind]);
        let (mut knob, mut sum) = (
            pair.tensor(Shape::vector(1), &[0.3]),
            pair.soiled(Shape::vector(1)),
        );
        let mut gradients = shapes.map(|shape| pair.soiled(shape));
        // Each loss has its turn.
        macro_rules! step {
            ($ops:expr, $of:ident, $first:expr, $second:expr) => {{
                let [first, second, third] = &mut gradients;
                $ops.fill(0.0, &mut third.$of)?;
                let (coefficient, slot) = (
                    Scalar {
                        of: &knob.$of,
                        at: 0,
                    },
                    Slot {
                        of: &mut sum.$of,
                        at: 0,
                    },
                );
                let seed = &mut third.$of;
                match turn % 4 {
                    0 => $ops.squared_error(&y.$of, &target.$of, coefficient, seed, slot)?,
                    1 => $ops.weighted_squared_error(
                        &y.$of,
                        &target.$of,
                        &weight.$of,
                        coefficient,
                        seed,
                        slot,
                    )?,
                    2 => $ops.total_variation(&y.$of, coefficient, seed, slot)?,
                    _ => $ops.moments_backward(&y.$of, &matrix.$of, &offset.$of, coefficient, seed)?,
                }
                $ops.conv_relu_backward(&third.$of, $second.1, $second.0, &mut second.$of)?;
                $ops.conv_relu_backward(&second.$of, $first.1, $first.0, &mut first.$of)
            }};
        }
        let mut capture = Capture::default();
        // How large the loss counts, and for how many steps.
        let phases = [(0.3f32, 3), (307.2, ADAPTING), (0.3, CLEAN)];
        for &(coefficient, steps) in &phases[..if turn == 3 { 3 } else { 1 }] {
            pair.ops.upload(&[coefficient], &mut knob.real).unwrap();
            knob.exact.values = vec![f64::from(coefficient)];
            for _ in 0..steps {
                pair.ops
                    .capture(&mut capture, |ops| {
                        let [first, second] = [0, 1].map(|at| (&layers[at].0, &layers[at].1));
                        step!(ops, real, first, second)
                    })
                    .unwrap();
            }
            let mut exactly = || -> Result<()> {
                let [first, second] = [0, 1].map(|at| (&layers[at].2, &layers[at].3));
                step!(pair.exact, exact, first, second)
            };
            exactly().unwrap();

            // The seed, the gradient between and the weights of both are rounded to fp16, and the signs of all may agree; the
            // last two stand for what a sum of many adds in f32.
            let mut sizes = magnitudes(&gradients[2].exact);
            for (layer, shape) in layers.iter().zip(&shapes).rev() {
                let positive = map_filter(&layer.2, f32::abs);
                let mut next = pair.exact.tensor(*shape).unwrap();
                pair.exact
                    .conv_relu_backward(&sizes, &layer.3, &positive, &mut next)
                    .unwrap();
                sizes = next;
            }
            pair.assert_close("a gradient in a step", &gradients[0], |i| {
                6.0 / 2048.0 * sizes.values[i]
            });
        }
    }
}
