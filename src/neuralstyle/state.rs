// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the element holds from start to stop, for the streaming thread alone.

use std::time::{Duration, Instant};

use gst_video::prelude::*;
use gst_video::{VideoFrameRef, VideoInfo};

use super::continuity::Continuity;
use super::error::Error;
use super::latency::ProcessingTime;
use super::pixels;
use super::style_source::{Style, StyleSource};
use crate::backend::CancelToken;
use crate::gatys::Watch;
use crate::stylizer::{self, Controls, Fallback, Frame, Mode, Options, Report, Stylizer};

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
    pub continuity: Continuity,
    processing_time: ProcessingTime,
}

/// A frame that was painted.
pub struct Painted {
    pub report: Report,
    /// Processor and waiting time together: what the frame stayed in the element.
    pub took: Duration,
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
            continuity: Continuity::default(),
            processing_time: ProcessingTime::default(),
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

    /// Paints one frame into another of the same format and size.
    pub fn paint(
        &mut self,
        styles: &StyleSource,
        controls: &Controls,
        input: &VideoFrameRef<&gst::BufferRef>,
        output: &mut VideoFrameRef<&mut gst::BufferRef>,
    ) -> Result<Painted, Error> {
        let begun = Instant::now();
        self.change_style(styles)?;
        pixels::read(input, &mut self.content)?;
        let report = self
            .stylizer
            .process(&self.content, &mut self.painting, controls)?;
        pixels::write(&self.painting, input, output)?;
        let took = begun.elapsed();
        let buffer = input.buffer();
        self.continuity.painted(buffer.pts(), buffer.duration());
        Ok(Painted { report, took })
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

    /// Whether a buffer holds a frame of the current caps.
    pub fn fits(&self, buffer: &gst::BufferRef) -> Result<(), Error> {
        self.info
            .as_ref()
            .map_or(Ok(()), |info| Ok(pixels::fits(buffer, info)?))
    }

    /// The latency to announce, if the last one has become untrue. A fresh start takes longer than the frames that
    /// follow, and no pipeline should be late for ever because of it.
    ///
    /// Where no frame waits to be painted it is one frame at most. What takes longer cannot keep up anyway, and a sink that
    /// waits longer than from frame to frame keeps the next ones waiting in a source that may have no room for them.
    pub fn measure(&mut self, painted: &Painted) -> Option<gst::ClockTime> {
        if painted.report.restarted {
            None
        } else {
            let limit = self.stylizer.is_live().then(|| self.frame_time()).flatten();
            self.processing_time.measure(painted.took, limit)
        }
    }

    /// From frame to frame, if the caps say it.
    fn frame_time(&self) -> Option<gst::ClockTime> {
        let fps = self.info.as_ref()?.fps();
        let (frames, seconds) = (u64::try_from(fps.numer()).ok()?, u64::try_from(fps.denom()).ok()?);
        // None a second means that their times are anybody's guess.
        (frames > 0).then(|| gst::ClockTime::SECOND.mul_div_floor(seconds, frames))?
    }

    /// Starts afresh if the frame does not go on from the last one that was painted.
    pub fn follow(&mut self, buffer: &gst::BufferRef) -> bool {
        let discont = buffer.flags().contains(gst::BufferFlags::DISCONT);
        let goes_on = self
            .continuity
            .goes_on(buffer.pts(), discont, self.processing_time.estimate());
        if !goes_on {
            self.restart();
        }
        goes_on
    }

    /// Forgets the last result.
    pub fn restart(&mut self) {
        self.stylizer.restart();
        self.continuity.forget();
    }

    /// The figures, as the application gets to see them.
    pub fn figures(&self) -> gst::Structure {
        super::figures::structure(self.stylizer.stats(), self.style.as_deref())
    }
}
