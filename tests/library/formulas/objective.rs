// SPDX-License-Identifier: MIT OR Apache-2.0

//! All on one row of two pixels, through a network of one layer with two units: the first is R, the second 2 G.
//!
//! | picture | R | G | activations, a row per unit |
//! | --- | --- | --- | --- |
//! | content | ½ ¼ | ½ 0 | ½ ¼ / 1 0 |
//! | painted | 1 ¼ | ¼ ½ | 1 ¼ / ½ 1 |
//! | style | 1 0 | 0 ½ | 1 0 / 0 1 |

use neuralstyle::backend::{Backend, Pooling, Scalar, Shape, Slot};
use neuralstyle::gatys::extractor::{Extractor, nodes};
use neuralstyle::gatys::objective::Objective;
use neuralstyle::gatys::style::{StyleTarget, StyleView};
use neuralstyle::gatys::{LossWeights, Losses, Measure, Network, NetworkChoice, Normalization, Statistic};

use crate::scene::{self, Layer, Show};

const PICTURE: Shape = Shape::new(3, 1, 2);
const CONTENT: [f32; 6] = [0.5, 0.25, 0.5, 0.0, 0.0, 0.0];
const PAINTED: [f32; 6] = [1.0, 0.25, 0.25, 0.5, 0.0, 0.0];
const STYLE: [f32; 6] = [1.0, 0.0, 0.0, 0.5, 0.0, 0.0];

/// Layer relu1_1, and λ = 1.
const LAYER: [(usize, f64); 1] = [(1, 1.0)];

const GATYS: Measure = Measure {
    normalization: Normalization::Gatys,
    statistic: Statistic::Gram,
};
const RELATIVE_GRAM: Measure = Measure {
    normalization: Normalization::Relative,
    statistic: Statistic::Gram,
};

const NOTHING: LossWeights = LossWeights {
    content: 0.0,
    style: 0.0,
    tv: 0.0,
    temporal: 0.0,
};

fn two_units() -> Network {
    let mut weights = vec![0.0; 2 * 27];
    // The centres of the kernels of unit 0 on R and unit 1 on G.
    weights[4] = 1.0;
    weights[27 + 9 + 4] = 2.0;
    let layer = Layer {
        number: 0,
        outputs: 2,
        inputs: 3,
        weights,
        bias: vec![0.0; 2],
    };
    scene::network(&[layer], "average", "0,0,0")
}

fn tensor<B: Backend>(ops: &mut B, shape: Shape, values: &[f32]) -> B::Tensor {
    let mut tensor = ops.tensor(shape).unwrap();
    ops.upload(values, &mut tensor).unwrap();
    tensor
}

/// J and its gradient at the painted picture, with a style picture of any shape.
fn evaluate<B: Backend>(
    ops: &mut B,
    measure: Measure,
    weights: LossWeights,
    (style_shape, style): (Shape, &[f32]),
) -> (Losses, Vec<f32>) {
    let network = two_units();
    let mut extractor = Extractor::new(&network, Pooling::Average, 1);
    extractor.load(ops, &network).unwrap();
    let mut objective = Objective::new(ops, &extractor, PICTURE, &LAYER, &LAYER, measure, None).unwrap();
    let content = tensor(ops, PICTURE, &CONTENT);
    objective.set_content(ops, &extractor, &content).unwrap();
    let style = tensor(ops, style_shape, style);
    let target = StyleTarget::measure(ops, &extractor, &LAYER, &style).unwrap();
    objective.set_style(ops, &target).unwrap();
    // The last picture was all ½, of which the first pixel counts fully and the second by half.
    let (anchor, anchor_weight) = objective.anchor();
    ops.upload(&[0.5; 6], anchor).unwrap();
    ops.upload(&[1.0, 0.5], anchor_weight).unwrap();
    objective.set_weights(ops, weights).unwrap();
    let painted = tensor(ops, PICTURE, &PAINTED);
    objective.evaluate(ops, &extractor, &painted).unwrap();
    let losses = objective.losses(ops).unwrap();
    let mut gradient = vec![0.0; PICTURE.elements()];
    ops.download(objective.gradient(), &mut gradient).unwrap();
    (losses, gradient)
}

fn assert_near(found: f64, expected: f64) {
    // Sums and gradients are kept in f32, and the numbers by hand have few digits. What is rounded beside that is the
    // one convolution that they have passed: by Winograd's method a few 1e-6 of the greatest output, which is about 1.
    let error = (found - expected).abs();
    assert!(
        error <= 1e-5 * expected.abs().max(0.1),
        "{found} instead of {expected}"
    );
}

fn assert_all_near(found: &[f32], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (&found, &expected) in found.iter().zip(expected) {
        assert_near(f64::from(found), expected);
    }
}

/// G_kk' = Σ a_k a_k': with a = 1 ¼ / ½ 1 that is 1 + 1/16, ½ + ¼, ¼ + 1.
pub fn gram_matrix<B: Backend>(ops: &mut B) {
    let a = tensor(ops, Shape::new(2, 1, 2), &[1.0, 0.25, 0.5, 1.0]);
    let mut gram = ops.tensor(Shape::square(2)).unwrap();
    let mut mean = ops.tensor(Shape::vector(2)).unwrap();
    ops.moments(&a, 1.0, &mut gram, &mut mean).unwrap();
    let (mut values, mut means) = ([0.0; 4], [0.0; 2]);
    ops.download(&gram, &mut values).unwrap();
    ops.download(&mean, &mut means).unwrap();
    assert_eq!(means, [0.625, 0.75]);
    assert_eq!(values, [1.0625, 0.75, 0.75, 1.25]);
}

/// a(G) − a(C) = ½ 0 / −½ 1, whose squares sum to 1.5; half of that. The way back is the difference itself, times 2
/// for G.
pub fn content<B: Backend>(ops: &mut B) {
    let weights = LossWeights {
        content: 3.0,
        ..NOTHING
    };
    let (losses, gradient) = evaluate(ops, GATYS, weights, (PICTURE, &STYLE));
    assert_near(losses.content, 0.75);
    assert_near(losses.total, 3.0 * 0.75);
    assert_all_near(&gradient, &[1.5, 0.0, -3.0, 6.0, 0.0, 0.0]);
}

/// G(G) − G(S) = 1/16 ¾ / ¾ ¼, whose squares sum to 1/256 + 9/8 + 1/16 = 1.19140625.
const STYLE_SQUARES: f64 = 1.191_406_25;

/// (2 n_H n_W n_C)² = (2 · 1 · 2 · 2)² = 64. With D the difference, ∂J/∂a = 4/64 D a = 1/16 (7/16 49/64 / 7/8 7/16).
pub fn style<B: Backend>(ops: &mut B) {
    let weights = LossWeights {
        style: 2.0,
        ..NOTHING
    };
    let (losses, gradient) = evaluate(ops, GATYS, weights, (PICTURE, &STYLE));
    assert_near(losses.style, STYLE_SQUARES / 64.0);
    assert_near(losses.total, STYLE_SQUARES / 32.0);
    // R sees the first unit, G the second one twice.
    let expected = [0.4375, 0.765625, 2.0 * 0.875, 2.0 * 0.4375].map(|value| value * 2.0 / 16.0);
    assert_all_near(&gradient[..4], &expected);
    assert_all_near(&gradient[4..], &[0.0, 0.0]);
}

/// Six pixels that show the style thrice have thrice its Gram matrix; multiplied by 2/6 it is the same again. And one
/// pixel of R = 1, G = ½ has the Gram matrix of ones, on the footing of two pixels all twos: then D = −15/16 −5/4 /
/// −5/4 −¾, whose squares sum to 225/256 + 25/8 + 9/16 = 4.56640625.
pub fn style_of_another_size<B: Backend>(ops: &mut B) {
    let weights = LossWeights {
        style: 1.0,
        ..NOTHING
    };
    let mut thrice = [0.0; 18];
    for pixel in 0..6 {
        thrice[pixel] = STYLE[pixel % 2];
        thrice[6 + pixel] = STYLE[2 + pixel % 2];
    }
    for shape in [Shape::new(3, 1, 6), Shape::new(3, 3, 2)] {
        let (losses, _) = evaluate(ops, GATYS, weights, (shape, &thrice));
        assert_near(losses.style, STYLE_SQUARES / 64.0);
    }
    let pixel = (Shape::new(3, 1, 1), [1.0, 0.5, 0.0]);
    let (losses, _) = evaluate(ops, GATYS, weights, (pixel.0, &pixel.1));
    assert_near(losses.style, 4.566_406_25 / 64.0);
}

/// The mean ⅝ ¾ and the covariance 9/64 −3/32 / −3/32 1/16, where the style has ½ ½ and ¼ −¼ / −¼ ¼: with D the difference of
/// covariances ‖D‖² = 393/4096 of ‖K(S)‖² = ¼, and that of the means is ⅛ ¼, 5/64 of ½. So J = 393/1024 + 5/32.
///
/// ∂J/∂a = 4/(2 · ¼) D (a − μ) + 2/(2 · ½) (μ − μ(S)), with a − μ = ±(⅜ −¼): 8 D (⅜ −¼) = −41/64 27/32, and ¼ ½ of the means.
///
/// With the factors of `gatys`, sums in the place of means, it is P² (‖D‖² + 5/64) / 64.
pub fn covariance<B: Backend>(ops: &mut B) {
    let weights = LossWeights {
        style: 3.0,
        ..NOTHING
    };
    let measure = |normalization| Measure {
        normalization,
        statistic: Statistic::Covariance,
    };
    let relative = measure(Normalization::Relative);
    let (losses, gradient) = evaluate(ops, relative, weights, (PICTURE, &STYLE));
    assert_near(losses.style, 553.0 / 1024.0);
    let expected = [-25.0 / 64.0, 57.0 / 64.0, 2.0 * 43.0 / 32.0, -2.0 * 11.0 / 32.0];
    assert_all_near(&gradient[..4], &expected.map(|value| 3.0 * value));
    assert_all_near(&gradient[4..], &[0.0, 0.0]);
    let of_sums = measure(Normalization::Gatys);
    let (losses, gradient) = evaluate(ops, of_sums, weights, (PICTURE, &STYLE));
    assert_near(losses.style, 713.0 / 65536.0);
    // 1/16 of 2 D (a − μ) and of the means' difference.
    let expected = [-41.0 / 256.0 + 1.0 / 8.0, 41.0 / 256.0 + 1.0 / 8.0];
    assert_all_near(&gradient[..2], &expected.map(|value| 3.0 * value / 16.0));
    // A style picture of another size gives the same loss.
    let mut twice = [0.0; 12];
    for pixel in 0..4 {
        twice[pixel] = STYLE[pixel % 2];
        twice[4 + pixel] = STYLE[2 + pixel % 2];
    }
    let (losses, _) = evaluate(ops, relative, weights, (Shape::new(3, 2, 2), &twice));
    assert_near(losses.style, 553.0 / 1024.0);
}

/// The sums of tiles, each of which sees more than it answers for, are those of the whole.
pub fn a_style_by_tiles<B: Backend>(ops: &mut B) {
    let network = Network::open(NetworkChoice::Tiny, None).unwrap();
    let layers = nodes(&network, &network.defaults().style_layers).unwrap();
    let depth = layers.iter().map(|layer| layer.0).max().unwrap();
    let mut extractor = Extractor::new(&network, Pooling::Average, depth);
    extractor.load(ops, &network).unwrap();
    let shape = Shape::new(3, 40, 50);
    let measure = Measure::from(Normalization::Relative);
    let mut objective = Objective::new(ops, &extractor, shape, &[], &layers, measure, None).unwrap();
    let frame = scene::frame(90, 70, Show::Shapes(3));
    for size in [(203, 150), (135, 300)] {
        let mut by_tiles = |tile| {
            let picture = frame.view();
            let view = StyleView { picture, size, tile };
            objective.measure_style(ops, &extractor, &layers, view).unwrap()
        };
        let (whole, tiles) = (by_tiles(size), by_tiles((128, 136)));
        for (whole, tiles) in whole.layers().iter().zip(tiles.layers()) {
            for (whole, tiles) in [(&whole.gram, &tiles.gram), (&whole.mean, &tiles.mean)] {
                let greatest = whole
                    .iter()
                    .fold(0.0f32, |greatest, value| greatest.max(value.abs()));
                for (a, b) in whole.iter().zip(tiles) {
                    // Convolutions by Winograd's method, whose tiles lie elsewhere: some 1e-5 of the greatest.
                    assert!((a - b).abs() <= 1e-4 * greatest, "{a} {b} of {greatest}");
                }
            }
        }
    }
}

/// 0 1 / 3 1: downwards 3 and 0, to the right 1 and −2, squares 9 + 0 + 1 + 4. Each pixel is pulled by twice the
/// steps that end in it less twice those that begin there.
pub fn total_variation<B: Backend>(ops: &mut B) {
    let shape = Shape::new(1, 2, 2);
    let x = tensor(ops, shape, &[0.0, 1.0, 3.0, 1.0]);
    let mut gradient = ops.tensor(shape).unwrap();
    let one = tensor(ops, Shape::vector(1), &[1.0]);
    let mut sum = ops.tensor(Shape::vector(1)).unwrap();
    ops.total_variation(
        &x,
        Scalar { of: &one, at: 0 },
        &mut gradient,
        Slot { of: &mut sum, at: 0 },
    )
    .unwrap();
    let (mut total, mut pulls) = ([0.0], [0.0; 4]);
    ops.download(&sum, &mut total).unwrap();
    ops.download(&gradient, &mut pulls).unwrap();
    assert_eq!(total, [14.0]);
    assert_eq!(pulls, [-8.0, 2.0, 10.0, -4.0]);

    // In J: the painted row's steps are −¾ in R and ¼ in G.
    let weights = LossWeights { tv: 4.0, ..NOTHING };
    let (losses, gradient) = evaluate(ops, GATYS, weights, (PICTURE, &STYLE));
    assert_near(losses.tv, 0.625);
    assert_near(losses.total, 2.5);
    assert_all_near(&gradient, &[6.0, -6.0, -2.0, 2.0, 0.0, 0.0]);
}

/// G − G′ = ½ −¼ / −¼ 0 / −½ −½: ½ (¼ + 1/16 + ¼) of the first pixel and ¼ (1/16 + 0 + ¼) of the second.
pub fn temporal<B: Backend>(ops: &mut B) {
    let weights = LossWeights {
        temporal: 2.0,
        ..NOTHING
    };
    let (losses, gradient) = evaluate(ops, GATYS, weights, (PICTURE, &STYLE));
    assert_near(losses.temporal, 0.28125 + 0.078125);
    assert_near(losses.total, 0.71875);
    assert_all_near(&gradient, &[1.0, -0.25, -0.5, 0.0, -1.0, -0.5]);
}

/// ‖a(C)‖² = ¼ + 1/16 + 1, ‖G(S)‖² = 2, and 3 P = 6 for what is summed over pixels.
pub fn relative_terms<B: Backend>(ops: &mut B) {
    let weights = LossWeights {
        content: 1.0,
        ..NOTHING
    };
    let (losses, gradient) = evaluate(ops, RELATIVE_GRAM, weights, (PICTURE, &STYLE));
    assert_near(losses.content, 0.75 / 1.3125);
    assert_near(losses.style, STYLE_SQUARES / 2.0);
    assert_near(losses.tv, 0.625 / 6.0);
    assert_near(losses.temporal, 0.359375 / 6.0);
    let expected = [0.5, 0.0, -1.0, 2.0, 0.0, 0.0].map(|value: f64| value / 1.3125);
    assert_all_near(&gradient, &expected);
    // A style picture of another size gives the same relative loss.
    let mut twice = [0.0; 12];
    for pixel in 0..4 {
        twice[pixel] = STYLE[pixel % 2];
        twice[4 + pixel] = STYLE[2 + pixel % 2];
    }
    let shape = Shape::new(3, 2, 2);
    let (losses, _) = evaluate(ops, RELATIVE_GRAM, weights, (shape, &twice));
    assert_near(losses.style, STYLE_SQUARES / 2.0);
}

/// J = α J_content + β J_style + tv-weight · TV + temporal-weight · J_temporal, and so is its gradient.
pub fn weighted_sum<B: Backend>(ops: &mut B) {
    let weights = LossWeights {
        content: 2.0,
        style: 32.0,
        tv: 0.5,
        temporal: 4.0,
    };
    let (losses, gradient) = evaluate(ops, GATYS, weights, (PICTURE, &STYLE));
    assert_near(losses.total, 1.5 + STYLE_SQUARES / 2.0 + 0.3125 + 1.4375);
    // Red of the first pixel: 2 · ½ from the content, 32/16 · 7/16 from the style, ½ · 1.5 from TV, 4 · ½.
    assert_near(f64::from(gradient[0]), 1.0 + 0.875 + 0.75 + 2.0);
}
