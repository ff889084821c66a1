// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a step asks of the driver.

use neuralstyle::backend::{CancelToken, Pooling, Shape};
use neuralstyle::gatys::{Network, NetworkChoice, Normalization};

use crate::scene::{self, Show};
use crate::setup::{Setup, Stepping, Terms, balanced};
use crate::softgpu::SoftGpu;
use crate::start;

/// One replay of a graph and two uploads of a few numbers: no launch, no memory, and nobody waits.
#[test]
fn a_step_is_one_replay_and_waits_for_nothing() {
    let Some(gpu) = SoftGpu::take() else { return };
    let Some(cuda) = start::cuda(CancelToken::new()) else {
        return;
    };
    let (network, shape) = (
        Network::open(NetworkChoice::Tiny, None).unwrap(),
        Shape::new(3, 16, 16),
    );
    let [content, style] = [1, 2].map(|seed| scene::planes(&scene::frame(16, 16, Show::Shapes(seed))));
    let weights = balanced(Normalization::Relative);
    let terms = Terms {
        network: &network,
        pooling: Pooling::Average,
        normalization: Normalization::Relative,
        weights,
        content: &content,
        style: &style,
        shape,
    };
    let mut stepping = Stepping::new(Setup::new(cuda, &terms), 2);
    let mut run = |steps: usize| {
        (0..steps).for_each(|_| stepping.step(weights));
        stepping.losses()
    };
    // The first run, the capture, and what was left to do.
    run(2);
    gpu.faults("");
    let before = gpu.count("sync");
    run(7);
    // That of the losses at the end.
    assert!(gpu.count("sync") - before <= 1, "{} waits", gpu.count("sync"));
    assert_eq!(
        [
            gpu.count("replay"),
            gpu.count("launch"),
            gpu.count("alloc"),
            gpu.count("copy")
        ],
        [7, 0, 0, 7 * 2 + 1]
    );
}
