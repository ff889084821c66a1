// SPDX-License-Identifier: MIT OR Apache-2.0

use std::collections::VecDeque;

use super::queue::Pushed;
use crate::gatys::{Displacement, Sides};
use crate::motion::{Chain, Flow, Gray, Motion};

/// The frames since the last keyframe, which wait for the next one.
#[derive(Default)]
pub struct Interval {
    held: VecDeque<Held>,
    /// The motion from the newest of them back to the keyframe.
    motion: Chain,
    /// Whether the next frame has to be a keyframe, however few there were.
    ends: bool,
}

/// A frame between two keyframes.
pub struct Held {
    pub pushed: Pushed,
    /// Its painting if no keyframe follows: the keyframe before, moved along.
    painting: Vec<f32>,
    /// [H, W], 0..1: where the keyframe before shows what this frame shows.
    trust: Vec<f32>,
    /// The motion to the next frame and, once that is known, to the keyframe after; and how far it can be trusted.
    onward: (Flow, Vec<f32>),
    /// How much of the time between the keyframes has gone by, once the one after is known.
    time: Option<f32>,
}

impl Held {
    /// What it is composed from.
    pub fn sides(&self) -> Sides<'_> {
        let (flow, trust) = &self.onward;
        let onward = Displacement {
            flow: [&flow.u, &flow.v],
            trust,
        };
        Sides {
            before: &self.painting,
            trust: &self.trust,
            after: self.time.map(|time| (onward, time)),
        }
    }
}

impl Interval {
    /// Begins a new interval at a keyframe; discards what is held.
    pub fn begin(&mut self) {
        self.held.clear();
        self.ends = false;
    }

    /// Whether the next frame has to be a keyframe, if there are `frames` from keyframe to keyframe.
    pub fn is_over(&self, frames: usize) -> bool {
        self.ends || self.held.len() + 1 >= frames
    }

    /// Makes the next frame a keyframe.
    pub fn end(&mut self) {
        self.ends = true;
    }

    /// Holds the next frame back. `painting` is its own if no keyframe follows, `motion` that from the frame before, and
    /// `seen` the two frames in which that was found.
    pub fn hold(&mut self, pushed: Pushed, painting: Vec<f32>, motion: &Motion, seen: [&Gray; 2]) {
        let Flow { width, height, .. } = motion.backward;
        if self.held.is_empty() {
            self.motion.restart(width, height);
        }
        self.go_onward(motion, seen);
        self.motion.advance(&motion.backward, &motion.trust);
        self.held.push_back(Held {
            pushed,
            painting,
            trust: self.motion.trust.clone(),
            onward: Default::default(),
            time: None,
        });
    }

    /// The next frame is the keyframe after: computes the motion to it from all frames that are held.
    pub fn meet(&mut self, motion: &Motion, seen: [&Gray; 2]) {
        self.go_onward(motion, seen);
        self.motion.restart(motion.forward.width, motion.forward.height);
        let frames = (self.held.len() + 1) as f32;
        for (index, held) in self.held.iter_mut().enumerate().rev() {
            let (flow, trust) = &mut held.onward;
            self.motion.advance(flow, trust);
            flow.clone_from(&self.motion.backward);
            trust.clone_from(&self.motion.trust);
            held.time = Some((index + 1) as f32 / frames);
        }
    }

    /// Gives the newest frame that is held its motion to the next one.
    fn go_onward(&mut self, motion: &Motion, [before, now]: [&Gray; 2]) {
        if let Some(last) = self.held.back_mut() {
            last.onward = (motion.forward.clone(), motion.forward_trust(before, now));
        }
    }

    /// The first frame that is held.
    pub fn first(&self) -> Option<&Held> {
        self.held.front()
    }

    /// How many frames are held.
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// The newest frame that is held.
    pub fn newest(&mut self) -> Option<&mut Pushed> {
        self.held.back_mut().map(|held| &mut held.pushed)
    }

    /// Takes out the first frame that is held.
    pub fn take(&mut self) -> Option<Held> {
        self.held.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::super::queue::Token;
    use super::super::{Controls, Frame};
    use super::*;

    const SIZE: (usize, usize) = (8, 6);

    /// Everything moves to the right.
    fn motion(px: f32) -> Motion {
        let flow = |u: f32| {
            let mut flow = Flow::new(SIZE.0, SIZE.1);
            flow.u.fill(u);
            flow
        };
        Motion {
            backward: flow(-px),
            forward: flow(px),
            trust: vec![1.0; SIZE.0 * SIZE.1],
        }
    }

    fn gray() -> Gray {
        Gray {
            width: SIZE.0,
            height: SIZE.1,
            pixels: vec![0.0; SIZE.0 * SIZE.1],
        }
    }

    /// Frames that came by moving so many pixels each, and are held.
    fn held(steps: &[f32]) -> Interval {
        let mut interval = Interval::default();
        for &px in steps {
            assert!(!interval.is_over(steps.len() + 1));
            let pushed = Pushed {
                frame: Frame::default(),
                controls: Controls::default(),
                token: Token::default(),
            };
            interval.hold(pushed, Vec::new(), &motion(px), [&gray(), &gray()]);
        }
        assert!(interval.is_over(steps.len() + 1));
        interval
    }

    #[test]
    fn a_frame_knows_the_way_to_the_keyframe_after_and_its_share_of_the_time() {
        let mut interval = held(&[0.5, 1.0, 0.25]);
        interval.meet(&motion(0.75), [&gray(), &gray()]);
        let mut seen = Vec::new();
        while let Some(held) = interval.take() {
            let (after, time) = held.sides().after.unwrap();
            seen.push((after.flow[0][0], time));
        }
        assert_eq!(seen, [(2.0, 0.25), (1.0, 0.5), (0.75, 0.75)]);
    }

    #[test]
    fn without_a_keyframe_after_there_is_one_side() {
        let mut interval = held(&[0.5, 1.0]);
        while let Some(held) = interval.take() {
            assert!(held.sides().after.is_none());
        }
    }

    #[test]
    fn what_leaves_the_frame_on_the_way_is_not_trusted_onward() {
        let mut interval = held(&[1.0, 2.0]);
        interval.meet(&motion(1.0), [&gray(), &gray()]);
        let first = interval.take().unwrap();
        // Three columns are gone in the keyframe.
        let row = &first.sides().after.unwrap().0.trust[3 * SIZE.0..4 * SIZE.0];
        assert!(row[..5].iter().all(|&trust| trust > 0.99), "{row:?}");
        assert_eq!(row[5..], [0.0; 3]);
    }

    #[test]
    fn an_interval_that_is_ended_is_over_with_the_next_frame() {
        let mut interval = held(&[1.0]);
        assert!(!interval.is_over(5));
        interval.end();
        assert!(interval.is_over(5));
        interval.begin();
        assert!(interval.first().is_none() && !interval.is_over(5));
    }
}
