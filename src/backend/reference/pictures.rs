// SPDX-License-Identifier: MIT OR Apache-2.0

use super::sampling::{inside, resampled};
use super::{Reference, Tensor, guided, positions};
use crate::backend::resample::{catmull_rom, mirrored};
use crate::backend::{ColourMap, ColourStatistics, Export, Interpolation, Pictures, Result, Shape};
use crate::picture::{Picture, PictureView};

/// The samples of a frame by channel, row and column, as numbers from 0 to 1.
fn units(frame: PictureView<'_>) -> impl Fn(usize, usize, usize) -> f64 + '_ {
    let (width, white) = (frame.width(), f64::from(frame.format().depth.white()));
    let sample = guided::samples(frame);
    move |c, y, x| sample((y * width + x) * 3 + c) / white
}

impl Pictures for Reference {
    fn import(&mut self, frame: PictureView, border: usize, picture: &mut Tensor) -> Result<()> {
        self.poll()?;
        let to = inside(picture.shape, border);
        let sample = resampled(units(frame), Shape::new(3, frame.height(), frame.width()), to);
        for (c, y, x) in positions(to) {
            picture.set(c, y + border, x + border, sample(c, y, x));
        }
        Ok(())
    }

    fn import_part(
        &mut self,
        frame: PictureView,
        (width, height): (usize, usize),
        (left, top): (usize, usize),
        picture: &mut Tensor,
    ) -> Result<()> {
        self.poll()?;
        let whole = Shape::new(3, height, width);
        let sample = resampled(units(frame), Shape::new(3, frame.height(), frame.width()), whole);
        for (c, y, x) in positions(picture.shape) {
            picture.set(c, y, x, sample(c, y + top, x + left));
        }
        Ok(())
    }

    fn export(&mut self, export: Export<Tensor>, out: &mut Picture) -> Result<()> {
        self.poll()?;
        guided::export(&export, out);
        Ok(())
    }

    fn resize(&mut self, from: &Tensor, border: usize, to: &mut Tensor) -> Result<()> {
        let source = |c, y, x| from.at(c, y + border, x + border);
        let target = inside(to.shape, border);
        let sample = resampled(source, inside(from.shape, border), target);
        for (c, y, x) in positions(target) {
            to.set(c, y + border, x + border, sample(c, y, x));
        }
        Ok(())
    }

    fn mirror_border(&mut self, picture: &mut Tensor, border: usize) -> Result<()> {
        let Shape { height, width, .. } = inside(picture.shape, border);
        for (c, y, x) in positions(picture.shape) {
            let row = border + mirrored(y as isize - border as isize, height);
            let column = border + mirrored(x as isize - border as isize, width);
            let value = picture.at(c, row, column);
            picture.set(c, y, x, value);
        }
        Ok(())
    }

    fn colour_statistics(&mut self, picture: &Tensor) -> Result<ColourStatistics> {
        let pixels = picture.shape.pixels();
        let channel = |c: usize| &picture.values[c * pixels..(c + 1) * pixels];
        let mean = [0, 1, 2].map(|c| channel(c).iter().sum::<f64>() / pixels as f64);
        let covariance = [0, 1, 2].map(|a| {
            [0, 1, 2].map(|b| {
                let products = channel(a)
                    .iter()
                    .zip(channel(b))
                    .map(|(p, q)| (p - mean[a]) * (q - mean[b]));
                products.sum::<f64>() / pixels as f64
            })
        });
        Ok(ColourStatistics { mean, covariance })
    }

    fn colour_map(&mut self, from: &Tensor, map: &ColourMap, to: &mut Tensor) -> Result<()> {
        for (c, y, x) in positions(from.shape) {
            let sum: f64 = (0..3).map(|k| map.matrix[c][k] * from.at(k, y, x)).sum();
            to.set(c, y, x, sum + map.offset[c]);
        }
        Ok(())
    }

    fn blend(&mut self, other: &Tensor, share: &Tensor, to: &mut Tensor) -> Result<()> {
        for (c, y, x) in positions(to.shape) {
            let s = share.at(0, y, x);
            let value = s * to.at(c, y, x) + (1.0 - s) * other.at(c, y, x);
            to.set(c, y, x, value);
        }
        Ok(())
    }

    fn warp(
        &mut self,
        from: &Tensor,
        flow: &Tensor,
        interpolation: Interpolation,
        to: &mut Tensor,
    ) -> Result<()> {
        let reach = match interpolation {
            Interpolation::Bilinear => 1,
            Interpolation::CatmullRom => 2,
        };
        let weight = |distance: f64| match interpolation {
            Interpolation::Bilinear => (1.0 - distance.abs()).max(0.0),
            Interpolation::CatmullRom => catmull_rom(distance),
        };
        let (right, bottom) = (from.shape.width - 1, from.shape.height - 1);
        let neighbours = |place: f64| (place.floor() as isize + 1 - reach)..=(place.floor() as isize + reach);
        let inside = |at: isize, last: usize| at.clamp(0, last as isize) as usize;
        for (c, y, x) in positions(to.shape) {
            let across = (x as f64 + flow.at(0, y, x)).clamp(0.0, right as f64);
            let down = (y as f64 + flow.at(1, y, x)).clamp(0.0, bottom as f64);
            let mut sum = 0.0;
            for v in neighbours(down) {
                for u in neighbours(across) {
                    sum += weight(v as f64 - down)
                        * weight(u as f64 - across)
                        * from.at(c, inside(v, bottom), inside(u, right));
                }
            }
            to.set(c, y, x, sum);
        }
        Ok(())
    }
}
