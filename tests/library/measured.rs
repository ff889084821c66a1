// SPDX-License-Identifier: MIT OR Apache-2.0

//! The figures of `neuralstyle measure flicker` say what they are said to say.

use crate::figures::{Look, Trusted, change, drift, warping_error};
use crate::judge::Judge;
use crate::scenes::{NAMES, Scene};
use neuralstyle::gatys::NetworkChoice;
use neuralstyle::motion::Flow;
use neuralstyle::stylizer::Frame;

fn frame(width: usize, height: usize, colour: impl Fn(usize, usize) -> [u8; 3]) -> Frame {
    let mut frame = Frame::new(width, height);
    for (at, pixel) in frame.rgb_mut().chunks_exact_mut(3).enumerate() {
        pixel.copy_from_slice(&colour(at % width, at / width));
    }
    frame
}

/// A picture that is nowhere like its neighbourhood.
fn speckled(width: usize, height: usize) -> Frame {
    let value =
        |x: usize, y: usize, channel: usize| ((x * 7919 + y * 104_729 + channel * 31) % 20 * 10) as u8;
    frame(width, height, |x, y| {
        [value(x, y, 0), value(x, y, 1), value(x, y, 2)]
    })
}

fn shift(width: usize, height: usize, u: f32, v: f32) -> Trusted {
    let mut trusted = Trusted::still(width, height);
    trusted.flow.u.fill(u);
    trusted.flow.v.fill(v);
    trusted
}

#[test]
fn a_clip_that_follows_its_motion_exactly_has_no_warping_error() {
    let now = speckled(20, 12);
    let colour = |x: usize, y: usize| now.rgb()[(y * 20 + x) * 3..][..3].try_into().unwrap();
    let then = frame(20, 12, |x, y| colour((x + 18) % 20, (y + 11) % 12));
    let motion = shift(20, 12, 2.0, 1.0);
    let mask: Vec<f32> = (0..240)
        .map(|at| f32::from(u8::from(at % 20 < 18 && at < 220)))
        .collect();
    assert_eq!(warping_error(&now, &then, &motion.flow, &mask), Some(0.0));
    // What is not looked at does not count; elsewhere it does, and a clip without motion is another one.
    let all = vec![1.0; 240];
    assert!(warping_error(&now, &then, &motion.flow, &all).unwrap() > 0.01);
    assert!(warping_error(&now, &then, &Flow::new(20, 12), &mask).unwrap() > 0.01);
    assert_eq!(warping_error(&now, &then, &motion.flow, &[0.0; 240]), None);
}

#[test]
fn the_scenes_follow_their_motion() {
    for name in NAMES
        .iter()
        .filter(|name| !["noise", "noisy-pan", "light"].contains(name))
    {
        let scene = Scene::named(name, 96, 56).unwrap();
        let (now, then) = (scene.frame(3), scene.frame(4));
        let mask: Vec<f32> = scene
            .visible(3, 4)
            .into_iter()
            .map(|sees| f32::from(u8::from(sees)))
            .collect();
        let error = warping_error(&now, &then, &scene.flow(3, 4), &mask).unwrap();
        // Two roundings to bytes are 1e-6; the outlines of an object are mixed anew from frame to frame.
        let bound = if *name == "object" { 1e-3 } else { 2e-5 };
        assert!(error < bound, "{name}: {error}");
    }
}

#[test]
fn a_clip_that_brightens_by_a_tenth_errs_by_the_square_of_it() {
    let now = speckled(16, 16);
    let mut then = now.clone();
    then.rgb_mut().iter_mut().for_each(|value| *value += *value / 10);
    let squares = now
        .rgb()
        .iter()
        .map(|&value| (0.1 * f64::from(value) / 255.0).powi(2));
    let expected = squares.sum::<f64>() / (16.0 * 16.0 * 3.0);
    let still = Trusted::still(16, 16);
    let error = warping_error(&now, &then, &still.flow, &still.trust).unwrap();
    assert!(
        (error / expected - 1.0).abs() < 1e-6,
        "{error} instead of {expected}"
    );
    let mean = now.rgb().iter().map(|&value| f64::from(value)).sum::<f64>() / (16.0 * 16.0 * 3.0);
    assert!((change(&now, &then) - 0.1 * mean).abs() < 1e-9);
}

#[test]
fn flows_after_one_another_add_up_and_trust_is_lost_beyond_the_frame() {
    let (one, other) = (shift(8, 6, 1.5, -0.5), shift(8, 6, 0.75, 0.25));
    let both = one.then(&other);
    assert!(both.flow.u.iter().all(|&u| u == 2.25));
    assert!(both.flow.v.iter().all(|&v| v == -0.25));
    // One and a half pixels to the right of columns 6 and 7 there is nothing.
    let seen: Vec<bool> = both.trust[8..16].iter().map(|&trust| trust == 1.0).collect();
    assert_eq!(seen, [true, true, true, true, true, true, true, false]);
    let doubtful = Trusted {
        trust: vec![0.5; 48],
        ..other
    };
    assert_eq!(one.then(&doubtful).trust[10], 0.5);
}

#[test]
fn only_what_the_input_does_not_do_is_a_drift() {
    let grey = |value: u8| Look::of(&frame(8, 8, |_, _| [value; 3]));
    let fading: Vec<Look> = (0..40).map(|index| grey(100 + index)).collect();
    let brightness = |look: &Look| look.brightness;
    assert!(drift(&fading, &fading, brightness).abs() < 1e-12);
    // From the mean of 100 … 109 to that of 130 … 139, over an input that stays.
    let steady = vec![grey(50); 40];
    let expected = 30.0 / 104.5;
    assert!((drift(&fading, &steady, brightness) - expected).abs() < 1e-9);
}

#[test]
fn brightness_spread_and_high_frequencies_of_a_chessboard_are_known() {
    // Luma 120 ± 30: the binomial blur of a chessboard is its mean, except where the border repeats itself.
    let board = Look::of(&frame(200, 200, |x, y| {
        [if (x + y).is_multiple_of(2) { 90 } else { 150 }; 3]
    }));
    assert!((board.brightness - 120.0 / 255.0).abs() < 1e-9);
    assert!((board.spread - 30.0 / 255.0).abs() < 1e-9);
    let expected = (30.0f64 / 255.0).powi(2);
    assert!(
        (board.high_frequencies / expected - 1.0).abs() < 0.03,
        "{board:?}"
    );
    let flat = Look::of(&frame(9, 9, |_, _| [70, 80, 90]));
    assert!(flat.spread < 1e-12 && flat.high_frequencies < 1e-24);
}

#[test]
fn a_style_has_no_loss_against_itself_and_grey_has_much() {
    let style = Scene::named("still", 64, 48).unwrap().frame(0);
    let mut judge = Judge::new(NetworkChoice::Tiny, &style, (64, 48)).unwrap();
    assert!(judge.loss(&style).unwrap() < 1e-9);
    let grey = judge.loss(&frame(64, 48, |_, _| [128; 3])).unwrap();
    assert!(grey > 0.3, "{grey}");
}

#[test]
fn an_area_is_judged_by_its_own_pixels() {
    let style = Scene::named("still", 64, 48).unwrap().frame(0);
    let mut judge = Judge::new(NetworkChoice::Tiny, &style, (64, 48)).unwrap();
    // Grey to the right of the middle.
    let colour = |x: usize, y: usize| style.rgb()[(y * 64 + x) * 3..][..3].try_into().unwrap();
    let half = frame(64, 48, |x, y| if x < 32 { colour(x, y) } else { [128; 3] });
    let area = |inside: fn(usize) -> bool| -> Vec<f32> {
        (0..64 * 48)
            .map(|at| f32::from(u8::from(inside(at % 64))))
            .collect()
    };
    let (all, left, right) = (area(|_| true), area(|x| x < 32), area(|x| x >= 32));
    let losses = judge.losses(&half, &[&all, &left, &right]).unwrap();
    assert!((losses[1] / losses[0] - 1.0).abs() < 1e-4, "{losses:?}");
    assert!(losses[2] < losses[0] && losses[0] < losses[3], "{losses:?}");
}
