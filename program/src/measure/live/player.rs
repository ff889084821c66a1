// SPDX-License-Identifier: MIT OR Apache-2.0

//! A live stream in which every frame is known.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use gst::prelude::*;

use super::parsed;
use crate::failure::Failure;
use crate::pipeline::Pipeline;

/// How long what follows a cut, or a new style, is looked at.
pub const LOOK: Duration = Duration::from_secs(3);
/// A mean difference between two frames, in steps of a byte, that is no ordinary painting on.
const ANOTHER: f64 = 3.0;

/// What is played, and how it is painted.
pub struct Stream<'a> {
    pub width: usize,
    pub height: usize,
    /// Frames per second.
    pub rate: usize,
    pub network: &'a str,
    /// More properties of the element, as in a launch line.
    pub more: &'a str,
    pub style: &'a Path,
}

/// A camera, the painter and a window.
pub struct Player {
    pipeline: Pipeline,
    pub painter: gst::Element,
    camera: gst_app::AppSrc,
    pub window: gst::Element,
    bus: gst::Bus,
    pub began: Instant,
    frame_time: Duration,
    /// The number of the next frame.
    number: u32,
    /// Frames that came too late, as the window says.
    pub drops: u64,
    shown: Arc<Mutex<LastFrame>>,
}

/// What the window got last.
#[derive(Default)]
struct LastFrame {
    /// Every so many bytes.
    sample: Vec<u8>,
    number: u64,
}

impl Player {
    pub fn start(stream: &Stream) -> Result<Self, Failure> {
        let line = format!(
            "appsrc name=camera is-live=true format=time block=false leaky-type=downstream max-buffers=2 \
             caps=video/x-raw,format=RGB,width={},height={},framerate={}/1 \
             ! neuralstyle name=painter network={} {} \
             ! fakesink name=window sync=true qos=true max-lateness=5000000 async=false",
            stream.width, stream.height, stream.rate, stream.network, stream.more
        );
        let pipeline = Pipeline::from(parsed(&line)?);
        let named = |name: &str| pipeline.by_name(name).ok_or("an element has lost its name");
        let (painter, window) = (named("painter")?, named("window")?);
        painter.set_property("style", stream.style.to_str());
        let camera = named("camera")?.downcast::<gst_app::AppSrc>();
        let camera = camera.map_err(|_| "the camera is none")?;
        let shown = Arc::new(Mutex::new(LastFrame::default()));
        let for_probe = shown.clone();
        let pad = painter.static_pad("src").ok_or("the painter has no output")?;
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            if let (Some(buffer), Ok(mut shown)) = (info.buffer(), for_probe.lock())
                && let Ok(bytes) = buffer.map_readable()
            {
                shown.sample.clear();
                shown.sample.extend(bytes.iter().step_by(61));
                shown.number += 1;
            }
            gst::PadProbeReturn::Ok
        });
        let bus = pipeline.bus().ok_or("the pipeline has no bus")?;
        pipeline.set_state(gst::State::Playing)?;
        Ok(Self {
            pipeline,
            painter,
            camera,
            window,
            bus,
            began: Instant::now(),
            frame_time: Duration::from_secs(1) / stream.rate as u32,
            number: 0,
            drops: 0,
            shown,
        })
    }

    /// Waits until it is time for the next frame, and says when that is.
    pub fn wait(&self) -> Duration {
        let due = self.frame_time * self.number;
        thread::sleep(due.saturating_sub(self.began.elapsed()));
        due
    }

    pub fn push(&mut self, frame: &gst::Buffer) -> Result<(), Failure> {
        let clock_time = self.pipeline.current_running_time();
        let mut buffer = frame.copy();
        let buffer_ref = buffer.make_mut();
        buffer_ref.set_pts(clock_time.ok_or("the pipeline has no clock")?);
        buffer_ref.set_duration(gst::ClockTime::from_nseconds(self.frame_time.as_nanos() as u64));
        self.camera.push_buffer(buffer)?;
        self.number += 1;
        while let Some(message) = self.bus.pop() {
            match message.view() {
                gst::MessageView::Latency(_) => self.pipeline.recalculate_latency()?,
                gst::MessageView::Qos(_) => self.drops += 1,
                gst::MessageView::Error(error) => return Err(error.error().to_string().into()),
                _ => (),
            }
        }
        Ok(())
    }

    /// What the pipeline must allow for.
    pub fn latency(&self) -> gst::ClockTime {
        let mut query = gst::query::Latency::new();
        if self.painter.query(&mut query) {
            query.result().1
        } else {
            gst::ClockTime::ZERO
        }
    }

    pub fn set_style(&self, style: &Path) {
        self.painter.set_property("style", style.to_str());
    }

    pub fn figure(&self, name: &str) -> u64 {
        let stats: gst::Structure = self.painter.property("stats");
        stats.get(name).unwrap_or(0)
    }

    /// Shows a frame again and again for a while. Two things will change what is shown, at once the colours and then the
    /// painting: how long is it until the second?
    pub fn look(&mut self, frame: &gst::Buffer) -> Result<Option<Duration>, Failure> {
        let began = Instant::now();
        let mut last = self.sample();
        let mut changes = 0;
        let mut answer = None;
        while began.elapsed() < LOOK {
            self.wait();
            self.push(frame)?;
            let now = self.sample();
            if now.number != last.number && apart(&now.sample, &last.sample) > ANOTHER {
                changes += 1;
                if changes == 2 {
                    answer = answer.or(Some(began.elapsed()));
                }
            }
            last = now;
        }
        Ok(answer)
    }

    fn sample(&self) -> LastFrame {
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        LastFrame {
            sample: shown.sample.clone(),
            number: shown.number,
        }
    }
}

/// Mean difference of two pictures' bytes.
fn apart(a: &[u8], b: &[u8]) -> f64 {
    let sum: f64 = a.iter().zip(b).map(|(&a, &b)| f64::from(a.abs_diff(b))).sum();
    sum / a.len().max(1) as f64
}
