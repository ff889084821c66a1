// SPDX-License-Identifier: MIT OR Apache-2.0

//! The driver as an application meets it: errors, faults, streams and cards, through cudarc.

mod common;

use std::process::Command;

use common::{alone, apart, count, error, set_faults};
use cudarc::driver::sys::{self, CUdevice_attribute as Attribute, CUresult, CUstreamCaptureMode as Mode};
use cudarc::driver::{CudaContext, LaunchConfig, PushKernelArg};
use cudarc::nvrtc::Ptx;

const SCALE: &str = include_str!("ptx/scale.ptx");

fn shape(blocks: u32, threads: u32, shared: u32) -> LaunchConfig {
    LaunchConfig {
        grid_dim: (blocks, 1, 1),
        block_dim: (threads, 1, 1),
        shared_mem_bytes: shared,
    }
}

#[test]
fn a_wild_kernel_breaks_the_context_for_good() {
    let _turn = alone();
    let context = CudaContext::new(0).unwrap();
    let stream = context.new_stream().unwrap();
    let scale = context
        .load_module(Ptx::from_src(SCALE))
        .unwrap()
        .load_function("scale")
        .unwrap();
    let mut device = stream.alloc_zeros::<f32>(100).unwrap();
    // SAFETY: the kernel runs over the end of its array, which is what is to be seen.
    unsafe {
        stream
            .launch_builder(&scale)
            .arg(&mut device)
            .arg(&2f32)
            .arg(&128i32)
            .launch(shape(1, 128, 0))
    }
    .unwrap();
    assert_eq!(error(stream.synchronize()), CUresult::CUDA_ERROR_ILLEGAL_ADDRESS);
    assert_eq!(
        error(stream.alloc_zeros::<f32>(1)),
        CUresult::CUDA_ERROR_ILLEGAL_ADDRESS
    );
    set_faults("");
    stream.synchronize().unwrap();
}

#[test]
fn launches_that_no_card_takes() {
    let _turn = alone();
    let context = CudaContext::new(0).unwrap();
    let stream = context.new_stream().unwrap();
    let module = context.load_module(Ptx::from_src(SCALE)).unwrap();
    let (scale, sum) = (
        module.load_function("scale").unwrap(),
        module.load_function("sum").unwrap(),
    );
    let mut device = stream.alloc_zeros::<f32>(4).unwrap();
    let mut other = stream.alloc_zeros::<f32>(1).unwrap();
    let mut launch = |config| {
        // SAFETY: the arguments are those of the kernel.
        error(unsafe {
            stream
                .launch_builder(&scale)
                .arg(&mut device)
                .arg(&2f32)
                .arg(&4i32)
                .launch(config)
        })
    };
    assert_eq!(launch(shape(1, 1024, 0)), CUresult::CUDA_SUCCESS);
    assert_eq!(launch(shape(1, 1025, 0)), CUresult::CUDA_ERROR_INVALID_VALUE);
    assert_eq!(launch(shape(0, 32, 0)), CUresult::CUDA_ERROR_INVALID_VALUE);
    assert_eq!(launch(shape(1, 0, 0)), CUresult::CUDA_ERROR_INVALID_VALUE);
    assert_eq!(launch(shape(1, 32, 48 << 10)), CUresult::CUDA_SUCCESS);
    assert_eq!(
        launch(shape(1, 32, (48 << 10) + 1)),
        CUresult::CUDA_ERROR_INVALID_VALUE
    );
    let dynamic = sys::CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
    scale.set_attribute(dynamic, 99 << 10).unwrap();
    assert_eq!(launch(shape(1, 32, 99 << 10)), CUresult::CUDA_SUCCESS);
    assert_eq!(
        error(scale.set_attribute(dynamic, 100 << 10)),
        CUresult::CUDA_ERROR_INVALID_VALUE
    );
    // The kernel `sum` is made for 128 threads.
    let device = stream.alloc_zeros::<f32>(4).unwrap();
    // SAFETY: the arguments are those of the kernel.
    let wide = unsafe {
        stream
            .launch_builder(&sum)
            .arg(&device)
            .arg(&mut other)
            .arg(&4i32)
            .launch(shape(1, 256, 0))
    };
    assert_eq!(error(wide), CUresult::CUDA_ERROR_INVALID_VALUE);
    assert_eq!(
        error(module.load_function("nobody").map(|_| ())),
        CUresult::CUDA_ERROR_NOT_FOUND
    );
    stream.synchronize().unwrap();
}

#[test]
fn modules_that_the_card_cannot_run() {
    let _turn = alone();
    let context = CudaContext::new(0).unwrap();
    let load = |text: &str| error(context.load_module(Ptx::from_src(text)).map(|_| ()));
    assert_eq!(load(SCALE), CUresult::CUDA_SUCCESS);
    assert_eq!(
        load(&SCALE.replace("sm_75", "sm_90")),
        CUresult::CUDA_ERROR_NO_BINARY_FOR_GPU
    );
    assert_eq!(
        load(&SCALE.replace(".version 6.5", ".version 9.9")),
        CUresult::CUDA_ERROR_UNSUPPORTED_PTX_VERSION
    );
    assert_eq!(
        load(&SCALE.replace("mul.f32", "tex.f32")),
        CUresult::CUDA_ERROR_INVALID_PTX
    );
    assert_eq!(load("nonsense"), CUresult::CUDA_ERROR_INVALID_PTX);
}

#[test]
fn every_nth_allocation_can_fail() {
    let _turn = alone();
    let context = CudaContext::new(0).unwrap();
    let stream = context.new_stream().unwrap();
    set_faults("alloc:3");
    let first = (
        stream.alloc_zeros::<f32>(10).unwrap(),
        stream.alloc_zeros::<f32>(10).unwrap(),
    );
    assert_eq!(
        error(stream.alloc_zeros::<f32>(10)),
        CUresult::CUDA_ERROR_OUT_OF_MEMORY
    );
    drop((first, stream.alloc_zeros::<f32>(10).unwrap()));
    assert_eq!(count("alloc"), 4);
}

#[test]
fn launches_fail_and_devices_get_lost_when_told_to() {
    let _turn = alone();
    let context = CudaContext::new(0).unwrap();
    // SAFETY: everything here happens in one stream.
    unsafe { context.disable_event_tracking() };
    let stream = context.new_stream().unwrap();
    let scale = context
        .load_module(Ptx::from_src(SCALE))
        .unwrap()
        .load_function("scale")
        .unwrap();
    let mut device = stream.alloc_zeros::<f32>(4).unwrap();
    let mut launch = || {
        // SAFETY: the arguments are those of the kernel.
        error(unsafe {
            stream
                .launch_builder(&scale)
                .arg(&mut device)
                .arg(&2f32)
                .arg(&4i32)
                .launch(shape(1, 32, 0))
        })
    };
    set_faults("launch:2");
    assert_eq!(launch(), CUresult::CUDA_SUCCESS);
    assert_eq!(launch(), CUresult::CUDA_ERROR_LAUNCH_FAILED);
    // A launch that is refused leaves the context as it was.
    set_faults("launch-refused:1");
    assert_eq!(launch(), CUresult::CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES);
    assert_eq!(launch(), CUresult::CUDA_SUCCESS);
    assert_eq!(count("launch-refused"), 2);
    set_faults("lost:5");
    let lost = (0..10)
        .map(|_| error(stream.synchronize()))
        .find(|result| *result != CUresult::CUDA_SUCCESS);
    assert_eq!(lost, Some(CUresult::CUDA_ERROR_DEVICE_UNAVAILABLE));
    set_faults("");
}

#[test]
fn other_calls_fail_once_and_then_work() {
    let _turn = alone();
    let context = CudaContext::new(0).unwrap();
    // SAFETY: everything here happens in one stream.
    unsafe { context.disable_event_tracking() };
    let stream = context.new_stream().unwrap();
    let event = context.new_event(None).unwrap();
    let mut device = stream.alloc_zeros::<f32>(4).unwrap();
    set_faults("record:1,wait:1,set:1");
    for expected in [CUresult::CUDA_ERROR_ILLEGAL_STATE, CUresult::CUDA_SUCCESS] {
        assert_eq!(error(event.record(&stream)), expected);
        assert_eq!(error(stream.wait(&event)), expected);
        assert_eq!(error(stream.memset_zeros(&mut device)), expected);
    }
    set_faults("");
}

#[test]
fn pinned_memory_is_filled_when_somebody_waits() {
    let _turn = alone();
    let context = CudaContext::new(0).unwrap();
    let stream = context.new_stream().unwrap();
    let device = stream.clone_htod(&[7u32; 16]).unwrap();
    // SAFETY: written before it is read.
    let mut pinned = unsafe { context.alloc_pinned::<u32>(16) }.unwrap();
    pinned.as_mut_slice().unwrap().fill(1);
    stream.memcpy_dtoh(&device, &mut pinned).unwrap();
    let event = stream.record_event(None).unwrap();
    event.synchronize().unwrap();
    assert_eq!(pinned.as_slice().unwrap(), [7; 16]);
}

#[test]
fn reading_back_what_nothing_wrote_is_an_error() {
    let _turn = alone();
    let context = CudaContext::new(0).unwrap();
    let stream = context.new_stream().unwrap();
    // SAFETY: that it is not written is what is to be seen.
    let device = unsafe { stream.alloc::<u32>(16) }.unwrap();
    assert_eq!(
        error(stream.clone_dtoh(&device)),
        CUresult::CUDA_ERROR_LAUNCH_FAILED
    );
    set_faults("");
}

#[test]
fn captures_refuse_what_cannot_be_captured() {
    let _turn = alone();
    let context = CudaContext::new(0).unwrap();
    // SAFETY: streams are ordered by hand below.
    unsafe { context.disable_event_tracking() };
    let (stream, side) = (context.new_stream().unwrap(), context.new_stream().unwrap());
    let mut device = stream.alloc_zeros::<u32>(4).unwrap();
    stream.synchronize().unwrap();
    let flags = sys::CUgraphInstantiate_flags(0);
    // Waiting in the middle.
    stream
        .begin_capture(Mode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL)
        .unwrap();
    assert_eq!(
        error(stream.synchronize()),
        CUresult::CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED
    );
    assert_eq!(
        error(stream.end_capture(flags)),
        CUresult::CUDA_ERROR_STREAM_CAPTURE_INVALIDATED
    );
    // Allocating in the middle.
    stream
        .begin_capture(Mode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL)
        .unwrap();
    assert_eq!(
        error(stream.alloc_zeros::<u32>(4)),
        CUresult::CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED
    );
    assert_eq!(
        error(stream.end_capture(flags)),
        CUresult::CUDA_ERROR_STREAM_CAPTURE_INVALIDATED
    );
    // A second stream joins by an event, and must be waited for.
    let fork = context.new_event(None).unwrap();
    let join = context.new_event(None).unwrap();
    for joined in [false, true] {
        stream
            .begin_capture(Mode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL)
            .unwrap();
        fork.record(&stream).unwrap();
        side.wait(&fork).unwrap();
        side.memset_zeros(&mut device).unwrap();
        if joined {
            join.record(&side).unwrap();
            stream.wait(&join).unwrap();
        }
        let ended = error(stream.end_capture(flags));
        let unjoined = CUresult::CUDA_ERROR_STREAM_CAPTURE_UNJOINED;
        assert_eq!(ended, if joined { CUresult::CUDA_SUCCESS } else { unjoined });
    }
}

#[test]
fn graphs_repeat_copies_and_sets() {
    let _turn = alone();
    let context = CudaContext::new(0).unwrap();
    // SAFETY: everything here happens in one stream.
    unsafe { context.disable_event_tracking() };
    let stream = context.new_stream().unwrap();
    let mut device = stream.clone_htod(&[5u8; 8]).unwrap();
    let mut copy = stream.alloc_zeros::<u8>(8).unwrap();
    stream.synchronize().unwrap();
    stream
        .begin_capture(Mode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL)
        .unwrap();
    stream.memcpy_dtod(&device, &mut copy).unwrap();
    stream.memset_zeros(&mut device).unwrap();
    let graph = stream
        .end_capture(sys::CUgraphInstantiate_flags(0))
        .unwrap()
        .unwrap();
    graph.launch().unwrap();
    assert_eq!(stream.clone_dtoh(&copy).unwrap(), [5; 8]);
    graph.launch().unwrap();
    assert_eq!(stream.clone_dtoh(&copy).unwrap(), [0; 8]);
}

#[test]
fn memory_has_an_end() {
    apart("memory_has_an_end", &[("SOFTGPU_MEMORY", "1M")], || {
        let context = CudaContext::new(0).unwrap();
        let stream = context.new_stream().unwrap();
        assert_eq!(context.total_mem().unwrap(), 1 << 20);
        let large = stream.alloc_zeros::<u8>(700 << 10).unwrap();
        assert_eq!(
            context.mem_get_info().unwrap(),
            ((1 << 20) - (700 << 10), 1 << 20)
        );
        assert_eq!(
            error(stream.alloc_zeros::<u8>(700 << 10)),
            CUresult::CUDA_ERROR_OUT_OF_MEMORY
        );
        drop(large);
        stream.alloc_zeros::<u8>(700 << 10).unwrap();
        // Far more than there are addresses, one after the other.
        for _ in 0..100 {
            drop(stream.alloc_zeros::<u8>(900 << 10).unwrap());
        }
    });
}

#[test]
fn cards_differ() {
    let attributes = |card: &str, capability: (i32, i32), shared: i32| {
        let test = format!("card {card}");
        if std::env::var("SOFTGPU_CARD").as_deref() != Ok(card) {
            let mut child = Command::new(std::env::current_exe().unwrap());
            child.args(["--exact", "cards_differ"]).env("SOFTGPU_CARD", card);
            let output = child.output().unwrap();
            assert!(
                output.status.success(),
                "{test}: {}",
                String::from_utf8_lossy(&output.stdout)
            );
            return;
        }
        common::load();
        let context = CudaContext::new(0).unwrap();
        assert_eq!(context.compute_capability().unwrap(), capability);
        let most = Attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN;
        assert_eq!(context.attribute(most).unwrap(), shared << 10);
        let loaded = error(context.load_module(Ptx::from_src(SCALE)).map(|_| ()));
        let old = capability < (7, 5);
        assert_eq!(loaded == CUresult::CUDA_ERROR_NO_BINARY_FOR_GPU, old);
    };
    match std::env::var("SOFTGPU_CARD").as_deref() {
        Ok("sm_61") => attributes("sm_61", (6, 1), 48),
        Ok("sm_75") => attributes("sm_75", (7, 5), 64),
        Ok("sm_90") => attributes("sm_90", (9, 0), 227),
        _ => {
            attributes("sm_61", (6, 1), 48);
            attributes("sm_75", (7, 5), 64);
            attributes("sm_90", (9, 0), 227);
        }
    }
}

#[test]
fn there_may_be_no_card() {
    apart("there_may_be_no_card", &[("SOFTGPU_DEVICES", "0")], || {
        assert_eq!(error(CudaContext::new(0)), CUresult::CUDA_ERROR_NO_DEVICE);
    });
}

#[test]
fn a_tool_may_have_other_kernels_run_and_learn_which_did() {
    let folder = std::env::temp_dir().join(format!("softgpu-other-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let other = SCALE.replace("mul.f32", "add.f32");
    std::fs::write(folder.join("scale.sm_75.ptx"), other).unwrap();
    // Of another architecture, and so of no interest.
    std::fs::write(folder.join("scale.sm_80.ptx"), "nonsense").unwrap();
    let trace = folder.join("trace");
    let settings = [
        ("SOFTGPU_PTX", folder.to_str().unwrap()),
        ("SOFTGPU_TRACE", trace.to_str().unwrap()),
    ];
    apart(
        "a_tool_may_have_other_kernels_run_and_learn_which_did",
        &settings,
        || {
            let context = CudaContext::new(0).unwrap();
            let stream = context.new_stream().unwrap();
            let module = context.load_module(Ptx::from_src(SCALE)).unwrap();
            let scale = module.load_function("scale").unwrap();
            let mut device = stream.clone_htod(&[3f32]).unwrap();
            for _ in 0..2 {
                // SAFETY: the arguments are those of the kernel.
                unsafe {
                    stream
                        .launch_builder(&scale)
                        .arg(&mut device)
                        .arg(&5f32)
                        .arg(&1i32)
                        .launch(shape(1, 32, 0))
                }
                .unwrap();
            }
            assert_eq!(stream.clone_dtoh(&device).unwrap(), [13.0]);
            let trace = std::env::var("SOFTGPU_TRACE").unwrap();
            assert_eq!(std::fs::read_to_string(trace).unwrap(), "scale\nscale\n");
        },
    );
    std::fs::remove_dir_all(folder).unwrap();
}
