// SPDX-License-Identifier: MIT OR Apache-2.0

//! What is measured of a style's picture: the moments of the activations of each style layer, summed over tiles.

use crate::backend::{self, Backend, Shape};
use crate::gatys::Result;
use crate::gatys::measure::features::{Features, ForwardPass};
use crate::gatys::network::extractor::Extractor;
use crate::gatys::network::overlap::Tile;
use crate::picture::PictureView;

/// The style of a picture: what was measured at each style layer.
#[derive(Clone, Debug)]
pub struct StyleTarget {
    layers: Vec<LayerMoments>,
}

/// The moments of a layer with C channels.
#[derive(Clone, Debug, Default)]
pub struct LayerMoments {
    /// [C, C], row-major: the mean over pixels of a aᵀ, multiplied by 1/C.
    pub gram: Vec<f32>,
    /// \[C\]: the mean over pixels of a.
    pub mean: Vec<f32>,
}

impl LayerMoments {
    /// Measures activations.
    pub fn of<B: Backend>(ops: &mut B, activations: &B::Tensor) -> backend::Result<Self> {
        let shape = ops.shape(activations);
        let mut gram = ops.tensor(Shape::square(shape.channels))?;
        let mut mean = ops.tensor(Shape::vector(shape.channels))?;
        ops.moments(activations, 1.0 / shape.elements() as f32, &mut gram, &mut mean)?;
        let mut moments = Self {
            gram: vec![0.0; shape.channels * shape.channels],
            mean: vec![0.0; shape.channels],
        };
        ops.download(&gram, &mut moments.gram)?;
        ops.download(&mean, &mut moments.mean)?;
        Ok(moments)
    }

    /// [C, C]: the covariance over pixels, multiplied by 1/C.
    pub fn covariance(&self) -> Vec<f32> {
        let channels = self.mean.len();
        let entry = |(place, &gram): (usize, &f32)| {
            let (row, column) = (place / channels, place % channels);
            let product = f64::from(self.mean[row]) * f64::from(self.mean[column]);
            (f64::from(gram) - product / channels as f64) as f32
        };
        self.gram.iter().enumerate().map(entry).collect()
    }
}

impl StyleTarget {
    /// What was measured at each of the layers.
    pub fn layers(&self) -> &[LayerMoments] {
        &self.layers
    }

    /// Measures `picture` at the `layers` (node, λ).
    pub fn measure<B: Backend>(
        ops: &mut B,
        extractor: &Extractor<B>,
        layers: &[(usize, f64)],
        picture: &B::Tensor,
    ) -> Result<Self> {
        let shape = ops.shape(picture);
        let pass = style_pass(extractor, shape, layers);
        let mut buffers = pass.buffers(ops)?;
        let mut sums = MomentSums::new(layers.len());
        let whole = Tile::whole((shape.width, shape.height));
        sums.add(ops, extractor, layers, (&pass, &mut buffers), whole, picture)?;
        Ok(sums.target())
    }

    /// Measures a style picture at the `layers` (node, λ), tile after tile. If the activations of a tile fit into the buffers of
    /// `lent`, this allocates no more than a tile, one mask, one layer's part of a tile and its moments at a time; otherwise
    /// two buffers as well.
    pub fn by_tiles<B: Backend>(
        ops: &mut B,
        extractor: &Extractor<B>,
        layers: &[(usize, f64)],
        style: StyleView,
        lent: &mut Features<B>,
    ) -> Result<Self> {
        let mut sums = MomentSums::new(layers.len());
        let mut own = None;
        // The first tile is the largest.
        for tile in extractor.overlap(layers).tiles(style.size, style.tile) {
            let mut picture = ops.tensor(tile.shape())?;
            ops.import_part(style.picture, style.size, tile.corner(), &mut picture)?;
            let pass = style_pass(extractor, tile.shape(), layers);
            if own.is_none() && !lent.has_buffers_for(ops, &pass) {
                own = Some(pass.buffers(ops)?);
            }
            let buffers = match &mut own {
                Some(own) => own,
                None => lent.buffers(),
            };
            sums.add(ops, extractor, layers, (&pass, buffers), tile, &picture)?;
        }
        Ok(sums.target())
    }
}

/// Adds up the moments of tiles.
struct MomentSums {
    layers: Vec<LayerSums>,
}

/// The moments of a layer, multiplied by the number of pixels.
#[derive(Clone, Default)]
struct LayerSums {
    pixels: f64,
    gram: Vec<f64>,
    mean: Vec<f64>,
}

impl LayerSums {
    fn add(&mut self, moments: &LayerMoments, pixels: usize) {
        let add = |sums: &mut Vec<f64>, means: &[f32]| {
            sums.resize(means.len(), 0.0);
            for (sum, &mean) in sums.iter_mut().zip(means) {
                *sum += pixels as f64 * f64::from(mean);
            }
        };
        add(&mut self.gram, &moments.gram);
        add(&mut self.mean, &moments.mean);
        self.pixels += pixels as f64;
    }

    fn moments(&self) -> LayerMoments {
        let mean = |sums: &[f64]| sums.iter().map(|sum| (sum / self.pixels) as f32).collect();
        LayerMoments {
            gram: mean(&self.gram),
            mean: mean(&self.mean),
        }
    }
}

impl MomentSums {
    fn new(layers: usize) -> Self {
        Self {
            layers: vec![LayerSums::default(); layers],
        }
    }

    /// Measures a tile, whose pixels are `picture`, in buffers of the pass.
    fn add<B: Backend>(
        &mut self,
        ops: &mut B,
        extractor: &Extractor<B>,
        layers: &[(usize, f64)],
        (pass, buffers): (&ForwardPass, &mut [B::Tensor; 2]),
        tile: Tile,
        picture: &B::Tensor,
    ) -> Result<()> {
        // Moments are taken as activations come by, so that none of them has to be kept.
        pass.pass(ops, extractor, picture, buffers, |ops, node, activations| {
            for (sums, _) in self
                .layers
                .iter_mut()
                .zip(layers)
                .filter(|(_, layer)| layer.0 == node)
            {
                match tile.inside(ops.shape(activations), extractor.poolings(node)) {
                    None => {
                        let pixels = ops.shape(activations).pixels();
                        sums.add(&LayerMoments::of(ops, activations)?, pixels);
                    }
                    Some((corner, shape)) => {
                        let mut inside = ops.tensor(shape)?;
                        ops.cut(activations, corner, &mut inside)?;
                        sums.add(&LayerMoments::of(ops, &inside)?, shape.pixels());
                    }
                }
            }
            Ok(())
        })?;
        Ok(())
    }

    fn target(&self) -> StyleTarget {
        StyleTarget {
            layers: self.layers.iter().map(LayerSums::moments).collect(),
        }
    }
}

/// A style's picture, to be resampled to a width and height and measured there by tiles of at most the width and height
/// `tile`, neither of them less than [a tile's least side](crate::gatys::extractor::Overlap::least_side).
#[derive(Clone, Copy)]
pub struct StyleView<'a> {
    pub picture: PictureView<'a>,
    pub size: (usize, usize),
    pub tile: (usize, usize),
}

/// The way of a style picture of a shape through the network.
pub fn style_pass<B: Backend>(
    extractor: &Extractor<B>,
    picture: Shape,
    layers: &[(usize, f64)],
) -> ForwardPass {
    let nodes: Vec<usize> = layers.iter().map(|(node, _)| *node).collect();
    ForwardPass::new(extractor, picture, &nodes)
}
