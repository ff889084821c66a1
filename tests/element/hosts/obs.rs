// SPDX-License-Identifier: MIT OR Apache-2.0

//! OBS, by the filters of obs-gstreamer.

use crate::common::*;
use gst::prelude::*;
use gst_app::{AppSink, AppSrc};

/// As in gstreamer-filter.c: a source that is not live and has no frame rate; each frame is pushed, and
/// the next one not before the painting of this one was pulled. The caller, who draws OBS's picture, waits meanwhile.
#[test]
fn who_waits_for_each_frame_gets_each() {
    init();
    let pictures = Pictures::new();
    for more in [
        "",
        "keyframe-interval=5",
        "mode=live",
        "mode=live keyframe-interval=5",
    ] {
        let line = format!(
            "appsrc name=in format=time caps=video/x-raw,format=BGRA,width=64,height=48,framerate=0/1 \
             ! neuralstyle style=\"{}\" {QUICK} {more} ! video/x-raw,format=BGRA ! appsink name=out sync=false",
            pictures.red().display()
        );
        let pipeline = gst::parse::launch(&line)
            .unwrap()
            .downcast::<gst::Pipeline>()
            .unwrap();
        let source = pipeline.by_name("in").unwrap().downcast::<AppSrc>().unwrap();
        let sink = pipeline.by_name("out").unwrap().downcast::<AppSink>().unwrap();
        pipeline.set_state(gst::State::Playing).unwrap();
        let info = info(gst_video::VideoFormat::Bgra, 64, 48);
        for number in 0..12 {
            source.push_buffer(frame(&info, number)).unwrap();
            let sample = sink.try_pull_sample(PATIENCE).expect(more);
            assert_eq!(sample.buffer().unwrap().pts(), Some(FRAME * number), "{more}");
        }
        pipeline.set_state(gst::State::Null).unwrap();
    }
}
