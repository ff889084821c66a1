// SPDX-License-Identifier: MIT OR Apache-2.0

//! Whether a frame follows the one that was painted last, so that the result can be continued from.

use gst::ClockTime;

/// Frames that a slow element or a leaky queue drops are marked as discontinuities too, yet the scene goes on. Shorter
/// gaps than this are taken for such drops.
const DROPPED: ClockTime = ClockTime::from_seconds(1);

/// Where a frame takes seconds to paint, drops last seconds: a gap of so many times a frame's cost still passes as a drop.
const DROPPED_COSTS: u64 = 4;

/// The gap that rounding may leave where a new segment continues the old one.
const ROUNDING: ClockTime = ClockTime::from_mseconds(5);

#[derive(Default)]
pub struct Continuity {
    last_pts: Option<ClockTime>,
    last_end: Option<ClockTime>,
    segment_changed: bool,
    interrupted: bool,
}

impl Continuity {
    /// A new segment: the next frame has to follow the last one closely.
    pub fn segment_changed(&mut self) {
        self.segment_changed = true;
    }

    /// Frames pass without being painted. Like a discontinuity that ends the scene only if it lasts.
    pub fn interrupted(&mut self) {
        self.interrupted = true;
    }

    /// Forgets the frames before.
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    /// Whether the frame at `pts` continues the stream of the last one. `cost` is the time that it takes to paint a frame.
    pub fn goes_on(&self, pts: Option<ClockTime>, discont: bool, cost: ClockTime) -> bool {
        let discont = discont || self.interrupted;
        let (Some(pts), Some(last_pts)) = (pts, self.last_pts) else {
            // Without times only the flag can tell.
            return !(discont || self.segment_changed);
        };
        let gap = |from: ClockTime| if pts > from { pts - from } else { from - pts };
        if self.segment_changed {
            return pts >= last_pts && gap(self.last_end.unwrap_or(last_pts)) <= self.tolerance(last_pts);
        }
        // Played backwards the times fall, so only the distance counts.
        !discont || gap(last_pts) <= DROPPED.max(cost.saturating_mul(DROPPED_COSTS))
    }

    /// The frame at `pts` is the last one now.
    pub fn painted(&mut self, pts: Option<ClockTime>, duration: Option<ClockTime>) {
        self.last_pts = pts;
        self.last_end = pts.map(|pts| pts + duration.unwrap_or(ClockTime::ZERO));
        self.segment_changed = false;
        self.interrupted = false;
    }

    /// Half a frame, if its length is known.
    fn tolerance(&self, last_pts: ClockTime) -> ClockTime {
        self.last_end
            .map_or(ROUNDING, |end| ROUNDING.max((end - last_pts) / 2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: ClockTime = ClockTime::from_mseconds(40);
    const CHEAP: ClockTime = ClockTime::from_mseconds(30);

    fn after_one_second() -> Continuity {
        let mut continuity = Continuity::default();
        continuity.painted(Some(ClockTime::SECOND), Some(FRAME));
        continuity
    }

    fn at(ms: u64) -> Option<ClockTime> {
        Some(ClockTime::from_mseconds(ms))
    }

    #[test]
    fn a_frame_after_a_frame_goes_on_however_late() {
        assert!(after_one_second().goes_on(at(1040), false, CHEAP));
        assert!(
            after_one_second().goes_on(at(60_000), false, CHEAP),
            "a slide show without a discontinuity"
        );
    }

    #[test]
    fn a_drop_is_no_discontinuity_but_a_jump_is() {
        let continuity = after_one_second();
        assert!(continuity.goes_on(at(1400), true, CHEAP));
        assert!(!continuity.goes_on(at(4000), true, CHEAP));
        assert!(
            continuity.goes_on(at(4000), true, ClockTime::from_seconds(1)),
            "slow painting drops seconds"
        );
    }

    #[test]
    fn a_fade_through_the_original_goes_on_but_a_long_pause_does_not() {
        let mut continuity = after_one_second();
        continuity.interrupted();
        assert!(continuity.goes_on(at(1200), false, CHEAP));
        assert!(!continuity.goes_on(at(9000), false, CHEAP));
    }

    #[test]
    fn backwards_is_a_direction_like_any_other() {
        assert!(after_one_second().goes_on(at(960), true, CHEAP));
        assert!(
            !Continuity {
                last_pts: at(9000),
                ..Continuity::default()
            }
            .goes_on(at(1000), true, CHEAP)
        );
    }

    #[test]
    fn a_new_segment_goes_on_only_where_the_old_one_ended() {
        let mut continuity = after_one_second();
        continuity.segment_changed();
        assert!(continuity.goes_on(at(1040), true, CHEAP));
        assert!(!continuity.goes_on(at(1500), false, CHEAP));
        assert!(!continuity.goes_on(at(0), false, CHEAP));
        continuity.painted(at(1500), Some(FRAME));
        assert!(
            continuity.goes_on(at(1540), false, CHEAP),
            "the segment is new once"
        );
    }

    #[test]
    fn without_times_the_flag_decides() {
        let mut continuity = Continuity::default();
        continuity.painted(None, None);
        assert!(continuity.goes_on(None, false, CHEAP));
        assert!(!continuity.goes_on(None, true, CHEAP));
    }
}
