// SPDX-License-Identifier: MIT OR Apache-2.0

//! Figures measured by a network: how far the statistics of its activations are from the style's, and its activations
//! from the content's.

use super::figures::{Planes, self_similarity};
use crate::failure::Failure;
use crate::measure::judge::{FeatureNetwork, relative};
use neuralstyle::gatys::style::LayerMoments;
use neuralstyle::gatys::{Network, NetworkChoice};
use neuralstyle::stylizer::Frame;

/// The layers whose statistics are the style.
const STYLE_LAYERS: [&str; 4] = ["relu1_1", "relu2_1", "relu3_1", "relu4_1"];
/// The layer whose activations are the content.
const CONTENT_LAYER: &str = "relu4_2";
/// The layer whose places are compared with one another.
const SELF_SIMILARITY_LAYER: &str = "relu3_3";

/// The embedded VGG-16, whichever network painted.
pub struct Vgg {
    network: FeatureNetwork,
    /// In the order of [`STYLE_LAYERS`].
    style: [usize; 4],
    content: usize,
    self_similarity: usize,
}

/// The network's figures of a painting.
pub struct Distances {
    /// ‖G(P) − G(S)‖² / ‖G(S)‖², G the mean over pixels of a aᵀ: the mean over the style layers.
    pub gram: f64,
    /// The same of K = E[a aᵀ] − μ μᵀ.
    pub covariance: f64,
    /// The same of μ.
    pub mean: f64,
    /// ‖a(P) − a(C)‖² / ‖a(C)‖² on relu4_2.
    pub content: f64,
    /// See [`self_similarity`].
    pub cfsd: f64,
}

impl Vgg {
    pub fn new() -> Result<Self, Failure> {
        let network = Network::open(NetworkChoice::Vgg16, None)?;
        let node = |layer: &str| -> Result<usize, Failure> { Ok(network.stage_of(layer)? + 1) };
        let [one, two, three, four] = STYLE_LAYERS;
        let style = [node(one)?, node(two)?, node(three)?, node(four)?];
        let (content, self_similarity) = (node(CONTENT_LAYER)?, node(SELF_SIMILARITY_LAYER)?);
        let mut nodes = style.to_vec();
        nodes.extend([content, self_similarity]);
        Ok(Self {
            // Planned anew for the size of each picture.
            network: FeatureNetwork::new(&network, nodes, (16, 16))?,
            style,
            content,
            self_similarity,
        })
    }

    /// Compares a painting with a content of the same size and with a style picture, which is resampled to `style_size` and
    /// returned as it is then.
    pub fn compare(
        &mut self,
        painting: &Frame,
        content: &Frame,
        style: &Frame,
        style_size: (usize, usize),
    ) -> Result<(Distances, Planes), Failure> {
        self.network.forward(style, style_size)?;
        let of_style = self.moments()?;
        let style = Planes {
            width: style_size.0,
            height: style_size.1,
            values: self.network.picture()?,
        };
        self.network.forward(content, content.size())?;
        let (content_values, _) = self.network.activations(self.content)?;
        let (content_patches, places) = self.network.activations(self.self_similarity)?;
        self.network.forward(painting, painting.size())?;
        let of_painting = self.moments()?;
        let (values, _) = self.network.activations(self.content)?;
        let (patches, _) = self.network.activations(self.self_similarity)?;

        let over_layers = |of: fn(&LayerMoments) -> Vec<f32>| {
            let layers = of_painting.iter().zip(&of_style);
            let relatives = layers.map(|(found, wanted)| relative(&of(found), &of(wanted)));
            relatives.sum::<f64>() / STYLE_LAYERS.len() as f64
        };
        let distances = Distances {
            gram: over_layers(|moments| moments.gram.clone()),
            covariance: over_layers(LayerMoments::covariance),
            mean: over_layers(|moments| moments.mean.clone()),
            content: relative(&values, &content_values),
            cfsd: self_similarity::distance(&content_patches, &patches, places.width, places.height),
        };
        Ok((distances, style))
    }

    /// The moments of the style layers of the picture that was measured last.
    fn moments(&mut self) -> Result<Vec<LayerMoments>, Failure> {
        let Self { network, style, .. } = self;
        style.iter().map(|&node| network.moments(node)).collect()
    }
}
