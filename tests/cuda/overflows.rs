// SPDX-License-Identifier: MIT OR Apache-2.0

//! What is too large for fp16: activations stop at its greatest number, and a step whose gradients do not fit says so, and
//! looks for a scale under which they do.

use neuralstyle::backend::cuda::{Cuda, Filter, Mask, Tensor};
use neuralstyle::backend::prelude::*;
use neuralstyle::backend::{CancelToken, Capture, FilterData, Pooling, Result, Scalar, Shape, Slot};

use crate::faint::{uploaded, values};
use crate::start;

const GREATEST: f32 = 65504.0;

const PICTURE: Shape = Shape::new(3, 12, 14);
const DEEP: Shape = PICTURE.with_channels(16);

fn filter(ops: &mut Cuda, inputs: usize, outputs: usize, weight: f32) -> Filter {
    let data = FilterData {
        outputs,
        inputs,
        weights: vec![weight; outputs * inputs * 9],
        bias: vec![0.0; outputs],
    };
    ops.filter(&data).unwrap()
}

#[test]
fn what_is_too_large_is_the_greatest_number() {
    let Some(mut ops) = start::cuda(CancelToken::new()) else {
        return;
    };
    let mut large = ops.tensor(DEEP).unwrap();
    let mut signed = vec![1e6; DEEP.elements()];
    signed[..100].fill(-1e6);
    ops.upload(&signed, &mut large).unwrap();
    let expected: Vec<f32> = signed.iter().map(|value| value.signum() * GREATEST).collect();
    assert_eq!(values(&mut ops, &large), expected);

    ops.upload(&vec![300.0; DEEP.elements()], &mut large).unwrap();
    let mut squares = ops.tensor(DEEP).unwrap();
    ops.square(&large, &mut squares).unwrap();
    assert!(values(&mut ops, &squares).iter().all(|&value| value == GREATEST));

    // One output that gets all there is, whole and pooled; by a single pass and by parts of the channels. What a tensor holds is
    // multiplied by a power of two.
    for channels in [16, 96] {
        let from = DEEP.with_channels(channels);
        let mut large = ops.tensor(from).unwrap();
        ops.upload(&vec![60000.0; from.elements()], &mut large).unwrap();
        let mut data = FilterData {
            outputs: 16,
            inputs: channels,
            weights: vec![0.0; 16 * channels * 9],
            bias: vec![0.0; 16],
        };
        data.weights[..channels * 9].fill(1.0);
        let ones = ops.filter(&data).unwrap();
        let mut mask = ops.mask(DEEP).unwrap();
        let (mut to, mut pooled) = (ops.tensor(DEEP).unwrap(), ops.tensor(DEEP.pooled()).unwrap());
        ops.conv_relu(&large, &ones, &mut to, &mut mask).unwrap();
        ops.conv_relu_pool(&large, &ones, Pooling::Average, &mut pooled, &mut mask)
            .unwrap();
        for found in [values(&mut ops, &to), values(&mut ops, &pooled)] {
            let (first, others) = found.split_at(found.len() / 16);
            let greatest = first[0];
            assert!(
                greatest >= GREATEST && (greatest / GREATEST).log2().fract() == 0.0,
                "{greatest}"
            );
            assert!(first.iter().all(|&value| value == greatest), "{channels}");
            assert!(others.iter().all(|&value| value == 0.0), "{channels}");
        }
    }
}

/// A filter's gain is undone by a power of two that has bounds, so that those of two filters together stay within fp32. What
/// they do not undo stops at the greatest number.
#[test]
fn weights_beyond_all_measure_leave_finite_activations() {
    let Some(mut ops) = start::cuda(CancelToken::new()) else {
        return;
    };
    for weight in [1e30, 1e-30] {
        let [first, second] = [3, 16].map(|inputs| filter(&mut ops, inputs, 16, weight));
        let mut picture = ops.tensor(PICTURE).unwrap();
        ops.upload(&vec![1.0; PICTURE.elements()], &mut picture).unwrap();
        let [mut between, mut to] = [(); 2].map(|()| ops.tensor(DEEP).unwrap());
        let mut mask = ops.mask(DEEP).unwrap();
        ops.conv_relu(&picture, &first, &mut between, &mut mask).unwrap();
        ops.conv_relu(&between, &second, &mut to, &mut mask).unwrap();
        let found = values(&mut ops, &to);
        assert!(found.iter().all(|value| value.is_finite()), "{weight}: {found:?}");
    }
}

/// Beyond the greatest half lies infinity, and a difference of two infinities is no number.
#[test]
fn a_picture_beyond_the_greatest_number_is_taken_for_it() {
    let Some(mut ops) = start::cuda(CancelToken::new()) else {
        return;
    };
    let shape = Shape::new(3, 9, 17);
    let mut data = FilterData {
        outputs: 16,
        inputs: 3,
        weights: vec![0.0; 16 * 3 * 9],
        bias: vec![0.25; 16],
    };
    // The middle of the first channel less that of the second.
    for of_output in data.weights.chunks_exact_mut(3 * 9) {
        (of_output[4], of_output[9 + 4]) = (1.0, -1.0);
    }
    let filter = ops.filter(&data).unwrap();
    let deep = shape.with_channels(16);
    let (mut to, mut mask) = (ops.tensor(deep).unwrap(), ops.mask(deep).unwrap());
    let mut picture = ops.tensor(shape).unwrap();
    for value in [1e6, -1e6] {
        ops.upload(&vec![value; shape.elements()], &mut picture).unwrap();
        ops.conv_relu(&picture, &filter, &mut to, &mut mask).unwrap();
        assert_eq!(values(&mut ops, &to), vec![0.25; deep.elements()]);
    }
}

/// A picture, what a layer makes of it, and a way back from there to a step along the gradient.
struct Layer {
    picture: Tensor,
    filter: Filter,
    mask: Mask,
    deep: Tensor,
    target: Tensor,
    gradient: Tensor,
    back: Tensor,
    velocity: Tensor,
    weight: Tensor,
    /// A weight of three pixels by three alone, which only the first turns of a block's threads come across.
    few: Tensor,
    gram: Tensor,
    mean: Tensor,
    moved: Tensor,
    knobs: Tensor,
    sums: Tensor,
}

/// Adds to the gradient of a layer's output.
type Term = fn(&mut Cuda, &mut Layer, &mut Behind) -> Result<()>;

/// Another layer behind the first.
struct Behind {
    filter: Filter,
    mask: Mask,
    deep: Tensor,
    target: Tensor,
    gradient: Tensor,
}

impl Layer {
    fn new(ops: &mut Cuda) -> Self {
        let mut layer = Self {
            picture: uploaded(ops, PICTURE, 1),
            filter: filter(ops, 3, 16, 0.25),
            mask: ops.mask(DEEP).unwrap(),
            deep: ops.tensor(DEEP).unwrap(),
            target: ops.tensor(DEEP).unwrap(),
            gradient: ops.tensor(DEEP).unwrap(),
            back: ops.tensor(PICTURE).unwrap(),
            velocity: ops.tensor(PICTURE).unwrap(),
            weight: ops.tensor(DEEP.with_channels(1)).unwrap(),
            few: ops.tensor(DEEP.with_channels(1)).unwrap(),
            gram: ops.tensor(Shape::square(16)).unwrap(),
            mean: ops.tensor(Shape::vector(16)).unwrap(),
            moved: ops.tensor(PICTURE).unwrap(),
            knobs: ops.tensor(Shape::vector(3)).unwrap(),
            sums: ops.tensor(Shape::vector(1)).unwrap(),
        };
        ops.fill(1.0, &mut layer.weight).unwrap();
        let mut few = vec![0.0; DEEP.pixels()];
        for row in few.chunks_mut(DEEP.width).skip(2).take(3) {
            row[4..7].fill(1.0);
        }
        ops.upload(&few, &mut layer.few).unwrap();
        let other = uploaded(ops, PICTURE, 2);
        ops.conv_relu(&other, &layer.filter, &mut layer.target, &mut layer.mask)
            .unwrap();
        ops.conv_relu(&layer.picture, &layer.filter, &mut layer.deep, &mut layer.mask)
            .unwrap();
        layer
    }

    fn behind(&self, ops: &mut Cuda, channels: usize) -> Behind {
        let shape = DEEP.with_channels(channels);
        let mut behind = Behind {
            filter: filter(ops, 16, channels, 0.25),
            mask: ops.mask(shape).unwrap(),
            deep: ops.tensor(shape).unwrap(),
            target: ops.tensor(shape).unwrap(),
            gradient: ops.tensor(shape).unwrap(),
        };
        ops.conv_relu(&self.deep, &behind.filter, &mut behind.deep, &mut behind.mask)
            .unwrap();
        behind
    }

    /// The gradient that `term` says, and a step along it.
    fn step(&mut self, ops: &mut Cuda, term: Term, behind: &mut Behind) -> Result<()> {
        ops.fill(0.0, &mut self.gradient)?;
        term(ops, self, behind)?;
        ops.conv_relu_backward(&self.gradient, &self.mask, &self.filter, &mut self.back)?;
        let (rate, momentum) = (
            Scalar {
                of: &self.knobs,
                at: 1,
            },
            Scalar {
                of: &self.knobs,
                at: 2,
            },
        );
        ops.sgd(&self.back, &mut self.velocity, rate, momentum, &mut self.moved)?;
        ops.axpy(-1.0, &self.moved, &mut self.picture)
    }
}

/// What the terms below say has the same gradient within a step, where it is multiplied by a scale that is much too large at
/// first, as outside; and the picture follows it at every run.
#[test]
fn a_gradient_that_does_not_fit_is_noticed_wherever_it_arises() {
    let Some(mut ops) = start::cuda(CancelToken::new()) else {
        return;
    };
    let terms: [(&str, usize, Term); 8] = [
        ("squared error", 16, |ops, layer, _| {
            let (coefficient, sum) = numbers(&layer.knobs, &mut layer.sums);
            ops.squared_error(&layer.deep, &layer.target, coefficient, &mut layer.gradient, sum)
        }),
        ("weighted squared error", 16, |ops, layer, _| {
            let (coefficient, sum) = numbers(&layer.knobs, &mut layer.sums);
            let (a, target) = (&layer.deep, &layer.target);
            ops.weighted_squared_error(a, target, &layer.weight, coefficient, &mut layer.gradient, sum)
        }),
        ("total variation", 16, |ops, layer, _| {
            let (coefficient, sum) = numbers(&layer.knobs, &mut layer.sums);
            ops.total_variation(&layer.target, coefficient, &mut layer.gradient, sum)
        }),
        ("Gram matrix", 16, |ops, layer, _| {
            ops.moments(&layer.deep, 1e-3, &mut layer.gram, &mut layer.mean)?;
            let (coefficient, _) = numbers(&layer.knobs, &mut layer.sums);
            ops.moments_backward(
                &layer.deep,
                &layer.gram,
                &layer.mean,
                coefficient,
                &mut layer.gradient,
            )
        }),
        ("convolution", 24, from_behind),
        ("convolution of a few pixels", 32, |ops, layer, behind| {
            ops.fill(0.0, &mut behind.gradient)?;
            let (coefficient, sum) = numbers(&layer.knobs, &mut layer.sums);
            let (a, target) = (&behind.deep, &behind.target);
            ops.weighted_squared_error(a, target, &layer.few, coefficient, &mut behind.gradient, sum)?;
            back_through(ops, layer, behind)
        }),
        ("convolution in parts", 96, from_behind),
        ("convolution to few channels", 2, from_behind),
    ];
    for (what, channels, term) in terms {
        // The scale goes down by 16 at a time: for one of these only the last number on the way does not fit.
        for times in [1.0, 2.0, 4.0, 8.0] {
            check(&mut ops, &format!("{what}, {times} times"), times, channels, term);
        }
    }
}

fn check(ops: &mut Cuda, what: &str, times: f32, channels: usize, term: Term) {
    let make = |ops: &mut Cuda| {
        let mut layer = Layer::new(ops);
        let behind = layer.behind(ops, channels);
        let error = greatest(&values(ops, &behind.deep));
        ops.upload(&[0.9 * times / error, 0.5, 0.0], &mut layer.knobs)
            .unwrap();
        (layer, behind)
    };
    let (mut plain, mut behind) = make(ops);
    plain.step(ops, term, &mut behind).unwrap();
    let expected = values(ops, &plain.back);
    let start = values(ops, &plain.picture);
    let largest = greatest(&expected);
    assert!(largest > 0.0, "{what}");

    let (mut layer, mut behind) = make(ops);
    let mut capture = Capture::default();
    for run in 0..3 {
        ops.capture(&mut capture, |ops| layer.step(ops, term, &mut behind))
            .unwrap();
        let off = distance(&values(ops, &layer.back), &expected);
        assert!(off <= 0.01 * largest, "{what}, run {run}: {off} of {largest}");
        let wanted: Vec<f32> = (start.iter().zip(&expected))
            .map(|(start, gradient)| start - 0.5 * run as f32 * gradient)
            .collect();
        let off = distance(&values(ops, &layer.picture), &wanted);
        assert!(
            off <= 0.02 * largest * (1.0 + run as f32),
            "{what}, run {run}: the picture is off by {off} of {largest}"
        );
    }
}

fn greatest(values: &[f32]) -> f32 {
    values.iter().fold(0.0, |most, value| most.max(value.abs()))
}

fn distance(a: &[f32], b: &[f32]) -> f32 {
    (a.iter().zip(b)).fold(0.0, |most, (a, b)| most.max((a - b).abs()))
}

fn numbers<'a>(knobs: &'a Tensor, sums: &'a mut Tensor) -> (Scalar<'a, Tensor>, Slot<'a, Tensor>) {
    (Scalar { of: knobs, at: 0 }, Slot { of: sums, at: 0 })
}

/// A squared error behind another convolution.
fn from_behind(ops: &mut Cuda, layer: &mut Layer, behind: &mut Behind) -> Result<()> {
    ops.fill(0.0, &mut behind.gradient)?;
    let (coefficient, sum) = numbers(&layer.knobs, &mut layer.sums);
    let (a, target) = (&behind.deep, &behind.target);
    ops.squared_error(a, target, coefficient, &mut behind.gradient, sum)?;
    back_through(ops, layer, behind)
}

fn back_through(ops: &mut Cuda, layer: &mut Layer, behind: &Behind) -> Result<()> {
    ops.conv_relu_backward(
        &behind.gradient,
        &behind.mask,
        &behind.filter,
        &mut layer.gradient,
    )
}

/// Half the scale after a step that overflowed, twice after 200 in a row that did not, and never beyond the first.
#[test]
fn the_scale_follows_what_overflows() {
    let Some(mut ops) = start::cuda(CancelToken::new()) else {
        return;
    };
    const SHAPE: Shape = Shape::new(8, 1, 2);
    let [mut a, target, mut gradient] = [(); 3].map(|()| ops.tensor(SHAPE).unwrap());
    let (mut knobs, mut sums) = (
        ops.tensor(Shape::vector(1)).unwrap(),
        ops.tensor(Shape::vector(1)).unwrap(),
    );
    ops.fill(1.0, &mut a).unwrap();
    let mut capture = Capture::default();
    // The gradient as it is stored, after some steps under a coefficient.
    let mut stored = |ops: &mut Cuda, steps: usize, coefficient: f32| {
        ops.upload(&[coefficient], &mut knobs).unwrap();
        for _ in 0..steps {
            ops.capture(&mut capture, |ops| {
                ops.fill(0.0, &mut gradient)?;
                let (coefficient, sum) = numbers(&knobs, &mut sums);
                ops.squared_error(&a, &target, coefficient, &mut gradient, sum)
            })
            .unwrap();
        }
        values(ops, &gradient)[0]
    };
    // Under the first scale, 2¹²: those before are 2¹⁶ and more.
    assert_eq!(stored(&mut ops, 1, 1.0), 4096.0);
    assert_eq!(stored(&mut ops, 3, 1.0), 4096.0);
    // Two that overflow, and the first of 200 that do not, whose last one still has the same scale.
    assert_eq!(stored(&mut ops, 2, 60.0), GREATEST);
    assert_eq!(stored(&mut ops, 1, 1.0), 1024.0);
    assert_eq!(stored(&mut ops, 199, 1.0), 1024.0);
    assert_eq!(stored(&mut ops, 1, 1.0), 2048.0);
    assert_eq!(stored(&mut ops, 199, 1.0), 2048.0);
    assert_eq!(stored(&mut ops, 1, 1.0), 4096.0);
    assert_eq!(stored(&mut ops, 200, 1.0), 4096.0);
    // An overflow begins the row anew.
    assert_eq!(stored(&mut ops, 1, 60.0), GREATEST);
    assert_eq!(stored(&mut ops, 150, 1.0), 2048.0);
    assert_eq!(stored(&mut ops, 1, 60.0), GREATEST);
    assert_eq!(stored(&mut ops, 200, 1.0), 1024.0);
    assert_eq!(stored(&mut ops, 1, 1.0), 2048.0);
}
