// SPDX-License-Identifier: MIT OR Apache-2.0

//! No object of GStreamer's outlives the pipeline that it was made for, as its leaks tracer sees it.

use std::process::Command;

use gst::prelude::*;

use crate::common::{Pictures, QUICK, init};

/// Set for the process that runs the pipeline, since the tracer looks at a whole process.
const CHILD: &str = "NEURALSTYLE_TEST_LEAKS";

#[test]
fn nothing_of_a_pipeline_is_left() {
    if std::env::var_os(CHILD).is_some() {
        return run_a_pipeline();
    }
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "leaks::nothing_of_a_pipeline_is_left", "--nocapture"])
        .env(CHILD, "1")
        .env("GST_TRACERS", "leaks")
        .env("GST_DEBUG", "GST_TRACER:7")
        .env("GST_DEBUG_FILE", &log)
        .env("GST_DEBUG_NO_COLOR", "1")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let log = std::fs::read_to_string(&log).unwrap();
    // The tracer announces its formats, with %s for the values; without those it did not run.
    let (formats, left): (Vec<&str>, Vec<&str>) = log
        .lines()
        .filter(|line| line.contains("object-alive, type-name="))
        .partition(|line| line.contains("type-name=(string)%") || line.contains("type-name=(structure)"));
    assert!(!formats.is_empty(), "the leaks tracer ran: {log}");
    assert!(left.is_empty(), "these objects were never freed: {left:#?}");
}

fn run_a_pipeline() {
    init();
    {
        let pictures = Pictures::new();
        let pipeline = gst::parse::launch(&format!(
            "videotestsrc num-buffers=3 ! video/x-raw,width=64,height=48 ! videoconvert \
             ! neuralstyle style=\"{}\" {QUICK} ! videoconvert ! fakesink",
            pictures.red().display()
        ))
        .unwrap();
        pipeline.set_state(gst::State::Playing).unwrap();
        let bus = pipeline.bus().unwrap();
        let ends = [gst::MessageType::Eos, gst::MessageType::Error];
        let last = bus.timed_pop_filtered(gst::ClockTime::NONE, &ends).unwrap();
        assert_eq!(last.type_(), gst::MessageType::Eos, "{last:?}");
        pipeline.set_state(gst::State::Null).unwrap();
    }
    // SAFETY: this process does nothing with GStreamer after it.
    unsafe { gst::deinit() };
}
