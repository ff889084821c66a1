// SPDX-License-Identifier: MIT OR Apache-2.0

use super::estimate::Motion;
use super::flow::Flow;
use super::gray::Gray;
use super::pyramid::Pyramid;
use super::refine::Refine;
use super::search::{Guess, Search};
use super::trust;

/// Estimates the motion between frames: inverse search of patches from coarse to fine, each size refined (Kroeger,
/// Timofte, Dai and Van Gool, "Fast Optical Flow using Dense Inverse Search", 2016). Plain loops on one thread, so
/// that the same frames always give the same numbers.
#[derive(Debug, Default)]
pub struct Tracker {
    before: Pyramid,
    now: Pyramid,
    search: Search,
    /// Scratch space for each size.
    refine: Vec<Refine>,
    flows: Vec<Flow>,
    motion: Motion,
    /// See [`consistency`](Self::consistency).
    consistency: Vec<f32>,
    /// Scratch space for differences of pictures.
    apart: Vec<f32>,
    /// Whether `motion` is a start for the next search.
    has_tracked: bool,
}

/// How often each size is refined, and with how many sweeps.
pub(super) const ROUNDS: usize = 5;
pub(super) const SWEEPS: usize = 5;

impl Tracker {
    /// A tracker that has seen nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// How `now` came from `before`, two pictures of the same size. The motion found last, if it was of this size, is
    /// tried as a start: frames after one another move alike.
    ///
    /// # Panics
    /// If the pictures' sizes differ.
    pub fn track(&mut self, before: &Gray, now: &Gray) -> &Motion {
        let size = (now.width, now.height);
        assert_eq!(size, (before.width, before.height), "sizes of the two pictures");
        let Motion {
            backward,
            forward,
            trust,
        } = &mut self.motion;
        self.has_tracked &= size == (backward.width, backward.height);
        self.before.build(before);
        self.now.build(now);
        self.refine.resize_with(self.now.levels.len(), Refine::default);
        self.flows.resize_with(self.now.levels.len(), Flow::default);
        for (from, to, flow) in [
            (&self.now, &self.before, &mut *backward),
            (&self.before, &self.now, &mut *forward),
        ] {
            for index in (0..from.levels.len()).rev() {
                let (level, other) = (&from.levels[index], &to.levels[index]);
                let (finer, coarser) = self.flows.split_at_mut(index + 1);
                let found = &mut finer[index];
                found.resize(level.width, level.height);
                match coarser.first() {
                    Some(coarser) => found.enlarge(coarser),
                    None => found.stop(),
                }
                let guess = self.has_tracked.then_some(Guess {
                    flow: &*flow,
                    shift: index,
                });
                self.search.improve(level, other, guess, found);
                self.refine[index].improve(level, other, ROUNDS, SWEEPS, found);
            }
            flow.clone_from(&self.flows[0]);
        }
        trust::consistency(backward, forward, &mut self.consistency);
        trust::resemblance((now, before), backward, &self.consistency, &mut self.apart, trust);
        self.has_tracked = true;
        &self.motion
    }

    /// Where the two flows found last agree: [H, W] of the frame now, 0..1. Unlike [`Motion::trust`] it is 0 where
    /// something was uncovered, even if it looks like what hid it.
    pub fn consistency(&self) -> &[f32] {
        &self.consistency
    }

    /// The share of the structure of `now` that `before` does not show where [`Motion::backward`] of the motion found last
    /// leads, 0..1; `None` for a picture without structure. Light does not count: a flash leaves it small, a cut makes it
    /// large. Call it with the pictures that were tracked last.
    pub fn unexplained(&self, before: &Gray, now: &Gray) -> Option<f64> {
        trust::unexplained(now, before, &self.motion.backward)
    }

    /// Forgets the last motion, which the next search would start from: the next frames are of another scene.
    pub fn forget(&mut self) {
        self.has_tracked = false;
    }
}
