// SPDX-License-Identifier: MIT OR Apache-2.0

//! The inverse search of one patch.

use super::Tensor;
use super::sampling::{across, between, down};
use crate::backend::Shape;
use crate::backend::flow::{self, SIDE, STEP, Search};

/// Pixels of a patch.
const PIXELS: f64 = (SIDE * SIDE) as f64;

fn apart(a: [f64; 2], b: [f64; 2]) -> f64 {
    (a[0] - b[0]).powi(2) + (a[1] - b[1]).powi(2)
}

/// Where the patch of a row or column begins.
pub(super) fn begins(index: usize, length: usize) -> usize {
    (index * STEP).min(length - SIDE)
}

/// A patch of a picture that is looked for in the other one.
pub(super) struct Patch<'a> {
    pictures: &'a Tensor,
    /// The picture it is of: 0 or 1.
    of: usize,
    x: usize,
    y: usize,
    /// The derivatives of its pixels, each less their mean, rows after one another.
    dx: Vec<f64>,
    dy: Vec<f64>,
    start: [f64; 2],
    way: f64,
}

/// A place of a patch, and how it looks there.
#[derive(Clone, Copy)]
pub(super) struct Found {
    pub(super) flow: [f64; 2],
    error: f64,
    /// Half the error's derivatives.
    slope: [f64; 2],
    pub(super) mean: f64,
}

impl<'a> Patch<'a> {
    pub(super) fn new(
        pictures: &'a Tensor,
        of: usize,
        (x, y): (usize, usize),
        start: [f64; 2],
        way: f64,
    ) -> Self {
        let derivatives = |derivative: fn(&Tensor, usize, isize, isize) -> f64| {
            let values: Vec<f64> = pixels()
                .map(|(row, column)| derivative(pictures, of, (y + row) as isize, (x + column) as isize))
                .collect();
            let mean = values.iter().sum::<f64>() / PIXELS;
            values.iter().map(|value| value - mean).collect()
        };
        let mut patch = Self {
            pictures,
            of,
            x,
            y,
            dx: derivatives(across),
            dy: derivatives(down),
            start,
            way,
        };
        patch.start = patch.kept_in(start);
        patch
    }

    /// A flow that leads the patch no further than [`flow::REACH`] beyond the picture.
    pub(super) fn kept_in(&self, [u, v]: [f64; 2]) -> [f64; 2] {
        let keep = |at: usize, by: f64, length: usize| {
            let reach = flow::REACH as f64;
            (at as f64 + by).clamp(-reach, (length - SIDE) as f64 + reach) - at as f64
        };
        let Shape { height, width, .. } = self.pictures.shape;
        [keep(self.x, u, width), keep(self.y, v, height)]
    }

    fn differences(&self, [u, v]: [f64; 2]) -> Vec<f64> {
        let difference = |(row, column)| {
            let (y, x) = (self.y + row, self.x + column);
            between(self.pictures, 1 - self.of, y as f64 + v, x as f64 + u) - self.pictures.at(self.of, y, x)
        };
        pixels().map(difference).collect()
    }

    pub(super) fn at(&self, flow: [f64; 2]) -> Found {
        let flow = self.kept_in(flow);
        let differences = self.differences(flow);
        let mean = differences.iter().sum::<f64>() / PIXELS;
        let dot = |plane: &[f64]| plane.iter().zip(&differences).map(|(a, b)| a * b).sum::<f64>();
        let start = self.start;
        Found {
            flow,
            error: differences.iter().map(|d| (d - mean).powi(2)).sum::<f64>()
                + self.way * apart(flow, start),
            slope: [
                dot(&self.dx) + self.way * (flow[0] - start[0]),
                dot(&self.dy) + self.way * (flow[1] - start[1]),
            ],
            mean,
        }
    }

    pub(super) fn best(&self, candidates: &[[f64; 2]]) -> Found {
        let same = f64::from(flow::SAME);
        let mut best = self.at(self.start);
        let mut tried = vec![self.start];
        for &candidate in candidates {
            if tried.iter().all(|&tried| apart(tried, candidate) > same * same) {
                let found = self.at(candidate);
                if found.error < best.error {
                    best = found;
                }
            }
            tried.push(candidate);
        }
        best
    }

    /// Gauss and Newton's steps.
    pub(super) fn descend(&self, from: Found) -> Found {
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let (xx, yy) = (
            dot(&self.dx, &self.dx) + self.way,
            dot(&self.dy, &self.dy) + self.way,
        );
        let xy = dot(&self.dx, &self.dy);
        let determinant = xx * yy - xy * xy;
        let mut best = from;
        for _ in 0..flow::STEPS {
            let [a, b] = best.slope;
            let step = [(yy * a - xy * b) / determinant, (xx * b - xy * a) / determinant];
            let next = self.at([best.flow[0] - step[0], best.flow[1] - step[1]]);
            if next.error >= best.error {
                break;
            }
            best = next;
            if step[0].hypot(step[1]) < f64::from(flow::STILL) {
                break;
            }
        }
        if apart(best.flow, from.flow) > PIXELS {
            from
        } else {
            best
        }
    }
}

/// (row, column) within a patch.
pub(super) fn pixels() -> impl Iterator<Item = (usize, usize)> {
    (0..SIDE).flat_map(|row| (0..SIDE).map(move |column| (row, column)))
}

/// The places of a patch's candidates: those of `around` about it, then the guess.
pub(super) fn candidates(
    search: &Search<Tensor>,
    way: usize,
    (row, column): (usize, usize),
    middle: (usize, usize),
) -> Vec<[f64; 2]> {
    let mut candidates = Vec::new();
    if let Some(around) = search.around {
        let Shape { height, width, .. } = around.shape;
        for (below, beside) in [(0, 0), (0, -1), (0, 1), (-1, 0), (1, 0)] {
            let (y, x) = (row as isize + below, column as isize + beside);
            if (0..height as isize).contains(&y) && (0..width as isize).contains(&x) {
                candidates.push([0, 1].map(|i| around.at(2 * way + i, y as usize, x as usize)));
            }
        }
    }
    if let Some((guess, halvings)) = search.guess {
        let Shape { height, width, .. } = guess.shape;
        let (x, y) = (
            (middle.0 << halvings).min(width - 1),
            (middle.1 << halvings).min(height - 1),
        );
        candidates.push([0, 1].map(|i| guess.at(2 * way + i, y, x) / (1 << halvings) as f64));
    }
    candidates
}
