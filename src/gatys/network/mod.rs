// SPDX-License-Identifier: MIT OR Apache-2.0

//! Networks as data, the files of their weights, and how a network is carried out on a backend.

pub mod extractor;
pub mod overlap;
pub mod weights;

use std::collections::BTreeMap;
use std::path::Path;

use crate::backend::{FilterData, Pooling};
use crate::gatys::network::weights::WeightFile;
use crate::gatys::statistic::Statistic;
use crate::gatys::{Error, LayerWeights, NetworkChoice, Result};

/// A feature network as data: a chain of 3×3 convolutions, each followed by a ReLU, with 2×2 pooling between the
/// blocks. It is read from the names of the tensors: `features.N` is a convolution, N + 1 its ReLU, and where the
/// next convolution is N + 3 instead of N + 2 there is a pooling between. That covers VGG-16, VGG-19 and whatever is
/// pruned from them.
pub struct Network {
    name: String,
    file: WeightFile,
    stages: Vec<Stage>,
    input: Input,
    pooling: Pooling,
    defaults: Defaults,
}

/// A link of the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    /// A convolution and its ReLU.
    Conv {
        /// `relu1_1`, …: the name by which its output is called.
        name: String,
        /// The prefix of its tensors in the file, `features.0`.
        tensor: String,
        inputs: usize,
        outputs: usize,
    },
    Pool,
}

/// What the network was made to see: per channel of the file (x − mean) · scale, for x on the 0..1 scale.
#[derive(Clone, Debug, PartialEq)]
struct Input {
    /// Which of R, G, B (0, 1, 2) each channel of the file is.
    order: [usize; 3],
    /// For each channel of the file, on the 0..1 scale.
    mean: [f64; 3],
    /// For each channel of the file, what x − mean is multiplied by.
    scale: [f64; 3],
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

/// Files of the Caffe lineage say nothing of their preprocessing; their published names end in these hashes.
const CAFFE_HASHES: [&str; 2] = ["d01eb7cb", "00b39a1b"];

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
        let stages = chain(&file).map_err(not_a_vgg)?;
        let input = Input::of(name, &file).map_err(not_a_vgg)?;
        let pooling = match file.metadata().get("pooling").map(String::as_str) {
            Some("average") => Pooling::Average,
            Some("max") | None => Pooling::Max,
            Some(other) => {
                return Err(not_a_vgg(format!(
                    "its metadata ask for the unknown pooling ‘{other}’"
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

/// The convolutions of the file in the order of their numbers, with the poolings between them.
fn chain(file: &WeightFile) -> std::result::Result<Vec<Stage>, String> {
    let mut convolutions: BTreeMap<usize, &str> = BTreeMap::new();
    for name in file.names() {
        let Some(tensor) = name.strip_suffix(".weight") else {
            continue;
        };
        let number = tensor
            .strip_prefix("features.")
            .or(tensor.split_once(".features.").map(|(_, rest)| rest));
        if let Some(number) = number.and_then(|number| number.parse().ok()) {
            convolutions.insert(number, tensor);
        }
    }
    if convolutions.keys().next() != Some(&0) {
        return Err("it has no tensor features.0.weight".into());
    }
    let mut stages = Vec::new();
    let (mut block, mut index) = (1, 0);
    let mut last: Option<(usize, usize)> = None;
    for (number, tensor) in convolutions {
        let (inputs, outputs) = convolution_shape(file, tensor)?;
        if let Some((before, channels)) = last {
            match number - before {
                2 => {}
                3 => {
                    stages.push(Stage::Pool);
                    (block, index) = (block + 1, 0);
                }
                _ => {
                    return Err(format!(
                        "features.{number} does not follow features.{before}: layers are missing"
                    ));
                }
            }
            if inputs != channels {
                return Err(format!(
                    "{tensor}.weight takes {inputs} channels, but the layer before gives {channels}"
                ));
            }
        } else if inputs != 3 {
            return Err(format!(
                "{tensor}.weight takes {inputs} channels instead of red, green and blue"
            ));
        }
        index += 1;
        last = Some((number, outputs));
        stages.push(Stage::Conv {
            name: format!("relu{block}_{index}"),
            tensor: tensor.to_owned(),
            inputs,
            outputs,
        });
    }
    Ok(stages)
}

/// Inputs and outputs of a 3×3 convolution, its bias checked too.
fn convolution_shape(file: &WeightFile, tensor: &str) -> std::result::Result<(usize, usize), String> {
    /// More channels than any VGG has, so that a hostile file cannot ask for all memory.
    const MOST_CHANNELS: usize = 4096;
    let weight = file.shape(&format!("{tensor}.weight")).unwrap_or_default();
    let &[outputs, inputs, 3, 3] = weight else {
        return Err(format!(
            "{tensor}.weight has shape {weight:?}, not [outputs, inputs, 3, 3]"
        ));
    };
    if !(1..=MOST_CHANNELS).contains(&outputs) || !(1..=MOST_CHANNELS).contains(&inputs) {
        return Err(format!(
            "{tensor}.weight has shape {weight:?}, more or fewer channels than any VGG"
        ));
    }
    match file.shape(&format!("{tensor}.bias")) {
        Some(&[biases]) if biases == outputs => Ok((inputs, outputs)),
        Some(other) => Err(format!("{tensor}.bias has shape {other:?}, not [{outputs}]")),
        None => Err(format!("it has no tensor {tensor}.bias")),
    }
}

impl Input {
    /// From the file's metadata, else by its name, else as torchvision trains.
    fn of(name: &str, file: &WeightFile) -> std::result::Result<Self, String> {
        let metadata = file.metadata();
        if metadata.contains_key("input_mean") {
            return Self::from_metadata(metadata);
        }
        if CAFFE_HASHES.iter().any(|hash| name.contains(hash)) {
            return Ok(Self::caffe());
        }
        Ok(Self {
            order: [0, 1, 2],
            mean: [0.485, 0.456, 0.406],
            scale: [0.229, 0.224, 0.225].map(|deviation: f64| 1.0 / deviation),
        })
    }

    /// Blue, green, red on 0..255 less their means: what Oxford's networks were trained on.
    fn caffe() -> Self {
        Self {
            order: [2, 1, 0],
            mean: [103.939, 116.779, 123.68].map(|mean: f64| mean / 255.0),
            scale: [255.0; 3],
        }
    }

    fn from_metadata(metadata: &BTreeMap<String, String>) -> std::result::Result<Self, String> {
        let order = match metadata.get("input_channels").map(String::as_str) {
            Some("bgr") => [2, 1, 0],
            Some("rgb") | None => [0, 1, 2],
            Some(other) => return Err(format!("its metadata name the unknown input_channels ‘{other}’")),
        };
        let numbers = |key: &str, default: [f64; 3]| -> std::result::Result<[f64; 3], String> {
            let Some(text) = metadata.get(key) else {
                return Ok(default);
            };
            let parsed: Vec<f64> = text
                .split(',')
                .filter_map(|part| part.trim().parse().ok())
                .collect();
            match parsed[..] {
                [one] if one > 0.0 && one.is_finite() => Ok([one; 3]),
                [a, b, c] if [a, b, c].iter().all(|value| value.is_finite()) => Ok([a, b, c]),
                _ => Err(format!(
                    "its metadata give {key} as ‘{text}’, not as three numbers"
                )),
            }
        };
        let range = numbers("input_scale", [1.0; 3])?;
        let deviation = numbers("input_std", [1.0; 3])?;
        if deviation.iter().any(|&value| value <= 0.0) || range.iter().any(|&value| value <= 0.0) {
            return Err("its metadata give an input_std or input_scale that is not positive".into());
        }
        let mean = numbers("input_mean", [0.0; 3])?;
        Ok(Self {
            order,
            mean: [0, 1, 2].map(|channel| mean[channel] / range[channel]),
            scale: [0, 1, 2].map(|channel| range[channel] / deviation[channel]),
        })
    }

    /// Weights [O, 3, 3, 3] for the file's channels → weights for R, G, B on the 0..1 scale.
    fn fold(&self, weights: &[f32], outputs: usize) -> Vec<f32> {
        let mut folded = vec![0.0; weights.len()];
        for output in 0..outputs {
            for (channel, &colour) in self.order.iter().enumerate() {
                let from = &weights[(output * 3 + channel) * 9..][..9];
                let to = &mut folded[(output * 3 + colour) * 9..][..9];
                for (to, &from) in to.iter_mut().zip(from) {
                    *to = (f64::from(from) * self.scale[channel]) as f32;
                }
            }
        }
        folded
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

    #[test]
    fn folding_swaps_the_channels_and_scales() {
        let weights: Vec<f32> = (0..27).map(|i| i as f32).collect();
        let folded = Input::caffe().fold(&weights, 1);
        assert_eq!(folded[0], 18.0 * 255.0);
        assert_eq!(folded[26], 8.0 * 255.0);
        assert_eq!(folded[13], 13.0 * 255.0);
    }
}
