// SPDX-License-Identifier: MIT OR Apache-2.0

//! How much of a style a picture has, in the eyes of a network.
#![allow(dead_code, reason = "tests include this file, too, and use their part")]

use neuralstyle::backend::prelude::*;
use neuralstyle::backend::{CancelToken, Shape, cpu::Cpu};
use neuralstyle::gatys::extractor::{Extractor, nodes};
use neuralstyle::gatys::features::Features;
use neuralstyle::gatys::{Network, NetworkChoice};
use neuralstyle::stylizer::Frame;

/// Why nothing was measured, in words.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Measures pictures of one size against one style: the relative style loss Σ λ ‖G(O) − G(S)‖² / ‖G(S)‖² over the
/// network's default style layers, whose λ add up to 1. 0 is the style itself, a grey picture has about 1.
pub struct Judge {
    ops: Cpu,
    extractor: Extractor<Cpu>,
    layers: Vec<(usize, f64)>,
    features: Features<Cpu>,
    picture: <Cpu as Memory>::Tensor,
    /// By layer, divided by the numbers of pixels and of channels.
    style: Vec<Vec<f32>>,
}

impl Judge {
    /// Measures `style`, scaled to the area of the pictures as a painter does it.
    pub fn new(
        choice: NetworkChoice,
        style: &Frame,
        (width, height): (usize, usize),
    ) -> Result<Self, Failure> {
        let mut ops = Cpu::new(0, CancelToken::new())?;
        let network = Network::open(choice, None)?;
        let mut layers = nodes(&network, &network.defaults().style_layers)?;
        let all: f64 = layers.iter().map(|(_, lambda)| lambda).sum();
        layers.iter_mut().for_each(|(_, lambda)| *lambda /= all);
        let depth = layers.iter().map(|(node, _)| *node).max().unwrap_or(0);
        let mut extractor = Extractor::new(&network, network.pooling(), depth);
        extractor.load(&mut ops, &network)?;

        let factor = (width as f64 * height as f64 / (style.width() as f64 * style.height() as f64)).sqrt();
        let side = |length: usize| ((length as f64 * factor).round() as usize).max(16);
        let of_style = Shape::new(3, side(style.height()), side(style.width()));
        let asked: Vec<usize> = layers.iter().map(|(node, _)| *node).collect();
        let mut judge = Self {
            features: Features::new(&mut ops, &extractor, of_style, &asked, None)?,
            picture: ops.tensor(of_style)?,
            style: Vec::new(),
            ops,
            extractor,
            layers,
        };
        judge.style = judge.grams(style, &[])?.remove(0);
        let shape = Shape::new(3, height, width);
        judge.picture = judge.ops.tensor(shape)?;
        judge.features = Features::new(&mut judge.ops, &judge.extractor, shape, &asked, None)?;
        Ok(judge)
    }

    /// The style loss of a frame.
    pub fn loss(&mut self, frame: &Frame) -> Result<f64, Failure> {
        Ok(self.losses(frame, &[])?[0])
    }

    /// The style losses of a frame and of areas of it, each as if its pixels were a picture of their own: the Gram
    /// matrices of the activations in the area, divided by its number of pixels. An area [H, W] is 0..1; at a layer of
    /// lower resolution a pixel counts by how much of it lies in the area.
    pub fn losses(&mut self, frame: &Frame, areas: &[&[f32]]) -> Result<Vec<f64>, Failure> {
        let grams = self.grams(frame, areas)?;
        Ok(grams.iter().map(|grams| self.against_the_style(grams)).collect())
    }

    fn against_the_style(&self, grams: &[Vec<f32>]) -> f64 {
        let layers = self.layers.iter().zip(grams.iter().zip(&self.style));
        layers
            .map(|((_, lambda), (found, style))| {
                let square = |value: f32| f64::from(value) * f64::from(value);
                let apart: f64 = found.iter().zip(style).map(|(a, b)| square(a - b)).sum();
                lambda * apart / style.iter().map(|&value| square(value)).sum::<f64>().max(1e-12)
            })
            .sum()
    }

    /// The Gram matrices by layer: of the whole frame first, then of each area.
    fn grams(&mut self, frame: &Frame, areas: &[&[f32]]) -> Result<Vec<Vec<Vec<f32>>>, Failure> {
        let Self {
            ops,
            extractor,
            layers,
            features,
            picture,
            ..
        } = self;
        ops.import(frame.view(), 0, picture)?;
        features.forward(ops, extractor, picture)?;
        let mut grams = vec![Vec::new(); 1 + areas.len()];
        for (node, _) in layers.iter() {
            let (shape, value) = (features.shape(*node), features.value(*node));
            let mut gram = ops.tensor(Shape::square(shape.channels))?;
            let mut numbers = vec![0.0; shape.channels * shape.channels];
            ops.gram(value, 1.0 / shape.elements() as f32, &mut gram)?;
            ops.download(&gram, &mut numbers)?;
            grams[0].push(numbers.clone());
            if areas.is_empty() {
                continue;
            }
            let mut activations = vec![0.0; shape.elements()];
            ops.download(value, &mut activations)?;
            for (area, grams) in areas.iter().zip(&mut grams[1..]) {
                let share = shrunk(area, frame.width(), frame.height(), shape);
                let weighed: Vec<f32> = activations
                    .chunks_exact(shape.pixels())
                    .flat_map(|plane| {
                        plane
                            .iter()
                            .zip(&share)
                            .map(|(value, share)| value * share.sqrt())
                    })
                    .collect();
                let pixels = share
                    .iter()
                    .map(|&share| f64::from(share))
                    .sum::<f64>()
                    .max(1e-12);
                let mut inside = ops.tensor(shape)?;
                ops.upload(&weighed, &mut inside)?;
                ops.gram(
                    &inside,
                    (1.0 / (pixels * shape.channels as f64)) as f32,
                    &mut gram,
                )?;
                ops.download(&gram, &mut numbers)?;
                grams.push(numbers.clone());
            }
        }
        Ok(grams)
    }
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
