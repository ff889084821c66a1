// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a user can choose. [`Options`] hold for a whole stream, [`Controls`] may change with every frame.
//! The element's properties and the flags of the examples are these fields under the same names.

use std::path::PathBuf;

use crate::gatys::names;
pub use crate::gatys::{Init, LayerWeights, NetworkChoice, Normalization, OptimizerKind, PoolingChoice};

/// Which machine does the work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BackendChoice {
    #[default]
    Auto,
    Cpu,
    Cuda,
    /// The slow, obvious f64 implementation that all others are measured against. Not offered by the element.
    Reference,
}

/// Who waits for whom.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Whoever brings the frames knows; as offline until it asks for [`Stylizer::live`](super::Stylizer::live).
    #[default]
    Auto,
    /// Each frame waits for its steps.
    Offline,
    /// No frame waits: a thread of its own paints the newest, and each shows the last painting along its motion.
    Live,
}

names!(BackendChoice { Auto = "auto", Cpu = "cpu", Cuda = "cuda", Reference = "reference" });
names!(Mode { Auto = "auto", Offline = "offline", Live = "live" });

/// What holds for a whole stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    pub network: NetworkChoice,
    /// A VGG-16 or VGG-19 from a file; used (and needed) with `NetworkChoice::File`, which it implies.
    pub weights: Option<PathBuf>,
    /// `None` = the network's own default.
    pub content_layers: Option<LayerWeights>,
    /// `None` = the network's own default.
    pub style_layers: Option<LayerWeights>,
    pub normalization: Normalization,
    pub pooling: PoolingChoice,
    pub optimizer: OptimizerKind,
    /// Momentum of `OptimizerKind::Sgd`, 0..1; unused by the others.
    pub momentum: f64,
    /// Sizes of the coarse-to-fine start; 0 = choose by size, 1 = full size only.
    pub scales: usize,
    pub init: Init,
    pub seed: u32,
    pub mode: Mode,
    /// Longer side in pixels at which the optimisation runs; 0 = choose by backend.
    pub working_size: usize,
    /// Share of the content's detail that is added back at each step up in size, 0..1; and how far the result, brought up
    /// to the frame's size, follows its edges: at 0.5 with just the contrast that was painted there.
    pub detail: f64,
    /// Passes of a 3×3 binomial blur over Adam's squared gradient before it enters the second moment.
    pub moment_blur: usize,
    /// Share of a run's steps, at its end, over which the rate falls linearly to 5 %, 0..1.
    pub rate_decay: f64,
    /// Pixels by which the working picture is continued (mirrored) beyond the frame's edge; cropped off again.
    /// `None` = choose: 8 with the coarse-to-fine start, 0 with `scales = 1` or `normalization = gatys`.
    pub overscan: Option<usize>,
    pub backend: BackendChoice,
    pub cuda_device_id: i32,
    /// Worker threads of the CPU backend; 0 = one per core, live one less.
    pub threads: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            network: NetworkChoice::Auto,
            weights: None,
            content_layers: None,
            style_layers: None,
            normalization: Normalization::Relative,
            pooling: PoolingChoice::Network,
            optimizer: OptimizerKind::Adam,
            momentum: 0.9,
            scales: 0,
            init: Init::Matched,
            seed: 0,
            mode: Mode::Auto,
            working_size: 0,
            detail: 0.5,
            moment_blur: 4,
            rate_decay: 0.4,
            overscan: None,
            backend: BackendChoice::Auto,
            cuda_device_id: -1,
            threads: 0,
        }
    }
}

/// What may change from frame to frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Controls {
    /// α.
    pub content_weight: f64,
    /// β; `None` = the network's own default.
    pub style_weight: Option<f64>,
    pub tv_weight: f64,
    pub temporal_weight: f64,
    /// On the 0..1 scale of pixel values. `None` = for Adam 0.03 on a first frame and 0.0045 after it.
    pub learning_rate: Option<f64>,
    /// Share of the style picture's width and height left out on each side, 0..0.25.
    pub style_crop: f64,
    /// Steps on a keyframe.
    pub iterations: usize,
    /// Steps on the first frame and after a cut, in full-size equivalents.
    pub first_iterations: usize,
    /// Frames from keyframe to keyframe, ≥ 1; live at least so many. Offline a frame between waits for the second one.
    pub keyframe_interval: usize,
    /// Mix with the original, 0..1.
    pub strength: f64,
    /// How different a frame must be from the one before to start afresh, 0..1; 1 = never.
    pub cut_threshold: f64,
}

impl Default for Controls {
    fn default() -> Self {
        Self {
            content_weight: 1.0,
            style_weight: None,
            tv_weight: 0.0,
            temporal_weight: 0.0,
            learning_rate: None,
            style_crop: 0.03,
            iterations: 6,
            first_iterations: 40,
            keyframe_interval: 1,
            strength: 1.0,
            cut_threshold: 0.3,
        }
    }
}
