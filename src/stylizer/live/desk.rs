// SPDX-License-Identifier: MIT OR Apache-2.0

//! What lies between the thread that shows and the thread that paints. Each holds the lock for as long as it takes to put
//! something down or to take it away, so that neither waits for the other's work.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::backend::CancelToken;
use crate::gatys::{Losses, Watch};
use crate::motion::Chain;
use crate::stylizer::{Controls, Error, Frame, StylePicture};

/// A frame to be painted.
#[derive(Default)]
pub struct Job {
    /// Numbers rise from frame to frame.
    pub number: u64,
    pub frame: Frame,
    /// The keyframe that this one goes on from, and the motion, of any size, from this one back to it. `None`: it starts
    /// afresh.
    pub from: Option<u64>,
    pub motion: Chain,
    pub controls: Controls,
    pub style: Option<Arc<StylePicture>>,
}

/// A painted keyframe.
pub struct Keyframe {
    pub number: u64,
    /// [3, H, W] at the working size.
    pub picture: Vec<f32>,
    /// `None` while the painting is not finished.
    pub progress: Option<Progress>,
}

/// Figures of the thread that paints.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    pub keyframes: u64,
    pub iterations: u64,
    /// Of the last keyframe.
    pub steps: usize,
    pub losses: Losses,
    pub ms_per_step: f64,
    pub planned_bytes: usize,
    pub bytes_in_use: usize,
}

/// What the thread that shows finds on the desk.
pub struct Found {
    /// Frames that nobody has begun to paint are for nobody; their memory is.
    pub job: Job,
    /// The keyframe that was begun last, finished or not. `None` in a new scene.
    pub begun: Option<u64>,
    /// The newest finished keyframe that was not yet seen, or why there is none.
    pub keyframe: Option<Result<Keyframe, Error>>,
}

/// The desk of one scene after the other.
pub struct Desk {
    state: Mutex<State>,
    changed: Condvar,
    /// Stops what is being painted.
    cancel: CancelToken,
}

#[derive(Default)]
struct State {
    job: Option<Job>,
    /// Memory for the next job.
    spare: Option<Job>,
    begun: Option<u64>,
    keyframe: Option<Result<Keyframe, Error>>,
    /// Rises whenever what is being painted becomes worthless.
    scene: u64,
    closed: bool,
    /// Why the painting thread has ended without being asked to.
    dead: Option<String>,
    observer: Option<Watch>,
    /// Whether the painting thread's observer has been replaced.
    observer_is_new: bool,
}

/// A job that the painting thread has taken, to be given back.
pub struct Taken {
    pub job: Job,
    pub observer: Option<Watch>,
    pub scene: u64,
}

impl Desk {
    /// `cancel` is the token of the backend that paints.
    pub fn new(cancel: CancelToken) -> Self {
        Self {
            state: Mutex::default(),
            changed: Condvar::new(),
            cancel,
        }
    }

    /// Nothing on the desk can be left half-changed, so a panic elsewhere need not spread.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // ---- the thread that shows ----

    /// Takes what is there. Until the next [`hand_over`](Self::hand_over) nothing new is begun.
    pub fn look(&self) -> Found {
        let mut state = self.state();
        let job = state.job.take().or_else(|| state.spare.take());
        let dead = state.dead.clone().map(|reason| Err(Error::Worker(reason)));
        Found {
            job: job.unwrap_or_default(),
            begun: state.begun,
            keyframe: dead.or_else(|| state.keyframe.take()),
        }
    }

    /// Wants this frame painted next.
    pub fn hand_over(&self, job: Job) {
        self.state().job = Some(job);
        self.changed.notify_all();
    }

    /// What is being painted, and what was, belongs to a scene that is gone.
    pub fn clear(&self) {
        let mut state = self.state();
        state.scene += 1;
        if let Some(job) = state.job.take() {
            state.spare = Some(job);
        }
        state.begun = None;
        // Why there can be none is still to be told.
        state.keyframe.take_if(|keyframe| keyframe.is_ok());
        self.cancel.cancel();
    }

    /// The painting thread shall end.
    pub fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        self.cancel.cancel();
        self.changed.notify_all();
    }

    pub fn set_observer(&self, observer: Option<Watch>) {
        let mut state = self.state();
        state.observer = observer;
        state.observer_is_new = true;
    }

    /// The observer, unless it is looking at a step.
    pub fn take_observer(&self) -> Option<Watch> {
        self.state().observer.take()
    }

    // ---- the thread that paints ----

    /// Waits for a frame; after `None` the thread has to end.
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

    /// Puts down a painting that is not finished, if its scene is still there.
    pub fn preview(&self, scene: u64, keyframe: Keyframe) {
        let mut state = self.state();
        if scene == state.scene {
            state.keyframe = Some(Ok(keyframe));
        }
    }

    /// Puts down what became of a job. It goes unseen if its scene is gone.
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

    /// The painting thread has ended without being asked to, and says why.
    pub fn die(&self, reason: &str) {
        self.state().dead = Some(reason.to_owned());
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

    fn number(found: &Found) -> Option<u64> {
        let keyframe = found.keyframe.as_ref()?;
        Some(keyframe.as_ref().ok()?.number)
    }

    #[test]
    fn only_the_newest_frame_is_painted_and_only_the_newest_keyframe_is_seen() {
        let desk = Desk::new(CancelToken::new());
        desk.hand_over(job(1));
        let first = desk.take().unwrap();
        desk.hand_over(job(2));
        desk.hand_over(job(3));
        desk.deliver(first, keyframe(1));
        let second = desk.take().unwrap();
        assert_eq!(second.job.number, 3);
        desk.deliver(second, keyframe(3));
        let found = desk.look();
        assert_eq!((found.begun, number(&found)), (Some(3), Some(3)));
        assert!(desk.look().keyframe.is_none(), "it is seen once");
    }

    #[test]
    fn a_scene_that_is_gone_is_neither_finished_nor_shown() {
        let cancel = CancelToken::new();
        let desk = Desk::new(cancel.clone());
        desk.hand_over(job(1));
        let old = desk.take().unwrap();
        assert!(!cancel.is_cancelled());
        desk.clear();
        assert!(cancel.is_cancelled());
        assert_eq!(desk.look().begun, None);
        desk.preview(old.scene, keyframe(1).unwrap());
        desk.hand_over(job(2));
        desk.deliver(old, keyframe(1));
        assert!(desk.look().keyframe.is_none());
        desk.hand_over(job(2));
        assert_eq!(desk.take().unwrap().job.number, 2);
        assert!(!cancel.is_cancelled(), "the new scene is painted");
    }

    #[test]
    fn a_failure_is_told_even_after_its_scene() {
        let desk = Desk::new(CancelToken::new());
        desk.hand_over(job(1));
        let old = desk.take().unwrap();
        desk.clear();
        desk.deliver(old, Err(Error::NoStyle));
        assert!(matches!(desk.look().keyframe, Some(Err(Error::NoStyle))));
    }

    #[test]
    fn a_closed_desk_stays_cancelled_and_gives_no_work() {
        let cancel = CancelToken::new();
        let desk = Desk::new(cancel.clone());
        desk.hand_over(job(1));
        desk.close();
        assert!(desk.take().is_none() && cancel.is_cancelled());
    }
}
