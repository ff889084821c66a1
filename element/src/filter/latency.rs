// SPDX-License-Identifier: MIT OR Apache-2.0

//! How long a frame stays in the element, which a live pipeline has to know.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use gst::ClockTime;

/// The share of a new, cheaper frame in the estimate: the past fades over some twenty frames.
const FADE: f64 = 0.05;

/// The margin above the estimate in what is announced, so that ordinary variation fits.
const MARGIN: f64 = 1.25;

/// What is announced is rounded up to this.
const GRAIN: ClockTime = ClockTime::from_mseconds(5);

/// The latency that is announced to the pipeline, in parts that change at different times. Any thread may ask for it.
#[derive(Debug, Default)]
pub struct Latency {
    /// Nanoseconds that it takes to paint a frame.
    painting_ns: AtomicU64,
    /// Nanoseconds by which frames are held back.
    held_back_ns: AtomicU64,
}

impl Latency {
    /// Makes it zero.
    pub fn reset(&self) {
        self.set_painting(ClockTime::ZERO);
        self.set_held_back(ClockTime::ZERO);
    }

    /// Sets what it takes to paint a frame.
    pub fn set_painting(&self, time: ClockTime) {
        self.painting_ns.store(time.nseconds(), Ordering::Relaxed);
    }

    /// Sets by how much frames are held back, and returns whether that is new.
    pub fn set_held_back(&self, time: ClockTime) -> bool {
        self.held_back_ns.swap(time.nseconds(), Ordering::Relaxed) != time.nseconds()
    }

    /// The latency to be told to the pipeline: that of painting and that of frames held back.
    pub fn total(&self) -> ClockTime {
        let [painting, held_back] = [&self.painting_ns, &self.held_back_ns]
            .map(|time| ClockTime::from_nseconds(time.load(Ordering::Relaxed)));
        painting.saturating_add(held_back)
    }
}

/// The time that a frame takes, measured, and as it was last announced.
#[derive(Debug, Default)]
pub struct ProcessingTime {
    estimate_ns: Option<f64>,
    announced: ClockTime,
}

impl ProcessingTime {
    /// Takes a frame's time into account. `Some` when what was announced has become untrue: too little for the frames
    /// that come, or more than twice what they need.
    ///
    /// An expensive frame counts at once and fades slowly, for a sink drops whatever is later than announced. But no more
    /// than `limit` is announced.
    pub fn measure(&mut self, took: Duration, limit: Option<ClockTime>) -> Option<ClockTime> {
        let took_ns = took.as_nanos() as f64;
        let estimate_ns = match self.estimate_ns {
            Some(estimate) if took_ns < estimate => estimate + FADE * (took_ns - estimate),
            _ => took_ns,
        };
        self.estimate_ns = Some(estimate_ns);
        let announced_ns = self.announced.nseconds() as f64;
        let limit = limit.unwrap_or(ClockTime::MAX);
        let wanted = rounded_up(estimate_ns * MARGIN).min(limit);
        let too_little = estimate_ns.min(limit.nseconds() as f64) > announced_ns;
        let too_much = announced_ns > 2.0 * wanted.nseconds() as f64;
        (too_little || too_much).then(|| {
            self.announced = wanted;
            wanted
        })
    }

    /// The time of a frame; zero before the first measurement.
    pub fn estimate(&self) -> ClockTime {
        ClockTime::from_nseconds(self.estimate_ns.unwrap_or(0.0) as u64)
    }
}

fn rounded_up(nseconds: f64) -> ClockTime {
    GRAIN * ((nseconds / GRAIN.nseconds() as f64).ceil() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_element_announces_once() {
        let mut time = ProcessingTime::default();
        assert_eq!(
            time.measure(Duration::from_millis(100), None),
            Some(ClockTime::from_mseconds(125))
        );
        for i in 0..1000 {
            assert_eq!(time.measure(Duration::from_millis(90 + i % 30), None), None);
        }
    }

    #[test]
    fn what_takes_longer_than_announced_is_announced_at_once() {
        let mut time = ProcessingTime::default();
        time.measure(Duration::from_millis(100), None);
        assert_eq!(
            time.measure(Duration::from_millis(200), None),
            Some(ClockTime::from_mseconds(250))
        );
        assert_eq!(time.estimate(), ClockTime::from_mseconds(200));
    }

    #[test]
    fn what_became_cheap_is_announced_after_a_while_and_not_step_by_step() {
        let mut time = ProcessingTime::default();
        time.measure(Duration::from_millis(1000), None);
        let announcements = (0..500)
            .filter(|_| time.measure(Duration::from_millis(10), None).is_some())
            .count();
        assert!((1..=8).contains(&announcements), "{announcements}");
        assert!(
            time.announced <= ClockTime::from_mseconds(40),
            "{}",
            time.announced
        );
        assert!(time.announced >= ClockTime::from_mseconds(10));
    }

    #[test]
    fn no_more_is_announced_than_the_limit() {
        let mut time = ProcessingTime::default();
        let limit = Some(ClockTime::from_mseconds(33));
        assert_eq!(
            time.measure(Duration::from_millis(10), limit),
            Some(ClockTime::from_mseconds(15))
        );
        assert_eq!(time.measure(Duration::from_millis(30), limit), limit);
        assert_eq!(time.measure(Duration::from_millis(100), limit), None);
        assert_eq!(time.estimate(), ClockTime::from_mseconds(100));
    }
}
