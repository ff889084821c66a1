// SPDX-License-Identifier: MIT OR Apache-2.0

use super::flow::Motion;
use super::gray::Gray;
use super::stepped::Stepped;
use super::tracker::Tracker;
use crate::backend::Result;
use crate::backend::flow::FlowSteps;

/// Whoever finds the motion of a stream of frames.
pub trait Follow: Send {
    /// Makes ready for pictures of `size`, width and height.
    ///
    /// # Errors
    /// There is no memory for them.
    fn plan(&mut self, size: (usize, usize)) -> Result<()>;

    /// Gives back what was made ready, if anything was; nothing is known of the frames before.
    fn discard_plan(&mut self);

    /// How `now` came from `before`, two pictures of the same size. The motion found last, if it was of this size, is
    /// looked at as a start: frames after one another move alike.
    ///
    /// # Errors
    /// The machine that finds it failed, or was stopped.
    ///
    /// # Panics
    /// If the pictures' sizes differ.
    fn track(&mut self, before: &Gray, now: &Gray) -> Result<&Motion>;

    /// Takes no start from the last motion: the next frames are of another scene.
    fn forget(&mut self);

    /// Bytes of a backend that are taken.
    fn bytes_in_use(&self) -> usize;
}

impl Follow for Tracker {
    fn plan(&mut self, _size: (usize, usize)) -> Result<()> {
        Ok(())
    }

    fn discard_plan(&mut self) {
        Self::forget(self);
    }

    fn track(&mut self, before: &Gray, now: &Gray) -> Result<&Motion> {
        Ok(Self::track(self, before, now))
    }

    fn forget(&mut self) {
        Self::forget(self);
    }

    fn bytes_in_use(&self) -> usize {
        0
    }
}

impl<B: FlowSteps> Follow for Stepped<B> {
    fn plan(&mut self, size: (usize, usize)) -> Result<()> {
        Self::plan(self, size)
    }

    fn discard_plan(&mut self) {
        Self::discard_plan(self);
    }

    fn track(&mut self, before: &Gray, now: &Gray) -> Result<&Motion> {
        Self::track(self, before, now)
    }

    fn forget(&mut self) {
        Self::forget(self);
    }

    fn bytes_in_use(&self) -> usize {
        self.backend().bytes_in_use()
    }
}
