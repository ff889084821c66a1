// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a stream gets from the stylizer when no frame may wait.

use crate::scene;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use neuralstyle::backend::CancelToken;
use neuralstyle::gatys::{NetworkChoice, OptimizerKind, Step};
use neuralstyle::stylizer::{Controls, Error, Frame, Mode, Options, Report, StylePicture, Stylizer};

use crate::scene::Show;

const SIZE: (usize, usize) = (64, 48);
/// A number of steps that no test lives to see the end of.
const DAYS: usize = 1_000_000;
/// More frames than it ever takes until something that must happen has happened.
const PATIENCE: usize = 1_000_000;

fn options() -> Options {
    Options {
        network: NetworkChoice::Tiny,
        working_size: 64,
        scales: 2,
        threads: 1,
        mode: Mode::Live,
        ..Options::default()
    }
}

fn controls() -> Controls {
    Controls {
        first_iterations: 12,
        iterations: 4,
        ..Controls::default()
    }
}

fn style() -> Arc<StylePicture> {
    scene::style(70, 50, Show::Shapes(9))
}

fn stylizer() -> (Stylizer, CancelToken) {
    let cancel = CancelToken::new();
    let mut stylizer = Stylizer::new(&options(), cancel.clone()).unwrap();
    stylizer.set_style(style());
    (stylizer, cancel)
}

fn scene(seed: u64) -> Frame {
    scene::frame(SIZE.0, SIZE.1, Show::Shapes(seed))
}

fn show(stylizer: &mut Stylizer, frame: &Frame) -> (Frame, Report) {
    let mut out = Frame::default();
    let report = stylizer.process(frame, &mut out, &controls()).unwrap();
    (out, report)
}

/// Shows a frame again and again until something is true of what is shown.
fn show_until(stylizer: &mut Stylizer, frame: &Frame, enough: impl Fn(&Frame, &Report) -> bool) -> Frame {
    for _ in 0..PATIENCE {
        let (out, report) = show(stylizer, frame);
        if enough(&out, &report) {
            return out;
        }
        std::thread::yield_now();
    }
    panic!("this will never be");
}

/// Shows a frame until it has been painted so often.
fn show_keyframes(stylizer: &mut Stylizer, frame: &Frame, count: usize) -> Frame {
    let mut out = Frame::default();
    for _ in 0..count {
        out = show_until(stylizer, frame, |_, report| report.keyframe);
    }
    out
}

/// Mean difference of two pictures in steps of a byte.
fn apart(a: &Frame, b: &Frame) -> f64 {
    let pairs = a.rgb().iter().zip(b.rgb());
    pairs.map(|(&a, &b)| f64::from(a.abs_diff(b))).sum::<f64>() / a.rgb().len() as f64
}

/// Somebody who watches each step of the painting, and has it wait until he has seen it.
struct Gate {
    steps: Receiver<Step>,
    go_on: Sender<()>,
}

impl Gate {
    fn on(stylizer: &mut Stylizer) -> Self {
        let (tell, steps) = mpsc::channel();
        let (go_on, wait) = mpsc::channel();
        stylizer.set_observer(Some(Box::new(move |step| {
            // Who does not listen any more does not want to stop it either.
            let _ = tell.send(*step);
            let _ = wait.recv();
        })));
        Self { steps, go_on }
    }

    /// Waits for the next step; the painting stands still after it.
    fn step(&self) -> Step {
        self.steps.recv().expect("there is a step")
    }

    fn pass(&self) {
        self.go_on.send(()).expect("the painting goes on");
    }
}

/// What is shown of a frame before any of it is painted.
fn unpainted(frame: &Frame, style: Arc<StylePicture>) -> Frame {
    let mut stylizer = Stylizer::new(&options(), CancelToken::new()).unwrap();
    stylizer.set_style(style);
    let _gate = Gate::on(&mut stylizer);
    show(&mut stylizer, frame).0
}

/// What the frame becomes when it is waited for.
fn painted(frame: &Frame, style: Arc<StylePicture>) -> Frame {
    let options = Options {
        mode: Mode::Offline,
        ..options()
    };
    let mut stylizer = Stylizer::new(&options, CancelToken::new()).unwrap();
    stylizer.set_style(style);
    show(&mut stylizer, frame).0
}

/// Whether a picture is nearer to what the painting should be than to what was there before it.
fn is_painted(out: &Frame, frame: &Frame, style: &Arc<StylePicture>) -> bool {
    apart(out, &painted(frame, style.clone())) < 0.5 * apart(out, &unpainted(frame, style.clone()))
}

#[test]
fn frames_pass_while_the_painting_stands_still() {
    let (mut stylizer, _) = stylizer();
    let gate = Gate::on(&mut stylizer);
    let expected = unpainted(&scene(1), style());
    assert!(apart(&expected, &scene(1)) > 4.0, "the style has other colours");
    let first = show(&mut stylizer, &scene(1)).0;
    assert!(first == expected);
    gate.step();
    for _ in 0..20 {
        let (out, report) = show(&mut stylizer, &scene(1));
        assert!(!report.keyframe && !report.restarted);
        assert!(apart(&out, &expected) < 0.5, "{}", apart(&out, &expected));
    }
    assert_eq!(stylizer.stats().frames, 21);
    assert_eq!(stylizer.stats().keyframes, 0);
}

#[test]
fn the_painting_arrives() {
    let (mut stylizer, _) = stylizer();
    let out = show_until(&mut stylizer, &scene(1), |_, report| report.keyframe);
    assert!(is_painted(&out, &scene(1), &style()));
    let stats = stylizer.stats();
    assert!(stats.keyframes >= 1 && stats.iterations >= 12 && stats.losses.total > 0.0);
    assert_eq!((stats.working_width, stats.working_height), SIZE);
    assert!(stats.bytes_in_use > stats.planned_bytes && stats.planned_bytes > 0);
}

#[test]
fn half_a_painting_is_shown_before_the_whole() {
    let (mut stylizer, _) = stylizer();
    let gate = Gate::on(&mut stylizer);
    show(&mut stylizer, &scene(1));
    while gate.step().scale > 0 {
        gate.pass();
    }
    let (out, report) = show(&mut stylizer, &scene(1));
    assert!(!report.keyframe);
    let (before, after) = (unpainted(&scene(1), style()), painted(&scene(1), style()));
    assert!(apart(&out, &after) < apart(&before, &after), "it is on the way");
}

/// On a slow machine even half of it takes long.
#[test]
fn a_painting_that_takes_long_is_shown_while_it_is_made() {
    let (mut stylizer, _) = stylizer();
    let gate = Gate::on(&mut stylizer);
    let (before, _) = show(&mut stylizer, &scene(1));
    let first = gate.step();
    assert!(show(&mut stylizer, &scene(1)).0 == before);
    // As if this step had taken so long.
    std::thread::sleep(Duration::from_millis(250));
    gate.pass();
    let second = gate.step();
    assert!(
        first.scale > 0 && second.scale == first.scale,
        "it is small still"
    );
    let (out, report) = show(&mut stylizer, &scene(1));
    assert!(!report.keyframe);
    let after = painted(&scene(1), style());
    assert!(apart(&out, &after) < apart(&before, &after), "it is on the way");
}

#[test]
fn a_still_scene_is_refined_without_a_jump() {
    let (mut stylizer, _) = stylizer();
    // What is shown goes from half of the first painting to all of it in some keyframes.
    let mut last = show_keyframes(&mut stylizer, &scene(1), 6);
    for _ in 0..12 {
        let out = show_until(&mut stylizer, &scene(1), |_, report| report.keyframe);
        assert!(apart(&last, &out) < 3.0, "{}", apart(&last, &out));
        last = out;
    }
    assert!(is_painted(&last, &scene(1), &style()));
}

#[test]
fn after_a_cut_nothing_of_the_scene_before_is_shown_or_finished() {
    let (mut stylizer, _) = stylizer();
    let old = scene::frame(SIZE.0, SIZE.1, Show::Colour([250, 240, 20]));
    show_until(&mut stylizer, &old, |_, report| report.keyframe);
    // The old scene is in the middle of its next keyframe.
    let gate = Gate::on(&mut stylizer);
    show(&mut stylizer, &old);
    let mut step = gate.step();
    while step.of != controls().iterations || step.done != 1 {
        gate.pass();
        show(&mut stylizer, &old);
        step = gate.step();
    }
    let (out, report) = show(&mut stylizer, &scene(1));
    assert!(report.restarted);
    assert!(out == unpainted(&scene(1), style()));
    gate.pass();
    let next = gate.step();
    assert_eq!(next.done, 1, "the rest of the old keyframe was not waited for");
    assert_ne!(
        next.of,
        controls().iterations,
        "the new scene starts coarse to fine"
    );
    stylizer.set_observer(None);
    drop(gate);
    let out = show_until(&mut stylizer, &scene(1), |_, report| report.keyframe);
    assert!(is_painted(&out, &scene(1), &style()));
}

#[test]
fn a_new_style_shows_at_once_and_is_painted_then() {
    let (mut stylizer, _) = stylizer();
    show_until(&mut stylizer, &scene(1), |_, report| report.keyframe);
    let other = scene::style(40, 40, Show::Noise(4));
    stylizer.set_style(other.clone());
    let (out, _) = show(&mut stylizer, &scene(1));
    assert!(apart(&out, &unpainted(&scene(1), other.clone())) < 0.5);
    let out = show_keyframes(&mut stylizer, &scene(1), 6);
    assert!(is_painted(&out, &scene(1), &other));
}

/// A part of a wide scene, `left` pixels from its left edge.
fn view(wide: &Frame, left: usize) -> Frame {
    let rows = wide.rgb().chunks_exact(wide.width() * 3);
    let bytes = rows
        .flat_map(|row| row[left * 3..][..SIZE.0 * 3].to_vec())
        .collect();
    Frame::from_rgb(SIZE.0, SIZE.1, bytes).unwrap()
}

/// Mean difference of the columns of `a` from those of `b` that are `shift` further right.
fn apart_shifted(a: &Frame, b: &Frame, shift: usize) -> f64 {
    let inside = SIZE.0 - 2 * shift;
    let columns = |frame: &Frame, left: usize| {
        let rows = frame.rgb().chunks_exact(SIZE.0 * 3);
        rows.flat_map(|row| row[left * 3..][..inside * 3].to_vec())
            .collect::<Vec<u8>>()
    };
    let (a, b) = (columns(a, 0), columns(b, shift));
    let sum: f64 = a.iter().zip(&b).map(|(&a, &b)| f64::from(a.abs_diff(b))).sum();
    sum / a.len() as f64
}

#[test]
fn the_painting_moves_with_the_scene_while_nothing_is_painted() {
    let (mut stylizer, _) = stylizer();
    let wide = scene::frame(SIZE.0 + 40, SIZE.1, Show::Shapes(5));
    show_until(&mut stylizer, &view(&wide, 0), |_, report| report.keyframe);
    // From here on nothing is finished; what was begun before may still come in once.
    let gate = Gate::on(&mut stylizer);
    let mut before = show(&mut stylizer, &view(&wide, 0)).0;
    while gate.steps.try_recv().is_err() {
        before = show(&mut stylizer, &view(&wide, 0)).0;
    }
    let mut now = before.clone();
    for left in 1..=8 {
        let (out, report) = show(&mut stylizer, &view(&wide, left));
        assert!(!report.restarted);
        now = out;
    }
    let (moved, stayed) = (apart_shifted(&now, &before, 8), apart(&now, &before));
    assert!(moved < 0.4 * stayed, "{moved} {stayed}");
}

#[test]
fn who_drops_it_in_the_middle_of_a_painting_of_days_waits_for_a_step_at_most() {
    let (mut stylizer, _) = stylizer();
    let held = Arc::new(Mutex::new(0));
    let (tell, begun) = mpsc::channel();
    let counter = held.clone();
    stylizer.set_observer(Some(Box::new(move |_| {
        *counter.lock().unwrap() += 1;
        let _ = tell.send(());
    })));
    let controls = Controls {
        first_iterations: DAYS,
        ..controls()
    };
    stylizer
        .process(&scene(1), &mut Frame::default(), &controls)
        .unwrap();
    begun.recv().unwrap();
    drop(stylizer);
    assert_eq!(Arc::strong_count(&held), 1, "the thread that paints is gone");
}

#[test]
fn a_cancelled_stream_says_so_and_goes_on_when_it_may() {
    let (mut stylizer, cancel) = stylizer();
    show_until(&mut stylizer, &scene(1), |_, report| report.keyframe);
    cancel.cancel();
    let mut out = Frame::default();
    let answer = stylizer.process(&scene(1), &mut out, &controls());
    assert!(matches!(answer, Err(Error::Cancelled)), "{answer:?}");
    cancel.rearm();
    stylizer.restart();
    let (_, report) = show(&mut stylizer, &scene(1));
    assert!(report.restarted);
    let out = show_until(&mut stylizer, &scene(1), |_, report| report.keyframe);
    assert!(is_painted(&out, &scene(1), &style()));
}

/// Shows frames until one fails.
fn show_until_it_fails(stylizer: &mut Stylizer, controls: &Controls) -> Error {
    for _ in 0..PATIENCE {
        if let Err(error) = stylizer.process(&scene(1), &mut Frame::default(), controls) {
            return error;
        }
        std::thread::yield_now();
    }
    panic!("it never fails");
}

#[test]
fn a_panic_of_the_painting_is_an_error_of_the_stream() {
    let (mut stylizer, _) = stylizer();
    stylizer.set_observer(Some(Box::new(|_| panic!("the brush broke"))));
    for _ in 0..2 {
        let error = show_until_it_fails(&mut stylizer, &controls());
        assert!(matches!(error, Error::Panicked(_)), "{error}");
        assert!(error.to_string().contains("the brush broke"), "{error}");
    }
    stylizer.set_observer(None);
    // What was begun before may still fail once.
    let _ = stylizer.process(&scene(1), &mut Frame::default(), &controls());
    let out = show_until(&mut stylizer, &scene(1), |_, report| report.keyframe);
    assert!(is_painted(&out, &scene(1), &style()));
}

#[test]
fn numbers_that_go_bad_are_told_and_never_shown() {
    // Adam's steps are never larger than its rate; those of SGD grow with the loss.
    let options = Options {
        optimizer: OptimizerKind::Sgd,
        ..options()
    };
    let mut stylizer = Stylizer::new(&options, CancelToken::new()).unwrap();
    stylizer.set_style(style());
    let wild = Controls {
        learning_rate: Some(1e6),
        style_weight: Some(1e12),
        ..controls()
    };
    let error = show_until_it_fails(&mut stylizer, &wild);
    assert!(matches!(error, Error::Diverged(_)), "{error}");
    let (out, _) = show(&mut stylizer, &scene(1));
    assert!(out == unpainted(&scene(1), style()));
    let out = show_until(&mut stylizer, &scene(1), |_, report| report.keyframe);
    assert!(is_painted(&out, &scene(1), &style()));
}

#[test]
fn another_size_of_frames_starts_afresh() {
    let (mut stylizer, _) = stylizer();
    show_until(&mut stylizer, &scene(1), |_, report| report.keyframe);
    let other = scene::frame(50, 70, Show::Shapes(2));
    let (out, report) = show(&mut stylizer, &other);
    assert!(report.restarted && (out.width(), out.height()) == (50, 70));
    let out = show_until(&mut stylizer, &other, |_, report| report.keyframe);
    assert!(is_painted(&out, &other, &style()));
}

#[test]
fn without_a_style_there_is_nothing_to_paint() {
    let mut stylizer = Stylizer::new(&options(), CancelToken::new()).unwrap();
    let answer = stylizer.process(&scene(1), &mut Frame::default(), &controls());
    assert!(matches!(answer, Err(Error::NoStyle)));
    stylizer.set_style(style());
    show(&mut stylizer, &scene(1));
}
