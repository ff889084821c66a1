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
    /// The share of the frame's structure that is not found in the frame before, 0..1. Light does not count: a flash
    /// leaves it small, a cut makes it large.
    pub unexplained: f64,
}
