// SPDX-License-Identifier: MIT OR Apache-2.0

//! Whole runs of the stylizer.

use std::sync::{Arc, Mutex};

use neuralstyle::backend::CancelToken;
use neuralstyle::gatys::{Losses, NetworkChoice, Normalization, OptimizerKind};
use neuralstyle::stylizer::{BackendChoice, Controls, Frame, Options, Stylizer};

use crate::scene::{self, Show};

fn plain(backend: BackendChoice, optimizer: OptimizerKind) -> Options {
    Options {
        network: NetworkChoice::Tiny,
        backend,
        optimizer,
        scales: 1,
        working_size: 32,
        ..Options::default()
    }
}

/// Losses before each of 20 steps.
fn losses(options: &Options, controls: &Controls) -> Vec<Losses> {
    let mut stylizer = Stylizer::new(options, CancelToken::new()).unwrap();
    stylizer.set_style(scene::style(40, 30, Show::Shapes(2)));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let notes = seen.clone();
    stylizer.set_observer(Some(Box::new(move |step| {
        notes.lock().unwrap().push(step.losses)
    })));
    let frame = scene::frame(32, 24, Show::Shapes(1));
    stylizer.process(&frame, &mut Frame::default(), controls).unwrap();
    let seen = seen.lock().unwrap();
    seen.clone()
}

/// Adam divides by the gradient's own size: where that is no more than rounding, two machines go two ways, by up to
/// the rate, but only where it hardly matters to J. SGD has no such places.
#[test]
fn a_run_of_the_cpu_ends_where_the_references_does() {
    for (optimizer, rate, normalization, tolerance) in [
        (OptimizerKind::Sgd, 0.2, Normalization::Relative, 1e-4),
        (OptimizerKind::Adam, 0.02, Normalization::Relative, 1e-4),
        (OptimizerKind::Adam, 0.02, Normalization::Gatys, 1e-4),
    ] {
        let controls = Controls {
            first_iterations: 20,
            learning_rate: Some(rate),
            content_weight: if normalization == Normalization::Gatys {
                1e-3
            } else {
                1.0
            },
            ..Controls::default()
        };
        let [cpu, exact] = [BackendChoice::Cpu, BackendChoice::Reference].map(|backend| {
            let options = Options {
                normalization,
                ..plain(backend, optimizer)
            };
            losses(&options, &controls)
        });
        assert_eq!((cpu.len(), exact.len()), (20, 20));
        let mut worst: f64 = 0.0;
        for (cpu, exact) in cpu.iter().zip(&exact) {
            worst = worst.max((cpu.total - exact.total).abs() / exact.total);
        }
        println!(
            "{optimizer:?} {normalization:?}: {} → {}, apart {worst:.1e}",
            exact[0].total, exact[19].total
        );
        assert!(exact[19].total < 0.9 * exact[0].total, "the run leads somewhere");
        assert!(worst < tolerance, "{optimizer:?}: {worst:e}");
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes_for_any_number_of_threads() {
    let paint = |threads: usize, seed: u32| {
        let options = Options {
            network: NetworkChoice::Tiny,
            init: neuralstyle::gatys::Init::Noise,
            threads,
            seed,
            working_size: 128,
            ..Options::default()
        };
        let controls = Controls {
            first_iterations: 6,
            iterations: 3,
            ..Controls::default()
        };
        let mut stylizer = Stylizer::new(&options, CancelToken::new()).unwrap();
        stylizer.set_style(scene::style(90, 70, Show::Shapes(2)));
        let mut pictures = Vec::new();
        for shift in 0..3 {
            let mut out = Frame::default();
            let frame = scene::frame(150 + shift, 90, Show::Shapes(1));
            stylizer.process(&frame, &mut out, &controls).unwrap();
            pictures.push(out);
        }
        pictures
    };
    let expected = paint(1, 4);
    for threads in [1, 2, 3, 5] {
        assert!(paint(threads, 4) == expected, "{threads} threads");
    }
    assert!(paint(2, 5) != expected, "another seed is another picture");
}

#[test]
fn frames_and_styles_without_anything_in_them_stay_finite() {
    // The last is the colour that the networks subtract: to them it is nothing at all.
    let shows = [
        Show::Colour([0, 0, 0]),
        Show::Colour([255, 255, 255]),
        Show::Colour([255, 0, 80]),
        Show::Colour([124, 117, 104]),
        Show::Noise(3),
        Show::Shapes(1),
    ];
    for normalization in [Normalization::Relative, Normalization::Gatys] {
        let options = Options {
            network: NetworkChoice::Tiny,
            normalization,
            working_size: 32,
            scales: 2,
            ..Options::default()
        };
        let controls = Controls {
            first_iterations: 10,
            tv_weight: 0.01,
            temporal_weight: Some(1.0),
            cut_threshold: 1.0,
            ..Controls::default()
        };
        for style in shows {
            let mut stylizer = Stylizer::new(&options, CancelToken::new()).unwrap();
            stylizer.set_style(scene::style(24, 20, style));
            for show in shows {
                let mut out = Frame::default();
                let report = stylizer.process(&scene::frame(32, 24, show), &mut out, &controls);
                let report =
                    report.unwrap_or_else(|error| panic!("{show:?} in the style of {style:?}: {error}"));
                let losses = stylizer.stats().losses;
                assert!(
                    losses.are_finite() && report.iterations > 0,
                    "{show:?} in {style:?}: {losses:?}"
                );
            }
            // A colour in the style of itself is a J of next to nothing, by which nobody must divide.
            stylizer.restart();
            let mut out = Frame::default();
            let report = stylizer.process(&scene::frame(32, 24, style), &mut out, &controls);
            assert!(report.is_ok(), "{style:?} in its own style");
        }
    }
}
