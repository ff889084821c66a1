// SPDX-License-Identifier: MIT OR Apache-2.0

//! The element's properties as flags of the same names.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use clap::builder::ValueParser;

use crate::values::{choice, count, within};
use neuralstyle::gatys::{Init, LayerWeights, NetworkChoice, Normalization, OptimizerKind, PoolingChoice};
use neuralstyle::stylizer::{BackendChoice, Controls, Options};

/// How pictures are optimised.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Optimisation, as the element's properties of the same names")]
pub struct Optimisation {
    /// Network that measures content and style; auto takes what suits the backend
    #[arg(long, default_value = "auto", value_parser = choice::<NetworkChoice>(NetworkChoice::NAMES))]
    pub network: NetworkChoice,

    /// A VGG-16 or VGG-19 from a file (safetensors or torch .pth); implies --network file
    #[arg(long, value_name = "FILE")]
    pub weights: Option<PathBuf>,

    /// Layers that measure content, as in relu4_1 or relu3_1=0.5,relu4_1 [default: the network's own]
    #[arg(long, value_name = "LAYERS", value_parser = LayerWeights::from_str)]
    pub content_layers: Option<LayerWeights>,

    /// Layers that measure style, as in relu1_1=1,relu2_1=0.5 [default: the network's own]
    #[arg(long, value_name = "LAYERS", value_parser = LayerWeights::from_str)]
    pub style_layers: Option<LayerWeights>,

    /// α, the weight of the content
    #[arg(long, value_name = "α", default_value = "1", value_parser = measure(0.0..=LARGEST_WEIGHT))]
    pub content_weight: f64,

    /// β, the weight of the style [default: the network's own]
    #[arg(long, value_name = "β", value_parser = measure(0.0..=LARGEST_WEIGHT))]
    pub style_weight: Option<f64>,

    /// Weight of the total variation: more is smoother
    #[arg(long, value_name = "WEIGHT", default_value = "0", value_parser = measure(0.0..=LARGEST_WEIGHT))]
    pub tv_weight: f64,

    /// What the losses are divided by: their targets' sizes, or nothing but what Gatys et al. wrote
    #[arg(long, default_value = "relative", value_parser = choice::<Normalization>(Normalization::NAMES))]
    pub normalization: Normalization,

    /// How the network halves its resolution
    #[arg(long, default_value = "network", value_parser = choice::<PoolingChoice>(PoolingChoice::NAMES))]
    pub pooling: PoolingChoice,

    /// How the picture moves along the gradient
    #[arg(long, default_value = "adam", value_parser = choice::<OptimizerKind>(OptimizerKind::NAMES))]
    pub optimizer: OptimizerKind,

    /// Share of the last step in the next one, with --optimizer sgd
    #[arg(long, value_name = "SHARE", default_value = "0.9", value_parser = measure(0.0..=1.0))]
    pub momentum: f64,

    /// Size of a step, on the 0..1 scale of pixel values [default: chosen]
    #[arg(long, value_name = "RATE", value_parser = measure(1e-12..=1e6))]
    pub learning_rate: Option<f64>,

    /// Share of the steps, at their end, over which the rate falls to 5 %
    #[arg(long, value_name = "SHARE", default_value = "0.4", value_parser = measure(0.0..=1.0))]
    pub rate_decay: f64,

    /// Passes of a 3×3 blur over the squared gradient, with --optimizer adam
    #[arg(long, value_name = "PASSES", default_value = "4", value_parser = count(0..=16))]
    pub moment_blur: usize,

    /// Border of the style picture that is left out, as a share of its width and height
    #[arg(long, value_name = "SHARE", default_value = "0.03", value_parser = measure(0.0..=0.25))]
    pub style_crop: f64,

    /// Sizes of the coarse-to-fine start; 1 is full size only, 0 chooses by size
    #[arg(long, value_name = "N", default_value = "0", value_parser = count(0..=16))]
    pub scales: usize,

    /// Share of the content's detail that is added back at each step up in size, and how far edges follow the frame's
    #[arg(long, value_name = "SHARE", default_value = "0.5", value_parser = measure(0.0..=1.0))]
    pub detail: f64,

    /// Pixels that are painted beyond the picture's edge and cropped off again [default: chosen]
    #[arg(long, value_name = "PX", value_parser = count(0..=64))]
    pub overscan: Option<usize>,

    /// What a fresh start begins with
    #[arg(long, default_value = "matched", value_parser = choice::<Init>(Init::NAMES))]
    pub init: Init,

    /// Seed of all that is random: the same seed gives the same bytes
    #[arg(long, default_value = "0")]
    pub seed: u32,

    /// Mix with the original: 1 is the painting alone
    #[arg(long, value_name = "SHARE", default_value = "1", value_parser = measure(0.0..=1.0))]
    pub strength: f64,

    /// What does the work; reference is slow and exact, for comparisons
    #[arg(long, default_value = "auto", value_parser = choice::<BackendChoice>(BackendChoice::NAMES))]
    pub backend: BackendChoice,

    /// Number of the CUDA device; -1 chooses
    #[arg(long, value_name = "ID", default_value = "-1", allow_negative_numbers = true,
          value_parser = clap::value_parser!(i32).range(-1..))]
    pub cuda_device_id: i32,

    /// Threads of the CPU backend; 0 is one per core
    #[arg(long, value_name = "N", default_value = "0", value_parser = count(0..=1024))]
    pub threads: usize,
}

impl Optimisation {
    /// What the flags mean to the library, for a whole stream.
    pub fn options(&self) -> Options {
        let flags = self.clone();
        Options {
            network: flags.network,
            weights: flags.weights,
            content_layers: flags.content_layers,
            style_layers: flags.style_layers,
            normalization: flags.normalization,
            pooling: flags.pooling,
            optimizer: flags.optimizer,
            momentum: flags.momentum,
            scales: flags.scales,
            init: flags.init,
            seed: flags.seed,
            detail: flags.detail,
            moment_blur: flags.moment_blur,
            rate_decay: flags.rate_decay,
            overscan: flags.overscan,
            backend: flags.backend,
            cuda_device_id: flags.cuda_device_id,
            threads: flags.threads,
            ..Options::default()
        }
    }

    /// What the flags mean to the library, for each frame.
    pub fn controls(&self) -> Controls {
        Controls {
            content_weight: self.content_weight,
            style_weight: self.style_weight,
            tv_weight: self.tv_weight,
            learning_rate: self.learning_rate,
            style_crop: self.style_crop,
            strength: self.strength,
            ..Controls::default()
        }
    }
}

/// How much work each frame of a stream gets.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Stream")]
pub struct Stream {
    /// Steps per keyframe
    #[arg(long, value_name = "N", default_value = "6", value_parser = count(1..=1_000_000))]
    pub iterations: usize,

    /// Steps on the first frame and after a cut, in what they cost at full size
    #[arg(long, value_name = "N", default_value = "40", value_parser = count(1..=1_000_000))]
    pub first_iterations: usize,

    /// Frames from keyframe to keyframe; those between are put together from both
    #[arg(long, value_name = "N", default_value = "1", value_parser = count(1..=100_000))]
    pub keyframe_interval: usize,

    /// Longer side in pixels at which frames are painted; 0 chooses by backend
    #[arg(long, value_name = "PX", default_value = "0", value_parser = count(0..=16_384))]
    pub working_size: usize,

    /// How different a frame must be from the one before to start afresh; 1 is never
    #[arg(long, value_name = "SHARE", default_value = "0.3", value_parser = measure(0.0..=1.0))]
    pub cut_threshold: f64,

    /// Weight of the difference from the last result: more is steadier
    #[arg(long, value_name = "WEIGHT", default_value = "0", value_parser = measure(0.0..=1e12))]
    pub temporal_weight: f64,
}

/// As the element has it: larger than any weight that makes sense.
const LARGEST_WEIGHT: f64 = 1e12;

/// A number within a range.
pub fn measure(range: RangeInclusive<f64>) -> ValueParser {
    ValueParser::new(move |text: &str| within(text, &range))
}
