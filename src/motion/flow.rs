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

    /// Makes this the flow `other` at another size of the picture, given by `width` and `height`.
    pub fn stretch(&mut self, other: &Flow, width: usize, height: usize) {
        (self.width, self.height) = (width, height);
        let from = (other.width, other.height);
        let longer = |to: usize, from: usize| to as f32 / from as f32;
        stretch(
            &other.u,
            from,
            longer(width, from.0),
            &mut self.u,
            (width, height),
        );
        stretch(
            &other.v,
            from,
            longer(height, from.1),
            &mut self.v,
            (width, height),
        );
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

/// Makes `to` the plane `from` at another size, times `gain`: between the pixels by linear interpolation, whose values
/// are never beyond those of the pixels. Sizes are widths and heights.
pub fn stretch(
    from: &[f32],
    size: (usize, usize),
    gain: f32,
    to: &mut Vec<f32>,
    (width, height): (usize, usize),
) {
    // For each pixel the place in the other picture: the pixel before it, the one after it, and how near that is.
    let place = |at: usize, length: usize, from: usize| {
        let there = (at as f32 + 0.5) * (from as f32 / length as f32) - 0.5;
        let there = there.clamp(0.0, (from - 1) as f32);
        let before = there as usize;
        (before, (before + 1).min(from - 1), there - before as f32)
    };
    let columns: Vec<_> = (0..width).map(|x| place(x, width, size.0)).collect();
    let mut mixed = vec![0.0; size.0];
    to.resize(width * height, 0.0);
    for (y, out) in to.chunks_exact_mut(width).enumerate() {
        let (above, below, near) = place(y, height, size.1);
        let rows = [above, below].map(|row| &from[row * size.0..][..size.0]);
        for ((mixed, above), below) in mixed.iter_mut().zip(rows[0]).zip(rows[1]) {
            *mixed = gain * (above + near * (below - above));
        }
        for (out, &(before, after, near)) in out.iter_mut().zip(&columns) {
            *out = mixed[before] + near * (mixed[after] - mixed[before]);
        }
    }
}

/// The second nearest to pixel `at` among the pixels of half the size.
fn neighbour(at: usize, length: usize) -> usize {
    if at.is_multiple_of(2) {
        (at / 2).saturating_sub(1)
    } else {
        (at / 2 + 1).min(length - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A turn about the middle of the picture, in shares of its longer side so that it is the same at any size.
    fn turn(width: usize, height: usize) -> Flow {
        let mut flow = Flow::new(width, height);
        for y in 0..height {
            for x in 0..width {
                let at = y * width + x;
                flow.u[at] = 0.1 * (y as f32 + 0.5 - height as f32 / 2.0);
                flow.v[at] = -0.1 * (x as f32 + 0.5 - width as f32 / 2.0);
            }
        }
        flow
    }

    #[test]
    fn a_motion_is_the_same_at_any_size() {
        let mut large = Flow::default();
        large.stretch(&turn(48, 32), 72, 48);
        let expected = turn(72, 48);
        assert_eq!((large.width, large.height), (72, 48));
        for y in 1..47 {
            // Beyond the centres of the outermost pixels nothing is known.
            for x in 1..71 {
                let at = y * 72 + x;
                assert!((large.u[at] - expected.u[at]).abs() < 1e-5, "{x} {y}");
                assert!((large.v[at] - expected.v[at]).abs() < 1e-5, "{x} {y}");
            }
        }
        let mut same = Flow::default();
        same.stretch(&expected, 72, 48);
        assert_eq!(same, expected);
    }
}
