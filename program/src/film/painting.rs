// SPDX-License-Identifier: MIT OR Apache-2.0

//! The pipeline that paints frames and writes the film.
//!
//! It ends apart from what reads: its frames come from an `appsrc`. What is encoded waits before the muxer without a limit, so
//! that it does not matter in which order sound and pictures were read.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use gst::prelude::*;
use gst_app::{AppSink, AppSinkCallbacks, AppSrc, AppSrcCallbacks};
use gst_video::VideoInfo;

use super::feed::{Order, lock};
use super::fitting::Fitting;
use super::sequence::Writer;
use super::sound::Format;
use super::target::Kind;
use crate::failure::Failure;
use crate::pipeline::{Pipeline, set_properties};

const PAINTER: &str = "neuralstyle name=painter mode=offline";

/// No limit: what waits here is small, and stopping it could stop everything.
const PATIENT_QUEUE: &str = "queue max-size-buffers=0 max-size-time=0 max-size-bytes=0";

/// Sound that waits for its encoder, in bytes.
const WAITING_SOUND: u64 = 4_000_000;

/// How far painting is.
#[derive(Default)]
struct Progress {
    /// Frames that the painter has finished.
    frames: AtomicU64,
    /// The end of the last one, in nanoseconds.
    position: AtomicU64,
    /// Frames that it has begun.
    begun: AtomicU64,
    /// How many it had begun when it last waited for one.
    idle: AtomicU64,
    /// Buffers that have come to the end of the pipeline.
    written: AtomicU64,
}

/// The pipeline, and what its threads and others tell each other.
pub struct Painting {
    pipeline: Pipeline,
    frames: AppSrc,
    sound: Option<AppSrc>,
    painter: gst::Element,
    /// Where what is painted leaves.
    outlet: gst::Element,
    progress: Arc<Progress>,
    /// Nobody waits for more than is painted.
    abandoned: Arc<AtomicBool>,
    /// Why pictures could not be written.
    pub failure: Arc<Mutex<Option<Failure>>>,
}

impl Painting {
    /// Builds the pipeline for frames of a format and starts it.
    pub fn start(
        order: &Order,
        fitting: &Fitting,
        turned: Option<gst::TagList>,
        sound: Option<Format>,
    ) -> Result<Self, Failure> {
        let upright = match turned {
            Some(_) => "videoconvert ! videoflip video-direction=auto ! videoconvert ! ",
            None => "",
        };
        let film = fitting.film();
        let shape = format!(
            "video/x-raw,format={},colorimetry={}",
            film.format(),
            film.colorimetry()
        );
        let begin = format!("appsrc name=frames ! {upright}{PAINTER} ! capsfilter name=outlet caps={shape}");
        let end = match &order.target.kind {
            Kind::File { parts, .. } => format!(
                "queue name=painted max-size-buffers=2 max-size-time=0 max-size-bytes=0 ! {} ! {PATIENT_QUEUE} ! {} name=mux \
                 ! filesink name=file",
                parts.video.in_a_line(),
                parts.muxer.in_a_line()
            ),
            Kind::Pictures { .. } => {
                "queue name=painted max-size-buffers=2 max-size-time=0 max-size-bytes=0 ! appsink name=pictures sync=false"
                    .to_owned()
            }
        };
        let hearing = match (&order.target.kind, sound) {
            (Kind::File { parts, .. }, Some(_)) => parts.audio.map(|encoder| {
                format!(
                    " appsrc name=sound ! audioconvert ! {} ! {PATIENT_QUEUE} name=heard ! mux.",
                    encoder.in_a_line()
                )
            }),
            _ => None,
        };
        let line = format!("{begin} ! {end}{}", hearing.unwrap_or_default());
        let pipeline = gst::parse::launch(&line)?
            .downcast::<gst::Pipeline>()
            .map_err(|_| "a launch line made no pipeline")?;
        let part = |name: &str| {
            pipeline
                .by_name(name)
                .ok_or_else(|| format!("the pipeline has no {name}"))
        };
        let source = |name: &str| -> Result<AppSrc, Failure> {
            let source = part(name)?.downcast::<AppSrc>();
            Ok(source.map_err(|_| format!("{name} is no source"))?)
        };
        let painting = Self {
            frames: source("frames")?,
            sound: source("sound").ok(),
            painter: part("painter")?,
            outlet: part("outlet")?,
            progress: Arc::default(),
            abandoned: Arc::default(),
            failure: Arc::default(),
            pipeline: Pipeline::from(pipeline.clone()),
        };
        set_properties(&painting.painter, &order.style, &order.flags)?;
        painting.prepare_sources(fitting.caps(), sound);
        painting.watch(&part("painted")?);
        match &order.target.kind {
            Kind::File {
                location, scratch, ..
            } => {
                part("file")?.set_property("location", location);
                if let Some(scratch) = scratch {
                    part("mux")?.set_property("faststart-file", scratch);
                }
                painting.count_written(&part("file")?);
                if let Ok(heard) = part("heard") {
                    painting.cut_sound(&heard);
                }
            }
            Kind::Pictures { pattern, first, .. } => {
                painting.write_pictures(&part("pictures")?, Writer::new(pattern, *first))?;
            }
        }
        if let Some(turned) = turned {
            painting.frames.send_event(gst::event::Tag::new(turned));
        }
        // Whatever keeps it from starting also arrives as an error message, in better words.
        let _ = pipeline.set_state(gst::State::Playing);
        Ok(painting)
    }

    fn prepare_sources(&self, caps: &gst::Caps, sound: Option<Format>) {
        self.frames.set_caps(Some(caps));
        self.frames.set_format(gst::Format::Time);
        self.frames.set_max_buffers(1);
        self.frames.set_max_bytes(0);
        self.frames.set_block(true);
        let progress = self.progress.clone();
        let idle = move |_: &AppSrc, _| {
            let begun = progress.begun.load(Ordering::Acquire);
            progress.idle.store(begun, Ordering::Release);
        };
        self.frames
            .set_callbacks(AppSrcCallbacks::builder().need_data(idle).build());
        if let (Some(source), Some(format)) = (&self.sound, sound) {
            source.set_caps(Some(&format.caps()));
            source.set_format(gst::Format::Time);
            source.set_max_bytes(WAITING_SOUND);
            source.set_block(true);
        }
    }

    /// Notes what the painter begins and what it has finished, and lets no flush beyond it.
    fn watch(&self, painted: &gst::Element) {
        let progress = self.progress.clone();
        probe(&self.painter, "sink", gst::PadProbeType::BUFFER, move |_| {
            progress.begun.fetch_add(1, Ordering::AcqRel);
            gst::PadProbeReturn::Ok
        });
        probe(&self.painter, "src", gst::PadProbeType::EVENT_FLUSH, |_| {
            gst::PadProbeReturn::Handled
        });
        let progress = self.progress.clone();
        probe(painted, "sink", gst::PadProbeType::BUFFER, move |info| {
            if let Some(buffer) = info.buffer() {
                progress.frames.fetch_add(1, Ordering::AcqRel);
                if let Some(start) = buffer.pts() {
                    let end = start + buffer.duration().unwrap_or_default();
                    progress.position.store(end.nseconds(), Ordering::Release);
                }
            }
            gst::PadProbeReturn::Ok
        });
    }

    fn count_written(&self, file: &gst::Element) {
        let progress = self.progress.clone();
        let kinds = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST;
        probe(file, "sink", kinds, move |_| {
            progress.written.fetch_add(1, Ordering::AcqRel);
            gst::PadProbeReturn::Ok
        });
    }

    /// Leaves out the sound of frames that were not painted.
    fn cut_sound(&self, heard: &gst::Element) {
        let (progress, abandoned) = (self.progress.clone(), self.abandoned.clone());
        probe(heard, "src", gst::PadProbeType::BUFFER, move |info| {
            let end = gst::ClockTime::from_nseconds(progress.position.load(Ordering::Acquire));
            let is_late = info
                .buffer()
                .is_some_and(|buffer| buffer.pts().is_some_and(|start| start >= end));
            match is_late && abandoned.load(Ordering::Acquire) {
                true => gst::PadProbeReturn::Drop,
                false => gst::PadProbeReturn::Ok,
            }
        });
    }

    fn write_pictures(&self, sink: &gst::Element, mut writer: Writer) -> Result<(), Failure> {
        let sink = sink
            .downcast_ref::<AppSink>()
            .ok_or("what takes pictures is no sink")?;
        let (progress, failure) = (self.progress.clone(), self.failure.clone());
        let write = move |sink: &AppSink| {
            let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
            let (Some(buffer), Some(caps)) = (sample.buffer(), sample.caps()) else {
                return Ok(gst::FlowSuccess::Ok);
            };
            let written = VideoInfo::from_caps(caps)
                .map_err(Failure::from)
                .and_then(|info| writer.write(buffer, &info));
            progress.written.fetch_add(1, Ordering::AcqRel);
            written.map(|()| gst::FlowSuccess::Ok).map_err(|why| {
                lock(&failure).get_or_insert(why);
                gst::FlowError::Error
            })
        };
        sink.set_callbacks(AppSinkCallbacks::builder().new_sample(write).build());
        Ok(())
    }

    pub fn bus(&self) -> Option<gst::Bus> {
        self.pipeline.bus()
    }

    /// Where sound goes.
    pub fn sound(&self) -> Option<AppSrc> {
        self.sound.clone()
    }

    /// Hands over a frame, once there is room for it.
    pub fn push(&self, buffer: gst::Buffer) -> Result<(), gst::FlowError> {
        self.frames.push_buffer(buffer).map(|_| ())
    }

    /// Whether a frame is being painted or encoded, or waits for that.
    pub fn is_at_work(&self) -> bool {
        let begun = self.progress.begun.load(Ordering::Acquire);
        self.frames.current_level_buffers() > 0 || begun != self.progress.idle.load(Ordering::Acquire)
    }

    /// Changes as long as anything is painted or written.
    pub fn moved(&self) -> (u64, u64) {
        (self.frames(), self.progress.written.load(Ordering::Acquire))
    }

    pub fn frames(&self) -> u64 {
        self.progress.frames.load(Ordering::Acquire)
    }

    /// How long what is painted is shown.
    pub fn shown(&self) -> gst::ClockTime {
        gst::ClockTime::from_nseconds(self.progress.position.load(Ordering::Acquire))
    }

    /// All frames are there: it ends when they are painted.
    pub fn end_of_frames(&self) {
        // Refused only by a pipeline that was abandoned.
        let _ = self.frames.end_of_stream();
    }

    /// Gives up the frame that is being painted and those that wait, and finishes the file.
    pub fn abandon(&self) {
        if self.abandoned.swap(true, Ordering::AcqRel) {
            return;
        }
        // It goes as far as the painter, which gives up its frame for it, and unlocks whoever waits to hand one over.
        self.frames.send_event(gst::event::FlushStart::new());
        // This waits for a frame that is on its way to the encoder.
        let outlet = self.outlet.static_pad("sink");
        thread::spawn(move || outlet.map(|pad| pad.send_event(gst::event::Eos::new())));
    }

    /// Stops it and closes its file. It may hang where an element does.
    pub fn close(&self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

fn probe(
    element: &gst::Element,
    pad: &str,
    kinds: gst::PadProbeType,
    mut see: impl FnMut(&mut gst::PadProbeInfo) -> gst::PadProbeReturn + Send + Sync + 'static,
) {
    if let Some(pad) = element.static_pad(pad) {
        let see = Mutex::new(move |info: &mut gst::PadProbeInfo| see(info));
        pad.add_probe(kinds, move |_, info| (lock(&see))(info));
    }
}
