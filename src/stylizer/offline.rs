// SPDX-License-Identifier: MIT OR Apache-2.0

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::easel::Easel;
use super::interval::Interval;
use super::live::Live;
use super::outbox::Outbox;
use super::style_picture::StylePicture;
use super::{Controls, Drive, Error, Frame, Report, Stats};
use crate::backend::{Backend, CancelToken};
use crate::gatys::{Carry, Watch};
use crate::motion::{CutDetector, Gray, Track};

/// The driver in which each keyframe waits for its steps, and the frames between two keyframes for the second.
pub struct Offline<B: Backend> {
    easel: Easel<B>,
    style: Option<Arc<StylePicture>>,
    cuts: CutDetector,
    tracker: Box<dyn Track>,
    /// The frame before, at the size at which it was painted.
    before: Option<Gray>,
    /// What came since the last keyframe.
    interval: Interval,
    /// Whether the next frame starts afresh although there is a result to go on from.
    afresh: bool,
    /// Spent since a frame was finished last.
    busy: Duration,
    stats: Stats,
    observer: Option<Watch>,
}

impl<B: Backend> Offline<B> {
    pub fn new(easel: Easel<B>, tracker: Box<dyn Track>, stats: Stats) -> Self {
        Self {
            easel,
            style: None,
            cuts: CutDetector::default(),
            tracker,
            before: None,
            interval: Interval::default(),
            afresh: false,
            busy: Duration::ZERO,
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
        self.interval.begin();
    }

    fn set_observer(&mut self, observer: Option<Watch>) {
        self.observer = observer;
    }

    fn take_observer(&mut self) -> Option<Watch> {
        self.observer.take()
    }

    fn push(&mut self, frame: &Frame, controls: &Controls, outbox: &mut Outbox) -> Result<(), Error> {
        let answer = self.take(frame, controls, outbox);
        answer.map_err(|error| {
            if error.is_for_memory() {
                // In the way as well of what would fit.
                self.give_back_following();
            }
            self.easel.with_advice(error, frame.size())
        })
    }

    fn finish(&mut self, outbox: &mut Outbox) -> Result<(), Error> {
        self.interval.end();
        self.let_go(outbox)
    }

    fn take_held(&mut self) -> Vec<(Frame, Controls)> {
        std::iter::from_fn(|| self.interval.take())
            .map(|held| (held.frame, held.controls))
            .collect()
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
        self.give_back_following();
        let mut live = Live::new(self.easel, self.tracker, painting, cancel, self.stats)?;
        live.set_observer(self.observer);
        if let Some(style) = self.style {
            live.set_style(style);
        }
        Ok(Box::new(live))
    }
}

impl<B: Backend> Offline<B> {
    fn take(&mut self, frame: &Frame, controls: &Controls, outbox: &mut Outbox) -> Result<(), Error> {
        let began = Instant::now();
        let steps_before = self.easel.painter().iterations();
        let style = self.style.clone().ok_or(Error::NoStyle)?;
        let size = frame.size();
        let is_cut = self.cuts.is_cut(frame, controls.cut_threshold);
        // Stays so until a fresh start has come to its end.
        self.afresh |= is_cut
            || !self.easel.is_ready_for(size)
            || !self.easel.painter().has_painted()
            || self.before.is_none();
        let restarted = self.afresh;
        if restarted {
            self.let_go(outbox)?;
        }
        if !self.easel.is_ready_for(size) {
            // What was planned for other frames makes room for these.
            self.give_back_following();
        }
        let between = controls.keyframe_interval > 1;
        let is_new_style = self.easel.prepare(size, &style, controls.style_crop, between)?;
        self.tracker.plan(self.easel.working())?;
        self.easel.set_following_taken(self.tracker.bytes_in_use());
        // A new style shows at once.
        let keyframe = restarted || is_new_style || self.interval.is_over(controls.keyframe_interval);
        let optimising = Instant::now();
        let observer = self.observer.as_mut();
        let (width, height) = self.easel.working();
        let now = Gray::of(frame, width, height);
        match self.before.take() {
            Some(before) if !restarted => {
                let motion = self.tracker.track(&before, &now)?;
                let carry = Carry {
                    flow: [&motion.backward.u, &motion.backward.v],
                    trust: &motion.trust,
                };
                // Between keyframes the painting only moves along.
                let steps = if keyframe { controls.iterations } else { 0 };
                self.easel.go_on(frame, carry, controls, steps, observer)?;
                if keyframe {
                    self.interval.meet(motion, [&before, &now]);
                } else {
                    let mut copy = outbox.room(frame);
                    copy.copy_from(frame);
                    let shown = self.easel.painter().shown()?;
                    self.interval
                        .hold((copy, *controls), shown, motion, [&before, &now]);
                }
            }
            _ => {
                self.tracker.forget();
                self.easel.start(frame, controls, observer, None)?;
                self.afresh = false;
            }
        }
        let iterations = (self.easel.painter().iterations() - steps_before) as usize;
        if iterations > 0 {
            self.stats.ms_per_step = optimising.elapsed().as_secs_f64() * 1e3 / iterations as f64;
        }
        let finished = self.stats.frames;
        if keyframe {
            let report = Report {
                keyframe,
                restarted,
                iterations,
            };
            self.let_go_with(frame, controls.strength, report, outbox)?;
        }
        self.before = Some(now);
        self.busy += began.elapsed();
        let finished = self.stats.frames - finished;
        if finished > 0 {
            self.stats.ms_per_frame = std::mem::take(&mut self.busy).as_secs_f64() * 1e3 / finished as f64;
        }
        self.take_stock();
        Ok(())
    }

    /// Finishes a keyframe that is painted, and before it those that waited for it.
    fn let_go_with(
        &mut self,
        frame: &Frame,
        strength: f64,
        report: Report,
        outbox: &mut Outbox,
    ) -> Result<(), Error> {
        self.let_go(outbox)?;
        let mut out = outbox.room(frame);
        let painter = self.easel.painter();
        painter.compose(frame.view(), strength, &mut out)?;
        self.interval.begin();
        outbox.put(out, report);
        self.stats.frames += 1;
        self.stats.keyframes += 1;
        Ok(())
    }

    /// Finishes the frames that are held back: from the keyframe before them alone, unless the interval has met the one
    /// after.
    fn let_go(&mut self, outbox: &mut Outbox) -> Result<(), Error> {
        while let Some(held) = self.interval.first() {
            if !self.easel.is_ready_for(held.frame.size()) {
                // A plan that had to be given up took what was painted with it.
                self.interval.begin();
                return Ok(());
            }
            let mut out = outbox.room(&held.frame);
            let strength = held.controls.strength;
            self.easel
                .painter()
                .compose_between(held.frame.view(), held.sides(), strength, &mut out)?;
            let report = Report {
                keyframe: false,
                restarted: false,
                iterations: 0,
            };
            outbox.put(out, report);
            self.stats.frames += 1;
            if let Some(held) = self.interval.take() {
                outbox.recycle(held.frame);
            }
        }
        Ok(())
    }

    fn give_back_following(&mut self) {
        self.tracker.discard_plan();
        self.easel.set_following_taken(self.tracker.bytes_in_use());
    }

    fn take_stock(&mut self) {
        self.stats.planned_bytes = self.easel.planned_bytes();
        (self.stats.working_width, self.stats.working_height) = self.easel.working();
        let painter = self.easel.painter();
        self.stats.iterations = painter.iterations();
        self.stats.losses = painter.losses();
        self.stats.bytes_in_use = painter.backend().bytes_in_use() + self.tracker.bytes_in_use();
    }
}
