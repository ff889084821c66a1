// SPDX-License-Identifier: MIT OR Apache-2.0

//! Patches looked up by inverse search, and the dense flow that they vote for (Kroeger, Timofte, Dai and Van Gool,
//! "Fast Optical Flow using Dense Inverse Search", 2016, sections 2.1 and 2.2).

use super::flow::Flow;
use super::pyramid::{MARGIN, PyramidLevel};
use crate::backend::flow::{SAME, SIDE, STEP, STEPS, STILL, WAY, WAY_PER_NOISE};

const PIXELS: f32 = (SIDE * SIDE) as f32;

/// The votes of all patches of a level.
#[derive(Debug, Default)]
pub struct Search {
    /// Flow of the patches, rows after one another.
    patches: Vec<[f32; 2]>,
    /// [H, W]: sums of the votes, and of their weights.
    u: Vec<f32>,
    v: Vec<f32>,
    weights: Vec<f32>,
}

/// A flow of the picture's full size that may be right here too, and how much finer its pixels are.
#[derive(Clone, Copy)]
pub struct Guess<'a> {
    pub flow: &'a Flow,
    pub shift: usize,
}

impl Search {
    /// Improves `flow`, which leads from `from` to `to`, both of its size.
    pub fn improve(&mut self, from: &PyramidLevel, to: &PyramidLevel, guess: Option<Guess>, flow: &mut Flow) {
        let (width, height) = (from.width, from.height);
        if width.min(height) < SIDE {
            return;
        }
        let columns = (width - SIDE).div_ceil(STEP) + 1;
        let rows = (height - SIDE).div_ceil(STEP) + 1;
        let way = WAY + WAY_PER_NOISE * from.noise.max(to.noise);
        self.patches.clear();
        for sums in [&mut self.u, &mut self.v, &mut self.weights] {
            sums.clear();
            sums.resize(width * height, 0.0);
        }
        for row in 0..rows {
            let y = (row * STEP).min(height - SIDE);
            for column in 0..columns {
                let x = (column * STEP).min(width - SIDE);
                let patch = Patch::new(from, x, y, way);
                let centre = (y + SIDE / 2) * width + x + SIDE / 2;
                let start = patch.clamped(to, [flow.u[centre], flow.v[centre]]);
                let mut best = patch.at(to, start, start);
                let mut tried = [start; 4];
                let mut consider = |index: usize, candidate: [f32; 2]| {
                    if tried[..index]
                        .iter()
                        .all(|tried| squared_distance(*tried, candidate) > SAME * SAME)
                    {
                        best = best.better(patch.at(to, candidate, start));
                    }
                    tried[index] = candidate;
                };
                if let Some(left) = (column > 0).then(|| self.patches[row * columns + column - 1]) {
                    consider(1, left);
                } else {
                    consider(1, start);
                }
                if let Some(above) = (row > 0).then(|| self.patches[(row - 1) * columns + column]) {
                    consider(2, above);
                } else {
                    consider(2, start);
                }
                if let Some(Guess { flow, shift }) = guess {
                    let at = (((y + SIDE / 2) << shift).min(flow.height - 1)) * flow.width
                        + ((x + SIDE / 2) << shift).min(flow.width - 1);
                    let finer = (1 << shift) as f32;
                    consider(3, [flow.u[at] / finer, flow.v[at] / finer]);
                }
                let found = patch.descend(to, best, start);
                self.patches.push(found);
                self.vote(&patch, to, found, width);
            }
        }
        let sums = self.u.iter().zip(&self.v).zip(&self.weights);
        for ((u, v), ((su, sv), weight)) in flow.u.iter_mut().zip(&mut flow.v).zip(sums) {
            (*u, *v) = (su / weight, sv / weight);
        }
    }

    /// Adds the patch's flow to the sums of its pixels. It counts the less at a pixel, the more that differs from what the
    /// patch found there.
    fn vote(&mut self, patch: &Patch, to: &PyramidLevel, [u, v]: [f32; 2], width: usize) {
        let mut differences = [[0.0; SIDE]; SIDE];
        let sums = patch.compare(to, [u, v], |row, difference| differences[row] = *difference);
        let mean = sums.difference / PIXELS;
        for (row, difference) in differences.iter().enumerate() {
            let at = (patch.y + row) * width + patch.x;
            let mut weights = [0.0; SIDE];
            for (weight, difference) in weights.iter_mut().zip(difference) {
                *weight = 1.0 / (difference - mean).abs().max(1.0);
            }
            add(&mut self.u[at..at + SIDE], &weights, u);
            add(&mut self.v[at..at + SIDE], &weights, v);
            add(&mut self.weights[at..at + SIDE], &weights, 1.0);
        }
    }
}

fn add(sums: &mut [f32], weights: &[f32; SIDE], value: f32) {
    for (sum, weight) in sums.iter_mut().zip(weights) {
        *sum += weight * value;
    }
}

/// A candidate for the flow of a patch, and how well it fits.
#[derive(Clone, Copy)]
struct Found {
    flow: [f32; 2],
    /// What is minimised: the sum of squared differences from their mean, and the penalty on the distance from the start.
    error: f32,
    /// Its derivatives, halved.
    slope: [f32; 2],
}

impl Found {
    fn better(self, other: Self) -> Self {
        if other.error < self.error { other } else { self }
    }
}

/// Sums over a patch of the differences d of the other picture from it.
#[derive(Clone, Copy)]
struct Sums {
    difference: f32,
    square: f32,
    slope: [f32; 2],
}

/// A patch of 8 × 8 pixels. Its derivatives have mean zero, so that a constant difference in brightness moves
/// nothing.
struct Patch {
    x: usize,
    y: usize,
    pixels: [[f32; SIDE]; SIDE],
    dx: [[f32; SIDE]; SIDE],
    dy: [[f32; SIDE]; SIDE],
    /// The inverse of the second derivatives of what is minimised: xx, xy, yy.
    inverse: [f32; 3],
    /// The penalty per squared pixel of distance from the start.
    way: f32,
}

impl Patch {
    fn new(from: &PyramidLevel, x: usize, y: usize, way: f32) -> Self {
        let rows = |plane: &[f32], stride: usize, at: usize| -> [[f32; SIDE]; SIDE] {
            std::array::from_fn(|row| {
                let row = &plane[at + row * stride..][..SIDE];
                std::array::from_fn(|column| row[column])
            })
        };
        let pixels = rows(&from.pixels, from.stride, (y + MARGIN) * from.stride + x + MARGIN);
        let mut dx = rows(&from.dx, from.width, y * from.width + x);
        let mut dy = rows(&from.dy, from.width, y * from.width + x);
        for plane in [&mut dx, &mut dy] {
            let mean = dot(plane, &[[1.0; SIDE]; SIDE]) / PIXELS;
            for row in plane.iter_mut() {
                row.iter_mut().for_each(|value| *value -= mean);
            }
        }
        let (xx, xy, yy) = (dot(&dx, &dx) + way, dot(&dx, &dy), dot(&dy, &dy) + way);
        let determinant = xx * yy - xy * xy;
        Self {
            way,
            x,
            y,
            pixels,
            dx,
            dy,
            inverse: [yy / determinant, -xy / determinant, xx / determinant],
        }
    }

    /// How well the patch fits where `flow` leads, which is clamped to the margin, with the penalty on the distance from
    /// `start`.
    fn at(&self, to: &PyramidLevel, flow: [f32; 2], start: [f32; 2]) -> Found {
        let flow = self.clamped(to, flow);
        let sums = self.compare(to, flow, |_, _| ());
        Found {
            flow,
            error: sums.square - sums.difference * sums.difference / PIXELS
                + self.way * squared_distance(flow, start),
            slope: [
                sums.slope[0] + self.way * (flow[0] - start[0]),
                sums.slope[1] + self.way * (flow[1] - start[1]),
            ],
        }
    }

    /// Gauss-Newton steps from a candidate to where the patch fits best.
    fn descend(&self, to: &PyramidLevel, found: Found, start: [f32; 2]) -> [f32; 2] {
        let mut best = found;
        for _ in 0..STEPS {
            let ([a, b], [xx, xy, yy]) = (best.slope, self.inverse);
            let step = [xx * a + xy * b, xy * a + yy * b];
            let next = self.at(to, [best.flow[0] - step[0], best.flow[1] - step[1]], start);
            // Written so that NaN ends the search, too.
            if next.error.partial_cmp(&best.error) != Some(std::cmp::Ordering::Less) {
                break;
            }
            best = next;
            if step[0] * step[0] + step[1] * step[1] < STILL * STILL {
                break;
            }
        }
        // A patch that moved by more than its own size is lost: its candidate is the better guess.
        if squared_distance(best.flow, found.flow) > PIXELS {
            found.flow
        } else {
            best.flow
        }
    }

    fn clamped(&self, to: &PyramidLevel, [u, v]: [f32; 2]) -> [f32; 2] {
        let keep = |at: usize, shift: f32, length: usize| {
            let reach = MARGIN as f32 - 1.0;
            let last = (length - SIDE) as f32 + reach;
            (at as f32 + shift).clamp(-reach, last) - at as f32
        };
        [keep(self.x, u, to.width), keep(self.y, v, to.height)]
    }

    /// Compares the patch with the picture where `flow` leads, between the pixels by linear interpolation. `each` sees
    /// the differences of each row.
    #[inline(always)]
    fn compare(
        &self,
        to: &PyramidLevel,
        [u, v]: [f32; 2],
        mut each: impl FnMut(usize, &[f32; SIDE]),
    ) -> Sums {
        // Nothing lies left of or above the margin, so that truncation is as good as floor.
        let (x, y) = (
            self.x as f32 + u + MARGIN as f32,
            self.y as f32 + v + MARGIN as f32,
        );
        let (column, row) = (x as usize, y as usize);
        let (right, down) = (x - column as f32, y - row as f32);
        let blended = |row: usize| -> [f32; SIDE] {
            let row = &to.pixels[row * to.stride + column..][..SIDE + 1];
            std::array::from_fn(|i| row[i] + right * (row[i + 1] - row[i]))
        };
        let mut above = blended(row);
        let mut lanes = [[0.0; SIDE]; 4];
        for j in 0..SIDE {
            let below = blended(row + j + 1);
            let mut difference = [0.0; SIDE];
            for i in 0..SIDE {
                let d = above[i] + down * (below[i] - above[i]) - self.pixels[j][i];
                lanes[0][i] += d;
                lanes[1][i] += d * d;
                lanes[2][i] += d * self.dx[j][i];
                lanes[3][i] += d * self.dy[j][i];
                difference[i] = d;
            }
            each(j, &difference);
            above = below;
        }
        Sums {
            difference: sum(&lanes[0]),
            square: sum(&lanes[1]),
            slope: [sum(&lanes[2]), sum(&lanes[3])],
        }
    }
}

fn dot(a: &[[f32; SIDE]; SIDE], b: &[[f32; SIDE]; SIDE]) -> f32 {
    let mut lanes = [0.0; SIDE];
    for (a, b) in a.iter().zip(b) {
        for i in 0..SIDE {
            lanes[i] += a[i] * b[i];
        }
    }
    sum(&lanes)
}

#[inline(always)]
fn sum(lanes: &[f32; SIDE]) -> f32 {
    let half: [f32; 4] = std::array::from_fn(|i| lanes[i] + lanes[i + 4]);
    (half[0] + half[2]) + (half[1] + half[3])
}

fn squared_distance(a: [f32; 2], b: [f32; 2]) -> f32 {
    let (x, y) = (a[0] - b[0], a[1] - b[1]);
    x * x + y * y
}
