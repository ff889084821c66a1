// SPDX-License-Identifier: MIT OR Apache-2.0

//! Networks and pictures for tests.
#![allow(dead_code, reason = "each test program uses its part")]

use super::random;
use std::collections::HashMap;
use std::sync::Arc;

use neuralstyle::gatys::{Network, NetworkChoice};
use neuralstyle::picture::{Format, Samples};
use neuralstyle::stylizer::{Frame, StylePicture};
use safetensors::Dtype;
use safetensors::tensor::TensorView;

pub use random::Random;

/// A convolution of a network to be: its number in the file, outputs, inputs, weights [O, I, 3, 3] and bias [O].
pub struct Layer {
    pub number: usize,
    pub outputs: usize,
    pub inputs: usize,
    pub weights: Vec<f32>,
    pub bias: Vec<f32>,
}

/// A network of the given layers, written to a file and read from it; it sees R, G, B less `mean` on the 0..1 scale.
pub fn network(layers: &[Layer], pooling: &str, mean: &str) -> Network {
    let bytes = |values: &[f32]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    let mut tensors: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::new();
    for layer in layers {
        let name = format!("features.{}", layer.number);
        let shape = vec![layer.outputs, layer.inputs, 3, 3];
        tensors.push((format!("{name}.weight"), shape, bytes(&layer.weights)));
        tensors.push((format!("{name}.bias"), vec![layer.outputs], bytes(&layer.bias)));
    }
    let views: Vec<(&str, TensorView)> = tensors
        .iter()
        .map(|(name, shape, data)| {
            let view = TensorView::new(Dtype::F32, shape.clone(), data).unwrap();
            (name.as_str(), view)
        })
        .collect();
    let metadata = HashMap::from([
        ("pooling".to_owned(), pooling.to_owned()),
        ("input_mean".to_owned(), mean.to_owned()),
    ]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("network.safetensors");
    std::fs::write(&path, safetensors::serialize(views, Some(metadata)).unwrap()).unwrap();
    // The file is small enough to be read, not mapped, so that it may go with its folder.
    Network::open(NetworkChoice::File, Some(&path)).unwrap()
}

/// A VGG of three blocks with odd numbers of channels and random weights that keep the activations' size.
pub fn random_vgg(seed: u64) -> Network {
    let mut random = Random(seed);
    let widths = [(0, 3, 5), (2, 5, 6), (5, 6, 7), (7, 7, 9), (10, 9, 11)];
    let layers = widths.map(|(number, inputs, outputs)| {
        let spread = (6.0 / (9.0 * inputs as f32)).sqrt();
        Layer {
            number,
            outputs,
            inputs,
            weights: (0..outputs * inputs * 9)
                .map(|_| spread * random.signed())
                .collect(),
            bias: (0..outputs).map(|_| 0.1 * random.signed()).collect(),
        }
    });
    network(&layers, "average", "0.48,0.45,0.4")
}

/// What a scene shows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Show {
    /// Soft shapes, others for each seed.
    Shapes(u64),
    Noise(u64),
    Colour([u8; 3]),
}

pub fn frame(width: usize, height: usize, show: Show) -> Frame {
    let mut frame = Frame::new(width, height);
    let mut random = Random(match show {
        Show::Shapes(seed) | Show::Noise(seed) => seed,
        Show::Colour(_) => 0,
    });
    let waves: Vec<[f32; 3]> = (0..3)
        .map(|_| [random.unit() * 9.0, random.unit() * 9.0, random.unit() * 6.3])
        .collect();
    for (index, pixel) in frame.rgb_mut().chunks_exact_mut(3).enumerate() {
        let (x, y) = (
            (index % width) as f32 / width as f32,
            (index / width) as f32 / height as f32,
        );
        for (c, byte) in pixel.iter_mut().enumerate() {
            *byte = match show {
                Show::Shapes(_) => {
                    let [across, down, phase] = waves[c];
                    let wave = (across * x + phase).sin() * (down * y - phase).cos();
                    (127.0 + 90.0 * wave + 30.0 * f32::from(u8::from(wave > 0.3))) as u8
                }
                Show::Noise(_) => (random.unit() * 256.0) as u8,
                Show::Colour(colour) => colour[c],
            };
        }
    }
    frame
}

/// The same at either depth.
pub fn of_format(format: Format, show: Show) -> Frame {
    let shallow = frame(format.width, format.height, show);
    let mut deep = Frame::black(format);
    match deep.samples_mut() {
        Samples::Eight(samples) => samples.copy_from_slice(shallow.rgb()),
        Samples::Sixteen(samples) => {
            for (to, &from) in samples.iter_mut().zip(shallow.rgb()) {
                *to = 257 * u16::from(from);
            }
        }
    }
    deep
}

pub fn style(width: usize, height: usize, show: Show) -> Arc<StylePicture> {
    Arc::new(StylePicture::from_frame(frame(width, height, show)))
}

/// Values [3, H, W] on the 0..1 scale of a frame.
pub fn planes(frame: &Frame) -> Vec<f32> {
    let bytes = frame.rgb();
    (0..3)
        .flat_map(|c| bytes[c..].iter().step_by(3).map(|&byte| f32::from(byte) / 255.0))
        .collect()
}
