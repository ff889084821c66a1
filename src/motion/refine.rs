// SPDX-License-Identifier: MIT OR Apache-2.0

//! Variational refinement: the flow that explains the pictures and is smooth where it can be (Brox, Bruhn, Papenberg
//! and Weickert 2004, as in Kroeger et al. 2016, section 2.3). Minimised is, with Ψ(s²) = √(s² + ε²),
//!
//! ```text
//! Σ  δ Ψ(difference of the brightness, in pixels)  +  γ Ψ(difference of its derivatives, in pixels)
//!  + α Ψ(|∇u − s|² + |∇v − t|²)
//! ```
//!
//! where a difference divided by the length of its own gradient is one in pixels (Zimmer, Bruhn and Weickert 2011), and (s, t)
//! is the [slope](super::slope) that the picture's motion has as a whole: without it, flats would stand still while a camera
//! nears or turns. At the picture's edge a gradient is half of the difference to the one neighbour there.

use super::flow::Flow;
use super::pyramid::{MARGIN, PyramidLevel};
use super::slope::Slope;
use crate::backend::flow::{BRIGHTNESS, DERIVATIVES, FLAT, MOST_GAIN, OVER_RELAXATION, ROUND, SMOOTHNESS};

/// Planes of a level that the refinement needs. All have a border of one pixel, so that neighbours are always there.
#[derive(Debug, Default)]
pub struct Refine {
    width: usize,
    height: usize,
    /// Mean of the two pictures, and how the second differs from the first where the flow leads.
    mean: Vec<f32>,
    change: Vec<f32>,
    /// Derivatives of the mean.
    dx: Vec<f32>,
    dy: Vec<f32>,
    /// The pixels' equations: xx u + xy v = x and xy u + yy v = y.
    xx: Vec<f32>,
    xy: Vec<f32>,
    yy: Vec<f32>,
    x: Vec<f32>,
    y: Vec<f32>,
    /// How strongly a pixel is tied to its neighbours; to the right one; to the one below.
    ties: Vec<f32>,
    right: Vec<f32>,
    down: Vec<f32>,
    u: Vec<f32>,
    v: Vec<f32>,
    /// A row of solutions.
    solved_u: Vec<f32>,
    solved_v: Vec<f32>,
    /// [`OVER_RELAXATION`] and 0 in turn.
    every_other: Vec<f32>,
}

impl Refine {
    /// Improves `flow`, which leads from `from` to `to`: `rounds` times, each with `sweeps` over the pixels.
    pub fn improve(
        &mut self,
        from: &PyramidLevel,
        to: &PyramidLevel,
        rounds: usize,
        sweeps: usize,
        flow: &mut Flow,
    ) {
        self.resize(from.width, from.height);
        let slope = Slope::of(flow, |x, y| from.structure(x, y));
        let (width, stride) = (self.width, self.width + 2);
        for y in 0..self.height {
            let at = (y + 1) * stride + 1;
            self.u[at..at + width].copy_from_slice(&flow.u[y * width..][..width]);
            self.v[at..at + width].copy_from_slice(&flow.v[y * width..][..width]);
        }
        for _ in 0..rounds {
            self.warp(to);
            self.match_light(from);
            self.differentiate();
            self.write_equations();
            self.tie_neighbours(slope);
            for _ in 0..sweeps {
                // The pixels whose x + y is even, then the others: no pixel's neighbours change while it does.
                for odd in 0..2 {
                    for y in 0..self.height {
                        self.sweep_row(y, (y + odd) % 2, slope);
                    }
                }
            }
        }
        for y in 0..self.height {
            let at = (y + 1) * stride + 1;
            flow.u[y * width..][..width].copy_from_slice(&self.u[at..at + width]);
            flow.v[y * width..][..width].copy_from_slice(&self.v[at..at + width]);
        }
    }

    fn resize(&mut self, width: usize, height: usize) {
        if (self.width, self.height) == (width, height) {
            return;
        }
        (self.width, self.height) = (width, height);
        let planes = [
            &mut self.mean,
            &mut self.change,
            &mut self.dx,
            &mut self.dy,
            &mut self.xx,
            &mut self.xy,
            &mut self.yy,
            &mut self.x,
            &mut self.y,
            &mut self.ties,
            &mut self.right,
            &mut self.down,
            &mut self.u,
            &mut self.v,
        ];
        for plane in planes {
            plane.clear();
            plane.resize((width + 2) * (height + 2), 0.0);
        }
        self.solved_u.resize(width, 0.0);
        self.solved_v.resize(width, 0.0);
        self.every_other = (0..=width)
            .map(|x| if x.is_multiple_of(2) { OVER_RELAXATION } else { 0.0 })
            .collect();
    }

    /// Looks at `to` where the flow leads, into `mean`.
    fn warp(&mut self, to: &PyramidLevel) {
        let (width, stride) = (self.width, self.width + 2);
        let reach = MARGIN as f32 - 1.0;
        let last_x = (width - 1) as f32 + 2.0 * reach;
        let last_y = (self.height - 1) as f32 + 2.0 * reach;
        for y in 0..self.height {
            let at = (y + 1) * stride + 1;
            let (u, v) = (&self.u[at..at + width], &self.v[at..at + width]);
            let there = &mut self.mean[at..at + width];
            for x in 0..width {
                // Counted from the pixel (1, 1) of the margin, so that truncation is as good as floor.
                let there_x = (x as f32 + u[x] + reach).max(0.0).min(last_x);
                let there_y = (y as f32 + v[x] + reach).max(0.0).min(last_y);
                let (column, row) = (there_x as usize, there_y as usize);
                let (right, down) = (there_x - column as f32, there_y - row as f32);
                let at = (row + 1) * to.stride + column + 1;
                let (above, below) = (&to.pixels[at..at + 2], &to.pixels[at + to.stride..][..2]);
                let above = above[0] + right * (above[1] - above[0]);
                let below = below[0] + right * (below[1] - below[0]);
                there[x] = above + down * (below - above);
            }
        }
    }

    /// Gives what was looked at the brightness and contrast of `from`, and compares the two.
    fn match_light(&mut self, from: &PyramidLevel) {
        let (width, stride) = (self.width, self.width + 2);
        let mut light = Light::default();
        for y in 0..self.height {
            let at = (y + 1) * stride + 1;
            light.add(
                &from.row(y as isize)[MARGIN..][..width],
                &self.mean[at..at + width],
            );
        }
        let (gain, lift) = light.gain_and_lift();
        for y in 0..self.height {
            let at = (y + 1) * stride + 1;
            let here = &from.row(y as isize)[MARGIN..][..width];
            let (mean, change) = (&mut self.mean[at..at + width], &mut self.change[at..at + width]);
            for ((mean, change), here) in mean.iter_mut().zip(change).zip(here) {
                let there = gain * *mean + lift;
                *mean = 0.5 * (here + there);
                *change = there - here;
            }
        }
        repeat_border(&mut self.mean, width, self.height);
        repeat_border(&mut self.change, width, self.height);
    }

    fn differentiate(&mut self) {
        let (width, stride) = (self.width, self.width + 2);
        for y in 0..self.height {
            let at = (y + 1) * stride + 1;
            derivatives(
                Rows::around(&self.mean, y, stride),
                &mut self.dx[at..at + width],
                &mut self.dy[at..at + width],
            );
        }
        repeat_border(&mut self.dx, width, self.height);
        repeat_border(&mut self.dy, width, self.height);
    }

    fn write_equations(&mut self) {
        let (width, stride) = (self.width, self.width + 2);
        for y in 0..self.height {
            let row = (y + 1) * stride + 1..(y + 1) * stride + 1 + width;
            equations(
                Rows::around(&self.dx, y, stride),
                Rows::around(&self.dy, y, stride),
                Rows::around(&self.change, y, stride),
                [&self.u[row.clone()], &self.v[row.clone()]],
                Equations {
                    xx: &mut self.xx[row.clone()],
                    xy: &mut self.xy[row.clone()],
                    yy: &mut self.yy[row.clone()],
                    x: &mut self.x[row.clone()],
                    y: &mut self.y[row],
                },
            );
        }
    }

    /// Weak where the flow changes: that is what keeps edges.
    fn tie_neighbours(&mut self, slope: Slope) {
        let (width, stride) = (self.width, self.width + 2);
        repeat_border(&mut self.u, width, self.height);
        repeat_border(&mut self.v, width, self.height);
        for y in 0..self.height {
            let at = (y + 1) * stride + 1;
            diffusivity(
                Rows::around(&self.u, y, stride),
                Rows::around(&self.v, y, stride),
                slope,
                &mut self.ties[at..at + width],
            );
        }
        for y in 0..self.height {
            let at = (y + 1) * stride + 1;
            halfway(
                &self.ties[at..at + width],
                &self.ties[at + 1..at + 1 + width],
                &mut self.right[at..at + width],
            );
            // Nothing is tied to what lies beyond the border.
            self.right[at + width - 1] = 0.0;
            if y + 1 < self.height {
                halfway(
                    &self.ties[at..at + width],
                    &self.ties[at + stride..at + stride + width],
                    &mut self.down[at..at + width],
                );
            }
        }
    }

    /// Solves the equations of every other pixel of a row, from `first` on, with what is known of their neighbours.
    fn sweep_row(&mut self, y: usize, first: usize, slope: Slope) {
        let (width, stride) = (self.width, self.width + 2);
        let row = (y + 1) * stride + 1..(y + 1) * stride + 1 + width;
        solve(
            Rows::around(&self.u, y, stride),
            Rows::around(&self.v, y, stride),
            Ties {
                left: &self.right[row.start - 1..row.end - 1],
                right: &self.right[row.clone()],
                up: &self.down[row.start - stride..row.end - stride],
                down: &self.down[row.clone()],
            },
            [&self.xx, &self.xy, &self.yy, &self.x, &self.y].map(|plane| &plane[row.clone()]),
            slope,
            &mut self.solved_u,
            &mut self.solved_v,
        );
        let shares = &self.every_other[first..first + width];
        relax(&mut self.u[row.clone()], &self.solved_u, shares);
        relax(&mut self.v[row], &self.solved_v, shares);
    }
}

/// Sums over two pictures that show the same in another light.
#[derive(Default)]
struct Light {
    count: f64,
    a: f64,
    b: f64,
    aa: f64,
    bb: f64,
}

impl Light {
    fn add(&mut self, a: &[f32], b: &[f32]) {
        // In lanes, which add up faster than a single sum; a row is short enough for f32.
        let mut lanes = [[0.0f32; 8]; 4];
        let (mut rows_a, mut rows_b) = (a.chunks_exact(8), b.chunks_exact(8));
        for (a, b) in (&mut rows_a).zip(&mut rows_b) {
            for i in 0..8 {
                lanes[0][i] += a[i];
                lanes[1][i] += b[i];
                lanes[2][i] += a[i] * a[i];
                lanes[3][i] += b[i] * b[i];
            }
        }
        for (a, b) in rows_a.remainder().iter().zip(rows_b.remainder()) {
            lanes[0][0] += a;
            lanes[1][0] += b;
            lanes[2][0] += a * a;
            lanes[3][0] += b * b;
        }
        let [sa, sb, saa, sbb] = lanes.map(|lane| f64::from(lane.iter().sum::<f32>()));
        self.count += a.len() as f64;
        self.a += sa;
        self.b += sb;
        self.aa += saa;
        self.bb += sbb;
    }

    /// What makes the second picture's mean and spread those of the first: gain · b + lift. The ratio of the spreads
    /// and not the slope of b against a, which a flow that is not right yet would make too small.
    fn gain_and_lift(&self) -> (f32, f32) {
        let variance = |sum: f64, squares: f64| (squares - sum * sum / self.count) / self.count;
        let (a, b) = (
            variance(self.a, self.aa).max(1.0),
            variance(self.b, self.bb).max(1.0),
        );
        let most = f64::from(MOST_GAIN);
        let gain = (a / b).sqrt().clamp(1.0 / most, most);
        (gain as f32, ((self.a - gain * self.b) / self.count) as f32)
    }
}

/// A row of a plane with the rows beside it and a pixel more at each end.
#[derive(Clone, Copy)]
struct Rows<'a> {
    above: &'a [f32],
    here: &'a [f32],
    below: &'a [f32],
}

impl<'a> Rows<'a> {
    fn around(plane: &'a [f32], y: usize, stride: usize) -> Self {
        Self {
            above: &plane[y * stride..][..stride],
            here: &plane[(y + 1) * stride..][..stride],
            below: &plane[(y + 2) * stride..][..stride],
        }
    }

    /// Cut to what `width` pixels need, so that the compiler knows it too.
    #[inline(always)]
    fn cut(self, width: usize) -> Self {
        Self {
            above: &self.above[..width + 2],
            here: &self.here[..width + 2],
            below: &self.below[..width + 2],
        }
    }

    #[inline(always)]
    fn dx(self, x: usize) -> f32 {
        0.5 * (self.here[x + 2] - self.here[x])
    }

    #[inline(always)]
    fn dy(self, x: usize) -> f32 {
        0.5 * (self.below[x + 1] - self.above[x + 1])
    }
}

// The loops over a row are functions of their own: only of its arguments does the compiler know that they do not
// overlap, and so may be vectors.

#[inline(never)]
fn derivatives(of: Rows, dx: &mut [f32], dy: &mut [f32]) {
    let width = dx.len();
    let (of, dy) = (of.cut(width), &mut dy[..width]);
    for x in 0..width {
        dx[x] = of.dx(x);
        dy[x] = of.dy(x);
    }
}

/// One row of the planes of [`Refine`], whose fields explain them.
struct Equations<'a> {
    xx: &'a mut [f32],
    xy: &'a mut [f32],
    yy: &'a mut [f32],
    x: &'a mut [f32],
    y: &'a mut [f32],
}

/// What the data say about u and v, linearised about what they are now.
#[inline(never)]
fn equations(dx: Rows, dy: Rows, change: Rows, [u, v]: [&[f32]; 2], out: Equations) {
    let width = u.len();
    let (dx, dy, change, v) = (dx.cut(width), dy.cut(width), change.cut(width), &v[..width]);
    let Equations { xx, xy, yy, x, y } = out;
    let (xx, xy, yy) = (&mut xx[..width], &mut xy[..width], &mut yy[..width]);
    let (x, y) = (&mut x[..width], &mut y[..width]);
    for i in 0..width {
        let (ix, iy, it) = (dx.here[i + 1], dy.here[i + 1], change.here[i + 1]);
        let (ixx, ixy, iyy) = (dx.dx(i), dx.dy(i), dy.dy(i));
        let (ixt, iyt) = (change.dx(i), change.dy(i));
        let brightness = 1.0 / (ix * ix + iy * iy + FLAT);
        let across = 1.0 / (ixx * ixx + ixy * ixy + FLAT);
        let upright = 1.0 / (ixy * ixy + iyy * iyy + FLAT);
        let b = BRIGHTNESS * brightness / (it * it * brightness + ROUND).sqrt();
        let derivatives = DERIVATIVES / (ixt * ixt * across + iyt * iyt * upright + ROUND).sqrt();
        let (c, d) = (derivatives * across, derivatives * upright);
        xx[i] = b * ix * ix + c * ixx * ixx + d * ixy * ixy;
        xy[i] = b * ix * iy + c * ixx * ixy + d * ixy * iyy;
        yy[i] = b * iy * iy + c * ixy * ixy + d * iyy * iyy;
        let sx = b * ix * it + c * ixx * ixt + d * ixy * iyt;
        let sy = b * iy * it + c * ixy * ixt + d * iyy * iyt;
        x[i] = xx[i] * u[i] + xy[i] * v[i] - sx;
        y[i] = xy[i] * u[i] + yy[i] * v[i] - sy;
    }
}

#[inline(never)]
fn diffusivity(u: Rows, v: Rows, slope: Slope, ties: &mut [f32]) {
    let width = ties.len();
    let (u, v) = (u.cut(width), v.cut(width));
    for (x, tie) in ties.iter_mut().enumerate() {
        let (ux, uy) = (u.dx(x) - slope.u[0], u.dy(x) - slope.u[1]);
        let (vx, vy) = (v.dx(x) - slope.v[0], v.dy(x) - slope.v[1]);
        *tie = SMOOTHNESS / (ux * ux + uy * uy + vx * vx + vy * vy + ROUND).sqrt();
    }
}

#[inline(never)]
fn halfway(a: &[f32], b: &[f32], out: &mut [f32]) {
    for ((out, a), b) in out.iter_mut().zip(a).zip(b) {
        *out = 0.5 * (a + b);
    }
}

/// How strongly each pixel of a row is tied to its neighbours.
struct Ties<'a> {
    left: &'a [f32],
    right: &'a [f32],
    up: &'a [f32],
    down: &'a [f32],
}

#[inline(never)]
fn solve(
    u: Rows,
    v: Rows,
    ties: Ties,
    equations: [&[f32]; 5],
    slope: Slope,
    solved_u: &mut [f32],
    solved_v: &mut [f32],
) {
    let width = solved_u.len();
    let (u, v, solved_v) = (u.cut(width), v.cut(width), &mut solved_v[..width]);
    let [xx, xy, yy, x, y] = equations.map(|plane| &plane[..width]);
    let (left, right) = (&ties.left[..width], &ties.right[..width]);
    let (up, down) = (&ties.up[..width], &ties.down[..width]);
    for i in 0..width {
        let (l, r, a, b) = (left[i], right[i], up[i], down[i]);
        let around = |f: Rows, [right, down]: [f32; 2]| {
            l * (f.here[i] + right)
                + r * (f.here[i + 2] - right)
                + a * (f.above[i + 1] + down)
                + b * (f.below[i + 1] - down)
        };
        let all = l + r + a + b;
        let (x, y) = (x[i] + around(u, slope.u), y[i] + around(v, slope.v));
        // A pixel without neighbours and data stays finite, and stands still.
        let (xx, yy) = (xx[i] + all + 1e-6, yy[i] + all + 1e-6);
        let determinant = 1.0 / (xx * yy - xy[i] * xy[i]);
        solved_u[i] = (yy * x - xy[i] * y) * determinant;
        solved_v[i] = (xx * y - xy[i] * x) * determinant;
    }
}

/// Goes `shares` of the way to what was solved.
#[inline(never)]
fn relax(values: &mut [f32], solved: &[f32], shares: &[f32]) {
    for ((value, solved), share) in values.iter_mut().zip(solved).zip(shares) {
        *value += share * (solved - *value);
    }
}

/// Gives a plane's border the values of the pixels beside it.
fn repeat_border(plane: &mut [f32], width: usize, height: usize) {
    let stride = width + 2;
    for row in plane[stride..(height + 1) * stride].chunks_exact_mut(stride) {
        row[0] = row[1];
        row[width + 1] = row[width];
    }
    plane.copy_within(stride..2 * stride, 0);
    plane.copy_within(height * stride..(height + 1) * stride, (height + 1) * stride);
}
