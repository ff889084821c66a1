// SPDX-License-Identifier: MIT OR Apache-2.0

//! The software GPU behind unmodified cudarc: what an application sees of it.

mod common;

use cudarc::driver::{LaunchConfig, PushKernelArg, sys};
use cudarc::nvrtc::Ptx;

const SCALE: &str = include_str!("ptx/scale.ptx");

fn shape(blocks: u32, threads: u32) -> LaunchConfig {
    LaunchConfig {
        grid_dim: (blocks, 1, 1),
        block_dim: (threads, 1, 1),
        shared_mem_bytes: 0,
    }
}

#[test]
fn a_kernel_scales_an_array() {
    let context = common::context();
    let stream = context.new_stream().unwrap();
    let module = context.load_module(Ptx::from_src(SCALE)).unwrap();
    let scale = module.load_function("scale").unwrap();
    let values: Vec<f32> = (0..1000).map(|i| i as f32).collect();
    let mut device = stream.clone_htod(&values).unwrap();
    let n = 1000i32;
    // SAFETY: the arguments are those of the kernel, and it stays within its array.
    unsafe {
        stream
            .launch_builder(&scale)
            .arg(&mut device)
            .arg(&2.5f32)
            .arg(&n)
            .launch(shape(8, 128))
    }
    .unwrap();
    let scaled = stream.clone_dtoh(&device).unwrap();
    assert!(
        scaled
            .iter()
            .zip(&values)
            .all(|(scaled, value)| *scaled == value * 2.5)
    );
}

#[test]
fn a_graph_replays_what_was_captured() {
    let context = common::context();
    // SAFETY: everything here happens in one stream.
    unsafe { context.disable_event_tracking() };
    let stream = context.new_stream().unwrap();
    let module = context.load_module(Ptx::from_src(SCALE)).unwrap();
    let (scale, sum) = (
        module.load_function("scale").unwrap(),
        module.load_function("sum").unwrap(),
    );
    let mut device = stream.clone_htod(&[1f32; 300]).unwrap();
    let mut total = stream.alloc_zeros::<f32>(1).unwrap();
    stream.synchronize().unwrap();
    stream
        .begin_capture(sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL)
        .unwrap();
    let n = 300i32;
    // SAFETY: the arguments are those of the kernels, and they stay within their arrays.
    unsafe {
        stream
            .launch_builder(&scale)
            .arg(&mut device)
            .arg(&2f32)
            .arg(&n)
            .launch(shape(3, 128))
            .unwrap();
        stream
            .launch_builder(&sum)
            .arg(&device)
            .arg(&mut total)
            .arg(&n)
            .launch(shape(1, 128))
            .unwrap();
    }
    let graph = stream
        .end_capture(sys::CUgraphInstantiate_flags(0))
        .unwrap()
        .unwrap();
    assert_eq!(
        stream.clone_dtoh(&total).unwrap(),
        [0.0],
        "a capture runs nothing"
    );
    for step in 1..=3 {
        graph.launch().unwrap();
        assert_eq!(stream.clone_dtoh(&total).unwrap(), [300.0 * 2f32.powi(step)]);
    }
}
