// SPDX-License-Identifier: MIT OR Apache-2.0

use gstneuralstyle::backend::resample::Taps;
use gstneuralstyle::backend::{Backend, ColourMap, Interpolation, Mix, Shape};

use super::pair::{Machine, Pair, Twin, UNIT, gamma, gamma_of_sum, pictures};

/// (width, height) → (width, height): larger, smaller, one way each, the same, from and to single pixels and rows.
const SIZES: [((usize, usize), (usize, usize)); 14] = [
    ((1, 1), (1, 1)),
    ((1, 1), (5, 3)),
    ((5, 3), (1, 1)),
    ((7, 1), (3, 1)),
    ((1, 9), (1, 20)),
    ((2, 2), (3, 3)),
    ((13, 7), (13, 7)),
    ((33, 17), (16, 8)),
    ((16, 8), (33, 17)),
    ((31, 9), (10, 27)),
    ((64, 48), (65, 47)),
    ((128, 96), (17, 100)),
    ((3, 200), (40, 5)),
    ((257, 129), (256, 128)),
];

const BORDERS: [usize; 3] = [0, 1, 8];

/// Roundings and Σ |weights| of a resampling of numbers of at most 1, both ways together: the exact value is a sum of
/// that many products, taken along rows and then along columns.
fn resampling_bound(from: (usize, usize), to: (usize, usize)) -> f64 {
    let (across, down) = (Taps::new(from.0, to.0), Taps::new(from.1, to.1));
    let size = |taps: &Taps, outputs: usize| {
        let sums = (0..outputs).map(|o| taps.of(o).1.iter().map(|w| f64::from(w.abs())).sum::<f64>());
        sums.fold(0.0, f64::max)
    };
    // Two further roundings: from a byte, and what is stored between the two directions.
    gamma(across.width + down.width + 2) * size(&across, to.0) * size(&down, to.1)
}

fn framed((width, height): (usize, usize), border: usize) -> Shape {
    Shape::new(3, height + 2 * border, width + 2 * border)
}

fn in_margin(shape: Shape, border: usize, index: usize) -> bool {
    let (y, x) = (index / shape.width % shape.height, index % shape.width);
    y < border || x < border || y + border >= shape.height || x + border >= shape.width
}

pub fn importing<B: Machine>(ops: &mut B) {
    let mut pair = Pair::new(ops, 30);
    for (from, to) in SIZES {
        for border in BORDERS {
            let rgb = pair.random.bytes(from.0 * from.1 * 3);
            let shape = framed(to, border);
            // The margin must stay as it was.
            let mut picture = pair.signed(shape);
            pair.ops
                .import(&rgb, from.0, from.1, border, &mut picture.real)
                .unwrap();
            pair.exact
                .import(&rgb, from.0, from.1, border, &mut picture.exact)
                .unwrap();
            let bound = resampling_bound(from, to);
            pair.assert_close("import", &picture, |i| {
                if in_margin(shape, border, i) { 0.0 } else { bound }
            });
        }
    }
}

pub fn resizing<B: Machine>(ops: &mut B) {
    let mut pair = Pair::new(ops, 31);
    for (from, to) in SIZES {
        for border in BORDERS {
            let source = pair.signed(framed(from, border));
            let shape = framed(to, border);
            let mut target = pair.signed(shape);
            pair.ops.resize(&source.real, border, &mut target.real).unwrap();
            pair.exact
                .resize(&source.exact, border, &mut target.exact)
                .unwrap();
            let bound = resampling_bound(from, to);
            pair.assert_close("resize", &target, |i| {
                if in_margin(shape, border, i) { 0.0 } else { bound }
            });
        }
    }
}

/// Bytes are the exact value rounded: no further from it than half a step and the roundings on the way.
pub fn exporting<B: Machine>(ops: &mut B) {
    let mut pair = Pair::new(ops, 32);
    for (from, to) in SIZES {
        for (border, strength, detail) in [(0, 1.0f32, 0.0f32), (1, 0.3, 0.7), (8, 0.0, 1.0), (2, 1.0, 1.0)] {
            let mix = Mix { strength, detail };
            let picture = pair.signed(framed(from, border));
            let rgb = pair.random.bytes(to.0 * to.1 * 3);
            let mut sampled = pair.exact.tensor(framed(to, border)).unwrap();
            pair.exact.resize(&picture.exact, border, &mut sampled).unwrap();
            let exact = |x: usize, y: usize, c: usize| {
                let at = (c * (to.1 + 2 * border) + y + border) * (to.0 + 2 * border) + x + border;
                let original = f64::from(rgb[(y * to.0 + x) * 3 + c]);
                let painted = (f64::from(detail) * original + 255.0 * sampled.values[at]).clamp(0.0, 255.0);
                (1.0 - f64::from(strength)) * original + f64::from(strength) * painted
            };
            // Two operations more than before the mix, on values of at most 255 each.
            let roundings = 255.0 * resampling_bound(from, to) + gamma(5) * 255.0 * 3.0;

            let (mut out, mut reference) = (vec![77; rgb.len()], vec![77; rgb.len()]);
            pair.ops
                .export(&picture.real, border, mix, &rgb, to.0, to.1, &mut out)
                .unwrap();
            pair.exact
                .export(&picture.exact, border, mix, &rgb, to.0, to.1, &mut reference)
                .unwrap();
            for (index, (&real, &reference)) in out.iter().zip(&reference).enumerate() {
                let (pixel, c) = (index / 3, index % 3);
                let value = exact(pixel % to.0, pixel / to.0, c);
                for (byte, slack) in [(real, roundings), (reference, 1e-9)] {
                    let error = (f64::from(byte) - value).abs();
                    assert!(
                        error <= 0.5 + slack,
                        "{from:?} → {to:?}: {byte} instead of {value}"
                    );
                }
            }
        }
    }
}

/// A picture of the frame's own size is its bytes again, and with nothing added so is the frame.
pub fn bytes_survive<B: Machine>(ops: &mut B) {
    let mut pair = Pair::new(ops, 33);
    for (width, height) in [(1, 1), (7, 1), (1, 9), (31, 33), (65, 47)] {
        let rgb: Vec<u8> = (0..width * height * 3).map(|i| i as u8).collect();
        let mut picture = pair.ops.tensor(framed((width, height), 2)).unwrap();
        pair.ops.import(&rgb, width, height, 2, &mut picture).unwrap();
        let mut out = vec![77; rgb.len()];
        let other = pair.random.bytes(rgb.len());
        pair.ops
            .export(
                &picture,
                2,
                Mix {
                    strength: 1.0,
                    detail: 0.0,
                },
                &other,
                width,
                height,
                &mut out,
            )
            .unwrap();
        assert_eq!(out, rgb);
        pair.ops.fill(0.0, &mut picture).unwrap();
        pair.ops
            .export(
                &picture,
                2,
                Mix {
                    strength: 1.0,
                    detail: 1.0,
                },
                &other,
                width,
                height,
                &mut out,
            )
            .unwrap();
        assert_eq!(out, other);
        pair.ops
            .export(
                &picture,
                2,
                Mix {
                    strength: 0.0,
                    detail: 0.0,
                },
                &other,
                width,
                height,
                &mut out,
            )
            .unwrap();
        assert_eq!(out, other);
    }
}

pub fn mirroring<B: Machine>(ops: &mut B) {
    let mut pair = Pair::new(ops, 34);
    // Also margins wider than the inside, which are mirrored again and again.
    for size in [(1, 1), (1, 9), (9, 1), (2, 3), (5, 4), (16, 9), (33, 17)] {
        for border in [0, 1, 3, 8, 20] {
            let mut picture = pair.signed(framed(size, border));
            pair.ops.mirror_border(&mut picture.real, border).unwrap();
            pair.exact.mirror_border(&mut picture.exact, border).unwrap();
            pair.assert_same("mirror_border", &picture);
        }
    }
}

pub fn colour_statistics<B: Machine>(ops: &mut B) {
    let mut pair = Pair::new(ops, 35);
    for shape in pictures() {
        let picture = pair.units(shape);
        let real = pair.ops.colour_statistics(&picture.real).unwrap();
        let exact = pair.exact.colour_statistics(&picture.exact).unwrap();
        // Means of numbers of at most 1, and of products of differences from them, which inherit the means' error.
        let bound = gamma_of_sum(shape.pixels()) + gamma(2);
        for a in 0..3 {
            assert!((real.mean[a] - exact.mean[a]).abs() <= bound, "{shape:?}");
            for b in 0..3 {
                let error = (real.covariance[a][b] - exact.covariance[a][b]).abs();
                assert!(error <= 3.0 * bound, "{shape:?}");
            }
        }
    }
}

pub fn colour_map<B: Machine>(ops: &mut B) {
    let mut pair = Pair::new(ops, 36);
    let map = ColourMap {
        matrix: [[0.9, -0.2, 0.1], [0.3, 1.4, -0.6], [-0.05, 0.7, 0.2]],
        offset: [0.1, -0.3, 0.05],
    };
    for shape in pictures() {
        let from = pair.units(shape);
        let mut to = pair.soiled(shape);
        pair.ops.colour_map(&from.real, &map, &mut to.real).unwrap();
        pair.exact.colour_map(&from.exact, &map, &mut to.exact).unwrap();
        // An entry rounded to f32, three products and the offset, none above Σ |m| + |t| of its row.
        pair.assert_close("colour_map", &to, |i| {
            let row = i / shape.pixels();
            let size = map.matrix[row].iter().map(|m| m.abs()).sum::<f64>() + map.offset[row].abs();
            gamma(5) * size
        });
    }
}

pub fn stillness<B: Machine>(ops: &mut B) {
    let mut pair = Pair::new(ops, 37);
    let (low, high) = (0.03f32, 0.12f32);
    for shape in pictures() {
        let before = pair.units(shape);
        // Changes from none to more than `high`, in patches so that their 3×3 means differ too.
        let values: Vec<f32> = (0..shape.elements())
            .map(|i| {
                let patch = (i / 5 % 4) as f32 / 3.0;
                before.exact.values[i] as f32 + 0.3 * patch * (pair.random.unit() - 0.5)
            })
            .collect();
        let now = pair.tensor(shape, &values);
        let mut trust = pair.soiled(shape.with_channels(1));
        pair.ops
            .stillness(&before.real, &now.real, low, high, &mut trust.real)
            .unwrap();
        pair.exact
            .stillness(&before.exact, &now.exact, low, high, &mut trust.exact)
            .unwrap();
        // Differences of at most 0.15, nine of them summed and divided; less than `high`; over high − low, itself a
        // difference of f32.
        let bound = gamma(14) * (0.15 + f64::from(high)) / f64::from(high - low);
        pair.assert_close("stillness", &trust, |_| bound);

        // Nothing changed: all is trusted.
        pair.ops
            .stillness(&now.real, &now.real, low, high, &mut trust.real)
            .unwrap();
        let sure: Vec<f32> = pair.values(&trust.real);
        assert!(sure.iter().all(|&value| value == 1.0), "{shape:?}");
    }
}

pub fn blending<B: Machine>(ops: &mut B) {
    let mut pair = Pair::new(ops, 38);
    for shape in super::pair::SHAPES {
        let (other, mut to) = (pair.signed(shape), pair.signed(shape));
        let mut share: Twin<B::Tensor> = pair.units(shape.with_channels(1));
        pair.ops.blend(&other.real, &share.real, &mut to.real).unwrap();
        pair.exact
            .blend(&other.exact, &share.exact, &mut to.exact)
            .unwrap();
        // 1 − s, two products of numbers of at most 1 with shares that sum to 1, a sum.
        pair.assert_close("blend", &to, |_| gamma(3));

        // The ends are exact: all of one, all of the other.
        for (value, expected) in [(1.0, &to.exact), (0.0, &other.exact)] {
            pair.ops.fill(value, &mut share.real).unwrap();
            let expected: Vec<f32> = expected.values.iter().map(|&value| value as f32).collect();
            let mut target = pair.ops.tensor(shape).unwrap();
            let expected = pair.rounded(shape, &expected);
            let source: Vec<f32> = if value == 1.0 {
                expected.clone()
            } else {
                vec![0.25; expected.len()]
            };
            pair.ops.upload(&source, &mut target).unwrap();
            pair.ops.blend(&other.real, &share.real, &mut target).unwrap();
            assert_eq!(pair.values(&target), expected);
        }
    }
}

pub fn warping<B: Machine>(ops: &mut B) {
    let mut pair = Pair::new(ops, 39);
    for shape in super::pair::SHAPES
        .into_iter()
        .filter(|shape| shape.channels <= 4)
    {
        let from = pair.signed(shape);
        // Some pixels stand still, some move by whole pixels, most in between, many from beyond the edges.
        let reach = 1.5 * shape.width.max(shape.height) as f32;
        let flow: Vec<f32> = (0..2 * shape.pixels())
            .map(|i| match i % 7 {
                0 => 0.0,
                1 => (8.0 * (pair.random.unit() - 0.5)).round(),
                2..5 => 6.0 * (pair.random.unit() - 0.5),
                _ => reach * (pair.random.unit() - 0.5),
            })
            .collect();
        let flow = pair.tensor(shape.with_channels(2), &flow);
        for (interpolation, taps, size, slope) in [
            // Σ |w| and the greatest Σ |dw/dt| of the taps of one direction. Catmull-Rom's weights have the greatest sum of
            // magnitudes, 1.25, in the middle; its derivative's terms are at most 0.5, 1.39, 1.39 and 0.5.
            (Interpolation::Bilinear, 2, 1.0, 2.0),
            (Interpolation::CatmullRom, 4, 1.25, 3.78),
        ] {
            let mut to = pair.soiled(shape);
            pair.ops
                .warp(&from.real, &flow.real, interpolation, &mut to.real)
                .unwrap();
            pair.exact
                .warp(&from.exact, &flow.exact, interpolation, &mut to.exact)
                .unwrap();
            // The place is a sum of at most the longer side, rounded once; the rest of it is exact. A weight is a cubic
            // whose terms' magnitudes sum to at most 5, in six roundings; then two sums of products.
            let place = 2.0 * UNIT * shape.width.max(shape.height) as f64 * slope * size;
            let weights = 2.0 * taps as f64 * gamma(6) * 5.0 * size;
            let bound = place + weights + gamma(2 * taps) * size * size;
            pair.assert_close("warp", &to, |_| bound);

            // What does not move is left as it is, bit by bit.
            let still = pair.tensor(shape.with_channels(2), &vec![0.0; 2 * shape.pixels()]);
            pair.ops
                .warp(&from.real, &still.real, interpolation, &mut to.real)
                .unwrap();
            assert_eq!(pair.values(&to.real), pair.values(&from.real), "{shape:?}");
        }
    }
}
