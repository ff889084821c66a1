// SPDX-License-Identifier: MIT OR Apache-2.0

use gstneuralstyle::backend::reference;
use gstneuralstyle::backend::{Backend, FilterData, Pooling, Shape};

use super::pair::{Pair, SHAPES, Twin, UNIT, gamma, magnitudes};
use super::random::Random;

/// (I, O, H, W): single pixels, rows and columns; 63, 64, 65 pixels; channels that no blocking divides; pictures
/// below, at and above 4096 pixels, where the blocks of an im2col become largest; and 42 → 43 channels, where the
/// columns of one direction just fit another block than those of the other.
const CONVOLUTIONS: [(usize, usize, usize, usize); 18] = [
    (1, 1, 1, 1),
    (1, 70, 1, 1),
    (70, 1, 1, 9),
    (3, 5, 9, 1),
    (3, 4, 2, 2),
    (2, 3, 7, 9),
    (2, 3, 8, 8),
    (2, 3, 5, 13),
    (1, 2, 1, 65),
    (2, 1, 129, 1),
    (4, 7, 19, 27),
    (16, 16, 24, 32),
    (17, 33, 31, 29),
    (70, 65, 12, 11),
    (3, 2, 63, 65),
    (2, 3, 64, 64),
    (3, 4, 65, 64),
    (42, 43, 64, 65),
];

fn random_filter(random: &mut Random, inputs: usize, outputs: usize, bias: f32) -> FilterData {
    FilterData {
        outputs,
        inputs,
        weights: random.signeds(outputs * inputs * 9),
        bias: random.signeds(outputs).iter().map(|b| b * bias).collect(),
    }
}

fn map_filter(filter: &FilterData, f: impl Fn(f32) -> f32) -> FilterData {
    FilterData {
        weights: filter.weights.iter().map(|&w| f(w)).collect(),
        bias: filter.bias.iter().map(|&b| f(b)).collect(),
        ..*filter
    }
}

/// max(0, W ∗ x + b) by the reference.
fn rectified<B: Backend>(pair: &mut Pair<B>, x: &reference::Tensor, filter: &FilterData) -> Vec<f64> {
    let shape = x.shape.with_channels(filter.outputs);
    let mut out = pair.exact.tensor(shape).unwrap();
    let mut mask = pair.exact.mask(shape).unwrap();
    pair.exact.conv_relu(x, filter, &mut out, &mut mask).unwrap();
    out.values
}

struct Case<T, F, M> {
    x: Twin<T>,
    y: Twin<T>,
    filter: F,
    mask: M,
    exact_filter: FilterData,
    exact_mask: Vec<u8>,
    /// How far each y may be from the exact one.
    bounds: Vec<f64>,
}

/// Forward on both, checked.
fn forward<B: Backend>(
    pair: &mut Pair<B>,
    (inputs, outputs, height, width): (usize, usize, usize, usize),
    bias: f32,
) -> Case<B::Tensor, B::Filter, B::Mask> {
    let shape = Shape::new(inputs, height, width);
    let exact_filter = random_filter(&mut pair.random, inputs, outputs, bias);
    let x = pair.signed(shape);
    let mut y = pair.soiled(shape.with_channels(outputs));
    let filter = pair.ops.filter(&exact_filter).unwrap();
    let mut mask = pair.ops.mask(y.exact.shape).unwrap();
    let mut exact_mask = pair.exact.mask(y.exact.shape).unwrap();
    pair.ops
        .conv_relu(&x.real, &filter, &mut y.real, &mut mask)
        .unwrap();
    pair.exact
        .conv_relu(&x.exact, &exact_filter, &mut y.exact, &mut exact_mask)
        .unwrap();
    // 9 I products and a bias, Σ |w x| + |b|; cutting off what is negative brings nothing further apart.
    let sizes = rectified(pair, &magnitudes(&x.exact), &map_filter(&exact_filter, f32::abs));
    let bounds: Vec<f64> = sizes.iter().map(|size| gamma(9 * inputs + 1) * size).collect();
    pair.assert_close("conv_relu", &y, |index| bounds[index]);
    Case {
        x,
        y,
        filter,
        mask,
        exact_filter,
        exact_mask,
        bounds,
    }
}

pub fn convolution<B: Backend>(ops: &mut B) {
    let mut pair = Pair::new(ops, 1);
    for sizes in CONVOLUTIONS {
        forward(&mut pair, sizes, 1.0);
    }
}

/// Σ |wᵀ g| over the outputs that each input reached.
fn backward_sizes<B: Backend>(
    pair: &mut Pair<B>,
    gradient: &reference::Tensor,
    filter: &FilterData,
) -> Vec<f64> {
    let mut gradient = magnitudes(gradient);
    let mut out = pair
        .exact
        .tensor(gradient.shape.with_channels(filter.inputs))
        .unwrap();
    let everywhere = vec![1; gradient.values.len()];
    pair.exact
        .conv_relu_backward(
            &mut gradient,
            &everywhere,
            &map_filter(filter, f32::abs),
            &mut out,
        )
        .unwrap();
    out.values
}

pub fn convolution_backward<B: Backend>(ops: &mut B) {
    let mut pair = Pair::new(ops, 2);
    for sizes in CONVOLUTIONS {
        let case = forward(&mut pair, sizes, 1.0);
        // Wx + b = max(0, Wx + b) − max(0, −Wx − b). Where that is zero within the bound, the two machines may
        // rightly disagree about the mask; no gradient comes from there.
        let negated = rectified(&mut pair, &case.x.exact, &map_filter(&case.exact_filter, |w| -w));
        let values: Vec<f32> = (0..case.bounds.len())
            .map(|i| {
                let sure = (case.y.exact.values[i] - negated[i]).abs() > case.bounds[i];
                f32::from(u8::from(sure)) * (2.0 * pair.random.unit() - 1.0)
            })
            .collect();
        let mut gradient = pair.tensor(case.y.exact.shape, &values);
        let mut out = pair.soiled(case.x.exact.shape);
        pair.ops
            .conv_relu_backward(&mut gradient.real, &case.mask, &case.filter, &mut out.real)
            .unwrap();
        pair.exact
            .conv_relu_backward(
                &mut gradient.exact,
                &case.exact_mask,
                &case.exact_filter,
                &mut out.exact,
            )
            .unwrap();
        pair.assert_same("the masked gradient", &gradient);
        let sizes = backward_sizes(&mut pair, &gradient.exact, &case.exact_filter);
        let roundings = 9 * case.exact_filter.outputs;
        pair.assert_close("conv_relu_backward", &out, |i| gamma(roundings) * sizes[i]);
    }
}

/// ⟨M W x, y⟩ = ⟨x, Wᵀ M y⟩ by the machine alone, with M its own mask and no bias.
pub fn convolution_is_adjoint<B: Backend>(ops: &mut B) {
    let mut pair = Pair::new(ops, 3);
    for sizes in CONVOLUTIONS {
        let case = forward(&mut pair, sizes, 0.0);
        let mut y = pair.signed(case.y.exact.shape);
        let raw = pair.values(&y.real);
        let forward = pair.values(&case.y.real);
        let mut back = pair.soiled(case.x.exact.shape);
        pair.ops
            .conv_relu_backward(&mut y.real, &case.mask, &case.filter, &mut back.real)
            .unwrap();
        let masked = pair.values(&y.real);
        for ((&masked, &raw), &forward) in masked.iter().zip(&raw).zip(&forward) {
            let expected = if forward > 0.0 { raw } else { 0.0 };
            assert_eq!(masked, expected, "the mask is where forward is positive");
        }
        let back = pair.values(&back.real);
        let product = |a: &[f32], b: &[f32]| {
            let products = a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b));
            products.sum::<f64>()
        };
        let there: f64 = product(&forward, &masked);
        let and_back: f64 = product(
            &case.x.exact.values.iter().map(|&x| x as f32).collect::<Vec<_>>(),
            &back,
        );
        // Each side is off by no more than the bounds of its elements, weighed.
        let masked_exact = reference::Tensor {
            shape: case.y.exact.shape,
            values: masked.iter().map(|&value| f64::from(value)).collect(),
        };
        let sizes = backward_sizes(&mut pair, &masked_exact, &case.exact_filter);
        let there_bound: f64 = case
            .bounds
            .iter()
            .zip(&masked)
            .map(|(b, &y)| b * f64::from(y).abs())
            .sum();
        let back_bound: f64 = sizes
            .iter()
            .zip(&case.x.exact.values)
            .map(|(size, x)| gamma(9 * case.exact_filter.outputs) * size * x.abs())
            .sum();
        let error = (there - and_back).abs();
        assert!(
            error <= there_bound + back_bound,
            "{sizes:?}: {there} and {and_back}"
        );
    }
}

pub fn centring<B: Backend>(ops: &mut B) {
    let mut pair = Pair::new(ops, 4);
    for shape in super::pair::pictures() {
        let from = pair.units(shape);
        let mut to = pair.soiled(shape);
        let mean = [0.485, 0.456, 0.406];
        pair.ops.centre(&from.real, mean, &mut to.real).unwrap();
        pair.exact.centre(&from.exact, mean, &mut to.exact).unwrap();
        let sizes = to.exact.values.clone();
        pair.assert_close("centre", &to, |i| UNIT * sizes[i].abs());
    }
}

/// Small whole numbers, so that a window often holds its greatest value twice: then the first place wins on every
/// machine, or gradients would flow elsewhere.
fn with_ties<B: Backend>(pair: &mut Pair<B>, shape: Shape) -> Twin<B::Tensor> {
    let values: Vec<f32> = (0..shape.elements())
        .map(|_| (pair.random.unit() * 4.0).floor())
        .collect();
    pair.tensor(shape, &values)
}

pub fn pooling<B: Backend>(ops: &mut B) {
    let mut pair = Pair::new(ops, 5);
    for shape in SHAPES {
        for (kind, ties) in [
            (Pooling::Average, false),
            (Pooling::Max, false),
            (Pooling::Max, true),
        ] {
            let from = if ties {
                with_ties(&mut pair, shape)
            } else {
                pair.signed(shape)
            };
            let mut to = pair.soiled(shape.pooled());
            let mut mask = pair.ops.mask(shape.pooled()).unwrap();
            let mut exact_mask = pair.exact.mask(shape.pooled()).unwrap();
            pair.ops.pool(&from.real, kind, &mut to.real, &mut mask).unwrap();
            pair.exact
                .pool(&from.exact, kind, &mut to.exact, &mut exact_mask)
                .unwrap();
            // An average of four numbers of at most 1; a greatest value is one of them.
            let bound = if kind == Pooling::Max { 0.0 } else { gamma(4) };
            pair.assert_close("pool", &to, |_| bound);

            let gradient = pair.signed(shape.pooled());
            let mut back = pair.soiled(shape);
            pair.ops
                .pool_backward(&gradient.real, kind, &mask, &mut back.real)
                .unwrap();
            pair.exact
                .pool_backward(&gradient.exact, kind, &exact_mask, &mut back.exact)
                .unwrap();
            pair.assert_close("pool_backward", &back, |_| bound);
        }
    }
}
