// SPDX-License-Identifier: MIT OR Apache-2.0

use crate::backend::Shape;

/// How a frame came from the one before, at the size at which it is painted.
#[derive(Clone, Copy, Debug)]
pub struct Displacement<'a> {
    /// Backward flow in pixels, [H, W] each, to the right and down: the pixel at (x, y) shows what was at
    /// `(x + flow[0], y + flow[1])` in the frame before.
    pub flow: [&'a [f32]; 2],
    /// [H, W], 0..1: how far the flow can be relied upon; 0 where the pixel shows what was not visible before.
    pub trust: &'a [f32],
}

/// The share of the last picture in what is shown, where the frame stands still: the optimiser never quite comes to
/// rest, and what its steps have in common is the painting. Where something moves they are hidden by the motion, and a
/// mean of pictures that were resampled more often than the newest would only be softer.
const SHOWN_BEFORE: f32 = 0.8;
/// From this motion on, in pixels a frame, nothing stands still.
const MOVING_PX: f32 = 0.5;

/// The numbers of a [`Displacement`], laid out for a state with its margin.
#[derive(Default)]
pub struct DisplacementMaps {
    pub flow: Vec<f32>,
    pub trust: Vec<f32>,
    pub share: Vec<f32>,
}

impl DisplacementMaps {
    /// The margin moves as its neighbours inside do. What comes from beyond the inside takes its strokes from a place
    /// [`ELSEWHERE`] in the picture, always the same way off: so the strips that come in frame after frame belong together,
    /// and do not show what is next to them a second time, as mirrored ones would.
    pub fn lay_out(&mut self, displacement: Displacement, shape: Shape, border: usize) {
        let (width, height) = (shape.width - 2 * border, shape.height - 2 * border);
        assert!(
            displacement.trust.len() == width * height
                && displacement.flow.iter().all(|f| f.len() == width * height)
        );
        let pixels = shape.pixels();
        self.flow.resize(2 * pixels, 0.0);
        self.trust.resize(pixels, 0.0);
        self.share.resize(pixels, 0.0);
        let inside = |at: usize, length: usize| at.saturating_sub(border).min(length - 1);
        let (w, h) = (Extent::new(border, width), Extent::new(border, height));
        let (across, down) = self.flow.split_at_mut(pixels);
        for y in 0..shape.height {
            for x in 0..shape.width {
                let (at, from) = (y * shape.width + x, inside(y, height) * width + inside(x, width));
                let mut there_x = w.nearest(x as f32) + displacement.flow[0][from];
                let mut there_y = h.nearest(y as f32) + displacement.flow[1][from];
                if !(w.holds(there_x) && h.holds(there_y)) {
                    there_x = w.elsewhere(there_x);
                    there_y = h.elsewhere(there_y);
                }
                across[at] = w.nearest(there_x) - x as f32;
                down[at] = h.nearest(there_y) - y as f32;
                self.trust[at] = displacement.trust[from];
                let moved = displacement.flow[0][from].hypot(displacement.flow[1][from]);
                let still = (1.0 - moved / MOVING_PX).max(0.0);
                self.share[at] = SHOWN_BEFORE * still * displacement.trust[from];
            }
        }
    }
}

/// Where strokes for new areas are copied from: this share of the width and height away, towards the middle.
const ELSEWHERE: f32 = 0.3;

/// The first and the last pixel of the inside, along one side.
#[derive(Clone, Copy)]
struct Extent {
    first: f32,
    last: f32,
}

impl Extent {
    fn new(border: usize, length: usize) -> Self {
        Self {
            first: border as f32,
            last: (border + length - 1) as f32,
        }
    }

    /// Half a pixel beyond the edge is still seen by the pixels at the edge.
    fn holds(&self, place: f32) -> bool {
        place >= self.first - 0.5 && place <= self.last + 0.5
    }

    fn nearest(&self, place: f32) -> f32 {
        place.max(self.first).min(self.last)
    }

    /// The same way off from every place near an edge: towards the middle.
    fn elsewhere(&self, place: f32) -> f32 {
        let off = ELSEWHERE * (self.last - self.first);
        if place > 0.5 * (self.first + self.last) {
            place - off
        } else {
            place + off
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_into_view_is_lent_strokes_from_the_inside_and_margins_move_along() {
        let (width, height) = (40, 10);
        let mut flow = [vec![0.0; width * height], vec![0.0; width * height]];
        let mut trust = vec![1.0; width * height];
        for y in 0..height {
            // Two columns come in at the right.
            for x in [38, 39] {
                flow[0][y * width + x] = 2.0;
                trust[y * width + x] = 0.0;
            }
        }
        let mut maps = DisplacementMaps::default();
        let displacement = Displacement {
            flow: [&flow[0], &flow[1]],
            trust: &trust,
        };
        maps.lay_out(displacement, Shape::new(3, height + 2, width + 2), 1);
        let row = 5 * (width + 2);
        let place = |x: usize| x as f32 + maps.flow[row + x];
        assert_eq!(place(10), 10.0);
        assert_eq!(place(0), 1.0, "the margin shows what the inside does");
        // 0.3 · 39 pixels to the left of where they come from, one beside the other.
        assert!((place(39) - (41.0 - 11.7)).abs() < 1e-4 && (place(40) - place(39) - 1.0).abs() < 1e-4);
        assert_eq!((maps.trust[row + 38], maps.trust[row + 39]), (1.0, 0.0));
        assert_eq!((maps.share[row + 38], maps.share[row + 39]), (SHOWN_BEFORE, 0.0));
        let all = 0..(width + 2) * (height + 2);
        assert!(all.clone().all(|at| {
            let x = (at % (width + 2)) as f32 + maps.flow[at];
            let y = (at / (width + 2)) as f32 + maps.flow[all.end + at];
            (1.0..=40.0).contains(&x) && (1.0..=10.0).contains(&y)
        }));
    }
}
