// SPDX-License-Identifier: MIT OR Apache-2.0

//! Says how well the motion of clips is found whose motion is known exactly.
//!
//! For each scene the mean end-point error, in pixels, of the flow from each frame to the one before, where what a pixel
//! shows can be seen in both. With `--save FOLDER` the frames go there as PNG beside their true flow (Middlebury's .flo) and
//! what is visible (PNG, white), for other programs to be measured by: `benches/compare_flow.py`.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use image::{GrayImage, RgbImage};

use super::scenes::{NAMES, Scene};
use crate::failure::Failure;
use crate::values::count;
use neuralstyle::motion::{Flow, Gray, Tracker};

/// Says how well the motion of clips is found whose motion is known exactly.
///
/// For each scene the mean end-point error, in pixels, of the flow from each frame to the one before.
#[derive(Args)]
#[command(after_help = "\
Examples
  neuralstyle measure flow
  neuralstyle measure flow --scene rotation-photo --save flows")]
pub struct Arguments {
    /// Only this scene [default: all, on a photograph]
    #[arg(long, value_name = "NAME")]
    scene: Option<String>,

    /// Width of the frames in pixels
    #[arg(long, value_name = "PX", default_value = "192", value_parser = count(16..=4096))]
    width: usize,

    /// Height of the frames in pixels
    #[arg(long, value_name = "PX", default_value = "112", value_parser = count(16..=4096))]
    height: usize,

    /// How many frames, from the first
    #[arg(long, value_name = "N", default_value = "5", value_parser = count(2..=10_000))]
    frames: usize,

    /// Write frames, flows and what is visible into this folder
    #[arg(long, value_name = "FOLDER")]
    save: Option<PathBuf>,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let names = match &arguments.scene {
        Some(name) => vec![name.clone()],
        None => NAMES.map(|name| format!("{name}-photo")).to_vec(),
    };
    for name in names {
        let scene = Scene::named(&name, arguments.width, arguments.height)
            .ok_or_else(|| format!("there is no scene ‘{name}’; there are {}", NAMES.join(", ")))?;
        if let Some(folder) = &arguments.save {
            save(&scene, arguments.frames, &folder.join(&name))?;
        }
        say!("{name} {:.4}", mean_error(&scene, arguments.frames));
    }
    Ok(())
}

/// Mean over the frames of the mean distance, in pixels, between the flow that is found and the true one.
fn mean_error(scene: &Scene, frames: usize) -> f64 {
    let gray = |index: usize| Gray::of(&scene.frame(index), scene.width, scene.height);
    let mut tracker = Tracker::new();
    let errors = (1..frames).map(|now| {
        let found = &tracker.track(&gray(now - 1), &gray(now)).backward;
        let (truth, visible) = (scene.flow(now, now - 1), scene.visible(now, now - 1));
        let counted = (0..visible.len()).filter(|&at| visible[at]);
        let (sum, count) = counted.fold((0.0, 0.0), |(sum, count), at| {
            let apart = (found.u[at] - truth.u[at]).hypot(found.v[at] - truth.v[at]);
            (sum + f64::from(apart), count + 1.0)
        });
        sum / count
    });
    errors.sum::<f64>() / (frames - 1) as f64
}

fn save(scene: &Scene, frames: usize, folder: &Path) -> Result<(), Failure> {
    let (width, height) = (scene.width as u32, scene.height as u32);
    fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    for now in 0..frames {
        let picture = RgbImage::from_raw(width, height, scene.frame(now).rgb().to_vec());
        let path = folder.join(format!("{now:04}.png"));
        picture.ok_or("a frame has other than its size")?.save(path)?;
        if now == 0 {
            continue;
        }
        fs::write(
            folder.join(format!("{now:04}.flo")),
            middlebury(&scene.flow(now, now - 1)),
        )?;
        let visible = scene.visible(now, now - 1);
        let visible = visible.into_iter().map(|visible| if visible { 255 } else { 0 });
        let path = folder.join(format!("{now:04}.visible.png"));
        GrayImage::from_raw(width, height, visible.collect())
            .ok_or("a mask has other than its frame's size")?
            .save(path)?;
    }
    Ok(())
}

/// A flow as a .flo file: the number 202021.25, width, height, and u and v of each pixel, little-endian.
fn middlebury(flow: &Flow) -> Vec<u8> {
    let head = 202_021.25f32.to_le_bytes().into_iter();
    let size = [flow.width as i32, flow.height as i32];
    let pixels = flow.u.iter().zip(&flow.v).flat_map(|(u, v)| [*u, *v]);
    head.chain(size.into_iter().flat_map(i32::to_le_bytes))
        .chain(pixels.flat_map(f32::to_le_bytes))
        .collect()
}
