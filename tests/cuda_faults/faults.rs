// SPDX-License-Identifier: MIT OR Apache-2.0

//! Faults while frames are painted.

use neuralstyle::backend::prelude::*;
use neuralstyle::backend::{CancelToken, Shape};
use neuralstyle::stylizer::{BackendChoice, Controls, Error, Frame, Options, Stylizer};

use crate::scene::{self, Show};
use crate::softgpu::SoftGpu;
use crate::start;

fn options(backend: BackendChoice) -> Options {
    Options {
        network: neuralstyle::gatys::NetworkChoice::Tiny,
        backend,
        scales: 1,
        working_size: 16,
        ..Options::default()
    }
}

/// Paints two frames in as few steps as there can be: the first run of a step, its capture, and a replay.
fn paint(backend: BackendChoice) -> Result<Stylizer, Error> {
    let mut stylizer = Stylizer::new(&options(backend), CancelToken::new())?;
    stylizer.set_style(scene::style(16, 16, Show::Shapes(2)));
    let controls = Controls {
        first_iterations: 2,
        iterations: 1,
        ..Controls::default()
    };
    for seed in [1, 1] {
        let frame = scene::frame(16, 16, Show::Shapes(seed));
        stylizer.process(&frame, &mut Frame::default(), &controls)?;
    }
    Ok(stylizer)
}

/// What the user of `backend=cuda` is told; `None` if the fault did not come up. Nothing stays allocated that was not
/// before, unless the card was lost.
fn told(gpu: &SoftGpu, fault: &str) -> Option<Error> {
    let before = gpu.count("live");
    gpu.faults(fault);
    let answer = paint(BackendChoice::Cuda).err();
    if !["lost", "sync"].iter().any(|loses| fault.starts_with(loses)) {
        assert_eq!(gpu.count("live"), before, "{fault}");
    }
    gpu.faults("");
    answer
}

/// With `backend=auto` the CPU paints, and the user learns why.
fn assert_falls_back(gpu: &SoftGpu, fault: &str) {
    gpu.faults(fault);
    let answer = paint(BackendChoice::Auto);
    gpu.faults("");
    let mut stylizer = answer.unwrap_or_else(|error| panic!("{fault}: {error}"));
    assert_eq!(stylizer.stats().backend, "cpu", "{fault}");
    let fallback = stylizer.take_fallback().expect("it says why");
    assert!(
        fallback.surprising && fallback.to_string().contains("CPU"),
        "{fallback}"
    );
}

#[test]
fn too_little_memory_is_told_with_advice_and_gives_back_all() {
    let Some(gpu) = SoftGpu::take() else { return };
    // The kernels stay loaded for as long as somebody uses the card.
    let _user = start::cuda(CancelToken::new());
    let (mut failed, mut advised) = (0, 0);
    // All of them, one by one, are met in `failures`; here is what becomes of some.
    for number in (1..).step_by(9) {
        let fault = format!("alloc:{number}");
        let Some(error) = told(&gpu, &fault) else { break };
        let text = error.to_string();
        assert!(text.contains("not enough memory"), "{fault}: {text}");
        if let Error::OutOfMemory { advice, .. } = &error {
            assert!(advice.contains("working-size"), "{advice}");
            advised += 1;
        }
        if number % 45 == 10 {
            assert_falls_back(&gpu, &fault);
        }
        failed += 1;
    }
    println!("{failed} failed allocations, {advised} of them for frames");
    assert!(failed > 10 && advised > 5);
}

#[test]
fn failures_of_the_driver_are_told() {
    let Some(gpu) = SoftGpu::take() else { return };
    let _user = start::cuda(CancelToken::new());
    for fault in [
        "launch:1",
        "launch:9",
        "launch:60",
        "launch:140",
        "copy:1",
        "copy:30",
        "copy:70",
        "sync:1",
        "sync:9",
        "capture:1",
        "graph:1",
        "replay:1",
        "stream:1",
        "event:4",
        "lost:1",
        "lost:100",
        "lost:500",
        "lost:1500",
        "lost:2500",
        "wrong:mma",
    ] {
        let Some(error) = told(&gpu, fault) else {
            panic!("{fault} did not come up");
        };
        let text = error.to_string();
        println!("{fault}: {text}");
        assert!(
            text.contains("NVIDIA") || text.contains("memory"),
            "{fault}: {text}"
        );
        // Whatever may have left nonsense behind ends the context; the others do not.
        let ends = ["launch", "copy", "sync", "replay", "lost"]
            .iter()
            .any(|kind| fault.starts_with(kind));
        assert_eq!(
            text.contains("the card is lost to this program"),
            ends,
            "{fault}: {text}"
        );
        assert_falls_back(&gpu, fault);
    }
    assert!(paint(BackendChoice::Cuda).is_ok(), "nothing of all that stays");
}

#[test]
fn a_context_that_is_lost_is_not_shared_with_who_comes_after() {
    let Some(gpu) = SoftGpu::take() else { return };
    let mut user = start::cuda(CancelToken::new()).unwrap();
    gpu.faults("");
    let _other = start::cuda(CancelToken::new()).unwrap();
    assert_eq!(gpu.count("context"), 0, "one context serves all who use the card");
    gpu.faults("lost:1");
    assert!(user.tensor(Shape::vector(5)).is_err());
    gpu.faults("");
    let _later = start::cuda(CancelToken::new()).unwrap();
    assert_eq!(gpu.count("context"), 1, "there is another context");
}

/// The CPU finishes what the card had begun: no frame is lost, none comes twice.
#[test]
fn a_card_that_is_lost_while_frames_wait_loses_none_of_them() {
    let Some(gpu) = SoftGpu::take() else { return };
    let _user = start::cuda(CancelToken::new());
    let controls = Controls {
        first_iterations: 1,
        iterations: 1,
        keyframe_interval: 4,
        // Each frame is itself.
        strength: 0.0,
        cut_threshold: 1.0,
        ..Controls::default()
    };
    let clip: Vec<Frame> = (0..6)
        .map(|seed| scene::frame(16, 16, Show::Shapes(seed)))
        .collect();
    let mut stylizer = Stylizer::new(&options(BackendChoice::Auto), CancelToken::new()).unwrap();
    stylizer.set_style(scene::style(16, 16, Show::Shapes(2)));
    let mut outs = Vec::new();
    for (index, frame) in clip.iter().enumerate() {
        if index == 4 {
            assert_eq!(stylizer.stats().backend, "cuda");
            gpu.faults("lost:1");
        }
        stylizer.push(frame, &controls, ()).unwrap();
        let mut out = Frame::default();
        while stylizer.pull(&mut out).is_some() {
            outs.push(std::mem::take(&mut out));
        }
    }
    gpu.faults("");
    stylizer.finish().unwrap();
    let mut out = Frame::default();
    while stylizer.pull(&mut out).is_some() {
        outs.push(std::mem::take(&mut out));
    }
    assert_eq!(stylizer.stats().backend, "cpu");
    assert!(outs == clip);
}

#[test]
fn a_module_that_is_refused_is_named() {
    let Some(gpu) = SoftGpu::take() else { return };
    for (fault, words) in [("module:2", "conv_backward"), ("context:1", "NVIDIA")] {
        let text = told(&gpu, fault).expect("nobody else uses the card").to_string();
        assert!(text.contains("backend=cuda") && text.contains(words), "{text}");
        assert_falls_back(&gpu, fault);
    }
}

#[test]
fn a_card_that_computes_wrongly_is_not_used() {
    let Some(gpu) = SoftGpu::take() else { return };
    let text = told(&gpu, "wrong:mma")
        .expect("the start-up check finds it")
        .to_string();
    assert!(
        text.contains("computes wrongly") && text.contains("convolution"),
        "{text}"
    );
}
