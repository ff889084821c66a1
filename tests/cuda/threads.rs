// SPDX-License-Identifier: MIT OR Apache-2.0

use neuralstyle::backend::cuda::Cuda;
use neuralstyle::backend::{CancelToken, Pooling, Shape};
use neuralstyle::gatys::{Network, NetworkChoice, Normalization};

use crate::faint::values;
use crate::scene::{self, Show};
use crate::setup::{Setup, Terms, balanced};
use crate::start;

#[test]
fn a_card_may_be_handed_from_thread_to_thread() {
    let Some(cuda) = start::cuda(CancelToken::new()) else {
        return;
    };
    let network = Network::open(NetworkChoice::Tiny, None).unwrap();
    let [content, style] = [1, 2].map(|seed| scene::planes(&scene::frame(16, 16, Show::Shapes(seed))));
    let terms = Terms {
        network: &network,
        pooling: Pooling::Average,
        normalization: Normalization::Relative,
        weights: balanced(Normalization::Relative),
        content: &content,
        style: &style,
        shape: Shape::new(3, 16, 16),
    };
    let mut setup = Setup::new(cuda, &terms);
    let measure = |mut setup: Setup<Cuda>| {
        setup.evaluate(&style);
        let gradient = values(&mut setup.ops, setup.objective.gradient());
        (setup, gradient)
    };
    let mut gradients = Vec::new();
    // On each thread nothing has been done with the card before.
    for _ in 0..4 {
        let (back, gradient) = std::thread::scope(|scope| scope.spawn(|| measure(setup)).join().unwrap());
        setup = back;
        gradients.push(gradient);
    }
    std::thread::spawn(move || drop(setup)).join().unwrap();
    assert!(gradients.iter().all(|gradient| *gradient == gradients[0]));
}

#[test]
fn a_fresh_thread_can_open_a_second_stream_beside_the_first() {
    let Some(cuda) = start::cuda(CancelToken::new()) else {
        return;
    };
    let beside = std::thread::spawn(move || cuda.beside(CancelToken::new()).map(drop));
    beside.join().unwrap().unwrap();
}
