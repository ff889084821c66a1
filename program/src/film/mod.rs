// SPDX-License-Identifier: MIT OR Apache-2.0

//! Paints a video file in the style of a picture, and keeps its sound.
//!
//! One pipeline reads, another one paints and writes; between them is code that owns the film's format and its clock:
//!
//!     source ─► reading, sequence or animation ─► feed ─► painting ─► verify
//!                   │ tracks: which one             │ fitting: one format, one size
//!                   └ decoded frames and sound      └ timeline: one clock; sound in step with it
//!
//! So anything that can be decoded is painted, either side ends without the other, and what is painted is kept whatever
//! happens. Every flag that has the name of one of the element's properties sets it.

mod animation;
mod feed;
mod fitting;
pub mod formats;
mod painting;
mod reading;
mod render;
mod scan;
mod sequence;
mod sound;
mod source;
mod target;
mod timeline;
mod tracks;
mod verify;
mod watchdog;

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;

use crate::failure::Failure;
use crate::flags::{Flags, Stream};
use crate::output::{Output, same_file};
use crate::values::{counted, rate};
use feed::{Feed, Order};
use formats::{Codec, check_surroundings, choose_parts, ending_of};
use render::{End, seconds};
use sequence::{Pattern, Writer};
use source::{Input, Source};
use target::{Kind, Target};
use timeline::Rate;

/// Paints a video file in the style of a picture, and keeps its sound.
///
/// It ends early with Ctrl-C, and what was painted until then can be played; so can what was painted before an error.
#[derive(Args)]
#[command(after_help = "\
Examples
  neuralstyle film holiday.mp4 painted.webm --style starry_night.jpg
  neuralstyle film holiday.mp4 painted.mp4 --style dots.png --working-size 512 --style-weight 5
  neuralstyle film holiday.mov master.mov --codec prores --style dots.png
  neuralstyle film frames/%05d.png painted/%05d.png --style dots.png
  neuralstyle film frames/%05d.png painted.mp4 --rate 24 --style dots.png
  neuralstyle film holiday.mp4 quick.webm --style dots.png --network tiny --keyframe-interval 3 --force")]
pub struct Arguments {
    /// The video to paint: anything that GStreamer can decode, an animation (GIF, APNG, WebP), or numbered pictures like
    /// frames/%05d.png
    #[arg(value_name = "IN")]
    input: PathBuf,

    /// Where to write; the ending chooses the format: .mp4, .mov, .mkv or .webm, or numbered pictures like painted/%05d.png
    #[arg(value_name = "OUT")]
    output: PathBuf,

    /// The picture in whose style it is painted
    #[arg(long, value_name = "PICTURE")]
    style: PathBuf,

    /// How OUT is encoded [default: h264 in .mp4, .mov and .mkv, vp8 in .webm]
    #[arg(long, value_enum)]
    codec: Option<Codec>,

    /// Frames per second of numbered pictures, and of files that say nothing of times, as in 24 or 30000/1001 [default: what
    /// the file says, or 25]
    #[arg(long, value_name = "RATE", value_parser = rate)]
    rate: Option<(u32, u32)>,

    /// Keep a width or height that is odd, at the price of 4:4:4, which few players take as H.264
    #[arg(long)]
    exact_size: bool,

    /// Replace OUT if it exists
    #[arg(long)]
    force: bool,

    #[command(flatten)]
    flags: Flags<Stream>,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    gst::init()?;
    gstneuralstyle::plugin_register_static()?;
    let (input, gap) = Input::find(&arguments.input)?;
    match Pattern::of(&arguments.output) {
        Some(pattern) => paint_pictures(arguments, input, gap, &pattern),
        None => paint_file(arguments, input, gap),
    }
}

/// Paints into one file.
fn paint_file(arguments: &Arguments, input: Input, gap: Option<String>) -> Result<(), Failure> {
    refuse_lost_files(arguments)?;
    let parts = choose_parts(&arguments.output, arguments.codec)?;
    let output = Output::prepare(&arguments.output)?;
    let ending = parts.ending;
    let scratch = match ending {
        "mp4" | "mov" => Some(output.scratch()?),
        _ => None,
    };
    let kind = Kind::File {
        parts: Box::new(parts),
        location: output.path().to_owned(),
        scratch: scratch.as_ref().map(|file| file.path().to_owned()),
    };
    let written = render(arguments, input, gap, kind)?;
    drop(scratch);
    let looked_at = verify::verify(output.path(), ending, written.frames, written.shown);
    output.finish()?;
    let path = arguments.output.display();
    looked_at.map_err(|failure| format!("{path} is damaged: {failure}"))?;
    written.report(arguments)
}

/// Paints into pictures with numbers.
fn paint_pictures(
    arguments: &Arguments,
    input: Input,
    gap: Option<String>,
    pattern: &Pattern,
) -> Result<(), Failure> {
    if Pattern::of(&arguments.input).as_ref() == Some(pattern) {
        return Err(overwritten(&arguments.output));
    }
    if arguments.codec.is_some() {
        return Err("--codec is for films in one file: numbered pictures are what their names say".into());
    }
    check_surroundings(&ending_of(&arguments.output))?;
    Writer::prepare(pattern, arguments.force)?;
    let kind = Kind::Pictures {
        pattern: pattern.clone(),
        first: input.first(),
        deep: Writer::is_deep(pattern),
    };
    render(arguments, input, gap, kind)?.report(arguments)
}

/// What was written, and how it ended.
struct Written {
    frames: u64,
    shown: gst::ClockTime,
    end: End,
    began: Instant,
}

/// Paints until the end. That there is anything to keep is sure then.
fn render(arguments: &Arguments, input: Input, gap: Option<String>, kind: Kind) -> Result<Written, Failure> {
    let rate = arguments.rate.map(|(frames, seconds)| Rate { frames, seconds });
    let feed = Feed::new(Order {
        style: arguments.style.clone(),
        flags: arguments.flags.clone(),
        target: Target {
            kind,
            exact_size: arguments.exact_size,
        },
        rate,
    });
    if let Some(gap) = gap {
        feed.tell(gap);
    }
    let began = Instant::now();
    let source = Source::start(input, &arguments.input, rate, &feed)?;
    let end = render::run(&feed, source, &arguments.input)?;
    let (frames, shown) = match feed.painting() {
        Some(painting) => (painting.frames(), painting.shown()),
        None => (0, gst::ClockTime::ZERO),
    };
    let name = arguments.input.display();
    match end {
        End::Lost(failure) => Err(failure),
        End::Failed(failure) if frames == 0 => Err(format!("{name}: {failure}").into()),
        End::Interrupted if frames == 0 => {
            Err("interrupted before the first frame; nothing was written".into())
        }
        End::Whole if frames == 0 => Err(format!("{name} has no frames").into()),
        end => Ok(Written {
            frames,
            shown,
            end,
            began,
        }),
    }
}

impl Written {
    /// Says what there is; that it is not the whole film is an error.
    fn report(self, arguments: &Arguments) -> Result<(), Failure> {
        let (path, name) = (arguments.output.display(), arguments.input.display());
        let frames = counted(self.frames as usize, "frame");
        let held = match self.frames {
            1 => "holds the first frame".to_owned(),
            _ => format!("holds the first {frames}, {}", seconds(self.shown)),
        };
        match self.end {
            End::Whole => {
                let seconds = self.began.elapsed().as_secs_f64();
                say!("{path}: {frames} in {seconds:.0} s");
                Ok(())
            }
            End::Interrupted => Err(format!("interrupted; {path} {held}").into()),
            End::Failed(failure) | End::Lost(failure) => {
                Err(format!("{name}: {failure}; {path} {held}").into())
            }
        }
    }
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
    for read in [Some(input), Some(style), flags.weights()] {
        if read.is_some_and(|read| same_file(read, output)) {
            return Err(overwritten(output));
        }
    }
    if !force && output.exists() {
        return Err(format!("{} exists; --force replaces it", output.display()).into());
    }
    Ok(())
}

fn overwritten(output: &Path) -> Failure {
    format!("{} would be overwritten while it is read", output.display()).into()
}
