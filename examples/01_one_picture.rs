// SPDX-License-Identifier: MIT OR Apache-2.0

//! One picture in the style of another, and the losses while it is painted.
//!
//!     cargo run --release --example 01_one_picture [CONTENT STYLE OUTPUT]
//!
//! Without arguments it paints media/cat.jpg as The Starry Night and writes out/01.png.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use neuralstyle::backend::CancelToken;
use neuralstyle::stylizer::{Controls, Frame, Options, StylePicture, Stylizer};

fn main() -> Result<(), Box<dyn Error>> {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let [content, style, output] = match given.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => ["media/cat.jpg", "media/starry_night.jpg", "out/01.png"],
        [content, style, output] => [content, style, output],
        _ => return Err("CONTENT STYLE OUTPUT are needed, or nothing at all".into()),
    };

    // What holds for all frames. `CancelToken::cancel`, from any thread, would end the work within milliseconds.
    let options = Options {
        working_size: 320,
        ..Options::default()
    };
    let mut stylizer = Stylizer::new(&options, CancelToken::new())?;
    stylizer.set_style(Arc::new(StylePicture::load(Path::new(style))?));
    stylizer.set_observer(Some(Box::new(|step| {
        if step.done % 10 == 0 {
            let (content, style) = (step.losses.content, step.losses.style);
            println!(
                "step {} of {}, {}×{}: content loss {content:.4}, style loss {style:.5}",
                step.done, step.of, step.width, step.height
            );
        }
    })));

    // What may change from frame to frame: here the style is bolder than by default.
    let controls = Controls {
        style_weight: Some(5.0),
        ..Controls::default()
    };
    // Read like a style: upright, opaque, and reduced to 2048 pixels if its longer side is longer.
    let frame = StylePicture::load(Path::new(content))?.into_frame();
    let mut painting = Frame::default();
    stylizer.process(&frame, &mut painting, &controls)?;

    let stats = stylizer.stats();
    println!("{} on {} ({})", stats.network, stats.backend, stats.device);
    std::fs::create_dir_all(Path::new(output).parent().ok_or("no folder")?)?;
    image::save_buffer(
        output,
        painting.rgb(),
        painting.width() as u32,
        painting.height() as u32,
        image::ExtendedColorType::Rgb8,
    )?;
    Ok(())
}
