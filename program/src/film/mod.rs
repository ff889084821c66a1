// SPDX-License-Identifier: MIT OR Apache-2.0

//! Paints a video file in the style of a picture, and keeps its sound.
//!
//! It is what one would write with gst-launch-1.0 around the element `neuralstyle`, with the details seen to: an
//! encoder that is there, the sound, a progress bar, and a playable file when it is interrupted. Every flag that
//! has the name of one of the element's properties sets it.

pub mod formats;
mod render;

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::Instant;

use clap::Args;

use crate::failure::Failure;
use crate::flags::{Flags, Stream};
use crate::output::{Output, same_file};
use crate::values::counted;
use formats::choose_parts;
use render::{End, Render};

/// Paints a video file in the style of a picture, and keeps its sound.
///
/// It ends early with Ctrl-C, and what was painted until then can be played.
#[derive(Args)]
#[command(after_help = "\
Examples
  neuralstyle film holiday.mp4 painted.webm --style starry_night.jpg
  neuralstyle film holiday.mp4 painted.mp4 --style dots.png --working-size 512 --style-weight 5
  neuralstyle film holiday.mp4 quick.webm --style dots.png --network tiny --keyframe-interval 3 --force")]
pub struct Arguments {
    /// The video to paint: anything that GStreamer can decode
    #[arg(value_name = "IN")]
    input: PathBuf,

    /// Where to write; the ending chooses the format: .webm, .mkv or .mp4
    #[arg(value_name = "OUT")]
    output: PathBuf,

    /// The picture in whose style it is painted
    #[arg(long, value_name = "PICTURE")]
    style: PathBuf,

    /// Replace OUT if it exists
    #[arg(long)]
    force: bool,

    #[command(flatten)]
    flags: Flags<Stream>,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    gst::init()?;
    gstneuralstyle::plugin_register_static()?;
    refuse_lost_files(arguments)?;
    let parts = choose_parts(&arguments.output)?;
    let output = Output::prepare(&arguments.output)?;
    let render = Render::build(arguments, &parts, output.path())?;
    let began = Instant::now();
    let ended = render.run();
    // What was written before a failure or an interruption is worth as much as the time that it took.
    let frames = render.progress.frames.load(Ordering::Relaxed);
    let kept = match ended {
        Err(failure) => return Err(failure),
        Ok(End::Interrupted) if frames == 0 => {
            return Err("interrupted before the first frame; nothing was written".into());
        }
        Ok(_) if frames == 0 => return Err(format!("{} has no frames", arguments.input.display()).into()),
        Ok(kept) => kept,
    };
    output.finish()?;
    let (path, seconds) = (arguments.output.display(), began.elapsed().as_secs_f64());
    match kept {
        End::Whole => say!("{path}: {} in {seconds:.0} s", counted(frames as usize, "frame")),
        End::Interrupted => {
            let shown = gst::ClockTime::from_nseconds(render.progress.position.load(Ordering::Relaxed));
            let whole = match frames {
                1 => "frame".to_owned(),
                _ => format!("{frames} frames, {shown:.1}"),
            };
            return Err(format!("interrupted; {path} holds the first {whole}").into());
        }
    }
    Ok(())
}

/// No mistaken name may cost anybody a film.
fn refuse_lost_files(arguments: &Arguments) -> Result<(), Failure> {
    let Arguments {
        input,
        output,
        style,
        force,
        flags,
        ..
    } = arguments;
    if !input.is_file() {
        return Err(format!("there is no video file {}", input.display()).into());
    }
    for read in [Some(input), Some(style), flags.weights()] {
        if read.is_some_and(|read| same_file(read, output)) {
            return Err(format!("{} would be overwritten while it is read", output.display()).into());
        }
    }
    if !force && output.exists() {
        return Err(format!("{} exists; --force replaces it", output.display()).into());
    }
    Ok(())
}
