// SPDX-License-Identifier: MIT OR Apache-2.0

use super::flow::Flow;
use super::gray::Gray;
use super::trust;

/// The estimated motion between two frames, called *before* and *now*.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Motion {
    /// From the frame now to the one before: what to warp with.
    pub backward: Flow,
    /// From the frame before to the one now.
    pub forward: Flow,
    /// [H, W] of the frame now, 0..1: whether what was painted in the frame before, where [`backward`](Self::backward)
    /// leads, can be painted here. 1 where the flows in both directions agree or the frames look the same, 0 where something
    /// was uncovered or came into view.
    pub trust: Vec<f32>,
}

impl Motion {
    /// [`trust`](Self::trust) in the other direction: [H, W] of the frame `before`, 0..1, for the place in the frame `now`
    /// to which [`forward`](Self::forward) leads.
    pub fn forward_trust(&self, before: &Gray, now: &Gray) -> Vec<f32> {
        let (mut consistency, mut forward_trust) = (Vec::new(), Vec::new());
        trust::consistency(&self.forward, &self.backward, &mut consistency);
        trust::resemblance(
            (before, now),
            &self.forward,
            &consistency,
            &mut Vec::new(),
            &mut forward_trust,
        );
        forward_trust
    }
}
