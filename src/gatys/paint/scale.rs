// SPDX-License-Identifier: MIT OR Apache-2.0

use crate::backend::{Backend, Capture, Shape};
use crate::gatys::measure::objective::Objective;
use crate::gatys::network::extractor::Extractor;
use crate::gatys::paint::optimizer::Optimizer;
use crate::gatys::statistic::Measure;
use crate::gatys::{LossWeights, Losses, OptimizerSettings, Result};
use crate::picture::PictureView;

/// Everything at one size: the picture that is painted, the content that it shows, the objective and the optimiser.
/// Planned once; a step allocates nothing.
pub struct ScaleState<B: Backend> {
    /// Width and height of the inside.
    size: (usize, usize),
    border: usize,
    pub(in crate::gatys) picture: B::Tensor,
    pub(in crate::gatys) content: B::Tensor,
    pub(in crate::gatys) spare: B::Tensor,
    pub(in crate::gatys) objective: Objective<B>,
    pub(in crate::gatys) optimizer: Optimizer<B>,
    step: Capture,
}

/// One step, as an observer is told of it.
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

/// What a [`ScaleState`] is made for.
pub struct ScaleSettings<'a> {
    /// Width and height of the inside, without the margin.
    pub size: (usize, usize),
    pub border: usize,
    /// [3, H, W] of the style's picture, or of the largest tile of it, if styles are measured here.
    pub guest: Option<Shape>,
    /// (node, λ).
    pub content: &'a [(usize, f64)],
    /// (node, λ).
    pub style: &'a [(usize, f64)],
    pub measure: Measure,
    pub optimizer: OptimizerSettings,
}

/// [3, H, W] of a picture that is painted at a width and height, with its margin.
pub fn with_margin((width, height): (usize, usize), border: usize) -> Shape {
    Shape::new(3, height + 2 * border, width + 2 * border)
}

impl ScaleSettings<'_> {
    /// [3, H, W] of the picture with its margin.
    fn shape(&self) -> Shape {
        with_margin(self.size, self.border)
    }
}

impl<B: Backend> ScaleState<B> {
    pub fn new(ops: &mut B, extractor: &Extractor<B>, settings: &ScaleSettings) -> Result<Self> {
        let shape = settings.shape();
        Ok(Self {
            size: settings.size,
            border: settings.border,
            picture: ops.tensor(shape)?,
            content: ops.tensor(shape)?,
            spare: ops.tensor(shape)?,
            objective: Objective::new(
                ops,
                extractor,
                shape,
                settings.content,
                settings.style,
                settings.measure,
                settings.guest,
            )?,
            optimizer: Optimizer::new(ops, shape, settings.optimizer)?,
            step: ops.new_capture()?,
        })
    }

    /// Width and height of the inside.
    pub fn size(&self) -> (usize, usize) {
        self.size
    }

    /// Takes a picture of any size as the content to be shown.
    pub fn show(&mut self, ops: &mut B, frame: PictureView) -> Result<()> {
        ops.import(frame, self.border, &mut self.content)?;
        Ok(ops.mirror_border(&mut self.content, self.border)?)
    }

    /// Has the objective ask for the content; needed before a step.
    pub fn measure_content(&mut self, ops: &mut B, extractor: &Extractor<B>) -> Result<()> {
        self.objective.set_content(ops, extractor, &self.content)
    }

    /// Begins a run that owes nothing to the steps before.
    pub fn restart(&mut self, ops: &mut B) -> Result<()> {
        ops.restart(&mut self.step);
        // Even with a weight of 0, what is no number would spread from here: the last run may have ended so.
        ops.copy(&self.picture, self.objective.anchor().0)?;
        self.optimizer.restart(ops)
    }

    /// One step: forward, losses, backward, optimiser.
    pub fn step(
        &mut self,
        ops: &mut B,
        extractor: &Extractor<B>,
        weights: LossWeights,
        rate: f64,
    ) -> Result<()> {
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
