// SPDX-License-Identifier: MIT OR Apache-2.0

use neuralstyle::backend::prelude::*;
use neuralstyle::backend::reference;
use neuralstyle::backend::{FilterData, Pooling, Shape};

use super::pair::{Arithmetic, Machine, Pair, SHAPES, Twin, UNIT, gamma, magnitudes};
use super::random::Random;

/// (I, O, H, W): single pixels, rows and columns; 63, 64, 65 pixels; channels that no blocking divides; pictures of less
/// than a tile, of one row of tiles and of many; and enough channels that weights are no longer transformed beforehand, for
/// pictures where smaller and where larger tiles are better. The last are cut into each kind of tile by a card of 28 multiprocessors
/// or of 6, and into parts of the channels of which the last is smaller, forward and backward.
const CONVOLUTIONS: [(usize, usize, usize, usize); 36] = [
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
    (40, 131, 20, 21),
    (181, 185, 13, 14),
    (182, 181, 40, 47),
    (150, 65, 20, 24),
    (65, 150, 24, 20),
    (3, 70, 19, 21),
    (40, 29, 65, 64),
    (24, 40, 63, 66),
    (230, 231, 5, 6),
    (130, 131, 17, 11),
    (130, 70, 8, 11),
    (70, 130, 8, 11),
    (130, 24, 9, 9),
    (24, 130, 9, 9),
    (330, 24, 5, 6),
    (24, 330, 5, 6),
    (70, 72, 33, 65),
    (72, 71, 9, 33),
];

pub fn random_filter(random: &mut Random, inputs: usize, outputs: usize, bias: f32) -> FilterData {
    FilterData {
        outputs,
        inputs,
        weights: random.signeds(outputs * inputs * 9),
        bias: random.signeds(outputs).iter().map(|b| b * bias).collect(),
    }
}

pub fn map_filter(filter: &FilterData, f: impl Fn(f32) -> f32) -> FilterData {
    FilterData {
        weights: filter.weights.iter().map(|&w| f(w)).collect(),
        bias: filter.bias.iter().map(|&b| f(b)).collect(),
        ..*filter
    }
}

/// max(0, W ∗ x + b) by the reference.
fn rectified<B: Machine>(pair: &mut Pair<B>, x: &reference::Tensor, filter: &FilterData) -> Vec<f64> {
    let shape = x.shape.with_channels(filter.outputs);
    let mut out = pair.exact.tensor(shape).unwrap();
    let mut mask = pair.exact.mask(shape).unwrap();
    pair.exact.conv_relu(x, filter, &mut out, &mut mask).unwrap();
    out.values
}

/// How far a convolution may be off at each output, or, `transposed`, its adjoint at each input.
///
/// A convolution by Winograd's method is y = Aᵀ [Σ (G g Gᵀ) ⊙ (Bᵀ d B)] A over the channels, for tiles of at most 8×8
/// inputs. Every number on the way is a sum of products, so that Higham's bound holds for the whole: γ_n times what the
/// same formula makes of the magnitudes of all operands, the matrices included. With D the greatest input of a channel
/// under any tile that covers the output, that is at most κ² D Σ|g|, where κ is the greatest entry of |Aᵀ| (|G| · the row
/// sums of |Bᵀ|) along one axis: see [`amplification`]. On the way through a tile lie n = `channels` products and 40
/// roundings: constants and operations of six transforms of one axis, the scale of pooling, the bias. For backends that
/// add up the nine products of each channel one by one the bound holds all the more.
///
/// On a backend that rounds operands to fp16 the weights' roundoff comes to that, the input's where it is not fp16 already,
/// and that of storing, each times the sum of the magnitudes of the products.
fn bounds<B: Machine>(
    pair: &mut Pair<B>,
    x: &reference::Tensor,
    filter: &FilterData,
    transposed: bool,
) -> Vec<f64> {
    let mut bounds = bounds_in_single(x, filter, transposed);
    if let Arithmetic::Single = B::ARITHMETIC {
        return bounds;
    }
    let channels = if transposed { filter.inputs } else { filter.outputs };
    let shape = x.shape.with_channels(channels);
    let mut sizes = pair.exact.tensor(shape).unwrap();
    let (x_sizes, positive) = (magnitudes(x), map_filter(filter, f32::abs));
    if transposed {
        let mut open = pair.exact.mask(x.shape).unwrap();
        let mut nowhere = pair.exact.tensor(x.shape).unwrap();
        let ones = FilterData {
            bias: vec![1.0; filter.outputs],
            ..map_filter(filter, |_| 0.0)
        };
        let zeros = pair.exact.tensor(shape).unwrap();
        pair.exact
            .conv_relu(&zeros, &ones, &mut nowhere, &mut open)
            .unwrap();
        pair.exact
            .conv_relu_backward(&x_sizes, &open, &positive, &mut sizes)
            .unwrap();
    } else {
        sizes.values = rectified(pair, &x_sizes, &positive);
    }
    let arithmetic = B::ARITHMETIC;
    // Outputs are rounded like those of many channels, however few there are; a gradient of few channels is not.
    let stored = if transposed { shape } else { shape.with_channels(8) };
    let rounded =
        arithmetic.entering(Shape::square(3)) + arithmetic.entering(x.shape) + arithmetic.storing(stored);
    let largest = sizes.values.iter().copied().fold(0.0, f64::max);
    for (bound, size) in bounds.iter_mut().zip(&sizes.values) {
        // Twice the sum stands for the products of two roundings, and is far above them.
        *bound += rounded * (1.0 + 2.0 * rounded) * size + arithmetic.underflow(stored, largest);
    }
    bounds
}

fn bounds_in_single(x: &reference::Tensor, filter: &FilterData, transposed: bool) -> Vec<f64> {
    let Shape {
        channels,
        height,
        width,
    } = x.shape;
    let (outputs, inputs) = (filter.outputs, filter.inputs);
    let results = if transposed { inputs } else { outputs };
    let kernel = |result: usize, channel: usize| {
        let (o, i) = if transposed {
            (channel, result)
        } else {
            (result, channel)
        };
        filter.weights[(o * inputs + i) * 9..][..9]
            .iter()
            .map(|w| f64::from(w.abs()))
            .sum::<f64>()
    };
    let kappa = amplification(&[0.5_f64.sqrt(), 2.0_f64.sqrt()], 4).max(amplification(&[0.5, 1.0, 2.0], 6));
    let factor = gamma(channels + 40) * kappa * kappa;
    let bias = |result: usize| {
        if transposed {
            0.0
        } else {
            f64::from(filter.bias[result].abs())
        }
    };
    let mut bounds: Vec<f64> = (0..results * height * width)
        .map(|index| gamma(channels + 40) * bias(index / (height * width)))
        .collect();
    for channel in 0..channels {
        let plane = &x.values[channel * height * width..][..height * width];
        let greatest = greatest_nearby(plane, height, width);
        for result in 0..results {
            let weight = factor * kernel(result, channel);
            let bounds = &mut bounds[result * height * width..][..height * width];
            for (bound, greatest) in bounds.iter_mut().zip(&greatest) {
                *bound += weight * greatest;
            }
        }
    }
    bounds
}

/// The greatest magnitude within 7 pixels in both directions: under any tile of 8×8 inputs.
fn greatest_nearby(plane: &[f64], height: usize, width: usize) -> Vec<f64> {
    let greatest = |values: &[f64], length: usize, step: usize, at: usize| {
        let place = at / step % length;
        (place.saturating_sub(7)..(place + 8).min(length))
            .map(|other| values[at + other * step - place * step].abs())
            .fold(0.0, f64::max)
    };
    let rows: Vec<f64> = (0..plane.len()).map(|at| greatest(plane, width, 1, at)).collect();
    (0..rows.len())
        .map(|at| greatest(&rows, height, width, at))
        .collect()
}

/// κ of Winograd's method with `outputs` outputs at the points 0, ± each of `points` and ∞, from the polynomials that the
/// matrices consist of: row i of Bᵀ are the coefficients of Π (x − other points), row i of G is (1, a, a²) / Π (a − other
/// points), column i of Aᵀ is (1, a, a², …).
fn amplification(points: &[f64], outputs: usize) -> f64 {
    let mut finite = vec![0.0];
    finite.extend(points.iter().flat_map(|&point| [point, -point]));
    let product = |points: &[f64]| {
        points.iter().fold(vec![1.0], |polynomial: Vec<f64>, point| {
            let mut next = vec![0.0; polynomial.len() + 1];
            for (power, coefficient) in polynomial.iter().enumerate() {
                next[power + 1] += coefficient;
                next[power] -= point * coefficient;
            }
            next
        })
    };
    let size = |polynomial: Vec<f64>| polynomial.iter().map(|c| c.abs()).sum::<f64>();
    let mut kappa = 0.0_f64;
    for output in 0..outputs {
        for tap in 0..3 {
            // The point ∞ stands for the leading coefficient, of the last output and the last tap.
            let infinite = if output + 1 == outputs && tap == 2 {
                size(product(&finite))
            } else {
                0.0
            };
            let terms = finite.iter().enumerate().map(|(index, &point)| {
                let mut others = finite.clone();
                others.remove(index);
                let divisor: f64 = others.iter().map(|other| point - other).product();
                (point.powi((output + tap) as i32) / divisor).abs() * size(product(&others))
            });
            kappa = kappa.max(infinite + terms.sum::<f64>());
        }
    }
    kappa
}

struct Case<T, F, M> {
    x: Twin<T>,
    y: Twin<T>,
    filter: F,
    mask: M,
    exact_filter: FilterData,
    exact_mask: reference::Mask,
    /// How far each y may be from the exact one.
    bounds: Vec<f64>,
}

/// Forward on both, checked.
fn forward<B: Machine>(
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
    let bounds = bounds(pair, &x.exact, &exact_filter, false);
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

pub fn convolution<B: Machine>(ops: &mut B) {
    let mut pair = Pair::new(ops, 1);
    for sizes in CONVOLUTIONS {
        let mut y = forward(&mut pair, sizes, 1.0).y.real;
        // However a result was stored, it can be filled with something else.
        pair.ops.fill(0.5, &mut y).unwrap();
        assert!(pair.values(&y).iter().all(|&value| value == 0.5), "{sizes:?}");
    }
}

/// A gradient at the outputs of a convolution that is zero where the two backends may rightly disagree about the mask:
/// where Wx + b = max(0, Wx + b) − max(0, −Wx − b) is zero within the bound.
fn gradient_where_sure<B: Machine>(
    pair: &mut Pair<B>,
    case: &Case<B::Tensor, B::Filter, B::Mask>,
) -> Twin<B::Tensor> {
    let negated = rectified(pair, &case.x.exact, &map_filter(&case.exact_filter, |w| -w));
    let values: Vec<f32> = (0..case.bounds.len())
        .map(|i| {
            let sure = (case.y.exact.values[i] - negated[i]).abs() > case.bounds[i];
            f32::from(u8::from(sure)) * (2.0 * pair.random.unit() - 1.0)
        })
        .collect();
    pair.tensor(case.y.exact.shape, &values)
}

pub fn convolution_backward<B: Machine>(ops: &mut B) {
    let mut pair = Pair::new(ops, 2);
    for sizes in CONVOLUTIONS {
        let case = forward(&mut pair, sizes, 1.0);
        let gradient = gradient_where_sure(&mut pair, &case);
        let mut out = pair.soiled(case.x.exact.shape);
        pair.ops
            .conv_relu_backward(&gradient.real, &case.mask, &case.filter, &mut out.real)
            .unwrap();
        pair.exact
            .conv_relu_backward(
                &gradient.exact,
                &case.exact_mask,
                &case.exact_filter,
                &mut out.exact,
            )
            .unwrap();
        pair.assert_same("a gradient is only read", &gradient);
        let bounds = bounds(&mut pair, &gradient.exact, &case.exact_filter, true);
        pair.assert_close("conv_relu_backward", &out, |i| bounds[i]);
    }
}

/// A gradient behind pooling that is zero where the two backends may rightly disagree about its way back: where an
/// output of the window may be on either side of the ReLU, or, with max pooling, two of them may be the greatest.
fn pooled_gradient_where_sure<B: Machine>(
    pair: &mut Pair<B>,
    kind: Pooling,
    whole: Shape,
    before: &[f64],
    bounds: &[f64],
) -> Twin<B::Tensor> {
    let pooled = whole.pooled();
    let (rows, columns) = (whole.height.min(2), whole.width.min(2));
    let values: Vec<f32> = (0..pooled.elements())
        .map(|index| {
            let (c, pixel) = (index / pooled.pixels(), index % pooled.pixels());
            let (y, x) = (pixel / pooled.width * 2, pixel % pooled.width * 2);
            let window = (0..rows * columns)
                .map(|place| (c * whole.height + y + place / columns) * whole.width + x + place % columns);
            let window: Vec<usize> = window.collect();
            let best = window.iter().map(|&at| before[at]).fold(f64::MIN, f64::max);
            let bound = window.iter().map(|&at| bounds[at]).fold(0.0, f64::max);
            let sure = match kind {
                Pooling::Average => window.iter().all(|&at| before[at].abs() > bound),
                Pooling::Max => {
                    let near = window
                        .iter()
                        .filter(|&&at| before[at] >= best - 2.0 * bound)
                        .count();
                    near == 1 && best.abs() > bound || best < -bound
                }
            };
            f32::from(u8::from(sure)) * (2.0 * pair.random.unit() - 1.0)
        })
        .collect();
    pair.tensor(pooled, &values)
}

/// A convolution and the pooling behind it in one operation are the two one after the other.
pub fn convolution_and_pooling<B: Machine>(ops: &mut B) {
    let mut pair = Pair::new(ops, 6);
    for sizes in CONVOLUTIONS {
        let case = forward(&mut pair, sizes, 1.0);
        let (shape, whole) = (case.x.exact.shape, case.y.exact.shape);
        let negated = rectified(&mut pair, &case.x.exact, &map_filter(&case.exact_filter, |w| -w));
        let before: Vec<f64> = case
            .y
            .exact
            .values
            .iter()
            .zip(negated)
            .map(|(y, n)| y - n)
            .collect();
        let greatest = case.bounds.iter().copied().fold(0.0, f64::max);
        for kind in [Pooling::Average, Pooling::Max] {
            let mut y = pair.soiled(whole.pooled());
            let mut mask = pair.ops.mask(whole).unwrap();
            let mut exact_mask = pair.exact.mask(whole).unwrap();
            pair.ops
                .conv_relu_pool(&case.x.real, &case.filter, kind, &mut y.real, &mut mask)
                .unwrap();
            pair.exact
                .conv_relu_pool(
                    &case.x.exact,
                    &case.exact_filter,
                    kind,
                    &mut y.exact,
                    &mut exact_mask,
                )
                .unwrap();
            // Neither pooling brings anything further apart than the greatest of a window, but for its own roundings.
            pair.assert_close("conv_relu_pool", &y, |_| greatest * (1.0 + gamma(4)));

            let gradient = pooled_gradient_where_sure(&mut pair, kind, whole, &before, &case.bounds);
            let mut out = pair.soiled(shape);
            pair.ops
                .conv_relu_pool_backward(&gradient.real, kind, &mask, &case.filter, &mut out.real)
                .unwrap();
            pair.exact
                .conv_relu_pool_backward(
                    &gradient.exact,
                    kind,
                    &exact_mask,
                    &case.exact_filter,
                    &mut out.exact,
                )
                .unwrap();
            let mut unpooled = pair.exact.tensor(whole).unwrap();
            pair.exact
                .pool_backward(&gradient.exact, kind, &exact_mask, &mut unpooled)
                .unwrap();
            let bounds = bounds(&mut pair, &unpooled, &case.exact_filter, true);
            pair.assert_close("conv_relu_pool_backward", &out, |i| bounds[i]);
        }
    }
}

/// Where all outputs of a window are the bias, the first wins, as in pooling alone.
pub fn the_first_of_equals_wins<B: Machine>(ops: &mut B) {
    let mut pair = Pair::new(ops, 7);
    let (shape, outputs) = (Shape::new(5, 9, 12), 20);
    let nothing = FilterData {
        outputs,
        inputs: shape.channels,
        weights: vec![0.0; outputs * shape.channels * 9],
        bias: (0..outputs)
            .map(|o| if o % 3 == 0 { -1.0 } else { 1.0 })
            .collect(),
    };
    let x = pair.signed(shape);
    let whole = shape.with_channels(outputs);
    let filter = pair.ops.filter(&nothing).unwrap();
    let mut y = pair.soiled(whole.pooled());
    let mut mask = pair.ops.mask(whole).unwrap();
    pair.ops
        .conv_relu_pool(&x.real, &filter, Pooling::Max, &mut y.real, &mut mask)
        .unwrap();
    // Weights that let the mask be seen: each output is one input again.
    let mut seen = nothing.clone();
    for o in 0..outputs {
        seen.weights[(o * shape.channels + o % shape.channels) * 9 + 4] = f32::from(o as u8 / 5 + 1);
    }
    let seen = pair.ops.filter(&seen).unwrap();
    let ones = pair.tensor(whole.pooled(), &vec![1.0; whole.pooled().elements()]);
    let mut out = pair.soiled(shape);
    pair.ops
        .conv_relu_pool_backward(&ones.real, Pooling::Max, &mask, &seen, &mut out.real)
        .unwrap();
    for (index, value) in pair.values(&out.real).into_iter().enumerate() {
        let (channel, y, x) = (index / 108, index / 12 % 9, index % 12);
        let open = (0..outputs).filter(|o| o % 5 == channel && o % 3 != 0);
        let expected: f32 = open.map(|o| f32::from(o as u8 / 5 + 1)).sum();
        let first = y % 2 == 0 && x % 2 == 0 && y < 8;
        let expected = if first { expected } else { 0.0 };
        // Sums below 10, amplified as `bounds` tells.
        assert!(
            (value - expected).abs() < 0.05,
            "{channel}, {y}, {x}: {value} instead of {expected}"
        );
    }
}

/// ⟨M W x, y⟩ = ⟨x, Wᵀ M y⟩ by the backend alone, with M its own mask and no bias.
pub fn convolution_is_adjoint<B: Machine>(ops: &mut B) {
    let mut pair = Pair::new(ops, 3);
    for sizes in CONVOLUTIONS {
        let case = forward(&mut pair, sizes, 0.0);
        let y = pair.signed(case.y.exact.shape);
        let raw = pair.values(&y.real);
        let forward = pair.values(&case.y.real);
        let mut back = pair.soiled(case.x.exact.shape);
        pair.ops
            .conv_relu_backward(&y.real, &case.mask, &case.filter, &mut back.real)
            .unwrap();
        // The mask is where forward is positive.
        let masked: Vec<f32> = forward
            .iter()
            .zip(&raw)
            .map(|(&forward, &raw)| if forward > 0.0 { raw } else { 0.0 })
            .collect();
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
        let weighed = |bounds: &[f64], by: &[f64]| {
            bounds
                .iter()
                .zip(by)
                .map(|(bound, by)| bound * by.abs())
                .sum::<f64>()
        };
        let there_bound = weighed(&case.bounds, &masked_exact.values);
        let back_bounds = bounds(&mut pair, &masked_exact, &case.exact_filter, true);
        let back_bound = weighed(&back_bounds, &case.x.exact.values);
        let error = (there - and_back).abs();
        assert!(
            error <= there_bound + back_bound,
            "{sizes:?}: {there} and {and_back}"
        );
    }
}

pub fn centring<B: Machine>(ops: &mut B) {
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

pub fn cutting<B: Machine>(ops: &mut B) {
    let mut pair = Pair::new(ops, 5);
    for shape in SHAPES {
        let from = pair.signed(shape);
        let third = |length: usize| (length / 3, length - length / 3);
        let ((left, width), (top, height)) = (third(shape.width), third(shape.height));
        for (corner, height, width) in [
            ((0, 0), shape.height, shape.width),
            ((left, top), height, width),
            ((0, top), 1, width),
        ] {
            let mut to = pair.soiled(Shape::new(shape.channels, height, width));
            pair.ops.cut(&from.real, corner, &mut to.real).unwrap();
            pair.exact.cut(&from.exact, corner, &mut to.exact).unwrap();
            pair.assert_close("cut", &to, |_| 0.0);
        }
    }
}

/// Small whole numbers, so that a window often holds its greatest value twice: then the first place wins on every
/// backend, or gradients would flow elsewhere.
fn with_ties<B: Machine>(pair: &mut Pair<B>, shape: Shape) -> Twin<B::Tensor> {
    let values: Vec<f32> = (0..shape.elements())
        .map(|_| (pair.random.unit() * 4.0).floor())
        .collect();
    pair.tensor(shape, &values)
}

pub fn pooling<B: Machine>(ops: &mut B) {
    let mut pair = Pair::new(ops, 5);
    let kinds = [
        (Pooling::Max, false),
        (Pooling::Max, true),
        (Pooling::Average, false),
    ];
    // Of the last, more windows than a card has threads; that takes long.
    let large = [(1, &kinds[1..]), (5, &kinds[..1])];
    let large = large.map(|(channels, kinds)| (Shape::new(channels, 1026, 1024), kinds));
    for (shape, kinds) in SHAPES.map(|shape| (shape, &kinds[..])).into_iter().chain(large) {
        for &(kind, ties) in kinds {
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
