// SPDX-License-Identifier: MIT OR Apache-2.0

//! The parts of a run from coarse to fine: how it begins, its steps, and the way up to the next size.

use super::Painter;
use crate::backend::Backend;
use crate::gatys::paint::colour::matching;
use crate::gatys::paint::noise::noise;
use crate::gatys::paint::scale::Step;
use crate::gatys::paint::schedule;
use crate::gatys::{Init, Result, Run};
use crate::picture::PictureView;

impl<B: Backend> Painter<B> {
    /// Lays out the picture from which a fresh start begins, at a scale whose content is set. `painted` says whether there is a result.
    pub(super) fn begin(&mut self, scale: usize, painted: bool) -> Result<()> {
        let Self {
            ops,
            states,
            recipe,
            style_colours,
            ..
        } = self;
        let (finer, state) = match states.split_at_mut(scale) {
            (finer, [state, ..]) => (finer, state),
            _ => return Ok(()),
        };
        let content_colours = ops.colour_statistics(&state.content)?;
        let recolouring = matching(&content_colours, style_colours);
        match recipe.init {
            Init::Content => ops.copy(&state.content, &mut state.picture)?,
            Init::Noise => {
                let values = noise(recipe.seed, ops.shape(&state.picture).elements());
                ops.upload(&values, &mut state.picture)?;
            }
            Init::Previous if painted => {
                // At one scale the result already lies where it begins.
                if let Some(full) = finer.first() {
                    ops.resize(&full.picture, recipe.border, &mut state.picture)?;
                    ops.mirror_border(&mut state.picture, recipe.border)?;
                }
            }
            Init::Matched | Init::Previous => {
                ops.colour_map(&state.content, &recolouring, &mut state.picture)?
            }
        }
        Ok(())
    }

    /// The picture at full size, as far as it has come at `scale`. Overwrites the picture of the full size.
    pub(super) fn preview(&mut self, scale: usize, frame: PictureView) -> Result<Vec<f32>> {
        if scale > 0 {
            self.states[0].show(&mut self.ops, frame)?;
            self.step_up(scale, 0)?;
        }
        self.picture()
    }

    /// Brings the result of the scale `from` to a finer one, with the detail of the content that the
    /// coarser one could not hold, along the style's colour axes.
    pub(super) fn step_up(&mut self, from: usize, to: usize) -> Result<()> {
        let Self {
            ops,
            states,
            recipe,
            axes,
            ..
        } = self;
        let Ok([state, coarser]) = states.get_disjoint_mut([to, from]) else {
            return Ok(());
        };
        let border = recipe.border;
        ops.resize(&coarser.picture, border, &mut state.picture)?;
        if recipe.init != Init::Noise {
            let detail = recipe.detail as f32;
            ops.resize(&coarser.content, border, &mut state.spare)?;
            ops.axpy(-1.0, &state.content, &mut state.spare)?;
            ops.colour_map(&state.spare, axes, state.optimizer.step())?;
            ops.axpy(-detail, state.optimizer.step(), &mut state.picture)?;
        }
        ops.mirror_border(&mut state.picture, border)?;
        Ok(())
    }

    /// Step `index` of `steps` at one scale, in a run that began with `done` of `of` steps.
    pub(super) fn step(
        &mut self,
        scale: usize,
        (index, steps): (usize, usize),
        (done, of): (usize, usize),
        run: &mut Run,
    ) -> Result<()> {
        let Self {
            ops,
            extractor,
            states,
            recipe,
            iterations,
            ..
        } = self;
        let state = &mut states[scale];
        let rate = schedule::rate(run.rate, index, steps, recipe.rate_decay);
        state.step(ops, extractor, run.weights, rate)?;
        *iterations += 1;
        if let Some(observer) = &mut run.observer {
            let (width, height) = state.size();
            observer(&Step {
                scale,
                width,
                height,
                done: done + index + 1,
                of,
                losses: state.objective.losses(ops)?,
            });
        }
        Ok(())
    }

    /// Remembers the losses of the last of `steps` steps at a scale, if there was one.
    pub(super) fn read_losses(&mut self, scale: usize, steps: usize) -> Result<()> {
        if steps > 0 {
            self.losses = self.states[scale].objective.losses(&mut self.ops)?;
        }
        Ok(())
    }
}
