// SPDX-License-Identifier: MIT OR Apache-2.0

//! Streams that change their caps, are sought in, flushed, interrupted or ended. Whether a frame started afresh shows in
//! the steps that it took.

use crate::common::*;
use gst::prelude::*;
use gst_video::VideoFormat;

/// Steps of a fresh start and of any other frame.
const FRESH: u64 = 7;
const GOES_ON: u64 = 1;

fn rig(pictures: &Pictures) -> Rig {
    Rig::rgb(
        element(&pictures.red(), "first-iterations=7 iterations=1"),
        32,
        24,
    )
}

/// Paints a frame and says how many steps that took.
fn steps(rig: &mut Rig, buffer: gst::Buffer) -> u64 {
    let before = rig.iterations();
    rig.paint(buffer);
    rig.iterations() - before
}

fn steps_of_frame(rig: &mut Rig, number: u64) -> u64 {
    let buffer = rig.frame(number);
    steps(rig, buffer)
}

fn discont(mut buffer: gst::Buffer) -> gst::Buffer {
    buffer.get_mut().unwrap().set_flags(gst::BufferFlags::DISCONT);
    buffer
}

fn segment(start: gst::ClockTime) -> gst::Event {
    let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
    segment.set_start(start);
    segment.set_time(start);
    gst::event::Segment::new(&segment)
}

#[test]
fn the_first_frame_starts_afresh_and_the_others_go_on() {
    let pictures = Pictures::new();
    let mut rig = rig(&pictures);
    assert_eq!(steps_of_frame(&mut rig, 0), FRESH);
    for number in 1..5 {
        assert_eq!(steps_of_frame(&mut rig, number), GOES_ON);
    }
}

#[test]
fn a_flush_starts_afresh() {
    let pictures = Pictures::new();
    let mut rig = rig(&pictures);
    steps_of_frame(&mut rig, 0);
    assert!(rig.harness.push_event(gst::event::FlushStart::new()));
    assert!(rig.harness.push_event(gst::event::FlushStop::new(true)));
    assert!(rig.harness.push_event(segment(gst::ClockTime::ZERO)));
    assert_eq!(steps_of_frame(&mut rig, 1), FRESH);
    assert_eq!(steps_of_frame(&mut rig, 2), GOES_ON);
}

#[test]
fn new_caps_start_afresh_and_the_same_caps_do_not() {
    let pictures = Pictures::new();
    let mut rig = rig(&pictures);
    steps_of_frame(&mut rig, 0);
    rig.harness.set_src_caps(rig.info.to_caps().unwrap());
    assert_eq!(steps_of_frame(&mut rig, 1), GOES_ON);
    rig.info = info(VideoFormat::Bgrx, 17, 30);
    rig.harness.set_src_caps(rig.info.to_caps().unwrap());
    assert_eq!(steps_of_frame(&mut rig, 2), FRESH);
    assert_eq!(steps_of_frame(&mut rig, 3), GOES_ON);
}

#[test]
fn another_stream_starts_afresh() {
    let pictures = Pictures::new();
    let mut rig = rig(&pictures);
    steps_of_frame(&mut rig, 0);
    assert!(rig.harness.push_event(gst::event::StreamStart::new("another")));
    rig.harness.set_src_caps(rig.info.to_caps().unwrap());
    assert!(rig.harness.push_event(segment(gst::ClockTime::ZERO)));
    assert_eq!(steps_of_frame(&mut rig, 1), FRESH);
}

#[test]
fn a_dropped_frame_marks_a_discontinuity_that_is_none() {
    let pictures = Pictures::new();
    let mut rig = rig(&pictures);
    steps_of_frame(&mut rig, 0);
    let after_a_drop = discont(rig.frame(4));
    assert_eq!(steps(&mut rig, after_a_drop), GOES_ON);
}

#[test]
fn a_jump_with_a_discontinuity_starts_afresh() {
    let pictures = Pictures::new();
    let mut rig = rig(&pictures);
    steps_of_frame(&mut rig, 0);
    let far = discont(rig.frame(25 * 3600));
    assert_eq!(steps(&mut rig, far), FRESH);
    let back = discont(rig.frame(0));
    assert_eq!(steps(&mut rig, back), FRESH);
}

#[test]
fn a_new_segment_starts_afresh_unless_it_goes_on_where_the_last_one_ended() {
    let pictures = Pictures::new();
    let mut rig = rig(&pictures);
    steps_of_frame(&mut rig, 0);
    assert!(rig.harness.push_event(segment(FRAME)));
    assert_eq!(steps_of_frame(&mut rig, 1), GOES_ON);
    assert!(rig.harness.push_event(segment(FRAME * 100)));
    assert_eq!(steps_of_frame(&mut rig, 100), FRESH);
}

#[test]
fn the_size_of_a_running_stream_may_change() {
    let pictures = Pictures::new();
    init();
    let mut rig = Rig::rgb(element(&pictures.red(), ""), 32, 24);
    for (number, (format, width, height)) in [
        (VideoFormat::Rgb, 32, 24),
        (VideoFormat::Argb, 1, 1),
        (VideoFormat::Bgr, 45, 19),
        (VideoFormat::Xbgr, 5, 64),
        (VideoFormat::Rgb, 32, 24),
    ]
    .into_iter()
    .enumerate()
    {
        rig.info = info(format, width, height);
        rig.harness.set_src_caps(rig.info.to_caps().unwrap());
        let input = rig.frame(number as u64);
        let original = bytes(&input);
        let output = rig.paint(input);
        assert_eq!(output.size(), rig.info.size());
        assert_ne!(bytes(&output), original);
    }
}

#[test]
fn every_frame_of_a_film_comes_out_once_and_in_order() {
    let pictures = Pictures::new();
    let line = format!(
        "videotestsrc num-buffers=12 pattern=ball ! video/x-raw,format=RGB,width=32,height=24,framerate=25/1 \
         ! neuralstyle style={} {QUICK} keyframe-interval=3 ! appsink",
        pictures.red().display()
    );
    let samples = render(&line);
    assert_eq!(
        shown_at(&samples),
        (0..12).map(|number| FRAME * number).collect::<Vec<_>>()
    );
    let info = info(VideoFormat::Rgb, 32, 24);
    for sample in samples {
        let mean = mean_colour(sample.buffer().unwrap(), &info);
        assert!(mean.iter().sum::<f64>() > 6.0, "no frame is black: {mean:?}");
    }
}

#[test]
fn a_sought_stream_goes_on_from_where_it_was_sought_to() {
    let pictures = Pictures::new();
    init();
    let line = format!(
        "videotestsrc num-buffers=1000 ! video/x-raw,format=RGB,width=16,height=16,framerate=25/1 \
         ! neuralstyle name=fx style={} {QUICK} ! appsink name=out sync=false max-buffers=1",
        pictures.red().display()
    );
    let pipeline = gst::parse::launch(&line)
        .unwrap()
        .downcast::<gst::Pipeline>()
        .unwrap();
    let sink = appsink(&pipeline);
    pipeline.set_state(gst::State::Paused).unwrap();
    let preroll = sink.pull_preroll().unwrap();
    assert_eq!(preroll.buffer().unwrap().pts(), Some(gst::ClockTime::ZERO));
    for second in [20, 3, 11] {
        let position = gst::ClockTime::from_seconds(second);
        pipeline
            .seek_simple(gst::SeekFlags::FLUSH | gst::SeekFlags::ACCURATE, position)
            .unwrap();
        let preroll = sink.pull_preroll().unwrap();
        assert_eq!(preroll.buffer().unwrap().pts(), Some(position));
    }
    pipeline.set_state(gst::State::Playing).unwrap();
    let sample = sink.pull_sample().unwrap();
    assert!(sample.buffer().unwrap().pts() >= Some(gst::ClockTime::from_seconds(11)));
    pipeline.set_state(gst::State::Null).unwrap();
}

#[test]
fn an_element_may_be_stopped_and_started_again() {
    let pictures = Pictures::new();
    let line = format!(
        "videotestsrc num-buffers=3 ! video/x-raw,format=RGB,width=16,height=16 \
         ! neuralstyle name=fx style={} {QUICK} ! fakesink",
        pictures.red().display()
    );
    init();
    let pipeline = gst::parse::launch(&line)
        .unwrap()
        .downcast::<gst::Pipeline>()
        .unwrap();
    let element = pipeline.by_name("fx").unwrap();
    for _ in 0..3 {
        pipeline.set_state(gst::State::Playing).unwrap();
        let end = [gst::MessageType::Eos, gst::MessageType::Error];
        let end = pipeline
            .bus()
            .unwrap()
            .timed_pop_filtered(PATIENCE, &end)
            .unwrap();
        assert_eq!(end.type_(), gst::MessageType::Eos, "{end:?}");
        pipeline.set_state(gst::State::Null).unwrap();
        let stats: gst::Structure = element.property("stats");
        assert_eq!(
            stats.get::<u64>("frames"),
            Ok(3),
            "the figures of the last run stay until the next"
        );
    }
}

#[test]
fn the_end_of_the_stream_comes_through_even_before_the_first_frame() {
    let pictures = Pictures::new();
    let mut rig = rig(&pictures);
    assert!(rig.harness.push_event(gst::event::Eos::new()));
    let mut kinds = Vec::new();
    while let Some(event) = rig.harness.try_pull_event() {
        kinds.push(event.type_());
    }
    assert_eq!(kinds.last(), Some(&gst::EventType::Eos));
}
