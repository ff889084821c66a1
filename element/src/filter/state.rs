// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the element holds from start to stop, for the streaming thread alone.

use std::time::{Duration, Instant};

use gst::glib;
use gst::prelude::MulDiv;
use gst_video::VideoInfo;

use super::continuity::Continuity;
use super::error::Error;
use super::latency::ProcessingTime;
use super::pixels::{Conversion, Unreachable};
use super::style_source::{Style, StyleSource};
use neuralstyle::backend::CancelToken;
use neuralstyle::gatys::StepObserver;
use neuralstyle::stylizer::{self, Controls, Fallback, Frame, Mode, Options, Report, Stylizer};

pub struct State {
    stylizer: Stylizer<Ticket>,
    /// Whether it is still to be decided, with the first frame, if the pipeline is live.
    pub awaits_mode: bool,
    cancel: CancelToken,
    content: Frame,
    painting: Frame,
    /// Path of the style that the stylizer has.
    style: Option<String>,
    /// For frames of the current caps.
    conversion: Option<Conversion>,
    /// Threads that it may have; 0 stands for all processors.
    threads: usize,
    /// Serialized events that came after the last frame, while frames were held back.
    events: Vec<gst::Event>,
    /// Whether a frame was left out since the last one.
    pub dropped: bool,
    /// Whether a frame marked as a discontinuity was held back. The base class would mark the next buffer that it sends
    /// instead, so from then on it sends none.
    pub held_discont: bool,
    pub continuity: Continuity,
    processing_time: ProcessingTime,
    /// What the last frame that came in took.
    took: Duration,
    /// Whether the style picture had to be enlarged for the last frame.
    is_enlarged: bool,
}

/// What travels with a frame through the stylizer.
struct Ticket {
    /// Events that came before the frame, and after the one before it.
    events: Vec<gst::Event>,
    buffer: gst::Buffer,
}

/// A frame that was painted.
pub struct Painted {
    /// To be sent on before it.
    pub events: Vec<gst::Event>,
    /// The frame as it came in; its painting is there to be [written](State::write).
    pub input: gst::Buffer,
    pub report: Report,
}

impl State {
    pub fn new(options: &Options, cancel: CancelToken) -> Result<Self, stylizer::Error> {
        Ok(Self {
            stylizer: Stylizer::with_tokens(options, cancel.clone())?,
            awaits_mode: options.mode == Mode::Auto,
            cancel,
            content: Frame::default(),
            painting: Frame::default(),
            style: None,
            conversion: None,
            threads: options.threads,
            events: Vec::new(),
            dropped: false,
            held_discont: false,
            continuity: Continuity::default(),
            processing_time: ProcessingTime::default(),
            took: Duration::ZERO,
            is_enlarged: false,
        })
    }

    /// Why the CPU is used although a card was looked for; `Some` once.
    pub fn take_fallback(&mut self) -> Option<Fallback> {
        self.stylizer.take_fallback()
    }

    /// Calls `warn` with how many times the style picture is enlarged, once it is.
    pub fn warn_of_enlargement(&mut self, warn: impl FnOnce(f64)) {
        let enlarged = self.stylizer.stats().style_enlarged;
        if enlarged > 1.0 && !self.is_enlarged {
            warn(enlarged);
        }
        self.is_enlarged = enlarged > 1.0;
    }

    /// The pipeline is live: no frame waits.
    pub fn live(self) -> Result<Self, stylizer::Error> {
        Ok(Self {
            stylizer: self.stylizer.live()?,
            ..self
        })
    }

    /// Has `observer` called after every step.
    pub fn observe_steps(&mut self, observer: StepObserver) {
        self.stylizer.set_observer(Some(observer));
    }

    /// Takes a frame. What is finished by it can be [pulled](Self::pull).
    pub fn push(
        &mut self,
        styles: &StyleSource,
        controls: &Controls,
        mut buffer: gst::Buffer,
    ) -> Result<(), Error> {
        let begun = Instant::now();
        self.change_style(styles)?;
        let conversion = self.conversion.as_mut().ok_or_else(|| Unreachable::of(None))?;
        conversion.read(&buffer, &mut self.content)?;
        if self.dropped {
            buffer.make_mut().set_flags(gst::BufferFlags::DISCONT);
        }
        let (pts, duration) = (buffer.pts(), buffer.duration());
        // They stay here if the frame is lost.
        let events = self.events.clone();
        self.stylizer
            .push(&self.content, controls, Ticket { events, buffer })?;
        self.events.clear();
        self.dropped = false;
        self.continuity.painted(pts, duration);
        self.took = begun.elapsed();
        Ok(())
    }

    /// Finishes what is held back.
    pub fn finish(&mut self) -> Result<(), Error> {
        Ok(self.stylizer.finish()?)
    }

    /// Keeps an event that came behind frames that are held back, to be sent on in its place.
    pub fn keep_event(&mut self, event: gst::Event) {
        self.events.push(event);
    }

    /// Takes the events that came after the last frame.
    pub fn take_events(&mut self) -> Vec<gst::Event> {
        std::mem::take(&mut self.events)
    }

    /// How many frames were not sent on yet.
    pub fn pending_frames(&self) -> usize {
        self.stylizer.pending()
    }

    /// Whether frames or events wait to be sent on.
    pub fn is_empty(&self) -> bool {
        self.pending_frames() == 0 && self.events.is_empty()
    }

    /// The next frame that is finished.
    pub fn pull(&mut self) -> Option<Painted> {
        let (Ticket { events, buffer }, report) = self.stylizer.pull(&mut self.painting)?;
        Some(Painted {
            events,
            input: buffer,
            report,
        })
    }

    /// Writes the painting of the frame that was pulled last into a buffer like `input`.
    pub fn write(&mut self, input: &gst::BufferRef, output: &mut gst::BufferRef) -> Result<(), Error> {
        let conversion = self.conversion.as_mut().ok_or_else(|| Unreachable::of(None))?;
        Ok(conversion.write(&self.painting, input, output)?)
    }

    /// Replaces the buffer of the frame that came last by a copy if the frame is held back, so that upstream gets its memory
    /// back: it may have little of it.
    pub fn copy_held(&mut self) {
        if let Some(Ticket { buffer, .. }) = self.stylizer.newest_held()
            && let Ok(copy) = buffer.copy_deep()
        {
            self.held_discont |= copy.flags().contains(gst::BufferFlags::DISCONT);
            *buffer = copy;
        }
    }

    /// The time by which frames are held back until the next keyframe is there, if the caps say it.
    pub fn delay(&self, controls: &Controls) -> gst::ClockTime {
        if self.stylizer.is_live() || self.awaits_mode {
            return gst::ClockTime::ZERO;
        }
        let frames = controls.keyframe_interval.saturating_sub(1) as u64;
        self.frame_time().unwrap_or_default().saturating_mul(frames)
    }

    /// Gives a new style to the stylizer if there is one; waits only for the first.
    fn change_style(&mut self, styles: &StyleSource) -> Result<(), stylizer::Error> {
        let style = match self.style {
            Some(_) => styles.take(),
            None => Some(styles.wait(&self.cancel)?),
        };
        if let Some(Style { path, picture }) = style {
            self.stylizer.set_style(picture);
            self.style = Some(path.display().to_string());
        }
        Ok(())
    }

    /// Takes new caps; a renegotiation that ends with the old ones changes nothing.
    pub fn set_info(&mut self, info: &VideoInfo) -> Result<(), glib::BoolError> {
        if self.info() != Some(info) {
            self.conversion = None;
            self.restart();
            self.conversion = Some(Conversion::new(info, self.threads)?);
        }
        Ok(())
    }

    /// What the caps say.
    pub fn info(&self) -> Option<&VideoInfo> {
        self.conversion.as_ref().map(Conversion::info)
    }

    /// Whether a buffer holds a frame of the current caps.
    pub fn fits(&self, buffer: &gst::BufferRef) -> Result<(), Error> {
        self.conversion
            .as_ref()
            .map_or(Ok(()), |conversion| Ok(conversion.fits(buffer)?))
    }

    /// The latency to announce, if the last one is no longer right. A fresh start does not count: it takes longer than the
    /// frames that follow, and the pipeline should not be late for ever because of it. Nor does a frame that others follow.
    ///
    /// In live mode it is one frame at most. A painting that takes longer cannot keep up anyway, and a sink that waits for
    /// more than a frame's time blocks a source that may have few buffers.
    pub fn measure(&mut self, report: &Report) -> Option<gst::ClockTime> {
        if report.restarted || !self.is_empty() {
            None
        } else {
            let limit = self.stylizer.is_live().then(|| self.frame_time()).flatten();
            self.processing_time.measure(self.took, limit)
        }
    }

    /// Whether the caps say when the next frame comes.
    pub fn has_frame_rate(&self) -> bool {
        self.frame_time().is_some()
    }

    /// The time from frame to frame, if the caps say it.
    fn frame_time(&self) -> Option<gst::ClockTime> {
        let fps = self.info()?.fps();
        let (frames, seconds) = (u64::try_from(fps.numer()).ok()?, u64::try_from(fps.denom()).ok()?);
        // A rate of 0 means that it is variable.
        (frames > 0).then(|| gst::ClockTime::SECOND.mul_div_floor(seconds, frames))?
    }

    /// Whether a frame goes on from the last one that was painted.
    pub fn goes_on(&self, buffer: &gst::BufferRef) -> bool {
        let discont = buffer.flags().contains(gst::BufferFlags::DISCONT);
        self.continuity
            .goes_on(buffer.pts(), discont, self.processing_time.estimate())
    }

    /// Forgets the last result, and discards frames and events that wait.
    pub fn restart(&mut self) {
        self.stylizer.restart();
        self.continuity.forget();
        self.events.clear();
    }

    /// The figures as a structure for the application.
    pub fn figures(&self) -> gst::Structure {
        super::figures::structure(self.stylizer.stats(), self.style.as_deref())
    }
}
