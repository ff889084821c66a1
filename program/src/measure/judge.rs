// SPDX-License-Identifier: MIT OR Apache-2.0

//! How much of a style a picture has, in the eyes of a network.
#![allow(dead_code, reason = "tests include this file, too, and use their part")]

use neuralstyle::backend::prelude::*;
use neuralstyle::backend::{CancelToken, Shape, cpu::Cpu};
use neuralstyle::gatys::extractor::{Extractor, nodes};
use neuralstyle::gatys::features::Features;
use neuralstyle::gatys::style::LayerMoments;
use neuralstyle::gatys::{Network, NetworkChoice, StyleSize};
use neuralstyle::stylizer::Frame;

/// Why nothing was measured, in words.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A network on the processor that measures pictures of any size, one after the other.
pub struct FeatureNetwork {
    ops: Cpu,
    extractor: Extractor<Cpu>,
    /// The nodes whose activations are kept.
    nodes: Vec<usize>,
    /// Planned for pictures of the last size.
    features: Features<Cpu>,
    /// [3, H, W], RGB, 0..1.
    picture: <Cpu as Memory>::Tensor,
}

impl FeatureNetwork {
    /// Loads the network down to the deepest of `nodes`, whose activations are kept, and plans for pictures of `size`.
    pub fn new(network: &Network, nodes: Vec<usize>, size: (usize, usize)) -> Result<Self, Failure> {
        let mut ops = Cpu::new(0, CancelToken::new())?;
        let depth = nodes.iter().copied().max().unwrap_or(0);
        let mut extractor = Extractor::new(network, network.pooling(), depth);
        extractor.load(&mut ops, network)?;
        let shape = Shape::new(3, size.1, size.0);
        Ok(Self {
            features: Features::new(&mut ops, &extractor, shape, &nodes, None)?,
            picture: ops.tensor(shape)?,
            ops,
            extractor,
            nodes,
        })
    }

    /// Resamples a picture to width and height as a painter does it, and computes its activations.
    pub fn forward(&mut self, picture: &Frame, (width, height): (usize, usize)) -> Result<(), Failure> {
        let shape = Shape::new(3, height, width);
        if self.ops.shape(&self.picture) != shape {
            self.features = Features::new(&mut self.ops, &self.extractor, shape, &self.nodes, None)?;
            self.picture = self.ops.tensor(shape)?;
        }
        self.ops.import(picture.view(), 0, &mut self.picture)?;
        Ok(self
            .features
            .forward(&mut self.ops, &self.extractor, &self.picture)?)
    }

    /// The resampled picture [3, H, W], RGB, 0..1; the cubic may lead a little beyond.
    pub fn picture(&mut self) -> Result<Vec<f32>, Failure> {
        let mut values = vec![0.0; self.ops.shape(&self.picture).elements()];
        self.ops.download(&self.picture, &mut values)?;
        Ok(values)
    }

    /// The moments of the activations of a node.
    pub fn moments(&mut self, node: usize) -> Result<LayerMoments, Failure> {
        Ok(LayerMoments::of(&mut self.ops, self.features.value(node))?)
    }

    /// The activations of a node, [C, H, W], and their shape.
    pub fn activations(&mut self, node: usize) -> Result<(Vec<f32>, Shape), Failure> {
        let shape = self.features.shape(node);
        let mut values = vec![0.0; shape.elements()];
        self.ops.download(self.features.value(node), &mut values)?;
        Ok((values, shape))
    }
}

/// Width and height of a style picture, scaled to the area of a painting as a painter does it.
pub fn style_size(style: &Frame, size: (usize, usize)) -> (usize, usize) {
    let style = StyleSize {
        picture: style.size(),
        scale: 1.0,
    };
    style.measured(size)
}

/// Measures pictures of one size against one style: the relative style loss
/// Σ λ (‖K(O) − K(S)‖² / ‖K(S)‖² + ‖μ(O) − μ(S)‖² / ‖μ(S)‖²) of covariances and means over the network's default style layers,
/// whose λ add up to 1. 0 is the style itself, a grey picture has about 1.
pub struct Judge {
    network: FeatureNetwork,
    layers: Vec<(usize, f64)>,
    size: (usize, usize),
    /// By layer.
    style: Vec<LayerMoments>,
}

impl Judge {
    /// Measures `style`, scaled to the area of the pictures as a painter does it.
    pub fn new(choice: NetworkChoice, style: &Frame, size: (usize, usize)) -> Result<Self, Failure> {
        let network = Network::open(choice, None)?;
        let mut layers = nodes(&network, &network.defaults().style_layers)?;
        let all: f64 = layers.iter().map(|(_, lambda)| lambda).sum();
        layers.iter_mut().for_each(|(_, lambda)| *lambda /= all);
        let asked = layers.iter().map(|(node, _)| *node).collect();
        let of_style = style_size(style, size);
        let mut judge = Self {
            network: FeatureNetwork::new(&network, asked, of_style)?,
            layers,
            size: of_style,
            style: Vec::new(),
        };
        judge.style = judge.moments(style, &[])?.remove(0);
        judge.size = size;
        Ok(judge)
    }

    /// The style loss of a frame.
    pub fn loss(&mut self, frame: &Frame) -> Result<f64, Failure> {
        Ok(self.losses(frame, &[])?[0])
    }

    /// The style losses of a frame and of areas of it, each as if its pixels were a picture of their own: the moments
    /// of the activations in the area. An area [H, W] is 0..1; at a layer of
    /// lower resolution a pixel counts by how much of it lies in the area.
    pub fn losses(&mut self, frame: &Frame, areas: &[&[f32]]) -> Result<Vec<f64>, Failure> {
        let moments = self.moments(frame, areas)?;
        Ok(moments
            .iter()
            .map(|layers| self.against_the_style(layers))
            .collect())
    }

    fn against_the_style(&self, layers: &[LayerMoments]) -> f64 {
        let pairs = self.layers.iter().zip(layers.iter().zip(&self.style));
        pairs
            .map(|((_, lambda), (found, style))| {
                let covariance = relative(&found.covariance(), &style.covariance());
                lambda * (covariance + relative(&found.mean, &style.mean))
            })
            .sum()
    }

    /// The moments by layer: of the whole frame first, then of each area.
    fn moments(&mut self, frame: &Frame, areas: &[&[f32]]) -> Result<Vec<Vec<LayerMoments>>, Failure> {
        self.network.forward(frame, self.size)?;
        let mut found = vec![Vec::new(); 1 + areas.len()];
        for (node, _) in &self.layers {
            found[0].push(self.network.moments(*node)?);
            if areas.is_empty() {
                continue;
            }
            let (activations, shape) = self.network.activations(*node)?;
            for (area, found) in areas.iter().zip(&mut found[1..]) {
                let share = shrunk(area, frame.width(), frame.height(), shape);
                found.push(weighed(&mut self.network.ops, &activations, &share, shape)?);
            }
        }
        Ok(found)
    }
}

/// The moments of activations [C, H, W] of which each pixel counts by its share.
fn weighed(ops: &mut Cpu, activations: &[f32], share: &[f32], shape: Shape) -> Result<LayerMoments, Failure> {
    let mut inside = ops.tensor(shape)?;
    let mut multiplied = |by: &dyn Fn(f32) -> f32| -> Result<LayerMoments, Failure> {
        let planes = activations.chunks_exact(shape.pixels());
        let numbers: Vec<f32> = planes
            .flat_map(|plane| plane.iter().zip(share).map(|(value, &share)| value * by(share)))
            .collect();
        ops.upload(&numbers, &mut inside)?;
        Ok(LayerMoments::of(ops, &inside)?)
    };
    let (roots, plain) = (multiplied(&f32::sqrt)?, multiplied(&|share| share)?);
    let all: f64 = share.iter().map(|&share| f64::from(share)).sum();
    let scale = (shape.pixels() as f64 / all.max(1e-12)) as f32;
    let scaled = |numbers: Vec<f32>| numbers.into_iter().map(|number| scale * number).collect();
    Ok(LayerMoments {
        gram: scaled(roots.gram),
        mean: scaled(plain.mean),
    })
}

/// ‖found − wanted‖² / ‖wanted‖².
pub fn relative(found: &[f32], wanted: &[f32]) -> f64 {
    let square = |value: f32| f64::from(value) * f64::from(value);
    let apart: f64 = found.iter().zip(wanted).map(|(a, b)| square(a - b)).sum();
    apart / wanted.iter().map(|&value| square(value)).sum::<f64>().max(1e-12)
}

/// How much of each pixel of a layer lies in an area of the frame: the mean over the pixels that it was pooled from.
fn shrunk(area: &[f32], width: usize, height: usize, layer: Shape) -> Vec<f32> {
    let (across, down) = ((width / layer.width).max(1), (height / layer.height).max(1));
    let mut share = Vec::with_capacity(layer.pixels());
    for y in 0..layer.height {
        for x in 0..layer.width {
            let rows = (y * down..((y + 1) * down).min(height)).map(|row| &area[row * width..][..width]);
            let cells = rows.flat_map(|row| &row[x * across..((x + 1) * across).min(width)]);
            let (sum, count) = cells.fold((0.0, 0), |(sum, count), value| (sum + value, count + 1));
            share.push(sum / count.max(1) as f32);
        }
    }
    share
}
