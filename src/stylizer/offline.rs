// SPDX-License-Identifier: MIT OR Apache-2.0

use std::sync::Arc;
use std::time::Instant;

use super::easel::{Easel, rgb};
use super::live::Live;
use super::style_picture::StylePicture;
use super::{Controls, Drive, Error, Frame, Report, Stats};
use crate::backend::{Backend, CancelToken};
use crate::gatys::{Carry, Watch};
use crate::motion::{CutDetector, Gray, Tracker};

/// The driver in which each frame waits for its steps.
pub struct Offline<B: Backend> {
    easel: Easel<B>,
    style: Option<Arc<StylePicture>>,
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

impl<B: Backend> Offline<B> {
    pub fn new(easel: Easel<B>, stats: Stats) -> Self {
        Self {
            easel,
            style: None,
            cuts: CutDetector::default(),
            tracker: Tracker::new(),
            before: None,
            afresh: false,
            until_keyframe: 0,
            stats,
            observer: None,
        }
    }
}

impl<B: Backend + 'static> Drive for Offline<B> {
    fn set_style(&mut self, style: Arc<StylePicture>) {
        // What was painted in another style is no place to go on from.
        self.afresh |= self.style.is_some();
        self.style = Some(style);
    }

    fn restart(&mut self) {
        self.easel.painter().forget();
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
        answer.map_err(|error| self.easel.with_advice(error, (frame.width(), frame.height())))
    }

    fn stats(&self) -> &Stats {
        &self.stats
    }

    fn go_live(
        mut self: Box<Self>,
        painting: CancelToken,
        cancel: CancelToken,
    ) -> Result<Box<dyn Drive>, Error> {
        self.easel.go_live()?;
        let mut live = Live::new(self.easel, painting, cancel, self.stats)?;
        live.set_observer(self.observer);
        if let Some(style) = self.style {
            live.set_style(style);
        }
        Ok(Box::new(live))
    }
}

impl<B: Backend> Offline<B> {
    fn paint(&mut self, frame: &Frame, out: &mut Frame, controls: &Controls) -> Result<Report, Error> {
        let began = Instant::now();
        let steps_before = self.easel.painter().iterations();
        out.resize(frame.width(), frame.height());
        let style = self.style.as_ref().ok_or(Error::NoStyle)?;
        if self
            .easel
            .prepare((frame.width(), frame.height()), style, controls.style_crop)?
        {
            // The new style shows at once.
            self.until_keyframe = 0;
        }
        let is_cut = self.cuts.is_cut(frame, controls.cut_threshold);
        let restarted = is_cut || self.afresh || !self.easel.painter().has_painted() || self.before.is_none();
        let keyframe = restarted || self.until_keyframe == 0;
        let optimising = Instant::now();
        let observer = self.observer.as_mut();
        let (width, height) = self.easel.working();
        let now = Gray::of(frame, width, height);
        match self.before.take() {
            Some(before) if !restarted => {
                let motion = self.tracker.track(&before, &now);
                let carry = Carry {
                    flow: [&motion.backward.u, &motion.backward.v],
                    trust: &motion.resemblance,
                };
                // Between keyframes the painting only moves along.
                let steps = if keyframe { controls.iterations } else { 0 };
                self.easel.go_on(frame, carry, controls, steps, observer)?;
            }
            _ => {
                self.tracker.forget();
                self.easel.start(frame, controls, observer, None)?;
                self.afresh = false;
            }
        }
        self.before = Some(now);
        let optimised_ms = optimising.elapsed().as_secs_f64() * 1e3;
        self.stats.planned_bytes = self.easel.planned_bytes();
        (self.stats.working_width, self.stats.working_height) = self.easel.working();
        let painter = self.easel.painter();
        painter.compose(rgb(frame), controls.strength, out.rgb_mut())?;

        let interval = controls.keyframe_interval.max(1);
        self.until_keyframe = if keyframe {
            interval - 1
        } else {
            self.until_keyframe.saturating_sub(1)
        };
        let iterations = (painter.iterations() - steps_before) as usize;
        self.stats.frames += 1;
        self.stats.keyframes += u64::from(keyframe);
        self.stats.iterations = painter.iterations();
        self.stats.losses = painter.losses();
        if iterations > 0 {
            self.stats.ms_per_step = optimised_ms / iterations as f64;
        }
        self.stats.ms_per_frame = began.elapsed().as_secs_f64() * 1e3;
        self.stats.bytes_in_use = painter.backend().bytes_in_use();
        Ok(Report {
            keyframe,
            restarted,
            iterations,
        })
    }
}
