// SPDX-License-Identifier: MIT OR Apache-2.0

//! Whole runs on the card.

use std::sync::{Arc, Mutex};

use neuralstyle::backend::prelude::*;
use neuralstyle::backend::{CancelToken, Pooling, Shape};
use neuralstyle::gatys::{Init, Losses, NetworkChoice, Normalization};
use neuralstyle::stylizer::{BackendChoice, Controls, Frame, Options, Stylizer};

use crate::scene::{self, Random, Show};
use crate::setup::{Setup, Stepping, Terms, balanced};
use crate::start;

fn options(backend: BackendChoice) -> Options {
    Options {
        network: NetworkChoice::Tiny,
        backend,
        scales: 1,
        working_size: 32,
        ..Options::default()
    }
}

fn large(backend: BackendChoice) -> Options {
    Options {
        working_size: 56,
        ..options(backend)
    }
}

fn stylizer(options: &Options, style: Show) -> Stylizer {
    let mut stylizer = Stylizer::new(options, CancelToken::new()).unwrap();
    stylizer.set_style(scene::style(40, 30, style));
    stylizer
}

/// J before each step of a run, on a picture large enough for the ways that single pixels take to average out.
fn losses(options: &Options, steps: usize) -> Vec<Losses> {
    let mut stylizer = stylizer(options, Show::Shapes(2));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let notes = seen.clone();
    stylizer.set_observer(Some(Box::new(move |step| {
        notes.lock().unwrap().push(step.losses)
    })));
    let controls = Controls {
        first_iterations: steps,
        ..Controls::default()
    };
    let frame = scene::frame(56, 48, Show::Shapes(1));
    stylizer
        .process(&frame, &mut Frame::default(), &controls)
        .unwrap();
    let seen = seen.lock().unwrap();
    seen.clone()
}

#[test]
fn a_hundred_steps_end_where_those_of_the_cpu_do() {
    if start::cuda(CancelToken::new()).is_none() {
        return;
    }
    let [cuda, cpu] = [BackendChoice::Cuda, BackendChoice::Cpu].map(|backend| losses(&large(backend), 100));
    assert_eq!((cuda.len(), cpu.len()), (100, 100));
    let (first, last, expected) = (cuda[0].total, cuda[99].total, cpu[99].total);
    println!("{first} → {last}, in f32 {expected}");
    assert!(last < 0.4 * first, "the run leads somewhere");
    assert!(
        (last / expected - 1.0).abs() < 0.02,
        "{last} instead of {expected}"
    );
}

#[test]
fn frames_and_styles_without_anything_in_them_stay_finite() {
    if start::cuda(CancelToken::new()).is_none() {
        return;
    }
    let shows = [
        Show::Colour([0, 0, 0]),
        Show::Colour([255, 255, 255]),
        Show::Colour([255, 0, 80]),
        // What the network subtracts: to it this is nothing at all.
        Show::Colour([124, 117, 104]),
        Show::Noise(3),
    ];
    let controls = Controls {
        first_iterations: 4,
        tv_weight: 0.01,
        temporal_weight: Some(1.0),
        cut_threshold: 1.0,
        ..Controls::default()
    };
    for normalization in [Normalization::Relative, Normalization::Gatys] {
        let options = Options {
            normalization,
            ..options(BackendChoice::Cuda)
        };
        for style in [Show::Shapes(2), Show::Colour([0, 0, 0]), Show::Noise(4)] {
            let mut stylizer = stylizer(&options, style);
            for show in shows {
                let mut out = Frame::default();
                let report = stylizer.process(&scene::frame(24, 16, show), &mut out, &controls);
                let report = report.unwrap_or_else(|error| panic!("{show:?} in {style:?}: {error}"));
                let losses = stylizer.stats().losses;
                assert!(
                    losses.are_finite() && report.iterations > 0,
                    "{show:?} in {style:?}: {losses:?}"
                );
                stylizer.restart();
            }
        }
    }
}

/// The same frame after a restart is the same picture, whatever scale of gradients was found in between.
#[test]
fn the_same_seed_gives_the_same_bytes() {
    if start::cuda(CancelToken::new()).is_none() {
        return;
    }
    let paint = |stylizer: &mut Stylizer, show: Show| {
        let controls = Controls {
            first_iterations: 4,
            iterations: 2,
            ..Controls::default()
        };
        let mut out = Frame::default();
        stylizer
            .process(&scene::frame(40, 24, show), &mut out, &controls)
            .unwrap();
        out
    };
    let options = Options {
        init: Init::Noise,
        seed: 5,
        scales: 2,
        ..options(BackendChoice::Cuda)
    };
    let mut first = stylizer(&options, Show::Shapes(2));
    let expected = paint(&mut first, Show::Shapes(1));
    paint(&mut first, Show::Noise(9));
    first.restart();
    assert!(paint(&mut first, Show::Shapes(1)) == expected);
    assert!(paint(&mut stylizer(&options, Show::Shapes(2)), Show::Shapes(1)) == expected);
}

#[test]
fn a_thousand_steps_stay_finite() {
    let Some(cuda) = start::cuda(CancelToken::new()) else {
        return;
    };
    let (network, shape) = (scene::random_vgg(1), Shape::new(3, 12, 16));
    let content = scene::planes(&scene::frame(16, 12, Show::Shapes(1)));
    let style = scene::planes(&scene::frame(16, 12, Show::Shapes(2)));
    let weights = balanced(Normalization::Relative);
    let terms = Terms {
        network: &network,
        pooling: Pooling::Average,
        normalization: Normalization::Relative,
        weights,
        content: &content,
        style: &style,
        shape,
    };
    let mut setup = Setup::new(cuda, &terms);
    let mut random = Random(8);
    let start: Vec<f32> = content.iter().map(|_| random.unit()).collect();
    setup.evaluate(&start);
    let before = setup.objective.losses(&mut setup.ops).unwrap().total;
    let mut stepping = Stepping::new(setup, 4);
    for _ in 0..1000 {
        stepping.step(weights);
    }
    let after = stepping.losses().total;
    let Setup { ops, picture, .. } = &mut stepping.setup;
    let mut values = vec![0.0; shape.elements()];
    ops.download(picture, &mut values).unwrap();
    println!("{before} → {after}");
    assert!(values.iter().all(|value| value.is_finite()));
    assert!(after < 0.5 * before, "{before} → {after}");
}
