// SPDX-License-Identifier: MIT OR Apache-2.0

//! A stream of frames painted one after the other. Knows nothing of where frames come from.

mod easel;
mod error;
mod interval;
mod live;
mod offline;
pub mod options;
mod outbox;
mod style_picture;

use std::sync::Arc;

pub use error::Error;
pub use options::{BackendChoice, Controls, Mode, Options};
pub use style_picture::StylePicture;

/// A picture of the stream.
pub use crate::picture::Picture as Frame;

use crate::backend::cuda::{Cuda, Unavailable};
use crate::backend::{Backend, CancelToken, Memory, cpu::Cpu, reference::Reference};
use crate::gatys::{
    Losses, Network, NetworkChoice, Normalization, OptimizerKind, OptimizerSettings, Recipe, Watch,
};
use crate::motion::{self, Stepped, Track, Tracker};
use easel::{Easel, WorkingSizes};
use offline::Offline;
use outbox::Outbox;

/// Paints a stream of frames: they are [pushed](Self::push) in and [pulled](Self::pull) out, in their order. With
/// [`Controls::keyframe_interval`] N > 1 a frame between two keyframes waits for the second, so that N − 1 frames are held
/// back at most; [`finish`](Self::finish) lets them go. Live none is.
pub struct Stylizer {
    driver: Box<dyn Drive>,
    outbox: Outbox,
    options: Options,
    cancel: CancelToken,
    /// Stops what is being painted, and only that.
    painting: CancelToken,
    /// Whether frames do not wait to be painted.
    is_live: bool,
    style: Option<Arc<StylePicture>>,
    /// Whether the CPU takes over when the driver's machine fails.
    replaceable: bool,
    fallback: Option<Fallback>,
}

/// Why `backend=auto` means the CPU.
#[derive(Debug, thiserror::Error)]
#[error("backend=auto: {reason}; the CPU paints instead")]
pub struct Fallback {
    reason: String,
    /// Whether there is a card or its driver, whose owner should know; otherwise this is just a machine without one.
    pub surprising: bool,
}

/// What a frame got.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    /// Whether it is a keyframe or, live, shows one for the first time.
    pub keyframe: bool,
    /// Whether it owes nothing to the frames before.
    pub restarted: bool,
    /// Steps on it or, live, on the keyframe that it shows for the first time.
    pub iterations: usize,
}

/// Figures of a running stream. Live, keyframes are those that were finished.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    pub frames: u64,
    pub keyframes: u64,
    pub iterations: u64,
    /// Before the last step.
    pub losses: Losses,
    /// Of the last keyframe.
    pub ms_per_step: f64,
    /// Of the last frame: from its coming to its going, all included.
    pub ms_per_frame: f64,
    /// What painting these frames takes, known before anything is allocated. Of a card everything is in the figure, to the
    /// byte: weights, tensors, scratch space, frames on their way, and what finding the motion takes. On the CPU it is
    /// without weights and scratch space.
    pub planned_bytes: usize,
    /// By the backends' tensors, weights and scratch space: offline on a card as much as was planned.
    pub bytes_in_use: usize,
    pub backend: String,
    pub device: String,
    pub network: String,
    /// The size at which the optimisation runs.
    pub working_width: usize,
    pub working_height: usize,
}

/// A way to drive a painter through a stream, whatever its backend.
trait Drive: Send {
    /// Becomes the driver in which no frame waits. `painting` is the token of the painter's backend, `cancel` stops
    /// everything.
    fn go_live(self: Box<Self>, painting: CancelToken, cancel: CancelToken) -> Result<Box<dyn Drive>, Error>;
    fn set_style(&mut self, style: Arc<StylePicture>);
    fn restart(&mut self);
    fn set_observer(&mut self, observer: Option<Watch>);
    fn take_observer(&mut self) -> Option<Watch>;
    /// Takes a frame, and puts into `outbox` what is finished by it.
    fn push(&mut self, frame: &Frame, controls: &Controls, outbox: &mut Outbox) -> Result<(), Error>;
    /// Finishes all frames that are held back.
    fn finish(&mut self, outbox: &mut Outbox) -> Result<(), Error>;
    /// Gives up the frames that are held back, to somebody else.
    fn take_held(&mut self) -> Vec<(Frame, Controls)>;
    fn stats(&self) -> &Stats;
}

impl Stylizer {
    /// Checks the options, opens the network and starts the backend. `cancel` stops whatever runs, within
    /// milliseconds; [`push`](Self::push) then answers [`Error::Cancelled`].
    ///
    /// # Errors
    /// Names the property that asks for something which does not exist or cannot work.
    pub fn new(options: &Options, cancel: CancelToken) -> Result<Self, Error> {
        refuse_what_is_missing(options)?;
        let painting = cancel.child();
        let (driver, fallback) = match options.backend {
            BackendChoice::Auto => match Cuda::new(options.cuda_device_id, painting.clone()) {
                Ok(cuda) => match cuda_driver(options, cuda, &cancel) {
                    Err(error) if error.is_the_machines() => {
                        (cpu_driver(options, &painting)?, Some(Fallback::of(&error)))
                    }
                    answer => (answer?, None),
                },
                Err(unavailable) => {
                    let fallback = Fallback {
                        reason: unavailable.to_string(),
                        surprising: unavailable.concerns_a_card(),
                    };
                    (cpu_driver(options, &painting)?, Some(fallback))
                }
            },
            BackendChoice::Cpu => (cpu_driver(options, &painting)?, None),
            BackendChoice::Cuda => {
                let cuda = Cuda::new(options.cuda_device_id, painting.clone()).map_err(no_cuda)?;
                (cuda_driver(options, cuda, &cancel)?, None)
            }
            BackendChoice::Reference => {
                let reference = Reference::new(painting.clone());
                (driver(options, reference, on_the_cpu(), ON_THE_CPU)?, None)
            }
        };
        let stylizer = Self {
            replaceable: options.backend == BackendChoice::Auto && fallback.is_none(),
            driver,
            outbox: Outbox::default(),
            options: options.clone(),
            cancel,
            painting,
            is_live: false,
            style: None,
            fallback,
        };
        if options.mode == Mode::Live {
            stylizer.live()
        } else {
            Ok(stylizer)
        }
    }

    /// The same in [`Mode::Live`]: frames do not wait to be painted. What was painted is forgotten. For those who know
    /// only when the first frame is there whether somebody waits for it.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn live(self) -> Result<Self, Error> {
        if self.is_live {
            return Ok(self);
        }
        Ok(Self {
            driver: self.driver.go_live(self.painting.clone(), self.cancel.clone())?,
            is_live: true,
            ..self
        })
    }

    /// Whether frames do not wait to be painted.
    pub fn is_live(&self) -> bool {
        self.is_live
    }

    /// Why the CPU works although a card was looked for, told once.
    pub fn take_fallback(&mut self) -> Option<Fallback> {
        self.fallback.take()
    }

    /// Takes a picture as the style from the next frame on.
    pub fn set_style(&mut self, style: Arc<StylePicture>) {
        self.style = Some(style.clone());
        self.driver.set_style(style);
    }

    /// Takes the next frame. What is finished by it can be [pulled](Self::pull): the frame itself or, if it is the keyframe
    /// that others waited for, all of them and it.
    ///
    /// # Errors
    /// [`Error::Cancelled`] soon after the token was cancelled; everything else is a real failure, after which the
    /// stylizer can still be used. The frame is lost then, those that were held back are not. With `backend=auto` a card
    /// that fails is none: what is not finished is begun anew on the CPU, and [`take_fallback`](Self::take_fallback) says
    /// why.
    pub fn push(&mut self, frame: &Frame, controls: &Controls) -> Result<(), Error> {
        match self.driver.push(frame, controls, &mut self.outbox) {
            Err(error) if self.replaceable && error.is_the_machines() => {
                self.replace(&error)?;
                self.driver.push(frame, controls, &mut self.outbox)
            }
            answer => answer,
        }
    }

    /// Fetches the next finished frame into `out`, which is given its size; `None` if more have to be pushed first.
    pub fn pull(&mut self, out: &mut Frame) -> Option<Report> {
        self.outbox.fetch(out)
    }

    /// Finishes the frames that are held back, without a keyframe after them: the stream ends or stops for a while. The
    /// next frame is a keyframe.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn finish(&mut self) -> Result<(), Error> {
        match self.driver.finish(&mut self.outbox) {
            Err(error) if self.replaceable && error.is_the_machines() => {
                self.replace(&error)?;
                self.driver.finish(&mut self.outbox)
            }
            answer => answer,
        }
    }

    /// Paints a frame that waits for no other into `out`: [`push`](Self::push), [`finish`](Self::finish) and
    /// [`pull`](Self::pull) in one, for pictures and for streams in which each frame is a keyframe. What else could have
    /// been pulled is lost.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn process(&mut self, frame: &Frame, out: &mut Frame, controls: &Controls) -> Result<Report, Error> {
        self.push(frame, controls)?;
        self.finish()?;
        let mut last = None;
        while let Some(report) = self.pull(out) {
            last = Some(report);
        }
        // A frame that was pushed is finished by now, or an error has said why not.
        last.ok_or(Error::Cancelled)
    }

    /// Has the CPU take over.
    fn replace(&mut self, error: &Error) -> Result<(), Error> {
        let painting = self.cancel.child();
        let mut cpu = cpu_driver(&self.options, &painting)?;
        if self.is_live {
            cpu = cpu.go_live(painting.clone(), self.cancel.clone())?;
        }
        cpu.set_observer(self.driver.take_observer());
        if let Some(style) = &self.style {
            cpu.set_style(style.clone());
        }
        let held = std::mem::replace(&mut self.driver, cpu).take_held();
        self.painting = painting;
        self.replaceable = false;
        self.fallback = Some(Fallback::of(error));
        for (frame, controls) in held {
            self.driver.push(&frame, &controls, &mut self.outbox)?;
        }
        Ok(())
    }

    /// Forgets the frames before, also those that are held back or were not pulled: the next one starts afresh.
    pub fn restart(&mut self) {
        self.outbox.clear();
        self.driver.restart();
    }

    /// Has `observer` told of every step, or nobody.
    pub fn set_observer(&mut self, observer: Option<Watch>) {
        self.driver.set_observer(observer);
    }

    pub fn stats(&self) -> &Stats {
        self.driver.stats()
    }
}

impl Fallback {
    fn of(error: &Error) -> Self {
        Self {
            reason: error.to_string(),
            surprising: true,
        }
    }
}

/// What a user who does not choose gets on a kind of machine.
#[derive(Clone, Copy)]
struct Defaults {
    network: NetworkChoice,
    /// Fast enough to watch, large enough for strokes.
    working_sizes: WorkingSizes,
}

const ON_THE_CPU: Defaults = Defaults {
    network: NetworkChoice::Slim,
    working_sizes: WorkingSizes {
        offline: 256,
        live: 192,
        // What is shown must move thirty times a second or more, on one core that has other things to do.
        tracked: 128,
    },
};

const ON_A_CARD: Defaults = Defaults {
    network: NetworkChoice::Vgg16,
    working_sizes: WorkingSizes {
        offline: 512,
        // What is shown is moved and laid onto the frame on the CPU; its motion is found on the card.
        live: 320,
        tracked: usize::MAX,
    },
};

fn cpu_driver(options: &Options, cancel: &CancelToken) -> Result<Box<dyn Drive>, Error> {
    let cpu = Cpu::new(options.threads, cancel.clone())
        .map_err(|error| Error::BackendUnavailable(format!("backend=cpu: {error}")))?;
    driver(options, cpu, on_the_cpu(), ON_THE_CPU)
}

/// `cancel` stops everything, not only what is being painted.
fn cuda_driver(options: &Options, cuda: Cuda, cancel: &CancelToken) -> Result<Box<dyn Drive>, Error> {
    let beside = cuda.beside(cancel.clone())?;
    let sizes = beside.sizes();
    let following = Following {
        tracker: Box::new(Stepped::new(beside)),
        bytes: Box::new(move |size| motion::planned_bytes(sizes.clone(), size)),
    };
    driver(options, cuda, following, ON_A_CARD)
}

fn no_cuda(unavailable: Unavailable) -> Error {
    Error::BackendUnavailable(format!(
        "backend=cuda: {unavailable}; use backend=cpu or backend=auto"
    ))
}

/// Who finds the motion of a stream, and what that takes of the memory of the machine that paints.
struct Following {
    tracker: Box<dyn Track>,
    /// For pictures of a width and height.
    bytes: Box<dyn Fn((usize, usize)) -> usize + Send>,
}

/// The CPU's memory for it is not the painter's.
fn on_the_cpu() -> Following {
    Following {
        tracker: Box::new(Tracker::new()),
        bytes: Box::new(|_| 0),
    }
}

/// Opens the network and drives `ops` with it.
fn driver<B: Backend + 'static>(
    options: &Options,
    ops: B,
    following: Following,
    defaults: Defaults,
) -> Result<Box<dyn Drive>, Error> {
    let choice = match options.network {
        _ if options.weights.is_some() => NetworkChoice::File,
        NetworkChoice::Auto => defaults.network,
        chosen => chosen,
    };
    if choice == NetworkChoice::File && options.weights.is_none() {
        return Err(setting(
            "network",
            "file",
            "set `weights` to the path of a VGG-16 or VGG-19",
        ));
    }
    let network = Network::open(choice, options.weights.as_deref())?;
    let working_sizes = match options.working_size {
        0 => defaults.working_sizes,
        chosen => WorkingSizes {
            offline: chosen,
            live: chosen,
            ..defaults.working_sizes
        },
    };
    let stats = Stats {
        backend: ops.name().to_owned(),
        device: ops.device(),
        network: network.name().to_owned(),
        ..Stats::default()
    };
    let Following { tracker, bytes } = following;
    let easel = Easel::new(ops, network, recipe(options), working_sizes, bytes)?;
    Ok(Box::new(Offline::new(easel, tracker, stats)))
}

/// The margin of a coarse-to-fine start: what the zeros beyond the frame's edge visibly disturb.
const DEFAULT_OVERSCAN: usize = 8;

/// No side of a working picture is smaller: the network halves it three or four times.
const SMALLEST_WORKING_SIDE: usize = 16;

/// The least picture that can be optimised for a frame of `size`, whose longer side is `longer` pixels if the frame
/// has as many.
fn working_size(size: (usize, usize), longer: usize) -> (usize, usize) {
    let factor = (longer as f64 / size.0.max(size.1) as f64).min(1.0);
    let side = |length: usize| ((length as f64 * factor).round() as usize).max(SMALLEST_WORKING_SIDE);
    (side(size.0), side(size.1))
}

fn recipe(options: &Options) -> Recipe {
    let plain = options.scales == 1 || options.normalization == Normalization::Gatys;
    Recipe {
        content_layers: options.content_layers.clone(),
        style_layers: options.style_layers.clone(),
        normalization: options.normalization,
        pooling: options.pooling,
        optimizer: OptimizerSettings {
            kind: options.optimizer,
            momentum: options.momentum,
            moment_blur: options.moment_blur,
        },
        detail: options.detail,
        rate_decay: options.rate_decay,
        border: options
            .overscan
            .unwrap_or(if plain { 0 } else { DEFAULT_OVERSCAN }),
        scales: options.scales,
        init: options.init,
        seed: options.seed,
    }
}

/// What a user may ask for by name but this version cannot do.
fn refuse_what_is_missing(options: &Options) -> Result<(), Error> {
    if options.optimizer == OptimizerKind::Lbfgs {
        return Err(setting(
            "optimizer",
            "lbfgs",
            "this version has no L-BFGS yet; use optimizer=adam or optimizer=sgd",
        ));
    }
    Ok(())
}

fn setting(property: &'static str, value: &str, reason: &str) -> Error {
    Error::Setting {
        property,
        value: value.to_owned(),
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_working_picture_keeps_the_frames_shape_and_is_never_tiny() {
        assert_eq!(working_size((1920, 1080), 256), (256, 144));
        assert_eq!(working_size((200, 100), 256), (200, 100));
        assert_eq!(working_size((1, 1), 256), (16, 16));
        assert_eq!(working_size((8192, 2), 256), (256, 16));
    }

    #[test]
    fn what_is_missing_is_refused_by_name() {
        for (options, expected) in [
            (
                Options {
                    optimizer: OptimizerKind::Lbfgs,
                    ..Options::default()
                },
                "optimizer=lbfgs",
            ),
            (
                Options {
                    network: NetworkChoice::File,
                    ..Options::default()
                },
                "network=file",
            ),
        ] {
            let error = Stylizer::new(&options, CancelToken::new())
                .err()
                .map(|error| error.to_string());
            assert!(
                error.as_ref().is_some_and(|text| text.contains(expected)),
                "{error:?}"
            );
        }
    }
}
