// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the element holds from start to stop, for the streaming thread alone.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use gst::prelude::MulDiv;
use gst_video::{VideoFrameRef, VideoInfo};

use super::continuity::Continuity;
use super::error::Error;
use super::latency::ProcessingTime;
use super::pixels;
use super::style_source::{Style, StyleSource};
use neuralstyle::backend::CancelToken;
use neuralstyle::gatys::Watch;
use neuralstyle::stylizer::{self, Controls, Fallback, Frame, Mode, Options, Report, Stylizer};

pub struct State {
    stylizer: Stylizer,
    /// Whether it depends on the pipeline, of which nothing is known before the first frame, if frames wait.
    pub awaits_mode: bool,
    cancel: CancelToken,
    content: Frame,
    painting: Frame,
    /// Path of the style that the stylizer has.
    style: Option<String>,
    /// What the caps say.
    info: Option<VideoInfo>,
    /// What came in and was not sent on yet.
    line: VecDeque<Waiting>,
    /// Whether a frame was left out since the last one.
    pub dropped: bool,
    /// Whether a discontinuity waits or waited in line, of which the base class thinks that it has yet to be marked.
    pub marks: bool,
    pub continuity: Continuity,
    processing_time: ProcessingTime,
    /// For the last frame that came in.
    took: Duration,
}

/// What waits for its turn.
enum Waiting {
    Frame(gst::Buffer),
    Event(gst::Event),
}

/// What can be sent on.
pub enum Next {
    /// The frame as it came in; its painting is there to be [written](State::write).
    Frame(gst::Buffer, Report),
    Event(gst::Event),
}

impl State {
    pub fn new(options: &Options, cancel: CancelToken) -> Result<Self, stylizer::Error> {
        Ok(Self {
            stylizer: Stylizer::new(options, cancel.clone())?,
            awaits_mode: options.mode == Mode::Auto,
            cancel,
            content: Frame::default(),
            painting: Frame::default(),
            style: None,
            info: None,
            line: VecDeque::new(),
            dropped: false,
            marks: false,
            continuity: Continuity::default(),
            processing_time: ProcessingTime::default(),
            took: Duration::ZERO,
        })
    }

    /// Why the CPU paints although a card was looked for, told once.
    pub fn take_fallback(&mut self) -> Option<Fallback> {
        self.stylizer.take_fallback()
    }

    /// The pipeline is live: no frame waits.
    pub fn live(self) -> Result<Self, stylizer::Error> {
        Ok(Self {
            stylizer: self.stylizer.live()?,
            ..self
        })
    }

    /// Has somebody told of every step.
    pub fn watch(&mut self, watch: Watch) {
        self.stylizer.set_observer(Some(watch));
    }

    /// Takes a frame. What is finished by it is [next](Self::next).
    pub fn push(
        &mut self,
        styles: &StyleSource,
        controls: &Controls,
        mut buffer: gst::Buffer,
    ) -> Result<(), Error> {
        let begun = Instant::now();
        self.change_style(styles)?;
        pixels::read(&mapped(&buffer, self.info.as_ref())?, &mut self.content)?;
        self.stylizer.push(&self.content, controls)?;
        self.continuity.painted(buffer.pts(), buffer.duration());
        if std::mem::take(&mut self.dropped) {
            buffer.make_mut().set_flags(gst::BufferFlags::DISCONT);
        }
        self.line.push_back(Waiting::Frame(buffer));
        self.took = begun.elapsed();
        Ok(())
    }

    /// Finishes what is held back.
    pub fn finish(&mut self) -> Result<(), Error> {
        Ok(self.stylizer.finish()?)
    }

    /// Puts an event in line, behind the frames that came before it.
    pub fn line_up(&mut self, event: gst::Event) {
        self.line.push_back(Waiting::Event(event));
    }

    /// How many frames and events wait.
    pub fn waiting(&self) -> usize {
        self.line.len()
    }

    /// Takes what can be sent on next out of the line.
    pub fn next(&mut self) -> Option<Next> {
        match self.line.pop_front()? {
            Waiting::Event(event) => Some(Next::Event(event)),
            Waiting::Frame(buffer) => match self.stylizer.pull(&mut self.painting) {
                Some(report) => Some(Next::Frame(buffer, report)),
                None => {
                    self.line.push_front(Waiting::Frame(buffer));
                    None
                }
            },
        }
    }

    /// Writes the painting of the frame that came out of the line last into a buffer like `input`.
    pub fn write(&self, input: &gst::BufferRef, output: &mut gst::BufferRef) -> Result<(), Error> {
        let info = self.info.as_ref();
        let original = mapped(input, info)?;
        let mut video = info
            .and_then(|info| VideoFrameRef::from_buffer_ref_writable(output, info).ok())
            .ok_or_else(|| pixels::Unreachable::of(info))?;
        Ok(pixels::write(&self.painting, &original, &mut video)?)
    }

    /// Has the frame that came last wait as a copy, so that upstream gets its memory back: it may have little of it.
    pub fn settle(&mut self) {
        if let Some(Waiting::Frame(buffer)) = self.line.back_mut()
            && let Ok(copy) = buffer.copy_deep()
        {
            self.marks |= copy.flags().contains(gst::BufferFlags::DISCONT);
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

    /// Takes over a new style if there is one. Only the first is waited for.
    fn change_style(&mut self, styles: &StyleSource) -> Result<(), stylizer::Error> {
        let style = match self.style {
            Some(_) => styles.take(),
            None => Some(styles.wait(&self.cancel)?),
        };
        if let Some(Style { path, picture }) = style {
            self.stylizer.set_style(picture);
            self.style = Some(path);
        }
        Ok(())
    }

    /// Takes new caps; a renegotiation that ends with the old ones changes nothing.
    pub fn set_info(&mut self, info: &VideoInfo) {
        if self.info.as_ref() != Some(info) {
            self.info = Some(info.clone());
            self.restart();
        }
    }

    /// What the caps say.
    pub fn info(&self) -> Option<&VideoInfo> {
        self.info.as_ref()
    }

    /// Whether a buffer holds a frame of the current caps.
    pub fn fits(&self, buffer: &gst::BufferRef) -> Result<(), Error> {
        self.info
            .as_ref()
            .map_or(Ok(()), |info| Ok(pixels::fits(buffer, info)?))
    }

    /// The latency to announce, if the last one has become untrue. A fresh start takes longer than the frames that
    /// follow, and no pipeline should be late for ever because of it. A frame that waits for others is not what counts.
    ///
    /// Where no frame waits to be painted it is one frame at most. What takes longer cannot keep up anyway, and a sink that
    /// waits longer than from frame to frame keeps the next ones waiting in a source that may have no room for them.
    pub fn measure(&mut self, report: &Report) -> Option<gst::ClockTime> {
        if report.restarted || !self.line.is_empty() {
            None
        } else {
            let limit = self.stylizer.is_live().then(|| self.frame_time()).flatten();
            self.processing_time.measure(self.took, limit)
        }
    }

    /// From frame to frame, if the caps say it.
    fn frame_time(&self) -> Option<gst::ClockTime> {
        let fps = self.info.as_ref()?.fps();
        let (frames, seconds) = (u64::try_from(fps.numer()).ok()?, u64::try_from(fps.denom()).ok()?);
        // None a second means that their times are anybody's guess.
        (frames > 0).then(|| gst::ClockTime::SECOND.mul_div_floor(seconds, frames))?
    }

    /// Whether a frame goes on from the last one that was painted.
    pub fn goes_on(&self, buffer: &gst::BufferRef) -> bool {
        let discont = buffer.flags().contains(gst::BufferFlags::DISCONT);
        self.continuity
            .goes_on(buffer.pts(), discont, self.processing_time.estimate())
    }

    /// Forgets the last result, and what waits.
    pub fn restart(&mut self) {
        self.stylizer.restart();
        self.continuity.forget();
        self.line.clear();
    }

    /// The figures, as the application gets to see them.
    pub fn figures(&self) -> gst::Structure {
        super::figures::structure(self.stylizer.stats(), self.style.as_deref())
    }
}

/// The frame in a buffer.
fn mapped<'a>(
    buffer: &'a gst::BufferRef,
    info: Option<&'a VideoInfo>,
) -> Result<VideoFrameRef<&'a gst::BufferRef>, pixels::Unreachable> {
    info.and_then(|info| VideoFrameRef::from_buffer_ref_readable(buffer, info).ok())
        .ok_or_else(|| pixels::Unreachable::of(info))
}
