// SPDX-License-Identifier: MIT OR Apache-2.0

use super::extractor::{Extractor, Features};
use super::objective::{Objective, StyleTarget};
use super::optimizer::Optimizer;
use super::{Losses, Normalization, OptimizerKind, OptimizerSettings, Result, Weights};
use crate::backend::{Backend, Capture, Shape, Work};

/// Everything at one size: the picture that is painted, the content that it shows, the objective and the optimiser.
/// Planned once; a step allocates nothing.
pub struct Canvas<B: Backend> {
    /// Width and height of the inside.
    size: (usize, usize),
    border: usize,
    pub(super) picture: B::Tensor,
    pub(super) content: B::Tensor,
    pub(super) spare: B::Tensor,
    pub(super) objective: Objective<B>,
    pub(super) optimizer: Optimizer<B>,
    step: Capture,
}

/// One step, as told to whoever watches.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// 0 is full size, 1 the half of it, …
    pub scale: usize,
    pub width: usize,
    pub height: usize,
    /// Steps done in this run, this one included, and steps of the whole run.
    pub done: usize,
    pub of: usize,
    /// J before this step.
    pub losses: Losses,
}

/// What to plan a canvas for.
pub struct Plan<'a> {
    /// Width and height of the inside, without the margin.
    pub size: (usize, usize),
    pub border: usize,
    /// (node, λ).
    pub content: &'a [(usize, f64)],
    /// (node, λ).
    pub style: &'a [(usize, f64)],
    pub normalization: Normalization,
    pub optimizer: OptimizerSettings,
}

impl Plan<'_> {
    /// Of the picture, with its margin.
    fn shape(&self) -> Shape {
        let (width, height) = self.size;
        Shape::new(3, height + 2 * self.border, width + 2 * self.border)
    }

    /// What is done on a canvas of this plan, as far as it takes memory beyond its operands; frames are of size `frame`.
    pub fn work<B: Backend>(&self, extractor: &Extractor<B>, frame: (usize, usize)) -> Vec<Work> {
        let mut work = extractor.work(self.shape());
        let shapes = extractor.shapes(self.shape());
        work.extend(self.style.iter().map(|&(node, _)| Work::Gram(shapes[node])));
        let (width, height) = self.size;
        work.push(Work::Frame {
            width: frame.0,
            height: frame.1,
            inside: Shape::new(3, height, width),
        });
        work
    }

    /// Bytes that measuring a style picture of this size takes for a while.
    pub fn style_bytes<B: Backend>(&self, extractor: &Extractor<B>) -> usize {
        let nodes: Vec<usize> = self.style.iter().map(|layer| layer.0).collect();
        B::tensor_bytes(self.shape()) + Features::passing_bytes(extractor, self.shape(), &nodes)
    }

    /// Bytes that a canvas of this plan takes, known before anything is allocated.
    pub fn bytes<B: Backend>(&self, extractor: &Extractor<B>) -> usize {
        let shape = self.shape();
        let shapes = extractor.shapes(shape);
        let nodes = |layers: &[(usize, f64)]| layers.iter().map(|layer| layer.0).collect::<Vec<_>>();
        let (contents, styles) = (nodes(self.content), nodes(self.style));
        let targets = contents.iter().map(|&node| B::tensor_bytes(shapes[node]));
        let grams = styles
            .iter()
            .map(|&node| 3 * B::tensor_bytes(Shape::square(shapes[node].channels)));
        // Picture, content, spare and the anchor; its weight; the optimiser's.
        let moments = if self.optimizer.kind == OptimizerKind::Adam {
            4
        } else {
            1
        };
        let pictures = (4 + moments) * B::tensor_bytes(shape) + B::tensor_bytes(shape.with_channels(1));
        let features = Features::bytes(extractor, shape, &[contents.clone(), styles.clone()].concat());
        features + targets.sum::<usize>() + grams.sum::<usize>() + pictures
    }
}

impl<B: Backend> Canvas<B> {
    pub fn new(ops: &mut B, extractor: &Extractor<B>, plan: &Plan) -> Result<Self> {
        let shape = plan.shape();
        Ok(Self {
            size: plan.size,
            border: plan.border,
            picture: ops.tensor(shape)?,
            content: ops.tensor(shape)?,
            spare: ops.tensor(shape)?,
            objective: Objective::new(
                ops,
                extractor,
                shape,
                plan.content,
                plan.style,
                plan.normalization,
            )?,
            optimizer: Optimizer::new(ops, shape, plan.optimizer)?,
            step: Capture::default(),
        })
    }

    /// Width and height of the inside.
    pub fn size(&self) -> (usize, usize) {
        self.size
    }

    pub fn set_style(&mut self, ops: &mut B, target: &StyleTarget) -> Result<()> {
        self.objective.set_style(ops, target)
    }

    /// Takes bytes [height, width, 3] as the content to be shown.
    pub fn show(&mut self, ops: &mut B, rgb: &[u8], width: usize, height: usize) -> Result<()> {
        ops.import(rgb, width, height, self.border, &mut self.content)?;
        Ok(ops.mirror_border(&mut self.content, self.border)?)
    }

    /// Has the objective ask for the content; needed before a step.
    pub fn measure_content(&mut self, ops: &mut B, extractor: &Extractor<B>) -> Result<()> {
        self.objective.set_content(ops, extractor, &self.content)
    }

    /// One step: forward, losses, backward, optimiser.
    pub fn step(&mut self, ops: &mut B, extractor: &Extractor<B>, weights: Weights, rate: f64) -> Result<()> {
        self.objective.set_weights(ops, weights)?;
        self.optimizer.prepare(ops, rate)?;
        let Self {
            picture,
            objective,
            optimizer,
            step,
            ..
        } = self;
        ops.capture(step, |ops| {
            objective.evaluate(ops, extractor, picture)?;
            optimizer.update(ops, picture, objective.gradient())
        })?;
        Ok(())
    }
}
