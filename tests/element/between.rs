// SPDX-License-Identifier: MIT OR Apache-2.0

//! Frames between two keyframes wait for the second. What goes in comes out all the same: once, in order, as itself.

use crate::common::*;
use gst::prelude::*;
use gst_video::VideoFormat;

fn rig(pictures: &Pictures, more: &str) -> Rig {
    let more = format!("mode=offline first-iterations=7 {more}");
    Rig::rgb(element(&pictures.red(), &more), 32, 24)
}

fn push(rig: &mut Rig, numbers: impl IntoIterator<Item = u64>) {
    for number in numbers {
        let input = rig.frame(number);
        rig.harness.push(input).unwrap();
    }
}

fn pull(rig: &mut Rig) -> Vec<gst::Buffer> {
    std::iter::from_fn(|| rig.harness.try_pull()).collect()
}

fn times(buffers: &[gst::Buffer]) -> Vec<gst::ClockTime> {
    buffers.iter().map(|buffer| buffer.pts().unwrap()).collect()
}

fn times_of(numbers: impl IntoIterator<Item = u64>) -> Vec<gst::ClockTime> {
    numbers.into_iter().map(|number| FRAME * number).collect()
}

fn contents(buffers: &[gst::Buffer]) -> Vec<Vec<u8>> {
    buffers.iter().map(|buffer| bytes(buffer)).collect()
}

fn segment(start: gst::ClockTime) -> gst::Event {
    let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
    segment.set_start(start);
    segment.set_time(start);
    gst::event::Segment::new(&segment)
}

/// What comes out of a stream of so many frames that ends.
fn whole(pictures: &Pictures, more: &str, numbers: std::ops::Range<u64>) -> Vec<gst::Buffer> {
    let mut rig = rig(pictures, more);
    push(&mut rig, numbers);
    assert!(rig.harness.push_event(gst::event::Eos::new()));
    pull(&mut rig)
}

#[test]
fn every_frame_comes_out_with_its_own_times() {
    let pictures = Pictures::new();
    for interval in [1, 2, 5, 7] {
        for frames in [1, 6, 15] {
            let more = format!("keyframe-interval={interval}");
            let outs = whole(&pictures, &more, 0..frames);
            assert_eq!(times(&outs), times_of(0..frames), "interval {interval}");
            assert!(outs.iter().all(|out| out.duration() == Some(FRAME)));
        }
    }
}

#[test]
fn with_nothing_but_keyframes_nothing_waits() {
    let pictures = Pictures::new();
    let mut rig = rig(&pictures, "keyframe-interval=1");
    for number in 0..4 {
        let input = rig.frame(number);
        assert_eq!(rig.paint(input).pts(), Some(FRAME * number));
    }
}

#[test]
fn frames_wait_for_the_next_keyframe_and_the_end_lets_them_go() {
    let pictures = Pictures::new();
    let mut rig = rig(&pictures, "keyframe-interval=3");
    push(&mut rig, 0..3);
    assert_eq!(times(&pull(&mut rig)), times_of(0..1));
    push(&mut rig, 3..5);
    assert_eq!(times(&pull(&mut rig)), times_of(1..4));
    assert_eq!(rig.stats().get::<u64>("frames"), Ok(4));
    // Before the event goes on, not after it.
    while rig.harness.try_pull_event().is_some() {}
    let pad = rig.harness.sinkpad().unwrap();
    let (sender, order) = std::sync::mpsc::channel();
    let kinds = gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM;
    pad.add_probe(kinds, move |_, info| {
        let _ = sender.send(info.event().map(|event| event.type_()));
        gst::PadProbeReturn::Ok
    });
    assert!(rig.harness.push_event(gst::event::Eos::new()));
    assert_eq!(
        order.try_iter().collect::<Vec<_>>(),
        [None, Some(gst::EventType::Eos)]
    );
    assert_eq!(times(&pull(&mut rig)), times_of(4..5));
    assert_eq!(rig.stats().get::<u64>("frames"), Ok(5));
    assert_eq!(rig.stats().get::<u64>("keyframes"), Ok(2));
}

#[test]
fn the_same_stream_is_the_same_bytes() {
    let pictures = Pictures::new();
    let first = whole(&pictures, "keyframe-interval=4 seed=3", 0..10);
    let second = whole(&pictures, "keyframe-interval=4 seed=3", 0..10);
    assert_eq!(contents(&first), contents(&second));
}

#[test]
fn flags_offsets_alpha_and_metas_stay_with_their_frame() {
    let pictures = Pictures::new();
    let more = format!("{} keyframe-interval=4", "mode=offline");
    init();
    let info = info(VideoFormat::Rgba, 32, 24);
    let mut rig = Rig::new(element(&pictures.red(), &more), &info);
    let clock = gst::Caps::builder("timestamp/x-ntp").build();
    let mut alpha = Vec::new();
    for number in 0..9u64 {
        let mut input = rig.frame(number);
        alpha.push(
            bytes(&input)
                .iter()
                .skip(3)
                .step_by(4)
                .copied()
                .collect::<Vec<_>>(),
        );
        let buffer = input.get_mut().unwrap();
        buffer.set_offset(100 + number);
        buffer.set_dts(FRAME * (number + 2));
        if number == 2 {
            buffer.set_flags(gst::BufferFlags::DISCONT | gst::BufferFlags::MARKER);
        }
        gst::ReferenceTimestampMeta::add(buffer, &clock, FRAME * (50 + number), gst::ClockTime::NONE);
        rig.harness.push(input).unwrap();
    }
    let outs = pull(&mut rig);
    assert_eq!(outs.len(), 9);
    for (number, out) in (0..).zip(&outs) {
        assert_eq!(out.pts(), Some(FRAME * number));
        assert_eq!(out.dts(), Some(FRAME * (number + 2)));
        assert_eq!(out.offset(), 100 + number);
        let marked = gst::BufferFlags::DISCONT | gst::BufferFlags::MARKER;
        assert_eq!(out.flags().intersects(marked), number == 2, "frame {number}");
        let meta = out.meta::<gst::ReferenceTimestampMeta>().unwrap();
        assert_eq!(meta.timestamp(), FRAME * (50 + number));
        let kept: Vec<u8> = bytes(out).iter().skip(3).step_by(4).copied().collect();
        assert_eq!(kept, alpha[number as usize]);
    }
}

/// A source may have few buffers to lend; it gets them back while their frames wait.
#[test]
fn frames_that_wait_keep_nothing_of_upstreams_memory() {
    let pictures = Pictures::new();
    let mut rig = rig(&pictures, "keyframe-interval=9");
    let pool = gst::BufferPool::new();
    let mut config = pool.config();
    config.set_params(Some(&rig.info.to_caps().unwrap()), rig.info.size() as u32, 0, 1);
    pool.set_config(config).unwrap();
    pool.set_active(true).unwrap();
    for number in 0..5 {
        let params = gst::BufferPoolAcquireParams::with_flags(gst::BufferPoolAcquireFlags::DONTWAIT);
        let mut buffer = pool.acquire_buffer(Some(&params)).expect("it came back");
        let original = bytes(&rig.frame(number));
        let writable = buffer.get_mut().unwrap();
        writable.copy_from_slice(0, &original).unwrap();
        writable.set_pts(FRAME * number);
        rig.harness.push(buffer).unwrap();
    }
    assert!(rig.harness.push_event(gst::event::Eos::new()));
    assert_eq!(times(&pull(&mut rig)), times_of(0..5));
    pool.set_active(false).unwrap();
}

#[test]
fn a_seek_leaves_no_frame_of_the_place_that_was_left() {
    let pictures = Pictures::new();
    let expected = whole(&pictures, "keyframe-interval=4", 50..57);
    let mut rig = rig(&pictures, "keyframe-interval=4");
    push(&mut rig, 0..7);
    pull(&mut rig);
    assert!(rig.harness.push_event(gst::event::FlushStart::new()));
    assert!(rig.harness.push_event(gst::event::FlushStop::new(true)));
    assert!(rig.harness.push_event(segment(FRAME * 50)));
    push(&mut rig, 50..57);
    assert!(rig.harness.push_event(gst::event::Eos::new()));
    let outs = pull(&mut rig);
    assert_eq!(times(&outs), times_of(50..57));
    assert_eq!(contents(&outs), contents(&expected));
}

#[test]
fn new_caps_let_go_what_waits_in_the_old_ones() {
    let pictures = Pictures::new();
    let mut rig = rig(&pictures, "keyframe-interval=4");
    let old_size = rig.info.size();
    push(&mut rig, 0..7);
    // The same caps are none.
    let caps = rig.info.to_caps().unwrap();
    assert!(rig.harness.push_event(gst::event::Caps::new(&caps)));
    assert_eq!(pull(&mut rig).len(), 5);
    rig.info = info(VideoFormat::Bgrx, 17, 30);
    rig.harness.set_src_caps(rig.info.to_caps().unwrap());
    let old = pull(&mut rig);
    assert_eq!(times(&old), times_of(5..7));
    assert!(old.iter().all(|out| out.size() == old_size));
    push(&mut rig, 7..10);
    assert!(rig.harness.push_event(gst::event::Eos::new()));
    let new = pull(&mut rig);
    assert_eq!(times(&new), times_of(7..10));
    assert!(new.iter().all(|out| out.size() == rig.info.size()));
}

#[test]
fn what_follows_the_frames_in_the_stream_does_not_overtake_them() {
    let pictures = Pictures::new();
    for event in [
        segment(FRAME * 3),
        gst::event::Gap::builder(FRAME * 3).build(),
        gst::event::SegmentDone::new(FRAME * 3),
    ] {
        let mut rig = rig(&pictures, "keyframe-interval=5");
        push(&mut rig, 0..3);
        assert_eq!(pull(&mut rig).len(), 1);
        assert!(rig.harness.push_event(event.clone()));
        assert_eq!(times(&pull(&mut rig)), times_of(1..3), "{event:?}");
    }
}

/// Somebody's own events, as the one that asks an encoder for a keyframe, stay between the frames where they were.
#[test]
fn an_event_between_two_frames_stays_there() {
    let pictures = Pictures::new();
    let mut rig = rig(&pictures, "keyframe-interval=3");
    let pad = rig.harness.sinkpad().unwrap();
    let (sender, order) = std::sync::mpsc::channel();
    let kinds = gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM;
    pad.add_probe(kinds, move |_, info| {
        let is_ours = |event: &gst::Event| event.type_() == gst::EventType::CustomDownstream;
        match info.event() {
            Some(event) if is_ours(event) => sender.send("event"),
            Some(_) => Ok(()),
            None => sender.send("frame"),
        }
        .unwrap();
        gst::PadProbeReturn::Ok
    });
    push(&mut rig, 0..2);
    let event = gst::event::CustomDownstream::new(gst::Structure::new_empty("mark"));
    assert!(rig.harness.push_event(event));
    push(&mut rig, 2..4);
    let expected = ["frame", "frame", "event", "frame", "frame"];
    assert_eq!(order.try_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn a_jump_lets_go_what_waits_and_starts_afresh() {
    let pictures = Pictures::new();
    let mut rig = rig(&pictures, "keyframe-interval=5");
    push(&mut rig, 0..3);
    let steps = rig.iterations();
    let mut far = rig.frame(25 * 3600);
    far.get_mut().unwrap().set_flags(gst::BufferFlags::DISCONT);
    rig.harness.push(far).unwrap();
    assert_eq!(times(&pull(&mut rig)), times_of([0, 1, 2, 25 * 3600]));
    assert_eq!(rig.iterations() - steps, 7);
}

#[test]
fn frames_at_no_strength_pass_in_their_turn() {
    let pictures = Pictures::new();
    let mut rig = rig(&pictures, "keyframe-interval=5");
    push(&mut rig, 0..3);
    rig.element.set_property("strength", 0.0);
    push(&mut rig, 3..5);
    rig.element.set_property("strength", 1.0);
    push(&mut rig, 5..8);
    assert!(rig.harness.push_event(gst::event::Eos::new()));
    let outs = pull(&mut rig);
    assert_eq!(times(&outs), times_of(0..8));
    for (number, out) in (0..).zip(&outs) {
        let original = bytes(&rig.frame(number));
        assert_eq!(bytes(out) == original, (3..5).contains(&number), "frame {number}");
    }
}

#[test]
fn a_live_pipeline_that_is_painted_offline_hears_how_long_frames_wait() {
    let pictures = Pictures::new();
    let mut rig = rig(&pictures, "keyframe-interval=5");
    let upstream = gst::ClockTime::from_mseconds(13);
    rig.harness.set_live(true);
    rig.harness.set_upstream_latency(upstream);
    push(&mut rig, 0..1);
    assert_eq!(rig.harness.query_latency(), Some(upstream + FRAME * 4));
    push(&mut rig, 1..11);
    rig.message(gst::MessageType::Latency);
    assert!(rig.harness.query_latency() > Some(upstream + FRAME * 4));
    rig.element.set_property("strength", 0.0);
    push(&mut rig, 11..12);
    assert_eq!(rig.harness.query_latency(), Some(upstream));
}

#[test]
fn no_frame_waits_for_a_keyframe_in_live_mode() {
    let pictures = Pictures::new();
    let mut rig = Rig::rgb(element(&pictures.red(), "mode=live keyframe-interval=5"), 32, 24);
    for number in 0..12 {
        let input = rig.frame(number);
        assert_eq!(rig.paint(input).pts(), Some(FRAME * number));
    }
}

#[test]
fn an_element_may_be_stopped_while_frames_wait_and_started_again() {
    let pictures = Pictures::new();
    for frames in 0..6 {
        let mut rig = rig(&pictures, "keyframe-interval=4");
        push(&mut rig, 0..frames);
        let come = pull(&mut rig).len();
        rig.element.set_state(gst::State::Null).unwrap();
        assert!(rig.harness.try_pull().is_none());
        assert_eq!(come, [0, 1, 1, 1, 1, 5][frames as usize]);
        rig.element.set_state(gst::State::Playing).unwrap();
    }
}

#[test]
fn where_it_is_in_the_stream_is_where_the_last_frame_ended() {
    let pictures = Pictures::new();
    let mut rig = rig(&pictures, "keyframe-interval=3");
    push(&mut rig, 0..6);
    let pad = rig.harness.sinkpad().unwrap();
    assert_eq!(pad.peer_query_position::<gst::ClockTime>(), Some(FRAME * 4));
}

/// The end comes while frames are on their way, in a pipeline with threads.
#[test]
fn a_film_of_any_length_comes_out_whole() {
    let pictures = Pictures::new();
    for frames in [1, 4, 5, 6, 13] {
        let line = format!(
            "videotestsrc num-buffers={frames} pattern=ball ! video/x-raw,format=RGB,width=32,height=24,framerate=25/1 \
             ! queue ! neuralstyle style={} {QUICK} keyframe-interval=5 ! queue ! videoconvert ! appsink",
            pictures.red().display()
        );
        assert_eq!(shown_at(&render(&line)), times_of(0..frames));
    }
}
