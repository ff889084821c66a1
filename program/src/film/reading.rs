// SPDX-License-Identifier: MIT OR Apache-2.0

//! Reads a file with whatever decoders GStreamer has. Every decoded track ends in an `appsink`, so that what comes later has
//! no say in what a decoder gives, and a track may begin or end at any time.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use gst::prelude::*;
use gst_app::{AppSink, AppSinkCallbacks};

use super::feed::{Ended, Feed, Frame, lock};
use super::tracks::{Fate, Tracks};
use crate::failure::Failure;
use crate::pipeline::{DECODERS, PROGRESSIVE, undecodable, why};

/// How often a track that waits for its turn looks whether anybody waits for it.
const TURN: Duration = Duration::from_millis(100);

/// What reads files that begin with how long they are.
const LENGTH_IN_THE_HEADER: [&str; 5] = ["qtdemux", "matroskademux", "avidemux", "flvdemux", "asfdemux"];

/// What reads files whose tracks may change midway.
const SOUND_MAY_COME: [&str; 3] = ["tsdemux", "oggdemux", "mpegpsdemux"];

/// How reading stands.
pub enum State {
    Reads,
    Ended,
    Failed(Failure),
}

/// A file that is being read.
pub struct Reading {
    pipeline: gst::Pipeline,
    tracks: Arc<Turns>,
}

/// The tracks, and how their threads wait for each other.
#[derive(Default)]
struct Turns {
    tracks: Mutex<Tracks>,
    changed: Condvar,
    told: AtomicBool,
    /// Whether the length of the film is written in the file, not estimated.
    says_its_length: AtomicBool,
}

impl Reading {
    pub fn start(input: &Path, feed: &Arc<Feed>) -> Result<Self, Failure> {
        let pipeline = gst::Pipeline::new();
        let source = gst::ElementFactory::make("filesrc")
            .property("location", input)
            .build()?;
        let decoder = gst::ElementFactory::make("decodebin").build()?;
        pipeline.add_many([&source, &decoder])?;
        source.link(&decoder)?;
        let turns = Arc::new(Turns::default());
        let link = Link {
            pipeline: pipeline.downgrade(),
            feed: feed.clone(),
            turns: turns.clone(),
        };
        let added = link.clone();
        decoder.connect_pad_added(move |decoder, pad| {
            if let Err(failure) = added.add(pad) {
                gst::element_error!(decoder, gst::CoreError::Negotiation, ("{failure}"));
            }
        });
        decoder.connect_no_more_pads(move |decoder| link.complete(decoder));
        // Whatever keeps it from starting also arrives as an error message, in better words.
        let _ = pipeline.set_state(gst::State::Playing);
        Ok(Self {
            pipeline,
            tracks: turns,
        })
    }

    /// What has happened since it was last asked.
    pub fn poll(&self, feed: &Feed) -> State {
        let Some(bus) = self.pipeline.bus() else {
            return State::Ended;
        };
        while let Some(message) = bus.pop() {
            match message.view() {
                gst::MessageView::Eos(_) => return State::Ended,
                gst::MessageView::Error(_) => return State::Failed(why(&message)),
                gst::MessageView::Element(element) => {
                    if let Some(lacking) = element.structure().and_then(undecodable) {
                        feed.tell(format!("{lacking} cannot be decoded; {DECODERS}"));
                    }
                }
                gst::MessageView::Warning(warning) => {
                    feed.tell(format!("Warning: {}", warning.error().message()));
                }
                _ => {}
            }
        }
        State::Reads
    }

    /// How long the film is, as far as that can be known before its end.
    pub fn length(&self) -> Option<gst::ClockTime> {
        self.pipeline.query_duration::<gst::ClockTime>()
    }

    /// Whether that length is written in the file.
    pub fn says_its_length(&self) -> bool {
        self.tracks.says_its_length.load(Ordering::Acquire)
    }

    /// Stops it. It may hang where an element does.
    pub fn close(&self) {
        self.tracks.changed.notify_all();
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

/// What links tracks to the film.
#[derive(Clone)]
struct Link {
    pipeline: gst::glib::WeakRef<gst::Pipeline>,
    feed: Arc<Feed>,
    turns: Arc<Turns>,
}

impl Link {
    fn add(&self, pad: &gst::Pad) -> Result<(), Failure> {
        let Some(pipeline) = self.pipeline.upgrade() else {
            return Ok(());
        };
        let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
        let media = caps.structure(0).map(|fields| fields.name().to_string());
        let (chain, sink, id) = match media.as_deref() {
            Some("video/x-raw") => {
                let id = lock(&self.turns.tracks).add_pictures(is_still(pad));
                let (chain, sink) = pictures()?;
                self.take_pictures(&sink, id);
                (chain, sink, Some(id))
            }
            Some("audio/x-raw") => {
                let id = lock(&self.turns.tracks).add_sound();
                self.feed.expect_sound(&caps);
                let sink = AppSink::builder().sync(false).async_(false).build();
                self.take_sound(&sink, id);
                (sink.clone().upcast(), sink, Some(id))
            }
            other => {
                if other.is_some_and(|name| name.starts_with("text/") || name.starts_with("subpicture/"))
                    && !self.turns.told.swap(true, Ordering::AcqRel)
                {
                    self.feed.tell("The subtitles are left out");
                }
                let sink = AppSink::builder().sync(false).async_(false).build();
                self.leave_out(&sink);
                (sink.clone().upcast(), sink, None)
            }
        };
        // More waits in the decoder; here it would only take memory.
        sink.set_max_buffers(1);
        pipeline.add(&chain)?;
        let entry = chain.static_pad("sink").ok_or("a track has no beginning")?;
        pad.link(&entry)?;
        chain.sync_state_with_parent()?;
        let (link, chain) = (self.clone(), chain.downgrade());
        pad.connect_unlinked(move |_, _| {
            if let Some(id) = id {
                link.end(id);
            }
            if let (Some(pipeline), Some(chain)) = (link.pipeline.upgrade(), chain.upgrade()) {
                // It would keep the pipeline from coming to its end.
                let _ = pipeline.remove(&chain);
                let _ = chain.set_state(gst::State::Null);
            }
        });
        Ok(())
    }

    /// All tracks that belong together are there.
    fn complete(&self, decoder: &gst::Element) {
        let (has_pictures, pictures, sounds) = {
            let mut tracks = lock(&self.turns.tracks);
            let (pictures, sounds) = tracks.complete();
            (tracks.has_pictures(), pictures, sounds)
        };
        if !has_pictures {
            gst::element_error!(decoder, gst::StreamError::WrongType, ("it has no pictures"));
            return;
        }
        let demuxers = demuxers(decoder);
        let may_change = demuxers
            .iter()
            .find(|name| SOUND_MAY_COME.contains(&name.as_str()))
            .filter(|_| sounds == 0 && self.feed.painting().is_none());
        let sounds_later = may_change.is_some_and(|demuxer| self.sounds_later(demuxer));
        let says_its_length = demuxers
            .iter()
            .any(|name| LENGTH_IN_THE_HEADER.contains(&name.as_str()));
        self.turns
            .says_its_length
            .store(says_its_length, Ordering::Release);
        self.feed
            .announce_tracks(pictures, sounds, sounds_later, demuxers.is_empty());
        self.turns.changed.notify_all();
    }

    /// Whether there will be sound although there is none yet. Only the whole file can tell.
    fn sounds_later(&self, demuxer: &str) -> bool {
        let location = self.pipeline.upgrade().and_then(|pipeline| {
            let source = pipeline.iterate_sources().into_iter().flatten().next()?;
            source.property::<Option<String>>("location")
        });
        location.is_some_and(|location| super::scan::has_sound(Path::new(&location), demuxer, &self.feed))
    }

    fn take_pictures(&self, sink: &AppSink, id: usize) {
        let (link, ending) = (self.clone(), self.clone());
        let take = move |sink: &AppSink| {
            let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
            let Some(frame) = frame(sink, &sample) else {
                return Ok(gst::FlowSuccess::Ok);
            };
            link.paint(id, frame).map_err(|ended| match ended {
                Ended::Stopped => gst::FlowError::Eos,
                Ended::Failed(failure) => {
                    gst::element_error!(sink, gst::StreamError::Failed, ("{failure}"));
                    gst::FlowError::Error
                }
            })
        };
        let end = move |_: &AppSink| ending.end(id);
        let callbacks = AppSinkCallbacks::builder().new_sample(take).eos(end).build();
        sink.set_callbacks(callbacks);
    }

    fn take_sound(&self, sink: &AppSink, id: usize) {
        let (link, ending) = (self.clone(), self.clone());
        let take = move |sink: &AppSink| {
            let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
            let is_heard = lock(&link.turns.tracks).is_heard(id);
            if !is_heard {
                link.feed.saw(&sample);
                return Ok(gst::FlowSuccess::Ok);
            }
            match link.feed.sound(id, &sample) {
                Ok(()) => Ok(gst::FlowSuccess::Ok),
                Err(_) => Err(gst::FlowError::Eos),
            }
        };
        let end = move |_: &AppSink| ending.end(id);
        let callbacks = AppSinkCallbacks::builder().new_sample(take).eos(end).build();
        sink.set_callbacks(callbacks);
    }

    fn leave_out(&self, sink: &AppSink) {
        let feed = self.feed.clone();
        let take = move |sink: &AppSink| {
            feed.saw(&sink.pull_sample().map_err(|_| gst::FlowError::Eos)?);
            Ok(gst::FlowSuccess::Ok)
        };
        sink.set_callbacks(AppSinkCallbacks::builder().new_sample(take).build());
    }

    /// Hands a frame over, or waits until its track has its turn.
    fn paint(&self, id: usize, frame: Frame) -> Result<gst::FlowSuccess, Ended> {
        self.feed.heard();
        let mut waiting = Some(frame);
        while let Some(frame) = waiting.take() {
            let (fate, given_back) = lock(&self.turns.tracks).take(id, frame);
            match fate {
                Fate::Painted(frames) => {
                    self.turns.changed.notify_all();
                    for frame in frames {
                        self.feed.frame(frame)?;
                    }
                }
                Fate::Held | Fate::LeftOut => {}
                Fate::Wait => {
                    if self.feed.is_stopped() {
                        return Err(Ended::Stopped);
                    }
                    let tracks = lock(&self.turns.tracks);
                    let waited = self.turns.changed.wait_timeout(tracks, TURN);
                    drop(waited.unwrap_or_else(PoisonError::into_inner));
                }
            }
            waiting = given_back;
        }
        Ok(gst::FlowSuccess::Ok)
    }

    /// A track has ended; what another one held back may be the film now.
    fn end(&self, id: usize) {
        let released = {
            let mut tracks = lock(&self.turns.tracks);
            // A film may be one frame long.
            let chosen = tracks.choose();
            let own = tracks.release(id);
            tracks.end(id);
            let other = tracks.choose().filter(|other| Some(*other) != chosen);
            [Some(own), other.map(|other| tracks.release(other))]
        };
        self.turns.changed.notify_all();
        for fate in released.into_iter().flatten() {
            if let Fate::Painted(frames) = fate {
                for frame in frames {
                    let _ = self.feed.frame(frame);
                }
            }
        }
        self.feed.sound_ended(id);
    }
}

/// What stands behind a decoder of pictures.
fn pictures() -> Result<(gst::Element, AppSink), Failure> {
    let bin = gst::parse::bin_from_description(
        &format!("{PROGRESSIVE} ! appsink name=frames sync=false async=false"),
        true,
    )?;
    let sink = bin.by_name("frames").and_downcast::<AppSink>();
    Ok((bin.upcast(), sink.ok_or("a track has no end")?))
}

/// A frame as it was decoded.
fn frame(sink: &AppSink, sample: &gst::Sample) -> Option<Frame> {
    let (buffer, caps) = (sample.buffer_owned()?, sample.caps_owned()?);
    let segment = sample
        .segment()
        .and_then(|segment| segment.downcast_ref::<gst::ClockTime>());
    let time = segment.and_then(|segment| segment.to_running_time(buffer.pts()));
    let turned = sink.static_pad("sink").and_then(|pad| turned(&pad));
    Some(Frame {
        caps,
        time: time.map(gst::ClockTime::nseconds),
        duration: buffer.duration().map(gst::ClockTime::nseconds),
        buffer,
        turned,
        opaque: false,
    })
}

/// What a stream says of how it was held, unless that is upright.
fn turned(pad: &gst::Pad) -> Option<gst::TagList> {
    let tags = (0..).map_while(|index| pad.sticky_event::<gst::event::Tag>(index));
    tags.map(|event| event.tag_owned()).find(|tags| {
        let orientation = tags.get::<gst::tags::ImageOrientation>();
        orientation.is_some_and(|orientation| orientation.get() != "rotate-0")
    })
}

/// Whether what a pad gives was encoded as still pictures are.
fn is_still(pad: &gst::Pad) -> bool {
    let mut pad = Some(pad.clone());
    while let Some(here) = pad.take() {
        let inner = match here.downcast_ref::<gst::GhostPad>() {
            Some(ghost) => ghost.target(),
            None => Some(here),
        };
        let Some(element) = inner.as_ref().and_then(gst::Pad::parent_element) else {
            return false;
        };
        let Some(before) = element.static_pad("sink").and_then(|sink| sink.peer()) else {
            return false;
        };
        let caps = before.current_caps();
        let name = caps.and_then(|caps| Some(caps.structure(0)?.name().to_string()));
        match name {
            Some(name) if name.starts_with("image/") => return true,
            Some(name) if name == "video/x-raw" => pad = Some(before),
            _ => return false,
        }
    }
    false
}

/// What takes the file apart. Without any the file is only frames, one after the other.
fn demuxers(decoder: &gst::Element) -> Vec<String> {
    let bin = decoder.downcast_ref::<gst::Bin>();
    let elements = bin
        .into_iter()
        .flat_map(|bin| bin.iterate_recurse().into_iter().flatten());
    let factories = elements.filter_map(|element| element.factory());
    let demuxers = factories.filter(|factory| {
        let class = factory.metadata("klass");
        class.is_some_and(|class| class.contains("Demux"))
    });
    demuxers.map(|factory| factory.name().to_string()).collect()
}
