// SPDX-License-Identifier: MIT OR Apache-2.0

//! Figures of a painted clip, computed from its 8-bit frames alone.
//!
//! - **Warping error** (Lai et al. 2018, "Learning Blind Video Temporal Consistency"): with f the flow from frame t to
//!   frame t + k and M how sure it is that a pixel of frame t is seen there,
//!   E = Σ M · ⅓ ‖O[t+k](x + f) − O[t]‖² / Σ M, for RGB on the 0..1 scale: the mean over the pixels that count, of the
//!   mean over the channels. (Ruder et al. divide by all pixels.) O[t+k] is looked at by the Catmull-Rom cubic.
//! - **Drift**: how the mean and the spread (standard deviation) of the luma (BT.601) change from the first frames to
//!   the last beyond what the input does.
//! - **High-frequency energy**: the mean square of the luma less its 3×3 binomial blur. A painting that is warped again
//!   and again may go soft (it falls) or collect speckle (it rises).
#![allow(dead_code, reason = "tests include this file, too, and use their part")]

use neuralstyle::motion::Flow;
use neuralstyle::picture::LUMA;
use neuralstyle::stylizer::Frame;

/// The warping error from `now` to `then`, or `None` if no pixel counts. `mask` [H, W] is 0..1.
pub fn warping_error(now: &Frame, then: &Frame, flow: &Flow, mask: &[f32]) -> Option<f64> {
    let width = now.width();
    let (mut sum, mut count) = (0.0, 0.0);
    for (at, pixel) in now.rgb().chunks_exact(3).enumerate() {
        let weight = f64::from(mask[at]);
        if weight == 0.0 {
            continue;
        }
        let (x, y) = ((at % width) as f32, (at / width) as f32);
        let there = colour_at(then, x + flow.u[at], y + flow.v[at]);
        let squared = |(now, then): (&u8, f32)| f64::from((then - f32::from(*now)) / 255.0).powi(2);
        sum += weight * pixel.iter().zip(there).map(squared).sum::<f64>() / 3.0;
        count += weight;
    }
    (count > 0.0).then(|| sum / count)
}

/// The colour at a place between pixels, in steps of a byte; the border's pixels go on beyond the border.
fn colour_at(frame: &Frame, x: f32, y: f32) -> [f32; 3] {
    let (columns, across) = taps(x, frame.width());
    let (rows, down) = taps(y, frame.height());
    let mut colour = [0.0; 3];
    for (row, down) in rows.iter().zip(down) {
        for (column, across) in columns.iter().zip(across) {
            let pixel = &frame.rgb()[(row * frame.width() + column) * 3..][..3];
            for (sum, value) in colour.iter_mut().zip(pixel) {
                *sum += down * across * f32::from(*value);
            }
        }
    }
    colour
}

/// Four samples about a place and their weights by the Catmull-Rom cubic.
fn taps(at: f32, length: usize) -> ([usize; 4], [f32; 4]) {
    let floor = at.floor();
    let t = at - floor;
    let last = length as isize - 1;
    let index = |offset: isize| (floor as isize).saturating_add(offset).clamp(0, last) as usize;
    let weights = [
        ((-0.5 * t + 1.0) * t - 0.5) * t,
        (1.5 * t - 2.5) * t * t + 1.0,
        ((-1.5 * t + 2.0) * t + 0.5) * t,
        (0.5 * t - 0.5) * t * t,
    ];
    ([index(-1), index(0), index(1), index(2)], weights)
}

/// A flow, and how far it can be trusted, [H, W], 0..1.
#[derive(Clone, Debug)]
pub struct Trusted {
    pub flow: Flow,
    pub trust: Vec<f32>,
}

impl Trusted {
    /// Everything stays where it is.
    pub fn still(width: usize, height: usize) -> Self {
        Self {
            flow: Flow::new(width, height),
            trust: vec![1.0; width * height],
        }
    }

    /// This flow, and then `next` from where it leads. Where it leads out of the frame there is no trust.
    pub fn then(&self, next: &Trusted) -> Self {
        let (width, height) = (self.flow.width, self.flow.height);
        let (right, bottom) = ((width - 1) as f32, (height - 1) as f32);
        let mut both = self.clone();
        for at in 0..width * height {
            let (x, y) = ((at % width) as f32, (at / width) as f32);
            let (there_x, there_y) = (x + self.flow.u[at], y + self.flow.v[at]);
            let inside =
                there_x >= -0.5 && there_x <= right + 0.5 && there_y >= -0.5 && there_y <= bottom + 0.5;
            let (place_x, place_y) = (there_x.clamp(0.0, right), there_y.clamp(0.0, bottom));
            let look = |plane: &[f32]| bilinear(plane, width, height, place_x, place_y);
            both.flow.u[at] += look(&next.flow.u);
            both.flow.v[at] += look(&next.flow.v);
            both.trust[at] *= if inside { look(&next.trust) } else { 0.0 };
        }
        both
    }
}

fn bilinear(plane: &[f32], width: usize, height: usize, x: f32, y: f32) -> f32 {
    let (column, row) = (x as usize, y as usize);
    let (next, below) = ((column + 1).min(width - 1), (row + 1).min(height - 1));
    let (across, down) = (x - column as f32, y - row as f32);
    let of_row = |row: usize| {
        let [near, far] = [plane[row * width + column], plane[row * width + next]];
        near + across * (far - near)
    };
    of_row(row) + down * (of_row(below) - of_row(row))
}

/// The luma of a frame, [H, W], on the 0..1 scale.
fn luma(frame: &Frame) -> Vec<f64> {
    let of = |pixel: &[u8]| (0..3).map(|c| LUMA[c] * f64::from(pixel[c])).sum::<f64>() / 255.0;
    frame.rgb().chunks_exact(3).map(of).collect()
}

/// What one frame looks like as a whole.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Look {
    /// Mean luma, 0..1.
    pub brightness: f64,
    /// Standard deviation of the luma.
    pub spread: f64,
    pub high_frequencies: f64,
}

impl Look {
    pub fn of(frame: &Frame) -> Self {
        let (width, height) = (frame.width(), frame.height());
        let luma = luma(frame);
        let brightness = mean(luma.iter().copied());
        let variance = mean(luma.iter().map(|value| (value - brightness).powi(2)));
        let rows = (0..luma.len()).map(|at| {
            let (x, y) = (at % width, at / width);
            let (left, right) = (x.saturating_sub(1), (x + 1).min(width - 1));
            let (above, below) = (y.saturating_sub(1), (y + 1).min(height - 1));
            let row = |y: usize| {
                let row = &luma[y * width..][..width];
                0.25 * (row[left] + row[right]) + 0.5 * row[x]
            };
            let blurred = 0.25 * (row(above) + row(below)) + 0.5 * row(y);
            (luma[at] - blurred).powi(2)
        });
        Self {
            brightness,
            spread: variance.sqrt(),
            high_frequencies: mean(rows),
        }
    }
}

/// How many frames at each end of a clip are compared for a drift.
pub const ENDS: usize = 10;

/// By how much ‘figure’ of `ours` less that of the input changes from the clip's first frames to its last, as a share
/// of its value in ours at first.
pub fn drift(ours: &[Look], input: &[Look], figure: impl Fn(&Look) -> f64) -> f64 {
    let ends = ENDS.min(ours.len());
    let late = ours.len() - ends;
    let beyond = |at: usize| figure(&ours[at]) - figure(&input[at]);
    let change = mean((late..ours.len()).map(beyond)) - mean((0..ends).map(beyond));
    change / mean(ours[..ends].iter().map(&figure))
}

/// The mean absolute difference of two frames, in steps of a byte.
pub fn change(before: &Frame, now: &Frame) -> f64 {
    let pairs = before.rgb().iter().zip(now.rgb());
    mean(pairs.map(|(before, now)| f64::from(before.abs_diff(*now))))
}

/// The mean of some numbers; not a number if there are none.
pub fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    sum / count
}
