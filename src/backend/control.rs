// SPDX-License-Identifier: MIT OR Apache-2.0

use super::{Memory, Result};

/// The place where a backend keeps a captured step. The CPU has nothing to keep.
#[derive(Debug, Default)]
pub struct Capture {
    /// Steps performed through this capture.
    pub runs: u64,
    /// What only the backend knows. The tensors of the step must live as long as it is performed.
    pub(super) kept: Option<Box<dyn std::any::Any + Send>>,
}

/// What a backend is called, and how it performs a step as a whole.
pub trait Control: Memory {
    /// `cpu`, `reference`, …
    fn name(&self) -> &'static str;

    /// What the work runs on, for people: threads, the card's name.
    fn device(&self) -> String;

    /// Lowers the priority of the backend's threads (nice 5), and uses one core less than there are unless the number of
    /// threads was chosen: for painting beside a live stream.
    fn lower_priority(&mut self) -> Result<()> {
        Ok(())
    }

    /// Makes the next run of a step as if it were the first: a backend may search for the scale of gradients again, so that results
    /// do not depend on earlier runs.
    fn restart(&mut self, _capture: &mut Capture) {}

    /// A place for a step with all that it takes; [`Capture::default`] is one that takes it when it is needed.
    fn new_capture(&mut self) -> Result<Capture> {
        Ok(Capture::default())
    }

    /// Performs what `record` describes. A backend that can (a CUDA graph) writes it down at one of the first calls with a
    /// `capture` and only replays it after that: whatever changes between two calls must lie in a tensor, and the
    /// tensors must be the same and live as long. A step whose gradients overflow may leave the optimiser's tensors alone.
    fn capture<R>(&mut self, capture: &mut Capture, record: R) -> Result<()>
    where
        R: FnMut(&mut Self) -> Result<()> + Send;
}
