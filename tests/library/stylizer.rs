// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a stream of frames gets from the stylizer.

use crate::scene;
use neuralstyle::backend::CancelToken;
use neuralstyle::backend::cpu::Cpu;
use neuralstyle::backend::registry::Entry;
use neuralstyle::gatys::{Init, NetworkChoice, OptimizerKind};
use neuralstyle::stylizer::{BackendChoice, Controls, Error, Frame, Options, Report, Stylizer};

use crate::scene::Show;

const SIZE: (usize, usize) = (64, 48);

pub fn options() -> Options {
    Options {
        network: NetworkChoice::Tiny,
        working_size: 64,
        scales: 2,
        threads: 2,
        ..Options::default()
    }
}

fn controls() -> Controls {
    Controls {
        first_iterations: 6,
        iterations: 4,
        ..Controls::default()
    }
}

fn stylizer(options: &Options) -> (Stylizer, CancelToken) {
    let cancel = CancelToken::new();
    let mut stylizer = Stylizer::new(options, cancel.clone()).unwrap();
    stylizer.set_style(scene::style(70, 50, Show::Shapes(9)));
    (stylizer, cancel)
}

fn scene(seed: u64) -> Frame {
    scene::frame(SIZE.0, SIZE.1, Show::Shapes(seed))
}

fn paint(stylizer: &mut Stylizer, frame: &Frame, controls: &Controls) -> (Frame, Report) {
    let mut out = Frame::default();
    let report = stylizer.process(frame, &mut out, controls).unwrap();
    (out, report)
}

/// The same scene, two pixels further to the left with each of seven frames.
fn panned(index: usize) -> Frame {
    let wide = scene::frame(SIZE.0 + 14, SIZE.1, Show::Shapes(1));
    part(&wide, 2 * index, SIZE.0)
}

/// The `width` columns of a frame from `left` on.
fn part(frame: &Frame, left: usize, width: usize) -> Frame {
    let rows = frame.rgb().chunks_exact(frame.width() * 3);
    let rgb = rows.flat_map(|row| &row[left * 3..][..width * 3]).copied();
    Frame::from_rgb(width, frame.height(), rgb.collect()).unwrap()
}

/// What is finished.
fn pull(stylizer: &mut Stylizer) -> Vec<(Frame, Report)> {
    let mut out = Frame::default();
    std::iter::from_fn(|| {
        let ((), report) = stylizer.pull(&mut out)?;
        Some((std::mem::take(&mut out), report))
    })
    .collect()
}

#[test]
fn a_backend_that_is_handed_over_paints_as_one_that_is_named_and_stops_when_it_is_told_to() {
    let named = as_first(&scene(1));
    let defaults = Entry::named("cpu").unwrap().defaults;
    let cancel = CancelToken::new();
    // The choice of a backend does not count.
    let options = Options {
        backend: BackendChoice::Reference,
        ..options()
    };
    let open = |cancel| Cpu::new(2, cancel);
    let mut stylizer = Stylizer::<()>::on(&options, cancel.clone(), defaults, open).unwrap();
    stylizer.set_style(scene::style(70, 50, Show::Shapes(9)));
    assert!(paint(&mut stylizer, &scene(1), &controls()).0 == named);
    cancel.cancel();
    let answer = stylizer.push(&scene(1), &controls(), ());
    assert!(matches!(answer, Err(Error::Cancelled)), "{answer:?}");
}

/// What a frame becomes when it is the first.
fn as_first(frame: &Frame) -> Frame {
    paint(&mut stylizer(&options()).0, frame, &controls()).0
}

/// Mean difference of two pictures in steps of a byte.
fn apart(a: &Frame, b: &Frame) -> f64 {
    let pairs = a.rgb().iter().zip(b.rgb());
    pairs.map(|(&a, &b)| f64::from(a.abs_diff(b))).sum::<f64>() / a.rgb().len() as f64
}

#[test]
fn the_longer_side_is_reduced_to_the_working_size_and_the_output_is_the_frames() {
    for (frame, working_size, expected) in [
        ((128, 96), 64, (64, 48)),
        ((40, 100), 50, (20, 50)),
        ((64, 48), 256, (64, 48)),
        ((1, 1), 64, (16, 16)),
        ((300, 3), 64, (64, 16)),
        ((33, 17), 0, (33, 17)),
    ] {
        let (mut stylizer, _) = stylizer(&Options {
            working_size,
            ..options()
        });
        let (out, _) = paint(
            &mut stylizer,
            &scene::frame(frame.0, frame.1, Show::Shapes(1)),
            &controls(),
        );
        assert_eq!((out.width(), out.height()), frame);
        let stats = stylizer.stats();
        assert_eq!((stats.working_width, stats.working_height), expected, "{frame:?}");
    }
}

#[test]
fn a_new_scene_owes_nothing_to_the_one_before() {
    let (mut stylizer, _) = stylizer(&options());
    let old = scene::frame(SIZE.0, SIZE.1, Show::Colour([250, 240, 20]));
    let new = scene(1);
    paint(&mut stylizer, &old, &controls());
    paint(&mut stylizer, &old, &controls());
    let (out, report) = paint(&mut stylizer, &new, &controls());
    assert!(report.restarted && report.keyframe);
    assert!(out == as_first(&new));
}

#[test]
fn restarting_forgets_everything() {
    let (mut stylizer, _) = stylizer(&options());
    let controls = Controls {
        temporal_weight: Some(5.0),
        ..controls()
    };
    let (first, _) = paint(&mut stylizer, &scene(1), &controls);
    let (second, report) = paint(&mut stylizer, &scene(1), &controls);
    assert!(!report.restarted && second != first);
    stylizer.restart();
    let (again, report) = paint(&mut stylizer, &scene(1), &controls);
    assert!(report.restarted && again == first);
}

#[test]
fn another_size_of_frames_is_a_fresh_start() {
    let (mut stylizer, _) = stylizer(&options());
    let (expected, _) = paint(&mut stylizer, &scene(1), &controls());
    paint(&mut stylizer, &scene::frame(31, 57, Show::Shapes(1)), &controls());
    let (out, report) = paint(&mut stylizer, &scene(1), &controls());
    assert!(report.restarted && out == expected);
}

#[test]
fn a_new_style_shows_in_the_next_frame() {
    let (mut stylizer, _) = stylizer(&options());
    let controls = Controls {
        keyframe_interval: 8,
        ..controls()
    };
    stylizer.push(&scene(1), &controls, ()).unwrap();
    stylizer.push(&scene(1), &controls, ()).unwrap();
    let noise = || scene::style(30, 30, Show::Noise(4));
    stylizer.set_style(noise());
    stylizer.push(&scene(1), &controls, ()).unwrap();
    let outs = pull(&mut stylizer);
    let reports: Vec<_> = outs.iter().map(|(_, report)| report.keyframe).collect();
    assert_eq!(
        reports,
        [true, false, true],
        "it does not wait for the next keyframe"
    );
    let [_, (before, _), (after, _)] = outs.try_into().unwrap();
    assert!(apart(&before, &after) > 4.0, "{}", apart(&before, &after));
    // Nothing is left of the old style.
    let mut fresh = Stylizer::new(&options(), CancelToken::new()).unwrap();
    fresh.set_style(noise());
    assert!(after == paint(&mut fresh, &scene(1), &controls).0);
}

#[test]
fn no_strength_is_the_frame_and_half_is_the_middle() {
    // Also where the result is smaller than the frame, whose detail is added back.
    for working_size in [64, 24] {
        let paint_with = |strength: f64| {
            let (mut stylizer, _) = stylizer(&Options {
                working_size,
                ..options()
            });
            let controls = Controls {
                strength,
                ..controls()
            };
            paint(&mut stylizer, &scene(1), &controls).0
        };
        let (none, half, full) = (paint_with(0.0), paint_with(0.5), paint_with(1.0));
        assert!(none == scene(1));
        assert!(apart(&none, &full) > 4.0);
        for ((&none, &half), &full) in none.rgb().iter().zip(half.rgb()).zip(full.rgb()) {
            let middle = (f64::from(none) + f64::from(full)) / 2.0;
            // What was cut off at black and white is not known here.
            if full > 0 && full < 255 {
                assert!((f64::from(half) - middle).abs() <= 1.01, "{none} {half} {full}");
            }
        }
    }
}

/// Cancelled at each of the first steps in turn, and before any.
#[test]
fn a_cancelled_frame_says_so_and_the_next_is_as_good_as_ever() {
    let expected = as_first(&scene(1));
    for at in [0, 1, 2, 5, 9] {
        let (mut stylizer, cancel) = stylizer(&options());
        let (mut step, token) = (0, cancel.clone());
        stylizer.set_observer(Some(Box::new(move |_| {
            step += 1;
            if step == at {
                token.cancel();
            }
        })));
        if at == 0 {
            cancel.cancel();
        }
        let mut out = Frame::default();
        let answer = stylizer.process(&scene(1), &mut out, &controls());
        assert!(
            matches!(answer, Err(Error::Cancelled)),
            "at step {at}: {answer:?}"
        );
        // It stays so until the wish is taken back.
        let answer = stylizer.process(&scene(1), &mut out, &controls());
        assert!(
            matches!(answer, Err(Error::Cancelled)),
            "after step {at}: {answer:?}"
        );
        cancel.rearm();
        stylizer.set_observer(None);
        assert!(
            paint(&mut stylizer, &scene(1), &controls()).0 == expected,
            "at step {at}"
        );
    }
}

/// A fresh start that was cancelled left nothing to go on from: neither the old scene nor half of the new one.
#[test]
fn a_cancelled_cut_is_still_a_cut() {
    for init in [Init::Matched, Init::Previous] {
        let options = Options { init, ..options() };
        let expected = paint(&mut stylizer(&options).0, &scene(1), &controls()).0;
        let (mut stylizer, cancel) = stylizer(&options);
        paint(
            &mut stylizer,
            &scene::frame(SIZE.0, SIZE.1, Show::Colour([250, 240, 20])),
            &controls(),
        );
        let (mut step, token) = (0, cancel.clone());
        stylizer.set_observer(Some(Box::new(move |_| {
            step += 1;
            if step == 3 {
                token.cancel();
            }
        })));
        let answer = stylizer.process(&scene(1), &mut Frame::default(), &controls());
        assert!(matches!(answer, Err(Error::Cancelled)), "{answer:?}");
        cancel.rearm();
        stylizer.set_observer(None);
        let (out, report) = paint(&mut stylizer, &scene(1), &controls());
        assert!(report.restarted, "{init:?}");
        assert!(out == expected, "{init:?}");
    }
}

/// Nor does a frame within a scene that was cancelled: its content may be there already, and its picture not yet.
#[test]
fn after_a_cancelled_frame_the_next_is_a_fresh_start() {
    let (mut stylizer, cancel) = stylizer(&options());
    paint(&mut stylizer, &scene(1), &controls());
    let token = cancel.clone();
    stylizer.set_observer(Some(Box::new(move |_| token.cancel())));
    let answer = stylizer.process(&scene(1), &mut Frame::default(), &controls());
    assert!(matches!(answer, Err(Error::Cancelled)), "{answer:?}");
    cancel.rearm();
    stylizer.set_observer(None);
    let (out, report) = paint(&mut stylizer, &scene(1), &controls());
    assert!(report.restarted && out == as_first(&scene(1)));
}

#[test]
fn frames_between_keyframes_move_along_and_only_keyframes_take_steps() {
    let (mut stylizer, _) = stylizer(&options());
    let controls = Controls {
        keyframe_interval: 3,
        cut_threshold: 1.0,
        ..controls()
    };
    for index in 0..7 {
        stylizer.push(&panned(index), &controls, ()).unwrap();
    }
    let outs = pull(&mut stylizer);
    for (_, report) in &outs {
        assert_eq!(report.iterations > 0, report.keyframe);
    }
    for (index, pair) in outs.windows(2).enumerate() {
        let change = apart(&pair[0].0, &pair[1].0);
        assert!(change > 0.5, "frame {} is frozen: {change}", index + 1);
    }
    let keyframes: Vec<_> = outs.iter().map(|(_, report)| report.keyframe).collect();
    assert_eq!(keyframes, [true, false, false, true, false, false, true]);
}

/// Four steps at the rate of the steady state move a pixel by five bytes if all go the same way. In a still scene they
/// nearly cancel, and do so for as long as it lasts.
#[test]
fn a_still_scene_stays_still() {
    let (mut stylizer, _) = stylizer(&options());
    let controls = Controls {
        first_iterations: 30,
        temporal_weight: Some(1.0),
        ..controls()
    };
    let mut last = paint(&mut stylizer, &scene(1), &controls).0;
    let mut changes = Vec::new();
    for _ in 0..12 {
        let (out, report) = paint(&mut stylizer, &scene(1), &controls);
        assert!(!report.restarted);
        changes.push(apart(&last, &out));
        last = out;
    }
    println!("mean changes in bytes: {changes:.2?}");
    assert!(changes[0] < 5.0, "{changes:?}");
    assert!(changes[1..].iter().all(|&change| change < 3.0), "{changes:?}");
}

#[test]
fn a_start_whose_numbers_go_bad_is_begun_again_at_a_tenth_of_the_rate() {
    let options = Options {
        optimizer: OptimizerKind::Sgd,
        scales: 1,
        ..options()
    };
    let steps_at = |rate: f64| {
        let controls = Controls {
            learning_rate: Some(rate),
            ..controls()
        };
        let (mut stylizer, _) = stylizer(&options);
        let answer = stylizer.process(&scene(1), &mut Frame::default(), &controls);
        answer.ok().map(|report| report.iterations)
    };
    // From what is fine to what is too much, a tenth of it, too.
    let steps: Vec<_> = (0..8).map(|power| steps_at(0.1 * 8.0f64.powi(power))).collect();
    println!("{steps:?}");
    assert_eq!(steps[0], Some(controls().first_iterations));
    assert!(
        steps.contains(&Some(2 * controls().first_iterations)),
        "{steps:?}"
    );
}

/// The variance of a flat frame is nothing but rounding, and may come out below zero.
#[test]
fn flat_frames_go_on_as_others_do() {
    for (value, size) in [
        (0, SIZE),
        (0, (160, 90)),
        (1, (96, 54)),
        (77, (50, 33)),
        (255, (160, 90)),
    ] {
        let (mut stylizer, _) = stylizer(&options());
        let frame = Frame::from_rgb(size.0, size.1, vec![value; size.0 * size.1 * 3]).unwrap();
        for number in 0..3 {
            let (_, report) = paint(&mut stylizer, &frame, &controls());
            assert_eq!(
                report.restarted,
                number == 0,
                "{value} at {size:?}, frame {number}"
            );
        }
    }
}

#[test]
fn the_less_steady_a_film_is_the_more_its_strokes_change() {
    let film = |steadiness: f64| {
        let controls = Controls {
            steadiness,
            cut_threshold: 1.0,
            first_iterations: 12,
            ..controls()
        };
        let (mut stylizer, _) = stylizer(&options());
        let outs = [0, 1, 2, 3].map(|index| paint(&mut stylizer, &panned(index), &controls).0);
        let changes = outs.windows(2).map(|pair| {
            let (before, now) = (part(&pair[0], 2, SIZE.0 - 2), part(&pair[1], 0, SIZE.0 - 2));
            apart(&before, &now)
        });
        (changes.sum::<f64>() / 3.0, outs[3].clone())
    };
    let films = [1.0, 0.75, 0.5, 0.25, 0.0].map(film);
    println!(
        "mean changes in bytes: {:.2?}",
        films.each_ref().map(|film| film.0)
    );
    assert!(films.windows(2).all(|pair| pair[0].0 < pair[1].0));
    let controls = Controls {
        first_iterations: 12,
        ..controls()
    };
    let alone = paint(&mut stylizer(&options()).0, &panned(3), &controls).0;
    assert!(films[4].1 == alone, "each frame on its own");
}

#[test]
fn without_a_style_there_is_nothing_to_paint() {
    let mut stylizer = Stylizer::new(&options(), CancelToken::new()).unwrap();
    let answer = stylizer.process(&scene(1), &mut Frame::default(), &controls());
    assert!(matches!(answer, Err(Error::NoStyle)));
    stylizer.set_style(scene::style(70, 50, Show::Shapes(9)));
    assert!(paint(&mut stylizer, &scene(1), &controls()).0 == as_first(&scene(1)));
}

#[test]
fn the_figures_add_up() {
    let (mut stylizer, _) = stylizer(&options());
    let controls = Controls {
        keyframe_interval: 2,
        ..controls()
    };
    for _ in 0..3 {
        stylizer.push(&scene(1), &controls, ()).unwrap();
    }
    let outs = pull(&mut stylizer);
    let iterations: usize = outs.iter().map(|(_, report)| report.iterations).sum();
    let stats = stylizer.stats();
    assert_eq!((stats.frames, stats.keyframes), (3, 2));
    assert_eq!(stats.iterations, iterations as u64);
    assert_eq!((stats.backend.as_str(), stats.network.as_str()), ("cpu", "tiny"));
    assert!(stats.planned_bytes > 64 * 48 * 3 * 4 && stats.losses.total > 0.0);
    assert!(stats.bytes_in_use > stats.planned_bytes);
}

#[test]
fn the_scale_of_the_style_may_change_while_playing() {
    let scaled = |style_scale| Controls {
        style_scale,
        ..controls()
    };
    let as_first = |scale| paint(&mut stylizer(&options()).0, &scene(1), &scaled(scale)).0;
    let usual = as_first(1.0);
    for scale in [0.25, 2.0, 4.0] {
        let other = as_first(scale);
        assert!(apart(&usual, &other) > 1.0, "{scale}: {}", apart(&usual, &other));
    }
    // In the same scene what comes after a change is another painting than what would have come without.
    let film = |scales: [f64; 3]| {
        let (mut stylizer, _) = stylizer(&options());
        scales.map(|scale| {
            let out = paint(&mut stylizer, &scene(1), &scaled(scale)).0;
            (out, stylizer.stats().style_enlarged)
        })
    };
    let (constant, changed) = (film([0.25, 0.25, 0.25]), film([0.25, 4.0, 0.25]));
    assert!(constant[0].0 == changed[0].0);
    assert!(constant[1].0 != changed[1].0);
    // A style of 70×50 pixels less its border, for a painting of 64×48.
    let enlarged = |scale: f64| scale * (64.0 * 48.0 / (66.0 * 46.0_f64)).sqrt();
    for ((_, found), scale) in changed.iter().zip([0.25, 4.0, 0.25]) {
        assert!((found - enlarged(scale)).abs() < 0.05, "{found} {scale}");
    }
}
