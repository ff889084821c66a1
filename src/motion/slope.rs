// SPDX-License-Identifier: MIT OR Apache-2.0

//! How the flow changes from pixel to pixel where all of the picture moves as one: when the camera nears, turns or rolls.

use super::flow::Flow;
use crate::backend::flow::FLAT;

/// What u and v gain from a pixel to the next one, to the right and downwards, in pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Slope {
    pub u: [f32; 2],
    pub v: [f32; 2],
}

/// About how many pixels are looked at: they have four numbers to agree on.
const SAMPLES: usize = 2000;
/// Fits, each with less weight for what moves otherwise than the last one said.
const FITS: usize = 6;
/// The weight of a second picture that has no slope, when one whose pixels are all certain weighs 1: a single corner with
/// structure must not decide how flats on the other side move.
const PRIOR: f64 = 2e-4;
/// The most that a camera's motion changes from pixel to pixel, either way: a quarter of the picture's size a frame.
const STEEPEST: f64 = 0.25;

impl Slope {
    /// The slope of the affine motion that most of the picture's structure has in `flow`: weighted least squares, repeated
    /// with the weights of Geman and McClure (Black and Anandan 1996, "The robust estimation of multiple motions").
    /// `structure` is the squared length of the brightness's gradient at a pixel (x, y) from which the flow leads.
    pub fn of(flow: &Flow, structure: impl Fn(usize, usize) -> f32) -> Self {
        let (width, height) = (flow.width, flow.height);
        let stride = ((width * height / SAMPLES) as f64).sqrt().ceil().max(1.0) as usize;
        let middle = [0.5 * (width - 1) as f64, 0.5 * (height - 1) as f64];
        let mut samples = Vec::with_capacity(height.div_ceil(stride) * width.div_ceil(stride));
        for y in (0..height).step_by(stride) {
            for x in (0..width).step_by(stride) {
                let at = y * width + x;
                let structure = f64::from(structure(x, y));
                samples.push(Sample {
                    place: [1.0, x as f64 - middle[0], y as f64 - middle[1]],
                    flow: [f64::from(flow.u[at]), f64::from(flow.v[at])],
                    certainty: structure / (structure + f64::from(FLAT)),
                });
            }
        }
        let mut motion = [[0.0; 3]; 2];
        // The mean square of what the last fit left over.
        let mut spread = f64::INFINITY;
        for _ in 0..FITS {
            let mut sums = Sums::default();
            for sample in &samples {
                sums.add(sample, &motion, spread);
            }
            motion = sums.solve(middle);
            let (mut left_over, mut count) = (0.0, 0.0);
            for sample in &samples {
                let left = sample.left_over(&motion);
                let weight = sample.certainty * likeness(left, spread);
                left_over += weight * left;
                count += weight;
            }
            if count < 1.0 {
                return Self::default();
            }
            // Nothing is known better than to a hundredth of a pixel.
            spread = (left_over / count).max(1e-4);
        }
        if !motion.as_flattened().iter().all(|number| number.is_finite()) {
            return Self::default();
        }
        let slope =
            |motion: [f64; 3]| [motion[1], motion[2]].map(|slope| slope.clamp(-STEEPEST, STEEPEST) as f32);
        Self {
            u: slope(motion[0]),
            v: slope(motion[1]),
        }
    }
}

struct Sample {
    /// 1, x and y.
    place: [f64; 3],
    /// u and v.
    flow: [f64; 2],
    certainty: f64,
}

impl Sample {
    /// The squared distance from what `motion` says, in pixels².
    fn left_over(&self, motion: &[[f64; 3]; 2]) -> f64 {
        let of = |part: usize| {
            let said: f64 = motion[part].iter().zip(self.place).map(|(a, b)| a * b).sum();
            (self.flow[part] - said).powi(2)
        };
        of(0) + of(1)
    }
}

/// How likely something that is `left_over` moves as the others do, whose mean is `spread`.
fn likeness(left_over: f64, spread: f64) -> f64 {
    (1.0 + left_over / spread).powi(-2)
}

/// The normal equations.
#[derive(Default)]
struct Sums {
    count: f64,
    places: [[f64; 3]; 3],
    flows: [[f64; 3]; 2],
}

impl Sums {
    fn add(&mut self, sample: &Sample, motion: &[[f64; 3]; 2], spread: f64) {
        let weight = sample.certainty * likeness(sample.left_over(motion), spread);
        self.count += 1.0;
        for (i, place) in sample.place.iter().enumerate() {
            for (sum, other) in self.places[i].iter_mut().zip(sample.place) {
                *sum += weight * place * other;
            }
            for (sums, flow) in self.flows.iter_mut().zip(sample.flow) {
                sums[i] += weight * place * flow;
            }
        }
    }

    /// u and v as linear functions of 1, x and y. `middle` is half of the picture's width and height.
    fn solve(&self, middle: [f64; 2]) -> [[f64; 3]; 2] {
        let mut places = self.places;
        places[0][0] += 1e-9;
        for (axis, half) in middle.iter().enumerate() {
            // The mean of x² over pixels from −half to half is half² / 3.
            places[axis + 1][axis + 1] += PRIOR * self.count * (half * half / 3.0 + 1e-3);
        }
        self.flows.map(|flows| solve(places, flows))
    }
}

/// x with `matrix` x = `right`, for a positive definite matrix, by Gauss's elimination.
fn solve(mut matrix: [[f64; 3]; 3], mut right: [f64; 3]) -> [f64; 3] {
    for pivot in 0..3 {
        let above = matrix[pivot];
        for row in pivot + 1..3 {
            let share = matrix[row][pivot] / above[pivot];
            for (value, above) in matrix[row].iter_mut().zip(above) {
                *value -= share * above;
            }
            right[row] -= share * right[pivot];
        }
    }
    for row in (0..3).rev() {
        let known: f64 = (row + 1..3)
            .map(|column| matrix[row][column] * right[column])
            .sum();
        right[row] = (right[row] - known) / matrix[row][row];
    }
    right
}

#[cfg(test)]
mod tests {
    use super::super::gray::Gray;
    use super::super::pyramid::Pyramid;
    use super::*;

    const SIZE: (usize, usize) = (96, 64);

    fn pyramid(brightness: impl Fn(usize, usize) -> f32) -> Pyramid {
        let (width, height) = SIZE;
        let pixels = (0..width * height).map(|at| brightness(at % width, at / width));
        let mut pyramid = Pyramid::default();
        pyramid.build(&Gray {
            width,
            height,
            pixels: pixels.collect(),
        });
        pyramid
    }

    /// A camera that nears and turns, and an object before a quarter of the picture that passes by.
    fn flow() -> Flow {
        let (width, height) = SIZE;
        let mut flow = Flow::new(width, height);
        for at in 0..width * height {
            let (x, y) = (at % width, at / width);
            flow.u[at] = 1.5 + 0.02 * x as f32 - 0.01 * y as f32;
            flow.v[at] = -0.5 + 0.01 * x as f32 + 0.02 * y as f32;
            if x < width / 2 && y < height / 2 {
                (flow.u[at], flow.v[at]) = (-4.0, 3.0);
            }
        }
        flow
    }

    #[test]
    fn the_camera_s_motion_is_found_behind_an_object() {
        let structure = pyramid(|x, y| 100.0 + 60.0 * ((x * 7 + y * 3) as f32 * 0.2).sin());
        let slope = Slope::of(&flow(), |x, y| structure.levels[0].structure(x, y));
        for (found, expected) in [(slope.u, [0.02, -0.01]), (slope.v, [0.01, 0.02])] {
            for (found, expected) in found.iter().zip(expected) {
                assert!((found - expected).abs() < 1e-3, "{slope:?}");
            }
        }
    }

    #[test]
    fn nothing_is_said_by_a_picture_that_shows_nothing() {
        let flat = pyramid(|_, _| 90.0);
        assert_eq!(
            Slope::of(&flow(), |x, y| flat.levels[0].structure(x, y)),
            Slope::default()
        );
    }

    #[test]
    fn a_corner_does_not_say_how_the_rest_moves() {
        let corner = pyramid(|x, y| {
            if x < 8 && y < 8 {
                ((x + y) % 3) as f32 * 40.0
            } else {
                90.0
            }
        });
        let (width, height) = SIZE;
        let mut flow = Flow::new(width, height);
        for at in 0..width * height {
            flow.u[at] = 0.2 * (at % width % 3) as f32;
        }
        let slope = Slope::of(&flow, |x, y| corner.levels[0].structure(x, y));
        assert!(slope.u.iter().all(|slope| slope.abs() < 0.01), "{slope:?}");
    }
}
