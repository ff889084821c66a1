// SPDX-License-Identifier: MIT OR Apache-2.0

//! Checks an NVIDIA card and its driver, and measures what a step costs on it. `cargo test --release --test cuda` checks
//! every operation besides.

use std::sync::Arc;
use std::time::Instant;

use super::Arguments;
use super::report::Report;
use crate::failure::Failure;
use neuralstyle::backend::cpu::Cpu;
use neuralstyle::backend::cuda::{Cuda, Unavailable, cards};
use neuralstyle::backend::prelude::*;
use neuralstyle::backend::{Backend, CancelToken, Capture, Shape};
use neuralstyle::gatys::extractor::{Extractor, nodes};
use neuralstyle::gatys::objective::Objective;
use neuralstyle::gatys::style::StyleTarget;
use neuralstyle::gatys::{LossWeights, Measure, Network, NetworkChoice, Normalization};
use neuralstyle::stylizer::{BackendChoice, Controls, Frame, Options, Stylizer};

/// The least cosine between the image gradients of the card, in fp16, and of the CPU, in f32.
const COSINE: f64 = 0.999;

/// Whether the card, if there is one, does what it should.
pub fn check(report: &mut Report, arguments: &Arguments) -> bool {
    let cards = match cards(arguments.device) {
        Ok(cards) => cards,
        Err(none) if is_no_failure(&none) => {
            report.lacks("card", format!("{none}; the CPU paints"));
            return true;
        }
        Err(unusable) => {
            report.broken("card", unusable.to_string());
            return false;
        }
    };
    for card in &cards {
        let (major, minor) = card.capability;
        report.works(
            "card",
            format!(
                "number {}: {}, compute capability {major}.{minor}, {} multiprocessors, {:.1} GB",
                card.id,
                card.name,
                card.multiprocessors,
                card.bytes as f64 / 1e9
            ),
        );
    }
    let checked = examine(report, arguments);
    if let Err(failure) = &checked {
        report.broken("card", failure.to_string());
    }
    checked.is_ok()
}

/// Whether there is just no card for which there are kernels.
fn is_no_failure(reason: &Unavailable) -> bool {
    !reason.concerns_a_card() || matches!(reason, Unavailable::TooOld { .. })
}

/// Has the card start, compares it with the CPU, and measures it.
fn examine(report: &mut Report, arguments: &Arguments) -> Result<(), Failure> {
    let begun = Instant::now();
    let cuda = Cuda::new(arguments.device, CancelToken::new())?;
    let whole = begun.elapsed();
    let device = cuda.device();
    drop(cuda);
    // With the kernels there, what is left is the check itself.
    let begun = Instant::now();
    drop(Cuda::new(arguments.device, CancelToken::new())?);
    report.works(
        "start",
        format!(
            "{device}: the check passes, in {:.0} ms with loading the kernels and {:.1} ms without",
            whole.as_secs_f64() * 1e3,
            begun.elapsed().as_secs_f64() * 1e3
        ),
    );
    for &network in &arguments.networks {
        compare(report, arguments, network)?;
    }
    if arguments.quick {
        return Ok(());
    }
    for &network in &arguments.networks {
        for &size in &arguments.sizes {
            let words = timed(arguments, network, size)?;
            report.works(network.name(), words);
        }
    }
    Ok(())
}

/// Holds the losses and the image gradient of the card against those of the CPU.
fn compare(report: &mut Report, arguments: &Arguments, choice: NetworkChoice) -> Result<(), Failure> {
    let network = Network::open(choice, None)?;
    let (losses, gradient) = measure(Cuda::new(arguments.device, CancelToken::new())?, &network)?;
    let (expected, exact) = measure(Cpu::new(0, CancelToken::new())?, &network)?;
    let product =
        |a: &[f32], b: &[f32]| -> f64 { a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum() };
    let lengths = (product(&gradient, &gradient) * product(&exact, &exact)).sqrt();
    let cosine = product(&gradient, &exact) / lengths;
    let off = (losses / expected - 1.0).abs();
    let words =
        format!("J differs from the CPU's by {off:.1e}, the cosine of the image gradients is {cosine:.6}");
    // Written so that what is no number does not pass.
    if cosine >= COSINE && off <= 0.01 {
        report.works(choice.name(), words);
        Ok(())
    } else {
        Err(format!("with {choice} it computes wrongly: {words}").into())
    }
}

/// J and its gradient at a picture between two others.
fn measure<B: Backend>(mut ops: B, network: &Network) -> Result<(f64, Vec<f32>), Failure> {
    let shape = Shape::new(3, 72, 96);
    let defaults = network.defaults();
    let (content, style) = (
        nodes(network, &defaults.content_layers)?,
        nodes(network, &defaults.style_layers)?,
    );
    let depth = content
        .iter()
        .chain(&style)
        .map(|layer| layer.0)
        .max()
        .unwrap_or(0);
    let mut extractor = Extractor::new(network, network.pooling(), depth);
    extractor.load(&mut ops, network)?;
    let measure = Measure::from(Normalization::Relative);
    let mut objective = Objective::new(&mut ops, &extractor, shape, &content, &style, measure, None)?;
    let mut picture = ops.tensor(shape)?;
    ops.upload(&waves(shape, 1.0), &mut picture)?;
    let target = StyleTarget::measure(&mut ops, &extractor, &style, &picture)?;
    objective.set_style(&mut ops, &target)?;
    ops.upload(&waves(shape, 2.0), &mut picture)?;
    objective.set_content(&mut ops, &extractor, &picture)?;
    let weights = LossWeights {
        content: 1.0,
        style: defaults.style_weights.covariance,
        tv: 0.1,
        temporal: 0.0,
    };
    objective.set_weights(&mut ops, weights)?;
    ops.upload(&waves(shape, 3.0), &mut picture)?;
    let mut step = Capture::default();
    // The first run of a step, and a replay.
    for _ in 0..3 {
        ops.capture(&mut step, |ops| objective.evaluate(ops, &extractor, &picture))?;
    }
    let losses = objective.losses(&mut ops)?;
    let mut gradient = vec![0.0; shape.elements()];
    ops.download(objective.gradient(), &mut gradient)?;
    Ok((losses.total, gradient))
}

/// A smooth picture with a little of everything, another for each `seed`.
fn waves(shape: Shape, seed: f32) -> Vec<f32> {
    let value = |index: usize| {
        let (c, pixel) = (index / shape.pixels(), index % shape.pixels());
        let (x, y) = ((pixel % shape.width) as f32, (pixel / shape.width) as f32);
        let wave = (x * 0.11 * seed + c as f32).sin() * (y * 0.17 - seed).cos();
        let grain = ((index as f32 * 12.9898 + seed).sin() * 43_758.547).fract();
        0.5 + 0.35 * wave + 0.1 * grain
    };
    (0..shape.elements()).map(value).collect()
}

/// What a step costs on the card.
fn timed(arguments: &Arguments, network: NetworkChoice, size: usize) -> Result<String, Failure> {
    let options = Options {
        network,
        backend: BackendChoice::Cuda,
        cuda_device_id: arguments.device,
        working_size: size,
        scales: 1,
        ..Options::default()
    };
    let (width, height) = (size, (size * 9 / 16).max(16));
    let bytes = |seed: f32| -> Vec<u8> {
        let shape = Shape::new(height, width, 3);
        waves(shape, seed)
            .iter()
            .map(|value| (value * 255.0) as u8)
            .collect()
    };
    let frame = |seed| Frame::from_rgb(width, height, bytes(seed)).ok_or("the bytes are those of a frame");
    let mut stylizer = Stylizer::new(&options, CancelToken::new())?;
    stylizer.set_style(Arc::new(frame(1.0)?.into()));
    let controls = Controls {
        // The first run of a step and its capture are not measured.
        first_iterations: 2,
        iterations: arguments.steps,
        cut_threshold: 1.0,
        ..Controls::default()
    };
    let (content, mut out) = (frame(2.0)?, Frame::default());
    for _ in 0..2 {
        stylizer.process(&content, &mut out, &controls)?;
    }
    let stats = stylizer.stats();
    Ok(format!(
        "{width}×{height}: {:.2} ms a step, {} MB",
        stats.ms_per_step,
        stats.bytes_in_use / 1_000_000
    ))
}
