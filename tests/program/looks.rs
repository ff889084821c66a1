// SPDX-License-Identifier: MIT OR Apache-2.0

//! The figures of `neuralstyle measure look` say what they are said to say.

use crate::figures::high_pass::HighPass;
use crate::figures::structure::Structure;
use crate::figures::{Plane, Planes, grey, histogram, self_similarity, similarity};
use neuralstyle::stylizer::Frame;

fn plane(width: usize, height: usize, value: impl Fn(usize, usize) -> f64) -> Plane {
    Plane {
        width,
        height,
        values: (0..width * height)
            .map(|at| value(at % width, at / width))
            .collect(),
    }
}

fn planes(width: usize, height: usize, colour: impl Fn(usize, usize) -> [f64; 3]) -> Planes {
    let of = |channel: usize| plane(width, height, |x, y| colour(x, y)[channel]).values;
    Planes {
        width,
        height,
        values: [of(0), of(1), of(2)]
            .concat()
            .into_iter()
            .map(|value| value as f32)
            .collect(),
    }
}

/// 1 and −1 from pixel to pixel.
fn sign(place: usize) -> f64 {
    if place.is_multiple_of(2) { 1.0 } else { -1.0 }
}

/// Numbers 0..1 that look independent.
fn noise(x: usize, y: usize, channel: usize) -> f64 {
    let mixed = [x, y, channel].iter().fold(0x9E37_79B9_u32, |mixed, &number| {
        let mixed = (mixed ^ number as u32).wrapping_mul(0x85EB_CA6B);
        (mixed ^ (mixed >> 13)).wrapping_mul(0xC2B2_AE35)
    });
    f64::from(mixed >> 8) / f64::from(1 << 24)
}

fn near(found: f64, expected: f64, tolerance: f64) {
    assert!(
        (found - expected).abs() <= tolerance,
        "{found} instead of {expected}"
    );
}

#[test]
fn a_picture_is_like_itself_and_like_a_lighter_one_by_the_formula() {
    let board = plane(24, 20, |x, y| 0.4 + 0.1 * sign(x + y));
    near(similarity::ssim(&board, &board), 1.0, 1e-12);
    // The same structure: what is left is (2 μ ν + C₁) / (μ² + ν² + C₁). The windows' means are nearly that of the board.
    let lighter = plane(24, 20, |x, y| 0.6 + 0.1 * sign(x + y));
    let expected = (2.0 * 0.4 * 0.6 + 1e-4) / (0.4 * 0.4 + 0.6 * 0.6 + 1e-4);
    near(similarity::ssim(&board, &lighter), expected, 1e-4);
    // The opposite structure: (C₂ − 2 σ²) / (C₂ + 2 σ²).
    let opposite = plane(24, 20, |x, y| 0.4 - 0.1 * sign(x + y));
    let expected = (9e-4 - 0.02) / (9e-4 + 0.02);
    near(similarity::ssim(&board, &opposite), expected, 1e-3);
}

#[test]
fn stripes_are_coherent_and_noise_is_not() {
    let wave = |phase: f64| 0.5 + 0.3 * phase.sin();
    let upright = plane(64, 48, |x, _| wave(0.9 * x as f64));
    near(Structure::of(&upright, 256).mean_coherence(), 1.0, 1e-9);
    // Only at the border, which repeats itself, do the gradients of slanting stripes turn.
    let slanting = plane(64, 48, |x, y| wave(0.5 * x as f64 + 0.4 * y as f64));
    let slanting = Structure::of(&slanting, 256).mean_coherence();
    assert!(slanting > 0.95, "{slanting}");
    let rough = Structure::of(&plane(64, 48, |x, y| noise(x, y, 0)), 256).mean_coherence();
    assert!(rough < 0.35, "{rough}");
    let flat = Structure::of(&plane(64, 48, |_, _| 0.3), 256);
    assert_eq!(flat.mean_coherence(), 0.0);
}

#[test]
fn strokes_are_looked_for_where_the_content_is_flat() {
    let half = |flat_on_the_left: bool| {
        let rough = move |x: usize| (x < 32) != flat_on_the_left;
        Structure::of(
            &plane(64, 48, |x, y| if rough(x) { noise(x, y, 0) } else { 0.5 }),
            256,
        )
    };
    let painting = plane(64, 48, |x, y| match x {
        0..32 => 0.5 + 0.3 * (0.9 * y as f64).sin(),
        _ => noise(x, y, 1),
    });
    let painting = Structure::of(&painting, 256);
    let (left, right) = (half(true), half(false));
    let strokes = painting.coherence_in_flats_of(&left);
    assert!(strokes > 0.9, "{strokes}");
    let rough = painting.coherence_in_flats_of(&right);
    assert!(rough < 0.4, "{rough}");
    // In a content without any gradient every pixel is flat.
    let empty = Structure::of(&plane(64, 48, |_, _| 0.5), 256);
    near(
        painting.coherence_in_flats_of(&empty),
        painting.mean_coherence(),
        1e-12,
    );
}

#[test]
fn the_flats_are_the_quarter_of_the_pixels_with_the_least_gradient_and_those_that_are_as_flat() {
    let structure = |energy: [f64; 8]| Structure {
        energy: energy.to_vec(),
        coherence: (0..8).map(|at| 0.1 * f64::from(at)).collect(),
    };
    let painting = structure([1.0; 8]);
    let steep = structure([7.0, 6.0, 1.0, 5.0, 4.0, 2.0, 3.0, 8.0]);
    near(painting.coherence_in_flats_of(&steep), 0.35, 1e-12);
    let empty = structure([7.0, 0.0, 0.0, 0.0, 4.0, 5.0, 6.0, 8.0]);
    near(painting.coherence_in_flats_of(&empty), 0.2, 1e-12);
}

#[test]
fn a_larger_picture_of_the_same_thing_is_as_coherent() {
    let texture = |scale: f64| {
        let size = |length: f64| (length * scale) as usize;
        let picture = plane(size(64.0), size(48.0), |x, y| {
            let (x, y) = (x as f64 / scale, y as f64 / scale);
            (0.7 * x + 0.3 * y).sin() + (0.2 * x - 0.8 * y).sin()
        });
        Structure::of(&picture, size(64.0) * 4).mean_coherence()
    };
    near(texture(2.0), texture(1.0), 0.05);
}

#[test]
fn the_detail_of_a_chessboard_is_its_amplitude() {
    // The binomial blur of a chessboard is its mean.
    let grey = HighPass::of(&planes(20, 16, |x, y| [0.5 + 0.1 * sign(x + y); 3]));
    near(grey.luma(), 0.01, 1e-7);
    near(grey.chroma(), 0.0, 1e-12);
    let red = HighPass::of(&planes(20, 16, |x, y| [0.5 + 0.1 * sign(x + y), 0.4, 0.3]));
    near(red.luma(), 0.01 * 0.299 * 0.299, 1e-8);
    near(
        red.chroma(),
        0.01 * (0.701 * 0.701 + 2.0 * 0.299 * 0.299) / 3.0,
        1e-8,
    );
    // A slope has no detail, and the border is not looked at.
    let slope = HighPass::of(&planes(20, 16, |x, y| [0.02 * x as f64, 0.03 * y as f64, 0.5]));
    near(slope.luma() + slope.chroma(), 0.0, 1e-12);
}

#[test]
fn the_weakest_axis_is_that_of_the_faintest_pattern() {
    let axes = [
        [1.0, 1.0, 1.0].map(|value: f64| value / 3.0_f64.sqrt()),
        [1.0, -1.0, 0.0].map(|value: f64| value / 2.0_f64.sqrt()),
        [1.0, 1.0, -2.0].map(|value: f64| value / 6.0_f64.sqrt()),
    ];
    // A chessboard, columns and rows: at right angles to each other over an even number of pixels.
    let picture = planes(20, 16, |x, y| {
        let patterns = [0.2 * sign(x + y), 0.1 * sign(x), 0.02 * sign(y)];
        [0, 1, 2].map(|c| 0.5 + (0..3).map(|k| patterns[k] * axes[k][c]).sum::<f64>())
    });
    let detail = HighPass::of(&picture);
    let weakest = detail.weakest_axis();
    let along: f64 = weakest.iter().zip(axes[2]).map(|(a, b)| a * b).sum();
    near(along.abs(), 1.0, 1e-5);
    near(detail.along(weakest), 0.02 * 0.02, 1e-7);
    near(detail.along(axes[1]), 0.1 * 0.1, 1e-7);
}

#[test]
fn a_colour_falls_into_the_bin_of_its_ratios() {
    // ln R/G = ln R/B = 1, which is the centre of bin 42: 6 · 42/63 − 3. −1 is that of bin 21, 0 lies between two.
    let dark = std::f64::consts::E.recip();
    let found = histogram::histogram(&planes(3, 2, |_, _| [1.0, dark, dark]));
    near(found.iter().sum(), 1.0, 1e-9);
    let greatest: Vec<(usize, usize)> = found
        .chunks_exact(64 * 64)
        .map(|plane| {
            let at = (0..plane.len()).fold(0, |most, at| if plane[at] > plane[most] { at } else { most });
            (at / 64, at % 64)
        })
        .collect();
    assert_eq!(greatest[0], (42, 42));
    for (u, v) in &greatest[1..] {
        assert!(*u == 21 && [31, 32].contains(v), "{greatest:?}");
    }
}

#[test]
fn equal_colours_have_no_distance_and_other_colours_nearly_all() {
    let picture = |scale: f64| {
        planes(12, 9, move |x, y| {
            [0, 1, 2].map(|c| scale * (0.1 + noise(x, y, c)))
        })
    };
    near(histogram::distance(&picture(0.8), &picture(0.8)), 0.0, 0.0);
    // Half the light changes no ratio.
    near(histogram::distance(&picture(0.8), &picture(0.4)), 0.0, 1e-4);
    let [red, blue] = [[0.9, 0.1, 0.1], [0.1, 0.1, 0.9]].map(|colour| planes(8, 8, |_, _| colour));
    let apart = histogram::distance(&red, &blue);
    assert!(apart > 0.8 && apart <= 1.0, "{apart}");
}

#[test]
fn half_of_two_histograms_in_common_is_a_distance_by_the_formula() {
    let one = [0.5, 0.5, 0.0];
    let other = [0.5, 0.0, 0.5];
    near(histogram::hellinger(&one, &other), 0.5_f64.sqrt(), 1e-12);
    near(
        histogram::hellinger(&[1.0, 0.0, 0.0], &[0.0, 0.0, 1.0]),
        1.0,
        1e-12,
    );
}

#[test]
fn two_places_that_become_alike_are_a_distance_by_the_formula() {
    // [C, H, W] = [2, 1, 2]: one place has the first channel, the other the second; then both have both.
    let (apart, alike) = ([1.0, 0.0, 0.0, 1.0], [2.0, 3.0, 2.0, 3.0]);
    let e = std::f64::consts::E;
    let (own, other) = (e / (e + 1.0), 1.0 / (e + 1.0));
    let to_alike = own * (2.0 * own).ln() + other * (2.0 * other).ln();
    near(self_similarity::distance(&apart, &alike, 2, 1), to_alike, 1e-6);
    let to_apart = -0.5 * ((2.0 * own).ln() + (2.0 * other).ln());
    near(self_similarity::distance(&alike, &apart, 2, 1), to_apart, 1e-6);
}

#[test]
fn self_similarity_sees_directions_of_activations_averaged_to_32_places() {
    let activations = |width: usize, height: usize, by: usize| -> Vec<f32> {
        let places = move |channel| {
            let place = move |at: usize| noise(at % width / by, at / width / by, channel) as f32;
            (0..width * height).map(place)
        };
        (0..5).flat_map(places).collect()
    };
    let (small, large) = (activations(32, 7, 1), activations(64, 14, 2));
    let stronger: Vec<f32> = small.iter().map(|value| 7.0 * value).collect();
    near(self_similarity::distance(&small, &small, 32, 7), 0.0, 0.0);
    near(self_similarity::distance(&small, &stronger, 32, 7), 0.0, 1e-6);
    let mirrored: [Vec<f32>; 2] = [&small, &large].map(|values| values.iter().rev().copied().collect());
    let expected = self_similarity::distance(&small, &mirrored[0], 32, 7);
    assert!(expected > 1e-3, "{expected}");
    near(
        self_similarity::distance(&large, &mirrored[1], 64, 14),
        expected,
        1e-5,
    );
}

#[test]
fn a_grey_picture_has_no_distance_from_grey_and_few_specks_do_not_reach_the_percentile() {
    let picture = |specks: usize| {
        let pixel = |at: usize| if at < specks { [10, 60, 100] } else { [70; 3] };
        Frame::from_rgb(20, 10, (0..200).flat_map(pixel).collect()).unwrap()
    };
    assert_eq!(grey::distance(&picture(0)), (0.0, 0.0));
    assert_eq!(grey::distance(&picture(2)), (0.9, 0.0));
    assert_eq!(grey::distance(&picture(3)), (1.35, 90.0));
}
