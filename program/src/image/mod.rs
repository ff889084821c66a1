// SPDX-License-Identifier: MIT OR Apache-2.0

//! Paints one picture in the style of another.

mod trace;

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Instant;

use clap::Args;
use image::codecs::jpeg::JpegEncoder;
use image::{ImageFormat, RgbImage, imageops};
use indicatif::ProgressBar;

use crate::failure::Failure;
use crate::flags::{Flags, Picture};
use crate::output::{Output, picture_format, same_file};
use crate::progress;
use crate::values::{count, counted};
use neuralstyle::backend::CancelToken;
use neuralstyle::gatys::Step;
use neuralstyle::settings::MOST_STEPS;
use neuralstyle::stylizer::{Controls, Error, Frame, Options, StylePicture, Stylizer};

/// Paints one picture in the style of another.
#[derive(Args)]
#[command(after_help = "\
Examples
  neuralstyle image --content me.jpg --style starry_night.jpg --output painted.jpg
  neuralstyle image --content me.jpg --style dots.png --output large.png --size 1024 --network vgg16
  neuralstyle image --content me.jpg --style dots.png --output bold.png --style-weight 6 --iterations 100")]
pub struct Arguments {
    /// The picture whose things are shown
    #[arg(long, value_name = "PICTURE")]
    content: PathBuf,

    /// The picture in whose style they are shown
    #[arg(long, value_name = "PICTURE")]
    style: PathBuf,

    /// Where to write the painting; the name's ending chooses the format. What is there is replaced
    #[arg(long, value_name = "PICTURE")]
    output: PathBuf,

    /// Longer side in pixels of the painting, which is optimised at just this size [default: the content's, but at
    /// most 512, for the time grows with the area]
    #[arg(long, value_name = "PX", value_parser = count(16..=LARGEST_SIZE))]
    size: Option<usize>,

    /// Steps, in what they cost at full size; with --scales 1 exactly so many
    #[arg(long, value_name = "N", default_value = "40", value_parser = count(0..=MOST_STEPS))]
    iterations: usize,

    /// Also write the losses of every step, as JSON, for comparisons with other programs
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,

    #[command(flatten)]
    flags: Flags<Picture>,
}

/// Pictures are read at up to this size; a larger painting would only be blurred.
pub const LARGEST_SIZE: usize = 2048;
/// The longer side of a painting whose size nobody chose.
const DEFAULT_SIZE: usize = 512;
/// Paintings are full of detail that stronger compression would smear.
const JPEG_QUALITY: u8 = 92;

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let format = picture_format(&arguments.output)?;
    refuse_overwritten_inputs(arguments)?;
    let output = Output::prepare(&arguments.output)?;
    let trace = arguments.trace.as_deref().map(Output::prepare).transpose()?;

    let content = load(&arguments.content, "content picture")?;
    let style = StylePicture::load(&arguments.style)?;
    let size = arguments.size.unwrap_or_else(|| default_size(&content));
    let content = resized(&content, size)?;

    let (options, controls) = settings(arguments, size);
    let cancel = CancelToken::new();
    let mut stylizer = Stylizer::new(&options, cancel.clone())?;
    ctrlc::set_handler(move || cancel.cancel())?;
    stylizer.set_style(style.into());

    let bar = progress::bar(0, "{bar:30} {pos}/{len} steps, {per_sec}, {eta} left, {msg}");
    let (log, told) = mpsc::channel();
    let shown = bar.clone();
    stylizer.set_observer(Some(Box::new(move |step| {
        show(&shown, step);
        // The receiver lives as long as this function; without it nobody would miss the step.
        let _ = log.send(*step);
    })));
    let began = Instant::now();
    let mut painting = Frame::default();
    let painted = stylizer.process(&content, &mut painting, &controls);
    let seconds = began.elapsed().as_secs_f64();
    bar.finish_and_clear();
    match painted {
        Err(Error::Cancelled) => return Err("interrupted; nothing was written".into()),
        other => other?,
    };
    stylizer.set_observer(None);
    let enlarged = stylizer.stats().style_enlarged;
    if enlarged > 1.0 {
        eprintln!(
            "The style picture was enlarged {enlarged:.1} times and its strokes are blurred; a larger picture or a smaller \
             --style-scale would help."
        );
    }

    let steps = trace::last_run(told.into_iter());
    fs::write(output.path(), encoded(&painting, format)?)?;
    output.finish()?;
    if let Some(trace) = trace {
        let document = trace::document(arguments, &stylizer, &painting, &steps, seconds);
        fs::write(trace.path(), format!("{document:#}\n"))?;
        trace.finish()?;
    }
    say!(
        "{}",
        summary(arguments, &stylizer, &painting, steps.len(), seconds)
    );
    Ok(())
}

/// What the flags mean to the library.
fn settings(arguments: &Arguments, size: usize) -> (Options, Controls) {
    let options = Options {
        working_size: size,
        ..arguments.flags.options()
    };
    let controls = Controls {
        first_iterations: arguments.iterations,
        ..arguments.flags.controls()
    };
    (options, controls)
}

/// A mistaken name must not cost anybody a photograph.
fn refuse_overwritten_inputs(arguments: &Arguments) -> Result<(), Failure> {
    let Arguments {
        content,
        style,
        output,
        trace,
        flags,
        ..
    } = arguments;
    let inputs = [
        ("content", Some(content)),
        ("style", Some(style)),
        ("weights", flags.weights()),
    ];
    for (flag, written) in [("output", Some(output)), ("trace", trace.as_ref())] {
        for (other, read) in inputs {
            if let (Some(written), Some(read)) = (written, read)
                && same_file(written, read)
            {
                return Err(format!("--{flag} would overwrite --{other} {}", read.display()).into());
            }
        }
    }
    match trace {
        Some(trace) if same_file(trace, output) => Err("--trace and --output are the same file".into()),
        _ => Ok(()),
    }
}

/// The library reads style pictures; another picture is read with the same care and refused as what it is.
pub fn load(path: &Path, what: &str) -> Result<RgbImage, Failure> {
    let picture = StylePicture::load(path).map_err(|error| -> Failure {
        match error {
            Error::StyleNotFound { path } => format!("there is no {what} at {}", path.display()).into(),
            Error::StyleUnreadable { path, reason } => {
                format!("the {what} {} cannot be read: {reason}", path.display()).into()
            }
            other => other.into(),
        }
    })?;
    let frame = picture.frame();
    RgbImage::from_raw(frame.width() as u32, frame.height() as u32, frame.rgb().to_vec())
        .ok_or_else(|| format!("the pixels of the {what} do not match its size").into())
}

fn default_size(content: &RgbImage) -> usize {
    let (width, height) = content.dimensions();
    let longer = width.max(height) as usize;
    if longer > DEFAULT_SIZE {
        eprintln!(
            "The content has {width}×{height} pixels; painting it at {DEFAULT_SIZE} (--size chooses another size, \
             twice the size takes four times as long)."
        );
    }
    longer.min(DEFAULT_SIZE)
}

/// The picture with its longer side brought to `size`, so that nothing has to be enlarged after painting.
pub fn resized(picture: &RgbImage, size: usize) -> Result<Frame, Failure> {
    let (width, height) = picture.dimensions();
    let scaled = |side: u32| {
        let exact = f64::from(side) * size as f64 / f64::from(width.max(height));
        (exact.round() as u32).max(1)
    };
    resized_to(picture, (scaled(width), scaled(height)))
}

/// The picture with just this width and height.
pub fn resized_to(picture: &RgbImage, (width, height): (u32, u32)) -> Result<Frame, Failure> {
    let resized = if (width, height) == picture.dimensions() {
        picture.clone()
    } else {
        imageops::resize(picture, width, height, imageops::FilterType::Lanczos3)
    };
    Frame::from_rgb(width as usize, height as usize, resized.into_raw())
        .ok_or_else(|| "the resized picture's pixels do not match its size".into())
}

fn show(bar: &ProgressBar, step: &Step) {
    bar.set_length(step.of as u64);
    bar.set_position(step.done as u64);
    bar.set_message(format!(
        "{}×{}: content {:.4}, style {:.5}",
        step.width, step.height, step.losses.content, step.losses.style
    ));
}

fn encoded(painting: &Frame, format: ImageFormat) -> Result<Vec<u8>, Failure> {
    let (width, height) = (painting.width() as u32, painting.height() as u32);
    let picture = RgbImage::from_raw(width, height, painting.rgb().to_vec())
        .ok_or("the painting's pixels do not match its size")?;
    let mut file = Cursor::new(Vec::new());
    match format {
        ImageFormat::Jpeg => {
            picture.write_with_encoder(JpegEncoder::new_with_quality(&mut file, JPEG_QUALITY))?
        }
        other => picture.write_to(&mut file, other)?,
    }
    Ok(file.into_inner())
}

fn summary(
    arguments: &Arguments,
    stylizer: &Stylizer,
    painting: &Frame,
    steps: usize,
    seconds: f64,
) -> String {
    let stats = stylizer.stats();
    // Losses are measured by steps.
    let losses = match steps {
        0 => String::new(),
        _ => format!(
            ", content loss {:.4}, style loss {:.5}",
            stats.losses.content, stats.losses.style
        ),
    };
    format!(
        "{}: {}×{}, {} in {seconds:.1} s ({} on {}){losses}",
        arguments.output.display(),
        painting.width(),
        painting.height(),
        counted(steps, "step"),
        stats.network,
        stats.backend,
    )
}
