// SPDX-License-Identifier: MIT OR Apache-2.0

use crate::backend::{self, Backend, ColourMap, ColourStatistics, Export, Mix, Pooling, Shape, Slot};
use crate::gatys::measure::style::StyleView;
use crate::gatys::network::extractor::{Extractor, nodes};
use crate::gatys::paint::colour::{axes, matching};
use crate::gatys::paint::scale::ScaleState;
use crate::gatys::paint::schedule;
use crate::gatys::video::between::{Between, Sides};
use crate::gatys::video::continuation::Continuation;
use crate::gatys::video::displacement::Displacement;
use crate::gatys::{Losses, Network, PoolingChoice, Recipe, Result, Run};
use crate::picture::{Picture, PictureView};

mod requirement;
mod steps;

pub use requirement::{Demand, StyleSize};
use requirement::{Planned, scale_settings};

/// How far the frame's detail is followed at `detail` = 1. At half of it an edge becomes as much steeper as the picture
/// around follows the frame: no more contrast than was painted.
const GUIDANCE: f64 = 2.0;

/// Paints frames of one size in one style, one after the other.
pub struct Painter<B: Backend> {
    ops: B,
    /// Where the weights come from; `None` once they are loaded.
    network: Option<Network>,
    extractor: Extractor<B>,
    recipe: Recipe,
    content_layers: Vec<(usize, f64)>,
    style_layers: Vec<(usize, f64)>,
    planned: Option<Planned>,
    /// The full size first. Empty before `plan`.
    states: Vec<ScaleState<B>>,
    style_colours: ColourStatistics,
    /// What steps, and what is added to the picture, are multiplied by.
    axes: ColourMap,
    /// What the full-size picture keeps from frame to frame; `None` before `plan`.
    continuation: Option<Continuation<B>>,
    /// Puts together full-size frames between keyframes, once there are any.
    between: Option<Between<B>>,
    /// [1]: the picture's sum of squares, by which [`is_finite`](Self::is_finite) finds NaN and infinity.
    probe: B::Tensor,
    painted: bool,
    losses: Losses,
    iterations: u64,
}

impl<B: Backend> Painter<B> {
    /// Checks that the network has the layers. Its weights are loaded by the first [`plan`](Self::plan), as far as
    /// the layers need them.
    pub fn new(mut ops: B, network: Network, recipe: Recipe) -> Result<Self> {
        let defaults = network.defaults();
        let content_layers = nodes(
            &network,
            recipe.content_layers.as_ref().unwrap_or(&defaults.content_layers),
        )?;
        let style_layers = nodes(
            &network,
            recipe.style_layers.as_ref().unwrap_or(&defaults.style_layers),
        )?;
        let depth = content_layers
            .iter()
            .chain(&style_layers)
            .map(|(node, _)| *node)
            .max()
            .unwrap_or(0);
        let pooling = match recipe.pooling {
            PoolingChoice::Network => network.pooling(),
            PoolingChoice::Average => Pooling::Average,
            PoolingChoice::Max => Pooling::Max,
        };
        let extractor = Extractor::new(&network, pooling, depth);
        let probe = ops.tensor(Shape::vector(1))?;
        Ok(Self {
            ops,
            network: Some(network),
            extractor,
            recipe,
            content_layers,
            style_layers,
            planned: None,
            states: Vec::new(),
            style_colours: ColourStatistics::default(),
            axes: ColourMap::IDENTITY,
            continuation: None,
            between: None,
            probe,
            painted: false,
            losses: Losses::default(),
            iterations: 0,
        })
    }

    /// Plans for what is demanded; forgets what was painted. A style must be set after it. `others` is what else
    /// will be taken of the backend's memory, in bytes.
    ///
    /// # Errors
    /// [`backend::Error::OutOfMemory`] before anything but the network's weights is allocated, if it does not all fit into
    /// what the backend has left.
    pub fn plan(&mut self, demand: Demand, others: usize) -> Result<()> {
        // What was planned before is given back first.
        self.discard_plan();
        if let Some(network) = &self.network {
            self.extractor.load(&mut self.ops, network)?;
            self.network = None;
        }
        let requirement = self.requirement(demand, demand.style);
        let needed = requirement.peak.saturating_sub(self.ops.planned_in_use()) + others;
        if self
            .ops
            .available_bytes()
            .is_some_and(|available| needed > available)
        {
            return Err(backend::Error::OutOfMemory { bytes: needed }.into());
        }
        self.ops.reserve_scratch(&requirement.scratch)?;
        self.allocate(demand)?;
        self.planned = Some(Planned {
            demand,
            style: demand.style,
            bytes: requirement.bytes,
        });
        Ok(())
    }

    /// Makes everything that is planned.
    fn allocate(&mut self, demand: Demand) -> Result<()> {
        let shape = self.shape(demand.size);
        let continuation = Continuation::new(&mut self.ops, shape, self.recipe.border)?;
        let between = match demand.between {
            true => Some(Between::new(&mut self.ops, shape, self.recipe.border)?),
            false => None,
        };
        // Half a plan is none: until all of it is there, `size` says nothing.
        let mut states = Vec::with_capacity(self.scales(demand.size));
        for scale in 0..self.scales(demand.size) {
            let Self {
                ops,
                extractor,
                recipe,
                content_layers,
                style_layers,
                ..
            } = self;
            let overlap = extractor.overlap(style_layers);
            let plan = scale_settings(recipe, content_layers, style_layers, demand, overlap, scale);
            states.push(ScaleState::new(ops, extractor, &plan)?);
        }
        self.states = states;
        self.continuation = Some(continuation);
        self.between = between;
        Ok(())
    }

    /// Gives back what was planned, and what was painted with it.
    pub fn discard_plan(&mut self) {
        self.states.clear();
        self.continuation = None;
        self.between = None;
        self.planned = None;
        self.painted = false;
    }

    /// Makes ready for frames between keyframes, too.
    ///
    /// # Errors
    /// [`backend::Error::OutOfMemory`]; what is planned stays so.
    pub fn plan_between(&mut self) -> Result<()> {
        if let (Some(Planned { demand, style, .. }), None) = (self.planned, &self.between) {
            let shape = self.shape(demand.size);
            self.between = Some(Between::new(&mut self.ops, shape, self.recipe.border)?);
            let demand = Demand {
                between: true,
                ..demand
            };
            let bytes = self.requirement(demand, style).bytes;
            self.planned = Some(Planned { demand, style, bytes });
        }
        Ok(())
    }

    /// Width and height at which frames are painted.
    pub fn size(&self) -> Option<(usize, usize)> {
        self.states.first().map(ScaleState::size)
    }

    /// Takes a picture as the style, measured at `scale` times the size at which it has the area of what is painted. What was
    /// painted stays and is moved towards the new style.
    pub fn set_style(&mut self, picture: PictureView, scale: f64) -> Result<()> {
        let style = StyleSize {
            picture: picture.size(),
            scale,
        };
        if let Some(Planned {
            demand, style: known, ..
        }) = self.planned
            && known != style
        {
            let requirement = self.requirement(demand, style);
            self.ops.reserve_scratch(&requirement.scratch)?;
            self.planned = Some(Planned {
                demand,
                style,
                bytes: requirement.bytes,
            });
        }
        self.measure_style(picture, style)
    }

    fn measure_style(&mut self, picture: PictureView, style: StyleSize) -> Result<()> {
        let Some(full) = self.size() else {
            return Ok(());
        };
        self.set_colours(picture, StyleSize { scale: 1.0, ..style }.measured(full))?;
        let Self {
            ops,
            extractor,
            style_layers,
            states,
            ..
        } = self;
        let tile = style.tile(full, extractor.overlap(style_layers));
        for scale in 0..states.len() {
            let view = StyleView {
                picture,
                size: style.measured(states[scale].size()),
                tile,
            };
            let target = states[0]
                .objective
                .measure_style(ops, extractor, style_layers, view)?;
            states[scale].objective.set_style(ops, &target)?;
        }
        Ok(())
    }

    /// Takes the colours of a style's picture, as they are at a width and height. What was painted in another style's, and goes on
    /// or is begun with, is mapped from those to these: steps along the new axes would never leave others behind.
    fn set_colours(&mut self, picture: PictureView, (width, height): (usize, usize)) -> Result<()> {
        let mut style = self.ops.tensor(Shape::new(3, height, width))?;
        self.ops.import(picture, 0, &mut style)?;
        let colours = self.ops.colour_statistics(&style)?;
        drop(style);
        let share = self.recipe.optimizer.colour_axes;
        self.axes.matrix = axes(&colours, share);
        for state in &mut self.states {
            state.optimizer.set_axes(&mut self.ops, &self.axes.matrix)?;
        }
        if let (true, Some(continuation), Some(state)) =
            (self.painted, &mut self.continuation, self.states.first_mut())
        {
            continuation.restyle();
            if share > 0.0 && colours != self.style_colours {
                // What is mapped in part, because this ends before its time, is of no use.
                self.painted = false;
                let recolouring = matching(&self.style_colours, &colours);
                continuation.recolour(&mut self.ops, state, &recolouring)?;
                self.painted = true;
            }
        }
        self.style_colours = colours;
        Ok(())
    }

    /// Whether there is a result to go on from.
    pub fn has_painted(&self) -> bool {
        self.painted
    }

    /// Forgets what was painted.
    pub fn forget(&mut self) {
        self.painted = false;
    }

    /// Starts afresh with `frame`, from coarse to fine.
    pub fn start(&mut self, frame: PictureView, mut run: Run) -> Result<()> {
        let steps = schedule::steps(run.iterations, self.states.len());
        let total = steps.iter().sum();
        let mut done = 0;
        // A fresh start owes nothing to the picture before.
        run.weights.temporal = 0.0;
        // If this does not come to its end there is no picture to go on from, neither the old one nor a new one.
        let painted = std::mem::take(&mut self.painted);
        for scale in (0..self.states.len()).rev() {
            let Self {
                ops,
                extractor,
                states,
                ..
            } = self;
            states[scale].show(ops, frame)?;
            states[scale].measure_content(ops, extractor)?;
            if scale + 1 == self.states.len() {
                self.begin(scale, painted)?;
            } else {
                self.step_up(scale + 1, scale)?;
                if let (0, Some(previews)) = (scale, &mut run.previews) {
                    previews.show(self.picture()?);
                }
            }
            let Self { ops, states, .. } = self;
            states[scale].restart(ops)?;
            for index in 0..steps[scale] {
                self.step(scale, (index, steps[scale]), (done, total), &mut run)?;
                if let Some(previews) = &mut run.previews
                    && previews.wants_preview()
                {
                    previews.show(self.preview(scale, frame)?);
                }
            }
            self.read_losses(scale, steps[scale])?;
            done += steps[scale];
        }
        if let (Some(continuation), Some(state)) = (&mut self.continuation, self.states.first_mut()) {
            continuation.begin(&mut self.ops, state)?;
        }
        self.painted = true;
        Ok(())
    }

    /// Goes on from the last result with the next frame, along its motion.
    pub fn proceed(&mut self, frame: PictureView, displacement: Displacement, run: Run) -> Result<()> {
        let Some(continuation) = &mut self.continuation else {
            return Ok(());
        };
        continuation.lay_out(displacement, run.steadiness);
        self.advance(frame, run)
    }

    /// Goes on along the motion that was laid out.
    fn advance(&mut self, frame: PictureView, mut run: Run) -> Result<()> {
        let Self {
            ops,
            extractor,
            states,
            style_colours,
            continuation,
            ..
        } = self;
        let (Some(state), Some(continuation)) = (states.first_mut(), continuation.as_mut()) else {
            return Ok(());
        };
        // The content and the picture change at different times; if this ends between them they do not belong together.
        self.painted = false;
        state.show(ops, frame)?;
        let steps = run.iterations;
        continuation.advance(ops, state, style_colours, steps)?;
        if steps > 0 {
            state.measure_content(ops, extractor)?;
        }
        for index in 0..steps {
            self.step(0, (index, steps), (0, steps), &mut run)?;
        }
        self.read_losses(0, steps)?;
        if let (Some(continuation), Some(state)) = (&mut self.continuation, self.states.first_mut()) {
            continuation.correct_drift(&mut self.ops, state, steps)?;
        }
        self.painted = true;
        Ok(())
    }

    /// `frame` with the result mixed in by `strength`; where the result is smaller than the frame, what the frame
    /// shows beyond that size is drawn in the result's own contrast and colours, by the recipe's share.
    pub fn compose(&mut self, frame: PictureView, strength: f64, out: &mut Picture) -> Result<()> {
        let Self {
            ops,
            states,
            continuation,
            recipe,
            ..
        } = self;
        let (Some(state), Some(continuation)) = (states.first(), continuation.as_ref()) else {
            return Ok(());
        };
        let mix = mix(strength, recipe.detail, state.size(), frame.size());
        ops.export(
            Export {
                picture: continuation.output(),
                content: &state.content,
                border: recipe.border,
                mix,
                frame,
            },
            out,
        )?;
        Ok(())
    }

    /// What [`compose`](Self::compose) lays onto a frame, with its margin, for
    /// [`compose_between`](Self::compose_between); empty if there is none.
    pub fn output(&mut self) -> Result<Vec<f32>> {
        let Some(continuation) = &self.continuation else {
            return Ok(Vec::new());
        };
        let mut output = vec![0.0; self.ops.shape(continuation.output()).elements()];
        self.ops.download(continuation.output(), &mut output)?;
        Ok(output)
    }

    /// As [`compose`](Self::compose), of a frame that came before the result, which is the keyframe after it if its sides
    /// know one.
    pub fn compose_between(
        &mut self,
        frame: PictureView,
        sides: Sides,
        strength: f64,
        out: &mut Picture,
    ) -> Result<()> {
        // As a rule it was planned for with the keyframe before.
        self.plan_between()?;
        let (Some(state), Some(continuation), Some(between)) =
            (self.states.first(), &self.continuation, &mut self.between)
        else {
            return Ok(());
        };
        let mix = mix(strength, self.recipe.detail, state.size(), frame.size());
        let after = continuation.output();
        between.compose(&mut self.ops, frame, sides, after, mix, out)
    }

    /// The result, [3, H, W] at the size at which it was painted; empty if there is none.
    pub fn picture(&mut self) -> Result<Vec<f32>> {
        let Self {
            ops, states, recipe, ..
        } = self;
        let Some(state) = states.first() else {
            return Ok(Vec::new());
        };
        let shape = ops.shape(&state.picture);
        let mut all = vec![0.0; shape.elements()];
        ops.download(&state.picture, &mut all)?;
        let (border, (width, height)) = (recipe.border, state.size());
        let mut inside = Vec::with_capacity(3 * width * height);
        for plane in all.chunks_exact(shape.pixels()) {
            for row in plane.chunks_exact(shape.width).skip(border).take(height) {
                inside.extend_from_slice(&row[border..][..width]);
            }
        }
        Ok(inside)
    }

    /// Whether the result consists of numbers.
    pub fn is_finite(&mut self) -> Result<bool> {
        let Self {
            ops,
            states,
            probe,
            losses,
            ..
        } = self;
        let Some(state) = states.first() else {
            return Ok(true);
        };
        ops.squared_norm(&state.picture, Slot { of: probe, at: 0 })?;
        let mut sum = [0.0];
        ops.download(probe, &mut sum)?;
        Ok(sum[0].is_finite() && losses.are_finite())
    }

    /// The terms of J before the last step.
    pub fn losses(&self) -> Losses {
        self.losses
    }

    /// Steps taken so far, at any size.
    pub fn iterations(&self) -> u64 {
        self.iterations
    }

    pub fn backend(&self) -> &B {
        &self.ops
    }

    pub fn backend_mut(&mut self) -> &mut B {
        &mut self.ops
    }
}

/// How a picture painted at `size` is laid onto a frame of the size `frame`, widths and heights: by `strength`; where the
/// frame is larger, its detail is followed as far as the recipe's `detail` says.
pub fn mix(strength: f64, detail: f64, size: (usize, usize), frame: (usize, usize)) -> Mix {
    let detail = if size == frame { 0.0 } else { GUIDANCE * detail };
    Mix {
        strength: strength as f32,
        detail: detail as f32,
    }
}
