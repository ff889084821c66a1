// SPDX-License-Identifier: MIT OR Apache-2.0

use crate::backend::{self, AdamKnobs, Backend, Scalar, Shape};
use crate::gatys::{OptimizerKind, Result};
use crate::settings::Options;

/// What does not change while a picture is painted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OptimizerSettings {
    pub kind: OptimizerKind,
    /// SGD: how much of the last step's velocity is kept, u := momentum · u + g.
    pub momentum: f64,
    /// Adam: passes of the binomial blur over the squared gradient. 0: plain Adam (Kingma and Ba 2015).
    pub moment_blur: usize,
}

impl From<&Options> for OptimizerSettings {
    fn from(options: &Options) -> Self {
        Self {
            kind: options.optimizer,
            momentum: options.momentum,
            moment_blur: options.moment_blur,
        }
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
    /// The squared gradient, and scratch for blurring it.
    squared: [B::Tensor; 2],
    /// Steps since each moment was zero.
    first_steps: i32,
    second_steps: i32,
    knobs: B::Tensor,
}

impl<B: Backend> Optimizer<B> {
    pub fn new(ops: &mut B, picture: Shape, settings: OptimizerSettings) -> Result<Self> {
        // Only Adam has a second moment.
        let extra = match settings.kind {
            OptimizerKind::Adam => picture,
            OptimizerKind::Sgd | OptimizerKind::Lbfgs => Shape::vector(1),
        };
        Ok(Self {
            settings,
            first: ops.tensor(picture)?,
            second: ops.tensor(extra)?,
            squared: [ops.tensor(extra)?, ops.tensor(extra)?],
            first_steps: 0,
            second_steps: 0,
            knobs: ops.tensor(Shape::vector(5))?,
        })
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
            first,
            second,
            squared: [squared, spare],
            knobs,
            ..
        } = self;
        match self.settings.kind {
            OptimizerKind::Adam => {
                ops.square(gradient, squared)?;
                let (mut from, mut to) = (squared, spare);
                for _ in 0..self.settings.moment_blur {
                    ops.blur(from, to)?;
                    (from, to) = (to, from);
                }
                ops.adam(picture, gradient, from, first, second, knobs, KNOBS)?;
            }
            OptimizerKind::Sgd | OptimizerKind::Lbfgs => {
                let (rate, momentum) = (Scalar { of: &*knobs, at: 0 }, Scalar { of: &*knobs, at: 1 });
                ops.sgd(picture, gradient, first, rate, momentum)?;
            }
        }
        Ok(())
    }
}
