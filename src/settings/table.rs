// SPDX-License-Identifier: MIT OR Apache-2.0

//! Every setting: its field, default and description.

use std::path::PathBuf;

use super::field::Field;
use super::{
    BackendChoice, Init, Kind, LayerWeights, Mode, NetworkChoice, Normalization, OptimizerKind,
    PoolingChoice, StyleStatistic,
};
use super::{Group, Setting, When};

/// All that a user chooses.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// The picture in whose style frames are painted.
    pub style: Option<PathBuf>,
    pub options: Options,
    pub controls: Controls,
}

pub static STYLE: Setting = Setting {
    name: "style",
    nick: "Style",
    blurb: "Path of the style picture (JPEG, PNG, WebP, GIF, TIFF, BMP, PNM, TGA, QOI, Radiance HDR)",
    kind: Kind::Path,
    unit: "FILE",
    group: Group::Style,
    acts: When::Playing,
    read: |settings| settings.style.to_value(),
    write: |settings, value| Field::from_value(value).map(|value| settings.style = value),
};

/// Makes a struct, its default and a list of [`Setting`]s from entries `field: type = default, { description }`. A
/// description is what stands in a [`Setting`]; its blurb is the field's documentation, too.
macro_rules! settings {
    (
        $(#[$attribute:meta])*
        pub struct $bag:ident, in Settings as $place:ident, described in $list:ident {
            $($field:ident: $type:ty = $default:expr, { blurb: $blurb:literal, $($key:ident: $value:expr,)+ })+
        }
    ) => {
        $(#[$attribute])*
        pub struct $bag {
            $(#[doc = $blurb] pub $field: $type,)+
        }

        impl Default for $bag {
            fn default() -> Self {
                Self { $($field: $default,)+ }
            }
        }

        #[doc = concat!("The descriptions of the fields of [`", stringify!($bag), "`].")]
        pub static $list: &[Setting] = &[$(Setting {
            blurb: $blurb,
            $($key: $value,)+
            read: |settings| settings.$place.$field.to_value(),
            write: |settings, value| Field::from_value(value).map(|value| settings.$place.$field = value),
        },)+];
    };
}

/// The most sizes of a coarse-to-fine start.
pub const MOST_SCALES: usize = 4;

/// The most steps on a frame.
pub const MOST_STEPS: usize = 1_000_000;

/// Larger than any weight that makes sense, smaller than what overflows when squared in single precision.
const LARGEST_WEIGHT: f64 = 1e12;

settings! {
/// What holds for a whole stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Options, in Settings as options, described in OPTIONS {
    network: NetworkChoice = NetworkChoice::Auto, {
        blurb: "The network that measures content and style; auto is slim on the CPU and vgg16 on a CUDA device",
        name: "network",
        nick: "Network",
        kind: Kind::Choice(NetworkChoice::CHOICE),
        unit: "",
        group: Group::Style,
        acts: When::Start,
    }
    weights: Option<PathBuf> = None, {
        blurb: "Path of a VGG-16 or VGG-19, safetensors or torch .pth; implies network=file",
        name: "weights",
        nick: "Weights",
        kind: Kind::Path,
        unit: "FILE",
        group: Group::Style,
        acts: When::Start,
    }
    content_layers: Option<LayerWeights> = None, {
        blurb: "Layers that measure content, with their weights, e.g. relu4_1 or relu3_1=0.5,relu4_1=1; unset = relu4_2 if the network has it, else relu4_1",
        name: "content-layers",
        nick: "Content layers",
        kind: Kind::Text,
        unit: "LAYERS",
        group: Group::Style,
        acts: When::Start,
    }
    style_layers: Option<LayerWeights> = None, {
        blurb: "Layers that measure style, with their weights, e.g. relu1_1=1,relu2_1=0.5; one without a weight weighs 1; unset = the first of each block, all with the same share of 1",
        name: "style-layers",
        nick: "Style layers",
        kind: Kind::Text,
        unit: "LAYERS",
        group: Group::Style,
        acts: When::Start,
    }
    normalization: Normalization = Normalization::Relative, {
        blurb: "What the losses are divided by",
        name: "normalization",
        nick: "Normalization",
        kind: Kind::Choice(Normalization::CHOICE),
        unit: "",
        group: Group::Style,
        acts: When::Start,
    }
    style_statistic: StyleStatistic = StyleStatistic::Auto, {
        blurb: "What of a layer's activations is the style",
        name: "style-statistic",
        nick: "Style statistic",
        kind: Kind::Choice(StyleStatistic::CHOICE),
        unit: "",
        group: Group::Style,
        acts: When::Start,
    }
    pooling: PoolingChoice = PoolingChoice::Network, {
        blurb: "How the network halves its resolution",
        name: "pooling",
        nick: "Pooling",
        kind: Kind::Choice(PoolingChoice::CHOICE),
        unit: "",
        group: Group::Style,
        acts: When::Start,
    }
    init: Init = Init::Matched, {
        blurb: "What a fresh start begins with",
        name: "init",
        nick: "Start",
        kind: Kind::Choice(Init::CHOICE),
        unit: "",
        group: Group::Look,
        acts: When::Start,
    }
    seed: u32 = 0, {
        blurb: "Seed of all that is random: the same seed gives the same bytes",
        name: "seed",
        nick: "Seed",
        kind: Kind::Uint { range: 0..=u32::MAX },
        unit: "NUMBER",
        group: Group::Look,
        acts: When::Start,
    }
    detail: f64 = 0.5, {
        blurb: "Share of the content's detail that is added back at each step up in size, and how far edges follow the frame's: at 0.5 with just the contrast that was painted there",
        name: "detail",
        nick: "Detail",
        kind: Kind::Double { range: 0.0..=1.0, unset: None },
        unit: "SHARE",
        group: Group::Look,
        acts: When::Start,
    }
    overscan: Option<usize> = None, {
        blurb: "Pixels by which the working picture goes on beyond the frame's edge, mirrored, and is cropped again; -1 = 8, or 0 with scales=1 or normalization=gatys",
        name: "overscan",
        nick: "Overscan",
        kind: Kind::Int { range: 0..=64, unset: Some(-1) },
        unit: "PIXELS",
        group: Group::Look,
        acts: When::Start,
    }
    working_size: usize = 0, {
        blurb: "Longer side in pixels at which the optimisation runs; 0 = 256 on the CPU, 512 on a CUDA device, live 192 and 320",
        name: "working-size",
        nick: "Working size",
        kind: Kind::Uint { range: 0..=16_384 },
        unit: "PIXELS",
        group: Group::Optimisation,
        acts: When::Start,
    }
    scales: usize = 0, {
        blurb: "Sizes of the coarse-to-fine start; 1 = full size only, 0 = choose by size",
        name: "scales",
        nick: "Scales",
        kind: Kind::Uint { range: 0..=MOST_SCALES as u32 },
        unit: "SIZES",
        group: Group::Optimisation,
        acts: When::Start,
    }
    optimizer: OptimizerKind = OptimizerKind::Adam, {
        blurb: "How the picture moves along the gradient",
        name: "optimizer",
        nick: "Optimizer",
        kind: Kind::Choice(OptimizerKind::CHOICE),
        unit: "",
        group: Group::Optimisation,
        acts: When::Start,
    }
    rate_decay: f64 = 0.4, {
        blurb: "Share of a frame's steps, at their end, over which the learning rate falls to 5 %",
        name: "rate-decay",
        nick: "Rate decay",
        kind: Kind::Double { range: 0.0..=1.0, unset: None },
        unit: "SHARE",
        group: Group::Optimisation,
        acts: When::Start,
    }
    momentum: f64 = 0.9, {
        blurb: "Share of the last step in the next one; optimizer=sgd only",
        name: "momentum",
        nick: "Momentum",
        kind: Kind::Double { range: 0.0..=1.0, unset: None },
        unit: "SHARE",
        group: Group::Optimisation,
        acts: When::Start,
    }
    moment_blur: usize = 4, {
        blurb: "Passes of a 3x3 blur over the squared gradient, 0 = plain Adam; optimizer=adam only",
        name: "moment-blur",
        nick: "Moment blur",
        kind: Kind::Uint { range: 0..=16 },
        unit: "PASSES",
        group: Group::Optimisation,
        acts: When::Start,
    }
    chroma_blur: Option<usize> = None, {
        blurb: "Passes of a 3x3 blur over what is coloured in a step, against specks; -1 = 3, or 0 with normalization=gatys, init=content or init=noise",
        name: "chroma-blur",
        nick: "Chroma blur",
        kind: Kind::Int { range: 0..=16, unset: Some(-1) },
        unit: "PASSES",
        group: Group::Optimisation,
        acts: When::Start,
    }
    colour_axes: Option<f64> = None, {
        blurb: "How far steps keep to the directions in which the style's colours spread: 0 = not at all, 1 = in proportion; -1 = 0.5, or 0 with normalization=gatys, init=content or init=noise",
        name: "colour-axes",
        nick: "Colour axes",
        kind: Kind::Double { range: 0.0..=1.0, unset: Some(-1.0) },
        unit: "SHARE",
        group: Group::Optimisation,
        acts: When::Start,
    }
    mode: Mode = Mode::Auto, {
        blurb: "Whether frames wait until they are painted",
        name: "mode",
        nick: "Mode",
        kind: Kind::Choice(Mode::CHOICE),
        unit: "",
        group: Group::Running,
        acts: When::Start,
    }
    backend: BackendChoice = BackendChoice::Auto, {
        blurb: "What does the work",
        name: "backend",
        nick: "Backend",
        kind: Kind::Choice(BackendChoice::CHOICE),
        unit: "",
        group: Group::Running,
        acts: When::Start,
    }
    cuda_device_id: i32 = -1, {
        blurb: "Number of the CUDA device; -1 = the first that works",
        name: "cuda-device-id",
        nick: "CUDA device",
        kind: Kind::Int { range: -1..=i32::MAX, unset: None },
        unit: "NUMBER",
        group: Group::Running,
        acts: When::Start,
    }
    threads: usize = 0, {
        blurb: "Worker threads of the CPU backend; 0 = one per core, live one less",
        name: "threads",
        nick: "Threads",
        kind: Kind::Uint { range: 0..=1024 },
        unit: "THREADS",
        group: Group::Running,
        acts: When::Start,
    }
}
}

settings! {
/// What may change from frame to frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Controls, in Settings as controls, described in CONTROLS {
    style_crop: f64 = 0.03, {
        blurb: "Share of the style picture's width and height that is left out on each side, for frames and borders",
        name: "style-crop",
        nick: "Style crop",
        kind: Kind::Double { range: 0.0..=0.25, unset: None },
        unit: "SHARE",
        group: Group::Style,
        acts: When::Playing,
    }
    style_scale: f64 = 1.0, {
        blurb: "Size of strokes: the style picture is measured at this multiple of the size at which it has the output's area",
        name: "style-scale",
        nick: "Style scale",
        kind: Kind::Double { range: 0.25..=4.0, unset: None },
        unit: "TIMES",
        group: Group::Style,
        acts: When::Playing,
    }
    content_weight: f64 = 1.0, {
        blurb: "Alpha, the weight of the content's loss",
        name: "content-weight",
        nick: "Content weight",
        kind: Kind::Double { range: 0.0..=LARGEST_WEIGHT, unset: None },
        unit: "WEIGHT",
        group: Group::Look,
        acts: When::Controllable,
    }
    style_weight: Option<f64> = None, {
        blurb: "Beta, the weight of the style's loss; below 0 = the network's own, 4 for tiny and 3 for the others (with style-statistic=gram 20 and 10)",
        name: "style-weight",
        nick: "Style weight",
        kind: Kind::Double { range: 0.0..=LARGEST_WEIGHT, unset: Some(-1.0) },
        unit: "WEIGHT",
        group: Group::Look,
        acts: When::Controllable,
    }
    tv_weight: f64 = 0.0, {
        blurb: "Weight of the total variation: more = smoother",
        name: "tv-weight",
        nick: "Total variation weight",
        kind: Kind::Double { range: 0.0..=LARGEST_WEIGHT, unset: None },
        unit: "WEIGHT",
        group: Group::Look,
        acts: When::Controllable,
    }
    strength: f64 = 1.0, {
        blurb: "Mix with the original: 1 = the painting alone, 0 = the input, byte for byte",
        name: "strength",
        nick: "Strength",
        kind: Kind::Double { range: 0.0..=1.0, unset: None },
        unit: "SHARE",
        group: Group::Look,
        acts: When::Controllable,
    }
    iterations: usize = 6, {
        blurb: "Steps on a keyframe",
        name: "iterations",
        nick: "Iterations",
        kind: Kind::Uint { range: 1..=MOST_STEPS as u32 },
        unit: "STEPS",
        group: Group::Optimisation,
        acts: When::Playing,
    }
    first_iterations: usize = 80, {
        blurb: "Steps on the first frame and after a cut, in equivalents of a full-size step; 0 = as init made it; live, once it is known how fast it goes, no more than fit into 2 seconds, but at least 20",
        name: "first-iterations",
        nick: "First iterations",
        kind: Kind::Uint { range: 0..=MOST_STEPS as u32 },
        unit: "STEPS",
        group: Group::Optimisation,
        acts: When::Playing,
    }
    learning_rate: Option<f64> = None, {
        blurb: "Size of a step, on the 0..1 scale of pixel values; 0 = for Adam 0.02 on a fresh start (0.03 with style-statistic=gram) and after it 0.0045 · √keyframe-interval, for SGD 2 and 0.5; more of the first the less steadiness",
        name: "learning-rate",
        nick: "Learning rate",
        kind: Kind::Double { range: 1e-12..=1e6, unset: Some(0.0) },
        unit: "RATE",
        group: Group::Optimisation,
        acts: When::Controllable,
    }
    keyframe_interval: usize = 1, {
        blurb: "Frames from keyframe to keyframe; those between are put together from both, for which up to N - 1 frames are held back (live: moved along, and none is)",
        name: "keyframe-interval",
        nick: "Keyframe interval",
        kind: Kind::Uint { range: 1..=100_000 },
        unit: "FRAMES",
        group: Group::Video,
        acts: When::Playing,
    }
    cut_threshold: f64 = 0.3, {
        blurb: "How different a frame must be from the one before to start afresh; 1 = never, nor for a picture that fades in",
        name: "cut-threshold",
        nick: "Cut threshold",
        kind: Kind::Double { range: 0.0..=1.0, unset: None },
        unit: "SHARE",
        group: Group::Video,
        acts: When::Playing,
    }
    steadiness: f64 = 1.0, {
        blurb: "How much of its strokes the painting keeps from frame to frame: 1 = as calm as it gets, less = larger steps (unless learning-rate is set), so that strokes boil, 0 = each keyframe on its own, with all of first-iterations",
        name: "steadiness",
        nick: "Steadiness",
        kind: Kind::Double { range: 0.0..=1.0, unset: None },
        unit: "SHARE",
        group: Group::Video,
        acts: When::Controllable,
    }
    temporal_weight: Option<f64> = None, {
        blurb: "Weight of the difference from the last results, moved along, where it can be trusted: more = calmer, and less of the style; times steadiness, divided by keyframe-interval; below 0 = 150, with normalization=gatys 0",
        name: "temporal-weight",
        nick: "Temporal weight",
        kind: Kind::Double { range: 0.0..=LARGEST_WEIGHT, unset: Some(-1.0) },
        unit: "WEIGHT",
        group: Group::Video,
        acts: When::Controllable,
    }
}
}
