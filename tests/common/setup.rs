// SPDX-License-Identifier: MIT OR Apache-2.0

//! An objective on a machine, ready to be evaluated.
#![allow(dead_code, reason = "each test program uses its part")]

use neuralstyle::backend::{Backend, Capture, Pooling, Shape};
use neuralstyle::gatys::extractor::{Extractor, nodes};
use neuralstyle::gatys::objective::Objective;
use neuralstyle::gatys::style::StyleTarget;
use neuralstyle::gatys::{
    LossWeights, Losses, Measure, Network, Normalization, Optimizer, OptimizerSettings,
};

use crate::scene::Random;

/// An objective with everything that can be in one.
pub struct Setup<B: Backend> {
    pub ops: B,
    pub extractor: Extractor<B>,
    pub objective: Objective<B>,
    pub picture: B::Tensor,
    step: Capture,
}

/// What J is made of.
#[derive(Clone, Copy)]
pub struct Terms<'a> {
    pub network: &'a Network,
    pub pooling: Pooling,
    pub normalization: Normalization,
    pub weights: LossWeights,
    pub content: &'a [f32],
    pub style: &'a [f32],
    /// The shape of all pictures.
    pub shape: Shape,
}

impl<B: Backend> Setup<B> {
    pub fn new(mut ops: B, terms: &Terms) -> Self {
        let Terms { network, shape, .. } = *terms;
        let defaults = network.defaults();
        let content_layers = nodes(network, &defaults.content_layers).unwrap();
        let mut style_layers = nodes(network, &defaults.style_layers).unwrap();
        // Layers that weigh differently.
        for (index, (_, lambda)) in style_layers.iter_mut().enumerate() {
            *lambda = 1.0 / (1.0 + index as f64);
        }
        let deepest = |layers: &[(usize, f64)]| layers.iter().map(|layer| layer.0).max().unwrap();
        let depth = deepest(&content_layers).max(deepest(&style_layers));
        let mut extractor = Extractor::new(network, terms.pooling, depth);
        extractor.load(&mut ops, network).unwrap();
        let mut objective = Objective::new(
            &mut ops,
            &extractor,
            shape,
            &content_layers,
            &style_layers,
            Measure::from(terms.normalization),
            None,
        )
        .unwrap();
        let mut picture = ops.tensor(shape).unwrap();
        ops.upload(terms.style, &mut picture).unwrap();
        let target = StyleTarget::measure(&mut ops, &extractor, &style_layers, &picture).unwrap();
        objective.set_style(&mut ops, &target).unwrap();
        ops.upload(terms.content, &mut picture).unwrap();
        objective.set_content(&mut ops, &extractor, &picture).unwrap();
        let (anchor, anchor_weight) = objective.anchor();
        let mut random = Random(77);
        let values: Vec<f32> = (0..shape.elements()).map(|_| random.unit()).collect();
        ops.upload(&values, anchor).unwrap();
        ops.upload(&values[..shape.pixels()], anchor_weight).unwrap();
        objective.set_weights(&mut ops, terms.weights).unwrap();
        Self {
            ops,
            extractor,
            objective,
            picture,
            step: Capture::default(),
        }
    }

    pub fn evaluate(&mut self, picture: &[f32]) {
        self.ops.upload(picture, &mut self.picture).unwrap();
        self.evaluate_here();
    }

    /// As a step does it.
    pub fn evaluate_here(&mut self) {
        let Self {
            ops,
            extractor,
            objective,
            picture,
            step,
        } = self;
        ops.capture(step, |ops| objective.evaluate(ops, extractor, picture))
            .unwrap();
    }
}

/// Steps of Adam on an objective, as a canvas performs them.
pub struct Stepping<B: Backend> {
    pub setup: Setup<B>,
    optimizer: Optimizer<B>,
    step: Capture,
}

impl<B: Backend> Stepping<B> {
    pub fn new(mut setup: Setup<B>, moment_blur: usize) -> Self {
        let settings = OptimizerSettings {
            moment_blur,
            ..OptimizerSettings::default()
        };
        let shape = setup.ops.shape(&setup.picture);
        Self {
            optimizer: Optimizer::new(&mut setup.ops, shape, settings).unwrap(),
            setup,
            step: Capture::default(),
        }
    }

    pub fn step(&mut self, weights: LossWeights) {
        let Self {
            setup,
            optimizer,
            step,
        } = self;
        let Setup {
            ops,
            extractor,
            objective,
            picture,
            ..
        } = setup;
        objective.set_weights(ops, weights).unwrap();
        optimizer.prepare(ops, 0.02).unwrap();
        ops.capture(step, |ops| {
            objective.evaluate(ops, extractor, picture)?;
            optimizer.update(ops, picture, objective.gradient())
        })
        .unwrap();
    }

    pub fn losses(&mut self) -> Losses {
        self.setup.objective.losses(&mut self.setup.ops).unwrap()
    }
}

/// The weights of a J with all its terms, none of which drowns the others.
pub fn balanced(normalization: Normalization) -> LossWeights {
    match normalization {
        Normalization::Relative => LossWeights {
            content: 1.0,
            style: 10.0,
            tv: 0.5,
            temporal: 2.0,
        },
        // Content is a sum here, and the style's factor is small.
        Normalization::Gatys => LossWeights {
            content: 1e-4,
            style: 1.0,
            tv: 1e-3,
            temporal: 1e-2,
        },
    }
}
