// SPDX-License-Identifier: MIT OR Apache-2.0

/// A displacement for each pixel, in pixels, rows after one another.
///
/// From one picture to another: what the pixel (x, y) of the first shows is at (x + u, y + v) in the second.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Flow {
    pub width: usize,
    pub height: usize,
    /// [H, W]: to the right.
    pub u: Vec<f32>,
    /// [H, W]: downwards.
    pub v: Vec<f32>,
}

impl Flow {
    /// No motion.
    pub fn new(width: usize, height: usize) -> Self {
        let zeros = vec![0.0; width * height];
        Self {
            width,
            height,
            u: zeros.clone(),
            v: zeros,
        }
    }

    /// Makes this a flow of the given size, keeping its memory; its numbers are unspecified.
    pub(super) fn resize(&mut self, width: usize, height: usize) {
        (self.width, self.height) = (width, height);
        self.u.resize(width * height, 0.0);
        self.v.resize(width * height, 0.0);
    }

    /// Makes everything stand still.
    pub(super) fn stop(&mut self) {
        self.u.fill(0.0);
        self.v.fill(0.0);
    }

    /// Makes this the flow `half` at twice its size, rounded down: its pixel x covers 2x and 2x + 1 of this one.
    pub(super) fn enlarge(&mut self, half: &Flow) {
        for (to, from) in [(&mut self.u, &half.u), (&mut self.v, &half.v)] {
            for (y, row) in to.chunks_exact_mut(self.width).enumerate() {
                let (near, far) = (y / 2, neighbour(y, half.height));
                let (near, far) = (
                    &from[near * half.width..][..half.width],
                    &from[far * half.width..][..half.width],
                );
                for (x, out) in row.iter_mut().enumerate() {
                    let (beside, aside) = (x / 2, neighbour(x, half.width));
                    let near = 0.75 * near[beside] + 0.25 * near[aside];
                    let far = 0.75 * far[beside] + 0.25 * far[aside];
                    *out = 2.0 * (0.75 * near + 0.25 * far);
                }
            }
        }
    }
}

/// Of the pixels of half the size, the second nearest to pixel `at`.
fn neighbour(at: usize, length: usize) -> usize {
    if at.is_multiple_of(2) {
        (at / 2).saturating_sub(1)
    } else {
        (at / 2 + 1).min(length - 1)
    }
}

/// How the frame *now* came from the frame *before*.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Motion {
    /// From the frame now to the one before: what to warp with.
    pub backward: Flow,
    /// From the frame before to the one now.
    pub forward: Flow,
    /// [H, W] of the frame now, 0..1: whether what a pixel shows was seen in the frame before, where
    /// [`backward`](Self::backward) says. 0 where something was uncovered or came into view.
    pub trust: Vec<f32>,
    /// [H, W] of the frame now, 0..1, never less than [`trust`](Self::trust): whether the frame before looks the same where
    /// [`backward`](Self::backward) leads. What was painted there can be painted here, be it the same thing or not.
    pub resemblance: Vec<f32>,
    /// The share of the frame's structure that is not found in the frame before, 0..1. Light does not count: a flash
    /// leaves it small, a cut makes it large. 0 if the frame has no structure.
    pub unexplained: f64,
}
