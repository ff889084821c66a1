// SPDX-License-Identifier: MIT OR Apache-2.0

//! Films as pictures with numbers, like frames/00001.png, read and written.

use std::fs;
use std::path::{Path, PathBuf};

use gst_video::{VideoFrameRef, VideoInfo};
use image::{DynamicImage, ImageBuffer, ImageDecoder, ImageReader, Rgba};

use super::feed::{Ended, Feed, Frame};
use crate::failure::Failure;
use crate::output::{Output, folder_of, picture_format};

/// A name with a place for a number, like `%05d`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    folder: PathBuf,
    before: String,
    after: String,
    /// Digits at least.
    digits: usize,
}

impl Pattern {
    /// Reads a name as a pattern, unless a file is called so.
    pub fn of(path: &Path) -> Option<Self> {
        if path.exists() {
            return None;
        }
        let name = path.file_name()?.to_str()?;
        let (before, rest) = name.split_once('%')?;
        let (width, after) = rest.split_once('d')?;
        if !width.chars().all(|digit| digit.is_ascii_digit()) || width.len() > 2 {
            return None;
        }
        Some(Self {
            folder: path.parent()?.to_owned(),
            before: before.to_owned(),
            after: after.to_owned(),
            digits: width.parse().unwrap_or(1),
        })
    }

    pub fn path(&self, number: u64) -> PathBuf {
        let Self {
            before,
            after,
            digits,
            ..
        } = self;
        self.folder
            .join(format!("{before}{number:0digits$}{after}", digits = *digits))
    }

    /// The numbers for which there is a file, in order.
    pub fn numbers(&self) -> Result<Vec<u64>, Failure> {
        let folder = folder_of(&self.path(0)).to_owned();
        let entries = fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let mut numbers: Vec<u64> = entries
            .flatten()
            .filter_map(|entry| {
                let name = entry.file_name().into_string().ok()?;
                let number = name.strip_prefix(&self.before)?.strip_suffix(&self.after)?;
                let number = number.parse().ok()?;
                (self.path(number).file_name()?.to_str()? == name).then_some(number)
            })
            .collect();
        numbers.sort_unstable();
        Ok(numbers)
    }
}

/// The pictures of a film that follow one another without a gap.
pub struct Sequence {
    pattern: Pattern,
    pub first: u64,
    pub count: u64,
}

impl Sequence {
    /// Finds the pictures, and says where a gap ends them.
    pub fn find(pattern: &Pattern) -> Result<(Self, Option<String>), Failure> {
        let numbers = pattern.numbers()?;
        let first = *numbers
            .first()
            .ok_or_else(|| format!("there is no picture like {}", pattern.path(1).display()))?;
        let count = numbers
            .iter()
            .zip(first..)
            .take_while(|(number, expected)| *number == expected)
            .count() as u64;
        let gap = (count < numbers.len() as u64).then(|| {
            format!(
                "{} is missing: the film ends before it, and {} later pictures are left out",
                pattern.path(first + count).display(),
                numbers.len() as u64 - count
            )
        });
        let sequence = Self {
            pattern: pattern.clone(),
            first,
            count,
        };
        Ok((sequence, gap))
    }

    /// Reads one picture after the other.
    pub fn read(&self, feed: &Feed) -> Result<(), Failure> {
        for number in self.first..self.first + self.count {
            let path = self.pattern.path(number);
            let picture = picture(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            let frame = Frame::of_picture(picture)?;
            match feed.frame(frame) {
                Ok(()) => {}
                Err(Ended::Stopped) => return Ok(()),
                Err(Ended::Failed(failure)) => return Err(failure),
            }
        }
        Ok(())
    }
}

fn picture(path: &Path) -> Result<DynamicImage, image::ImageError> {
    let mut decoder = ImageReader::open(path)?.with_guessed_format()?.into_decoder()?;
    let orientation = decoder.orientation()?;
    let mut picture = DynamicImage::from_decoder(decoder)?;
    picture.apply_orientation(orientation);
    Ok(picture)
}

/// Writes one picture after the other.
pub struct Writer {
    pattern: Pattern,
    next: u64,
}

impl Writer {
    pub fn new(pattern: &Pattern, first: u64) -> Self {
        Self {
            pattern: pattern.clone(),
            next: first,
        }
    }

    /// Makes sure that pictures can be written, and that none is lost by it.
    pub fn prepare(pattern: &Pattern, force: bool) -> Result<(), Failure> {
        picture_format(&pattern.path(0))?;
        // Which also finds out whether anything can be written there.
        Output::prepare(&pattern.path(0))?;
        match pattern.numbers()?.first() {
            Some(number) if !force => Err(format!(
                "{} exists; --force replaces the pictures",
                pattern.path(*number).display()
            )
            .into()),
            _ => Ok(()),
        }
    }

    /// Whether pictures of this name can have 16 bits.
    pub fn is_deep(pattern: &Pattern) -> bool {
        matches!(
            picture_format(&pattern.path(0)),
            Ok(image::ImageFormat::Png | image::ImageFormat::Tiff)
        )
    }

    /// Writes the next picture.
    pub fn write(&mut self, buffer: &gst::BufferRef, info: &VideoInfo) -> Result<(), Failure> {
        let frame = VideoFrameRef::from_buffer_ref_readable(buffer, info)
            .map_err(|_| "a painted frame is smaller than its format says")?;
        let (width, height) = (info.width(), info.height());
        let (stride, rows) = (info.stride()[0] as usize, frame.plane_data(0)?);
        let row_bytes = info.comp_pstride(0) as usize * width as usize;
        let bytes: Vec<u8> = rows
            .chunks(stride)
            .take(height as usize)
            .flat_map(|row| &row[..row_bytes.min(row.len())])
            .copied()
            .collect();
        let picture = match info.format() {
            gst_video::VideoFormat::Rgba => {
                ImageBuffer::from_raw(width, height, bytes).map(DynamicImage::ImageRgba8)
            }
            gst_video::VideoFormat::Rgba64Le => {
                let samples = bytes
                    .chunks_exact(2)
                    .map(|two| u16::from_le_bytes([two[0], two[1]]));
                let deep: Option<ImageBuffer<Rgba<u16>, Vec<u16>>> =
                    ImageBuffer::from_raw(width, height, samples.collect());
                deep.map(|deep| match deep.pixels().all(|pixel| pixel.0[3] == u16::MAX) {
                    true => DynamicImage::ImageRgb16(DynamicImage::ImageRgba16(deep).into_rgb16()),
                    false => DynamicImage::ImageRgba16(deep),
                })
            }
            _ => ImageBuffer::from_raw(width, height, bytes).map(DynamicImage::ImageRgb8),
        };
        let picture = picture.ok_or("a painted frame is smaller than its format says")?;
        let path = self.pattern.path(self.next);
        self.next += 1;
        let output = Output::prepare(&path)?;
        picture
            .save_with_format(output.path(), picture_format(&path)?)
            .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        output.finish()
    }
}
