// SPDX-License-Identifier: MIT OR Apache-2.0

use super::flow::{Flow, stretch};
use super::place::Place;

/// The motion over several frames: from the newest frame back to an older one, extended a frame at a time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Chain {
    /// From the newest frame to the older one.
    pub backward: Flow,
    /// [H, W] of the newest frame, 0..1: whether what a pixel shows was seen in all frames back to the older one.
    pub trust: Vec<f32>,
    spare: (Flow, Vec<f32>),
}

impl Chain {
    /// From a frame of the given size to itself.
    pub fn new(width: usize, height: usize) -> Self {
        Self {
            backward: Flow::new(width, height),
            trust: vec![1.0; width * height],
            spare: Default::default(),
        }
    }

    /// Makes this one that leads from a frame of the given size to itself, keeping its memory.
    pub fn restart(&mut self, width: usize, height: usize) {
        self.backward.resize(width, height);
        self.backward.stop();
        self.trust.clear();
        self.trust.resize(width * height, 1.0);
    }

    /// Makes this the same as `other`, keeping its memory.
    pub fn copy_from(&mut self, other: &Self) {
        let (from, to) = (&other.backward, &mut self.backward);
        to.resize(from.width, from.height);
        to.u.copy_from_slice(&from.u);
        to.v.copy_from_slice(&from.v);
        self.trust.resize(other.trust.len(), 0.0);
        self.trust.copy_from_slice(&other.trust);
    }

    /// Makes this the same as `other` at another size of the frames.
    pub fn stretch(&mut self, other: &Self, width: usize, height: usize) {
        self.stretch_step(&other.backward, &other.trust, width, height);
    }

    /// Makes this a single step at another size of the frames, with the operands of [`advance`](Self::advance).
    pub fn stretch_step(&mut self, flow: &Flow, trust: &[f32], width: usize, height: usize) {
        self.backward.stretch(flow, width, height);
        stretch(
            trust,
            (flow.width, flow.height),
            1.0,
            &mut self.trust,
            (width, height),
        );
    }

    /// Extends it by one frame: `flow` leads from a new frame to the one that was the newest, and can be trusted as far as
    /// `trust` says.
    ///
    /// F'(x) = f(x) + F(x + f(x)) and T'(x) = t(x) · T(x + f(x)).
    ///
    /// # Panics
    /// If the sizes differ.
    pub fn advance(&mut self, flow: &Flow, trust: &[f32]) {
        let (width, height) = (self.backward.width, self.backward.height);
        assert!((width, height) == (flow.width, flow.height) && trust.len() == width * height);
        let (right, bottom) = ((width - 1) as f32, (height - 1) as f32);
        let (longer, trusted) = &mut self.spare;
        longer.resize(width, height);
        trusted.resize(width * height, 0.0);
        for y in 0..height {
            for x in 0..width {
                let at = y * width + x;
                let (u, v) = (flow.u[at], flow.v[at]);
                let there = Place::new(
                    (x as f32 + u).clamp(0.0, right),
                    (y as f32 + v).clamp(0.0, bottom),
                    width,
                    height,
                );
                longer.u[at] = u + there.of(&self.backward.u);
                longer.v[at] = v + there.of(&self.backward.v);
                trusted[at] = trust[at] * there.of(&self.trust);
            }
        }
        std::mem::swap(&mut self.backward, longer);
        std::mem::swap(&mut self.trust, trusted);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: (usize, usize) = (12, 9);

    fn moved(u: f32, v: f32) -> Flow {
        let mut flow = Flow::new(SIZE.0, SIZE.1);
        flow.u.fill(u);
        flow.v.fill(v);
        flow
    }

    #[test]
    fn steps_add_up() {
        let mut chain = Chain::new(SIZE.0, SIZE.1);
        let certain = vec![1.0; SIZE.0 * SIZE.1];
        for (u, v) in [(1.5, 0.0), (-0.25, 2.0), (0.5, -0.75)] {
            chain.advance(&moved(u, v), &certain);
        }
        assert_eq!(chain.backward, moved(1.75, 1.25));
        assert_eq!(chain.trust, certain);
    }

    #[test]
    fn what_was_lost_on_the_way_is_not_trusted_where_it_is_now() {
        let mut chain = Chain::new(SIZE.0, SIZE.1);
        let mut trust = vec![1.0; SIZE.0 * SIZE.1];
        trust[4 * SIZE.0 + 6] = 0.0;
        chain.advance(&moved(0.0, 0.0), &trust);
        // The pixel (6, 4) is seen at (4, 5) now.
        chain.advance(&moved(2.0, -1.0), &vec![0.5; SIZE.0 * SIZE.1]);
        for y in 0..SIZE.1 {
            for x in 0..SIZE.0 {
                let expected = if (x, y) == (4, 5) { 0.0 } else { 0.5 };
                assert_eq!(chain.trust[y * SIZE.0 + x], expected, "{x} {y}");
            }
        }
    }

    /// A flow that is linear in the place is met exactly between the pixels.
    #[test]
    fn each_step_begins_where_the_one_after_it_ended() {
        let mut zoom = Flow::new(SIZE.0, SIZE.1);
        for (at, u) in zoom.u.iter_mut().enumerate() {
            *u = -0.25 * (at % SIZE.0) as f32;
        }
        let mut chain = Chain::new(SIZE.0, SIZE.1);
        let certain = vec![1.0; SIZE.0 * SIZE.1];
        chain.advance(&zoom, &certain);
        chain.advance(&zoom, &certain);
        for (at, &u) in chain.backward.u.iter().enumerate() {
            let x = (at % SIZE.0) as f32;
            assert!((x + u - 0.75 * 0.75 * x).abs() < 1e-5, "{x} {u}");
        }
    }

    #[test]
    fn a_chain_begun_anew_leads_nowhere() {
        let mut chain = Chain::new(3, 3);
        chain.advance(&Flow::new(3, 3), &[0.0; 9]);
        chain.restart(SIZE.0, SIZE.1);
        let mut copy = Chain::new(1, 1);
        copy.copy_from(&chain);
        assert_eq!((&copy.backward, &copy.trust), (&chain.backward, &chain.trust));
        assert_eq!(
            (&chain.backward, &chain.trust),
            (&Flow::new(SIZE.0, SIZE.1), &vec![1.0; SIZE.0 * SIZE.1])
        );
    }
}
