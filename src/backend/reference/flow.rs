// SPDX-License-Identifier: MIT OR Apache-2.0

//! The steps of optical flow, see [`FlowSteps`].

use super::patch::{Patch, begins, candidates, pixels};
use super::sampling::{across, between, clamped, down};
use super::{Reference, Tensor, positions};
use crate::backend::flow::{self, Equations, FlowSteps, SIDE, Search, halved};
use crate::backend::{Result, Shape};

/// |∇u|² + |∇v|².
fn squared_gradient(flow: &Tensor, way: usize, y: isize, x: isize) -> f64 {
    (2 * way..2 * way + 2)
        .map(|plane| across(flow, plane, y, x).powi(2) + down(flow, plane, y, x).powi(2))
        .sum()
}

/// The other picture where the flow leads from a pixel, and whether that is more than half a pixel beyond its edge.
fn led_to(pictures: &Tensor, flow: &Tensor, y: usize, x: usize) -> (f64, bool) {
    let (there_x, there_y) = (x as f64 + flow.at(0, y, x), y as f64 + flow.at(1, y, x));
    let inside_x = there_x.clamp(0.0, (pictures.shape.width - 1) as f64);
    let inside_y = there_y.clamp(0.0, (pictures.shape.height - 1) as f64);
    let beyond = (there_x - inside_x).abs().max((there_y - inside_y).abs());
    (between(pictures, 1, inside_y, inside_x), beyond > 0.5)
}

impl FlowSteps for Reference {
    fn halve(&mut self, from: &Tensor, to: &mut Tensor) -> Result<()> {
        self.poll()?;
        assert_eq!(to.shape, halved(from.shape));
        const WEIGHTS: [f64; 4] = [0.125, 0.375, 0.375, 0.125];
        for (c, y, x) in positions(to.shape) {
            let mut sum = 0.0;
            for (j, below) in WEIGHTS.iter().enumerate() {
                for (i, beside) in WEIGHTS.iter().enumerate() {
                    let (y, x) = (2 * y + j, 2 * x + i);
                    sum += below * beside * clamped(from, c, y as isize - 1, x as isize - 1);
                }
            }
            to.set(c, y, x, sum);
        }
        Ok(())
    }

    fn noise(&mut self, pictures: &Tensor, _scratch: &mut Tensor, noise: &mut Tensor) -> Result<()> {
        self.poll()?;
        let Shape { height, width, .. } = pictures.shape;
        for picture in 0..2 {
            let bend = |y: isize, x: isize| {
                let at = |x| clamped(pictures, picture, y, x);
                at(x - 1) - 2.0 * at(x) + at(x + 1)
            };
            let mut responses = Vec::new();
            for y in (0..height as isize).step_by(4) {
                responses.extend(
                    (0..width as isize).map(|x| (bend(y - 1, x) - 2.0 * bend(y, x) + bend(y + 1, x)).abs()),
                );
            }
            responses.sort_by(f64::total_cmp);
            let median = responses[responses.len() / 2];
            noise.values[picture] = (median / (6.0 * 0.6745)).powi(2);
        }
        Ok(())
    }

    fn enlarge_flow(&mut self, half: &Tensor, to: &mut Tensor) -> Result<()> {
        self.poll()?;
        assert_eq!(half.shape, halved(to.shape));
        for (c, y, x) in positions(to.shape) {
            let near = |at: usize| (at / 2) as isize;
            let far = |at: usize| near(at) + if at.is_multiple_of(2) { -1 } else { 1 };
            let row =
                |row: isize| 0.75 * clamped(half, c, row, near(x)) + 0.25 * clamped(half, c, row, far(x));
            to.set(c, y, x, 2.0 * (0.75 * row(near(y)) + 0.25 * row(far(y))));
        }
        Ok(())
    }

    fn search(&mut self, search: Search<Tensor>, patches: &mut Tensor, means: &mut Tensor) -> Result<()> {
        self.poll()?;
        let Shape { height, width, .. } = search.pictures.shape;
        assert_eq!(Some(patches.shape), flow::patches(search.pictures.shape));
        let noise = search.noise.values[0].max(search.noise.values[1]);
        let way =
            f64::from(flow::WAY) + f64::from(flow::WAY_PER_NOISE) * noise * f64::from(search.noise_share);
        for (of, row, column) in positions(means.shape) {
            let (x, y) = (begins(column, width), begins(row, height));
            let middle = (x + SIDE / 2, y + SIDE / 2);
            let start = [0, 1].map(|i| search.flow.at(2 * of + i, middle.1, middle.0));
            let patch = Patch::new(search.pictures, of, (x, y), start, way);
            let best = patch.best(&candidates(&search, of, (row, column), middle));
            let found = patch.descend(best);
            patches.set(2 * of, row, column, found.flow[0]);
            patches.set(2 * of + 1, row, column, found.flow[1]);
            means.set(of, row, column, found.mean);
        }
        Ok(())
    }

    fn densify(
        &mut self,
        pictures: &Tensor,
        patches: &Tensor,
        means: &Tensor,
        flow: &mut Tensor,
    ) -> Result<()> {
        self.poll()?;
        let Shape { height, width, .. } = pictures.shape;
        let mut weights = Tensor {
            shape: pictures.shape,
            values: vec![0.0; pictures.shape.elements()],
        };
        flow.values.fill(0.0);
        for (of, row, column) in positions(means.shape) {
            let (left, top) = (begins(column, width), begins(row, height));
            let [u, v] = [0, 1].map(|i| patches.at(2 * of + i, row, column));
            for (row_in, column_in) in pixels() {
                let (y, x) = (top + row_in, left + column_in);
                let there = between(pictures, 1 - of, y as f64 + v, x as f64 + u);
                let difference = there - pictures.at(of, y, x) - means.at(of, row, column);
                let weight = 1.0 / difference.abs().max(1.0);
                flow.set(2 * of, y, x, flow.at(2 * of, y, x) + weight * u);
                flow.set(2 * of + 1, y, x, flow.at(2 * of + 1, y, x) + weight * v);
                weights.set(of, y, x, weights.at(of, y, x) + weight);
            }
        }
        for (c, y, x) in positions(flow.shape) {
            flow.set(c, y, x, flow.at(c, y, x) / weights.at(c / 2, y, x));
        }
        Ok(())
    }

    fn linearise(
        &mut self,
        pictures: &Tensor,
        flow: &Tensor,
        there: &mut Tensor,
        light: &mut Tensor,
        slopes: &Tensor,
        equations: &mut Equations<Tensor>,
    ) -> Result<()> {
        self.poll()?;
        let shape = pictures.shape;
        let reach = flow::REACH as f64;
        let kept = |at: f64, length: usize| at.clamp(-reach, (length - 1) as f64 + reach);
        for (way, y, x) in positions(shape) {
            let there_x = kept(x as f64 + flow.at(2 * way, y, x), shape.width);
            let there_y = kept(y as f64 + flow.at(2 * way + 1, y, x), shape.height);
            there.set(way, y, x, between(pictures, 1 - way, there_y, there_x));
        }
        let planes = || Tensor {
            shape,
            values: vec![0.0; shape.elements()],
        };
        let (mut mean, mut change) = (planes(), planes());
        for way in 0..2 {
            let (gain, lift) = gain_and_lift(pictures, there, way);
            (light.values[2 * way], light.values[2 * way + 1]) = (gain, lift);
            for (_, y, x) in positions(shape.with_channels(1)) {
                let (here, there) = (pictures.at(way, y, x), gain * there.at(way, y, x) + lift);
                mean.set(way, y, x, 0.5 * (here + there));
                change.set(way, y, x, there - here);
            }
        }
        let (mut dx, mut dy) = (planes(), planes());
        for (way, y, x) in positions(shape) {
            dx.set(way, y, x, across(&mean, way, y as isize, x as isize));
            dy.set(way, y, x, down(&mean, way, y as isize, x as isize));
        }
        let [delta, gamma, alpha] = [flow::BRIGHTNESS, flow::DERIVATIVES, flow::SMOOTHNESS].map(f64::from);
        let [round, flat] = [flow::ROUND, flow::FLAT].map(f64::from);
        for (way, y, x) in positions(shape) {
            let (row, column) = (y as isize, x as isize);
            let (ix, iy, it) = (dx.at(way, y, x), dy.at(way, y, x), change.at(way, y, x));
            let (ixx, ixy) = (across(&dx, way, row, column), down(&dx, way, row, column));
            let iyy = down(&dy, way, row, column);
            let (ixt, iyt) = (across(&change, way, row, column), down(&change, way, row, column));
            let brightness = 1.0 / (ix * ix + iy * iy + flat);
            let sideways = 1.0 / (ixx * ixx + ixy * ixy + flat);
            let upright = 1.0 / (ixy * ixy + iyy * iyy + flat);
            let b = delta * brightness / (it * it * brightness + round).sqrt();
            let robust = gamma / (ixt * ixt * sideways + iyt * iyt * upright + round).sqrt();
            let (c, d) = (robust * sideways, robust * upright);
            let xx = b * ix * ix + c * ixx * ixx + d * ixy * ixy;
            let xy = b * ix * iy + c * ixx * ixy + d * ixy * iyy;
            let yy = b * iy * iy + c * ixy * ixy + d * iyy * iyy;
            let sx = b * ix * it + c * ixx * ixt + d * ixy * iyt;
            let sy = b * iy * it + c * ixy * ixt + d * iyy * iyt;
            let (u, v) = (flow.at(2 * way, y, x), flow.at(2 * way + 1, y, x));
            equations.xx.set(way, y, x, xx);
            equations.xy.set(way, y, x, xy);
            equations.yy.set(way, y, x, yy);
            equations.x.set(way, y, x, xx * u + xy * v - sx);
            equations.y.set(way, y, x, xy * u + yy * v - sy);
            let [s, t] = slope_of(slopes, way);
            let beyond = |plane: usize, slope: [f64; 2]| {
                (across(flow, plane, row, column) - slope[0]).powi(2)
                    + (down(flow, plane, row, column) - slope[1]).powi(2)
            };
            let tie = alpha / (beyond(2 * way, s) + beyond(2 * way + 1, t) + round).sqrt();
            equations.ties.set(way, y, x, tie);
        }
        Ok(())
    }

    fn relax(&mut self, equations: &Equations<Tensor>, slopes: &Tensor, flow: &mut Tensor) -> Result<()> {
        self.poll()?;
        let shape = equations.xx.shape;
        for odd in [0, 1] {
            for (way, y, x) in positions(shape).filter(|(_, y, x)| (x + y) % 2 == odd) {
                let (mut all, mut around) = (0.0, [0.0; 2]);
                for (below, beside) in [(0, -1), (0, 1), (-1, 0), (1, 0)] {
                    let (row, column) = (y as isize + below, x as isize + beside);
                    if row < 0 || column < 0 || row >= shape.height as isize || column >= shape.width as isize
                    {
                        continue;
                    }
                    let (row, column) = (row as usize, column as usize);
                    let tie = 0.5 * (equations.ties.at(way, y, x) + equations.ties.at(way, row, column));
                    all += tie;
                    for (i, (around, slope)) in around.iter_mut().zip(slope_of(slopes, way)).enumerate() {
                        let gained = slope[0] * beside as f64 + slope[1] * below as f64;
                        *around += tie * (flow.at(2 * way + i, row, column) - gained);
                    }
                }
                // A pixel without neighbours and data stays finite, and stands still.
                let (xx, yy) = (
                    equations.xx.at(way, y, x) + all + 1e-6,
                    equations.yy.at(way, y, x) + all + 1e-6,
                );
                let xy = equations.xy.at(way, y, x);
                let (a, b) = (
                    equations.x.at(way, y, x) + around[0],
                    equations.y.at(way, y, x) + around[1],
                );
                let determinant = xx * yy - xy * xy;
                let solved = [(yy * a - xy * b) / determinant, (xx * b - xy * a) / determinant];
                for (i, solved) in solved.into_iter().enumerate() {
                    let value = flow.at(2 * way + i, y, x);
                    let value = value + f64::from(flow::OVER_RELAXATION) * (solved - value);
                    flow.set(2 * way + i, y, x, value);
                }
            }
        }
        Ok(())
    }

    fn consistency(&mut self, flow: &Tensor, trust: &mut Tensor) -> Result<()> {
        self.poll()?;
        let (right, bottom) = ((flow.shape.width - 1) as f64, (flow.shape.height - 1) as f64);
        for (c, y, x) in positions(trust.shape) {
            let (u, v) = (flow.at(0, y, x), flow.at(1, y, x));
            let (there_x, there_y) = (x as f64 + u, y as f64 + v);
            // Half a pixel beyond the border is seen by the border's pixels.
            let inside = (-0.5..=right + 0.5).contains(&there_x) && (-0.5..=bottom + 0.5).contains(&there_y);
            let (place_x, place_y) = (there_x.clamp(0.0, right), there_y.clamp(0.0, bottom));
            let [back_u, back_v] = [2, 3].map(|plane| between(flow, plane, place_y, place_x));
            let length = u * u + v * v;
            let lost = ((u + back_u).powi(2) + (v + back_v).powi(2))
                / (0.01 * (length + back_u * back_u + back_v * back_v) + 0.5);
            let edge =
                squared_gradient(flow, 0, y as isize, x as isize) / (0.01 * length + f64::from(flow::EDGE));
            // From 1 to 0 on the second half of the way to Ruder's limits, so that a mask does not flicker itself.
            let agrees = (2.0 - 2.0 * lost.max(edge)).clamp(0.0, 1.0);
            trust.set(c, y, x, if inside { agrees } else { 0.0 });
        }
        Ok(())
    }

    fn resemblance(
        &mut self,
        pictures: &Tensor,
        flow: &Tensor,
        trust: &Tensor,
        resemblance: &mut Tensor,
    ) -> Result<()> {
        self.poll()?;
        let Shape { height, width, .. } = pictures.shape;
        let difference = |y: usize, x: usize| {
            let (there, beyond) = led_to(pictures, flow, y, x);
            // Beyond the border there is nothing to be alike.
            (pictures.at(0, y, x) - there).abs() + if beyond { 255.0 } else { 0.0 }
        };
        for (c, y, x) in positions(trust.shape) {
            let rows = y.saturating_sub(1)..(y + 2).min(height);
            let columns = x.saturating_sub(1)..(x + 2).min(width);
            let count = (rows.len() * columns.len()) as f64;
            let sum: f64 = rows
                .flat_map(|row| columns.clone().map(move |column| (row, column)))
                .map(|(row, column)| difference(row, column))
                .sum();
            let (alike, unlike) = (f64::from(flow::ALIKE), f64::from(flow::UNLIKE));
            let alike = ((unlike - sum / count) / (unlike - alike)).clamp(0.0, 1.0);
            resemblance.set(c, y, x, trust.at(c, y, x).max(alike));
        }
        Ok(())
    }
}

/// What gives `there` the mean and the spread of the picture `way`: the ratio of the spreads and not the slope of the one
/// against the other, which a flow that is not right yet would make too small.
fn gain_and_lift(pictures: &Tensor, there: &Tensor, way: usize) -> (f64, f64) {
    let pixels = pictures.shape.pixels();
    let moments = |of: &Tensor| {
        let values = &of.values[way * pixels..][..pixels];
        let mean = values.iter().sum::<f64>() / pixels as f64;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / pixels as f64;
        (mean, variance.max(1.0))
    };
    let ((mean, variance), (other_mean, other_variance)) = (moments(pictures), moments(there));
    let most = f64::from(flow::MOST_GAIN);
    let gain = (variance / other_variance).sqrt().clamp(1.0 / most, most);
    (gain, mean - gain * other_mean)
}

/// What u and v of a direction gain from a pixel to the next one, to the right and downwards.
fn slope_of(slopes: &Tensor, way: usize) -> [[f64; 2]; 2] {
    [0, 1].map(|part| [0, 1].map(|axis| slopes.values[4 * way + 2 * part + axis]))
}
