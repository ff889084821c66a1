// SPDX-License-Identifier: MIT OR Apache-2.0

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::style_picture::StylePicture;
use super::{Controls, Error, Frame};
use crate::backend::{self, Backend};
use crate::gatys::{
    self, Demand, Displacement, LossWeights, Network, Normalization, OptimizerKind, Painter, PreviewSink,
    Recipe, Run, Statistic, StepObserver, StyleSize,
};
use crate::picture::Format;

/// A painter with everything that both drivers need around it: plans for the size of the frames, the measured style, learning
/// rates, and a second try when the numbers go bad.
pub struct Session<B: Backend> {
    painter: Painter<B>,
    sizes: WorkingSizes,
    /// Bytes of the painter's memory that looking for motion takes, for frames painted at a width and height.
    tracker_bytes: Box<dyn Fn((usize, usize)) -> usize + Send>,
    /// How many of those it has taken.
    tracker_taken: usize,
    is_live: bool,
    detail: f64,
    /// Longer side at which frames are painted.
    working_size: usize,
    default_style_weight: f64,
    default_temporal_weight: f64,
    /// The learning rates of a fresh start and of the frames after it.
    rates: (f64, f64),
    /// The frames for which there is a plan.
    planned: Option<Format>,
    /// What the plan is for: the cropped style picture, and whether there are frames between keyframes.
    style: StyleSize,
    between: bool,
    /// The style that was measured with this plan, and its crop and scale.
    measured: Option<(Arc<StylePicture>, (f64, f64))>,
    ms_per_step: f64,
    /// How long the last fresh start took, for each of its `first-iterations`.
    start_ms_per_iteration: Option<f64>,
}

/// Longer sides at which frames are painted, in pixels.
#[derive(Clone, Copy, Debug)]
pub struct WorkingSizes {
    pub offline: usize,
    pub live: usize,
    /// Live: the most at which motion is looked for.
    pub tracked: usize,
}

/// Working sizes that are proposed where memory lacks are multiples of this.
const ROUND: usize = 8;
/// The rate of a fresh start, and of the frames after it, unless the user chooses one for both. SGD's are for
/// the relative normalization, with which the length of the gradient hardly depends on the size. With covariances
/// .02 gives longer strokes than .03; below it the result stays too close to the content.
fn rates(optimizer: OptimizerKind, statistic: Statistic) -> (f64, f64) {
    match (optimizer, statistic) {
        (OptimizerKind::Adam, Statistic::Covariance) => (0.02, 0.0045),
        (OptimizerKind::Adam, Statistic::Gram) => (0.03, 0.0045),
        (OptimizerKind::Sgd | OptimizerKind::Lbfgs, _) => (2.0, 0.5),
    }
}

/// The weight of what holds a film together, unless the user chooses one. Gatys' own loss has no such term.
fn default_temporal_weight(normalization: Normalization) -> f64 {
    match normalization {
        Normalization::Relative => 150.0,
        Normalization::Gatys => 0.0,
    }
}

/// What of a style picture is measured, and how large.
pub fn style_size(style: &StylePicture, controls: &Controls) -> StyleSize {
    let (width, height) = style.frame().cropped_size(controls.style_crop);
    StyleSize {
        picture: (width.max(1), height.max(1)),
        scale: controls.style_scale,
    }
}

impl<B: Backend> Session<B> {
    pub fn new(
        ops: B,
        network: Network,
        recipe: Recipe,
        sizes: WorkingSizes,
        tracker_bytes: Box<dyn Fn((usize, usize)) -> usize + Send>,
    ) -> Result<Self, Error> {
        Ok(Self {
            detail: recipe.detail,
            default_style_weight: network.defaults().style_weights.of(recipe.measure.statistic),
            default_temporal_weight: default_temporal_weight(recipe.measure.normalization),
            rates: rates(recipe.optimizer.kind, recipe.measure.statistic),
            painter: Painter::new(ops, network, recipe)?,
            sizes,
            tracker_bytes,
            tracker_taken: 0,
            is_live: false,
            working_size: sizes.offline,
            planned: None,
            style: StyleSize {
                picture: (1, 1),
                scale: 1.0,
            },
            between: false,
            measured: None,
            ms_per_step: 0.0,
            start_ms_per_iteration: None,
        })
    }

    /// Prepares for painting in the background of a stream that does not wait, at another size and at a lower priority; what
    /// was planned is planned anew.
    pub fn go_live(&mut self) -> Result<(), Error> {
        self.working_size = self.sizes.live;
        self.discard_plan();
        self.is_live = true;
        Ok(self.painter.backend_mut().lower_priority()?)
    }

    pub fn painter(&mut self) -> &mut Painter<B> {
        &mut self.painter
    }

    /// Longer side at which frames are painted.
    pub fn working_size(&self) -> usize {
        self.working_size
    }

    /// Live: longer side of the pictures in which motion is looked for.
    pub fn tracked_size(&self) -> usize {
        self.working_size.min(self.sizes.tracked)
    }

    /// How far the painting follows the frame's detail, as [`Options::detail`](super::Options::detail).
    pub fn detail(&self) -> f64 {
        self.detail
    }

    /// Bytes that everything that was planned takes of the backend's memory, with what looking for motion takes: see
    /// [`Painter::planned_now`].
    pub fn planned_bytes(&self) -> usize {
        match self.painter.size() {
            Some(working) => self.painter.planned_now() + (self.tracker_bytes)(working),
            None => 0,
        }
    }

    /// Notes how many bytes of the backend's memory looking for motion has taken.
    pub fn set_tracker_taken(&mut self, bytes: usize) {
        self.tracker_taken = bytes;
    }

    /// Whether there is a plan for frames of `format`.
    pub fn is_ready_for(&self, format: Format) -> bool {
        self.planned == Some(format)
    }

    /// Plans for frames of `format`, with frames between keyframes if `between`, and measures the style, if any of that is new.
    /// Returns whether the style was.
    pub fn prepare(
        &mut self,
        format: Format,
        style: &Arc<StylePicture>,
        controls: &Controls,
        between: bool,
    ) -> Result<bool, Error> {
        let (crop, scale) = (controls.style_crop, controls.style_scale);
        self.style = style_size(style, controls);
        if self.planned != Some(format) {
            self.planned = None;
            self.between = between;
            self.measured = None;
            self.start_ms_per_iteration = None;
            let demand = self.demand(format, super::working_size(format, self.working_size));
            if self.is_live {
                // The streaming thread has planned for the motion before.
                self.tracker_taken = (self.tracker_bytes)(demand.size);
            }
            let others = (self.tracker_bytes)(demand.size).saturating_sub(self.tracker_taken);
            self.painter.plan(demand, others)?;
            self.planned = Some(format);
        } else if between {
            // Until there is another plan.
            self.between = true;
            self.painter.plan_between()?;
        }
        let measured = self.measured.as_ref();
        if measured.is_some_and(|(known, at)| Arc::ptr_eq(known, style) && *at == (crop, scale)) {
            return Ok(false);
        }
        self.measured = None;
        self.painter
            .set_style(style.frame().cropped(crop).view(), scale)?;
        self.measured = Some((style.clone(), (crop, scale)));
        Ok(true)
    }

    /// Frees what was planned, and forgets what was painted.
    pub fn discard_plan(&mut self) {
        self.painter.discard_plan();
        self.planned = None;
        self.measured = None;
        self.start_ms_per_iteration = None;
    }

    /// See [`Stats::style_enlarged`](super::Stats::style_enlarged).
    pub fn style_enlarged(&self) -> f64 {
        self.style.enlarged(self.working())
    }

    /// Width and height at which frames are painted, once planned.
    pub fn working(&self) -> (usize, usize) {
        self.painter.size().unwrap_or_default()
    }

    /// Starts afresh, with a smaller rate if the numbers go bad. `previews` sees the painting before it is finished. If no
    /// frame is to keep anything of the one before, `init=previous` finds nothing to begin with.
    pub fn start(
        &mut self,
        frame: &Frame,
        controls: &Controls,
        mut observer: Option<&mut StepObserver>,
        mut previews: Option<&mut dyn PreviewSink>,
    ) -> Result<(), Error> {
        if controls.steadiness == 0.0 {
            self.painter.forget();
        }
        let rate = controls.learning_rate.unwrap_or(self.rates.0);
        for rate in [rate, rate / 10.0] {
            let (began, before) = (Instant::now(), self.painter.iterations());
            let answer = self.painter.start(
                frame.view(),
                Run {
                    weights: self.weights(controls),
                    rate,
                    iterations: controls.first_iterations,
                    steadiness: controls.steadiness,
                    observer: observer.as_deref_mut(),
                    previews: match &mut previews {
                        Some(previews) => Some(&mut **previews),
                        None => None,
                    },
                },
            );
            self.measure_start(began.elapsed(), controls.first_iterations, answer.is_ok());
            answer?;
            self.measure(began, before);
            if self.painter.is_finite()? {
                return Ok(());
            }
            self.painter.forget();
        }
        Err(Error::Diverged(self.painter.losses()))
    }

    /// Notes what a fresh start took. One that a cut ended before its time took too little, so that what is known of
    /// the ones before counts if it is more.
    fn measure_start(&mut self, took: Duration, iterations: usize, ended: bool) {
        if iterations > 0 {
            let each = took.as_secs_f64() * 1e3 / iterations as f64;
            let known = self.start_ms_per_iteration.filter(|_| !ended);
            self.start_ms_per_iteration = Some(known.map_or(each, |known| known.max(each)));
        }
    }

    /// How many `first-iterations` of a fresh start fit into `time`, by the last one.
    pub fn first_iterations_within(&self, time: Duration) -> Option<usize> {
        let each = self.start_ms_per_iteration?;
        Some((time.as_secs_f64() * 1e3 / each) as usize)
    }

    /// Moves the last result along the motion since and takes `iterations` steps from there; starts afresh if no frame is to
    /// keep anything of the one before, or if the numbers go bad, which is what the answer says.
    pub fn go_on(
        &mut self,
        frame: &Frame,
        displacement: Displacement,
        controls: &Controls,
        iterations: usize,
        mut observer: Option<&mut StepObserver>,
    ) -> Result<bool, Error> {
        if controls.steadiness == 0.0 && iterations > 0 {
            self.start(frame, controls, observer, None)?;
            return Ok(false);
        }
        let run = Run {
            weights: self.weights(controls),
            rate: controls.learning_rate.unwrap_or_else(|| self.next_rate(controls)),
            iterations,
            steadiness: controls.steadiness,
            observer: observer.as_deref_mut(),
            previews: None,
        };
        let (began, before) = (Instant::now(), self.painter.iterations());
        self.painter.proceed(frame.view(), displacement, run)?;
        self.measure(began, before);
        if self.painter.is_finite()? {
            return Ok(false);
        }
        self.painter.forget();
        self.start(frame, controls, observer, None)?;
        Ok(true)
    }

    /// The rate of steps that go on from a keyframe: the calmest, or between it and that of a fresh start. Where keyframes are
    /// apart, each has to do the work of more frames.
    fn next_rate(&self, controls: &Controls) -> f64 {
        let (fresh, calm) = self.rates;
        let calm = (calm * (controls.keyframe_interval as f64).sqrt()).min(fresh);
        fresh * (calm / fresh).powf(controls.steadiness)
    }

    /// Notes what the steps since `began` took, if there were any beyond `before`.
    fn measure(&mut self, began: Instant, before: u64) {
        let steps = self.painter.iterations() - before;
        if steps > 0 {
            self.ms_per_step = began.elapsed().as_secs_f64() * 1e3 / steps as f64;
        }
    }

    /// Milliseconds per step of the last keyframe, see [`Stats::ms_per_step`](super::Stats::ms_per_step).
    pub fn ms_per_step(&self) -> f64 {
        self.ms_per_step
    }

    /// The result, [3, H, W] at the size at which frames are painted.
    pub fn picture(&mut self) -> Result<Vec<f32>, Error> {
        Ok(self.painter.picture()?)
    }

    fn weights(&self, controls: &Controls) -> LossWeights {
        LossWeights {
            content: controls.content_weight,
            style: controls.style_weight.unwrap_or(self.default_style_weight),
            tv: controls.tv_weight,
            temporal: controls.temporal_weight.unwrap_or(self.default_temporal_weight) * controls.steadiness
                / controls.keyframe_interval as f64,
        }
    }

    /// Adds to an error for lack of memory the working size at which frames of `format` could be painted; leaves others
    /// alone.
    pub fn with_advice(&mut self, error: Error, format: Format) -> Error {
        let Error::Gatys(gatys::Error::Backend(backend::Error::OutOfMemory { bytes })) = error else {
            return error;
        };
        let (width, height) = super::working_size(format, self.working_size);
        // The plan is of no use any more, and takes memory that the next one needs.
        self.discard_plan();
        // The one allocation that failed, or the whole plan.
        let needed = bytes.max(self.peak_bytes((width, height), format));
        let taken = self.painter.backend().planned_in_use() + self.tracker_taken;
        let free = self.painter.backend().available_bytes().unwrap_or(needed / 2);
        let advice = match self.fitting(format, width.max(height), taken, free) {
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

    /// The largest working size below `failed` at which frames of `format` fit into the bytes that are `taken` already and
    /// those that are `free`.
    fn fitting(&self, format: Format, failed: usize, taken: usize, free: usize) -> Option<usize> {
        // Leaves 5 % to other programs.
        let available = taken + free - free / 20;
        let most = failed * 9 / 10;
        let least = super::SMALLEST_WORKING_SIDE / ROUND;
        let mut sizes = (least..=most / ROUND).rev().map(|n| n * ROUND);
        sizes.find(|&longer| self.peak_bytes(super::working_size(format, longer), format) <= available)
    }

    /// The most bytes that painting at a width and height takes at any time, for frames of `format`.
    fn peak_bytes(&self, working: (usize, usize), format: Format) -> usize {
        let demand = self.demand(format, working);
        self.painter.peak_bytes(demand) + (self.tracker_bytes)(working)
    }

    /// The demand of frames of `format`, painted at the width and height `working`, in the style that was asked for last.
    fn demand(&self, format: Format, working: (usize, usize)) -> Demand {
        Demand {
            size: working,
            frame: format,
            style: self.style,
            between: self.between,
        }
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::backend::CancelToken;
    use crate::backend::cpu::Cpu;
    use crate::gatys::NetworkChoice;
    use crate::stylizer::Options;

    /// A session as drivers have it: the smallest network on a thread, for frames of 32 pixels.
    pub fn session(options: &Options, cancel: CancelToken) -> Session<Cpu> {
        let sizes = WorkingSizes {
            offline: 32,
            live: 32,
            tracked: 32,
        };
        let ops = Cpu::new(1, cancel).unwrap();
        let network = Network::open(NetworkChoice::Tiny, None).unwrap();
        Session::new(ops, network, Recipe::from(options), sizes, Box::new(|_| 0)).unwrap()
    }

    fn normalized(normalization: Normalization) -> Session<Cpu> {
        let options = Options {
            normalization,
            ..Options::default()
        };
        session(&options, CancelToken::new())
    }

    fn controls(keyframe_interval: usize, steadiness: f64) -> Controls {
        Controls {
            keyframe_interval,
            steadiness,
            ..Controls::default()
        }
    }

    #[test]
    fn keyframes_that_are_apart_take_larger_steps_and_are_held_less() {
        let session = normalized(Normalization::Relative);
        for (interval, steadiness, rate, weight) in [
            (1, 1.0, 0.0045, 150.0),
            (4, 1.0, 0.009, 37.5),
            // No larger than a fresh start's.
            (10_000, 1.0, 0.02, 0.015),
            (1, 0.5, 0.0045f64.sqrt() * 0.02f64.sqrt(), 75.0),
            (1, 0.0, 0.02, 0.0),
        ] {
            let controls = controls(interval, steadiness);
            let (found, held) = (session.next_rate(&controls), session.weights(&controls).temporal);
            assert!((found - rate).abs() < 1e-12, "{interval} {steadiness}: {found}");
            assert!((held - weight).abs() < 1e-12, "{interval} {steadiness}: {held}");
        }
    }

    #[test]
    fn gatys_loss_has_no_temporal_term_unless_one_is_asked_for() {
        let session = normalized(Normalization::Gatys);
        let mut controls = controls(1, 1.0);
        assert_eq!(session.weights(&controls).temporal, 0.0);
        controls.temporal_weight = Some(7.0);
        assert_eq!(session.weights(&controls).temporal, 7.0);
    }

    #[test]
    fn a_start_that_was_ended_tells_only_how_long_it_takes_at_least() {
        let mut session = normalized(Normalization::Relative);
        let second = Duration::from_secs(1);
        assert_eq!(session.first_iterations_within(second), None);
        session.measure_start(second, 10, false);
        assert_eq!(session.first_iterations_within(second), Some(10));
        session.measure_start(second / 4, 10, false);
        assert_eq!(session.first_iterations_within(second), Some(10));
        session.measure_start(second / 4, 10, true);
        assert_eq!(session.first_iterations_within(second), Some(40));
        session.discard_plan();
        assert_eq!(session.first_iterations_within(second), None);
    }
}
