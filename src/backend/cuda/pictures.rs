// SPDX-License-Identifier: MIT OR Apache-2.0

//! Pictures: planar, f32.

use super::kernels::{Grid, arguments};
use super::{Cuda, Tensor};
use crate::backend::{
    ColourMap, ColourStatistics, Export, Interpolation, Mix, Pictures, Result, Shape, guide,
};
use crate::picture::{Depth, Picture, PictureView};

/// Height and width without a margin of `border` pixels.
fn inside(shape: Shape, border: usize) -> (usize, usize) {
    (shape.height - 2 * border, shape.width - 2 * border)
}

/// Floats that the sums of a picture's colours, nine in f64, take on their way.
pub const COLOUR_LINES: usize = 2 * 9;

/// Planes that guide a picture: the slopes of its three colours, and the content's luma.
pub const GUIDES: usize = 4;

impl Pictures for Cuda {
    fn import(&mut self, frame: PictureView, border: usize, picture: &mut Tensor) -> Result<()> {
        let (rows, columns) = inside(picture.layout.shape, border);
        self.import_inside(frame, (columns, rows), (0, 0), border, picture)
    }

    fn import_part(
        &mut self,
        frame: PictureView,
        whole: (usize, usize),
        corner: (usize, usize),
        picture: &mut Tensor,
    ) -> Result<()> {
        self.import_inside(frame, whole, corner, 0, picture)
    }

    fn export(&mut self, export: Export<Tensor>, out: &mut Picture) -> Result<()> {
        let Export {
            picture,
            content,
            border,
            mix,
            frame,
        } = export;
        self.poll()?;
        let (width, height) = frame.size();
        assert_eq!(out.format(), frame.format());
        assert!(picture.layout == content.layout && picture.layout.shape.channels == 3);
        let Shape {
            height: tall,
            width: wide,
            ..
        } = picture.layout.shape;
        let (rows, columns) = inside(picture.layout.shape, border);
        let (across, down) = (self.taps(columns, width)?, self.taps(rows, height)?);
        let Mix { strength, detail } = mix;
        // The lines of the picture, those of its guides, and the guides before they are resampled.
        let (plain, guided, guides) = (3 * rows * width, GUIDES * rows * width, GUIDES * rows * columns);
        let count = if detail == 0.0 {
            plain
        } else {
            plain + guided + guides
        };
        let lines = self.scratch.lines(count)?.pointer();
        let (first, weights) = (across.first.pointer(), across.weights.pointer());
        let arguments = arguments![
            picture.pointer(),
            3_usize,
            tall,
            wide,
            border,
            first,
            weights,
            across.width,
            lines,
            width,
        ];
        self.launch(|k| &k.resample_rows, Grid::over(plain), arguments)?;
        if detail != 0.0 {
            let guided_lines = lines.beyond(plain * size_of::<f32>());
            let planes = guided_lines.beyond(guided * size_of::<f32>());
            let arguments = arguments![
                picture.pointer(),
                content.pointer(),
                tall,
                wide,
                border,
                guide::EPSILON,
                planes,
            ];
            self.launch(|k| &k.guides, Grid::over(rows * columns), arguments)?;
            let arguments = arguments![
                planes,
                GUIDES,
                rows,
                columns,
                0_usize,
                first,
                weights,
                across.width,
                guided_lines,
                width,
            ];
            self.launch(|k| &k.resample_rows, Grid::over(guided), arguments)?;
        }
        let bytes = self.transfers.frame(frame, &self.stream)?.pointer();
        let painted = self.transfers.painted(frame.format().bytes())?.pointer();
        let (first, weights) = (down.first.pointer(), down.weights.pointer());
        let arguments = arguments![
            lines, rows, first, weights, down.width, bytes, painted, width, height, strength, detail,
        ];
        self.launch(
            |k| match frame.format().depth {
                Depth::Eight => &k.export_columns_u8,
                Depth::Sixteen => &k.export_columns_u16,
            },
            Grid::over(frame.format().samples()),
            arguments,
        )?;
        self.transfers.frame_is_read(&self.stream)?;
        self.transfers.fetch_painted(out.bytes_mut(), &self.stream)
    }

    fn resize(&mut self, from: &Tensor, border: usize, to: &mut Tensor) -> Result<()> {
        assert!(from.layout.shape.channels == to.layout.shape.channels && !from.layout.blocked);
        let Shape {
            channels,
            height: from_height,
            width: from_width,
        } = from.layout.shape;
        let Shape {
            height: to_height,
            width: to_width,
            ..
        } = to.layout.shape;
        let (from_rows, from_columns) = inside(from.layout.shape, border);
        let (rows, columns) = inside(to.layout.shape, border);
        let (across, down) = (self.taps(from_columns, columns)?, self.taps(from_rows, rows)?);
        let count = channels * from_rows * columns;
        let lines = self.scratch.lines(count)?.pointer();
        let (first, weights) = (across.first.pointer(), across.weights.pointer());
        let arguments = arguments![
            from.pointer(),
            channels,
            from_height,
            from_width,
            border,
            first,
            weights,
            across.width,
            lines,
            columns,
        ];
        self.launch(|k| &k.resample_rows, Grid::over(count), arguments)?;
        let (first, weights) = (down.first.pointer(), down.weights.pointer());
        let arguments = arguments![
            lines,
            channels,
            from_rows,
            first,
            weights,
            down.width,
            to.pointer(),
            to_height,
            to_width,
            border,
        ];
        self.launch(
            |k| &k.resample_columns,
            Grid::over(channels * rows * columns),
            arguments,
        )
    }

    fn mirror_border(&mut self, picture: &mut Tensor, border: usize) -> Result<()> {
        assert!(!picture.layout.blocked);
        let Shape {
            channels,
            height,
            width,
        } = picture.layout.shape;
        let arguments = arguments![picture.pointer(), channels, height, width, border];
        self.launch(
            |k| &k.mirror_border,
            Grid::over(picture.layout.stored()),
            arguments,
        )
    }

    fn colour_statistics(&mut self, picture: &Tensor) -> Result<ColourStatistics> {
        assert_eq!(picture.layout.shape.channels, 3);
        let pixels = picture.layout.shape.pixels();
        let grid = Grid::over(pixels);
        let partials = self.scratch.partials().pointer();
        let arguments = arguments![picture.pointer(), pixels, partials];
        self.launch(|k| &k.colour_sums, grid, arguments)?;
        let lines = self.scratch.lines(COLOUR_LINES)?.pointer();
        let arguments = arguments![partials, grid.0, lines];
        self.launch(|k| &k.colour_sums_finish, Grid::ONE, arguments)?;
        let mut sums = [0.0_f64; 9];
        let bytes = bytemuck::cast_slice_mut(&mut sums);
        self.transfers
            .fetch(self.scratch.lines(0)?, bytes, &self.stream)?;
        let [r, g, b, rr, rg, rb, gg, gb, bb] = sums.map(|sum| sum / pixels as f64);
        let mean = [r, g, b];
        let products = [[rr, rg, rb], [rg, gg, gb], [rb, gb, bb]];
        let covariance = [0, 1, 2].map(|x| [0, 1, 2].map(|y| products[x][y] - mean[x] * mean[y]));
        Ok(ColourStatistics { mean, covariance })
    }

    fn colour_map(&mut self, from: &Tensor, map: &ColourMap, to: &mut Tensor) -> Result<()> {
        assert!(from.layout == to.layout && from.layout.shape.channels == 3);
        let pixels = from.layout.shape.pixels();
        let [[a, b, c], [d, e, f], [g, h, i]] = map.matrix.map(|row| row.map(|entry| entry as f32));
        let [x, y, z] = map.offset.map(|entry| entry as f32);
        let arguments = arguments![
            from.pointer(),
            to.pointer(),
            pixels,
            a,
            b,
            c,
            d,
            e,
            f,
            g,
            h,
            i,
            x,
            y,
            z
        ];
        self.launch(|k| &k.colour_map, Grid::over(pixels), arguments)
    }

    fn blend(&mut self, other: &Tensor, share: &Tensor, to: &mut Tensor) -> Result<()> {
        assert_eq!(other.layout, to.layout);
        assert_eq!(share.layout.shape, to.layout.shape.with_channels(1));
        let (other_at, share_at, to_at) = (other.pointer(), share.pointer(), to.pointer());
        let (count, pixels) = (to.layout.stored(), to.layout.shape.pixels());
        if to.layout.blocked {
            self.assert_same_exponents(&[other, to]);
            let arguments = arguments![other_at, share_at, to_at, to.layout.lanes(), count];
            self.launch(|k| &k.blend_f16, Grid::over(count / 8), arguments)
        } else {
            let arguments = arguments![other_at, share_at, to_at, pixels, count];
            self.launch(|k| &k.blend_f32, Grid::over(count), arguments)
        }
    }

    fn warp(
        &mut self,
        from: &Tensor,
        flow: &Tensor,
        interpolation: Interpolation,
        to: &mut Tensor,
    ) -> Result<()> {
        let Shape {
            channels,
            height,
            width,
        } = from.layout.shape;
        assert!(from.layout == to.layout && !from.layout.blocked);
        assert_eq!(flow.layout.shape, from.layout.shape.with_channels(2));
        let (from, flow, to) = (from.pointer(), flow.pointer(), to.pointer());
        let arguments = arguments![from, flow, to, channels, height, width];
        self.launch(
            |k| match interpolation {
                Interpolation::Bilinear => &k.warp_bilinear,
                Interpolation::CatmullRom => &k.warp_cubic,
            },
            Grid::over(height * width),
            arguments,
        )
    }
}

impl Cuda {
    /// Resamples a frame to `whole` and writes the part that begins at `corner` to the inside of a picture.
    fn import_inside(
        &mut self,
        frame: PictureView,
        whole: (usize, usize),
        corner: (usize, usize),
        border: usize,
        picture: &mut Tensor,
    ) -> Result<()> {
        self.poll()?;
        assert_eq!(picture.layout.shape.channels, 3);
        let (width, height) = frame.size();
        let (rows, columns) = inside(picture.layout.shape, border);
        assert!(corner.0 + columns <= whole.0 && corner.1 + rows <= whole.1);
        let (across, down) = (self.taps(width, whole.0)?, self.taps(height, whole.1)?);
        let count = 3 * height * columns;
        let lines = self.scratch.lines(count)?.pointer();
        let bytes = self.transfers.frame(frame, &self.stream)?.pointer();
        let (first, weights) = across.from(corner.0);
        let arguments = arguments![bytes, width, height, first, weights, across.width, lines, columns];
        self.launch(
            |k| match frame.format().depth {
                Depth::Eight => &k.import_rows_u8,
                Depth::Sixteen => &k.import_rows_u16,
            },
            Grid::over(count),
            arguments,
        )?;
        self.transfers.frame_is_read(&self.stream)?;
        let Shape {
            height: tall,
            width: wide,
            ..
        } = picture.layout.shape;
        let (first, weights) = down.from(corner.1);
        let arguments = arguments![
            lines,
            3_usize,
            height,
            first,
            weights,
            down.width,
            picture.pointer(),
            tall,
            wide,
            border,
        ];
        self.launch(|k| &k.resample_columns, Grid::over(3 * rows * columns), arguments)?;
        self.set_exponent(picture, 0);
        Ok(())
    }
}
