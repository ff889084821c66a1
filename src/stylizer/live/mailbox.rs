// SPDX-License-Identifier: MIT OR Apache-2.0

//! The hand-off between the streaming thread and the painting thread: the newest frame to be painted one way, the newest
//! keyframe the other. Each thread holds the lock only while it puts something in or takes it out, so that neither waits for
//! the other's work.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::backend::CancelToken;
use crate::gatys::{Losses, StepObserver};
use crate::motion::Chain;
use crate::stylizer::{Controls, Error, Frame, StylePicture};

/// A frame to be painted, and what is needed for it.
#[derive(Default)]
pub struct Job {
    /// Numbers rise from frame to frame.
    pub number: u64,
    pub frame: Frame,
    /// The keyframe that this one continues from, and the motion, of any size, from this one back to it. `None`: it starts
    /// afresh.
    pub from: Option<u64>,
    pub motion: Chain,
    pub controls: Controls,
    pub style: Option<Arc<StylePicture>>,
}

/// A painted keyframe, or a preview of one.
pub struct Keyframe {
    pub number: u64,
    /// [3, H, W] at the working size.
    pub picture: Vec<f32>,
    /// `None` while the painting is not finished.
    pub progress: Option<Progress>,
}

/// Figures of the painting thread.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    pub keyframes: u64,
    pub iterations: u64,
    /// Steps on the last keyframe.
    pub steps: usize,
    pub losses: Losses,
    pub ms_per_step: f64,
    pub planned_bytes: usize,
    pub bytes_in_use: usize,
}

/// What the streaming thread takes out of the mailbox.
pub struct Received {
    /// A job whose memory can be used again: one that was never started, which is withdrawn by this, or a finished one.
    pub spare: Job,
    /// The number of the frame whose painting was begun last, finished or not. `None` in a new scene.
    pub begun: Option<u64>,
    /// The newest keyframe that was not yet received, or why there is none.
    pub keyframe: Option<Result<Keyframe, Error>>,
}

pub struct Mailbox {
    state: Mutex<State>,
    changed: Condvar,
    /// Cancels what is being painted.
    cancel: CancelToken,
}

#[derive(Default)]
struct State {
    job: Option<Job>,
    /// A finished job, whose memory the next one uses.
    spare: Option<Job>,
    begun: Option<u64>,
    keyframe: Option<Result<Keyframe, Error>>,
    /// Incremented whenever a new scene begins, which makes what is being painted worthless.
    scene: u64,
    closed: bool,
    observer: Option<StepObserver>,
    /// Whether the observer was replaced while the painting thread had it.
    observer_is_new: bool,
}

/// A job that the painting thread has taken, to be given back by [`deliver`](Mailbox::deliver).
pub struct Taken {
    pub job: Job,
    pub observer: Option<StepObserver>,
    pub scene: u64,
}

impl Mailbox {
    /// `cancel` is the token of the backend that paints.
    pub fn new(cancel: CancelToken) -> Self {
        Self {
            state: Mutex::default(),
            changed: Condvar::new(),
            cancel,
        }
    }

    /// The state is never left half-changed, so a panic elsewhere need not spread.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // ---- for the streaming thread ----

    /// Takes out what is there. Until the next [`submit`](Self::submit) the painting thread begins nothing new.
    pub fn receive(&self) -> Received {
        let mut state = self.state();
        let job = state.job.take().or_else(|| state.spare.take());
        Received {
            spare: job.unwrap_or_default(),
            begun: state.begun,
            keyframe: state.keyframe.take(),
        }
    }

    /// Has this frame painted next, instead of one that was not begun yet.
    pub fn submit(&self, job: Job) {
        self.state().job = Some(job);
        self.changed.notify_all();
    }

    /// Begins a new scene: cancels what is being painted, and discards what was painted but not received.
    pub fn begin_scene(&self) {
        let mut state = self.state();
        state.scene += 1;
        if let Some(job) = state.job.take() {
            state.spare = Some(job);
        }
        state.begun = None;
        // An error is still to be reported.
        state.keyframe.take_if(|keyframe| keyframe.is_ok());
        self.cancel.cancel();
    }

    /// Asks the painting thread to end.
    pub fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        self.cancel.cancel();
        self.changed.notify_all();
    }

    pub fn set_observer(&self, observer: Option<StepObserver>) {
        let mut state = self.state();
        state.observer = observer;
        state.observer_is_new = true;
    }

    /// The observer, unless the painting thread is calling it.
    pub fn take_observer(&self) -> Option<StepObserver> {
        self.state().observer.take()
    }

    // ---- for the painting thread ----

    /// Waits for a job; after `None` the thread has to end.
    pub fn take(&self) -> Option<Taken> {
        let mut state = self.state();
        loop {
            if state.closed {
                return None;
            }
            if let Some(job) = state.job.take() {
                self.cancel.rearm();
                state.begun = Some(job.number);
                state.observer_is_new = false;
                return Some(Taken {
                    job,
                    observer: state.observer.take(),
                    scene: state.scene,
                });
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Puts in a painting that is not finished, unless its scene is over.
    pub fn preview(&self, scene: u64, keyframe: Keyframe) {
        let mut state = self.state();
        if scene == state.scene {
            state.keyframe = Some(Ok(keyframe));
        }
    }

    /// Gives back a job with its result, which is discarded if its scene is over.
    pub fn deliver(&self, taken: Taken, answer: Result<Keyframe, Error>) {
        let mut state = self.state();
        state.spare = Some(taken.job);
        if !state.observer_is_new {
            state.observer = taken.observer;
        }
        let counts = match &answer {
            Ok(_) => taken.scene == state.scene,
            Err(Error::Cancelled) => false,
            Err(_) => true,
        };
        if counts {
            state.keyframe = Some(answer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(number: u64) -> Job {
        Job {
            number,
            ..Job::default()
        }
    }

    fn keyframe(number: u64) -> Result<Keyframe, Error> {
        Ok(Keyframe {
            number,
            picture: Vec::new(),
            progress: None,
        })
    }

    fn number(received: &Received) -> Option<u64> {
        let keyframe = received.keyframe.as_ref()?;
        Some(keyframe.as_ref().ok()?.number)
    }

    #[test]
    fn only_the_newest_frame_is_painted_and_only_the_newest_keyframe_is_seen() {
        let mailbox = Mailbox::new(CancelToken::new());
        mailbox.submit(job(1));
        let first = mailbox.take().unwrap();
        mailbox.submit(job(2));
        mailbox.submit(job(3));
        mailbox.deliver(first, keyframe(1));
        let second = mailbox.take().unwrap();
        assert_eq!(second.job.number, 3);
        mailbox.deliver(second, keyframe(3));
        let received = mailbox.receive();
        assert_eq!((received.begun, number(&received)), (Some(3), Some(3)));
        assert!(mailbox.receive().keyframe.is_none(), "it is received once");
    }

    #[test]
    fn a_scene_that_is_gone_is_neither_finished_nor_shown() {
        let cancel = CancelToken::new();
        let mailbox = Mailbox::new(cancel.clone());
        mailbox.submit(job(1));
        let old = mailbox.take().unwrap();
        assert!(!cancel.is_cancelled());
        mailbox.begin_scene();
        assert!(cancel.is_cancelled());
        assert_eq!(mailbox.receive().begun, None);
        mailbox.preview(old.scene, keyframe(1).unwrap());
        mailbox.submit(job(2));
        mailbox.deliver(old, keyframe(1));
        assert!(mailbox.receive().keyframe.is_none());
        mailbox.submit(job(2));
        assert_eq!(mailbox.take().unwrap().job.number, 2);
        assert!(!cancel.is_cancelled(), "the new scene is painted");
    }

    #[test]
    fn a_failure_is_told_even_after_its_scene() {
        let mailbox = Mailbox::new(CancelToken::new());
        mailbox.submit(job(1));
        let old = mailbox.take().unwrap();
        mailbox.begin_scene();
        mailbox.deliver(old, Err(Error::NoStyle));
        assert!(matches!(mailbox.receive().keyframe, Some(Err(Error::NoStyle))));
    }

    #[test]
    fn a_closed_mailbox_stays_cancelled_and_gives_no_work() {
        let cancel = CancelToken::new();
        let mailbox = Mailbox::new(cancel.clone());
        mailbox.submit(job(1));
        mailbox.close();
        assert!(mailbox.take().is_none() && cancel.is_cancelled());
    }
}
