// SPDX-License-Identifier: MIT OR Apache-2.0

//! The thread that paints keyframes in live mode.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::mailbox::{Job, Keyframe, Mailbox, Progress, Taken};
use crate::backend::{Backend, CancelToken};
use crate::gatys::{Displacement, PreviewSink, StepObserver};
use crate::motion::Chain;
use crate::stylizer::session::Session;
use crate::stylizer::{Controls, Error};

/// Owns the painting thread, which takes jobs from its mailbox until this is dropped.
pub struct Worker {
    mailbox: Arc<Mailbox>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// `cancel` is the token of the session's backend, and of nothing else.
    pub fn spawn<B: Backend + 'static>(session: Session<B>, cancel: CancelToken) -> Result<Self, Error> {
        let mailbox = Arc::new(Mailbox::new(cancel));
        let on_thread = mailbox.clone();
        let thread = thread::Builder::new()
            .name("neuralstyle-live".into())
            .spawn(move || work(session, &on_thread))
            .map_err(|source| Error::NoThread {
                purpose: "to paint with",
                source,
            })?;
        Ok(Self {
            mailbox,
            thread: Some(thread),
        })
    }

    pub fn mailbox(&self) -> &Mailbox {
        &self.mailbox
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.mailbox.close();
        if let Some(thread) = self.thread.take() {
            // It catches the panics of painting.
            let _ = thread.join();
        }
    }
}

fn work<B: Backend>(mut session: Session<B>, mailbox: &Mailbox) {
    let mut begun = None;
    let mut progress = Progress::default();
    let mut moved = Chain::default();
    while let Some(mut taken) = mailbox.take() {
        let Taken { job, observer, scene } = &mut taken;
        let mut previews = Previews {
            mailbox,
            scene: *scene,
            number: job.number,
            next: Instant::now() + FIRST_PREVIEW,
        };
        let painting = || {
            paint(
                &mut session,
                job,
                begun,
                observer.as_mut(),
                &mut previews,
                &mut moved,
                &mut progress,
            )
        };
        // The observer is the caller's code; and a bug in the painter should not end the stream either.
        let answer = catch_unwind(AssertUnwindSafe(painting)).unwrap_or_else(|reason| {
            // The tensors may be half-written, so that nothing can be continued from them.
            session.discard_plan();
            Err(Error::Panicked(message(reason.as_ref()).to_owned()))
        });
        begun = answer.as_ref().ok().map(|keyframe| keyframe.number);
        mailbox.deliver(taken, answer);
    }
}

/// How long a fresh start takes at most, once it is known how fast this machine paints: until a scene's first painting is
/// finished the scene is shown by previews of it, moved along.
const FIRST_PAINTING: Duration = Duration::from_millis(2000);
/// The `first-iterations` that it gets however long they take: with fewer it is hardly a painting.
const FEWEST_FIRST: usize = 20;

/// How many `first-iterations` are spent where so many are `wanted` and so many fit, if that is known.
fn first_iterations(wanted: usize, fitting: Option<usize>) -> usize {
    fitting.map_or(wanted, |fitting| wanted.min(fitting.max(FEWEST_FIRST)))
}

/// How soon after the beginning of a scene a preview of its painting is shown, and how often until it is finished.
const FIRST_PREVIEW: Duration = Duration::from_millis(200);
const NEXT_PREVIEW: Duration = Duration::from_millis(150);

/// Sends previews of a painting to the streaming thread.
struct Previews<'a> {
    mailbox: &'a Mailbox,
    scene: u64,
    /// The frame's number.
    number: u64,
    next: Instant,
}

impl PreviewSink for Previews<'_> {
    fn wants_preview(&mut self) -> bool {
        Instant::now() >= self.next
    }

    fn show(&mut self, picture: Vec<f32>) {
        self.next = Instant::now() + NEXT_PREVIEW;
        if picture.iter().all(|value| value.is_finite()) {
            let keyframe = Keyframe {
                number: self.number,
                picture,
                progress: None,
            };
            self.mailbox.preview(self.scene, keyframe);
        }
    }
}

/// Paints a frame. `before` is the number of the keyframe that the session painted last, `moved` is scratch space.
fn paint<B: Backend>(
    session: &mut Session<B>,
    job: &Job,
    before: Option<u64>,
    observer: Option<&mut StepObserver>,
    previews: &mut Previews,
    moved: &mut Chain,
    progress: &mut Progress,
) -> Result<Keyframe, Error> {
    let format = job.frame.format();
    let answer = (|| {
        let style = job.style.as_ref().ok_or(Error::NoStyle)?;
        // The frames between keyframes are composed by the streaming thread.
        session.prepare(format, style, &job.controls, false)?;
        let steps_before = session.painter().iterations();
        // If the keyframe before was not finished there is nothing to continue from.
        let follows = job.from.is_some() && job.from == before && session.painter().has_painted();
        if follows && job.controls.steadiness > 0.0 {
            let (width, height) = session.working();
            moved.stretch(&job.motion, width, height);
            let displacement = Displacement {
                flow: [&moved.backward.u, &moved.backward.v],
                trust: &moved.trust,
            };
            session.go_on(
                &job.frame,
                displacement,
                &job.controls,
                job.controls.iterations,
                observer,
            )?;
        } else {
            let fitting = session.first_iterations_within(FIRST_PAINTING);
            let controls = Controls {
                first_iterations: first_iterations(job.controls.first_iterations, fitting),
                ..job.controls
            };
            // A finished painting is not replaced by an unfinished one.
            let previews = (!follows).then_some(previews as &mut dyn PreviewSink);
            session.start(&job.frame, &controls, observer, previews)?;
        }
        let painter = session.painter();
        let steps = (painter.iterations() - steps_before) as usize;
        progress.keyframes += 1;
        progress.iterations = painter.iterations();
        progress.steps = steps;
        progress.losses = painter.losses();
        progress.bytes_in_use = painter.backend().bytes_in_use();
        progress.planned_bytes = session.planned_bytes();
        progress.ms_per_step = session.ms_per_step();
        Ok(Keyframe {
            number: job.number,
            picture: session.picture()?,
            progress: Some(*progress),
        })
    })();
    answer.map_err(|error| session.with_advice(error, format))
}

/// The message of a panic.
fn message(reason: &(dyn Any + Send)) -> &str {
    match (reason.downcast_ref::<&str>(), reason.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (_, Some(text)) => text,
        _ => "it panicked",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scene_begins_with_the_steps_that_fit_and_with_those_of_a_painting_at_least() {
        assert_eq!(first_iterations(80, None), 80);
        assert_eq!(first_iterations(80, Some(1000)), 80);
        assert_eq!(first_iterations(80, Some(50)), 50);
        assert_eq!(first_iterations(80, Some(5)), FEWEST_FIRST);
        assert_eq!(first_iterations(10, Some(5)), 10);
    }
}
