// SPDX-License-Identifier: MIT OR Apache-2.0

//! Moving pictures in the formats of still ones: GIF, APNG and WebP. Each frame has a delay of its own, and that the
//! animation is meant to begin again is ignored.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use image::codecs::{gif::GifDecoder, png::PngDecoder, webp::WebPDecoder};
use image::{AnimationDecoder, DynamicImage, Frames};

use super::feed::{Ended, Feed, Frame};
use crate::failure::Failure;

/// In nanoseconds: browsers show frames this long whose delay is shorter than the other.
const USUAL: u64 = 100_000_000;
const SHORTEST: u64 = 11_000_000;

/// A file with an animation.
pub struct Animation(PathBuf);

impl Animation {
    /// Looks whether a file is one; a still picture in a format that has animations counts as one.
    pub fn of(path: &Path) -> Option<Self> {
        let mut head = [0; 64];
        let count = File::open(path).and_then(|mut file| file.read(&mut head)).ok()?;
        let format = image::guess_format(head.get(..count)?).ok()?;
        let animates = match format {
            image::ImageFormat::Gif | image::ImageFormat::WebP => true,
            image::ImageFormat::Png => PngDecoder::new(BufReader::new(File::open(path).ok()?))
                .and_then(|decoder| decoder.is_apng())
                .unwrap_or(false),
            _ => false,
        };
        animates.then(|| Self(path.to_owned()))
    }

    /// Reads one frame after the other.
    pub fn read(&self, feed: &Feed) -> Result<(), Failure> {
        let mut time = 0;
        for frame in self.frames()? {
            let frame = frame?;
            let (numerator, denominator) = frame.delay().numer_denom_ms();
            let duration = match u64::from(numerator) * 1_000_000 / u64::from(denominator.max(1)) {
                delay if delay < SHORTEST => USUAL,
                delay => delay,
            };
            let picture = Frame::of_picture(DynamicImage::ImageRgba8(frame.into_buffer()))?;
            match feed.frame(picture.at(time, duration)) {
                Ok(()) => {}
                Err(Ended::Stopped) => return Ok(()),
                Err(Ended::Failed(failure)) => return Err(failure),
            }
            time += duration;
        }
        Ok(())
    }

    fn frames(&self) -> Result<Frames<'static>, Failure> {
        let file = BufReader::new(File::open(&self.0)?);
        let mut head = [0; 16];
        File::open(&self.0)?.read_exact(&mut head)?;
        Ok(match image::guess_format(&head)? {
            image::ImageFormat::Gif => GifDecoder::new(file)?.into_frames(),
            image::ImageFormat::WebP => {
                let decoder = WebPDecoder::new(file)?;
                if decoder.has_animation() {
                    decoder.into_frames()
                } else {
                    let still = DynamicImage::from_decoder(decoder)?.into_rgba8();
                    Frames::new(Box::new(std::iter::once(Ok(image::Frame::new(still)))))
                }
            }
            _ => PngDecoder::new(file)?.apng()?.into_frames(),
        })
    }
}
