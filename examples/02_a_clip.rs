// SPDX-License-Identifier: MIT OR Apache-2.0

//! A clip: frames are pushed in and come out later, in their order.
//!
//!     cargo run --release --example 02_a_clip [FOLDER]
//!
//! Paints the pictures of a folder in the order of their names; without one, 12 frames of a pan over media/bunny.jpg. The
//! paintings are out/02/0000.png and so on, at most 2048 pixels wide and high.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use image::ExtendedColorType;
use neuralstyle::backend::CancelToken;
use neuralstyle::stylizer::{Controls, Frame, Options, StylePicture, Stylizer};

fn main() -> Result<(), Box<dyn Error>> {
    let out = Path::new("out/02");
    std::fs::create_dir_all(out)?;

    // Each frame travels with a token of our choice; here it is the file that the painting goes to.
    let mut stylizer: Stylizer<PathBuf> = Stylizer::with_tokens(&Options::default(), CancelToken::new())?;
    stylizer.set_style(Arc::new(StylePicture::load(Path::new("media/starry_night.jpg"))?));
    // Every third frame is optimised. Those between wait for the next keyframe and are put together from both.
    let controls = Controls {
        keyframe_interval: 3,
        ..Controls::default()
    };

    for (number, frame) in frames()?.enumerate() {
        stylizer.push(&frame, &controls, out.join(format!("{number:04}.png")))?;
        save_what_is_finished(&mut stylizer)?;
        println!("pushed {number}, {} held back", stylizer.pending());
    }
    // The clip ends: what waits for another keyframe does so no longer.
    stylizer.finish()?;
    save_what_is_finished(&mut stylizer)
}

fn save_what_is_finished(stylizer: &mut Stylizer<PathBuf>) -> Result<(), Box<dyn Error>> {
    let mut painting = Frame::default();
    while let Some((path, report)) = stylizer.pull(&mut painting) {
        let (width, height) = (painting.width() as u32, painting.height() as u32);
        image::save_buffer(&path, painting.rgb(), width, height, ExtendedColorType::Rgb8)?;
        let kind = if report.keyframe {
            "keyframe"
        } else {
            "between keyframes"
        };
        println!("{}: {kind}, {} steps", path.display(), report.iterations);
    }
    Ok(())
}

fn frames() -> Result<Box<dyn Iterator<Item = Frame>>, Box<dyn Error>> {
    if let Some(folder) = std::env::args().nth(1) {
        let entries = std::fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
        let mut paths: Vec<PathBuf> = entries.iter().map(|entry| entry.path()).collect();
        paths.sort();
        // Frames that are no pictures are left out.
        let pictures = paths
            .into_iter()
            .filter_map(|path| StylePicture::load(&path).ok());
        return Ok(Box::new(pictures.map(StylePicture::into_frame)));
    }
    let still = StylePicture::load(Path::new("media/bunny.jpg"))?.into_frame();
    Ok(Box::new(
        (0..12).map(move |number| part(&still, (4 * number, 20), (256, 144))),
    ))
}

/// The part of a picture whose upper left corner is at (x, y).
fn part(picture: &Frame, (x, y): (usize, usize), (width, height): (usize, usize)) -> Frame {
    let mut part = Frame::new(width, height);
    for (row, pixels) in part.rgb_mut().chunks_exact_mut(3 * width).enumerate() {
        pixels.copy_from_slice(&picture.rgb()[3 * ((y + row) * picture.width() + x)..][..3 * width]);
    }
    part
}
