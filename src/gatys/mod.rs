// SPDX-License-Identifier: MIT OR Apache-2.0

//! One picture by the method of Gatys, Ecker and Bethge (2015): a content loss and a style loss measured by a
//! feature network, and gradient descent on the picture.
//!
//! [`Network`] is data read from a file; an [`Extractor`](extractor) carries it out on a
//! [`Backend`](crate::backend::Backend); an [`Objective`](objective) is J(G) and its gradient; a [`Painter`] runs the
//! optimiser from coarse to fine.

mod measure;
mod network;
mod paint;
mod painter;
mod run;
mod statistic;
mod video;

pub use crate::settings::{
    Init, LayerWeights, LayerWeightsError, NetworkChoice, Normalization, OptimizerKind, PoolingChoice,
    StyleStatistic, UnknownName,
};
pub use measure::{features, objective, style};
pub use network::{Defaults, Network, Stage, StyleWeights, extractor, weights};
pub use objective::{LossWeights, Losses};
pub use paint::colour::{axes, eigen, follow, matching};
pub use paint::optimizer::{Optimizer, OptimizerSettings};
pub use paint::scale::{ScaleState, Step};
pub use painter::{Demand, Painter, StyleSize, mix};
pub use run::{PreviewSink, Recipe, Run, StepObserver};
pub use statistic::{Measure, Statistic};
pub use video::between::Sides;
pub use video::displacement::Displacement;

/// Why a picture cannot be painted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Weights(#[from] weights::WeightsError),
    /// A network from a file was asked for, but no file.
    #[error("network=file: set `weights` to the path of a VGG-16 or VGG-19")]
    NoWeights,
    /// The file is readable, but its tensors are not a network that this program knows to run.
    #[error("the file {file} is not a VGG network: {reason}")]
    NotAVgg { file: String, reason: String },
    /// A layer that the network does not have.
    #[error("the network {network} has no layer ‘{layer}’; it has {known}")]
    UnknownLayer {
        network: String,
        layer: String,
        known: String,
    },
    #[error(transparent)]
    Backend(#[from] crate::backend::Error),
}

pub type Result<T> = std::result::Result<T, Error>;
