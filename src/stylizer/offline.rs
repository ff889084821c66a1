// SPDX-License-Identifier: MIT OR Apache-2.0

use std::sync::Arc;
use std::time::Instant;

use super::style_picture::StylePicture;
use super::{Controls, Drive, Error, Frame, Report, Stats};
use crate::backend::{self, Backend};
use crate::gatys::{self, Carry, Network, OptimizerKind, Painter, Recipe, Rgb, Run, Watch, Weights};
use crate::motion::{CutDetector, Gray, Tracker};

/// The driver in which each frame waits for its steps.
pub struct Offline<B: Backend> {
    painter: Painter<B>,
    working_size: usize,
    default_style_weight: f64,
    /// Of a fresh start and of the frames after it.
    rates: (f64, f64),
    style: Option<Arc<StylePicture>>,
    /// The crop with which the style was measured; `None` before that and after a change of style or size.
    measured_crop: Option<f64>,
    /// Width and height of the frames for which there is a plan.
    planned: Option<(usize, usize)>,
    cuts: CutDetector,
    tracker: Tracker,
    /// The frame before, at the size at which it was painted.
    before: Option<Gray>,
    /// Whether the next frame starts afresh although there is a result to go on from.
    afresh: bool,
    /// Frames until the next keyframe.
    until_keyframe: usize,
    stats: Stats,
    observer: Option<Watch>,
}

/// Sizes that are proposed are multiples of this.
const ROUND: usize = 8;
/// The rate of a fresh start, and of the frames after it, unless the user chooses one for both. SGD's are for
/// relative terms, whose gradient has a length that hardly depends on the size.
fn rates(optimizer: OptimizerKind) -> (f64, f64) {
    match optimizer {
        OptimizerKind::Adam => (0.03, 0.006),
        OptimizerKind::Sgd | OptimizerKind::Lbfgs => (2.0, 0.5),
    }
}

impl<B: Backend> Offline<B> {
    pub fn new(ops: B, network: Network, recipe: Recipe, working_size: usize) -> Result<Self, Error> {
        let stats = Stats {
            backend: ops.name().to_owned(),
            device: ops.device(),
            network: network.name().to_owned(),
            ..Stats::default()
        };
        let default_style_weight = network.defaults().style_weight;
        Ok(Self {
            rates: rates(recipe.optimizer.kind),
            painter: Painter::new(ops, network, recipe)?,
            working_size,
            default_style_weight,
            style: None,
            measured_crop: None,
            planned: None,
            cuts: CutDetector::default(),
            tracker: Tracker::new(),
            before: None,
            afresh: false,
            until_keyframe: 0,
            stats,
            observer: None,
        })
    }

    /// Plans for the frame's size and measures the style, if either is new.
    fn prepare(&mut self, frame: &Frame, controls: &Controls) -> Result<(), Error> {
        let size = (frame.width(), frame.height());
        if self.planned != Some(size) {
            self.planned = None;
            let working = super::working_size(size, self.working_size);
            if self.painter.size() != Some(working) {
                self.stats.planned_bytes = self.painter.planned_bytes(working, size);
                self.painter.plan(working, size)?;
                self.measured_crop = None;
            }
            self.painter.forget();
            self.planned = Some(size);
            (self.stats.working_width, self.stats.working_height) = working;
        }
        if self.measured_crop != Some(controls.style_crop) {
            let style = self.style.as_ref().ok_or(Error::NoStyle)?;
            let cropped = style.frame().cropped(controls.style_crop);
            self.painter.set_style(rgb(&cropped))?;
            self.measured_crop = Some(controls.style_crop);
            // The new style shows at once.
            self.until_keyframe = 0;
        }
        Ok(())
    }

    /// Where memory was lacking for frames of `size`, the size at which they could be painted.
    fn with_advice(&mut self, error: Error, size: (usize, usize)) -> Error {
        let Error::Gatys(gatys::Error::Backend(backend::Error::OutOfMemory { bytes })) = error else {
            return error;
        };
        let (width, height) = super::working_size(size, self.working_size);
        // The piece that was one too many, or all of it.
        let needed = bytes.max(self.painter.peak_bytes((width, height), size));
        // Of no use any more, and in the way of whatever comes instead.
        self.painter.discard_plan();
        self.planned = None;
        let available = self.painter.backend().available_bytes().unwrap_or(needed / 2);
        let advice = match self.fitting(size, width.max(height), available) {
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

    /// The largest working size below `failed` at which frames of `size` fit into `available` bytes.
    fn fitting(&self, size: (usize, usize), failed: usize, available: usize) -> Option<usize> {
        // Without its weights nobody knows what they take; where there is no room for them there is none for more.
        let most = self.painter.has_weights().then_some(failed * 9 / 10)?;
        // A little is left for everybody else.
        let available = available - available / 20;
        let least = super::SMALLEST_WORKING_SIDE / ROUND;
        let mut sizes = (least..=most / ROUND).rev().map(|n| n * ROUND);
        sizes.find(|&longer| {
            let working = super::working_size(size, longer);
            self.painter.peak_bytes(working, size) <= available
        })
    }

    /// Starts afresh, with a smaller rate if the numbers go bad.
    fn start(&mut self, frame: &Frame, controls: &Controls, weights: Weights) -> Result<(), Error> {
        let rate = controls.learning_rate.unwrap_or(self.rates.0);
        for rate in [rate, rate / 10.0] {
            self.painter.start(
                rgb(frame),
                Run {
                    weights,
                    rate,
                    iterations: controls.first_iterations,
                    watch: self.observer.as_mut(),
                },
            )?;
            if self.painter.is_finite()? {
                self.afresh = false;
                return Ok(());
            }
            self.painter.forget();
        }
        Err(Error::Diverged(format!("{:?}", self.painter.losses())))
    }

    /// Goes on from the last result along the motion since `before`; starts afresh if the numbers go bad.
    fn go_on(
        &mut self,
        frame: &Frame,
        (before, now): (&Gray, &Gray),
        controls: &Controls,
        weights: Weights,
        keyframe: bool,
    ) -> Result<(), Error> {
        let motion = self.tracker.track(before, now);
        let carry = Carry {
            flow: [&motion.backward.u, &motion.backward.v],
            trust: &motion.resemblance,
        };
        let run = Run {
            weights,
            rate: controls.learning_rate.unwrap_or(self.rates.1),
            // Between keyframes the painting only moves along.
            iterations: if keyframe { controls.iterations } else { 0 },
            watch: self.observer.as_mut(),
        };
        self.painter.proceed(rgb(frame), carry, run)?;
        if self.painter.is_finite()? {
            return Ok(());
        }
        self.painter.forget();
        self.start(frame, controls, weights)
    }
}

impl<B: Backend> Drive for Offline<B> {
    fn set_style(&mut self, style: Arc<StylePicture>) {
        // What was painted in another style is no place to go on from.
        self.afresh |= self.style.is_some();
        self.style = Some(style);
        self.measured_crop = None;
    }

    fn restart(&mut self) {
        self.painter.forget();
        self.cuts.forget();
        self.before = None;
        self.until_keyframe = 0;
    }

    fn set_observer(&mut self, observer: Option<Watch>) {
        self.observer = observer;
    }

    fn take_observer(&mut self) -> Option<Watch> {
        self.observer.take()
    }

    fn process(&mut self, frame: &Frame, out: &mut Frame, controls: &Controls) -> Result<Report, Error> {
        let answer = self.paint(frame, out, controls);
        answer.map_err(|error| self.with_advice(error, (frame.width(), frame.height())))
    }

    fn stats(&self) -> &Stats {
        &self.stats
    }
}

impl<B: Backend> Offline<B> {
    fn paint(&mut self, frame: &Frame, out: &mut Frame, controls: &Controls) -> Result<Report, Error> {
        let began = Instant::now();
        let steps_before = self.painter.iterations();
        out.resize(frame.width(), frame.height());
        self.prepare(frame, controls)?;
        let weights = Weights {
            content: controls.content_weight,
            style: controls.style_weight.unwrap_or(self.default_style_weight),
            tv: controls.tv_weight,
            temporal: controls.temporal_weight,
        };
        let is_cut = self.cuts.is_cut(frame, controls.cut_threshold);
        let restarted = is_cut || self.afresh || !self.painter.has_painted() || self.before.is_none();
        let keyframe = restarted || self.until_keyframe == 0;
        let optimising = Instant::now();
        let now = Gray::of(frame, self.stats.working_width, self.stats.working_height);
        match self.before.take() {
            Some(before) if !restarted => self.go_on(frame, (&before, &now), controls, weights, keyframe)?,
            _ => {
                self.tracker.forget();
                self.start(frame, controls, weights)?;
            }
        }
        self.before = Some(now);
        let optimised_ms = optimising.elapsed().as_secs_f64() * 1e3;
        self.painter
            .compose(rgb(frame), controls.strength, out.rgb_mut())?;

        let interval = controls.keyframe_interval.max(1);
        self.until_keyframe = if keyframe {
            interval - 1
        } else {
            self.until_keyframe.saturating_sub(1)
        };
        let iterations = (self.painter.iterations() - steps_before) as usize;
        self.stats.frames += 1;
        self.stats.keyframes += u64::from(keyframe);
        self.stats.iterations = self.painter.iterations();
        self.stats.losses = self.painter.losses();
        if iterations > 0 {
            self.stats.ms_per_step = optimised_ms / iterations as f64;
        }
        self.stats.ms_per_frame = began.elapsed().as_secs_f64() * 1e3;
        self.stats.bytes_in_use = self.painter.backend().bytes_in_use();
        Ok(Report {
            keyframe,
            restarted,
            iterations,
        })
    }
}

fn rgb(frame: &Frame) -> Rgb<'_> {
    Rgb {
        bytes: frame.rgb(),
        width: frame.width(),
        height: frame.height(),
    }
}
