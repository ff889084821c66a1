// SPDX-License-Identifier: MIT OR Apache-2.0

use std::any::Any;
use std::collections::VecDeque;

use super::{Controls, Frame, Report};

/// What the caller attached to a frame. It travels with its frame through every queue and comes out with its painting, so
/// that the two cannot be mixed up. Drivers do not look into it.
pub struct Token(pub Box<dyn Any + Send>);

impl Default for Token {
    fn default() -> Self {
        Self(Box::new(()))
    }
}

/// A frame as it was pushed.
pub struct Pushed {
    pub frame: Frame,
    pub controls: Controls,
    pub token: Token,
}

/// Painted frames that wait to be pulled, in their order, and the memory of frames that are no longer needed.
#[derive(Default)]
pub struct OutputQueue {
    painted: VecDeque<(Frame, Token, Report)>,
    spare: Vec<Frame>,
}

impl OutputQueue {
    /// A frame of the same format as `like`, in memory that is used again; what it shows is unspecified.
    pub fn new_frame(&mut self, like: &Frame) -> Frame {
        let mut frame = self.spare.pop().unwrap_or_default();
        frame.reshape(like.format());
        frame
    }

    /// Keeps the memory of a frame for [`new_frame`](Self::new_frame).
    pub fn recycle(&mut self, frame: Frame) {
        self.spare.push(frame);
    }

    pub fn push(&mut self, frame: Frame, token: Token, report: Report) {
        self.painted.push_back((frame, token, report));
    }

    /// Swaps the first painted frame with `out`.
    pub fn pop(&mut self, out: &mut Frame) -> Option<(Token, Report)> {
        let (mut frame, token, report) = self.painted.pop_front()?;
        std::mem::swap(&mut frame, out);
        self.recycle(frame);
        Some((token, report))
    }

    pub fn len(&self) -> usize {
        self.painted.len()
    }

    /// Discards what was not pulled.
    pub fn clear(&mut self) {
        self.spare.extend(self.painted.drain(..).map(|(frame, ..)| frame));
    }
}
