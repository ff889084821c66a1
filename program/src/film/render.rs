// SPDX-License-Identifier: MIT OR Apache-2.0

//! The pipeline that paints a film.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use gst::prelude::*;
use indicatif::ProgressBar;

use super::Arguments;
use super::formats::{Part, Parts};
use crate::failure::Failure;
use crate::pipeline::{Pipeline, end_when, link_streams, set_properties};
use crate::progress::{self, tell};

/// Sound waits here for slow frames and for an encoder that looks ahead.
const AUDIO_QUEUE: &str = "queue max-size-buffers=0 max-size-time=0 max-size-bytes=16777216";

/// How a render ended that did not fail.
pub enum End {
    Whole,
    Interrupted,
}

/// How far a render is.
#[derive(Default)]
pub struct Progress {
    pub frames: AtomicU64,
    /// In nanoseconds of the video.
    pub position: AtomicU64,
}

/// The pipeline, and what its threads and this one tell each other.
pub struct Render {
    pipeline: Pipeline,
    pub progress: Arc<Progress>,
    /// The user has seen enough.
    stopping: Arc<AtomicBool>,
}

impl Render {
    pub fn build(arguments: &Arguments, parts: &Parts, location: &Path) -> Result<Self, Failure> {
        let source = gst::ElementFactory::make("filesrc")
            .property("location", &arguments.input)
            .build()?;
        let decoder = gst::ElementFactory::make("decodebin").build()?;
        let mux = gst::parse::launch(&parts.muxer.in_a_line())?;
        let sink = gst::ElementFactory::make("filesink")
            .property("location", location)
            .build()?;
        let video = gst::parse::bin_from_description(
            &format!(
                "queue ! videoflip video-direction=auto ! videoconvert ! neuralstyle name=painter mode=offline \
                 ! videoconvert ! {}",
                parts.video.in_a_line()
            ),
            true,
        )?;
        let painter = video.by_name("painter").ok_or("the painter has lost its name")?;
        set_properties(&painter, &arguments.style, &arguments.flags)?;

        let render = Self {
            pipeline: Pipeline::default(),
            progress: Arc::default(),
            stopping: Arc::default(),
        };
        render
            .pipeline
            .add_many([&source, &decoder, video.upcast_ref(), &mux, &sink])?;
        source.link(&decoder)?;
        video.link(&mux)?;
        mux.link(&sink)?;
        render.count_frames(&painter);
        end_when(&render.stopping, &painter);
        render.link(&decoder, &video, &mux, parts.audio);
        Ok(render)
    }

    /// Notes what the painter has finished.
    fn count_frames(&self, painter: &gst::Element) {
        let progress = self.progress.clone();
        let note = move |buffer: &gst::BufferRef| {
            progress.frames.fetch_add(1, Ordering::Relaxed);
            if let Some(start) = buffer.pts() {
                let end = start + buffer.duration().unwrap_or_default();
                progress.position.store(end.nseconds(), Ordering::Relaxed);
            }
        };
        if let Some(pad) = painter.static_pad("src") {
            pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
                if let Some(buffer) = info.buffer() {
                    note(buffer);
                }
                gst::PadProbeReturn::Ok
            });
        }
    }

    /// Links the decoder's pictures, and its sound if it finds any.
    fn link(&self, decoder: &gst::Element, video: &gst::Bin, mux: &gst::Element, audio: Part) {
        let (pipeline, stopping, mux) = (self.pipeline.downgrade(), self.stopping.clone(), mux.clone());
        link_streams(decoder, video, move || match pipeline.upgrade() {
            Some(pipeline) => sound(&pipeline, &mux, audio, &stopping).map(Some),
            None => Ok(None),
        });
    }

    /// Runs until the end, a failure or Ctrl-C.
    pub fn run(&self) -> Result<End, Failure> {
        let bar = progress::bar(0, "{bar:30} {percent}%, {eta} left, {msg}");
        let turn = |interrupts| {
            match interrupts {
                0 => {}
                1 => {
                    if !self.stopping.swap(true, Ordering::AcqRel) {
                        tell(
                            &bar,
                            "Finishing the frame and the file; Ctrl-C again gives both up.",
                        );
                    }
                }
                _ => return Err("given up; nothing was written".into()),
            }
            self.show(&bar);
            Ok(ControlFlow::Continue(()))
        };
        self.pipeline
            .play(&bar, turn, |_| Ok(ControlFlow::Continue(())))?;
        Ok(match self.stopping.load(Ordering::Acquire) {
            true => End::Interrupted,
            false => End::Whole,
        })
    }

    fn show(&self, bar: &ProgressBar) {
        let duration = self.pipeline.query_duration::<gst::ClockTime>();
        let position = gst::ClockTime::from_nseconds(self.progress.position.load(Ordering::Relaxed));
        bar.set_length(duration.unwrap_or(position).max(position).mseconds());
        bar.set_position(position.mseconds());
        let frames = self.progress.frames.load(Ordering::Relaxed);
        bar.set_message(format!(
            "{frames} frames, {:.2} a second",
            frames as f64 / bar.elapsed().as_secs_f64()
        ));
    }
}

/// A branch for the sound, from raw samples into the muxer.
fn sound(
    pipeline: &gst::Pipeline,
    mux: &gst::Element,
    encoder: Part,
    stopping: &Arc<AtomicBool>,
) -> Result<gst::Bin, Failure> {
    let line = format!(
        "{AUDIO_QUEUE} ! audioconvert name=gate ! audioresample ! {}",
        encoder.in_a_line()
    );
    let branch = gst::parse::bin_from_description(&line, true)?;
    pipeline.add(&branch)?;
    branch.link(mux)?;
    if let Some(gate) = branch.by_name("gate") {
        end_when(stopping, &gate);
    }
    branch.sync_state_with_parent()?;
    Ok(branch)
}
