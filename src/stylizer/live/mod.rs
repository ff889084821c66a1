// SPDX-License-Identifier: MIT OR Apache-2.0

//! The driver in which no frame waits. A thread of its own paints the newest frame that it can get; whoever brings the
//! frames moves what is shown along with them and takes in each painting when it is there.

mod desk;
mod shown;
mod worker;

use std::sync::Arc;
use std::time::Instant;

use super::easel::Easel;
use super::outbox::Outbox;
use super::style_picture::StylePicture;
use super::{Controls, Drive, Error, Frame, Report, Stats};
use crate::backend::{Backend, CancelToken, cpu::Cpu};
use crate::gatys::Watch;
use crate::motion::{Chain, CutDetector, Gray, Motion, Track};
use desk::{Found, Keyframe};
use shown::Shown;
use worker::Worker;

/// What the thread that brings the frames holds.
pub struct Live {
    worker: Worker,
    shown: Shown,
    cancel: CancelToken,
    working_size: usize,
    tracked_size: usize,
    detail: f64,
    style: Option<Arc<StylePicture>>,
    /// Width and height of the frames, at which they are painted and shown, and at which their motion is found.
    size: (usize, usize),
    working: (usize, usize),
    tracked: (usize, usize),
    cuts: CutDetector,
    tracker: Box<dyn Track>,
    /// The frame before and the frame now, as the tracker sees them.
    before: Gray,
    now: Gray,
    /// Whether the next frame starts afresh.
    afresh: bool,
    /// Of the newest frame, from 1.
    number: u64,
    /// From the newest frame to the keyframe that is being painted or was painted last, and to the frame that waits to be.
    begun: Option<Way>,
    waiting: Option<Way>,
    stats: Stats,
}

/// The motion from the newest frame back to an older one.
struct Way {
    to: u64,
    motion: Chain,
}

impl Live {
    /// `cancel` stops the frame that is being shown; `painting` is the token of the easel's backend, and of nobody else.
    pub fn new<B: Backend + 'static>(
        easel: Easel<B>,
        tracker: Box<dyn Track>,
        painting: CancelToken,
        cancel: CancelToken,
        stats: Stats,
    ) -> Result<Self, Error> {
        let ops = Cpu::aside(cancel.clone())?;
        Ok(Self {
            working_size: easel.working_size(),
            tracked_size: easel.tracked_size(),
            detail: easel.detail(),
            worker: Worker::spawn(easel, painting)?,
            shown: Shown::new(ops),
            cancel,
            style: None,
            size: (0, 0),
            working: (0, 0),
            tracked: (0, 0),
            cuts: CutDetector::default(),
            tracker,
            before: Gray::default(),
            now: Gray::default(),
            afresh: true,
            number: 0,
            begun: None,
            waiting: None,
            stats,
        })
    }
}

impl Drive for Live {
    fn go_live(
        self: Box<Self>,
        _painting: CancelToken,
        _cancel: CancelToken,
    ) -> Result<Box<dyn Drive>, Error> {
        Ok(self)
    }

    fn set_style(&mut self, style: Arc<StylePicture>) {
        // What was painted in another style is no place to go on from.
        self.style = Some(style);
        self.afresh = true;
    }

    fn restart(&mut self) {
        self.afresh = true;
        self.cuts.forget();
        // The worker need not wait for the next frame to know.
        self.worker.desk().clear();
    }

    fn set_observer(&mut self, observer: Option<Watch>) {
        self.worker.desk().set_observer(observer);
    }

    fn take_observer(&mut self) -> Option<Watch> {
        self.worker.desk().take_observer()
    }

    fn push(&mut self, frame: &Frame, controls: &Controls, outbox: &mut Outbox) -> Result<(), Error> {
        if self.cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let mut out = outbox.room(frame);
        let answer = self.show(frame, &mut out, controls);
        if answer.is_err() {
            // What is shown may belong to this frame or to the one before.
            self.afresh = true;
        }
        outbox.put(out, answer?);
        Ok(())
    }

    fn finish(&mut self, _outbox: &mut Outbox) -> Result<(), Error> {
        Ok(())
    }

    fn take_held(&mut self) -> Vec<(Frame, Controls)> {
        Vec::new()
    }

    fn stats(&self) -> &Stats {
        &self.stats
    }
}

impl Live {
    fn show(&mut self, frame: &Frame, out: &mut Frame, controls: &Controls) -> Result<Report, Error> {
        let began = Instant::now();
        let style = self.style.clone().ok_or(Error::NoStyle)?;
        out.resize(frame.width(), frame.height());
        self.number += 1;
        let is_new = self.prepare(frame)?;
        let seen = self.shown.see(frame)?.resized(self.tracked.0, self.tracked.1);
        self.before = std::mem::replace(&mut self.now, seen);
        let is_cut = self.cuts.is_cut_of(frame, &self.now, controls.cut_threshold);
        let restarted = is_new || self.afresh || is_cut;
        if restarted {
            self.begin(&style, controls)?;
        } else {
            self.follow()?;
        }
        let mut found = self.worker.desk().look();
        let arrived = self.take_in(found.keyframe.take())?;
        self.hand_over(found, frame, style, controls);
        self.shown.compose(frame, controls.strength, self.detail, out)?;
        self.stats.frames += 1;
        self.stats.ms_per_frame = began.elapsed().as_secs_f64() * 1e3;
        Ok(Report {
            keyframe: arrived.is_some(),
            restarted,
            iterations: arrived.unwrap_or(0),
        })
    }

    /// Plans for the frame's size; whether it is new.
    fn prepare(&mut self, frame: &Frame) -> Result<bool, Error> {
        let size = (frame.width(), frame.height());
        if self.size == size {
            return Ok(false);
        }
        self.size = (0, 0);
        self.working = super::working_size(size, self.working_size);
        self.tracked = super::working_size(size, self.tracked_size);
        self.shown.plan(self.working)?;
        self.tracker.plan(self.tracked)?;
        (self.stats.working_width, self.stats.working_height) = self.working;
        self.size = size;
        Ok(true)
    }

    /// A new scene: nothing of the old one is shown or painted any more. What is shown is the frame in the style's
    /// colours until it is painted.
    fn begin(&mut self, style: &StylePicture, controls: &Controls) -> Result<(), Error> {
        self.worker.desk().clear();
        self.tracker.forget();
        (self.begun, self.waiting) = (None, None);
        self.shown.restart(style, controls.style_crop)?;
        self.afresh = false;
        Ok(())
    }

    /// Moves everything along with the scene.
    fn follow(&mut self) -> Result<(), Error> {
        let Motion { backward, trust, .. } = self.tracker.track(&self.before, &self.now)?;
        self.shown.advance(backward, trust)?;
        for way in [&mut self.begun, &mut self.waiting].into_iter().flatten() {
            way.motion.advance(backward, trust);
        }
        Ok(())
    }

    /// Takes a keyframe into what is shown; if it is finished, the number of its steps.
    fn take_in(&mut self, keyframe: Option<Result<Keyframe, Error>>) -> Result<Option<usize>, Error> {
        let Some(keyframe) = keyframe.transpose()? else {
            return Ok(None);
        };
        let ways = [&self.begun, &self.waiting].into_iter().flatten();
        if let Some(way) = ways.into_iter().find(|way| way.to == keyframe.number) {
            let finished = keyframe.progress.is_some();
            self.shown.absorb(&keyframe.picture, finished, &way.motion)?;
        }
        let Some(progress) = keyframe.progress else {
            return Ok(None);
        };
        self.stats.keyframes = progress.keyframes;
        self.stats.iterations = progress.iterations;
        self.stats.losses = progress.losses;
        self.stats.ms_per_step = progress.ms_per_step;
        self.stats.planned_bytes = progress.planned_bytes;
        self.stats.bytes_in_use =
            progress.bytes_in_use + self.shown.bytes_in_use() + self.tracker.bytes_in_use();
        Ok(Some(progress.steps))
    }

    /// Wishes for this frame to be painted next, if it is time for a keyframe.
    fn hand_over(&mut self, found: Found, frame: &Frame, style: Arc<StylePicture>, controls: &Controls) {
        let Found { mut job, begun, .. } = found;
        // Nobody knew whether the frame that waited was being painted until now.
        let spare = if self.waiting.as_ref().is_some_and(|way| Some(way.to) == begun) {
            std::mem::replace(&mut self.begun, self.waiting.take())
        } else {
            self.waiting.take()
        };
        let interval = controls.keyframe_interval.max(1) as u64;
        if begun.is_some_and(|begun| self.number - begun < interval) {
            return;
        }
        job.number = self.number;
        job.frame.copy_from(frame);
        job.controls = *controls;
        job.style = Some(style);
        job.from = self.begun.as_ref().map(|way| way.to);
        if let Some(way) = &self.begun {
            job.motion.copy_from(&way.motion);
        }
        self.worker.desk().hand_over(job);
        let mut motion = spare.map(|way| way.motion).unwrap_or_default();
        motion.restart(self.tracked.0, self.tracked.1);
        self.waiting = Some(Way {
            to: self.number,
            motion,
        });
    }
}
