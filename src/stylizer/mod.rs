// SPDX-License-Identifier: MIT OR Apache-2.0

//! A stream of frames painted one after the other. Knows nothing of where frames come from.

mod backends;
mod error;
mod interval;
mod live;
mod offline;
mod picture_file;
mod queue;
mod session;
mod style_picture;
mod tokens;

use std::collections::VecDeque;
use std::sync::Arc;

pub use crate::settings::{BackendChoice, Controls, Mode, Options};
pub use error::Error;
pub use style_picture::StylePicture;
pub use tokens::Stylizer;

use crate::picture::Format;
/// A picture of the stream.
pub use crate::picture::Picture as Frame;

use crate::backend::registry::BackendDefaults;
use crate::backend::{self, Backend, CancelToken};
use crate::gatys::{Losses, OptimizerKind, StepObserver};
use crate::settings::Refused;
use queue::{OutputQueue, Pushed, Token};

/// A [`Stylizer`] whose tokens have no type: a driver on the backend that was chosen, and what to do when that fails.
struct Core {
    driver: Box<dyn Drive>,
    queue: OutputQueue,
    /// Frames that a driver which was replaced held back; the new one gets them before any other.
    displaced: VecDeque<Pushed>,
    options: Options,
    cancel: CancelToken,
    /// Cancels what is being painted, and only that.
    painting: CancelToken,
    /// Whether frames do not wait to be painted.
    is_live: bool,
    style: Option<Arc<StylePicture>>,
    /// Whether the CPU takes over when the driver's backend fails.
    replaceable: bool,
    fallback: Option<Fallback>,
}

/// Why `backend=auto` chose the CPU.
#[derive(Debug, thiserror::Error)]
#[error("backend=auto: {reason}; the CPU paints instead")]
pub struct Fallback {
    reason: String,
    /// Whether there is a card or its driver, so that its owner should be told; otherwise this computer just has none.
    pub surprising: bool,
}

/// What was done for a frame.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    /// Whether it is a keyframe or, live, shows one for the first time.
    pub keyframe: bool,
    /// Whether a scene begins with it, so that nothing is left of the frames before. Where `steadiness` is 0 each keyframe
    /// is painted on its own, and yet only the first of a scene counts.
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
    /// The terms of the loss before the last step.
    pub losses: Losses,
    /// Milliseconds per step of the last keyframe, offline and live: the time from laying out the frame's content to the
    /// last step, divided by the steps. Looking for motion, planning, measuring a style and composing do not count.
    pub ms_per_step: f64,
    /// Milliseconds that the last frame took in here, everything included.
    pub ms_per_frame: f64,
    /// What painting these frames takes, known before anything is allocated. Of a card everything is in the figure, to the
    /// byte: weights, tensors, scratch space, frames on their way, and what finding the motion takes. On the CPU it is
    /// without weights and scratch space.
    pub planned_bytes: usize,
    /// Bytes that the backends' tensors, weights and scratch space take: offline on a card as many as were planned.
    pub bytes_in_use: usize,
    pub backend: String,
    pub device: String,
    pub network: String,
    /// The size at which the optimisation runs.
    pub working_width: usize,
    pub working_height: usize,
    /// How many times the style picture had to be enlarged to be measured; at most 1 if it was large enough. The strokes of
    /// one that was enlarged are blurred: a smaller [`style_scale`](Controls::style_scale) or a larger picture helps.
    pub style_enlarged: f64,
}

/// A way to drive a painter through a stream, whatever its backend.
trait Drive: Send {
    /// Becomes the driver in which no frame waits. `painting` is the token of the painter's backend, `cancel` stops
    /// everything.
    fn go_live(self: Box<Self>, painting: CancelToken, cancel: CancelToken) -> Result<Box<dyn Drive>, Error>;
    fn set_style(&mut self, style: Arc<StylePicture>);
    fn restart(&mut self);
    fn set_observer(&mut self, observer: Option<StepObserver>);
    fn take_observer(&mut self) -> Option<StepObserver>;
    /// Takes a frame, and puts into `queue` what is finished by it. On an error `token` still is the frame's, so that the
    /// frame can be pushed into another driver.
    fn push(
        &mut self,
        frame: &Frame,
        controls: &Controls,
        token: &mut Token,
        queue: &mut OutputQueue,
    ) -> Result<(), Error>;
    /// Finishes all frames that are held back.
    fn finish(&mut self, queue: &mut OutputQueue) -> Result<(), Error>;
    /// How many frames are held back.
    fn held(&self) -> usize;
    /// The token of the newest frame, if that is held back.
    fn newest_held(&mut self) -> Option<&mut Token>;
    /// Hands over the frames that are held back, for another driver.
    fn take_held(&mut self) -> Vec<Pushed>;
    fn stats(&self) -> &Stats;
}

impl Core {
    fn new(options: &Options, cancel: CancelToken) -> Result<Self, Error> {
        check(options)?;
        let painting = cancel.child();
        let (driver, fallback) = backends::open(options, &painting, &cancel)?;
        Self {
            replaceable: options.backend == BackendChoice::Auto && fallback.is_none(),
            fallback,
            ..Self::with_driver(driver, options, cancel, painting)
        }
        .in_its_mode()
    }

    /// On a backend that the registry need not know; `open` is given the token that stops its work.
    fn on<B: Backend + 'static>(
        options: &Options,
        cancel: CancelToken,
        defaults: BackendDefaults,
        open: impl FnOnce(CancelToken) -> backend::Result<B>,
    ) -> Result<Self, Error> {
        check(options)?;
        let painting = cancel.child();
        let driver = backends::on(open(painting.clone())?, options, defaults)?;
        Self::with_driver(driver, options, cancel, painting).in_its_mode()
    }

    /// `painting` is the token of the driver's backend.
    fn with_driver(
        driver: Box<dyn Drive>,
        options: &Options,
        cancel: CancelToken,
        painting: CancelToken,
    ) -> Self {
        Self {
            driver,
            queue: OutputQueue::default(),
            displaced: VecDeque::new(),
            options: options.clone(),
            cancel,
            painting,
            is_live: false,
            style: None,
            replaceable: false,
            fallback: None,
        }
    }

    fn in_its_mode(self) -> Result<Self, Error> {
        if self.options.mode == Mode::Live {
            self.live()
        } else {
            Ok(self)
        }
    }

    fn live(self) -> Result<Self, Error> {
        if self.is_live {
            return Ok(self);
        }
        Ok(Self {
            driver: self.driver.go_live(self.painting.clone(), self.cancel.clone())?,
            is_live: true,
            ..self
        })
    }

    fn set_style(&mut self, style: Arc<StylePicture>) {
        self.style = Some(style.clone());
        self.driver.set_style(style);
    }

    fn push(&mut self, frame: &Frame, controls: &Controls, mut token: Token) -> Result<(), Error> {
        controls.check()?;
        self.recovering(|core| core.driver.push(frame, controls, &mut token, &mut core.queue))
    }

    fn finish(&mut self) -> Result<(), Error> {
        self.recovering(|core| core.driver.finish(&mut core.queue))
    }

    /// Does `act`, and if the backend fails at it does it again on the CPU where that may take over.
    fn recovering(&mut self, mut act: impl FnMut(&mut Self) -> Result<(), Error>) -> Result<(), Error> {
        let answer = self.push_displaced().and_then(|()| act(self));
        match answer {
            Err(error) if self.replaceable && error.is_of_the_backend() => {
                self.replace(&error)?;
                self.push_displaced()?;
                act(self)
            }
            answer => answer,
        }
    }

    /// Has the CPU take over.
    fn replace(&mut self, error: &Error) -> Result<(), Error> {
        let painting = self.cancel.child();
        let mut cpu = backends::on_the_cpu(&self.options, &painting)?;
        if self.is_live {
            cpu = cpu.go_live(painting.clone(), self.cancel.clone())?;
        }
        cpu.set_observer(self.driver.take_observer());
        if let Some(style) = &self.style {
            cpu.set_style(style.clone());
        }
        let mut failed = std::mem::replace(&mut self.driver, cpu);
        self.displaced.extend(failed.take_held());
        self.painting = painting;
        self.replaceable = false;
        self.fallback = Some(Fallback::of(error));
        Ok(())
    }

    /// Pushes the frames that the last driver held back. One at which this fails, or is cancelled, stays to be pushed again.
    fn push_displaced(&mut self) -> Result<(), Error> {
        while let Some(Pushed {
            frame,
            controls,
            token,
        }) = self.displaced.front_mut()
        {
            self.driver.push(frame, controls, token, &mut self.queue)?;
            if let Some(pushed) = self.displaced.pop_front() {
                self.queue.recycle(pushed.frame);
            }
        }
        Ok(())
    }

    fn pending(&self) -> usize {
        self.queue.len() + self.driver.held() + self.displaced.len()
    }

    fn newest_held(&mut self) -> Option<&mut Token> {
        match self.displaced.back_mut() {
            Some(pushed) => Some(&mut pushed.token),
            None => self.driver.newest_held(),
        }
    }

    fn restart(&mut self) {
        self.queue.clear();
        self.displaced.clear();
        self.driver.restart();
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

/// No side of a working picture is smaller: the network halves it three or four times.
const SMALLEST_WORKING_SIDE: usize = 16;

/// Width and height at which frames are painted: as the screen shows them, so that strokes are round on it, with a longer
/// side of `longer` pixels if the frame has as many.
fn working_size(format: Format, longer: usize) -> (usize, usize) {
    let (width, height) = format.shown();
    let factor = (longer as f64 / width.max(height)).min(1.0);
    let side = |length: f64| ((length * factor).round() as usize).max(SMALLEST_WORKING_SIDE);
    (side(width), side(height))
}

/// Refuses what is outside its range, and what a user may ask for by name but this version cannot do.
fn check(options: &Options) -> Result<(), Refused> {
    options.check()?;
    if options.optimizer == OptimizerKind::Lbfgs {
        let reason = "this version has no L-BFGS yet; use optimizer=adam or optimizer=sgd";
        return Err(Refused::new("optimizer", options.optimizer, reason));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gatys::NetworkChoice;
    use crate::picture::PixelAspect;

    #[test]
    fn a_working_picture_keeps_the_frames_shape_and_is_never_tiny() {
        let working_size = |size: (usize, usize), longer| working_size(size.into(), longer);
        assert_eq!(working_size((1920, 1080), 256), (256, 144));
        assert_eq!(working_size((200, 100), 256), (200, 100));
        assert_eq!(working_size((1, 1), 256), (16, 16));
        assert_eq!(working_size((8192, 2), 256), (256, 16));
    }

    #[test]
    fn a_working_picture_has_the_shape_that_the_screen_shows() {
        let pal_wide = Format {
            pixel_aspect: PixelAspect::new(64, 45).unwrap(),
            ..(720, 576).into()
        };
        assert_eq!(working_size(pal_wide, 256), (256, 144));
        let tall_pixels = Format {
            pixel_aspect: PixelAspect::new(1, 2).unwrap(),
            ..(320, 90).into()
        };
        assert_eq!(working_size(tall_pixels, 160), (160, 90));
    }

    /// A driver whose backend fails, with frames that it holds back; it is cancelled at the same time.
    struct Failing {
        held: Vec<Pushed>,
        cancel: CancelToken,
        stats: Stats,
    }

    impl Drive for Failing {
        fn go_live(self: Box<Self>, _: CancelToken, _: CancelToken) -> Result<Box<dyn Drive>, Error> {
            Ok(self)
        }

        fn set_style(&mut self, _: Arc<StylePicture>) {}

        fn restart(&mut self) {}

        fn set_observer(&mut self, _: Option<StepObserver>) {}

        fn take_observer(&mut self) -> Option<StepObserver> {
            None
        }

        fn push(&mut self, _: &Frame, _: &Controls, _: &mut Token, _: &mut OutputQueue) -> Result<(), Error> {
            self.cancel.cancel();
            Err(crate::backend::Error::OutOfMemory { bytes: 1 }.into())
        }

        fn finish(&mut self, _: &mut OutputQueue) -> Result<(), Error> {
            Ok(())
        }

        fn held(&self) -> usize {
            self.held.len()
        }

        fn newest_held(&mut self) -> Option<&mut Token> {
            None
        }

        fn take_held(&mut self) -> Vec<Pushed> {
            std::mem::take(&mut self.held)
        }

        fn stats(&self) -> &Stats {
            &self.stats
        }
    }

    #[test]
    fn frames_that_were_held_back_survive_a_failure_while_the_backend_is_replaced() {
        let options = Options {
            network: NetworkChoice::Tiny,
            backend: BackendChoice::Cpu,
            ..Options::default()
        };
        let controls = Controls {
            first_iterations: 2,
            iterations: 1,
            ..Controls::default()
        };
        let token = |number: usize| Token(Box::new(number));
        let cancel = CancelToken::new();
        let mut core = Core::new(&options, cancel.clone()).unwrap();
        core.set_style(Arc::new(Frame::new(20, 20).into()));
        let held = (0..2).map(|number| Pushed {
            frame: Frame::new(24, 16),
            controls,
            token: token(number),
        });
        core.driver = Box::new(Failing {
            held: held.collect(),
            cancel: cancel.clone(),
            stats: Stats::default(),
        });
        core.replaceable = true;
        let answer = core.push(&Frame::new(24, 16), &controls, token(2));
        assert!(matches!(answer, Err(Error::Cancelled)), "{answer:?}");
        assert_eq!(core.pending(), 2);
        cancel.rearm();
        core.push(&Frame::new(24, 16), &controls, token(3)).unwrap();
        core.finish().unwrap();
        let mut out = Frame::default();
        let tokens: Vec<usize> = std::iter::from_fn(|| core.queue.pop(&mut out))
            .map(|(Token(token), _)| *token.downcast().unwrap())
            .collect();
        assert_eq!(tokens, [0, 1, 3]);
    }

    #[test]
    fn what_cannot_work_is_refused_by_name() {
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
            (
                Options {
                    scales: 5,
                    ..Options::default()
                },
                "scales=5: write a whole number from 0 to 4",
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
