// SPDX-License-Identifier: MIT OR Apache-2.0

//! Paints a clip and says in figures how steady it is, and how much of the style it has.
//!
//! The motion of a scene is known exactly, that of a file is estimated. A table goes to the standard error, JSON to the
//! standard output. `figures.rs` says how each figure is computed. A grey clip never flickers, so the warping
//! error stands beside that of the input and of frames painted one by one, and beside the style loss.
//!
//! **Revealed areas** are the pixels that came into view within the last 3 frames. Their style loss is that of the Gram
//! matrices of their pixels alone. A small area has a larger loss than a large one, the frame's edge a larger one than
//! its middle, and the sky one unlike a tree's, so three comparisons are given:
//!
//! - `to_mirrored`: with areas of the same shape in the same frame that are not new, found by mirroring it: the same
//!   size, the same distance from the edge, but other things are shown there.
//! - `to_frame`: with the whole frame.
//! - `double_ratio`: `to_mirrored` divided by what it is in frames painted one by one, which have nothing old or new.
//!   That takes out what the area shows: the fairest of the three, but of few frames.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use clap::Args;
use image::{RgbImage, imageops};

use super::clip::{Clip, ClipSize};
use super::judge::Judge;
use super::measured::{self, Measured, Paintings};
use super::scenes::{self, Scene};
use crate::bundled::{Material, STARRY_NIGHT};
use crate::failure::Failure;
use crate::flags::{self, Flags};
use crate::output::{Output, picture_format};
use crate::progress;
use crate::values::{choice, count, size};
use neuralstyle::backend::CancelToken;
use neuralstyle::gatys::NetworkChoice;
use neuralstyle::stylizer::{Controls, Frame, Options, StylePicture, Stylizer};

/// Paints a clip and says in figures how steady it is, and how much of the style it has.
///
/// A table goes to the standard error, JSON to the standard output. A grey clip never flickers, so the warping error
/// stands beside that of the input and of frames painted one by one, and beside the style loss.
#[derive(Args)]
#[command(after_help = "\
Examples
  neuralstyle measure flicker --scene pan-photo
  neuralstyle measure flicker holiday.mp4 --size 256x144 --contact-sheet sheet.jpg")]
pub struct Arguments {
    /// A video: anything that GStreamer can decode
    #[arg(
        value_name = "CLIP",
        required_unless_present = "scene",
        conflicts_with = "scene"
    )]
    clip: Option<PathBuf>,

    /// A clip whose motion is known exactly: still, pan, fast-pan, zoom, rotation, object, shake, noise, noisy-pan or
    /// light, on waves, or with -photo behind its name on a photograph
    #[arg(long, value_name = "NAME")]
    scene: Option<String>,

    /// The picture in whose style it is painted [default: The Starry Night, built in]
    #[arg(long, value_name = "PICTURE")]
    style: Option<PathBuf>,

    /// Size of the frames [default: 192x112; of a video 192 on the longer side]
    #[arg(long, value_name = "WIDTHxHEIGHT", value_parser = size)]
    size: Option<(usize, usize)>,

    /// How many frames, from the first
    #[arg(long, value_name = "N", default_value = "100", value_parser = count(2..=100_000))]
    frames: usize,

    /// At how many places of the clip frames are also painted one by one, each from a fresh start; 0 saves the time
    #[arg(long, value_name = "K", default_value = "6", value_parser = count(0..=10_000))]
    independent: usize,

    /// The network that measures the style of what was painted
    #[arg(long, default_value = "vgg16", value_parser = choice::<NetworkChoice>(&["tiny", "slim", "vgg16"]))]
    judge: NetworkChoice,

    /// The style is measured at every N-th frame
    #[arg(long, value_name = "N", default_value = "5", value_parser = count(1..=10_000))]
    judge_every: usize,

    /// Write all painted frames into this folder, as PNG
    #[arg(long, value_name = "FOLDER")]
    save: Option<PathBuf>,

    /// Write a picture with some frames of the input, painted one by one, and of the painted clip
    #[arg(long, value_name = "PICTURE")]
    contact_sheet: Option<PathBuf>,

    #[command(flatten)]
    flags: Flags<flags::Clip>,
}

/// The longer side of a video's frames if nobody chose a size.
const LONGER_SIDE: usize = 192;

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    gst::init()?;
    // What cannot be written is found out before the work.
    let sheet = match &arguments.contact_sheet {
        Some(path) => Some((Output::prepare(path)?, picture_format(path)?)),
        None => None,
    };
    if let Some(folder) = &arguments.save {
        fs::create_dir_all(folder)
            .map_err(|error| format!("cannot write into {}: {error}", folder.display()))?;
    }
    let clip = clip(arguments)?;
    if clip.frames.len() < 2 {
        return Err("there is nothing to compare in a clip of one frame".into());
    }
    let style = Material::new(arguments.style.as_deref(), &STARRY_NIGHT)?;
    let style = Arc::new(StylePicture::load(style.path())?);
    let painted = paint(arguments, &clip, &style)?;
    if let Some(folder) = &arguments.save {
        save(folder, &painted.ours)?;
    }
    if let Some((output, format)) = sheet {
        contact_sheet(&clip.frames, &painted).save_with_format(output.path(), format)?;
        output.finish()?;
    }
    let size = (clip.frames[0].width(), clip.frames[0].height());
    let cropped = style.frame().cropped(arguments.flags.controls().style_crop);
    let mut judge = Judge::new(arguments.judge, &cropped, size)?;
    let measured = Measured::of(&clip, &painted, &mut judge, arguments.judge_every)?;
    eprint!("{}", measured.table());
    let mut document = measured.document();
    document["clip"] = clip.name.into();
    document["judge"] = arguments.judge.name().into();
    say!("{document:#}");
    Ok(())
}

fn clip(arguments: &Arguments) -> Result<Clip, Failure> {
    match (&arguments.scene, &arguments.clip) {
        (Some(name), _) => {
            let (width, height) = arguments.size.unwrap_or((192, 112));
            let scene = Scene::named(name, width, height).ok_or_else(|| {
                let names = scenes::NAMES.join(", ");
                format!("there is no scene ‘{name}’, but {names}, and each with -photo behind it")
            })?;
            Ok(Clip::of_scene(name, scene, arguments.frames))
        }
        (None, Some(path)) => {
            let size = match arguments.size {
                Some((width, height)) => ClipSize::Exact(width, height),
                None => ClipSize::Longer(LONGER_SIDE),
            };
            Clip::of_file(path, size, arguments.frames)
        }
        (None, None) => Err("name a clip or a scene".into()),
    }
}

fn paint(arguments: &Arguments, clip: &Clip, style: &Arc<StylePicture>) -> Result<Paintings, Failure> {
    let (options, controls) = settings(arguments, &clip.frames[0]);
    let places = places(clip.frames.len(), arguments.independent);
    let alone = Paintings::alone_at(&places, clip.frames.len());
    let work = (clip.frames.len() + alone.len()) as u64;
    let bar = progress::bar(work, "{bar:30} {pos}/{len} frames, {eta} left");
    let mut stylizer = Stylizer::new(&options, CancelToken::new())?;
    stylizer.set_style(style.clone());
    let mut painted = Paintings::at(places);
    for (index, frame) in clip.frames.iter().enumerate() {
        let began = Instant::now();
        stylizer.push(frame, &controls, ())?;
        if index + 1 == clip.frames.len() {
            stylizer.finish()?;
        }
        painted.add_time(began.elapsed());
        let mut out = Frame::default();
        while let Some(((), report)) = stylizer.pull(&mut out) {
            painted.add(std::mem::take(&mut out), report);
        }
        bar.inc(1);
    }
    let mut stylizer = Stylizer::new(&options, CancelToken::new())?;
    stylizer.set_style(style.clone());
    for index in alone {
        stylizer.restart();
        let mut out = Frame::default();
        stylizer.process(&clip.frames[index], &mut out, &controls)?;
        painted.independent.insert(index, out);
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(painted)
}

/// What the flags mean to the library.
fn settings(arguments: &Arguments, frame: &Frame) -> (Options, Controls) {
    let mut options = arguments.flags.options();
    if options.working_size == 0 {
        options.working_size = frame.width().max(frame.height());
    }
    let controls = arguments.flags.controls();
    (options, controls)
}

/// `count` frames, evenly spaced, behind which there are frames to compare them with. The very first ones are left
/// out: nothing in them was revealed.
fn places(frames: usize, count: usize) -> Vec<usize> {
    let behind = if frames > 1 + measured::FAR {
        measured::FAR
    } else {
        1
    };
    let last = frames.saturating_sub(1 + behind);
    let first = last.min(measured::REVEALED_AGE + 1);
    let mut places: Vec<usize> = (0..count)
        .map(|index| first + (last - first) * index / count.saturating_sub(1).max(1))
        .collect();
    places.dedup();
    places
}

fn save(folder: &Path, frames: &[Frame]) -> Result<(), Failure> {
    for (index, frame) in frames.iter().enumerate() {
        picture(frame).save(folder.join(format!("{index:05}.png")))?;
    }
    Ok(())
}

fn picture(frame: &Frame) -> RgbImage {
    RgbImage::from_fn(frame.width() as u32, frame.height() as u32, |x, y| {
        let at = (y as usize * frame.width() + x as usize) * 3;
        image::Rgb([frame.rgb()[at], frame.rgb()[at + 1], frame.rgb()[at + 2]])
    })
}

/// Rows of the input, of frames painted one by one and of the painted clip, at up to 6 times.
fn contact_sheet(input: &[Frame], painted: &Paintings) -> RgbImage {
    const GAP: u32 = 4;
    const COLUMNS: usize = 6;
    let times: Vec<usize> = if painted.places.is_empty() {
        (0..COLUMNS)
            .map(|column| (input.len() - 1) * column / (COLUMNS - 1))
            .collect()
    } else {
        let places = painted.places.len();
        let columns = places.min(COLUMNS);
        let place = |column: usize| column * (places - 1) / columns.saturating_sub(1).max(1);
        (0..columns).map(|column| painted.places[place(column)]).collect()
    };
    let mut rows = vec![times.iter().map(|&at| &input[at]).collect::<Vec<_>>()];
    rows.push(
        times
            .iter()
            .filter_map(|at| painted.independent.get(at))
            .collect(),
    );
    rows.push(times.iter().map(|&at| &painted.ours[at]).collect());
    rows.retain(|row| !row.is_empty());
    let (width, height) = (input[0].width() as u32 + GAP, input[0].height() as u32 + GAP);
    let mut sheet = RgbImage::from_pixel(
        width * times.len() as u32 - GAP,
        height * rows.len() as u32 - GAP,
        image::Rgb([255; 3]),
    );
    for (y, row) in rows.iter().enumerate() {
        for (x, frame) in row.iter().enumerate() {
            let (x, y) = (x as i64 * i64::from(width), y as i64 * i64::from(height));
            imageops::replace(&mut sheet, &picture(frame), x, y);
        }
    }
    sheet
}
