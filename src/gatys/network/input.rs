// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a network was made to see. A file that says nothing of it is told by its weights.
//!
//! Networks of two lineages go by the same names. torchvision's see red, green and blue on the 0..1 scale, less their
//! mean and divided by their standard deviation. Oxford's, which were made with Caffe, see blue, green and red on 0..255
//! less their mean: numbers some 57 times as large (255 times .226). Fed with the other's input, a network sees next to
//! nothing of a picture but its own biases, or nothing of its biases.
//!
//! The first layer alone does not tell them apart, since both were trained from weights of the usual size: root mean
//! squares of .21 (Oxford) and about .3 (torchvision). What differs is what the layers together make of their input, for
//! both end in class scores of the same size. By He et al. (2015) a 3×3 convolution with its ReLU multiplies the size of
//! what goes through it by about
//!
//! ```text
//! gain = rms(weights) · √(9 · inputs / 2)
//! ```
//!
//! | gains                          | conv1_1 | mean of the first nine layers (geometric) |
//! | ------------------------------ | ------- | ----------------------------------------- |
//! | Oxford's VGG-16                | .76     | .49                                       |
//! | torchvision's VGG-16           | 1.1     | about .8                                  |
//! | torchvision's initial weights  | .22     | .75                                       |
//! | PyTorch's own initial weights  | .41     | .41                                       |
//!
//! The first row is that of the embedded vgg16; the second was estimated from printed excerpts of the file, the others
//! follow from how the weights are drawn.

use std::collections::BTreeMap;

use super::Stage;
use super::weights::{WeightFile, WeightsError, printable};

/// Between Oxford's .49 and the .75 of torchvision's weights before any training.
const WEAK_MEAN_GAIN: f64 = 0.61;
/// Networks of PyTorch's own initial weights, which nobody has trained, are weak too, but from the first layer on.
const TRAINED_FIRST_GAIN: f64 = 0.55;
/// So many layers tell; the first ones of both lineages are alike, and later ones are not needed by most styles.
const LAYERS: std::ops::RangeInclusive<usize> = 6..=9;
/// A first layer to which somebody has moved the factor of 57 has .2 / 57 = .0036 or a little more; this is half way, on a
/// logarithmic scale, between that and .2.
const SMALL_FIRST_RMS: f64 = 0.026;

/// The first filter's top left tap over blue, green and red in Oxford's VGG-16, of which there are copies in the order
/// red, green, blue.
const OXFORD_TAP: [f32; 3] = [0.4295, 0.5504, 0.4800];

/// Files of the Caffe lineage say nothing of their preprocessing; their published names end in these hashes.
const CAFFE_HASHES: [&str; 2] = ["d01eb7cb", "00b39a1b"];

/// What the network was made to see: per channel of the file (x − mean) · scale, for x on the 0..1 scale.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Input {
    /// Which of R, G, B (0, 1, 2) each channel of the file is.
    pub(super) order: [usize; 3],
    /// For each channel of the file, on the 0..1 scale.
    pub(super) mean: [f64; 3],
    /// For each channel of the file, what x − mean is multiplied by.
    scale: [f64; 3],
}

impl Input {
    /// From the file's metadata, else by its weights, else as torchvision trains. The inner error says what is wrong with the
    /// metadata.
    pub(super) fn of(file: &WeightFile, stages: &[Stage]) -> Result<Result<Self, String>, WeightsError> {
        let metadata = file.metadata();
        if metadata.contains_key("input_mean") {
            return Ok(Self::from_metadata(metadata));
        }
        if CAFFE_HASHES.iter().any(|hash| file.name().contains(hash)) {
            return Ok(Ok(Self::caffe()));
        }
        Ok(Ok(Self::by_weights(file, stages)?))
    }

    fn by_weights(file: &WeightFile, stages: &[Stage]) -> Result<Self, WeightsError> {
        let mut gains = Vec::new();
        let mut first = Vec::new();
        for stage in stages {
            if let Stage::Conv { tensor, inputs, .. } = stage
                && gains.len() < *LAYERS.end()
            {
                let weights = file.read_f32(&format!("{tensor}.weight"))?;
                gains.push(rms(&weights) * (9.0 * *inputs as f64 / 2.0).sqrt());
                if first.is_empty() {
                    first = weights;
                }
            }
        }
        let first_rms = rms(&first);
        let is_small = first_rms > 0.0 && first_rms < SMALL_FIRST_RMS;
        let mean_gain = (gains.iter().map(|gain| gain.ln()).sum::<f64>() / gains.len() as f64).exp();
        let is_weak = LAYERS.contains(&gains.len())
            && gains[0] > TRAINED_FIRST_GAIN
            && mean_gain > 0.0
            && mean_gain < WEAK_MEAN_GAIN;
        if !is_small && !is_weak {
            return Ok(Self::torchvision());
        }
        let mut input = Self::caffe();
        let taps = [0, 1, 2].map(|channel| first.get(channel * 9).copied().unwrap_or_default());
        let reversed = [OXFORD_TAP[2], OXFORD_TAP[1], OXFORD_TAP[0]];
        // Further apart than what half precision rounds off, and nearer than blue and red.
        if taps
            .iter()
            .zip(reversed)
            .all(|(tap, known)| (tap - known).abs() < 0.01)
        {
            input.order.reverse();
            input.mean.reverse();
        }
        Ok(input)
    }

    fn torchvision() -> Self {
        Self {
            order: [0, 1, 2],
            mean: [0.485, 0.456, 0.406],
            scale: [0.229, 0.224, 0.225].map(|deviation: f64| 1.0 / deviation),
        }
    }

    /// Blue, green, red on 0..255 less their means: what Oxford's networks were trained on.
    fn caffe() -> Self {
        Self {
            order: [2, 1, 0],
            mean: [103.939, 116.779, 123.68].map(|mean: f64| mean / 255.0),
            scale: [255.0; 3],
        }
    }

    fn from_metadata(metadata: &BTreeMap<String, String>) -> Result<Self, String> {
        let order = match metadata.get("input_channels").map(String::as_str) {
            Some("bgr") => [2, 1, 0],
            Some("rgb") | None => [0, 1, 2],
            Some(other) => {
                return Err(format!(
                    "its metadata name the unknown input_channels ‘{}’",
                    printable(other)
                ));
            }
        };
        let numbers = |key: &str, default: [f64; 3]| -> Result<[f64; 3], String> {
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
                    "its metadata give {key} as ‘{}’, not as three numbers",
                    printable(text)
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
    pub(super) fn fold(&self, weights: &[f32], outputs: usize) -> Vec<f32> {
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

/// Root mean square, 0 for none.
fn rms(weights: &[f32]) -> f64 {
    let squares: f64 = weights.iter().map(|&weight| f64::from(weight).powi(2)).sum();
    (squares / weights.len().max(1) as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folding_swaps_the_channels_and_scales() {
        let weights: Vec<f32> = (0..27).map(|i| i as f32).collect();
        let folded = Input::caffe().fold(&weights, 1);
        assert_eq!(folded[0], 18.0 * 255.0);
        assert_eq!(folded[26], 8.0 * 255.0);
        assert_eq!(folded[13], 13.0 * 255.0);
    }
}
