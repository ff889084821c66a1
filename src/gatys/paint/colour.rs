// SPDX-License-Identifier: MIT OR Apache-2.0

//! The colours of pictures as a mean and a covariance: maps from one to another's, and the axes along which they spread.

use crate::backend::{ColourMap, ColourStatistics};

type Matrix = [[f64; 3]; 3];

/// A picture of few colours has a nearly singular covariance, which must not be stretched without end.
const FLOOR: f64 = 1e-4;

/// The symmetric map that takes colours distributed like `from` to mean and covariance of `to`: the one that moves
/// them least (Olkin and Pukelsheim 1982), T = A^-½ (A^½ B A^½)^½ A^-½ for covariances A and B.
///
/// Between two grey pictures it is one gain for all channels, so that grey stays grey to the last bit; and to a grey picture all
/// channels are made in the same way.
pub fn matching(from: &ColourStatistics, to: &ColourStatistics) -> ColourMap {
    if is_grey(from) && is_grey(to) {
        let gain = (to.covariance[0][0] / (from.covariance[0][0] + FLOOR)).sqrt();
        return ColourMap {
            matrix: [0, 1, 2].map(|i| [0, 1, 2].map(|j| if i == j { gain } else { 0.0 })),
            offset: [to.mean[0] - gain * from.mean[0]; 3],
        };
    }
    let a = power(&with_floor(from.covariance, FLOOR), 0.5);
    let inverse = power(&with_floor(from.covariance, FLOOR), -0.5);
    let inner = power(&product(&product(&a, &to.covariance), &a), 0.5);
    let mut matrix = product(&product(&inverse, &inner), &inverse);
    if is_grey(to) {
        // The rows are the same but for roundings.
        matrix = [[0, 1, 2].map(|k| (0..3).map(|c| matrix[c][k]).sum::<f64>() / 3.0); 3];
    }
    let offset = [0, 1, 2].map(|c| to.mean[c] - (0..3).map(|k| matrix[c][k] * from.mean[k]).sum::<f64>());
    ColourMap { matrix, offset }
}

/// Whether all channels are the same.
fn is_grey(colours: &ColourStatistics) -> bool {
    let same = |numbers: &[f64]| numbers.iter().all(|&number| number == numbers[0]);
    same(&colours.mean) && same(colours.covariance.as_flattened())
}

/// The spread along an axis, as a share of that along the longest, below which there is none but what rounding left.
const NO_SPREAD: f64 = 1e-5;

/// The variance of colours that are all the same.
const NO_COLOURS: f64 = 1e-9;

/// The symmetric matrix V diag((λᵢ/λ₁)^(share/2)) Vᵀ for colours with the covariance V diag(λ) Vᵀ, λ₁ the greatest. With
/// share 1, steps alike in all directions become steps that spread as the colours do, with 0 they stay as they are. Where
/// the colours do not spread at all there are no steps, whatever the share, unless it is 0.
pub fn axes(colours: &ColourStatistics, share: f64) -> [[f64; 3]; 3] {
    if share == 0.0 {
        return ColourMap::IDENTITY.matrix;
    }
    if is_grey(colours) {
        return [[1.0 / 3.0; 3]; 3];
    }
    let (values, vectors) = eigen(&colours.covariance);
    let greatest = values
        .iter()
        .fold(0.0_f64, |greatest, &value| greatest.max(value));
    if greatest < NO_COLOURS {
        return ColourMap::IDENTITY.matrix;
    }
    let scaled = values.map(|value| match value / greatest {
        spread if spread < NO_SPREAD => 0.0,
        spread => spread.powf(0.5 * share),
    });
    recomposed(&vectors, scaled)
}

/// The share of the newest frame in the colours from which the style's are found for what comes into view.
const NEW_COLOURS: f64 = 0.1;

/// Lets the colours of a new frame into those of the frames before.
pub fn follow(colours: &mut ColourStatistics, new: &ColourStatistics) {
    let mix = |old: &mut f64, new: f64| *old += NEW_COLOURS * (new - *old);
    for a in 0..3 {
        mix(&mut colours.mean[a], new.mean[a]);
        for b in 0..3 {
            mix(&mut colours.covariance[a][b], new.covariance[a][b]);
        }
    }
}

fn with_floor(mut matrix: Matrix, floor: f64) -> Matrix {
    for (index, row) in matrix.iter_mut().enumerate() {
        row[index] += floor;
    }
    matrix
}

fn product(a: &Matrix, b: &Matrix) -> Matrix {
    [0, 1, 2].map(|i| [0, 1, 2].map(|j| (0..3).map(|k| a[i][k] * b[k][j]).sum()))
}

/// A symmetric, positive semidefinite matrix to the given power.
fn power(matrix: &Matrix, exponent: f64) -> Matrix {
    let (values, vectors) = eigen(matrix);
    let least = if exponent < 0.0 { FLOOR } else { 0.0 };
    recomposed(&vectors, values.map(|value| value.max(least).powf(exponent)))
}

/// V diag(`values`) Vᵀ.
fn recomposed(vectors: &Matrix, values: [f64; 3]) -> Matrix {
    [0, 1, 2].map(|i| [0, 1, 2].map(|j| (0..3).map(|k| vectors[i][k] * values[k] * vectors[j][k]).sum()))
}

/// Eigenvalues, and eigenvectors as columns, of a symmetric matrix by Jacobi's rotations.
pub fn eigen(matrix: &Matrix) -> ([f64; 3], Matrix) {
    // Rotations converge quadratically; a 3×3 matrix needs about five sweeps to full precision.
    const SWEEPS: usize = 12;
    let mut a = *matrix;
    let mut vectors = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
    for _ in 0..SWEEPS {
        for (p, q) in [(0, 1), (0, 2), (1, 2)] {
            if a[p][q].abs() < 1e-300 {
                continue;
            }
            let theta = (a[q][q] - a[p][p]) / (2.0 * a[p][q]);
            let t = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
            let c = 1.0 / (t * t + 1.0).sqrt();
            let s = t * c;
            let mut rotation = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
            (rotation[p][p], rotation[q][q], rotation[p][q], rotation[q][p]) = (c, c, s, -s);
            let transposed = [0, 1, 2].map(|i| [0, 1, 2].map(|j| rotation[j][i]));
            a = product(&product(&transposed, &a), &rotation);
            vectors = product(&vectors, &rotation);
        }
    }
    ([a[0][0], a[1][1], a[2][2]], vectors)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covariance_after(map: &ColourMap, covariance: &Matrix) -> Matrix {
        let transposed = [0, 1, 2].map(|i| [0, 1, 2].map(|j| map.matrix[j][i]));
        product(&product(&map.matrix, covariance), &transposed)
    }

    #[test]
    fn the_map_gives_mean_and_covariance() {
        let from = ColourStatistics {
            mean: [0.4, 0.5, 0.3],
            covariance: [[0.05, 0.02, 0.01], [0.02, 0.06, 0.015], [0.01, 0.015, 0.04]],
        };
        let to = ColourStatistics {
            mean: [0.2, 0.3, 0.6],
            covariance: [[0.03, -0.01, 0.0], [-0.01, 0.04, 0.02], [0.0, 0.02, 0.07]],
        };
        let map = matching(&from, &to);
        let after = covariance_after(&map, &from.covariance);
        for i in 0..3 {
            let mean = (0..3).map(|k| map.matrix[i][k] * from.mean[k]).sum::<f64>() + map.offset[i];
            assert!((mean - to.mean[i]).abs() < 1e-12);
            for j in 0..3 {
                // The floor under the covariance is the only thing that keeps this from being exact.
                assert!((after[i][j] - to.covariance[i][j]).abs() < 5e-4, "{after:?}");
                assert!((map.matrix[i][j] - map.matrix[j][i]).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn equal_statistics_change_nothing_and_one_colour_stays_finite() {
        let flat = ColourStatistics {
            mean: [0.5; 3],
            covariance: [[0.0; 3]; 3],
        };
        let map = matching(&flat, &flat);
        assert!(map.matrix.iter().flatten().all(|entry| entry.is_finite()));
        let wide = ColourStatistics {
            mean: [0.5; 3],
            covariance: [[0.1, 0.0, 0.0], [0.0, 0.1, 0.0], [0.0, 0.0, 0.1]],
        };
        let map = matching(&wide, &wide);
        for (i, row) in map.matrix.iter().enumerate() {
            for (j, &entry) in row.iter().enumerate() {
                assert!((entry - f64::from(u8::from(i == j))).abs() < 1e-3);
            }
        }
    }

    #[test]
    fn between_grey_pictures_there_is_one_gain() {
        let grey = |mean, variance| ColourStatistics {
            mean: [mean; 3],
            covariance: [[variance; 3]; 3],
        };
        let map = matching(&grey(0.3, 0.04), &grey(0.6, 0.01));
        let gain = (0.01_f64 / (0.04 + FLOOR)).sqrt();
        for (i, row) in map.matrix.iter().enumerate() {
            for (j, &entry) in row.iter().enumerate() {
                assert_eq!(entry, if i == j { gain } else { 0.0 });
            }
        }
        assert_eq!(map.offset, [0.6 - gain * 0.3; 3]);
    }

    #[test]
    fn axes_are_those_along_which_colours_spread() {
        let of = |covariance| ColourStatistics {
            mean: [0.5; 3],
            covariance,
        };
        let apart = |found: Matrix, expected: Matrix| {
            let pairs = found.as_flattened().iter().zip(expected.as_flattened());
            pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
        };
        // A quarter as wide along green as along red, and not at all along blue.
        let along = |green| [[1.0, 0.0, 0.0], [0.0, green, 0.0], [0.0; 3]];
        let colours = of([[0.16, 0.0, 0.0], [0.0, 0.01, 0.0], [0.0, 0.0, 1e-8]]);
        assert!(apart(axes(&colours, 1.0), along(0.25)) < 1e-12);
        assert!(apart(axes(&colours, 0.5), along(0.5)) < 1e-12);
        assert_eq!(axes(&colours, 0.0), ColourMap::IDENTITY.matrix);
        // Along (1, 1, 0) alone.
        let line = of([[0.02, 0.02, 0.0], [0.02, 0.02, 0.0], [0.0; 3]]);
        let projection = [[0.5, 0.5, 0.0], [0.5, 0.5, 0.0], [0.0; 3]];
        assert!(apart(axes(&line, 0.5), projection) < 1e-9);
        // Grey, and one colour.
        assert_eq!(axes(&of([[0.02; 3]; 3]), 0.5), [[1.0 / 3.0; 3]; 3]);
        let mut one = of([[0.0; 3]; 3]);
        one.mean = [0.9, 0.1, 0.2];
        assert_eq!(axes(&one, 0.5), ColourMap::IDENTITY.matrix);
    }
}
