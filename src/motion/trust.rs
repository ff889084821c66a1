// SPDX-License-Identifier: MIT OR Apache-2.0

//! Where a flow can be trusted (Ruder, Dosovitskiy and Brox 2016, section 5, after Sundaram et al. 2010), and how much
//! of a picture it explains.

use super::flow::Flow;
use super::gray::Gray;
use super::place::Place;
use crate::backend::flow::{ALIKE, EDGE, UNLIKE};

/// For each pixel of `flow`: 0 where `back`, the flow in the other direction, does not lead back, where `flow` leads out of
/// the frame, and where it changes sharply; 1 where both agree; values in between where they nearly do.
pub fn consistency(flow: &Flow, back: &Flow, trust: &mut Vec<f32>) {
    let (width, height) = (flow.width, flow.height);
    trust.clear();
    trust.resize(width * height, 0.0);
    let (right, bottom) = ((width - 1) as f32, (height - 1) as f32);
    for y in 0..height {
        let (above, below) = (y.saturating_sub(1), (y + 1).min(height - 1));
        for x in 0..width {
            let at = y * width + x;
            let (u, v) = (flow.u[at], flow.v[at]);
            let (there_x, there_y) = (x as f32 + u, y as f32 + v);
            // The border's pixels extend half a pixel beyond their centres.
            let inside =
                there_x >= -0.5 && there_x <= right + 0.5 && there_y >= -0.5 && there_y <= bottom + 0.5;
            if !inside {
                continue;
            }
            let place = Place::new(
                there_x.clamp(0.0, right),
                there_y.clamp(0.0, bottom),
                width,
                height,
            );
            let (back_u, back_v) = (place.of(&back.u), place.of(&back.v));
            let length = u * u + v * v;
            let apart = (u + back_u).powi(2) + (v + back_v).powi(2);
            let lost = apart / (0.01 * (length + back_u * back_u + back_v * back_v) + 0.5);
            let (before, after) = (x.saturating_sub(1), (x + 1).min(width - 1));
            let slope = |plane: &[f32]| {
                let across = 0.5 * (plane[y * width + after] - plane[y * width + before]);
                let down = 0.5 * (plane[below * width + x] - plane[above * width + x]);
                across * across + down * down
            };
            let edge = (slope(&flow.u) + slope(&flow.v)) / (0.01 * length + EDGE);
            // Falls from 1 at half of Ruder's limits to 0 at the limits, so that the mask itself does not flicker.
            trust[at] = (2.0 - 2.0 * lost.max(edge)).clamp(0.0, 1.0);
        }
    }
}

/// For each pixel of `now` its `consistency`, or more where `flow` leads to a place inside of `before` that looks like it.
/// The estimate is least certain at the edges of moving things, and there it matters least. `apart` is scratch space.
pub fn resemblance(
    (now, before): (&Gray, &Gray),
    flow: &Flow,
    consistency: &[f32],
    apart: &mut Vec<f32>,
    resemblance: &mut Vec<f32>,
) {
    let (width, height) = (flow.width, flow.height);
    let (right, bottom) = ((width - 1) as f32, (height - 1) as f32);
    apart.clear();
    apart.resize(width * height, 0.0);
    for y in 0..height {
        for x in 0..width {
            let at = y * width + x;
            let (there_x, there_y) = (x as f32 + flow.u[at], y as f32 + flow.v[at]);
            let (inside_x, inside_y) = (there_x.clamp(0.0, right), there_y.clamp(0.0, bottom));
            let there = Place::new(inside_x, inside_y, width, height).of(&before.pixels);
            let beyond = (there_x - inside_x).abs().max((there_y - inside_y).abs()) > 0.5;
            // Beyond the border there is nothing to compare with.
            apart[at] = (now.pixels[at] - there).abs() + if beyond { 255.0 } else { 0.0 };
        }
    }
    resemblance.clear();
    resemblance.extend_from_slice(consistency);
    let mut columns = vec![0.0; width];
    for (y, out) in resemblance.chunks_exact_mut(width).enumerate() {
        let rows = y.saturating_sub(1)..(y + 2).min(height);
        let count = rows.len() as f32;
        columns.fill(0.0);
        for row in rows {
            for (sum, apart) in columns.iter_mut().zip(&apart[row * width..]) {
                *sum += apart;
            }
        }
        for (x, out) in out.iter_mut().enumerate() {
            let beside = &columns[x.saturating_sub(1)..(x + 2).min(width)];
            let mean = beside.iter().sum::<f32>() / (count * beside.len() as f32);
            *out = out.max(((UNLIKE - mean) / (UNLIKE - ALIKE)).clamp(0.0, 1.0));
        }
    }
}

/// Side of the cells in which pictures are compared, in pixels.
const CELL: usize = 8;
/// Variance of a cell that is noise, in steps of a byte, squared.
const CELL_NOISE: f32 = 16.0;

/// The share of the structure of `now` that `before` does not show where `flow` leads: over cells of 8 × 8 pixels the
/// variance that the best brightness and contrast leave over, 0..1. `None` for a picture without structure.
pub fn unexplained(now: &Gray, before: &Gray, flow: &Flow) -> Option<f64> {
    let (width, height) = (now.width, now.height);
    let (mut left_over, mut all) = (0.0, 0.0);
    for top in (0..height).step_by(CELL) {
        for left in (0..width).step_by(CELL) {
            let mut cell = Moments::default();
            for y in top..(top + CELL).min(height) {
                for x in left..(left + CELL).min(width) {
                    let at = y * width + x;
                    let there_x = (x as f32 + flow.u[at]).clamp(0.0, (width - 1) as f32);
                    let there_y = (y as f32 + flow.v[at]).clamp(0.0, (height - 1) as f32);
                    let there = Place::new(there_x, there_y, width, height).of(&before.pixels);
                    cell.add(f64::from(now.pixels[at]), f64::from(there));
                }
            }
            let (variance, explained) = cell.explained();
            all += variance;
            left_over += variance - explained;
        }
    }
    (all > 0.0).then(|| left_over / all)
}

/// Sums over one cell of two pictures a and b.
#[derive(Default)]
struct Moments {
    count: f64,
    a: f64,
    b: f64,
    aa: f64,
    ab: f64,
    bb: f64,
}

impl Moments {
    fn add(&mut self, a: f64, b: f64) {
        self.count += 1.0;
        self.a += a;
        self.b += b;
        self.aa += a * a;
        self.ab += a * b;
        self.bb += b * b;
    }

    /// The variance of the first picture beyond noise, and how much of it the second explains.
    fn explained(&self) -> (f64, f64) {
        let moment = |ab: f64, a: f64, b: f64| (ab - a * b / self.count) / self.count;
        let variance = (moment(self.aa, self.a, self.a) - f64::from(CELL_NOISE)).max(0.0);
        let other = moment(self.bb, self.b, self.b).max(1e-3);
        let common = moment(self.ab, self.a, self.b).max(0.0);
        (variance, (common * common / other).min(variance))
    }
}
