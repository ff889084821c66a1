// SPDX-License-Identifier: MIT OR Apache-2.0

//! Losses and image gradients of the CPU, in f32, against those of the reference.

use neuralstyle::backend::cpu::Cpu;
use neuralstyle::backend::reference::Reference;
use neuralstyle::backend::{Backend, CancelToken, Pooling, Shape};
use neuralstyle::gatys::{Losses, Network, NetworkChoice, Normalization};

use crate::scene::{self, Random, Show};
use crate::setup::{Setup, Terms, balanced};

/// Relative error of a loss. The content loss next to the content is a difference of activations that nearly cancel,
/// where the 1e-6 by which a convolution is off weighs some ten times as much.
const LOSS: f64 = 1e-4;
/// 1 − the cosine between image gradients. A ReLU that is within rounding of its kink may fall to the other side, where a share
/// of the gradient comes or goes. PyTorch's own f32 is off by 6e-7 for VGG-19 at 256×256.
const COSINE: f64 = 1e-5;
/// | ‖g‖ / ‖g′‖ − 1 |, which a cosine does not see: at most as large as the distance that the cosine allows, √(2 · 1e-5).
const LENGTH: f64 = 4.5e-3;

fn measure<B: Backend>(ops: B, terms: &Terms, pictures: &[Vec<f32>]) -> Vec<(Losses, Vec<f32>)> {
    let mut setup = Setup::new(ops, terms);
    let measured = pictures.iter().map(|picture| {
        setup.evaluate(picture);
        let losses = setup.objective.losses(&mut setup.ops).unwrap();
        let mut gradient = vec![0.0; picture.len()];
        setup
            .ops
            .download(setup.objective.gradient(), &mut gradient)
            .unwrap();
        (losses, gradient)
    });
    measured.collect()
}

fn compare(choice: NetworkChoice, poolings: &[Pooling], size: (usize, usize)) {
    for normalization in [Normalization::Gatys, Normalization::Relative] {
        for &pooling in poolings {
            compare_under(choice, normalization, pooling, size);
        }
    }
}

fn compare_under(
    choice: NetworkChoice,
    normalization: Normalization,
    pooling: Pooling,
    (width, height): (usize, usize),
) {
    let network = Network::open(choice, None).unwrap();
    let shape = Shape::new(3, height, width);
    let content = scene::planes(&scene::frame(width, height, Show::Shapes(1)));
    let style = scene::planes(&scene::frame(width, height, Show::Shapes(2)));
    let mut random = Random(3);
    // Where a run begins, a little further on, and far from everything.
    let mut pictures = vec![
        content.clone(),
        content.iter().map(|c| c + 0.05 * random.signed()).collect(),
        content.iter().map(|_| random.unit()).collect(),
    ];
    if choice == NetworkChoice::Vgg16 || width >= 256 {
        // The reference takes its time; the middle is the hardest, where two activations nearly cancel.
        pictures = vec![pictures.swap_remove(1)];
    }
    let terms = Terms {
        network: &network,
        pooling,
        normalization,
        weights: balanced(normalization),
        content: &content,
        style: &style,
        shape,
    };
    let cpu = measure(Cpu::new(2, CancelToken::new()).unwrap(), &terms, &pictures);
    let exact = measure(Reference::new(CancelToken::new()), &terms, &pictures);
    for (place, ((real, gradient), (exact, exact_gradient))) in cpu.iter().zip(&exact).enumerate() {
        let off = |real: f64, exact: f64| (real - exact).abs() / exact.abs().max(1e-30);
        let errors = [
            off(real.content, exact.content),
            off(real.style, exact.style),
            off(real.tv, exact.tv),
            off(real.temporal, exact.temporal),
            off(real.total, exact.total),
        ];
        let product = |a: &[f32], b: &[f32]| {
            let products = a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b));
            products.sum::<f64>()
        };
        let length = product(gradient, gradient).sqrt();
        let exact_length = product(exact_gradient, exact_gradient).sqrt();
        let off_cosine = 1.0 - product(gradient, exact_gradient) / (length * exact_length);
        let off_length = (length / exact_length - 1.0).abs();
        let worst = errors.into_iter().fold(0.0, f64::max);
        println!(
            "{choice:?} {normalization:?} {pooling:?} picture {place}: losses off by {worst:.1e}, gradient by 1 - cosine = \
             {off_cosine:.1e} and {off_length:.1e} of its length"
        );
        assert!(worst <= LOSS, "{errors:?}");
        assert!(off_cosine <= COSINE, "{off_cosine:e}");
        assert!(off_length <= LENGTH, "{off_length:e}");
    }
}

#[test]
fn tiny() {
    compare(NetworkChoice::Tiny, &[Pooling::Average, Pooling::Max], (48, 32));
}

#[test]
fn slim() {
    compare(NetworkChoice::Slim, &[Pooling::Average, Pooling::Max], (48, 32));
}

#[test]
fn vgg16() {
    compare(NetworkChoice::Vgg16, &[Pooling::Average], (24, 16));
}

/// At the size that is painted by default.
#[test]
fn slim_at_full_size() {
    compare_under(
        NetworkChoice::Slim,
        Normalization::Relative,
        Pooling::Average,
        (256, 256),
    );
}
