// SPDX-License-Identifier: MIT OR Apache-2.0

//! A clip in memory and what moves in it: of a scene the truth, of a file an estimate.

use std::path::Path;

use gst::prelude::*;
use gst_video::prelude::*;

use neuralstyle::motion::{Gray, Tracker};
use neuralstyle::stylizer::Frame;

use super::figures::Trusted;
use super::scenes::Scene;
use crate::failure::Failure;

pub struct Clip {
    pub name: String,
    pub frames: Vec<Frame>,
    motion: Source,
}

/// Where the motion is known from.
enum Source {
    Truth(Box<Scene>),
    /// By frame: from it to the next one, and from it to the one before. The last, and the first, have none.
    Estimate {
        onward: Vec<Trusted>,
        back: Vec<Trusted>,
    },
}

impl Clip {
    pub fn of_scene(name: &str, scene: Scene, frames: usize) -> Self {
        Self {
            name: name.to_owned(),
            frames: (0..frames).map(|index| scene.frame(index)).collect(),
            motion: Source::Truth(Box::new(scene)),
        }
    }

    /// Reads the first `most` frames of a file. `size` is what they are brought to, or only how long their longer side
    /// becomes.
    pub fn of_file(path: &Path, size: ClipSize, most: usize) -> Result<Self, Failure> {
        let frames = decode(path, size, most)?;
        let (width, height) = frames
            .first()
            .map(|frame| (frame.width(), frame.height()))
            .ok_or_else(|| format!("{} has no pictures", path.display()))?;
        let gray: Vec<Gray> = frames
            .iter()
            .map(|frame| Gray::of(frame, width, height))
            .collect();
        let backward = |tracker: &mut Tracker, before: &Gray, now: &Gray| Trusted {
            flow: tracker.track(before, now).backward.clone(),
            trust: tracker.consistency().to_vec(),
        };
        let mut back = vec![Trusted::still(width, height)];
        let mut tracker = Tracker::new();
        back.extend(
            gray.windows(2)
                .map(|pair| backward(&mut tracker, &pair[0], &pair[1])),
        );
        // The same with time turned round: trust belongs to the frame from which a flow starts.
        let mut tracker = Tracker::new();
        let mut onward = vec![Trusted::still(width, height)];
        onward.extend(
            gray.windows(2)
                .rev()
                .map(|pair| backward(&mut tracker, &pair[1], &pair[0])),
        );
        onward.reverse();
        Ok(Self {
            name: path.display().to_string(),
            frames,
            motion: Source::Estimate { onward, back },
        })
    }

    /// The flow from frame `from` to frame `to`, and which pixels of `from` can be seen there.
    pub fn flow(&self, from: usize, to: usize) -> Trusted {
        match &self.motion {
            Source::Truth(scene) => Trusted {
                flow: scene.flow(from, to),
                trust: scene
                    .visible(from, to)
                    .into_iter()
                    .map(|sees| f32::from(u8::from(sees)))
                    .collect(),
            },
            Source::Estimate { onward, back } => {
                let still = Trusted::still(self.frames[from].width(), self.frames[from].height());
                if from <= to {
                    (from..to).fold(still, |so_far, at| so_far.then(&onward[at]))
                } else {
                    (to + 1..=from)
                        .rev()
                        .fold(still, |so_far, at| so_far.then(&back[at]))
                }
            }
        }
    }

    /// Whether it is known that nothing moves.
    pub fn stands_still(&self) -> bool {
        match &self.motion {
            Source::Truth(scene) => {
                let last = self.frames.len() - 1;
                scene.object.is_none()
                    && [1, last].iter().all(|&to| {
                        let flow = scene.flow(0, to);
                        flow.u.iter().chain(&flow.v).all(|&shift| shift == 0.0)
                    })
            }
            Source::Estimate { .. } => false,
        }
    }

    /// The pixels of frame `at` that came into view within the last `age` frames, 0..1.
    pub fn revealed(&self, at: usize, age: usize) -> Vec<f32> {
        let seen = self.flow(at, at.saturating_sub(age)).trust;
        seen.into_iter().map(|seen| 1.0 - seen).collect()
    }
}

/// What size the frames of a file are brought to.
#[derive(Clone, Copy, Debug)]
pub enum ClipSize {
    Exact(usize, usize),
    /// The longer side; the other one follows.
    Longer(usize),
}

/// The first `most` frames of a file.
pub fn decode(path: &Path, size: ClipSize, most: usize) -> Result<Vec<Frame>, Failure> {
    let pipeline = gst::Pipeline::new();
    let source = gst::ElementFactory::make("filesrc")
        .property("location", path)
        .build()?;
    let decoder = gst::ElementFactory::make("decodebin").build()?;
    let caps = || gst_video::VideoCapsBuilder::new().format(gst_video::VideoFormat::Rgb);
    let (convert, scale) = (
        gst::ElementFactory::make("videoconvert").build()?,
        gst::ElementFactory::make("videoscale")
            .property_from_str("method", "lanczos")
            .build()?,
    );
    let filter = gst::ElementFactory::make("capsfilter")
        .property("caps", caps().build())
        .build()?;
    let sink = gst_app::AppSink::builder().sync(false).max_buffers(2).build();
    pipeline.add_many([&source, &decoder, &convert, &scale, &filter, sink.upcast_ref()])?;
    source.link(&decoder)?;
    gst::Element::link_many([&convert, &scale, &filter, sink.upcast_ref()])?;
    let first = convert.clone();
    decoder.connect_pad_added(move |_, pad| {
        let info = pad
            .current_caps()
            .and_then(|caps| gst_video::VideoInfo::from_caps(&caps).ok());
        let (Some(info), Some(sink)) = (info, first.static_pad("sink")) else {
            return;
        };
        let (width, height) = match size {
            ClipSize::Exact(width, height) => (width, height),
            ClipSize::Longer(longer) => {
                let of = |side: u32| {
                    (f64::from(side) * longer as f64 / f64::from(info.width().max(info.height()))).round()
                };
                (of(info.width()) as usize, of(info.height()) as usize)
            }
        };
        let caps = caps().width(width as i32).height(height as i32);
        filter.set_property("caps", caps.pixel_aspect_ratio(gst::Fraction::new(1, 1)).build());
        // A second stream of pictures stays unlinked.
        let _ = pad.link(&sink);
    });
    pipeline.set_state(gst::State::Playing)?;
    let read = read(&pipeline, &sink, most);
    pipeline.set_state(gst::State::Null)?;
    read.map_err(|failure| format!("{}: {failure}", path.display()).into())
}

fn read(pipeline: &gst::Pipeline, sink: &gst_app::AppSink, most: usize) -> Result<Vec<Frame>, Failure> {
    let bus = pipeline.bus().ok_or("the pipeline has no bus")?;
    let mut frames = Vec::new();
    while frames.len() < most {
        match sink.try_pull_sample(gst::ClockTime::from_mseconds(100)) {
            Some(sample) => frames.push(picture(&sample).ok_or("a frame is not what was asked for")?),
            None if sink.is_eos() => break,
            None => {
                let failed = bus.pop_filtered(&[gst::MessageType::Error]);
                if let Some(gst::MessageView::Error(error)) = failed.as_ref().map(|message| message.view()) {
                    return Err(error.error().to_string().into());
                }
            }
        }
    }
    Ok(frames)
}

/// The pixels of a sample without the padding of its rows.
fn picture(sample: &gst::Sample) -> Option<Frame> {
    let info = gst_video::VideoInfo::from_caps(sample.caps()?).ok()?;
    let buffer = gst_video::VideoFrameRef::from_buffer_ref_readable(sample.buffer()?, &info).ok()?;
    let (width, height) = (buffer.width() as usize, buffer.height() as usize);
    let stride = usize::try_from(*buffer.plane_stride().first()?).ok()?;
    let rows = buffer.plane_data(0).ok()?.chunks(stride).take(height);
    let rgb = rows
        .filter_map(|row| row.get(..width * 3))
        .flatten()
        .copied()
        .collect();
    Frame::from_rgb(width, height, rgb)
}
