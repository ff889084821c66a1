// SPDX-License-Identifier: MIT OR Apache-2.0

//! The sound of a film: whatever tracks come one after the other, in one format and in step with the frames.
//!
//! Each track is converted in a small pipeline of its own, so that one that cannot be converted costs its sound and no frame.

use std::collections::VecDeque;
use std::sync::Arc;

use gst::prelude::*;
use gst_app::{AppSink, AppSinkCallbacks, AppSrc};

use super::feed::Feed;
use super::timeline::{FrameTimes, Placement, SoundTimes};
use crate::failure::Failure;
use crate::pipeline::{Pipeline, why};

/// Every encoder takes this rate.
const RATE: u32 = 48_000;
const BYTES_PER_SAMPLE: usize = 4;

/// How long the rest of a track may take.
const PATIENCE: gst::ClockTime = gst::ClockTime::from_seconds(10);

/// How sound is handed over.
#[derive(Clone, Copy)]
pub struct Format {
    channels: usize,
}

impl Format {
    pub fn caps(self) -> gst::Caps {
        let caps = gst::Caps::builder("audio/x-raw")
            .field("format", "F32LE")
            .field("layout", "interleaved")
            .field("rate", RATE as i32)
            .field("channels", self.channels as i32);
        match self.channels {
            // Front left, front right, front centre, low frequencies, rear left and right.
            6 => caps.field("channel-mask", gst::Bitmask::new(0x3f)).build(),
            2 => caps.field("channel-mask", gst::Bitmask::new(0x3)).build(),
            _ => caps.build(),
        }
    }

    fn bytes(self, samples: u64) -> usize {
        samples as usize * self.channels * BYTES_PER_SAMPLE
    }
}

/// Samples with the time that they had in the input.
struct Piece {
    time: Option<u64>,
    buffer: gst::Buffer,
}

#[derive(Default)]
pub struct Sound {
    format: Option<Format>,
    /// The track that is heard, and what converts it.
    converter: Option<(usize, Arc<Converter>)>,
    times: Option<SoundTimes>,
    /// What cannot be placed yet.
    waiting: VecDeque<Piece>,
    sink: Option<AppSrc>,
    given_up: bool,
}

impl Sound {
    /// The format of the film's sound.
    pub fn format(&mut self) -> Format {
        *self.format.get_or_insert(Format { channels: 2 })
    }

    /// The first track decides how the film sounds.
    pub fn expect(&mut self, caps: &gst::CapsRef) {
        self.format.get_or_insert_with(|| channels_for(caps));
    }

    /// Gives it the place where it goes.
    pub fn begin(&mut self, sink: Option<AppSrc>) {
        self.sink = sink;
    }

    /// What converts the sound of a track.
    pub fn converter(
        &mut self,
        track: usize,
        sample: &gst::Sample,
        feed: &Arc<Feed>,
    ) -> Result<Option<Arc<Converter>>, Failure> {
        if self.given_up {
            return Ok(None);
        }
        match &self.converter {
            Some((known, converter)) if *known == track => Ok(Some(converter.clone())),
            Some(_) => Ok(None),
            None => {
                let caps = sample.caps().ok_or("its format is unknown")?;
                let format = *self.format.get_or_insert_with(|| channels_for(caps));
                let converter = Arc::new(Converter::start(caps, format, feed)?);
                self.converter = Some((track, converter.clone()));
                Ok(Some(converter))
            }
        }
    }

    pub fn take_converter(&mut self, track: usize) -> Option<Arc<Converter>> {
        let (_, converter) = self.converter.take_if(|(known, _)| *known == track)?;
        Some(converter)
    }

    pub fn take_any_converter(&mut self) -> Option<Arc<Converter>> {
        Some(self.converter.take()?.1)
    }

    /// Whether this is the first time that it is given up.
    pub fn give_up(&mut self) -> bool {
        !std::mem::replace(&mut self.given_up, true)
    }

    pub fn add(&mut self, time: Option<u64>, buffer: gst::Buffer) {
        self.waiting.push_back(Piece { time, buffer });
    }

    /// The end of the sound so far.
    pub fn end(&self) -> u64 {
        self.times.as_ref().map_or(0, SoundTimes::end)
    }

    /// Sends on what has its place; what belongs behind a clock that was set anew waits for the frames there.
    pub fn place(&mut self, frames: Option<&FrameTimes>) {
        if let (Some(sink), Some(frames)) = (self.sink.clone(), frames) {
            self.send(&sink, frames, |times, piece| !times.is_ahead(piece.time, frames));
        }
    }

    /// Sends silence until a time: no track has sound there.
    pub fn be_silent_until(&mut self, time: u64, frames: &FrameTimes) {
        let Some(sink) = self.sink.clone().filter(|_| self.waiting.is_empty()) else {
            return;
        };
        let samples = self
            .times
            .get_or_insert_with(|| SoundTimes::new(RATE))
            .until(time);
        if samples > 0 {
            let silence = vec![0_u8; self.format().bytes(samples)];
            self.add(None, gst::Buffer::from_slice(silence));
            self.send(&sink, frames, |_, _| true);
        }
    }

    /// Sends on everything, and the end.
    pub fn finish(&mut self) {
        let Some(sink) = self.sink.take() else {
            return;
        };
        self.send(&sink, &FrameTimes::new(None), |_, _| true);
        if self.end() == 0 {
            // A track without anything in it is no track for a muxer.
            let silence = gst::Buffer::from_slice(vec![0_u8; self.format().bytes(u64::from(RATE) / 10)]);
            self.add(None, silence);
            self.send(&sink, &FrameTimes::new(None), |_, _| true);
        }
        let _ = sink.end_of_stream();
    }

    fn send(&mut self, sink: &AppSrc, frames: &FrameTimes, is_ready: impl Fn(&SoundTimes, &Piece) -> bool) {
        let format = self.format();
        let times = self.times.get_or_insert_with(|| SoundTimes::new(RATE));
        while let Some(piece) = self.waiting.front()
            && is_ready(times, piece)
            && let Some(piece) = self.waiting.pop_front()
        {
            let samples = (piece.buffer.size() / format.bytes(1)) as u64;
            let placement = times.place(piece.time, samples, frames);
            // A film that is stopped takes no more, and needs none.
            let _ = filled(&piece.buffer, format, placement).map(|buffer| sink.push_buffer(buffer));
        }
    }
}

/// The samples with the silence before them.
fn filled(samples: &gst::BufferRef, format: Format, placement: Placement) -> Option<gst::Buffer> {
    let skipped = format.bytes(placement.skipped);
    if skipped >= samples.size() && placement.silence == 0 {
        return None;
    }
    let mut buffer = gst::Buffer::from_slice(vec![0_u8; format.bytes(placement.silence)]);
    if skipped < samples.size() {
        buffer.append(
            samples
                .copy_region(gst::BufferCopyFlags::MEMORY, skipped..)
                .ok()?,
        );
    }
    let start = gst::ClockTime::from_nseconds(placement.start);
    buffer.make_mut().set_pts(start);
    Some(buffer)
}

/// As many channels as every encoder and player takes.
fn channels_for(caps: &gst::CapsRef) -> Format {
    let channels = channels(caps);
    Format {
        channels: match channels {
            1 => 1,
            6 if is_positioned(caps) => 6,
            _ => 2,
        },
    }
}

fn channels(caps: &gst::CapsRef) -> usize {
    let fields = caps.structure(0);
    let channels = fields.and_then(|fields| fields.get::<i32>("channels").ok());
    channels.map_or(1, |channels| channels.max(1) as usize)
}

/// Whether it is known where the channels are heard.
fn is_positioned(caps: &gst::CapsRef) -> bool {
    let fields = caps.structure(0);
    let mask = fields.and_then(|fields| fields.get::<gst::Bitmask>("channel-mask").ok());
    mask.is_some_and(|mask| mask.0 != 0)
}

/// Brings one track into the film's format.
pub struct Converter {
    pipeline: Pipeline,
    source: AppSrc,
}

impl Converter {
    fn start(caps: &gst::CapsRef, format: Format, feed: &Arc<Feed>) -> Result<Self, Failure> {
        let pipeline = Pipeline::default();
        let source = AppSrc::builder()
            .caps(&caps.to_owned())
            .format(gst::Format::Time)
            .block(true)
            .build();
        let convert = gst::ElementFactory::make("audioconvert").build()?;
        if channels(caps) > 2 && !is_positioned(caps) {
            convert.set_property("mix-matrix", even_mix(channels(caps), format.channels));
        }
        let resample = gst::ElementFactory::make("audioresample").build()?;
        let feed = Arc::downgrade(feed);
        let take = move |sink: &AppSink| {
            let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
            let feed = feed.upgrade().ok_or(gst::FlowError::Flushing)?;
            if let Some(buffer) = sample.buffer_owned() {
                feed.converted(buffer.pts().map(gst::ClockTime::nseconds), buffer);
            }
            Ok(gst::FlowSuccess::Ok)
        };
        let sink = AppSink::builder()
            .caps(&format.caps())
            .sync(false)
            .async_(false)
            .callbacks(AppSinkCallbacks::builder().new_sample(take).build())
            .build();
        pipeline.add_many([source.upcast_ref(), &convert, &resample, sink.upcast_ref()])?;
        gst::Element::link_many([source.upcast_ref(), &convert, &resample, sink.upcast_ref()])?;
        pipeline.set_state(gst::State::Playing)?;
        Ok(Self { pipeline, source })
    }

    pub fn push(&self, sample: &gst::Sample) -> Result<(), Failure> {
        let Some(mut buffer) = sample.buffer_owned() else {
            return Ok(());
        };
        let segment = sample
            .segment()
            .and_then(|segment| segment.downcast_ref::<gst::ClockTime>());
        let time = segment.and_then(|segment| segment.to_running_time(buffer.pts()));
        buffer.make_mut().set_pts(time);
        let pushed = match sample.caps() {
            Some(caps) => {
                let sample = gst::Sample::builder()
                    .buffer(&buffer)
                    .caps(&caps.to_owned())
                    .build();
                self.source.push_sample(&sample)
            }
            None => self.source.push_buffer(buffer),
        };
        match self.error() {
            Some(failure) => Err(failure),
            None => pushed.map(|_| ()).map_err(|_| "it cannot be converted".into()),
        }
    }

    fn error(&self) -> Option<Failure> {
        let error = self.pipeline.bus()?.pop_filtered(&[gst::MessageType::Error])?;
        Some(why(&error))
    }

    /// Waits until everything is converted.
    pub fn finish(&self) {
        let _ = self.source.end_of_stream();
        let ends = [gst::MessageType::Eos, gst::MessageType::Error];
        if let Some(bus) = self.pipeline.bus() {
            bus.timed_pop_filtered(PATIENCE, &ends);
        }
    }
}

/// Every channel is heard as loud as every other, from everywhere: nobody knows where it belongs.
fn even_mix(channels: usize, heard: usize) -> gst::Array {
    let row = || gst::Array::new(std::iter::repeat_n(1.0 / channels as f32, channels));
    gst::Array::new((0..heard).map(|_| row()))
}
