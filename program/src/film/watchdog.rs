// SPDX-License-Identifier: MIT OR Apache-2.0

//! Notices that nothing moves any more. Painting a frame may take minutes, so that time does not count.

use std::time::{Duration, Instant};

use super::feed::Feed;
use super::painting::Painting;
use crate::failure::Failure;

/// How long nothing may be read although nobody has to wait for the painter.
const READING: Duration = Duration::from_secs(30);
/// How long the encoder may look at its last frames. Those of AV1 are thorough.
const WRITING: Duration = Duration::from_secs(120);

/// Looks at the end of a film whether it is still being written.
pub struct Watchdog {
    moved: Instant,
    seen: (u64, u64),
}

impl Watchdog {
    pub fn new() -> Self {
        Self {
            moved: Instant::now(),
            seen: (0, 0),
        }
    }

    /// Where reading stands still.
    pub fn reading(feed: &Feed) -> Option<Failure> {
        (feed.silence() > READING).then(|| {
            let seconds = READING.as_secs();
            format!("reading stands still: nothing has come for {seconds} s").into()
        })
    }

    /// Where writing stands still.
    pub fn writing(&mut self, painting: &Painting) -> Option<Failure> {
        let seen = painting.moved();
        if seen != self.seen || painting.is_at_work() {
            *self = Self {
                moved: Instant::now(),
                seen,
            };
        }
        (self.moved.elapsed() > WRITING).then(|| {
            let seconds = WRITING.as_secs();
            format!("writing stands still: the encoder has given nothing for {seconds} s").into()
        })
    }
}
