// SPDX-License-Identifier: MIT OR Apache-2.0

//! What each operation of a step costs on the CPU.
//!
//!     cargo bench --package neuralstyle-benches --bench operations
//!
//! Convolutions are counted as if done directly, by 9 multiply-adds for each pair of channels and pixel, so that a share above
//! 100 % of the peak is what Winograd's method saves.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput};
use neuralstyle::backend::cpu::Cpu;
use neuralstyle::backend::prelude::*;
use neuralstyle::backend::{AdamKnobs, Export, FilterData, Mix, Pooling, Result, Scalar, Shape, Slot};
use neuralstyle::picture::Picture;
use neuralstyle_benches::flops::Flops;
use neuralstyle_benches::{numbers, setup, tensor};

/// Inputs, outputs and side of layers of VGG-19 at 256 pixels: the first of each kind.
const LAYERS: [(&str, usize, usize, usize); 9] = [
    ("conv1_1", 3, 64, 256),
    ("conv1_2", 64, 64, 256),
    ("conv2_1", 64, 128, 128),
    ("conv2_2", 128, 128, 128),
    ("conv3_1", 128, 256, 64),
    ("conv3_2", 256, 256, 64),
    ("conv4_1", 256, 512, 32),
    ("conv4_2", 512, 512, 32),
    ("conv5_1", 512, 512, 16),
];

fn main() -> Result<()> {
    let (mut cpu, mut criterion) = setup();
    convolutions(&mut cpu, &mut criterion)?;
    grams(&mut cpu, &mut criterion)?;
    passes(&mut cpu, &mut criterion)?;
    pictures(&mut cpu, &mut criterion)?;
    criterion.final_summary();
    Ok(())
}

fn convolutions(cpu: &mut Cpu, criterion: &mut Criterion<Flops>) -> Result<()> {
    for (name, inputs, outputs, side) in LAYERS {
        let filter = cpu.filter(&FilterData {
            outputs,
            inputs,
            weights: numbers(outputs * inputs * 9),
            bias: numbers(outputs),
        })?;
        let (from_shape, to_shape) = (Shape::new(inputs, side, side), Shape::new(outputs, side, side));
        let (mut from, mut to) = (tensor(cpu, from_shape), tensor(cpu, to_shape));
        let (mut pooled, mut mask) = (tensor(cpu, to_shape.pooled()), cpu.mask(to_shape)?);
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Elements(
            (2 * 9 * inputs * outputs * side * side) as u64,
        ));
        group.bench_function("forward", |bench| {
            bench.iter(|| cpu.conv_relu(&from, &filter, &mut to, &mut mask));
        });
        group.bench_function("backward", |bench| {
            bench.iter(|| cpu.conv_relu_backward(&to, &mask, &filter, &mut from));
        });
        if name.ends_with("_2") {
            let average = Pooling::Average;
            group.bench_function("forward with pooling", |bench| {
                bench.iter(|| cpu.conv_relu_pool(&from, &filter, average, &mut pooled, &mut mask));
            });
            group.bench_function("backward with pooling", |bench| {
                bench.iter(|| cpu.conv_relu_pool_backward(&pooled, average, &mask, &filter, &mut from));
            });
        }
        group.finish();
    }
    Ok(())
}

fn grams(cpu: &mut Cpu, criterion: &mut Criterion<Flops>) -> Result<()> {
    let mut group = criterion.benchmark_group("gram");
    for (channels, side) in [(64, 256), (128, 128), (256, 64), (512, 32), (512, 16)] {
        let shape = Shape::new(channels, side, side);
        let (a, mut gradient) = (tensor(cpu, shape), tensor(cpu, shape));
        let mut gram = cpu.tensor(Shape::square(channels))?;
        let mut mean = cpu.tensor(Shape::vector(channels))?;
        let coefficient = one(cpu)?;
        // Half of a symmetric matrix is enough; both halves are counted.
        group.throughput(Throughput::Elements(
            (2 * channels * channels * side * side) as u64,
        ));
        let size = format!("{channels}x{side}x{side}");
        group.bench_function(BenchmarkId::new("forward", &size), |bench| {
            bench.iter(|| cpu.moments(&a, 1.0, &mut gram, &mut mean));
        });
        group.bench_function(BenchmarkId::new("backward", &size), |bench| {
            bench.iter(|| {
                let coefficient = Scalar {
                    of: &coefficient,
                    at: 0,
                };
                cpu.moments_backward(&a, &gram, &mean, coefficient, &mut gradient)
            });
        });
    }
    group.finish();
    Ok(())
}

/// Passes over tensors, which cost memory traffic; counted in bytes read and written.
fn passes(cpu: &mut Cpu, criterion: &mut Criterion<Flops>) -> Result<()> {
    let shape = Shape::new(512, 32, 32);
    let (a, target, mut gradient) = (tensor(cpu, shape), tensor(cpu, shape), tensor(cpu, shape));
    let (coefficient, mut sums) = (one(cpu)?, one(cpu)?);
    let mut group = criterion.benchmark_group("pass");
    let bytes = |tensors: usize, shape: Shape| Throughput::Bytes((4 * tensors * shape.elements()) as u64);
    group.throughput(bytes(4, shape));
    group.bench_function("squared_error of relu4_2", |bench| {
        bench.iter(|| {
            let coefficient = Scalar {
                of: &coefficient,
                at: 0,
            };
            let sum = Slot { of: &mut sums, at: 0 };
            cpu.squared_error(&a, &target, coefficient, &mut gradient, sum)
        });
    });
    let picture = Shape::new(3, 256, 256);
    let (mut x, mut step, gradient) = (tensor(cpu, picture), tensor(cpu, picture), tensor(cpu, picture));
    let (mut m, mut v, mut squared) = (tensor(cpu, picture), tensor(cpu, picture), tensor(cpu, picture));
    let mut knobs = cpu.tensor(Shape::vector(5))?;
    cpu.upload(&[0.01, 1.0, 0.9, 0.99, 1e-8], &mut knobs)?;
    let at = AdamKnobs {
        rate: 0,
        root: 1,
        beta1: 2,
        beta2: 3,
        epsilon: 4,
    };
    group.throughput(bytes(2, picture));
    group.bench_function("square of a picture", |bench| {
        bench.iter(|| cpu.square(&gradient, &mut squared));
    });
    group.throughput(bytes(8, picture));
    group.bench_function("adam on a picture", |bench| {
        bench.iter(|| cpu.adam(&gradient, &squared, &mut m, &mut v, &knobs, at, &mut step));
    });
    let axes = tensor(cpu, Shape::vector(9));
    group.throughput(bytes(4, picture));
    group.bench_function("descent of a picture", |bench| {
        bench.iter(|| cpu.descend(&mut x, &step, &squared, &axes));
    });
    group.throughput(bytes(2, picture));
    group.bench_function("blur of a picture", |bench| {
        bench.iter(|| cpu.blur(&gradient, &mut m));
    });
    group.finish();
    Ok(())
}

/// A 640×360 frame to a working size and back, with and without guidance by the frame.
fn pictures(cpu: &mut Cpu, criterion: &mut Criterion<Flops>) -> Result<()> {
    let (width, height) = (640, 360);
    let mut frame = Picture::new(width, height);
    for (byte, x) in frame.rgb_mut().iter_mut().zip(numbers(3 * width * height)) {
        *byte = (x * 127.0 + 128.0) as u8;
    }
    let mut out = frame.clone();
    let mut group = criterion.benchmark_group("frame");
    group.throughput(Throughput::Bytes((3 * width * height) as u64));
    for (small, low) in [(256, 144), (192, 108)] {
        let mut content = cpu.tensor(Shape::new(3, low, small))?;
        let picture = tensor(cpu, Shape::new(3, low, small));
        group.bench_function(format!("import 640x360 to {small}x{low}"), |bench| {
            bench.iter(|| cpu.import(frame.view(), 0, &mut content));
        });
        for (name, detail) in [("export", 0.0), ("guided export", 1.0)] {
            let mix = Mix {
                strength: 1.0,
                detail,
            };
            group.bench_function(format!("{name} {small}x{low} to 640x360"), |bench| {
                bench.iter(|| {
                    let frame = black_box(&frame);
                    cpu.export(
                        Export {
                            picture: &picture,
                            content: &content,
                            border: 0,
                            mix,
                            frame: frame.view(),
                        },
                        &mut out,
                    )
                });
            });
        }
    }
    group.finish();
    Ok(())
}

fn one(cpu: &mut Cpu) -> Result<<Cpu as Memory>::Tensor> {
    let mut tensor = cpu.tensor(Shape::vector(1))?;
    cpu.fill(1e-6, &mut tensor)?;
    Ok(tensor)
}
