// SPDX-License-Identifier: MIT OR Apache-2.0

//! Looks at a film that was written, without decoding it: are all frames there?

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use gst::prelude::*;

use super::render::seconds;
use crate::failure::Failure;
use crate::pipeline::{demuxing, discard, why};

/// How long the file may give nothing at all.
const PATIENCE: gst::ClockTime = gst::ClockTime::from_seconds(30);
/// How far the end may be off: muxers round, and the last frame may be shown a little longer or shorter.
const TOLERANCE: gst::ClockTime = gst::ClockTime::from_mseconds(500);

/// What is in a file.
#[derive(Default)]
struct Found {
    frames: AtomicU64,
    /// In nanoseconds.
    end: AtomicU64,
}

/// Compares a file with what went into it.
pub fn verify(path: &Path, ending: &str, frames: u64, shown: gst::ClockTime) -> Result<(), Failure> {
    let found = look(path, ending).map_err(|failure| format!("it cannot be read again: {failure}"))?;
    let there = found.frames.load(Ordering::Acquire);
    if there < frames {
        return Err(format!("it holds {there} of the {frames} frames that were painted").into());
    }
    let end = gst::ClockTime::from_nseconds(found.end.load(Ordering::Acquire));
    if end + TOLERANCE < shown {
        return Err(format!(
            "it shows {} of the {} that were painted",
            seconds(end),
            seconds(shown)
        )
        .into());
    }
    Ok(())
}

fn look(path: &Path, ending: &str) -> Result<Arc<Found>, Failure> {
    let demuxer = match ending {
        "mp4" | "mov" => "qtdemux",
        _ => "matroskademux",
    };
    let (pipeline, demuxer) = demuxing(path, demuxer)?;
    let found = Arc::<Found>::default();
    let (inner, counted) = (pipeline.downgrade(), found.clone());
    demuxer.connect_pad_added(move |demuxer, pad| {
        if let Some(pipeline) = inner.upgrade()
            && let Err(failure) = count(&pipeline, pad, &counted)
        {
            gst::element_error!(demuxer, gst::CoreError::Negotiation, ("{failure}"));
        }
    });
    pipeline.set_state(gst::State::Playing)?;
    let bus = pipeline.bus().ok_or("the pipeline has no bus")?;
    let ends = [gst::MessageType::Eos, gst::MessageType::Error];
    let mut before = None;
    loop {
        match bus.timed_pop_filtered(PATIENCE, &ends) {
            Some(message) if message.type_() == gst::MessageType::Error => return Err(why(&message)),
            Some(_) => return Ok(found),
            None => {
                let now = Some(found.frames.load(Ordering::Acquire));
                if now == before {
                    return Err("nothing comes".into());
                }
                before = now;
            }
        }
    }
}

/// Counts what comes out of a pad, if these are pictures.
fn count(pipeline: &gst::Pipeline, pad: &gst::Pad, found: &Arc<Found>) -> Result<(), Failure> {
    if pad.name().starts_with("video") {
        let found = found.clone();
        pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
            found.frames.fetch_add(1, Ordering::AcqRel);
            let segment = pad.sticky_event::<gst::event::Segment>(0);
            let segment = segment.as_ref().map(|event| event.segment());
            let segment = segment.and_then(|segment| segment.downcast_ref::<gst::ClockTime>());
            let end = info.buffer().and_then(|buffer| {
                let start = segment?.to_running_time(buffer.pts())?;
                Some(start + buffer.duration().unwrap_or_default())
            });
            if let Some(end) = end {
                found.end.fetch_max(end.nseconds(), Ordering::AcqRel);
            }
            gst::PadProbeReturn::Ok
        });
    }
    discard(pipeline, pad).map(|_| ())
}
