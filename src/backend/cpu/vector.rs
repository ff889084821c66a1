// SPDX-License-Identifier: MIT OR Apache-2.0

//! Elementwise passes and sums. Sums are taken in f64.

use rayon::prelude::*;

use super::parallel::{each, map_sum, piece, sum};
use crate::backend::Shape;

pub fn squared_norm(a: &[f32]) -> f64 {
    sum(a.len(), |range| {
        a[range]
            .iter()
            .map(|&value| f64::from(value) * f64::from(value))
            .sum()
    })
}

pub fn squared_error(a: &[f32], target: &[f32], coefficient: f32, gradient: &mut [f32]) -> f64 {
    assert!(a.len() == target.len() && a.len() == gradient.len());
    map_sum(gradient, |first, gradient| {
        let (a, target) = (&a[first..], &target[first..]);
        let mut total = 0.0;
        for ((gradient, a), target) in gradient.iter_mut().zip(a).zip(target) {
            let error = a - target;
            total += f64::from(error) * f64::from(error);
            *gradient += coefficient * error;
        }
        total
    })
}

/// As `squared_error`, with a weight per pixel that all channels share.
pub fn weighted_squared_error(
    a: &[f32],
    target: &[f32],
    weight: &[f32],
    coefficient: f32,
    gradient: &mut [f32],
) -> f64 {
    assert!(a.len() == target.len() && a.len() == gradient.len() && a.len().is_multiple_of(weight.len()));
    map_sum(gradient, |first, gradient| {
        let mut total = 0.0;
        for (offset, gradient) in gradient.iter_mut().enumerate() {
            let at = first + offset;
            let error = a[at] - target[at];
            let weighed = weight[at % weight.len()] * error;
            total += f64::from(weighed) * f64::from(error);
            *gradient += coefficient * weighed;
        }
        total
    })
}

pub fn difference(g: &[f32], target: &[f32], difference: &mut [f32]) -> f64 {
    assert!(g.len() == target.len() && g.len() == difference.len());
    map_sum(difference, |first, difference| {
        let mut total = 0.0;
        for ((d, g), target) in difference.iter_mut().zip(&g[first..]).zip(&target[first..]) {
            *d = g - target;
            total += f64::from(*d) * f64::from(*d);
        }
        total
    })
}

/// Σ of squared steps to the right and down; the gradient of each pixel gathers its four neighbours.
pub fn total_variation(x: &[f32], shape: Shape, coefficient: f32, gradient: &mut [f32]) -> f64 {
    let Shape { height, width, .. } = shape;
    assert!(x.len() == shape.elements() && x.len() == gradient.len());
    map_sum(gradient, |first, gradient| {
        let mut total = 0.0;
        for (offset, gradient) in gradient.iter_mut().enumerate() {
            let at = first + offset;
            let (row, column) = (at / width % height, at % width);
            let mut pull = 0.0;
            if row > 0 {
                pull += x[at] - x[at - width];
            }
            if column > 0 {
                pull += x[at] - x[at - 1];
            }
            if row + 1 < height {
                let step = x[at + width] - x[at];
                total += f64::from(step) * f64::from(step);
                pull -= step;
            }
            if column + 1 < width {
                let step = x[at + 1] - x[at];
                total += f64::from(step) * f64::from(step);
                pull -= step;
            }
            *gradient += 2.0 * coefficient * pull;
        }
        total
    })
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

/// The 3×3 binomial kernel with repeated edges, a row of a channel at a time.
pub fn blur(from: &[f32], shape: Shape, to: &mut [f32]) {
    let Shape { height, width, .. } = shape;
    assert!(from.len() == shape.elements() && from.len() == to.len());
    to.par_chunks_mut(width).enumerate().for_each(|(line, out)| {
        let (channel, y) = (line / height, line % height);
        let row = |y: usize| &from[(channel * height + y) * width..][..width];
        let (above, here, below) = (row(y.saturating_sub(1)), row(y), row((y + 1).min(height - 1)));
        let column = |x: usize| 0.25 * above[x] + 0.5 * here[x] + 0.25 * below[x];
        let last = width - 1;
        out[0] = 0.75 * column(0) + 0.25 * column(1.min(last));
        out[last] = 0.75 * column(last) + 0.25 * column(last.saturating_sub(1));
        for (x, out) in out.iter_mut().enumerate().take(last).skip(1) {
            *out = 0.25 * column(x - 1) + 0.5 * column(x) + 0.25 * column(x + 1);
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

pub fn adam(x: &mut [f32], gradient: &[f32], squared: &[f32], m: &mut [f32], v: &mut [f32], knobs: Adam) {
    assert!(
        x.len() == gradient.len() && x.len() == squared.len() && x.len() == m.len() && x.len() == v.len()
    );
    let size = piece(x.len());
    x.par_chunks_mut(size)
        .zip(m.par_chunks_mut(size))
        .zip(v.par_chunks_mut(size))
        .zip(gradient.par_chunks(size).zip(squared.par_chunks(size)))
        .for_each(|(((x, m), v), (gradient, squared))| {
            for ((((x, m), v), gradient), squared) in x.iter_mut().zip(m).zip(v).zip(gradient).zip(squared) {
                *m = knobs.beta1 * *m + (1.0 - knobs.beta1) * gradient;
                *v = knobs.beta2 * *v + (1.0 - knobs.beta2) * squared;
                *x -= knobs.rate * *m / (v.sqrt() * knobs.root + knobs.epsilon);
            }
        });
}

pub fn sgd(x: &mut [f32], gradient: &[f32], velocity: &mut [f32], rate: f32, momentum: f32) {
    assert!(x.len() == gradient.len() && x.len() == velocity.len());
    let size = piece(x.len());
    x.par_chunks_mut(size)
        .zip(velocity.par_chunks_mut(size))
        .zip(gradient.par_chunks(size))
        .for_each(|((x, velocity), gradient)| {
            for ((x, velocity), gradient) in x.iter_mut().zip(velocity).zip(gradient) {
                *velocity = momentum * *velocity + gradient;
                *x -= rate * *velocity;
            }
        });
}
