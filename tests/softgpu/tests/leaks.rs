// SPDX-License-Identifier: MIT OR Apache-2.0

//! What is never given back is told, whether the context goes before the process ends or not, and the process fails.

mod common;

use std::process::Command;
use std::sync::Arc;

use cudarc::driver::sys::{self, CUstreamCaptureMode as Mode};
use cudarc::driver::{CudaContext, CudaStream, result};
use cudarc::nvrtc::Ptx;

const SCALE: &str = include_str!("ptx/scale.ptx");

/// What is left, and what is said of it.
const THINGS: [(&str, &str); 7] = [
    ("memory", "400 bytes at"),
    ("pinned", "400 bytes of pinned memory"),
    ("stream", "a stream"),
    ("event", "a CUDA event"),
    ("module", "a module"),
    ("graph", "a graph"),
    ("executable", "a graph that was instantiated"),
];

/// A graph and what was made of it.
fn graph(stream: &CudaStream) -> (sys::CUgraph, sys::CUgraphExec) {
    stream
        .begin_capture(Mode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL)
        .unwrap();
    let raw = stream.cu_stream();
    // SAFETY: the stream captures.
    unsafe {
        let graph = result::stream::end_capture(raw).unwrap();
        let executable = result::graph::instantiate(graph, sys::CUgraphInstantiate_flags(0)).unwrap();
        (graph, executable)
    }
}

/// Makes one of everything and gives back all but one.
fn leave(left: &str, context: &Arc<CudaContext>) {
    let stream = context.new_stream().unwrap();
    let other = context.new_stream().unwrap();
    let event = context.new_event(None).unwrap();
    let module = context.load_module(Ptx::from_src(SCALE)).unwrap();
    let (graph, executable) = graph(&stream);
    // SAFETY: each thing is used by nobody and given back once, or never, which is what is to be seen.
    unsafe {
        let memory = result::malloc_sync(400).unwrap();
        let pinned = result::malloc_host(400, 0).unwrap();
        if left != "memory" {
            result::free_sync(memory).unwrap();
        }
        if left != "pinned" {
            result::free_host(pinned).unwrap();
        }
        if left != "executable" {
            result::graph::exec_destroy(executable).unwrap();
        }
        if left != "graph" {
            result::graph::destroy(graph).unwrap();
        }
    }
    // What the wrappers hold of the context is given back, so that it goes although they do not go.
    match left {
        "stream" => leak(context, other),
        "event" => leak(context, event),
        "module" => leak(context, module),
        _ => {}
    }
}

/// Never drops `thing`, which has one hold on the context.
fn leak<T>(context: &Arc<CudaContext>, thing: T) {
    std::mem::forget(thing);
    // SAFETY: the hold is that of the thing, which is never dropped.
    unsafe { Arc::decrement_strong_count(Arc::as_ptr(context)) };
}

/// Run by the test below in processes of their own.
#[test]
#[ignore = "is run by the other test, in processes of its own"]
fn leave_something() {
    common::load();
    let left = std::env::var("TEST_LEFT").unwrap();
    let context = CudaContext::new(0).unwrap();
    leave(&left, &context);
    if std::env::var("TEST_FAILS").is_ok() {
        // Nothing can be given back after that, and so nothing need be.
        common::set_faults("lost:1");
        let _ = context.synchronize();
        common::set_faults("");
    }
    if std::env::var("TEST_STAYS").is_ok() {
        std::mem::forget(context);
    }
}

/// What a process says that leaves something, and its status.
fn said(left: &str, variables: &[(&str, &str)]) -> (String, Option<i32>) {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child
        .args(["--exact", "leave_something", "--ignored", "--nocapture"])
        .env("TEST_LEFT", left)
        .envs(variables.iter().copied());
    let output = child.output().unwrap();
    (String::from_utf8(output.stderr).unwrap(), output.status.code())
}

const LEAKS: (&str, &str) = ("SOFTGPU_LEAKS", "1");

#[test]
fn whatever_is_left_is_told_by_its_kind() {
    for variables in [&[LEAKS][..], &[LEAKS, ("TEST_STAYS", "1")]] {
        for (left, words) in THINGS {
            let (text, status) = said(left, variables);
            let told: Vec<&str> = text.lines().filter(|line| line.contains("leak:")).collect();
            assert_eq!((told.len(), status), (1, Some(23)), "{left}: {text}");
            assert!(
                told[0].ends_with("never given back") && told[0].contains(words),
                "{left}: {text}"
            );
        }
    }
}

#[test]
fn nothing_is_told_of_what_was_given_back_or_could_not_be() {
    for variables in [&[LEAKS][..], &[LEAKS, ("TEST_STAYS", "1")]] {
        let (text, status) = said("nothing", variables);
        assert!(!text.contains("leak") && status == Some(0), "{text}");
    }
    for (left, _) in THINGS {
        let (text, status) = said(left, &[LEAKS, ("TEST_FAILS", "1")]);
        assert!(!text.contains("leak") && status == Some(0), "{left}: {text}");
        let (text, status) = said(left, &[]);
        assert!(!text.contains("leak") && status == Some(0), "{left}: {text}");
    }
}
