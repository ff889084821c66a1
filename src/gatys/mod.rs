// SPDX-License-Identifier: MIT OR Apache-2.0

//! One picture by the method of Gatys, Ecker and Bethge (2015): a content loss and a style loss measured by a
//! feature network, and gradient descent on the picture.
//!
//! [`Network`] is data read from a file; an [`Extractor`](extractor) carries it out on a
//! [`Backend`](crate::backend::Backend); an [`Objective`](objective) is J(G) and its gradient; a [`Painter`] runs the
//! optimiser from coarse to fine.

mod between;
mod canvas;
mod carry;
mod colour;
mod continuation;
pub mod extractor;
mod network;
mod noise;
pub mod objective;
mod optimizer;
mod options;
mod painter;
mod run;
mod schedule;
pub mod weights;

pub use between::Sides;
pub use canvas::{Canvas, Step};
pub use carry::Carry;
pub use colour::{follow, matching};
pub use network::{Defaults, Network, Stage};
pub use objective::{Losses, Weights};
pub use optimizer::{Optimizer, OptimizerSettings};
pub(crate) use options::names;
pub use options::{
    Init, LayerWeights, LayerWeightsError, NetworkChoice, Normalization, OptimizerKind, PoolingChoice,
    UnknownName,
};
pub use painter::{Demand, Painter, mix};
pub use run::{PreviewSink, Recipe, Run, StepObserver};

/// Why a picture cannot be painted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Weights(#[from] weights::WeightsError),
    /// A network from a file was asked for, but no file.
    #[error("network=file needs a file; set `weights` to the path of a VGG-16 or VGG-19")]
    NoWeights,
    /// The file is readable, but its tensors are not a network that this program knows to run.
    #[error("{file} is not a VGG network: {reason}")]
    NotAVgg { file: String, reason: String },
    /// A layer that the network does not have.
    #[error("{network} has no layer ‘{layer}’; it has {known}")]
    UnknownLayer {
        network: String,
        layer: String,
        known: String,
    },
    #[error(transparent)]
    Backend(#[from] crate::backend::Error),
}

pub type Result<T> = std::result::Result<T, Error>;
