// SPDX-License-Identifier: MIT OR Apache-2.0

//! Several of the element in one pipeline, and one whose paintings go several ways.

use std::sync::mpsc;

use gst::prelude::*;

use crate::common::*;

use super::file;
use super::lines;

fn bytes_of(samples: &[gst::Sample]) -> Vec<Vec<u8>> {
    samples
        .iter()
        .map(|sample| bytes(sample.buffer().unwrap()))
        .collect()
}

/// Four branches, two of which even have the same network, paint at the same time what each paints alone.
#[test]
fn four_in_one_pipeline_paint_as_each_does_alone() {
    init();
    let pictures = Pictures::new();
    let (red, blue) = (pictures.red(), pictures.blue());
    let branches = [
        (&red, "network=tiny"),
        (&blue, "network=tiny"),
        (&red, "network=slim keyframe-interval=2"),
        (&blue, "network=vgg16"),
    ]
    .map(|(style, more)| format!("neuralstyle style=\"{}\" {QUICK} {more}", style.display()));
    let source =
        "videotestsrc num-buffers=5 pattern=ball ! video/x-raw,format=RGB,width=48,height=32,framerate=25/1";
    let alone = branches
        .each_ref()
        .map(|branch| bytes_of(&render(&format!("{source} ! {branch} ! appsink"))));

    let mut line = format!("{source} ! tee name=t");
    for (number, branch) in branches.iter().enumerate() {
        line += &format!(" t. ! queue ! {branch} ! appsink name=out{number} sync=false");
    }
    let pipeline = gst::parse::launch(&line)
        .unwrap()
        .downcast::<gst::Pipeline>()
        .unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let bus = pipeline.bus().unwrap();
    let ends = [gst::MessageType::Eos, gst::MessageType::Error];
    let together: [Vec<Vec<u8>>; 4] = std::array::from_fn(|number| {
        let sink = pipeline.by_name(&format!("out{number}")).unwrap();
        let sink = sink.downcast::<gst_app::AppSink>().unwrap();
        let mut samples = Vec::new();
        while let Some(sample) = sink.try_pull_sample(PATIENCE) {
            samples.push(sample);
        }
        bytes_of(&samples)
    });
    let end = bus.timed_pop_filtered(PATIENCE, &ends).unwrap();
    assert_eq!(end.type_(), gst::MessageType::Eos, "{end:?}");
    pipeline.set_state(gst::State::Null).unwrap();
    for (number, branch) in branches.iter().enumerate() {
        assert_eq!(alone[number].len(), 5, "{branch}");
        assert!(alone[number] == together[number], "{branch}");
    }
    assert!(together[0] != together[1], "each has its own style");
}

/// The documented line for a film that is watched while it is written, with a window that takes a frame, without which
/// nothing begins, and then no other before the film is finished.
#[test]
fn a_window_beside_a_file_leaves_all_frames_to_the_file() {
    init();
    let folder = tempfile::tempdir().unwrap();
    let film = folder.path().join("painted.webm");
    let line = lines::documented()
        .into_iter()
        .find(|line| line.iter().any(|word| word == "tee"))
        .expect("docs/hosts.md has a line with a tee");
    let mut line = line.words.join(" ");
    for (documented, tested) in [
        ("autovideosink", "fakesink name=window qos=true".to_owned()),
        (
            "location=painted.webm",
            format!("location=\"{}\" name=file", film.display()),
        ),
        (
            "location=media/bunny.webm ! decodebin",
            format!(
                "location=\"{}\" ! decodebin ! videoscale ! video/x-raw,width=64,height=36",
                file("media/bunny.webm").display()
            ),
        ),
        (
            "style=media/starry_night.jpg",
            format!("style=\"{}\" {QUICK}", file("media/starry_night.jpg").display()),
        ),
    ] {
        assert!(line.contains(documented), "{documented} in {line}");
        line = line.replace(documented, &tested);
    }
    let pipeline = gst::parse::launch(&line)
        .unwrap()
        .downcast::<gst::Pipeline>()
        .unwrap();

    let (finished, wait_for_the_file) = mpsc::channel::<()>();
    let window = pipeline.by_name("window").unwrap().static_pad("sink").unwrap();
    let wait_for_the_file = std::sync::Mutex::new(wait_for_the_file);
    let taken = std::sync::atomic::AtomicBool::new(false);
    window.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        if taken.swap(true, std::sync::atomic::Ordering::Relaxed) {
            // An error once the sender is gone, at the latest with this test.
            let _ = wait_for_the_file.lock().unwrap().recv();
        }
        gst::PadProbeReturn::Ok
    });
    let file_pad = pipeline.by_name("file").unwrap().static_pad("sink").unwrap();
    let finished = std::sync::Mutex::new(Some(finished));
    file_pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        if info
            .event()
            .is_some_and(|event| event.type_() == gst::EventType::Eos)
        {
            finished.lock().unwrap().take();
        }
        gst::PadProbeReturn::Ok
    });
    pipeline.set_state(gst::State::Playing).unwrap();
    let ends = [gst::MessageType::Eos, gst::MessageType::Error];
    let end = pipeline.bus().unwrap().timed_pop_filtered(PATIENCE, &ends);
    assert_eq!(end.expect("it ends").type_(), gst::MessageType::Eos);
    pipeline.set_state(gst::State::Null).unwrap();

    let frames = |film: &std::path::Path| {
        let line = format!(
            "filesrc location=\"{}\" ! matroskademux ! appsink",
            film.display()
        );
        shown_at(&render(&line))
    };
    assert_eq!(frames(&film), frames(&file("media/bunny.webm")));
}
