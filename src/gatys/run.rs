// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a painter is told.

use super::canvas::Step;
use super::{Init, LayerWeights, Normalization, OptimizerSettings, PoolingChoice, Weights};

/// How a picture is painted; what holds for a whole stream.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// `None` = the network's own default.
    pub content_layers: Option<LayerWeights>,
    /// `None` = the network's own default.
    pub style_layers: Option<LayerWeights>,
    pub normalization: Normalization,
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

/// Somebody who wants to see every step.
pub type Watch = Box<dyn FnMut(&Step) + Send>;

/// How far to go with a frame.
pub struct Run<'a> {
    pub weights: Weights,
    /// On the 0..1 scale of pixel values.
    pub rate: f64,
    /// Full-size steps, or their equivalent in cost.
    pub iterations: usize,
    /// Is told of every step; that costs a look at the machine's losses each time.
    pub watch: Option<&'a mut Watch>,
    /// Sees a fresh start before it is finished.
    pub onlooker: Option<&'a mut dyn Onlooker>,
}

/// Somebody who wants to see a painting before it is finished.
pub trait Onlooker {
    /// Whether it is time for a look. Asked after every step; when a painting comes to its full size, that is looked at
    /// without asking.
    fn wants_a_look(&mut self) -> bool;
    /// Gets what there is of the picture, [3, H, W] at the full size.
    fn see(&mut self, picture: Vec<f32>);
}
