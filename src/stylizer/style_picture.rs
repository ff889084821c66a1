// SPDX-License-Identifier: MIT OR Apache-2.0

//! The style picture.

use std::path::Path;

use super::{Error, Frame, picture_file};
use crate::backend::ColourStatistics;

/// The longer side in pixels beyond which a picture is reduced: twice the largest usual working size,
/// and a style has no finer strokes to offer than those.
const LONGEST_SIDE_PX: u32 = 2048;

/// A style picture: upright, opaque, of a limited size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StylePicture {
    frame: Frame,
}

impl StylePicture {
    /// Reads a picture. The format follows from the content, not from the name. One whose longer side has more than 2048
    /// pixels is reduced to that.
    pub fn load(path: &Path) -> Result<Self, Error> {
        picture_file::read(path, LONGEST_SIDE_PX).map(|frame| Self { frame })
    }

    /// Looks at the file's header only: is there a picture that [`load`](Self::load) would try to read?
    pub fn probe(path: &Path) -> Result<(), Error> {
        picture_file::probe(path)
    }

    /// A picture that is already there.
    pub fn from_frame(frame: Frame) -> Self {
        Self { frame }
    }

    /// Mean and covariance of its colours, without `crop` of its width and height on each side. A grid of some thousand
    /// pixels is looked at, which takes no noticeable time.
    pub fn colours(&self, crop: f64) -> ColourStatistics {
        const ACROSS: usize = 96;
        let ((width, height), view) = (self.frame.size(), self.frame.view());
        let places = |length: usize| {
            let (first, inside) = (length as f64 * crop, length as f64 * (1.0 - 2.0 * crop));
            let place = move |i: usize| (first + (i as f64 + 0.5) * inside / ACROSS as f64) as usize;
            (0..ACROSS).map(move |i| place(i).min(length - 1))
        };
        let mut sum = [0.0; 3];
        let mut products = [[0.0; 3]; 3];
        for y in places(height) {
            for x in places(width) {
                let colour = view.colour(x, y);
                for a in 0..3 {
                    sum[a] += colour[a];
                    for b in 0..3 {
                        products[a][b] += colour[a] * colour[b];
                    }
                }
            }
        }
        let count = (ACROSS * ACROSS) as f64;
        let mean = sum.map(|sum| sum / count);
        let covariance = [0, 1, 2].map(|a| [0, 1, 2].map(|b| products[a][b] / count - mean[a] * mean[b]));
        ColourStatistics { mean, covariance }
    }

    /// The pixels.
    pub fn frame(&self) -> &Frame {
        &self.frame
    }

    /// The pixels, for whoever wants to paint this picture itself.
    pub fn into_frame(self) -> Frame {
        self.frame
    }
}

impl From<Frame> for StylePicture {
    fn from(frame: Frame) -> Self {
        Self::from_frame(frame)
    }
}

#[cfg(test)]
mod tests {
    use image::{Rgb, RgbImage};

    use super::*;

    #[test]
    fn the_colours_of_a_picture_are_those_inside_its_frame() {
        let black_framed = RgbImage::from_fn(100, 60, |x, y| {
            let inside = (10..90).contains(&x) && (6..54).contains(&y);
            Rgb(if !inside {
                [0, 0, 0]
            } else if y < 30 {
                [255, 51, 0]
            } else {
                [51, 255, 0]
            })
        });
        let frame = Frame::from_rgb(100, 60, black_framed.into_raw()).unwrap();
        let colours = StylePicture::from_frame(frame).colours(0.1);
        for (mean, expected) in colours.mean.iter().zip([0.6, 0.6, 0.0]) {
            assert!((mean - expected).abs() < 1e-9, "{colours:?}");
        }
        // Red and green are .4 above their mean where the other is .4 below it.
        let expected = [[0.16, -0.16, 0.0], [-0.16, 0.16, 0.0], [0.0; 3]];
        for (row, expected) in colours.covariance.iter().zip(expected) {
            for (entry, expected) in row.iter().zip(expected) {
                assert!((entry - expected).abs() < 1e-9, "{colours:?}");
            }
        }
    }
}
