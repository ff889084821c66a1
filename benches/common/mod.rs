// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the benches share.

pub mod flops;

use std::time::Duration;

use criterion::Criterion;
use flops::Flops;
use neuralstyle::backend::prelude::*;
use neuralstyle::backend::{Backend, CancelToken, Shape, cpu::Cpu};

/// The CPU with a thread per core, or with `NEURALSTYLE_THREADS`, and the ruler that belongs to it.
pub fn setup() -> (Cpu, Criterion<Flops>) {
    let cores = std::thread::available_parallelism().map_or(1, |count| count.get());
    let chosen = std::env::var("NEURALSTYLE_THREADS").ok();
    let threads = chosen.and_then(|count| count.parse().ok()).unwrap_or(cores);
    let criterion = Criterion::default()
        .with_measurement(Flops::of_threads(threads))
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    let cpu = Cpu::new(threads, CancelToken::new()).expect("the CPU backend starts");
    println!("{}\n", cpu.device());
    (cpu, criterion)
}

/// Numbers that look random in −1..1: a linear congruential generator.
pub fn numbers(count: usize) -> Vec<f32> {
    let mut state = 1u32;
    let numbers = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    });
    numbers.take(count).collect()
}

/// A tensor of such numbers.
pub fn tensor<B: Backend>(ops: &mut B, shape: Shape) -> B::Tensor {
    let mut tensor = ops.tensor(shape).expect("there is memory");
    ops.upload(&numbers(shape.elements()), &mut tensor)
        .expect("the CPU can be written to");
    tensor
}
