// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a live pipeline gets, and what it is told.

use crate::common::*;
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

/// Who knows how long a frame lasts announces no more. A thousandth of a second is less than anything takes here.
#[test]
fn a_frame_that_does_not_wait_is_late_by_one_frame_at_most() {
    init();
    let pictures = Pictures::new();
    for fps in [0, 1000] {
        let info = gst_video::VideoInfo::builder(gst_video::VideoFormat::Rgb, 64, 48)
            .fps(gst::Fraction::new(fps, 1))
            .build()
            .unwrap();
        let mut rig = Rig::new(element(&pictures.red(), "mode=live"), &info);
        rig.harness.set_live(true);
        rig.harness.set_upstream_latency(gst::ClockTime::ZERO);
        for number in 0..3 {
            let input = rig.frame(number);
            rig.paint(input);
        }
        rig.message(gst::MessageType::Latency);
        let latency = rig.harness.query_latency().unwrap();
        let frame = gst::ClockTime::from_mseconds(1);
        match fps {
            0 => assert!(latency > frame, "nobody knows how long a frame lasts: {latency}"),
            _ => assert_eq!(latency, frame),
        }
    }
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

/// A number of steps that no test lives to see the end of.
const DAYS: u32 = 1_000_000;

/// Whether it is told so or finds it out.
#[test]
fn frames_of_a_live_source_do_not_wait_for_their_painting() {
    let pictures = Pictures::new();
    for mode in ["auto", "live"] {
        let line = format!(
            "videotestsrc is-live=true num-buffers=20 ! video/x-raw,format=RGB,width=64,height=48,framerate=50/1 \
             ! neuralstyle style={} {QUICK} first-iterations={DAYS} mode={mode} ! appsink",
            pictures.red().display()
        );
        assert_eq!(render(&line).len(), 20, "mode={mode}");
    }
}

#[test]
fn a_synchronised_sink_gets_every_frame_of_a_live_source() {
    init();
    let pictures = Pictures::new();
    let line = format!(
        "videotestsrc is-live=true num-buffers=30 pattern=ball ! video/x-raw,format=RGB,width=64,height=48,framerate=20/1 \
         ! neuralstyle style={} network=tiny working-size=32 ! fakesink name=out sync=true",
        pictures.red().display()
    );
    let pipeline = gst::parse::launch(&line)
        .unwrap()
        .downcast::<gst::Pipeline>()
        .unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let bus = pipeline.bus().unwrap();
    let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
    let end = bus
        .timed_pop_filtered(PATIENCE, &kinds)
        .expect("the pipeline ends");
    assert!(end.type_() == gst::MessageType::Eos, "{end:?}");
    let stats: gst::Structure = pipeline.by_name("out").unwrap().property("stats");
    pipeline.set_state(gst::State::Null).unwrap();
    assert_eq!(stats.get::<u64>("rendered").unwrap(), 30, "{stats}");
    assert_eq!(stats.get::<u64>("dropped").unwrap(), 0, "{stats}");
}

/// Sends frames in until the figures say what is wanted.
fn paint_until(
    rig: &mut Rig,
    numbers: &mut std::ops::RangeFrom<u64>,
    enough: impl Fn(&Rig, &gst::Buffer) -> bool,
) {
    for number in numbers.by_ref() {
        let input = rig.frame(number);
        let output = rig.paint(input);
        if enough(rig, &output) {
            return;
        }
        assert!(number < 1_000_000, "this will never be");
        std::thread::yield_now();
    }
}

fn keyframes(rig: &Rig) -> u64 {
    rig.stats().get("keyframes").unwrap()
}

#[test]
fn keyframes_come_in_beside_the_stream_and_are_told() {
    let pictures = Pictures::new();
    let mut rig = Rig::rgb(element(&pictures.red(), "mode=live post-messages=true"), 32, 24);
    paint_until(&mut rig, &mut (0..), |rig, _| keyframes(rig) >= 3);
    let message = rig.message(gst::MessageType::Element);
    let told = message.structure().unwrap();
    assert!(told.get::<u64>("keyframes").unwrap() >= 1);
    assert!(rig.iterations() >= 4 && told.get::<f64>("total-loss").unwrap() > 0.0);
    assert!(rig.stats().get::<u64>("frames").unwrap() >= 3);
}

#[test]
fn a_new_style_shows_in_a_live_stream_without_a_pause() {
    let pictures = Pictures::new();
    let mut rig = Rig::rgb(element(&pictures.red(), "mode=live"), 32, 24);
    let mut numbers = 0..;
    paint_until(&mut rig, &mut numbers, |rig, _| keyframes(rig) >= 2);
    rig.element
        .set_property("style", pictures.blue().to_str().unwrap());
    let info = rig.info.clone();
    let is_blue = move |_: &Rig, output: &gst::Buffer| {
        let [red, _, blue] = mean_colour(output, &info);
        blue > red + 40.0
    };
    paint_until(&mut rig, &mut numbers, is_blue);
}

#[test]
fn a_pipeline_that_is_not_live_may_be_painted_live_and_stopped_at_any_moment() {
    let pictures = Pictures::new();
    for frames in [0, 1, 2, 7] {
        let more = format!("mode=live first-iterations={DAYS}");
        let mut rig = Rig::rgb(element(&pictures.red(), &more), 64, 48);
        for number in 0..frames {
            let input = rig.frame(number);
            rig.paint(input);
        }
        // Would not return if the thread that paints did not end.
        rig.element.set_state(gst::State::Null).unwrap();
        rig.element.set_state(gst::State::Playing).unwrap();
    }
}
