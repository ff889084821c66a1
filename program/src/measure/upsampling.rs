// SPDX-License-Identifier: MIT OR Apache-2.0

//! Shows how a small painting is brought up to the size of its frame.
//!
//! Writes a part of the frame, enlarged, four times: the frame; its small painting merely resampled (`detail=0`); that
//! with a constant share of what the frame shows beyond the small size; and guided by the frame as the filter does it.

use std::fs;
use std::io::Cursor;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use image::codecs::jpeg::JpegEncoder;
use image::{ImageFormat, RgbImage, imageops};

use super::clip::{ClipSize, decode};
use crate::bundled::{BUNNY, Material, STARRY_NIGHT};
use crate::failure::Failure;
use crate::flags::{Flags, Picture};
use crate::output::{Output, picture_format};
use crate::values::count;
use neuralstyle::backend::prelude::*;
use neuralstyle::backend::{CancelToken, Export, Mix, Shape, cpu::Cpu};
use neuralstyle::stylizer::{Controls, Frame, Options, StylePicture, Stylizer};

/// Shows how a small painting is brought up to the size of its frame.
///
/// Writes a part of the frame, enlarged, four times: the frame; its small painting merely resampled (detail 0); that
/// with a constant share of what the frame shows beyond the small size; and guided by the frame as the filter does it.
#[derive(Args)]
#[command(after_help = "\
Examples
  neuralstyle measure upsampling --output upsampling.jpg
  neuralstyle measure upsampling --clip holiday.mp4 --frame 100 --output upsampling.png")]
pub struct Arguments {
    /// The video of which a frame is painted [default: a few seconds of Big Buck Bunny, built in]
    #[arg(long, value_name = "CLIP")]
    clip: Option<PathBuf>,

    /// Which of its frames
    #[arg(long, value_name = "N", default_value = "20", value_parser = count(0..=100_000))]
    frame: usize,

    /// The picture in whose style it is painted [default: The Starry Night, built in]
    #[arg(long, value_name = "PICTURE")]
    style: Option<PathBuf>,

    /// Longer side of the frame in pixels
    #[arg(long, value_name = "PX", default_value = "640", value_parser = count(16..=4096))]
    size: usize,

    /// Longer side at which it is painted
    #[arg(long, value_name = "PX", default_value = "192", value_parser = count(16..=4096))]
    working_size: usize,

    /// Steps, in what they cost at full size
    #[arg(long, value_name = "N", default_value = "40", value_parser = count(1..=100_000))]
    iterations: usize,

    /// The part that is shown: left, top, width and height in pixels of the frame
    #[arg(long, value_name = "PX", num_args = 4, default_values = ["200", "60", "180", "140"],
          value_parser = clap::value_parser!(u32).range(0..=4096))]
    part: Vec<u32>,

    /// How often each pixel is repeated
    #[arg(long, value_name = "N", default_value = "3", value_parser = clap::value_parser!(u32).range(1..=16))]
    zoom: u32,

    /// Where to write
    #[arg(long, value_name = "PICTURE")]
    output: PathBuf,

    #[command(flatten)]
    flags: Flags<Picture>,
}

/// Good enough to judge edges by.
const JPEG_QUALITY: u8 = 85;

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    gst::init()?;
    let format = picture_format(&arguments.output)?;
    let output = Output::prepare(&arguments.output)?;
    let clip = Material::new(arguments.clip.as_deref(), &BUNNY)?;
    let frame = decode(clip.path(), ClipSize::Longer(arguments.size), arguments.frame + 1)?
        .pop()
        .ok_or("the clip has no pictures")?;
    let mut panels = vec![frame.clone()];
    panels.extend(brought_up(arguments, &frame)?);
    let sheet = sheet(&panels, &arguments.part, arguments.zoom)?;
    let mut file = Cursor::new(Vec::new());
    match format {
        ImageFormat::Jpeg => {
            sheet.write_with_encoder(JpegEncoder::new_with_quality(&mut file, JPEG_QUALITY))?
        }
        other => sheet.write_to(&mut file, other)?,
    }
    fs::write(output.path(), file.into_inner())?;
    output.finish()
}

/// The small painting of a frame at the frame's size: plain, with a constant share of detail, and guided.
fn brought_up(arguments: &Arguments, frame: &Frame) -> Result<[Frame; 3], Failure> {
    let (width, height) = (frame.width(), frame.height());
    let factor = arguments.working_size as f64 / width.max(height) as f64;
    let side = |length: usize| ((length as f64 * factor).round() as usize).max(16);
    let (small_width, small_height) = (side(width), side(height));

    let mut ops = Cpu::new(0, CancelToken::new())?;
    let small = Shape::new(3, small_height, small_width);
    let (mut content, mut picture) = (ops.tensor(small)?, ops.tensor(small)?);
    ops.import(frame.view(), 0, &mut content)?;
    let laid = |ops: &mut Cpu,
                picture: &<Cpu as Memory>::Tensor,
                detail: f32,
                on: &Frame|
     -> Result<Frame, Failure> {
        let (mix, mut out) = (
            Mix {
                strength: 1.0,
                detail,
            },
            on.clone(),
        );
        ops.export(
            Export {
                picture,
                content: &content,
                border: 0,
                mix,
                frame: on.view(),
            },
            &mut out,
        )?;
        Ok(out)
    };
    let small_frame = laid(&mut ops, &content, 0.0, &Frame::new(small_width, small_height))?;
    let painting = paint(arguments, &small_frame)?;
    ops.import(painting.view(), 0, &mut picture)?;

    let plain = laid(&mut ops, &picture, 0.0, frame)?;
    let guided = laid(&mut ops, &picture, 1.0, frame)?;
    let coarse = laid(&mut ops, &content, 0.0, frame)?;
    let mut constant = plain.clone();
    let detail = frame.rgb().iter().zip(coarse.rgb());
    for (value, (&fine, &coarse)) in constant.rgb_mut().iter_mut().zip(detail) {
        *value = (i32::from(*value) + (i32::from(fine) - i32::from(coarse)) / 2).clamp(0, 255) as u8;
    }
    Ok([plain, constant, guided])
}

fn paint(arguments: &Arguments, frame: &Frame) -> Result<Frame, Failure> {
    let options = Options {
        working_size: frame.width().max(frame.height()),
        ..arguments.flags.options()
    };
    let controls = Controls {
        first_iterations: arguments.iterations,
        ..arguments.flags.controls()
    };
    let mut stylizer = Stylizer::new(&options, CancelToken::new())?;
    let style = Material::new(arguments.style.as_deref(), &STARRY_NIGHT)?;
    stylizer.set_style(Arc::new(StylePicture::load(style.path())?));
    let mut painting = Frame::default();
    stylizer.process(frame, &mut painting, &controls)?;
    Ok(painting)
}

/// A part of each frame, enlarged, in rows of two.
fn sheet(frames: &[Frame], part: &[u32], zoom: u32) -> Result<RgbImage, Failure> {
    const GAP: u32 = 6;
    let &[left, top, width, height] = part else {
        return Err("a part has four numbers".into());
    };
    let (wide, high) = (width * zoom, height * zoom);
    let white = image::Rgb([255; 3]);
    let mut sheet = RgbImage::from_pixel(2 * wide + GAP, 2 * high + GAP, white);
    for (index, frame) in frames.iter().enumerate() {
        let (columns, rows) = (frame.width() as u32, frame.height() as u32);
        let picture = RgbImage::from_raw(columns, rows, frame.rgb().to_vec())
            .ok_or("the pixels of a frame do not match its size")?;
        if left + width > columns || top + height > rows {
            return Err(format!("there is no such part of a frame of {columns}×{rows}").into());
        }
        let cropped = imageops::crop_imm(&picture, left, top, width, height).to_image();
        let enlarged = imageops::resize(&cropped, wide, high, imageops::FilterType::Nearest);
        let (x, y) = (index as u32 % 2 * (wide + GAP), index as u32 / 2 * (high + GAP));
        imageops::replace(&mut sheet, &enlarged, i64::from(x), i64::from(y));
    }
    Ok(sheet)
}
