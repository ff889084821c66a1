// SPDX-License-Identifier: MIT OR Apache-2.0

use std::marker::PhantomData;
use std::sync::Arc;

use super::queue::Token;
use super::{Controls, Core, Error, Fallback, Frame, Options, Report, Stats, StylePicture};
use crate::backend::registry::BackendDefaults;
use crate::backend::{self, Backend, CancelToken};
use crate::gatys::StepObserver;

/// Paints a stream of frames: they are [pushed](Self::push) in and [pulled](Self::pull) out, in their order. With
/// [`Controls::keyframe_interval`] N > 1 a frame between two keyframes waits for the second one, so that up to N − 1
/// frames are held back; [`finish`](Self::finish) releases them. In live mode no frame is held back.
///
/// Each frame is pushed together with a token of any type `T`, which is pulled together with its painting: a time stamp,
/// the buffer that the frame came in, or nothing.
pub struct Stylizer<T = ()> {
    // Without the type of the tokens, so that everything heavy is compiled once.
    core: Core,
    tokens: PhantomData<T>,
}

impl Stylizer {
    /// A stylizer for frames without tokens: see [`with_tokens`](Self::with_tokens).
    ///
    /// # Errors
    /// Names the property that asks for something which does not exist or cannot work.
    pub fn new(options: &Options, cancel: CancelToken) -> Result<Self, Error> {
        Self::with_tokens(options, cancel)
    }

    /// Paints a frame that waits for no other into `out`: [`push`](Self::push), [`finish`](Self::finish) and
    /// [`pull`](Self::pull) in one, for pictures and for streams in which each frame is a keyframe. Other frames that could
    /// have been pulled are lost.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn process(&mut self, frame: &Frame, out: &mut Frame, controls: &Controls) -> Result<Report, Error> {
        self.push(frame, controls, ())?;
        self.finish()?;
        let mut last = None;
        while let Some(((), report)) = self.pull(out) {
            last = Some(report);
        }
        // A frame that was pushed is finished by now, or an error has said why not.
        last.ok_or(Error::Cancelled)
    }
}

impl<T: Send + 'static> Stylizer<T> {
    /// Checks the options, opens the network and starts the backend. `cancel` stops whatever runs, within
    /// milliseconds; [`push`](Self::push) then answers [`Error::Cancelled`].
    ///
    /// # Errors
    /// Names the property that asks for something which does not exist or cannot work.
    pub fn with_tokens(options: &Options, cancel: CancelToken) -> Result<Self, Error> {
        Ok(Self::of(Core::new(options, cancel)?))
    }

    /// As [`with_tokens`](Self::with_tokens), on a backend of the caller's own, whatever `options.backend` says. `open` makes
    /// it and is given the token that stops its work; `defaults` say what suits it. Motion is found on the CPU. Another
    /// backend does not take over when this one fails.
    ///
    /// # Errors
    /// As [`with_tokens`](Self::with_tokens), and what `open` answers.
    pub fn on<B: Backend + 'static>(
        options: &Options,
        cancel: CancelToken,
        defaults: BackendDefaults,
        open: impl FnOnce(CancelToken) -> backend::Result<B>,
    ) -> Result<Self, Error> {
        Ok(Self::of(Core::on(options, cancel, defaults, open)?))
    }

    fn of(core: Core) -> Self {
        Self {
            core,
            tokens: PhantomData,
        }
    }

    /// The same in [`Mode::Live`](super::Mode::Live): frames do not wait to be painted. What was painted is forgotten. Use
    /// this when you learn only with the first frame whether the pipeline is live.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn live(self) -> Result<Self, Error> {
        Ok(Self::of(self.core.live()?))
    }

    /// Whether frames do not wait to be painted.
    pub fn is_live(&self) -> bool {
        self.core.is_live
    }

    /// Why the CPU is used although a card was looked for; `Some` once.
    pub fn take_fallback(&mut self) -> Option<Fallback> {
        self.core.fallback.take()
    }

    /// Uses this picture as the style from the next frame on.
    pub fn set_style(&mut self, style: Arc<StylePicture>) {
        self.core.set_style(style);
    }

    /// Takes the next frame. What is finished by it can be [pulled](Self::pull): the frame itself or, if it is the keyframe
    /// that others waited for, all of them and it.
    ///
    /// # Errors
    /// [`Error::Cancelled`] soon after the token was cancelled. Any other error is a real failure, after which the
    /// stylizer can still be used. The frame and its token are lost then; frames that were held back are not,
    /// except after [`Error::OutOfMemory`], which gives back what they would be put together from.
    ///
    /// With `backend=auto` a failure of the card is not an error: what is not finished is begun anew on the CPU, and
    /// [`take_fallback`](Self::take_fallback) says why.
    pub fn push(&mut self, frame: &Frame, controls: &Controls, token: T) -> Result<(), Error> {
        self.core.push(frame, controls, Token(Box::new(token)))
    }

    /// Moves the next finished frame into `out`, which is given its size, and returns its token; `None` if more frames have
    /// to be pushed first.
    pub fn pull(&mut self, out: &mut Frame) -> Option<(T, Report)> {
        let (Token(token), report) = self.core.queue.pop(out)?;
        let token = token
            .downcast()
            .expect("cannot fail: only `push` makes tokens, of this type");
        Some((*token, report))
    }

    /// How many frames were pushed and not yet pulled, held back or finished.
    pub fn pending(&self) -> usize {
        self.core.pending()
    }

    /// The token of the newest frame if that is held back, for a caller that wants to exchange what it keeps there.
    pub fn newest_held(&mut self) -> Option<&mut T> {
        self.core.newest_held()?.0.downcast_mut()
    }

    /// Finishes the frames that are held back, without a keyframe after them: the stream ends or stops for a while. The
    /// next frame is a keyframe.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn finish(&mut self) -> Result<(), Error> {
        self.core.finish()
    }

    /// Forgets the frames before, also those that are held back or were not pulled: the next one starts afresh.
    pub fn restart(&mut self) {
        self.core.restart();
    }

    /// Calls `observer` after every step; `None` stops that.
    pub fn set_observer(&mut self, observer: Option<StepObserver>) {
        self.core.driver.set_observer(observer);
    }

    pub fn stats(&self) -> &Stats {
        self.core.driver.stats()
    }
}
