// SPDX-License-Identifier: MIT OR Apache-2.0

use crate::backend::{self, AdamKnobs, Backend, Scalar, Shape};
use crate::gatys::{Init, Normalization, OptimizerKind, Result};
use crate::settings::Options;

/// What does not change while a picture is painted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OptimizerSettings {
    pub kind: OptimizerKind,
    /// SGD: how much of the last step's velocity is kept, u := momentum · u + g.
    pub momentum: f64,
    /// Adam: passes of the binomial blur over the squared gradient. 0: plain Adam (Kingma and Ba 2015).
    pub moment_blur: usize,
    /// Passes of the binomial blur over what is coloured in a step.
    pub chroma_blur: usize,
    /// How far steps keep to the [axes](crate::gatys::axes) of the style's colours, 0..1.
    pub colour_axes: f64,
}

impl From<&Options> for OptimizerSettings {
    fn from(options: &Options) -> Self {
        // What keeps colours to the style's also keeps those that a picture began with.
        let begins_elsewhere = matches!(options.init, Init::Content | Init::Noise);
        let free = begins_elsewhere || options.normalization == Normalization::Gatys;
        Self {
            kind: options.optimizer,
            momentum: options.momentum,
            moment_blur: options.moment_blur,
            chroma_blur: options.chroma_blur.unwrap_or(if free { 0 } else { 3 }),
            colour_axes: options.colour_axes.unwrap_or(if free { 0.0 } else { 0.5 }),
        }
    }
}

impl OptimizerSettings {
    /// Whether all colours of a step are treated alike.
    fn is_plain(&self) -> bool {
        self.chroma_blur == 0 && self.colour_axes == 0.0
    }
}

impl Default for OptimizerSettings {
    fn default() -> Self {
        Self::from(&Options::default())
    }
}

/// Adam's β₁.
const BETA1: f64 = 0.9;
/// Adam's β₂: shorter than the usual 0.999, since a picture has some dozens of steps.
const BETA2: f64 = 0.99;
/// Adam's ε.
const EPSILON: f64 = 1e-8;
const KNOBS: AdamKnobs = AdamKnobs {
    rate: 0,
    root: 1,
    beta1: 2,
    beta2: 3,
    epsilon: 4,
};

/// Moves a picture along a gradient.
pub struct Optimizer<B: Backend> {
    settings: OptimizerSettings,
    /// Adam's first moment, or the velocity of SGD.
    first: B::Tensor,
    /// Adam's second moment.
    second: B::Tensor,
    /// Scratch for blurs: of the squared gradient, then of the step.
    blurred: [B::Tensor; 2],
    step: B::Tensor,
    /// [3, 3]: what a step is multiplied by.
    axes: B::Tensor,
    /// Steps since each moment was zero.
    first_steps: i32,
    second_steps: i32,
    knobs: B::Tensor,
}

impl<B: Backend> Optimizer<B> {
    pub fn new(ops: &mut B, picture: Shape, settings: OptimizerSettings) -> Result<Self> {
        let nothing = Shape::vector(1);
        // Only Adam has a second moment.
        let (second, blurred) = match settings.kind {
            OptimizerKind::Adam => (picture, picture),
            _ if settings.chroma_blur > 0 => (nothing, picture),
            OptimizerKind::Sgd | OptimizerKind::Lbfgs => (nothing, nothing),
        };
        let mut axes = ops.tensor(Shape::vector(9))?;
        ops.upload(&UNIT_MATRIX, &mut axes)?;
        Ok(Self {
            settings,
            first: ops.tensor(picture)?,
            second: ops.tensor(second)?,
            blurred: [ops.tensor(blurred)?, ops.tensor(blurred)?],
            step: ops.tensor(picture)?,
            axes,
            first_steps: 0,
            second_steps: 0,
            knobs: ops.tensor(Shape::vector(5))?,
        })
    }

    /// Makes the next steps go along these axes, for which there must be a share in the settings.
    pub fn set_axes(&mut self, ops: &mut B, axes: &[[f64; 3]; 3]) -> Result<()> {
        let numbers: Vec<f32> = axes.iter().flatten().map(|&number| number as f32).collect();
        Ok(ops.upload(&numbers, &mut self.axes)?)
    }

    /// Scratch of the picture's shape, until the next step.
    pub fn step(&mut self) -> &mut B::Tensor {
        &mut self.step
    }

    /// Sets both moments to zero.
    pub fn restart(&mut self, ops: &mut B) -> Result<()> {
        self.reset_velocity(ops)?;
        ops.fill(0.0, &mut self.second)?;
        self.second_steps = 0;
        Ok(())
    }

    /// Sets the first moment or the velocity to zero and keeps the second moment: for the next frame.
    pub fn reset_velocity(&mut self, ops: &mut B) -> Result<()> {
        ops.fill(0.0, &mut self.first)?;
        self.first_steps = 0;
        Ok(())
    }

    /// Adam's mean squared gradient, to be moved with the picture.
    pub fn second_moment(&mut self) -> Option<&mut B::Tensor> {
        (self.settings.kind == OptimizerKind::Adam).then_some(&mut self.second)
    }

    /// Makes the next [`update`](Self::update) a step of this rate.
    pub fn prepare(&mut self, ops: &mut B, rate: f64) -> Result<()> {
        self.first_steps += 1;
        self.second_steps += 1;
        let knobs = match self.settings.kind {
            OptimizerKind::Adam => {
                let first = 1.0 - BETA1.powi(self.first_steps);
                let second = 1.0 - BETA2.powi(self.second_steps);
                [rate / first, 1.0 / second.sqrt(), BETA1, BETA2, EPSILON]
            }
            OptimizerKind::Sgd | OptimizerKind::Lbfgs => [rate, self.settings.momentum, 0.0, 0.0, 0.0],
        };
        Ok(ops.upload(&knobs.map(|knob| knob as f32), &mut self.knobs)?)
    }

    pub fn update(
        &mut self,
        ops: &mut B,
        picture: &mut B::Tensor,
        gradient: &B::Tensor,
    ) -> backend::Result<()> {
        let Self {
            settings,
            first,
            second,
            blurred,
            step,
            axes,
            knobs,
            ..
        } = self;
        match settings.kind {
            OptimizerKind::Adam => {
                ops.square(gradient, &mut blurred[0])?;
                let squared = blur(ops, blurred, settings.moment_blur)?;
                ops.adam(gradient, squared, first, second, knobs, KNOBS, step)?;
            }
            OptimizerKind::Sgd | OptimizerKind::Lbfgs => {
                let (rate, momentum) = (Scalar { of: &*knobs, at: 0 }, Scalar { of: &*knobs, at: 1 });
                ops.sgd(gradient, first, rate, momentum, step)?;
            }
        }
        if settings.is_plain() {
            return ops.axpy(-1.0, step, picture);
        }
        let coloured = match settings.chroma_blur {
            0 => &*step,
            passes => {
                ops.blur(step, &mut blurred[0])?;
                blur(ops, blurred, passes - 1)?
            }
        };
        ops.descend(picture, step, coloured, axes)
    }
}

const UNIT_MATRIX: [f32; 9] = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0];

/// The first of two tensors blurred some times, for which both are used in turn.
fn blur<'a, B: Backend>(
    ops: &mut B,
    tensors: &'a mut [B::Tensor; 2],
    passes: usize,
) -> backend::Result<&'a B::Tensor> {
    let [mut from, mut to] = tensors.each_mut();
    for _ in 0..passes {
        ops.blur(from, to)?;
        (from, to) = (to, from);
    }
    Ok(from)
}
