// SPDX-License-Identifier: MIT OR Apache-2.0

//! The driver in which no frame waits. A thread of its own paints the newest frame; the streaming thread moves the picture
//! that is shown along with the frames, and mixes in each painting when it is finished.

mod live_picture;
mod mailbox;
mod worker;

use std::sync::Arc;
use std::time::Instant;

use super::queue::{OutputQueue, Pushed, Token};
use super::session::{Session, style_size};
use super::style_picture::StylePicture;
use super::{Controls, Drive, Error, Frame, Report, Stats};
use crate::backend::{Backend, CancelToken, cpu::Cpu};
use crate::gatys::StepObserver;
use crate::motion::{Chain, CutDetector, Gray, Motion, Track};
use crate::picture::Format;
use live_picture::LivePicture;
use mailbox::{Keyframe, Received};
use worker::Worker;

/// What the streaming thread holds.
pub struct Live {
    worker: Worker,
    picture: LivePicture,
    cancel: CancelToken,
    working_size: usize,
    tracked_size: usize,
    detail: f64,
    style: Option<Arc<StylePicture>>,
    /// The frames for which there is a plan.
    planned: Option<Format>,
    /// Widths and heights at which they are painted and shown, and at which their motion is found.
    working: (usize, usize),
    tracked: (usize, usize),
    cuts: CutDetector,
    tracker: Box<dyn Track>,
    /// The luma of the frame before and of the frame now, at the size at which motion is looked for.
    before: Gray,
    now: Gray,
    /// Whether the next frame starts afresh.
    afresh: bool,
    /// The number of the newest frame, from 1.
    number: u64,
    /// From the newest frame to the keyframe that is being painted or was painted last, and to the frame that was submitted.
    begun: Option<MotionTo>,
    submitted: Option<MotionTo>,
    stats: Stats,
}

/// The motion from the newest frame back to an older one.
struct MotionTo {
    /// The number of the older frame.
    frame: u64,
    motion: Chain,
}

impl Live {
    /// `cancel` stops the streaming thread; `painting` is the token of the session's backend, and of nothing else.
    pub fn new<B: Backend + 'static>(
        session: Session<B>,
        tracker: Box<dyn Track>,
        painting: CancelToken,
        cancel: CancelToken,
        stats: Stats,
    ) -> Result<Self, Error> {
        let ops = Cpu::aside(cancel.clone())?;
        Ok(Self {
            working_size: session.working_size(),
            tracked_size: session.tracked_size(),
            detail: session.detail(),
            worker: Worker::spawn(session, painting)?,
            picture: LivePicture::new(ops),
            cancel,
            style: None,
            planned: None,
            working: (0, 0),
            tracked: (0, 0),
            cuts: CutDetector::default(),
            tracker,
            before: Gray::default(),
            now: Gray::default(),
            afresh: true,
            number: 0,
            begun: None,
            submitted: None,
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
        // A painting in another style is no warm start.
        self.style = Some(style);
        self.afresh = true;
    }

    fn restart(&mut self) {
        self.afresh = true;
        self.cuts.forget();
        // Stops the painting thread now, not only with the next frame.
        self.worker.mailbox().begin_scene();
    }

    fn set_observer(&mut self, observer: Option<StepObserver>) {
        self.worker.mailbox().set_observer(observer);
    }

    fn take_observer(&mut self) -> Option<StepObserver> {
        self.worker.mailbox().take_observer()
    }

    fn push(
        &mut self,
        frame: &Frame,
        controls: &Controls,
        token: &mut Token,
        queue: &mut OutputQueue,
    ) -> Result<(), Error> {
        if self.cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let mut out = queue.new_frame(frame);
        let answer = self.show(frame, &mut out, controls);
        if answer.is_err() {
            // The picture may already have moved to this frame, or not.
            self.afresh = true;
        }
        let report = answer?;
        queue.push(out, std::mem::take(token), report);
        Ok(())
    }

    fn finish(&mut self, _queue: &mut OutputQueue) -> Result<(), Error> {
        Ok(())
    }

    fn held(&self) -> usize {
        0
    }

    fn newest_held(&mut self) -> Option<&mut Token> {
        None
    }

    fn take_held(&mut self) -> Vec<Pushed> {
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
        out.reshape(frame.format());
        self.number += 1;
        let is_new = self.prepare(frame)?;
        let seen = self
            .picture
            .set_frame(frame)?
            .resized(self.tracked.0, self.tracked.1);
        self.before = std::mem::replace(&mut self.now, seen);
        let is_cut = self.cuts.is_cut(frame, &self.now, controls.cut_threshold);
        let restarted = is_new || self.afresh || is_cut;
        if restarted {
            self.begin(&style, controls)?;
        } else {
            self.follow()?;
        }
        let mut received = self.worker.mailbox().receive();
        let arrived = self.mix_in(received.keyframe.take())?;
        self.stats.style_enlarged = style_size(&style, controls).enlarged(self.working);
        self.submit(received, frame, style, controls);
        self.picture.compose(frame, controls.strength, self.detail, out)?;
        self.stats.frames += 1;
        self.stats.ms_per_frame = began.elapsed().as_secs_f64() * 1e3;
        Ok(Report {
            keyframe: arrived.is_some(),
            restarted,
            iterations: arrived.unwrap_or(0),
        })
    }

    /// Plans for the frame's format. Returns whether it is new.
    fn prepare(&mut self, frame: &Frame) -> Result<bool, Error> {
        let format = frame.format();
        if self.planned == Some(format) {
            return Ok(false);
        }
        self.planned = None;
        self.working = super::working_size(format, self.working_size);
        self.tracked = super::working_size(format, self.tracked_size);
        self.picture.plan(self.working)?;
        self.tracker.plan(self.tracked)?;
        (self.stats.working_width, self.stats.working_height) = self.working;
        self.planned = Some(format);
        Ok(true)
    }

    /// Begins a new scene: nothing of the old one is shown or painted any more. The frame is shown in the style's colours
    /// until it is painted.
    fn begin(&mut self, style: &StylePicture, controls: &Controls) -> Result<(), Error> {
        self.worker.mailbox().begin_scene();
        self.tracker.forget();
        (self.begun, self.submitted) = (None, None);
        self.picture.restart(style, controls.style_crop)?;
        self.afresh = false;
        Ok(())
    }

    /// Moves the picture, and the motion to older frames, along to this frame.
    fn follow(&mut self) -> Result<(), Error> {
        let Motion { backward, trust, .. } = self.tracker.track(&self.before, &self.now)?;
        self.picture.advance(backward, trust)?;
        for to in [&mut self.begun, &mut self.submitted].into_iter().flatten() {
            to.motion.advance(backward, trust);
        }
        Ok(())
    }

    /// Mixes a keyframe into the picture. Returns the number of its steps if it is finished.
    fn mix_in(&mut self, keyframe: Option<Result<Keyframe, Error>>) -> Result<Option<usize>, Error> {
        let Some(keyframe) = keyframe.transpose()? else {
            return Ok(None);
        };
        let known = [&self.begun, &self.submitted].into_iter().flatten();
        if let Some(to) = known.into_iter().find(|to| to.frame == keyframe.number) {
            let finished = keyframe.progress.is_some();
            self.picture.mix_in(&keyframe.picture, finished, &to.motion)?;
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
            progress.bytes_in_use + self.picture.bytes_in_use() + self.tracker.bytes_in_use();
        Ok(Some(progress.steps))
    }

    /// Submits this frame to be painted next, if it is time for a keyframe.
    fn submit(&mut self, received: Received, frame: &Frame, style: Arc<StylePicture>, controls: &Controls) {
        let Received {
            spare: mut job,
            begun,
            ..
        } = received;
        // Only now is it known whether the frame that was submitted last has been begun.
        let spare = if self
            .submitted
            .as_ref()
            .is_some_and(|motion| Some(motion.frame) == begun)
        {
            std::mem::replace(&mut self.begun, self.submitted.take())
        } else {
            self.submitted.take()
        };
        let interval = controls.keyframe_interval.max(1) as u64;
        if begun.is_some_and(|begun| self.number - begun < interval) {
            return;
        }
        job.number = self.number;
        job.frame.copy_from(frame);
        job.controls = *controls;
        job.style = Some(style);
        job.from = self.begun.as_ref().map(|to| to.frame);
        if let Some(to) = &self.begun {
            job.motion.copy_from(&to.motion);
        }
        self.worker.mailbox().submit(job);
        let mut motion = spare.map(|to| to.motion).unwrap_or_default();
        motion.restart(self.tracked.0, self.tracked.1);
        self.submitted = Some(MotionTo {
            frame: self.number,
            motion,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::session::tests::session;
    use super::super::{BackendChoice, Core, Mode, Options};
    use super::mailbox::{Job, Taken};
    use super::*;
    use crate::gatys::NetworkChoice;
    use crate::motion::Tracker;

    #[test]
    fn a_frame_keeps_its_token_when_the_backend_is_replaced() {
        let options = Options {
            network: NetworkChoice::Tiny,
            backend: BackendChoice::Auto,
            mode: Mode::Live,
            ..Options::default()
        };
        let (cancel, painting) = (CancelToken::new(), CancelToken::new());
        let session = session(&options, painting.clone());
        let tracker = Box::new(Tracker::new());
        let live = Live::new(
            session,
            tracker,
            painting.clone(),
            cancel.clone(),
            Stats::default(),
        )
        .unwrap();
        let taken = Taken {
            job: Job::default(),
            observer: None,
            scene: 0,
        };
        let failure = crate::backend::Error::OutOfMemory { bytes: 1 };
        live.worker.mailbox().deliver(taken, Err(failure.into()));
        let mut core = Core::with_driver(Box::new(live), &options, cancel, painting);
        core.is_live = true;
        core.replaceable = true;
        core.set_style(Arc::new(Frame::new(20, 20).into()));
        let token = Token(Box::new(7usize));
        core.push(&Frame::new(32, 24), &Controls::default(), token)
            .unwrap();
        assert!(core.fallback.is_some());
        let (token, _) = core.queue.pop(&mut Frame::default()).unwrap();
        assert!(token.0.is::<usize>(), "the frame came out with another token");
    }
}
