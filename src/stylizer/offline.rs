// SPDX-License-Identifier: MIT OR Apache-2.0

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::interval::{Held, Interval};
use super::live::Live;
use super::queue::{OutputQueue, Pushed, Token};
use super::session::Session;
use super::style_picture::StylePicture;
use super::{Controls, Drive, Error, Frame, Report, Stats};
use crate::backend::{Backend, CancelToken};
use crate::gatys::{Displacement, StepObserver};
use crate::motion::{CutDetector, Gray, Track};

/// The driver in which each keyframe waits for its steps, and the frames between two keyframes for the second.
pub struct Offline<B: Backend> {
    session: Session<B>,
    style: Option<Arc<StylePicture>>,
    cuts: CutDetector,
    tracker: Box<dyn Track>,
    /// The luma of the frame before, at the working size.
    before: Option<Gray>,
    /// The frames since the last keyframe.
    interval: Interval,
    /// Whether the next frame starts afresh although there is a result to continue from.
    afresh: bool,
    /// The time spent on frames since one was finished last.
    busy: Duration,
    stats: Stats,
    observer: Option<StepObserver>,
}

impl<B: Backend> Offline<B> {
    pub fn new(session: Session<B>, tracker: Box<dyn Track>, stats: Stats) -> Self {
        Self {
            session,
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
        // A painting in another style is no warm start.
        self.afresh |= self.style.is_some();
        self.style = Some(style);
    }

    fn restart(&mut self) {
        self.session.painter().forget();
        self.cuts.forget();
        self.before = None;
        self.interval.begin();
    }

    fn set_observer(&mut self, observer: Option<StepObserver>) {
        self.observer = observer;
    }

    fn take_observer(&mut self) -> Option<StepObserver> {
        self.observer.take()
    }

    fn push(
        &mut self,
        frame: &Frame,
        controls: &Controls,
        token: &mut Token,
        queue: &mut OutputQueue,
    ) -> Result<(), Error> {
        let answer = self.take(frame, controls, token, queue);
        answer.map_err(|error| {
            if error.is_for_memory() {
                // Its memory is needed for the size that would fit.
                self.free_tracker();
            }
            self.session.with_advice(error, frame.format())
        })
    }

    fn finish(&mut self, queue: &mut OutputQueue) -> Result<(), Error> {
        self.interval.end();
        self.release_held(queue)
    }

    fn held(&self) -> usize {
        self.interval.len()
    }

    fn newest_held(&mut self) -> Option<&mut Token> {
        self.interval.newest().map(|pushed| &mut pushed.token)
    }

    fn take_held(&mut self) -> Vec<Pushed> {
        std::iter::from_fn(|| self.interval.take())
            .map(|held| held.pushed)
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
        self.session.go_live()?;
        self.free_tracker();
        let mut live = Live::new(self.session, self.tracker, painting, cancel, self.stats)?;
        live.set_observer(self.observer);
        if let Some(style) = self.style {
            live.set_style(style);
        }
        Ok(Box::new(live))
    }
}

impl<B: Backend> Offline<B> {
    fn take(
        &mut self,
        frame: &Frame,
        controls: &Controls,
        token: &mut Token,
        queue: &mut OutputQueue,
    ) -> Result<(), Error> {
        let began = Instant::now();
        let steps_before = self.session.painter().iterations();
        let style = self.style.clone().ok_or(Error::NoStyle)?;
        let format = frame.format();
        let (width, height) = super::working_size(format, self.session.working_size());
        let now = Gray::of(frame, width, height);
        let is_cut = self.cuts.is_cut(frame, &now, controls.cut_threshold);
        // Stays set until a fresh start has succeeded.
        self.afresh |= is_cut
            || !self.session.is_ready_for(format)
            || !self.session.painter().has_painted()
            || self.before.is_none();
        let mut restarted = self.afresh;
        if restarted {
            self.release_held(queue)?;
        }
        if !self.session.is_ready_for(format) {
            // Frees the plan for other frames before planning for these.
            self.free_tracker();
        }
        let between = controls.keyframe_interval > 1;
        let is_new_style = self.session.prepare(format, &style, controls, between)?;
        self.tracker.plan(self.session.working())?;
        self.session.set_tracker_taken(self.tracker.bytes_in_use());
        // A new style shows at once.
        let keyframe = restarted || is_new_style || self.interval.is_over(controls.keyframe_interval);
        let observer = self.observer.as_mut();
        match self.before.take() {
            Some(before) if !restarted => {
                let motion = self.tracker.track(&before, &now)?;
                let displacement = Displacement {
                    flow: [&motion.backward.u, &motion.backward.v],
                    trust: &motion.trust,
                };
                // Between keyframes the painting only moves along.
                let steps = if keyframe { controls.iterations } else { 0 };
                restarted = self
                    .session
                    .go_on(frame, displacement, controls, steps, observer)?;
                if keyframe {
                    self.interval.meet(motion, [&before, &now]);
                } else {
                    let mut copy = queue.new_frame(frame);
                    copy.copy_from(frame);
                    let painting = self.session.painter().output()?;
                    let pushed = Pushed {
                        frame: copy,
                        controls: *controls,
                        token: std::mem::take(token),
                    };
                    self.interval.hold(pushed, painting, motion, [&before, &now]);
                }
            }
            _ => {
                self.tracker.forget();
                self.session.start(frame, controls, observer, None)?;
                self.afresh = false;
            }
        }
        let iterations = (self.session.painter().iterations() - steps_before) as usize;
        let finished = self.stats.frames;
        if keyframe {
            let report = Report {
                keyframe,
                restarted,
                iterations,
            };
            self.release(frame, controls.strength, token, report, queue)?;
        }
        self.before = Some(now);
        self.busy += began.elapsed();
        let finished = self.stats.frames - finished;
        if finished > 0 {
            self.stats.ms_per_frame = std::mem::take(&mut self.busy).as_secs_f64() * 1e3 / finished as f64;
        }
        self.update_stats();
        Ok(())
    }

    /// Composes a keyframe that is painted, and before it the frames that waited for it.
    fn release(
        &mut self,
        frame: &Frame,
        strength: f64,
        token: &mut Token,
        report: Report,
        queue: &mut OutputQueue,
    ) -> Result<(), Error> {
        self.release_held(queue)?;
        let mut out = queue.new_frame(frame);
        let painter = self.session.painter();
        painter.compose(frame.view(), strength, &mut out)?;
        self.interval.begin();
        queue.push(out, std::mem::take(token), report);
        self.stats.frames += 1;
        self.stats.keyframes += 1;
        Ok(())
    }

    /// Composes the frames that are held back: from the keyframe before them alone, unless the interval has met the one
    /// after.
    fn release_held(&mut self, queue: &mut OutputQueue) -> Result<(), Error> {
        while let Some(held) = self.interval.first() {
            let Pushed { frame, controls, .. } = &held.pushed;
            if !self.session.is_ready_for(frame.format()) {
                // The plan was discarded for lack of memory, and with it what these would be composed from.
                self.interval.begin();
                return Ok(());
            }
            let mut out = queue.new_frame(frame);
            self.session.painter().compose_between(
                frame.view(),
                held.sides(),
                controls.strength,
                &mut out,
            )?;
            let report = Report {
                keyframe: false,
                restarted: false,
                iterations: 0,
            };
            self.stats.frames += 1;
            if let Some(Held { pushed, .. }) = self.interval.take() {
                queue.push(out, pushed.token, report);
                queue.recycle(pushed.frame);
            }
        }
        Ok(())
    }

    fn free_tracker(&mut self) {
        self.tracker.discard_plan();
        self.session.set_tracker_taken(self.tracker.bytes_in_use());
    }

    fn update_stats(&mut self) {
        self.stats.ms_per_step = self.session.ms_per_step();
        self.stats.style_enlarged = self.session.style_enlarged();
        self.stats.planned_bytes = self.session.planned_bytes();
        (self.stats.working_width, self.stats.working_height) = self.session.working();
        let painter = self.session.painter();
        self.stats.iterations = painter.iterations();
        self.stats.losses = painter.losses();
        self.stats.bytes_in_use = painter.backend().bytes_in_use() + self.tracker.bytes_in_use();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::super::Options;
    use super::super::session::tests::session;
    use super::*;
    use crate::motion::{Motion, Track, Tracker};

    /// Finds the motion many times over, and notes when it has ended.
    #[derive(Default)]
    struct Slow {
        tracker: Tracker,
        ended: Arc<Mutex<Option<Instant>>>,
    }

    impl Track for Slow {
        fn plan(&mut self, _size: (usize, usize)) -> crate::backend::Result<()> {
            Ok(())
        }

        fn discard_plan(&mut self) {}

        fn track(&mut self, before: &Gray, now: &Gray) -> crate::backend::Result<&Motion> {
            for _ in 0..200 {
                self.tracker.track(before, now);
            }
            let motion = self.tracker.track(before, now);
            *self.ended.lock().unwrap() = Some(Instant::now());
            Ok(motion)
        }

        fn forget(&mut self) {}

        fn bytes_in_use(&self) -> usize {
            0
        }
    }

    #[test]
    fn the_search_for_motion_does_not_count_as_steps() {
        let session = session(&Options::default(), CancelToken::new());
        let (tracker, mut queue) = (Slow::default(), OutputQueue::default());
        let ended = tracker.ended.clone();
        let mut offline = Offline::new(session, Box::new(tracker), Stats::default());
        offline.set_style(Arc::new(Frame::new(20, 20).into()));
        let controls = Controls {
            first_iterations: 1,
            iterations: 1,
            ..Controls::default()
        };
        for _ in 0..2 {
            let mut token = Token::default();
            offline
                .push(&Frame::new(32, 24), &controls, &mut token, &mut queue)
                .unwrap();
        }
        let since = ended
            .lock()
            .unwrap()
            .expect("the second frame has motion")
            .elapsed();
        assert!(offline.stats().ms_per_step > 0.0);
        assert!(offline.stats().ms_per_step <= since.as_secs_f64() * 1e3);
    }
}
