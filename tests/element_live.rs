// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a live pipeline is told.

mod common;

use common::*;
use gst::prelude::*;

#[test]
fn the_latency_of_upstream_and_that_of_the_painting_add_up() {
    let pictures = Pictures::new();
    let mut rig = Rig::rgb(element(&pictures.red(), ""), 32, 24);
    let upstream = gst::ClockTime::from_mseconds(13);
    rig.harness.set_live(true);
    rig.harness.set_upstream_latency(upstream);
    assert_eq!(
        rig.harness.query_latency(),
        Some(upstream),
        "nothing is known before the first frames"
    );
    for number in 0..3 {
        let input = rig.frame(number);
        rig.paint(input);
    }
    rig.message(gst::MessageType::Latency);
    assert!(rig.harness.query_latency() > Some(upstream));

    rig.element.set_property("strength", 0.0);
    let input = rig.frame(3);
    rig.paint(input);
    rig.message(gst::MessageType::Latency);
    assert_eq!(
        rig.harness.query_latency(),
        Some(upstream),
        "what passes takes no time"
    );
}

#[test]
fn a_pipeline_that_is_not_live_hears_nothing_of_latency() {
    let pictures = Pictures::new();
    let mut rig = Rig::rgb(element(&pictures.red(), ""), 32, 24);
    rig.harness.set_live(false);
    for number in 0..4 {
        let input = rig.frame(number);
        rig.paint(input);
    }
    assert!(rig.bus.pop_filtered(&[gst::MessageType::Latency]).is_none());
}

#[test]
fn a_live_source_is_painted_to_its_end() {
    let pictures = Pictures::new();
    let line = format!(
        "videotestsrc is-live=true num-buffers=10 ! video/x-raw,format=RGB,width=32,height=24,framerate=50/1 \
         ! queue leaky=downstream max-size-buffers=1 ! neuralstyle style={} {QUICK} ! appsink",
        pictures.red().display()
    );
    let samples = render(&line);
    // How many frames the queue leaves out is the machine's affair.
    assert!((1..=10).contains(&samples.len()));
}
