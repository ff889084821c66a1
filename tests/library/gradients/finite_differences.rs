// SPDX-License-Identifier: MIT OR Apache-2.0

//! The reference's gradient of J against central differences of J, all in f64.
//!
//! J is smooth but for the kinks of ReLUs and max pooling, and both are taken along random directions d at a step h.
//! What remains then:
//! - J is known to about 10⁻¹⁵ J, so the quotient to 10⁻¹⁵ J / h;
//! - the third derivative adds h²;
//! - a unit whose kink lies within h of the picture adds at most its share of the gradient. With some 10⁴ units whose
//!   inputs are of the size of 1, at h = 10⁻⁷ one run in hundreds meets one, and it is worth less than 10⁻⁴ of the
//!   whole; the seeds are fixed, so what passes once passes always;
//! - coefficients go to the machine in f32: 6·10⁻⁸ of each term.
//!
//! So 10⁻⁶ of ‖gradient‖ · ‖d‖ leaves room, while a wrong factor anywhere shows as 10⁻² and more. Directions
//! are random, and one is the gradient itself, where nothing cancels.

use neuralstyle::backend::reference::Reference;
use neuralstyle::backend::{CancelToken, Pooling, Shape};
use neuralstyle::gatys::{LossWeights, Network, NetworkChoice, Normalization};

use crate::scene::{self, Random, Show};
use crate::setup::{Setup, Terms, balanced};

const STEP: f64 = 1e-7;
const TOLERANCE: f64 = 1e-6;

/// J at the picture of the setup, in f64.
fn total(setup: &mut Setup<Reference>) -> f64 {
    setup.evaluate_here();
    setup.objective.losses_of(&setup.objective.sums().values).total
}

/// The worst difference between slopes, in parts of ‖gradient‖ ‖d‖.
fn worst(terms: &Terms, picture: &[f32]) -> f64 {
    let mut setup = Setup::new(Reference::new(CancelToken::new()), terms);
    setup.evaluate(picture);
    let gradient = setup.objective.gradient().values.clone();
    let here = setup.picture.values.clone();
    let norm = |values: &[f64]| values.iter().map(|v| v * v).sum::<f64>().sqrt();
    let size = norm(&gradient);
    assert!(size > 0.0);
    let mut random = Random(5);
    let mut directions = vec![
        gradient
            .iter()
            .map(|g| g / size * (here.len() as f64).sqrt())
            .collect(),
    ];
    for _ in 0..2 {
        directions.push(
            here.iter()
                .map(|_| f64::from(random.signed()))
                .collect::<Vec<f64>>(),
        );
    }
    let mut worst: f64 = 0.0;
    for direction in directions {
        let mut at = |h: f64| {
            let moved = here.iter().zip(&direction).map(|(x, d)| x + h * d);
            setup.picture.values = moved.collect();
            total(&mut setup)
        };
        let slope = (at(STEP) - at(-STEP)) / (2.0 * STEP);
        let expected: f64 = gradient.iter().zip(&direction).map(|(g, d)| g * d).sum();
        worst = worst.max((slope - expected).abs() / (size * norm(&direction)));
    }
    worst
}

fn check(network: &Network, (width, height): (usize, usize)) {
    let shape = Shape::new(3, height, width);
    let content = scene::planes(&scene::frame(width, height, Show::Shapes(1)));
    let style = scene::planes(&scene::frame(width, height, Show::Shapes(2)));
    let mut random = Random(3);
    let picture: Vec<f32> = content.iter().map(|c| c + 0.2 * random.signed()).collect();
    let none = LossWeights {
        content: 0.0,
        style: 0.0,
        tv: 0.0,
        temporal: 0.0,
    };
    for normalization in [Normalization::Gatys, Normalization::Relative] {
        for pooling in [Pooling::Average, Pooling::Max] {
            // Each term by itself, since a wrong small one would hide behind the others; and all together.
            let all = balanced(normalization);
            let weights = [
                LossWeights {
                    content: all.content,
                    ..none
                },
                LossWeights {
                    style: all.style,
                    ..none
                },
                LossWeights { tv: all.tv, ..none },
                LossWeights {
                    temporal: all.temporal,
                    ..none
                },
                all,
            ];
            for weights in weights {
                let terms = Terms {
                    network,
                    pooling,
                    normalization,
                    weights,
                    content: &content,
                    style: &style,
                    shape,
                };
                let error = worst(&terms, &picture);
                println!("{normalization:?} {pooling:?} {weights:?}: {error:.1e}");
                assert!(
                    error < TOLERANCE,
                    "{normalization:?} {pooling:?} {weights:?}: {error:e}"
                );
            }
        }
    }
}

#[test]
fn a_random_vgg_at_an_odd_size() {
    check(&scene::random_vgg(1), (13, 11));
}

#[test]
fn the_tiny_network() {
    check(&Network::open(NetworkChoice::Tiny, None).unwrap(), (16, 12));
}
