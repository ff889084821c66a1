// SPDX-License-Identifier: MIT OR Apache-2.0

//! Elementwise passes and sums. Sums are taken in f64.

use rayon::prelude::*;

use super::layout::Layout;
use super::parallel::{PIECES, each, map_sum, piece, sum};

/// Lanes in which a sum is taken side by side, so that no addition waits for the one before.
const SIDE_BY_SIDE: usize = 16;

/// Σ `of`(index) over 0..`count`, in f64.
#[inline(always)]
fn sum_of(count: usize, mut of: impl FnMut(usize) -> f64) -> f64 {
    let mut lanes = [0.0; SIDE_BY_SIDE];
    let whole = count / SIDE_BY_SIDE * SIDE_BY_SIDE;
    for first in (0..whole).step_by(SIDE_BY_SIDE) {
        for (lane, sum) in lanes.iter_mut().enumerate() {
            *sum += of(first + lane);
        }
    }
    lanes.iter().sum::<f64>() + (whole..count).map(of).sum::<f64>()
}

#[inline(always)]
fn squared(value: f32) -> f64 {
    f64::from(value) * f64::from(value)
}

pub fn squared_norm(a: &[f32]) -> f64 {
    sum(a.len(), |range| {
        let a = &a[range];
        sum_of(a.len(), |index| squared(a[index]))
    })
}

pub fn squared_error(a: &[f32], target: &[f32], coefficient: f32, gradient: &mut [f32]) -> f64 {
    assert!(a.len() == target.len() && a.len() == gradient.len());
    map_sum(gradient, 1, |first, gradient| {
        let count = gradient.len();
        let (a, target) = (&a[first..][..count], &target[first..][..count]);
        sum_of(count, |index| {
            let error = a[index] - target[index];
            gradient[index] += coefficient * error;
            squared(error)
        })
    })
}

/// As `squared_error`, with a weight per pixel that all channels share.
pub fn weighted_squared_error(
    a: &[f32],
    target: &[f32],
    weight: &[f32],
    layout: Layout,
    coefficient: f32,
    gradient: &mut [f32],
) -> f64 {
    let (lanes, pixels) = (layout.lanes, layout.shape.pixels());
    assert!(a.len() == target.len() && a.len() == gradient.len() && weight.len() == pixels);
    map_sum(gradient, lanes, |first, gradient| {
        let mut total = 0.0;
        let mut done = 0;
        while done < gradient.len() {
            // As far as the plane reaches.
            let at = first + done;
            let pixel = at / lanes % pixels;
            let count = (gradient.len() - done).min((pixels - pixel) * lanes);
            let (a, target, weight) = (&a[at..][..count], &target[at..][..count], &weight[pixel..]);
            let gradient = &mut gradient[done..done + count];
            total += sum_of(count, |index| {
                let error = a[index] - target[index];
                let weighed = weight[index / lanes] * error;
                gradient[index] += coefficient * weighed;
                f64::from(weighed) * f64::from(error)
            });
            done += count;
        }
        total
    })
}

pub fn difference(g: &[f32], target: &[f32], difference: &mut [f32]) -> f64 {
    assert!(g.len() == target.len() && g.len() == difference.len());
    map_sum(difference, 1, |first, difference| {
        let count = difference.len();
        let (g, target) = (&g[first..][..count], &target[first..][..count]);
        sum_of(count, |index| {
            difference[index] = g[index] - target[index];
            squared(difference[index])
        })
    })
}

/// Σ of squared steps to the right and down; the gradient of each pixel gathers its four neighbours.
pub fn total_variation(x: &[f32], layout: Layout, coefficient: f32, gradient: &mut [f32]) -> f64 {
    let (height, lanes) = (layout.shape.height, layout.lanes);
    let row = layout.shape.width * lanes;
    assert!(x.len() == layout.stored() && x.len() == gradient.len());
    map_sum(gradient, row, |first, gradient| {
        let mut total = 0.0;
        for (line, gradient) in gradient.chunks_exact_mut(row).enumerate() {
            let at = first + line * row;
            let y = at / row % height;
            let here = &x[at..][..row];
            if y > 0 {
                let above = &x[at - row..][..row];
                for index in 0..row {
                    gradient[index] += 2.0 * coefficient * (here[index] - above[index]);
                }
            }
            if y + 1 < height {
                let below = &x[at + row..][..row];
                total += sum_of(row, |index| {
                    let step = below[index] - here[index];
                    gradient[index] -= 2.0 * coefficient * step;
                    squared(step)
                });
            }
            total += sum_of(row - lanes, |index| squared(here[index + lanes] - here[index]));
            for index in lanes..row {
                gradient[index] += 2.0 * coefficient * (here[index] - here[index - lanes]);
            }
            for index in 0..row - lanes {
                gradient[index] -= 2.0 * coefficient * (here[index + lanes] - here[index]);
            }
        }
        total
    })
}

pub fn copy(from: &[f32], to: &mut [f32]) {
    each(to, |first, to| to.copy_from_slice(&from[first..][..to.len()]));
}

pub fn square(from: &[f32], to: &mut [f32]) {
    each(to, |first, to| {
        for (to, from) in to.iter_mut().zip(&from[first..]) {
            *to = from * from;
        }
    });
}

pub fn axpy(factor: f32, x: &[f32], to: &mut [f32]) {
    assert_eq!(x.len(), to.len());
    each(to, |first, to| {
        for (to, x) in to.iter_mut().zip(&x[first..]) {
            *to += factor * x;
        }
    });
}

/// The 3×3 binomial kernel with repeated edges, a row of a plane at a time.
pub fn blur(from: &[f32], layout: Layout, to: &mut [f32]) {
    let (height, lanes) = (layout.shape.height, layout.lanes);
    let row = layout.shape.width * lanes;
    assert!(from.len() == layout.stored() && from.len() == to.len());
    // Some rows at a time, as one is not worth a thread's attention.
    let rows = (to.len() / row).div_ceil(PIECES);
    to.par_chunks_mut(row * rows)
        .enumerate()
        .for_each(|(piece, out)| {
            for (line, out) in out.chunks_exact_mut(row).enumerate() {
                let line = piece * rows + line;
                let (plane, y) = (line / height, line % height);
                let row_at = |y: usize| &from[(plane * height + y) * row..][..row];
                let (above, here, below) = (
                    row_at(y.saturating_sub(1)),
                    row_at(y),
                    row_at((y + 1).min(height - 1)),
                );
                let column = |x: usize| 0.25 * above[x] + 0.5 * here[x] + 0.25 * below[x];
                for x in 0..lanes.min(row) {
                    let end = row - lanes + x;
                    out[x] = 0.75 * column(x) + 0.25 * column((x + lanes).min(end));
                    out[end] = 0.75 * column(end) + 0.25 * column(end.saturating_sub(lanes).max(x));
                }
                for x in lanes..row.saturating_sub(lanes) {
                    out[x] = 0.25 * column(x - lanes) + 0.5 * column(x) + 0.25 * column(x + lanes);
                }
            }
        });
}

/// The numbers of an Adam step, see [`AdamKnobs`](crate::backend::AdamKnobs).
#[derive(Clone, Copy)]
pub struct Adam {
    pub rate: f32,
    pub root: f32,
    pub beta1: f32,
    pub beta2: f32,
    pub epsilon: f32,
}

pub fn adam(gradient: &[f32], squared: &[f32], m: &mut [f32], v: &mut [f32], knobs: Adam, step: &mut [f32]) {
    let count = step.len();
    assert!(gradient.len() == count && squared.len() == count && m.len() == count && v.len() == count);
    let size = piece(count);
    step.par_chunks_mut(size)
        .zip(m.par_chunks_mut(size))
        .zip(v.par_chunks_mut(size))
        .zip(gradient.par_chunks(size).zip(squared.par_chunks(size)))
        .for_each(|(((step, m), v), (gradient, squared))| {
            let numbers = step.iter_mut().zip(m).zip(v).zip(gradient).zip(squared);
            for ((((step, m), v), gradient), squared) in numbers {
                *m = knobs.beta1 * *m + (1.0 - knobs.beta1) * gradient;
                *v = knobs.beta2 * *v + (1.0 - knobs.beta2) * squared;
                *step = knobs.rate * *m / (v.sqrt() * knobs.root + knobs.epsilon);
            }
        });
}

pub fn sgd(gradient: &[f32], velocity: &mut [f32], rate: f32, momentum: f32, step: &mut [f32]) {
    assert!(step.len() == gradient.len() && step.len() == velocity.len());
    let size = piece(step.len());
    step.par_chunks_mut(size)
        .zip(velocity.par_chunks_mut(size))
        .zip(gradient.par_chunks(size))
        .for_each(|((step, velocity), gradient)| {
            for ((step, velocity), gradient) in step.iter_mut().zip(velocity).zip(gradient) {
                *velocity = momentum * *velocity + gradient;
                *step = rate * *velocity;
            }
        });
}

/// See [`Updates::descend`](crate::backend::Updates::descend); pictures are three planes.
pub fn descend(x: &mut [f32], step: &[f32], blurred: &[f32], axes: &[f32]) {
    let pixels = x.len() / 3;
    let axes: [[f32; 3]; 3] = std::array::from_fn(|c| std::array::from_fn(|k| axes[3 * c + k]));
    let size = piece(pixels);
    let (red, others) = x.split_at_mut(pixels);
    let (green, blue) = others.split_at_mut(pixels);
    red.par_chunks_mut(size)
        .zip(green.par_chunks_mut(size))
        .zip(blue.par_chunks_mut(size))
        .enumerate()
        .for_each(|(piece, ((red, green), blue))| {
            let first = piece * size;
            let [s0, s1, s2] = [0, 1, 2].map(|c| &step[c * pixels + first..][..red.len()]);
            let [b0, b1, b2] = [0, 1, 2].map(|c| &blurred[c * pixels + first..][..red.len()]);
            for pixel in 0..red.len() {
                let grey = (s0[pixel] + s1[pixel] + s2[pixel]) / 3.0;
                let coloured = (b0[pixel] + b1[pixel] + b2[pixel]) / 3.0;
                let moved = [b0, b1, b2].map(|b| grey + (b[pixel] - coloured));
                let way = |c: usize| axes[c][0] * moved[0] + axes[c][1] * moved[1] + axes[c][2] * moved[2];
                red[pixel] -= way(0);
                green[pixel] -= way(1);
                blue[pixel] -= way(2);
            }
        });
}
