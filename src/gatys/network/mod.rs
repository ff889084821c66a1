// SPDX-License-Identifier: MIT OR Apache-2.0

//! Networks as data, the files of their weights, and how a network is carried out on a backend.

mod chain;
pub mod extractor;
mod input;
pub mod overlap;
pub mod weights;

use std::path::Path;

use crate::backend::{FilterData, Pooling};
use crate::gatys::network::weights::{WeightFile, printable};
use crate::gatys::statistic::Statistic;
use crate::gatys::{Error, LayerWeights, NetworkChoice, Result};

pub use chain::Stage;
use input::Input;

/// A feature network as data: a chain of 3×3 convolutions, each followed by a ReLU, with 2×2 pooling between the
/// blocks. It is read from the names of the tensors: `features.N` is a convolution, N + 1 its ReLU, and where the
/// next convolution is N + 3 instead of N + 2 there is a pooling between. That covers VGG-16, VGG-19 and whatever is
/// pruned from them. `chain` says which other names mean the same.
pub struct Network {
    name: String,
    file: WeightFile,
    stages: Vec<Stage>,
    input: Input,
    pooling: Pooling,
    defaults: Defaults,
}

/// What works well with a network; facts found by trials on pictures.
#[derive(Clone, Debug, PartialEq)]
pub struct Defaults {
    pub content_layers: LayerWeights,
    pub style_layers: LayerWeights,
    pub style_weights: StyleWeights,
}

/// β against α = 1 under relative normalisation, by what the style is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StyleWeights {
    pub gram: f64,
    pub covariance: f64,
}

impl StyleWeights {
    const TINY: Self = Self {
        gram: 20.0,
        covariance: 4.0,
    };
    /// For slim, vgg16 and networks from files.
    const OTHERS: Self = Self {
        gram: 10.0,
        covariance: 3.0,
    };

    pub fn of(&self, statistic: Statistic) -> f64 {
        match statistic {
            Statistic::Gram => self.gram,
            Statistic::Covariance => self.covariance,
        }
    }
}

const TINY: &[u8] = include_bytes!("../../../models/tiny.safetensors");
const SLIM: &[u8] = include_bytes!("../../../models/slim.safetensors");
const VGG16: &[u8] = include_bytes!("../../../models/vgg16.safetensors");

impl Network {
    /// An embedded network, or with [`NetworkChoice::File`] the one at `path`. [`NetworkChoice::Auto`] is slim: which
    /// network suits a backend is decided elsewhere.
    ///
    /// # Errors
    /// [`Error::NoWeights`] for a file without a path; what is wrong with the file otherwise.
    pub fn open(choice: NetworkChoice, path: Option<&Path>) -> Result<Self> {
        match (choice, path) {
            (NetworkChoice::Tiny, _) => Self::new(
                "tiny",
                WeightFile::from_static("the embedded tiny", TINY)?,
                StyleWeights::TINY,
            ),
            (NetworkChoice::Vgg16, _) => Self::new(
                "vgg16",
                WeightFile::from_static("the embedded vgg16", VGG16)?,
                StyleWeights::OTHERS,
            ),
            (NetworkChoice::File, Some(path)) => Self::new(
                &path.display().to_string(),
                WeightFile::open(path)?,
                StyleWeights::OTHERS,
            ),
            (NetworkChoice::File, None) => Err(Error::NoWeights),
            (NetworkChoice::Slim | NetworkChoice::Auto, _) => Self::new(
                "slim",
                WeightFile::from_static("the embedded slim", SLIM)?,
                StyleWeights::OTHERS,
            ),
        }
    }

    fn new(name: &str, file: WeightFile, style_weights: StyleWeights) -> Result<Self> {
        let not_a_vgg = |reason: String| Error::NotAVgg {
            file: name.to_owned(),
            reason,
        };
        let stages = chain::stages(&file).map_err(not_a_vgg)?;
        let input = Input::of(&file, &stages)?.map_err(not_a_vgg)?;
        let pooling = match file.metadata().get("pooling").map(String::as_str) {
            Some("average") => Pooling::Average,
            Some("max") | None => Pooling::Max,
            Some(other) => {
                return Err(not_a_vgg(format!(
                    "its metadata ask for the unknown pooling ‘{}’",
                    printable(other)
                )));
            }
        };
        let defaults = Defaults::choose(&stages, style_weights);
        Ok(Self {
            name: name.to_owned(),
            file,
            stages,
            input,
            pooling,
            defaults,
        })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn stages(&self) -> &[Stage] {
        &self.stages
    }

    /// The pooling that the network was made with.
    pub fn pooling(&self) -> Pooling {
        self.pooling
    }

    pub fn defaults(&self) -> &Defaults {
        &self.defaults
    }

    /// What to subtract from R, G, B on the 0..1 scale before the first convolution. Scale and channel order are
    /// folded into its weights; the mean cannot be, because the frame is padded with zeros after it is subtracted.
    pub fn mean(&self) -> [f32; 3] {
        let mut mean = [0.0; 3];
        for (channel, &colour) in self.input.order.iter().enumerate() {
            mean[colour] = self.input.mean[channel] as f32;
        }
        mean
    }

    /// The stage whose output is called `layer`.
    pub fn stage_of(&self, layer: &str) -> Result<usize> {
        let found = self
            .stages
            .iter()
            .position(|stage| matches!(stage, Stage::Conv { name, .. } if name == layer));
        found.ok_or_else(|| Error::UnknownLayer {
            network: self.name.clone(),
            layer: layer.to_owned(),
            known: self.layers().collect::<Vec<_>>().join(", "),
        })
    }

    fn layers(&self) -> impl Iterator<Item = &str> {
        self.stages.iter().filter_map(|stage| match stage {
            Stage::Conv { name, .. } => Some(name.as_str()),
            Stage::Pool => None,
        })
    }

    /// The weights of a convolution, `None` for a pooling. The first one takes R, G, B on the 0..1 scale less
    /// [`mean`](Self::mean).
    pub fn filter(&self, stage: usize) -> Result<Option<FilterData>> {
        let Stage::Conv {
            tensor,
            inputs,
            outputs,
            ..
        } = &self.stages[stage]
        else {
            return Ok(None);
        };
        let (inputs, outputs) = (*inputs, *outputs);
        let mut weights = self.file.read_f32(&format!("{tensor}.weight"))?;
        let bias = self.file.read_f32(&format!("{tensor}.bias"))?;
        if stage == 0 {
            weights = self.input.fold(&weights, outputs);
        }
        Ok(Some(FilterData {
            outputs,
            inputs,
            weights,
            bias,
        }))
    }
}

impl Defaults {
    /// Content where shapes are known but not yet edges: relu4_2, else relu4_1, else the deepest layer. Style on the
    /// first layer of each block, all with the same share of 1.
    fn choose(stages: &[Stage], style_weights: StyleWeights) -> Self {
        let names: Vec<&str> = stages
            .iter()
            .filter_map(|stage| match stage {
                Stage::Conv { name, .. } => Some(name.as_str()),
                Stage::Pool => None,
            })
            .collect();
        let content = ["relu4_2", "relu4_1"]
            .into_iter()
            .find(|name| names.contains(name))
            .or(names.last().copied());
        let style: Vec<&&str> = names.iter().filter(|name| name.ends_with("_1")).collect();
        let share = 1.0 / style.len() as f64;
        Self {
            content_layers: LayerWeights(content.iter().map(|name| ((*name).to_owned(), 1.0)).collect()),
            style_layers: LayerWeights(style.iter().map(|name| ((**name).to_owned(), share)).collect()),
            style_weights,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_networks_are_vggs() {
        for (choice, widths, deepest) in [
            (NetworkChoice::Tiny, [16, 32, 64, 256], "relu4_1"),
            (NetworkChoice::Slim, [32, 64, 128, 256], "relu4_1"),
            (NetworkChoice::Vgg16, [64, 128, 256, 512], "relu4_2"),
        ] {
            let network = Network::open(choice, None).unwrap();
            for (block, width) in widths.iter().enumerate() {
                let stage = network.stage_of(&format!("relu{}_1", block + 1)).unwrap();
                let filter = network.filter(stage).unwrap().unwrap();
                assert_eq!(filter.outputs, *width);
                assert_eq!(filter.weights.len(), filter.outputs * filter.inputs * 9);
            }
            assert_eq!(network.layers().last(), Some(deepest));
            assert_eq!(network.pooling(), Pooling::Average);
            let [red, green, blue] = network.mean();
            assert!((red - 123.68 / 255.0).abs() < 1e-6 && green < red && blue < green);
        }
    }

    #[test]
    fn an_unknown_layer_is_named_with_those_that_exist() {
        let network = Network::open(NetworkChoice::Tiny, None).unwrap();
        let text = network.stage_of("relu9_1").unwrap_err().to_string();
        assert!(text.contains("relu9_1") && text.contains("relu4_1"), "{text}");
    }
}
