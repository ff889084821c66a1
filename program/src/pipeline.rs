// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the commands that run pipelines share.

use std::ops::{ControlFlow, Deref};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use gst::prelude::*;
use indicatif::ProgressBar;

use crate::failure::Failure;
use crate::flags::{Flags, Stream};
use crate::progress::tell;
use neuralstyle::settings::Value;

/// How long Ctrl-C and the progress bar may wait.
const POLL: gst::ClockTime = gst::ClockTime::from_mseconds(100);

/// What has the decoders that the basic packages lack.
pub const DECODERS: &str = "on Debian and Ubuntu: sudo apt install gstreamer1.0-libav gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly";

/// One frame out of each two fields; of the methods only this one keeps their number. What GStreamer's own deinterlacer cannot
/// take is converted for it, and only if it has fields.
pub const PROGRESSIVE: &str = "videoconvert \
    ! video/x-raw,interlace-mode=progressive;\
      video/x-raw,format={AYUV,ARGB,BGRA,Y444,Y42B,I420,Y41B,YUY2,UYVY,NV12,NV21,RGB,BGR,RGBx,BGRx} \
    ! deinterlace fields=top method=linear";

/// A pipeline that takes a file apart without decoding it, not yet playing, and its demuxer, whose tracks are to be linked.
pub fn demuxing(path: &Path, demuxer: &str) -> Result<(Pipeline, gst::Element), Failure> {
    let pipeline = Pipeline::default();
    let source = gst::ElementFactory::make("filesrc")
        .property("location", path)
        .build()?;
    let demuxer = gst::ElementFactory::make(demuxer).build()?;
    pipeline.add_many([&source, &demuxer])?;
    source.link(&demuxer)?;
    Ok((pipeline, demuxer))
}

/// Takes what comes out of a pad and throws it away.
pub fn discard(pipeline: &gst::Pipeline, pad: &gst::Pad) -> Result<gst::Element, Failure> {
    let sink = gst::ElementFactory::make("fakesink")
        .property("sync", false)
        .property("async", false)
        .build()?;
    pipeline.add(&sink)?;
    pad.link(&sink.static_pad("sink").ok_or("a sink takes nothing")?)?;
    sink.sync_state_with_parent()?;
    Ok(sink)
}

/// How often the user wants it to end: Ctrl-C, or the system by SIGTERM or SIGHUP.
pub struct Interrupts(Arc<AtomicU64>);

impl Interrupts {
    /// From now on the program decides itself when it ends.
    pub fn catch() -> Result<Self, Failure> {
        let interrupts = Self(Arc::default());
        let counter = interrupts.0.clone();
        ctrlc::set_handler(move || {
            counter.fetch_add(1, Ordering::AcqRel);
        })?;
        Ok(interrupts)
    }

    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

/// A pipeline that is stopped when it is dropped.
#[derive(Default)]
pub struct Pipeline(gst::Pipeline);

impl Deref for Pipeline {
    type Target = gst::Pipeline;

    fn deref(&self) -> &gst::Pipeline {
        &self.0
    }
}

impl From<gst::Pipeline> for Pipeline {
    fn from(pipeline: gst::Pipeline) -> Self {
        Self(pipeline)
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        // Nothing can be done about a pipeline that does not stop, and the program ends anyway.
        let _ = self.0.set_state(gst::State::Null);
    }
}

impl Pipeline {
    /// Plays until the stream ends, it fails, or one of the closures breaks off. Warnings are told above `bar`.
    ///
    /// `turn` is called again and again, at least every tenth of a second, with how often Ctrl-C was pressed. `message` gets
    /// each message first.
    pub fn play(
        &self,
        bar: &ProgressBar,
        mut turn: impl FnMut(u64) -> Result<ControlFlow<()>, Failure>,
        mut message: impl FnMut(&gst::Message) -> Result<ControlFlow<()>, Failure>,
    ) -> Result<(), Failure> {
        let interrupts = Interrupts::catch()?;
        let bus = self.0.bus().ok_or("the pipeline has no bus")?;
        // Whatever keeps it from starting also arrives as an error message, in better words.
        let started = self.0.set_state(gst::State::Playing);
        loop {
            if turn(interrupts.count())?.is_break() {
                return Ok(());
            }
            let Some(next) = bus.timed_pop(POLL) else {
                started?;
                continue;
            };
            if message(&next)?.is_break() {
                return Ok(());
            }
            match next.view() {
                gst::MessageView::Eos(_) => return Ok(()),
                gst::MessageView::Error(_) => return Err(why(&next)),
                gst::MessageView::Warning(warning) => tell(bar, format!("Warning: {}", warning.error())),
                gst::MessageView::Element(element) => {
                    if let Some(lacking) = element.structure().and_then(undecodable) {
                        tell(bar, format!("{lacking} cannot be decoded; {DECODERS}"));
                    }
                }
                _ => {}
            }
        }
    }
}

/// Gives the element its style, and sets those of its properties that were given as flags.
pub fn set_properties(painter: &gst::Element, style: &Path, flags: &Flags<Stream>) -> Result<(), Failure> {
    let text = |path: &Path| -> Result<String, Failure> {
        let text = path.to_str().map(str::to_owned);
        text.ok_or_else(|| format!("{}: the name of this file is not UTF-8", path.display()).into())
    };
    painter.set_property("style", text(style)?);
    for (setting, value) in flags.given() {
        match value {
            // The number that stands for that is every such property's default.
            Value::Unset => {}
            Value::Text(text) => painter.set_property(setting.name, text),
            Value::Path(path) => painter.set_property(setting.name, text(&path)?),
            Value::Int(_) | Value::Double(_) | Value::Choice(_) => {
                painter.set_property_from_str(setting.name, &value.to_string());
            }
        }
    }
    Ok(())
}

/// Links the first pictures that a decoder finds to `video`, and the first sound to what `audio` makes for it, if that
/// is anything. A file without pictures is an error.
pub fn link_streams(
    decoder: &gst::Element,
    video: &gst::Bin,
    audio: impl Fn() -> Result<Option<gst::Bin>, Failure> + Send + Sync + 'static,
) {
    let found_video = Arc::new(AtomicBool::new(false));
    let found_audio = AtomicBool::new(false);
    let (video, seen) = (video.clone(), found_video.clone());
    decoder.connect_pad_added(move |decoder, pad| {
        let media = pad.current_caps().or_else(|| Some(pad.query_caps(None)));
        let media = media.and_then(|caps| Some(caps.structure(0)?.name().to_string()));
        let linked = match media.as_deref().and_then(|name| name.split('/').next()) {
            Some("video") if !seen.swap(true, Ordering::AcqRel) => link(pad, &video),
            Some("audio") if !found_audio.swap(true, Ordering::AcqRel) => {
                audio().and_then(|branch| branch.map_or(Ok(()), |branch| link(pad, &branch)))
            }
            _ => Ok(()),
        };
        if let Err(failure) = linked {
            gst::element_error!(decoder, gst::CoreError::Negotiation, ("{failure}"));
        }
    });
    decoder.connect_no_more_pads(move |decoder| {
        if !found_video.load(Ordering::Acquire) {
            gst::element_error!(decoder, gst::StreamError::WrongType, ("it has no pictures"));
        }
    });
}

fn link(pad: &gst::Pad, branch: &gst::Bin) -> Result<(), Failure> {
    let sink = branch.static_pad("sink").ok_or("a branch has no beginning")?;
    pad.link(&sink)?;
    Ok(())
}

/// Has the stream end at `element` with the next buffer once the user has seen enough: what waits further up may be
/// minutes of work, so that is not waited for.
pub fn end_when(stopping: &Arc<AtomicBool>, element: &gst::Element) {
    let stopping = stopping.clone();
    if let Some(pad) = element.static_pad("sink") {
        pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
            if !stopping.load(Ordering::Acquire) {
                return gst::PadProbeReturn::Ok;
            }
            pad.send_event(gst::event::Eos::new());
            info.flow_res = Err(gst::FlowError::Eos);
            gst::PadProbeReturn::Handled
        });
    }
}

/// What an error message says, for somebody who does not know the pipeline.
pub fn why(message: &gst::Message) -> Failure {
    let gst::MessageView::Error(error) = message.view() else {
        return "the pipeline failed".into();
    };
    let (text, cause) = (error.error().to_string(), error.error());
    let needs_a_decoder =
        cause.matches(gst::CoreError::MissingPlugin) || cause.matches(gst::StreamError::CodecNotFound);
    if needs_a_decoder {
        format!("{text} {DECODERS}").into()
    } else {
        text.into()
    }
}

/// The name of a format for which an element message reports that nothing decodes it.
pub fn undecodable(structure: &gst::StructureRef) -> Option<String> {
    let missing = structure.name() == "missing-plugin";
    missing.then(|| structure.get("name").unwrap_or_else(|_| "A stream".to_owned()))
}
