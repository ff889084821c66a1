// SPDX-License-Identifier: MIT OR Apache-2.0

//! Nobody waits for a frame that would take days: state changes, flushes and seeks end it.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::*;
use gst::prelude::*;

/// A number of steps that no test lives to see the end of.
const DAYS: u32 = 1_000_000;

/// Tells when the element of this name begins to paint a frame, as its debug log does.
fn painting_begins(element: &gst::Element) -> Receiver<()> {
    let (sender, receiver) = mpsc::channel();
    let name = element.name();
    gst::log::remove_default_log_function();
    gst::log::set_active(true);
    gst::log::set_threshold_for_name("neuralstyle", gst::DebugLevel::Log);
    gst::log::add_log_function(move |category, _, _, _, _, object, message| {
        let by_it = || object.is_some_and(|object| object.to_string() == name);
        let begins = || message.get().is_some_and(|text| text.starts_with("painting"));
        if category.name() == "neuralstyle" && by_it() && begins() {
            let _ = sender.send(());
        }
    });
    receiver
}

fn patience() -> Duration {
    Duration::from_nanos(PATIENCE.nseconds())
}

/// Runs something that must end, and gives its result. How long it took is told, not judged.
fn ends<T: Send + 'static>(what: &str, action: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    let begun = Instant::now();
    thread::spawn(move || sender.send(action()));
    match receiver.recv_timeout(patience()) {
        Ok(result) => {
            eprintln!("{what}: answered after {:?}", begun.elapsed());
            result
        }
        Err(RecvTimeoutError::Timeout) => panic!("{what} does not end"),
        Err(RecvTimeoutError::Disconnected) => panic!("{what} panicked"),
    }
}

/// A pipeline that paints a frame for days, on a large picture, and the element in it.
fn busy_pipeline(pictures: &Pictures, name: &str, more: &str) -> (gst::Pipeline, gst::Element) {
    init();
    let line = format!(
        "videotestsrc ! video/x-raw,format=RGB,width=640,height=360,framerate=25/1 \
         ! neuralstyle name={name} style={} network=slim working-size=512 first-iterations={DAYS} {more} \
         ! appsink name=out sync=false max-buffers=1",
        pictures.red().display()
    );
    let pipeline = gst::parse::launch(&line)
        .unwrap()
        .downcast::<gst::Pipeline>()
        .unwrap();
    let element = pipeline.by_name(name).unwrap();
    (pipeline, element)
}

#[test]
fn a_state_change_ends_the_running_frame() {
    let pictures = Pictures::new();
    let (pipeline, element) = busy_pipeline(&pictures, "stopped", "");
    let begins = painting_begins(&element);
    pipeline.set_state(gst::State::Playing).unwrap();
    begins.recv_timeout(patience()).expect("the first frame begins");
    let stopped = pipeline.clone();
    ends("state change", move || stopped.set_state(gst::State::Null)).unwrap();
    assert!(
        pipeline
            .bus()
            .unwrap()
            .pop_filtered(&[gst::MessageType::Error])
            .is_none(),
        "a stop is no error"
    );
}

#[test]
fn a_seek_ends_the_running_frame_and_the_next_one_is_painted() {
    let pictures = Pictures::new();
    let (pipeline, element) = busy_pipeline(&pictures, "sought", "");
    let begins = painting_begins(&element);
    pipeline.set_state(gst::State::Paused).unwrap();
    begins.recv_timeout(patience()).expect("the first frame begins");
    element.set_property("first-iterations", 1u32);
    let position = gst::ClockTime::from_seconds(7);
    let sought = pipeline.clone();
    ends("seek", move || {
        sought.seek_simple(gst::SeekFlags::FLUSH, position)
    })
    .unwrap();
    let sink = appsink(&pipeline);
    let preroll = sink.pull_preroll().unwrap();
    assert_eq!(preroll.buffer().unwrap().pts(), Some(position));
    pipeline.set_state(gst::State::Null).unwrap();
}

#[test]
fn the_frame_that_a_flush_ends_says_so() {
    let pictures = Pictures::new();
    let element = element(&pictures.red(), &format!("first-iterations={DAYS} name=flushed"));
    let begins = painting_begins(&element);
    let mut rig = Rig::rgb(element, 64, 48);
    let pad = rig.harness.srcpad().unwrap();
    let input = rig.frame(0);
    let frame = thread::spawn({
        let pad = pad.clone();
        move || pad.push(input)
    });
    begins.recv_timeout(patience()).expect("the frame begins");
    assert!(pad.push_event(gst::event::FlushStart::new()));
    assert_eq!(
        ends("flush", move || frame.join().unwrap()),
        Err(gst::FlowError::Flushing)
    );

    rig.element.set_property("first-iterations", 2u32);
    assert!(pad.push_event(gst::event::FlushStop::new(true)));
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    assert!(pad.push_event(gst::event::Segment::new(&segment)));
    let next = rig.frame(1);
    rig.paint(next);
}

#[test]
fn properties_statistics_and_queries_do_not_wait_for_the_running_frame() {
    let pictures = Pictures::new();
    let (pipeline, element) = busy_pipeline(&pictures, "asked", "");
    let begins = painting_begins(&element);
    pipeline.set_state(gst::State::Paused).unwrap();
    begins.recv_timeout(patience()).expect("the first frame begins");
    let blue = pictures.blue();
    let asked = element.clone();
    ends("questions", move || {
        let _: gst::Structure = asked.property("stats");
        asked.set_property("style", blue.to_str().unwrap());
        asked.set_property("iterations", 3u32);
        asked.set_property("strength", 0.5);
        let mut latency = gst::query::Latency::new();
        asked.query(&mut latency);
    });
    ends("state change", move || pipeline.set_state(gst::State::Null)).unwrap();
}

/// Down and up again and again, at any moment of a frame.
#[test]
fn a_stop_at_any_moment_leaves_an_element_that_starts_again() {
    let pictures = Pictures::new();
    let (pipeline, element) = busy_pipeline(&pictures, "restless", "network=tiny working-size=64");
    let begins = painting_begins(&element);
    for round in 0..20 {
        pipeline.set_state(gst::State::Playing).unwrap();
        // Every other time the stop comes before, at or after the beginning of the frame, as it happens.
        if round % 2 == 0 {
            begins
                .recv_timeout(patience())
                .expect("a frame begins after every start");
        }
        let stopped = pipeline.clone();
        ends("state change", move || stopped.set_state(gst::State::Ready)).unwrap();
        while begins.try_recv().is_ok() {}
    }
    let stopped = pipeline.clone();
    ends("state change", move || stopped.set_state(gst::State::Null)).unwrap();
}
