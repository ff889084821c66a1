// SPDX-License-Identifier: MIT OR Apache-2.0

//! Losses and image gradients of the card against those of the f64 reference.

use neuralstyle::backend::reference::Reference;
use neuralstyle::backend::{Backend, CancelToken, Pooling, Shape};
use neuralstyle::gatys::{Losses, Network, NetworkChoice, Normalization};

use crate::scene::{self, Layer, Random, Show};
use crate::setup::{Setup, Terms, balanced};
use crate::start;

/// The cosine between image gradients. What costs it are units whose sums the two round to different sides of the ReLU's
/// kink, and gradients rounded to fp16, each by 2⁻¹² of itself on average.
const COSINE: f64 = 0.999;
/// With max pooling it is the winners of windows besides: of values that differ by less than fp16 sees another one may
/// win, and a window's gradient goes to another pixel. Of smooth pictures' windows that is one in hundreds.
const COSINE_OF_WINNERS: f64 = 0.99;
/// | ‖g‖ / ‖g′‖ − 1 |, which a cosine does not see: at most as large as the distance that the cosine allows, √(2 · 10⁻³).
const LENGTH: f64 = 0.045;
/// Relative error of a loss: sums of squares of activations that are off by some 2⁻¹¹ of themselves, and twice that of
/// their differences where these are not much smaller.
const LOSS: f64 = 0.01;

fn measure<B: Backend>(setup: &mut Setup<B>, picture: &[f32]) -> (Losses, Vec<f32>) {
    setup.evaluate(picture);
    let losses = setup.objective.losses(&mut setup.ops).unwrap();
    let mut gradient = vec![0.0; picture.len()];
    setup
        .ops
        .download(setup.objective.gradient(), &mut gradient)
        .unwrap();
    (losses, gradient)
}

fn product(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}

/// Compares at random pictures; each is measured twice, since the first time is no replay.
fn compare(
    network: &Network,
    normalizations: &[Normalization],
    pooling: Pooling,
    (width, height): (usize, usize),
) {
    let Some(cuda) = start::cuda(CancelToken::new()) else {
        return;
    };
    drop(cuda);
    let content = scene::planes(&scene::frame(width, height, Show::Shapes(1)));
    let style = scene::planes(&scene::frame(width, height, Show::Shapes(2)));
    let mut random = Random(3);
    let picture: Vec<f32> = content.iter().map(|c| c + 0.1 * random.signed()).collect();
    for &normalization in normalizations {
        let terms = Terms {
            network,
            pooling,
            normalization,
            weights: balanced(normalization),
            content: &content,
            style: &style,
            shape: Shape::new(3, height, width),
        };
        let Some(cuda) = start::cuda(CancelToken::new()) else {
            return;
        };
        let mut setup = Setup::new(cuda, &terms);
        let first = measure(&mut setup, &picture);
        let again = measure(&mut setup, &picture);
        let replayed = measure(&mut setup, &picture);
        assert!(
            first == again && again == replayed,
            "the same picture, the same bytes"
        );
        let (losses, gradient) = first;
        let (exact, exact_gradient) = measure(
            &mut Setup::new(Reference::new(CancelToken::new()), &terms),
            &picture,
        );
        let off = |real: f64, exact: f64| (real - exact).abs() / exact.abs().max(1e-30);
        let errors = [
            off(losses.content, exact.content),
            off(losses.style, exact.style),
            off(losses.tv, exact.tv),
            off(losses.temporal, exact.temporal),
        ];
        let length = product(&gradient, &gradient).sqrt();
        let exact_length = product(&exact_gradient, &exact_gradient).sqrt();
        let cosine = product(&gradient, &exact_gradient) / (length * exact_length);
        let off_length = (length / exact_length - 1.0).abs();
        println!(
            "{} {normalization:?} {pooling:?}: losses off by {errors:.4?}, cosine {cosine:.6}, length off by \
             {off_length:.1e}",
            network.name()
        );
        let least = if pooling == Pooling::Max {
            COSINE_OF_WINNERS
        } else {
            COSINE
        };
        assert!(cosine >= least, "{cosine}");
        assert!(off_length <= LENGTH, "{off_length:e}");
        assert!(errors.into_iter().fold(0.0, f64::max) <= LOSS, "{errors:?}");
    }
}

const BOTH: [Normalization; 2] = [Normalization::Gatys, Normalization::Relative];

#[test]
fn tiny() {
    let network = Network::open(NetworkChoice::Tiny, None).unwrap();
    compare(&network, &BOTH, Pooling::Average, (48, 48));
    compare(&network, &BOTH, Pooling::Max, (47, 33));
}

#[test]
fn slim() {
    let network = Network::open(NetworkChoice::Slim, None).unwrap();
    compare(&network, &BOTH, Pooling::Average, (48, 48));
}

/// VGG-19 as far as relu5_1, with random weights of the size that keeps activations as they are (He et al. 2015).
#[test]
fn a_random_vgg19() {
    let (mut layers, mut random) = (Vec::new(), Random(19));
    let (mut number, mut inputs) = (0, 3);
    for (count, outputs) in [(2, 64), (2, 128), (4, 256), (4, 512), (1, 512)] {
        for _ in 0..count {
            let spread = (6.0 / (9.0 * inputs as f32)).sqrt();
            layers.push(Layer {
                number,
                outputs,
                inputs,
                weights: (0..outputs * inputs * 9)
                    .map(|_| spread * random.signed())
                    .collect(),
                bias: (0..outputs).map(|_| 0.1 * random.signed()).collect(),
            });
            (number, inputs) = (number + 2, outputs);
        }
        number += 1;
    }
    let network = scene::network(&layers, "average", "0.485,0.456,0.406");
    compare(&network, &[Normalization::Relative], Pooling::Average, (48, 48));
}
