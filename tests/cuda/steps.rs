// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a step asks of the driver.

use gstneuralstyle::backend::{Backend, CancelToken, Capture, Pooling, Shape};
use gstneuralstyle::gatys::{
    Network, NetworkChoice, Normalization, Optimizer, OptimizerKind, OptimizerSettings,
};

use crate::scene::{self, Show};
use crate::setup::{Setup, Terms, balanced};
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
    let mut setup = Setup::new(cuda, &terms);
    let settings = OptimizerSettings {
        kind: OptimizerKind::Adam,
        momentum: 0.0,
        moment_blur: 2,
    };
    let mut optimizer = Optimizer::new(&mut setup.ops, shape, settings).unwrap();
    let Setup {
        ops,
        extractor,
        objective,
        picture,
        ..
    } = &mut setup;
    let mut step = Capture::default();
    let mut run = |ops: &mut _, steps: usize| {
        for _ in 0..steps {
            objective.set_weights(ops, weights).unwrap();
            optimizer.prepare(ops, 0.02).unwrap();
            ops.capture(&mut step, |ops| {
                objective.evaluate(ops, extractor, picture)?;
                optimizer.update(ops, picture, objective.gradient())
            })
            .unwrap();
        }
        objective.losses(ops).unwrap()
    };
    // The first run, the capture, and what was left to do.
    run(ops, 2);
    gpu.faults("");
    let before = gpu.count("sync");
    run(ops, 7);
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
