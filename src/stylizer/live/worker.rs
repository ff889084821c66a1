// SPDX-License-Identifier: MIT OR Apache-2.0

//! The thread that paints keyframes.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::desk::{Desk, Job, Keyframe, Progress, Taken};
use crate::backend::{Backend, CancelToken};
use crate::gatys::{Carry, Onlooker, Watch};
use crate::motion::Chain;
use crate::stylizer::Error;
use crate::stylizer::easel::Easel;

/// A thread that paints what lies on its desk until it is dropped.
pub struct Worker {
    desk: Arc<Desk>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// `cancel` is the token of the easel's backend, and of nobody else.
    pub fn spawn<B: Backend + 'static>(easel: Easel<B>, cancel: CancelToken) -> Result<Self, Error> {
        let desk = Arc::new(Desk::new(cancel));
        let on_thread = desk.clone();
        let thread = thread::Builder::new()
            .name("neuralstyle-live".into())
            .spawn(move || work(easel, &on_thread))
            .map_err(|error| Error::Worker(format!("it cannot be started: {error}")))?;
        Ok(Self {
            desk,
            thread: Some(thread),
        })
    }

    pub fn desk(&self) -> &Desk {
        &self.desk
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.desk.close();
        if let Some(thread) = self.thread.take() {
            // It catches its own panics.
            let _ = thread.join();
        }
    }
}

fn work<B: Backend>(mut easel: Easel<B>, desk: &Desk) {
    let paint_all = || {
        let mut begun = None;
        let mut progress = Progress::default();
        let mut moved = Chain::default();
        while let Some(mut taken) = desk.take() {
            let Taken { job, observer, scene } = &mut taken;
            let mut audience = Audience {
                desk,
                scene: *scene,
                number: job.number,
                next_look: Instant::now() + FIRST_LOOK,
            };
            let answer = paint(
                &mut easel,
                job,
                begun,
                observer.as_mut(),
                &mut audience,
                &mut moved,
                &mut progress,
            );
            begun = answer.as_ref().ok().map(|keyframe| keyframe.number);
            desk.deliver(taken, answer);
        }
    };
    if let Err(reason) = catch_unwind(AssertUnwindSafe(paint_all)) {
        desk.die(words(reason.as_ref()));
    }
}

/// How soon after the beginning of a scene its painting is shown, and how often until it is finished.
const FIRST_LOOK: Duration = Duration::from_millis(200);
const NEXT_LOOK: Duration = Duration::from_millis(150);

/// Those who see what is shown.
struct Audience<'a> {
    desk: &'a Desk,
    scene: u64,
    /// Of the frame.
    number: u64,
    next_look: Instant,
}

impl Onlooker for Audience<'_> {
    fn wants_a_look(&mut self) -> bool {
        Instant::now() >= self.next_look
    }

    fn see(&mut self, picture: Vec<f32>) {
        self.next_look = Instant::now() + NEXT_LOOK;
        if picture.iter().all(|value| value.is_finite()) {
            let keyframe = Keyframe {
                number: self.number,
                picture,
                progress: None,
            };
            self.desk.preview(self.scene, keyframe);
        }
    }
}

/// Paints a frame. `before` is the keyframe that is on the easel, `moved` is room.
fn paint<B: Backend>(
    easel: &mut Easel<B>,
    job: &Job,
    before: Option<u64>,
    observer: Option<&mut Watch>,
    audience: &mut Audience,
    moved: &mut Chain,
    progress: &mut Progress,
) -> Result<Keyframe, Error> {
    let size = (job.frame.width(), job.frame.height());
    let answer = (|| {
        let style = job.style.as_ref().ok_or(Error::NoStyle)?;
        // Live there are none between: what is shown is put together on the CPU.
        easel.prepare(size, style, job.controls.style_crop, false)?;
        let began = Instant::now();
        let steps_before = easel.painter().iterations();
        // Where the keyframe before was not finished, there is nothing to go on from.
        if job.from.is_some() && job.from == before && easel.painter().has_painted() {
            let (width, height) = easel.working();
            moved.stretch(&job.motion, width, height);
            let carry = Carry {
                flow: [&moved.backward.u, &moved.backward.v],
                trust: &moved.trust,
            };
            easel.go_on(
                &job.frame,
                carry,
                &job.controls,
                job.controls.iterations,
                observer,
            )?;
        } else {
            easel.start(&job.frame, &job.controls, observer, Some(audience))?;
        }
        let painter = easel.painter();
        let steps = (painter.iterations() - steps_before) as usize;
        progress.keyframes += 1;
        progress.iterations = painter.iterations();
        progress.steps = steps;
        progress.losses = painter.losses();
        progress.bytes_in_use = painter.backend().bytes_in_use();
        progress.planned_bytes = easel.planned_bytes();
        if steps > 0 {
            progress.ms_per_step = began.elapsed().as_secs_f64() * 1e3 / steps as f64;
        }
        Ok(Keyframe {
            number: job.number,
            picture: easel.picture()?,
            progress: Some(*progress),
        })
    })();
    answer.map_err(|error| easel.with_advice(error, size))
}

/// What a panic said.
fn words(reason: &(dyn Any + Send)) -> &str {
    match (reason.downcast_ref::<&str>(), reason.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (_, Some(text)) => text,
        _ => "it panicked",
    }
}
