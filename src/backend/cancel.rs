// SPDX-License-Identifier: MIT OR Apache-2.0

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A flag by which another thread stops a computation; polled between and inside operations, every few
/// milliseconds of work. Clones share the flag.
#[derive(Clone, Debug, Default)]
pub struct CancelToken(Arc<Flag>);

#[derive(Debug, Default)]
struct Flag {
    raised: AtomicBool,
    parent: Option<CancelToken>,
}

impl CancelToken {
    pub fn new() -> Self {
        Self::default()
    }

    /// A token for a part of the computation: it is cancelled by itself, and as long as this one is.
    pub fn child(&self) -> Self {
        Self(Arc::new(Flag {
            raised: AtomicBool::new(false),
            parent: Some(self.clone()),
        }))
    }

    /// Asks the computation to stop.
    pub fn cancel(&self) {
        self.0.raised.store(true, Ordering::Release);
    }

    /// Takes the wish back, before the next computation starts. What the parent wants stays.
    pub fn rearm(&self) {
        self.0.raised.store(false, Ordering::Release);
    }

    pub fn is_cancelled(&self) -> bool {
        self.0.raised.load(Ordering::Acquire) || self.0.parent.as_ref().is_some_and(Self::is_cancelled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_can_be_stopped_alone_but_does_not_go_on_without_the_whole() {
        let whole = CancelToken::new();
        let (part, other) = (whole.child(), whole.child());
        part.cancel();
        assert!(part.is_cancelled() && !other.is_cancelled() && !whole.is_cancelled());
        part.rearm();
        assert!(!part.is_cancelled());
        whole.cancel();
        part.rearm();
        assert!(part.is_cancelled() && other.is_cancelled());
        whole.rearm();
        assert!(!part.is_cancelled());
    }
}
