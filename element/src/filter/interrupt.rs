// SPDX-License-Identifier: MIT OR Apache-2.0

//! The reasons for which the running frame has to stop.

use std::sync::Mutex;

use super::lock;
use neuralstyle::backend::CancelToken;

/// Keeps the token cancelled as long as there is a reason to. There are two reasons, and they overlap: a flush that
/// ends while the element is on its way down must not set the next frame going.
#[derive(Default)]
pub struct Interrupt {
    token: CancelToken,
    reasons: Mutex<Reasons>,
}

#[derive(Default)]
struct Reasons {
    flushing: bool,
    stopping: bool,
}

impl Interrupt {
    /// The flag that computations poll.
    pub fn token(&self) -> CancelToken {
        self.token.clone()
    }

    pub fn begin_flush(&self) {
        self.change(|reasons| reasons.flushing = true);
    }

    pub fn end_flush(&self) {
        self.change(|reasons| reasons.flushing = false);
    }

    /// The element is about to leave PAUSED; holds until it is cleared.
    pub fn stop(&self) {
        self.change(|reasons| reasons.stopping = true);
    }

    /// At the start nothing is left of the last run's reasons.
    pub fn clear(&self) {
        self.change(|reasons| *reasons = Reasons::default());
    }

    fn change(&self, change: impl FnOnce(&mut Reasons)) {
        let mut reasons = lock(&self.reasons);
        change(&mut reasons);
        if reasons.flushing || reasons.stopping {
            self.token.cancel();
        } else {
            self.token.rearm();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_flush_does_not_undo_a_stop() {
        let interrupt = Interrupt::default();
        let token = interrupt.token();
        interrupt.begin_flush();
        assert!(token.is_cancelled());
        interrupt.stop();
        interrupt.end_flush();
        assert!(token.is_cancelled());
        interrupt.clear();
        assert!(!token.is_cancelled());
    }

    #[test]
    fn a_flush_alone_ends_with_its_end() {
        let interrupt = Interrupt::default();
        interrupt.begin_flush();
        interrupt.end_flush();
        assert!(!interrupt.token().is_cancelled());
    }
}
