// SPDX-License-Identifier: MIT OR Apache-2.0

//! Frames of your own program through a GStreamer pipeline: in by appsrc, painted, out by appsink.
//!
//!     cargo run --release --example 03_appsrc_appsink
//!
//! A ball rolls through 12 frames; the paintings are out/03/0000.png and so on.

use std::error::Error;
use std::path::Path;
use std::thread;

use gst::prelude::*;
use gst_app::{AppSink, AppSrc};
use gst_video::prelude::*;
use gst_video::{VideoFormat, VideoFrameRef, VideoInfo};

const FRAMES: u64 = 12;
const FRAMES_PER_SECOND: u64 = 12;
const WIDTH: u32 = 256;
const HEIGHT: u32 = 144;

fn main() -> Result<(), Box<dyn Error>> {
    gst::init()?;
    // The filter is part of this program; nothing needs to be installed.
    gstneuralstyle::plugin_register_static()?;
    let info = VideoInfo::builder(VideoFormat::Rgb, WIDTH, HEIGHT)
        .fps(gst::Fraction::new(FRAMES_PER_SECOND as i32, 1))
        .build()?;

    // `block` makes push_buffer wait while the painter is busy; a full appsink makes the painter wait for us.
    let pipeline = gst::parse::launch(
        "appsrc name=in format=time block=true max-buffers=2 \
         ! neuralstyle style=media/starry_night.jpg network=tiny \
         ! appsink name=out sync=false max-buffers=2",
    )?;
    let pipeline = pipeline.downcast::<gst::Pipeline>().map_err(|_| "no pipeline")?;
    let named = |name| pipeline.by_name(name).ok_or("no such element");
    let source = named("in")?.downcast::<AppSrc>().map_err(|_| "no appsrc")?;
    let sink = named("out")?.downcast::<AppSink>().map_err(|_| "no appsink")?;
    source.set_caps(Some(&info.to_caps()?));
    pipeline.set_state(gst::State::Playing)?;

    let pushing = {
        let info = info.clone();
        thread::spawn(move || -> Result<(), gst::FlowError> {
            for number in 0..FRAMES {
                source.push_buffer(frame(number, &info))?;
            }
            source.end_of_stream().map(|_| ())
        })
    };
    std::fs::create_dir_all("out/03")?;
    let mut number = 0;
    // Ends with the stream, and with an error, which the bus then tells.
    while let Ok(sample) = sink.pull_sample() {
        let buffer = sample.buffer().ok_or("a sample without a buffer")?;
        save(buffer, &info, Path::new(&format!("out/03/{number:04}.png")))?;
        println!("frame {number} at {}", buffer.pts().display());
        number += 1;
    }
    let error = pipeline
        .bus()
        .and_then(|bus| bus.pop_filtered(&[gst::MessageType::Error]));
    pipeline.set_state(gst::State::Null)?;
    if let Some(gst::MessageView::Error(error)) = error.as_ref().map(|message| message.view()) {
        return Err(error.error().into());
    }
    pushing.join().map_err(|_| "the pushing thread panicked")??;
    Ok(())
}

/// A ball that rolls over a meadow, with a time stamp.
fn frame(number: u64, info: &VideoInfo) -> gst::Buffer {
    let (ball_x, ball_y) = (20 + 18 * number as i64, 90);
    let mut bytes = vec![0; info.size()];
    let rows = bytes.chunks_exact_mut(info.stride()[0] as usize);
    for (y, row) in (0..i64::from(HEIGHT)).zip(rows) {
        for (x, pixel) in (0..i64::from(WIDTH)).zip(row.chunks_exact_mut(3)) {
            let is_ball = (x - ball_x).pow(2) + (y - ball_y).pow(2) < 24 * 24;
            pixel.copy_from_slice(match () {
                _ if is_ball => &[220, 60, 40],
                _ if y < 70 => &[120, 170, 230],
                _ => &[60, 140, 60],
            });
        }
    }
    let mut buffer = gst::Buffer::from_mut_slice(bytes);
    let stamped = buffer.make_mut();
    let second = gst::ClockTime::SECOND;
    stamped.set_pts(second * number / FRAMES_PER_SECOND);
    stamped.set_duration(second / FRAMES_PER_SECOND);
    buffer
}

fn save(buffer: &gst::BufferRef, info: &VideoInfo, path: &Path) -> Result<(), Box<dyn Error>> {
    let frame = VideoFrameRef::from_buffer_ref_readable(buffer, info)?;
    let rows = frame.plane_data(0)?.chunks(frame.plane_stride()[0] as usize);
    let rgb: Vec<u8> = rows.flat_map(|row| &row[..3 * WIDTH as usize]).copied().collect();
    image::save_buffer(path, &rgb, WIDTH, HEIGHT, image::ExtendedColorType::Rgb8)?;
    Ok(())
}
