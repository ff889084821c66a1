// SPDX-License-Identifier: MIT OR Apache-2.0

use std::collections::VecDeque;

use super::{Frame, Report};

/// Frames that are finished and wait to be fetched, in their order.
#[derive(Default)]
pub struct Outbox {
    finished: VecDeque<(Frame, Report)>,
    /// Memory for frames to come.
    spare: Vec<Frame>,
}

impl Outbox {
    /// A frame of the same size as `like`; what it shows is unspecified.
    pub fn room(&mut self, like: &Frame) -> Frame {
        let mut frame = self.spare.pop().unwrap_or_default();
        frame.resize(like.width(), like.height());
        frame
    }

    /// Takes back what nobody needs any more.
    pub fn recycle(&mut self, frame: Frame) {
        self.spare.push(frame);
    }

    pub fn put(&mut self, frame: Frame, report: Report) {
        self.finished.push_back((frame, report));
    }

    /// Exchanges the first finished frame for `out`.
    pub fn fetch(&mut self, out: &mut Frame) -> Option<Report> {
        let (mut frame, report) = self.finished.pop_front()?;
        std::mem::swap(&mut frame, out);
        self.recycle(frame);
        Some(report)
    }

    /// Throws away what nobody fetched.
    pub fn clear(&mut self) {
        self.spare.extend(self.finished.drain(..).map(|(frame, _)| frame));
    }
}
