// SPDX-License-Identifier: MIT OR Apache-2.0

//! Looks through a file, without decoding it, for sound that begins later than the film: the film must have a place for it
//! from its beginning.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gst::prelude::*;

use super::feed::Feed;
use crate::failure::Failure;
use crate::pipeline::{Pipeline, demuxing, discard};

const TURN: gst::ClockTime = gst::ClockTime::from_mseconds(50);

/// Whether there is sound anywhere. A file that cannot be read to its end has what comes until there.
pub fn has_sound(path: &Path, demuxer: &str, feed: &Feed) -> bool {
    let found = Arc::new(AtomicBool::new(false));
    // Kept until the end of this function: it stops when it is dropped.
    let Ok(pipeline) = start(path, demuxer, &found) else {
        return false;
    };
    let ends = [gst::MessageType::Eos, gst::MessageType::Error];
    while let Some(bus) = pipeline.bus()
        && !found.load(Ordering::Acquire)
        && !feed.is_stopped()
        && bus.timed_pop_filtered(TURN, &ends).is_none()
    {
        feed.heard();
    }
    found.load(Ordering::Acquire)
}

fn start(path: &Path, demuxer: &str, found: &Arc<AtomicBool>) -> Result<Pipeline, Failure> {
    let (pipeline, demuxer) = demuxing(path, demuxer)?;
    let (inner, found) = (pipeline.downgrade(), found.clone());
    demuxer.connect_pad_added(move |_, pad| {
        let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
        if caps
            .structure(0)
            .is_some_and(|fields| fields.name().starts_with("audio/"))
        {
            found.store(true, Ordering::Release);
        }
        if let Some(pipeline) = inner.upgrade() {
            // A track that goes nowhere would end the search where it is the last one.
            let _ = sink(&pipeline, pad);
        }
    });
    pipeline.set_state(gst::State::Playing)?;
    Ok(pipeline)
}

fn sink(pipeline: &gst::Pipeline, pad: &gst::Pad) -> Result<(), Failure> {
    let sink = discard(pipeline, pad)?;
    let (inner, sink) = (pipeline.downgrade(), sink.downgrade());
    pad.connect_unlinked(move |_, _| {
        if let (Some(pipeline), Some(sink)) = (inner.upgrade(), sink.upgrade()) {
            let _ = pipeline.remove(&sink);
            let _ = sink.set_state(gst::State::Null);
        }
    });
    Ok(())
}
