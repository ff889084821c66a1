// SPDX-License-Identifier: MIT OR Apache-2.0

use neuralstyle::backend::prelude::*;
use neuralstyle::backend::resample::Taps;
use neuralstyle::backend::{ColourMap, Export, Interpolation, Mix, Shape, guide, reference};

use neuralstyle::picture::{Depth, Format, LUMA_F32, Picture, PictureView, Samples};

use super::pair::{LONG, Machine, Pair, Twin, UNIT, gamma, gamma_of_sum, pictures};

/// (width, height) → (width, height): larger, smaller, one way each, the same, from and to single pixels and rows;
/// more numbers than a card has threads.
const SIZES: [((usize, usize), (usize, usize)); 15] = [
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
    ((513, 512), (300, 299)),
];

const BORDERS: [usize; 3] = [0, 1, 8];

/// Roundings and Σ |weights| of a resampling of numbers of at most 1, both ways together: the exact value is a sum of
/// that many products, taken along rows and then along columns.
fn resampling_bound(from: (usize, usize), to: (usize, usize)) -> f64 {
    let (across, down) = (Taps::new(from.0, to.0), Taps::new(from.1, to.1));
    // Two further roundings: from a byte, and what is stored between the two directions.
    gamma(across.width + down.width + 2) * resampling_size(from, to)
}

/// By how much a resampling can enlarge a number: the greatest Σ |weights|, both ways together.
fn resampling_size(from: (usize, usize), to: (usize, usize)) -> f64 {
    let size = |inputs: usize, outputs: usize| {
        let taps = Taps::new(inputs, outputs);
        let sums = (0..outputs).map(|o| taps.of(o).1.iter().map(|w| f64::from(w.abs())).sum::<f64>());
        sums.fold(0.0, f64::max)
    };
    size(from.0, to.0) * size(from.1, to.1)
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
        let kinds = BORDERS.map(|border| [(border, from.into()), (border, deep(from))]);
        for (border, format) in kinds.into_iter().flatten() {
            let frame = pair.random.picture(format);
            let frame = frame.view();
            let shape = framed(to, border);
            // The margin must stay as it was.
            let mut picture = pair.signed(shape);
            pair.ops.import(frame, border, &mut picture.real).unwrap();
            pair.exact.import(frame, border, &mut picture.exact).unwrap();
            let bound = resampling_bound(from, to);
            pair.assert_close("import", &picture, |i| {
                if in_margin(shape, border, i) { 0.0 } else { bound }
            });
        }
    }
}

pub fn importing_a_part<B: Machine>(ops: &mut B) {
    let mut pair = Pair::new(ops, 39);
    for (from, whole) in SIZES {
        let (shallow, deep) = (pair.random.picture(from.into()), pair.random.picture(deep(from)));
        // All of it, the last third, and a piece from the middle.
        let third = |length: usize| (length * 2 / 3, length - length * 2 / 3);
        let middle = |length: usize| (length / 4, (length / 2).max(1));
        let pieces: [fn(usize) -> (usize, usize); 3] = [|length| (0, length), third, middle];
        for (piece, frame) in pieces
            .into_iter()
            .flat_map(|piece| [(piece, &shallow), (piece, &deep)])
        {
            let frame = frame.view();
            let ((left, width), (top, height)) = (piece(whole.0), piece(whole.1));
            let mut picture = pair.soiled(Shape::new(3, height, width));
            let corner = (left, top);
            pair.ops
                .import_part(frame, whole, corner, &mut picture.real)
                .unwrap();
            pair.exact
                .import_part(frame, whole, corner, &mut picture.exact)
                .unwrap();
            let bound = resampling_bound(from, whole);
            pair.assert_close("import_part", &picture, |_| bound);
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

/// Roundings on the way to the two moments of a slope, in a window whose weights sum to 1: a luma is three products and two
/// sums, a window five products and sums each way.
const LUMA_ROUNDINGS: usize = 4;
const WINDOW_ROUNDINGS: usize = 10;
/// mean(y P) − mean(y) mean(P), all of at most 1: a luma, a product and a window; a luma and two windows; a product and
/// the difference.
const COVARIANCE_ROUNDINGS: usize = 2 * LUMA_ROUNDINGS + 3 * WINDOW_ROUNDINGS + 3;
/// mean(y²) − mean(y)²: a luma more in each of the two, and ε.
const VARIANCE_ROUNDINGS: usize = 4 * LUMA_ROUNDINGS + 3 * WINDOW_ROUNDINGS + 4;

/// How a picture follows its content, both without margin: cov(y, P) / (var(y) + ε) in 5×5 windows, [3, H, W]; and by how
/// much f32 may miss it, at most.
fn slopes(picture: &reference::Tensor, luma: &reference::Tensor) -> (reference::Tensor, f64) {
    let Shape { height, width, .. } = picture.shape;
    let at = |of: &reference::Tensor, c: usize, y: usize, x: usize| of.values[(c * height + y) * width + x];
    let clamped = |at: usize, tap: usize, length: usize| (at + tap).saturating_sub(2).min(length - 1);
    let (mut slopes, mut bound) = (picture.clone(), 0.0f64);
    for (index, slope) in slopes.values.iter_mut().enumerate() {
        let (c, y, x) = (index / (height * width), index / width % height, index % width);
        let (mut of_luma, mut of_colour, mut product, mut square) = (0.0, 0.0, 0.0, 0.0);
        for (v, down) in guide::WINDOW.into_iter().enumerate() {
            for (u, across) in guide::WINDOW.into_iter().enumerate() {
                let weight = f64::from(down * across);
                let (row, column) = (clamped(y, v, height), clamped(x, u, width));
                let (luma, colour) = (at(luma, 0, row, column), at(picture, c, row, column));
                of_luma += weight * luma;
                of_colour += weight * colour;
                product += weight * luma * colour;
                square += weight * luma * luma;
            }
        }
        let steady = square - of_luma * of_luma + f64::from(guide::EPSILON);
        *slope = (product - of_luma * of_colour) / steady;
        let missed = gamma(COVARIANCE_ROUNDINGS) + slope.abs() * gamma(VARIANCE_ROUNDINGS);
        bound = bound.max(missed / (steady - gamma(VARIANCE_ROUNDINGS)) + gamma(2) * slope.abs());
    }
    (slopes, bound)
}

fn luma(of: impl Fn(usize) -> f64) -> f64 {
    (0..3).map(|c| f64::from(LUMA_F32[c]) * of(c)).sum()
}

/// A frame of 16 bits per channel.
fn deep(size: (usize, usize)) -> Format {
    Format {
        depth: Depth::Sixteen,
        ..size.into()
    }
}

/// A picture that does not look like any answer.
fn unpainted(format: Format) -> Picture {
    let mut picture = Picture::black(format);
    picture.bytes_mut().fill(77);
    picture
}

/// The samples of a picture.
fn samples(picture: PictureView) -> Vec<f64> {
    match picture.samples() {
        Samples::Eight(samples) => samples.iter().map(|&sample| f64::from(sample)).collect(),
        Samples::Sixteen(samples) => samples.iter().map(|&sample| f64::from(sample)).collect(),
    }
}

/// Samples are the exact value rounded: no further from it than half a step and the roundings on the way.
pub fn exporting<B: Machine>(ops: &mut B) {
    let mut pair = Pair::new(ops, 32);
    for (from, to) in SIZES {
        let mixes = [
            (1, 0.3f32, 0.7f32),
            (0, 1.0, 0.0),
            (8, 0.0, 1.0),
            (2, 1.0, 1.0),
            (0, 1.0, 2.0),
        ];
        // The largest takes long.
        let mixes = if from.0 * from.1 > 100_000 {
            &mixes[..2]
        } else {
            &mixes
        };
        let formats = [to.into(), deep(to)];
        let kinds = mixes.iter().flat_map(|mix| formats.map(|format| (mix, format)));
        for (&(border, strength, detail), format) in kinds {
            let white = f64::from(format.depth.white());
            let mix = Mix { strength, detail };
            let (picture, content) = (
                pair.signed(framed(from, border)),
                pair.signed(framed(from, border)),
            );
            let frame = pair.random.picture(format);
            let rgb = samples(frame.view());
            let inside = |of: &reference::Tensor| {
                let shape = of.shape;
                let values = (0..shape.elements()).filter(|&i| !in_margin(shape, border, i));
                reference::Tensor {
                    shape: Shape::new(shape.channels, from.1, from.0),
                    values: values.map(|i| of.values[i]).collect(),
                }
            };
            let (painted, content_inside) = (inside(&picture.exact), inside(&content.exact));
            let pixels = from.0 * from.1;
            let small_luma = reference::Tensor {
                shape: Shape::new(1, from.1, from.0),
                values: (0..pixels)
                    .map(|at| luma(|c| content_inside.values[c * pixels + at]))
                    .collect(),
            };
            let (slopes, slope_bound) = slopes(&painted, &small_luma);
            let mut enlarged = |of: &reference::Tensor| {
                let mut to = pair
                    .exact
                    .tensor(Shape::new(of.shape.channels, to.1, to.0))
                    .unwrap();
                pair.exact.resize(of, 0, &mut to).unwrap();
                to.values
            };
            let (sampled, steepness, coarse) = (enlarged(&painted), enlarged(&slopes), enlarged(&small_luma));
            let area = to.0 * to.1;
            let exact = |at: usize, c: usize| {
                let fine = luma(|c| rgb[3 * at + c]);
                let detail = f64::from(detail) * steepness[c * area + at] * (fine - white * coarse[at]);
                let painted = (white * sampled[c * area + at] + detail).clamp(0.0, white);
                (1.0 - f64::from(strength)) * rgb[3 * at + c] + f64::from(strength) * painted
            };

            // Of the slope and of the luma's difference, which are multiplied; then as for a plain picture, two operations
            // more than before the mix, on values of at most white each.
            let (resampling, size) = (resampling_bound(from, to), resampling_size(from, to));
            let steepest = slopes
                .values
                .iter()
                .fold(0.0, |most: f64, slope| most.max(slope.abs()));
            let (slope, slope_error) = (size * steepest, resampling * steepest + size * slope_bound);
            let difference = white * (1.0 + size);
            let difference_error = white * resampling + gamma(LUMA_ROUNDINGS + 3) * difference;
            let guided = slope_error * (difference + difference_error)
                + slope * difference_error
                + gamma(3) * slope * difference;
            let roundings = f64::from(detail) * guided + white * resampling + gamma(5) * white * 3.0;

            let frame = frame.view();
            let (mut out, mut reference) = (unpainted(format), unpainted(format));
            pair.ops
                .export(
                    Export {
                        picture: &picture.real,
                        content: &content.real,
                        border,
                        mix,
                        frame,
                    },
                    &mut out,
                )
                .unwrap();
            pair.exact
                .export(
                    Export {
                        picture: &picture.exact,
                        content: &content.exact,
                        border,
                        mix,
                        frame,
                    },
                    &mut reference,
                )
                .unwrap();
            let (out, reference) = (samples(out.view()), samples(reference.view()));
            for (index, (real, reference)) in out.into_iter().zip(reference).enumerate() {
                let value = exact(index / 3, index % 3);
                for (sample, slack) in [(real, roundings), (reference, 1e-9)] {
                    let error = (sample - value).abs();
                    assert!(
                        error <= 0.5 + slack,
                        "{from:?} → {to:?}: {sample} instead of {value}"
                    );
                }
            }
        }
    }
}

/// Where a painting is a function of what it shows, as here its negative in orange, its enlargement is the same function
/// of the frame: edges are as sharp as in the frame, in the painting's colours. Where it has nothing of the frame, it is
/// merely enlarged.
pub fn guiding<B: Machine>(ops: &mut B) {
    let (width, height) = (96, 64);
    let (small, low) = (width / 4, height / 4);
    // Bars of two greys that do not meet the small picture's pixels, slanted.
    let grey = |x: usize, y: usize| {
        if ((x + y / 3) / 13).is_multiple_of(2) {
            60
        } else {
            200
        }
    };
    let frame: Vec<u8> = (0..width * height * 3)
        .map(|i| grey(i / 3 % width, i / 3 / width))
        .collect();
    let view = PictureView::from_rgb(width, height, &frame).unwrap();
    let shape = Shape::new(3, low, small);
    let (mut content, mut picture) = (ops.tensor(shape).unwrap(), ops.tensor(shape).unwrap());
    ops.import(view, 0, &mut content).unwrap();
    let exported = |ops: &mut B, picture: &B::Tensor, detail: f32| {
        let (mix, mut out) = (
            Mix {
                strength: 1.0,
                detail,
            },
            unpainted((width, height).into()),
        );
        ops.export(
            Export {
                picture,
                content: &content,
                border: 0,
                mix,
                frame: view,
            },
            &mut out,
        )
        .unwrap();
        out
    };
    let map =
        |channel: usize, value: f64| [-0.8, -0.5, -0.2][channel] * value + [240.0, 180.0, 90.0][channel];
    let error = |out: &Picture| {
        let errors = out
            .rgb()
            .iter()
            .enumerate()
            .map(|(i, &byte)| (f64::from(byte) - map(i % 3, f64::from(frame[i]))).abs());
        errors.sum::<f64>() / out.rgb().len() as f64
    };
    let flat = exported(ops, &picture, 1.0);
    assert!(flat.rgb().iter().all(|&byte| byte == 0), "detail on nothing");
    let orange = ColourMap {
        matrix: [[-0.8, 0.0, 0.0], [0.0, -0.5, 0.0], [0.0, 0.0, -0.2]],
        offset: [240.0 / 255.0, 180.0 / 255.0, 90.0 / 255.0],
    };
    ops.colour_map(&content, &orange, &mut picture).unwrap();
    let [plain, guided] = [0.0, 1.0].map(|detail| error(&exported(ops, &picture, detail)));
    assert!(guided < 0.2 * plain, "{guided} after {plain}");
}

/// A picture of the frame's own size is its samples again, whatever guides it to what; and at no strength so is the frame.
pub fn samples_survive<B: Machine>(ops: &mut B) {
    let mut pair = Pair::new(ops, 33);
    let sizes = [(1, 1), (7, 1), (1, 9), (31, 33), (65, 47)];
    let kinds = sizes.map(|size| [(size, size.into()), (size, deep(size))]);
    for ((width, height), format) in kinds.into_iter().flatten() {
        let (seen, other) = (pair.random.picture(format), pair.random.picture(format));
        let (frame, behind) = (seen.view(), other.view());
        let mut picture = pair.ops.tensor(framed((width, height), 2)).unwrap();
        let mut content = pair.ops.tensor(framed((width, height), 2)).unwrap();
        pair.ops.import(frame, 2, &mut picture).unwrap();
        pair.ops.import(behind, 2, &mut content).unwrap();
        for (strength, detail, expected) in [
            (1.0, 0.0, &seen),
            (1.0, 1.0, &seen),
            (0.0, 0.0, &other),
            (0.0, 1.0, &other),
        ] {
            let mix = Mix { strength, detail };
            let mut out = unpainted(format);
            pair.ops
                .export(
                    Export {
                        picture: &picture,
                        content: &content,
                        border: 2,
                        mix,
                        frame: behind,
                    },
                    &mut out,
                )
                .unwrap();
            assert_eq!(&out, expected, "{mix:?}");
        }
    }
}

pub fn mirroring<B: Machine>(ops: &mut B) {
    let mut pair = Pair::new(ops, 34);
    // Also margins wider than the inside, which are mirrored again and again.
    let small = [(1, 1), (1, 9), (9, 1), (2, 3), (5, 4), (16, 9), (33, 17)];
    let large = [(300, 299), (1, 12_600), (12_600, 1)];
    for (sizes, borders) in [(&small[..], &[0, 1, 3, 8, 20][..]), (&large, &[3])] {
        for (size, border) in sizes
            .iter()
            .flat_map(|size| borders.iter().map(|border| (*size, *border)))
        {
            let mut picture = pair.signed(framed(size, border));
            pair.ops.mirror_border(&mut picture.real, border).unwrap();
            pair.exact.mirror_border(&mut picture.exact, border).unwrap();
            pair.assert_same("mirror_border", &picture);
        }
    }
}

pub fn colour_statistics<B: Machine>(ops: &mut B) {
    let mut pair = Pair::new(ops, 35);
    for shape in pictures().chain([LONG[0].with_channels(3)]) {
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
