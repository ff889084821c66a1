// SPDX-License-Identifier: MIT OR Apache-2.0

use std::sync::Arc;

use super::style_picture::StylePicture;
use super::{Controls, Error, Frame};
use crate::backend::{self, Backend};
use crate::gatys::{
    self, Carry, Demand, Network, Onlooker, OptimizerKind, Painter, Recipe, Run, Watch, Weights,
};

/// A painter, and what any driver has to see to: the size, the style, rates, and numbers that go bad.
pub struct Easel<B: Backend> {
    painter: Painter<B>,
    sizes: WorkingSizes,
    /// What finding the motion takes of the painter's memory, for frames painted at a width and height.
    following_bytes: Box<dyn Fn((usize, usize)) -> usize + Send>,
    /// What it has taken of that.
    following_taken: usize,
    is_live: bool,
    detail: f64,
    /// Longer side at which frames are painted.
    working_size: usize,
    default_style_weight: f64,
    /// Of a fresh start and of the frames after it.
    rates: (f64, f64),
    /// Width and height of the frames for which there is a plan.
    planned: Option<(usize, usize)>,
    /// Width and height of the style's picture that was asked for last, and whether frames between keyframes were.
    style: (usize, usize),
    between: bool,
    /// The style that was measured at this size, and its crop.
    measured: Option<(Arc<StylePicture>, f64)>,
}

/// Longer sides at which frames are painted, in pixels.
#[derive(Clone, Copy, Debug)]
pub struct WorkingSizes {
    pub offline: usize,
    pub live: usize,
    /// Live, motion is looked for in pictures that are no larger.
    pub tracked: usize,
}

/// Sizes that are proposed are multiples of this.
const ROUND: usize = 8;
/// The rate of a fresh start, and of the frames after it, unless the user chooses one for both. SGD's are for
/// relative terms, whose gradient has a length that hardly depends on the size.
fn rates(optimizer: OptimizerKind) -> (f64, f64) {
    match optimizer {
        OptimizerKind::Adam => (0.03, 0.0045),
        OptimizerKind::Sgd | OptimizerKind::Lbfgs => (2.0, 0.5),
    }
}

impl<B: Backend> Easel<B> {
    pub fn new(
        ops: B,
        network: Network,
        recipe: Recipe,
        sizes: WorkingSizes,
        following_bytes: Box<dyn Fn((usize, usize)) -> usize + Send>,
    ) -> Result<Self, Error> {
        Ok(Self {
            detail: recipe.detail,
            default_style_weight: network.defaults().style_weight,
            rates: rates(recipe.optimizer.kind),
            painter: Painter::new(ops, network, recipe)?,
            sizes,
            following_bytes,
            following_taken: 0,
            is_live: false,
            working_size: sizes.offline,
            planned: None,
            style: (0, 0),
            between: false,
            measured: None,
        })
    }

    /// Makes ready to paint beside a stream that does not wait. Whatever was planned is planned anew.
    pub fn go_live(&mut self) -> Result<(), Error> {
        self.working_size = self.sizes.live;
        self.painter.discard_plan();
        self.planned = None;
        self.is_live = true;
        Ok(self.painter.backend_mut().stand_back()?)
    }

    pub fn painter(&mut self) -> &mut Painter<B> {
        &mut self.painter
    }

    /// Longer side at which frames are painted.
    pub fn working_size(&self) -> usize {
        self.working_size
    }

    /// Longer side of the pictures in which motion is looked for, beside a stream that does not wait.
    pub fn tracked_size(&self) -> usize {
        self.working_size.min(self.sizes.tracked)
    }

    /// The share of a frame's own detail that its painting gets back.
    pub fn detail(&self) -> f64 {
        self.detail
    }

    /// All that was planned takes of the machine's memory, with what finding the motion takes: see
    /// [`Painter::planned_bytes`].
    pub fn planned_bytes(&self) -> usize {
        match self.painter.size() {
            Some(working) => self.painter.planned_now() + (self.following_bytes)(working),
            None => 0,
        }
    }

    /// Says how much of the machine's memory finding the motion has taken, in bytes.
    pub fn set_following_taken(&mut self, bytes: usize) {
        self.following_taken = bytes;
    }

    /// Whether there is a plan for frames of `size`.
    pub fn is_ready_for(&self, size: (usize, usize)) -> bool {
        self.planned == Some(size)
    }

    /// Plans for frames of `size`, with others between keyframes or not, and measures the style, if any of that is new;
    /// whether the style was.
    pub fn prepare(
        &mut self,
        size: (usize, usize),
        style: &Arc<StylePicture>,
        crop: f64,
        between: bool,
    ) -> Result<bool, Error> {
        self.style = style.frame().cropped_size(crop);
        if self.planned != Some(size) {
            self.planned = None;
            self.between = between;
            self.measured = None;
            let demand = self.demand(size, super::working_size(size, self.working_size));
            if self.is_live {
                // Whoever brings the frames has planned for their motion before.
                self.following_taken = (self.following_bytes)(demand.size);
            }
            let others = (self.following_bytes)(demand.size).saturating_sub(self.following_taken);
            self.painter.plan(demand, others)?;
            self.planned = Some(size);
        } else if between {
            // It stays so for as long as the plan does.
            self.between = true;
            self.painter.plan_between()?;
        }
        let measured = self.measured.as_ref();
        if measured.is_some_and(|(known, at)| Arc::ptr_eq(known, style) && *at == crop) {
            return Ok(false);
        }
        self.measured = None;
        self.painter.set_style(style.frame().cropped(crop).view())?;
        self.measured = Some((style.clone(), crop));
        Ok(true)
    }

    /// Width and height at which frames are painted, once planned.
    pub fn working(&self) -> (usize, usize) {
        self.painter.size().unwrap_or_default()
    }

    /// Starts afresh, with a smaller rate if the numbers go bad. `onlooker` sees the painting before it is
    /// finished.
    pub fn start(
        &mut self,
        frame: &Frame,
        controls: &Controls,
        mut watch: Option<&mut Watch>,
        mut onlooker: Option<&mut dyn Onlooker>,
    ) -> Result<(), Error> {
        let rate = controls.learning_rate.unwrap_or(self.rates.0);
        for rate in [rate, rate / 10.0] {
            self.painter.start(
                frame.view(),
                Run {
                    weights: self.weights(controls),
                    rate,
                    iterations: controls.first_iterations,
                    watch: watch.as_deref_mut(),
                    onlooker: match &mut onlooker {
                        Some(onlooker) => Some(&mut **onlooker),
                        None => None,
                    },
                },
            )?;
            if self.painter.is_finite()? {
                return Ok(());
            }
            self.painter.forget();
        }
        Err(Error::Diverged(format!("{:?}", self.painter.losses())))
    }

    /// Goes on from the last result, `iterations` steps, along the motion since; starts afresh if the numbers go bad.
    pub fn go_on(
        &mut self,
        frame: &Frame,
        carry: Carry,
        controls: &Controls,
        iterations: usize,
        mut watch: Option<&mut Watch>,
    ) -> Result<(), Error> {
        let run = Run {
            weights: self.weights(controls),
            rate: controls.learning_rate.unwrap_or(self.rates.1),
            iterations,
            watch: watch.as_deref_mut(),
            onlooker: None,
        };
        self.painter.proceed(frame.view(), carry, run)?;
        if self.painter.is_finite()? {
            return Ok(());
        }
        self.painter.forget();
        self.start(frame, controls, watch, None)
    }

    /// The result, [3, H, W] at the size at which frames are painted.
    pub fn picture(&mut self) -> Result<Vec<f32>, Error> {
        Ok(self.painter.picture()?)
    }

    fn weights(&self, controls: &Controls) -> Weights {
        Weights {
            content: controls.content_weight,
            style: controls.style_weight.unwrap_or(self.default_style_weight),
            tv: controls.tv_weight,
            temporal: controls.temporal_weight,
        }
    }

    /// Where memory was lacking for frames of `size`, the size at which they could be painted.
    pub fn with_advice(&mut self, error: Error, size: (usize, usize)) -> Error {
        let Error::Gatys(gatys::Error::Backend(backend::Error::OutOfMemory { bytes })) = error else {
            return error;
        };
        let (width, height) = super::working_size(size, self.working_size);
        // Of no use any more, and in the way of whatever comes instead.
        self.painter.discard_plan();
        self.planned = None;
        // The piece that was one too many, or all of it.
        let needed = bytes.max(self.peak_bytes((width, height), size));
        let taken = self.painter.backend().planned_in_use() + self.following_taken;
        let free = self.painter.backend().available_bytes().unwrap_or(needed / 2);
        let advice = match self.fitting(size, width.max(height), taken, free) {
            Some(longer) => format!("working-size={longer} would fit"),
            None => "no working-size would fit".into(),
        };
        Error::OutOfMemory {
            needed_bytes: needed,
            width,
            height,
            advice,
        }
    }

    /// The largest working size below `failed` at which frames of `size` fit into the bytes that are `taken` already and
    /// those that are `free`.
    fn fitting(&self, size: (usize, usize), failed: usize, taken: usize, free: usize) -> Option<usize> {
        // A little is left for everybody else.
        let room = taken + free - free / 20;
        let most = failed * 9 / 10;
        let least = super::SMALLEST_WORKING_SIDE / ROUND;
        let mut sizes = (least..=most / ROUND).rev().map(|n| n * ROUND);
        sizes.find(|&longer| self.peak_bytes(super::working_size(size, longer), size) <= room)
    }

    /// The most that painting at a width and height takes at a time, for frames of `size`.
    fn peak_bytes(&self, working: (usize, usize), size: (usize, usize)) -> usize {
        let demand = self.demand(size, working);
        self.painter.peak_bytes(demand) + (self.following_bytes)(working)
    }

    /// For frames of `size`, painted at the width and height `working`, in the style that was asked for last.
    fn demand(&self, size: (usize, usize), working: (usize, usize)) -> Demand {
        let (width, height) = self.style;
        Demand {
            size: working,
            frame: size,
            style: (width.max(1), height.max(1)),
            between: self.between,
        }
    }
}
