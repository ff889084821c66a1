// SPDX-License-Identifier: MIT OR Apache-2.0

use super::estimate::Motion;
use super::gray::Gray;
use super::stepped::Stepped;
use super::tracker::Tracker;
use crate::backend::Result;
use crate::backend::flow::FlowSteps;

/// Finds the motion between the frames of a stream.
pub trait Track: Send {
    /// Allocates what pictures of `size`, width and height, need.
    ///
    /// # Errors
    /// There is no memory for them.
    fn plan(&mut self, size: (usize, usize)) -> Result<()>;

    /// Frees what was planned, and forgets the last motion.
    fn discard_plan(&mut self);

    /// How `now` came from `before`, two pictures of the same size. The motion found last, if it was of this size, is
    /// tried as a start: frames after one another move alike.
    ///
    /// # Errors
    /// The backend failed or was cancelled.
    ///
    /// # Panics
    /// If the pictures' sizes differ.
    fn track(&mut self, before: &Gray, now: &Gray) -> Result<&Motion>;

    /// Forgets the last motion, which the next search would start from: the next frames are of another scene.
    fn forget(&mut self);

    /// Bytes in use by its backend; 0 without one.
    fn bytes_in_use(&self) -> usize;
}

impl Track for Tracker {
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

impl<B: FlowSteps> Track for Stepped<B> {
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
