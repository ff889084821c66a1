// SPDX-License-Identifier: MIT OR Apache-2.0

//! Judges paintings from their pixels alone, as the literature does. JSON goes to the standard output, a table to the
//! standard error.
//!
//! All figures are taken at the size of the painting: the content is resized to it, the style picture is cropped and scaled
//! to its area, whatever `style-scale` it was painted with. The judge is the embedded VGG-16, whichever network painted.
//!
//! | figure | what it is | of the perfect painting |
//! | --- | --- | --- |
//! | `gram`, `covariance`, `mean` | relative squared distance of the activations' statistics from the style's, mean of relu1_1, 2_1, 3_1, 4_1 ([`network`]) | 0 |
//! | `content` | relative squared distance of the activations on relu4_2 from the content's ([`network`]) | 0 |
//! | `ssim` | structural similarity of the luma with the content's ([`figures::similarity`]) | 1 |
//! | `cfsd` | distance of the self-similarities from the content's ([`figures::self_similarity`]) | 0 |
//! | `histogram` | distance of the colours from the style's ([`figures::histogram`]) | 0 |
//! | `hY`, `hC` | energy of the finest detail in luma and in chroma, over the style's ([`figures::high_pass`]) | 1 |
//! | `weak` | the same along the colour axis on which the style picture has least of it: specks of colours that it lacks | 1 |
//! | `coherence` | how much the content's flats have of strokes, over what the style has ([`figures::structure`]) | 1 |
//! | `grey_mean`, `grey_99` | distance from grey in steps of a byte, mean and 99th percentile ([`figures::grey`]) | as the style |

mod figures;
mod network;
mod verdict;

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use image::RgbImage;
use serde_json::json;

use crate::bundled::{
    ASTRONAUT, BUNNY_PICTURE, Bundled, CAT, Material, NIGHT_CAFE, PAINTER_ON_THE_ROAD, STARRY_NIGHT,
};
use crate::failure::Failure;
use crate::flags::{Flags, Picture};
use crate::image::{LARGEST_SIZE, load, resized, resized_to};
use crate::values::count;
use network::Vgg;
use neuralstyle::backend::CancelToken;
use neuralstyle::settings::MOST_STEPS;
use neuralstyle::stylizer::{Controls, Frame, Options, StylePicture, Stylizer};
use verdict::{Verdict, heading};

/// Judges how paintings look: how much they have of the style, what is left of the content, specks, strokes and colours.
///
/// A painting that exists is judged with --painting. Otherwise content and style are painted first, and if none are named,
/// three bundled photographs in three bundled styles. A table goes to the standard error, JSON to the standard output.
#[derive(Args)]
#[command(after_help = "\
Examples
  neuralstyle measure look
  neuralstyle measure look --network vgg16 --size 384 --keep paintings
  neuralstyle measure look --content me.jpg --style dots.png --painting painted.png")]
pub struct Arguments {
    /// The picture whose things are shown
    #[arg(long, value_name = "PICTURE", requires = "style")]
    content: Option<PathBuf>,

    /// The picture in whose style they are shown
    #[arg(long, value_name = "PICTURE", requires = "content")]
    style: Option<PathBuf>,

    /// A painting of the two, which is judged as it is, or reduced if a side is longer than 2048 pixels
    #[arg(long, value_name = "PICTURE", requires = "content", conflicts_with_all = ["size", "iterations", "keep"])]
    painting: Option<PathBuf>,

    /// Longer side in pixels of what is painted
    #[arg(long, value_name = "PX", default_value = "256", value_parser = count(16..=LARGEST_SIZE))]
    size: usize,

    /// Steps, in what they cost at full size; with --scales 1 exactly so many
    #[arg(long, value_name = "N", default_value = "40", value_parser = count(0..=MOST_STEPS))]
    iterations: usize,

    /// Write what was painted into this folder, as PNG
    #[arg(long, value_name = "FOLDER")]
    keep: Option<PathBuf>,

    #[command(flatten)]
    flags: Flags<Picture>,
}

/// The shortest side of a painting: the network halves it three times, and a window of SSIM has 11 pixels.
const SHORTEST_SIDE: usize = 16;

/// By how much the shapes of content and painting may differ: sides are rounded to pixels.
const SHAPE_TOLERANCE: f64 = 0.02;

const CONTENTS: [(&str, &Bundled); 3] = [
    ("bunny", &BUNNY_PICTURE),
    ("cat", &CAT),
    ("astronaut", &ASTRONAUT),
];
const STYLES: [(&str, &Bundled); 3] = [
    ("starry_night", &STARRY_NIGHT),
    ("night_cafe", &NIGHT_CAFE),
    ("painter_on_the_road", &PAINTER_ON_THE_ROAD),
];

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    refuse_useless_flags(arguments)?;
    if let Some(folder) = &arguments.keep {
        fs::create_dir_all(folder)
            .map_err(|error| format!("cannot write into {}: {error}", folder.display()))?;
    }
    let pairs = pairs(arguments)?;
    let mut vgg = Vgg::new()?;
    let (mut rows, mut verdicts) = (Vec::new(), Vec::new());
    for pair in pairs {
        let painting = match &arguments.painting {
            Some(path) => existing(path, &pair)?,
            None => paint(arguments, &pair)?,
        };
        let content = resized_to(&pair.content, (painting.width() as u32, painting.height() as u32))?;
        let crop = arguments.flags.controls().style_crop;
        let verdict = Verdict::of(&mut vgg, &painting, &content, &pair.style.frame().cropped(crop))?;
        if rows.is_empty() {
            eprintln!("{}", heading());
        }
        eprintln!("{} {} × {}", verdict.row(), pair.content_name, pair.style_name);
        let mut row = verdict.document();
        row.insert("content_picture".into(), pair.content_name.into());
        row.insert("style_picture".into(), pair.style_name.into());
        row.insert("width".into(), painting.width().into());
        row.insert("height".into(), painting.height().into());
        rows.push(row);
        verdicts.push(verdict);
    }
    let mean = Verdict::mean(&verdicts);
    if verdicts.len() > 1 {
        eprintln!("{} mean", mean.row());
    }
    say!(
        "{:#}",
        json!({ "judge": "vgg16", "pairs": rows, "mean": mean.document() })
    );
    Ok(())
}

/// A painting that exists is what it is.
fn refuse_useless_flags(arguments: &Arguments) -> Result<(), Failure> {
    let mut given = arguments.flags.given().map(|(setting, _)| setting.name);
    match (&arguments.painting, given.find(|name| *name != "style-crop")) {
        (Some(painting), Some(flag)) => Err(format!(
            "{} is judged as it is: leave out --{flag}, or leave out --painting to paint first",
            painting.display()
        )
        .into()),
        _ => Ok(()),
    }
}

/// A content and a style picture.
struct Pair {
    content_name: String,
    style_name: String,
    content: RgbImage,
    style: StylePicture,
}

impl Pair {
    fn load(content: (&str, &Path), style: (&str, &Path)) -> Result<Self, Failure> {
        Ok(Self {
            content_name: content.0.to_owned(),
            style_name: style.0.to_owned(),
            content: load(content.1, "content picture")?,
            style: StylePicture::load(style.1)?,
        })
    }
}

/// The pair that was named, or each of the bundled contents with each of the bundled styles.
fn pairs(arguments: &Arguments) -> Result<Vec<Pair>, Failure> {
    if let (Some(content), Some(style)) = (&arguments.content, &arguments.style) {
        let name = |path: &Path| {
            path.file_stem()
                .map_or_else(String::new, |stem| stem.to_string_lossy().into_owned())
        };
        let pair = Pair::load((&name(content), content), (&name(style), style))?;
        return Ok(vec![pair]);
    }
    let mut pairs = Vec::with_capacity(CONTENTS.len() * STYLES.len());
    for (content_name, content) in CONTENTS {
        for (style_name, style) in STYLES {
            let (content, style) = (Material::new(None, content)?, Material::new(None, style)?);
            pairs.push(Pair::load(
                (content_name, content.path()),
                (style_name, style.path()),
            )?);
        }
    }
    Ok(pairs)
}

/// A painting from a file, which must have the shape of its content.
fn existing(path: &Path, pair: &Pair) -> Result<Frame, Failure> {
    let picture = load(path, "painting")?;
    let (width, height) = picture.dimensions();
    if (width.min(height) as usize) < SHORTEST_SIDE {
        return Err(format!(
            "the painting {} has {width}×{height} pixels; it can be judged from {SHORTEST_SIDE}×{SHORTEST_SIDE} on",
            path.display()
        )
        .into());
    }
    let (content_width, content_height) = pair.content.dimensions();
    let expected = f64::from(width) * f64::from(content_height) / f64::from(content_width);
    let tolerance = (SHAPE_TOLERANCE * f64::from(height)).max(1.0);
    if (f64::from(height) - expected).abs() > tolerance {
        return Err(format!(
            "the painting {} has {width}×{height} pixels, but a painting of this content, {content_width}×\
             {content_height}, would have {width}×{expected:.0}: name the content that it shows, or crop one of them",
            path.display()
        )
        .into());
    }
    resized_to(&picture, (width, height))
}

/// Paints a pair as `neuralstyle image` does.
fn paint(arguments: &Arguments, pair: &Pair) -> Result<Frame, Failure> {
    let content = resized(&pair.content, arguments.size)?;
    if content.width().min(content.height()) < SHORTEST_SIDE {
        return Err(format!(
            "at --size {} the content {} has {}×{} pixels; a painting can be judged from \
             {SHORTEST_SIDE}×{SHORTEST_SIDE} on: choose a greater --size",
            arguments.size,
            pair.content_name,
            content.width(),
            content.height()
        )
        .into());
    }
    let options = Options {
        working_size: arguments.size,
        ..arguments.flags.options()
    };
    let controls = Controls {
        first_iterations: arguments.iterations,
        ..arguments.flags.controls()
    };
    let mut stylizer = Stylizer::new(&options, CancelToken::new())?;
    stylizer.set_style(pair.style.clone().into());
    let mut painting = Frame::default();
    stylizer.process(&content, &mut painting, &controls)?;
    if let Some(folder) = &arguments.keep {
        keep(folder, pair, &painting)?;
    }
    Ok(painting)
}

fn keep(folder: &Path, pair: &Pair, painting: &Frame) -> Result<(), Failure> {
    let path = folder.join(format!("{}_{}.png", pair.content_name, pair.style_name));
    let (width, height) = (painting.width() as u32, painting.height() as u32);
    let picture = RgbImage::from_raw(width, height, painting.rgb().to_vec())
        .ok_or("the painting's pixels do not match its size")?;
    picture
        .save(&path)
        .map_err(|error| format!("cannot write {}: {error}", path.display()).into())
}
