// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a painter is asked for.

use super::paint::scale::Step;
use super::{Init, LayerWeights, LossWeights, Measure, Normalization, OptimizerSettings, PoolingChoice};
use crate::settings::Options;

/// The margin of a coarse-to-fine start: what the zeros beyond the frame's edge visibly disturb.
const DEFAULT_OVERSCAN: usize = 8;

/// How a picture is painted; what holds for a whole stream.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// `None` = the network's own default.
    pub content_layers: Option<LayerWeights>,
    /// `None` = the network's own default.
    pub style_layers: Option<LayerWeights>,
    pub measure: Measure,
    pub pooling: PoolingChoice,
    pub optimizer: OptimizerSettings,
    /// Share of the content's detail that is added back at each step up in size, and half of how far the result follows
    /// the frame's edges where the frame is larger.
    pub detail: f64,
    /// Share of a run's steps, at its end, over which the rate falls.
    pub rate_decay: f64,
    /// Margin in pixels that is painted beyond the frame's edge and then cropped off.
    pub border: usize,
    /// Sizes of a fresh start; 0 = choose by size.
    pub scales: usize,
    pub init: Init,
    pub seed: u32,
}

impl From<&Options> for Recipe {
    fn from(options: &Options) -> Self {
        let plain = options.scales == 1 || options.normalization == Normalization::Gatys;
        Self {
            content_layers: options.content_layers.clone(),
            style_layers: options.style_layers.clone(),
            measure: Measure::from(options),
            pooling: options.pooling,
            optimizer: OptimizerSettings::from(options),
            detail: options.detail,
            rate_decay: options.rate_decay,
            border: options
                .overscan
                .unwrap_or(if plain { 0 } else { DEFAULT_OVERSCAN }),
            scales: options.scales,
            init: options.init,
            seed: options.seed,
        }
    }
}

impl Default for Recipe {
    fn default() -> Self {
        Self::from(&Options::default())
    }
}

/// Called after every step.
pub type StepObserver = Box<dyn FnMut(&Step) + Send>;

/// How far to go with a frame.
pub struct Run<'a> {
    pub weights: LossWeights,
    /// On the 0..1 scale of pixel values.
    pub rate: f64,
    /// Full-size steps, or their equivalent in cost.
    pub iterations: usize,
    /// 0..1: multiplies the share of the picture shown last in the one shown now, where a picture stands still.
    pub steadiness: f64,
    /// Called after every step, for which the losses are read back from the backend each time.
    pub observer: Option<&'a mut StepObserver>,
    /// Gets previews of a fresh start.
    pub previews: Option<&'a mut dyn PreviewSink>,
}

/// Receives previews of a painting before it is finished.
pub trait PreviewSink {
    /// Whether it is time for a preview. Asked after every step; when a painting first comes to its full size, there is one
    /// without asking.
    fn wants_preview(&mut self) -> bool;
    /// Takes a preview, [3, H, W] at the full size.
    fn show(&mut self, picture: Vec<f32>);
}
