// SPDX-License-Identifier: MIT OR Apache-2.0

//! The operations of which a Gatys step consists, and the backends that perform them.
//!
//! There is one description of the algorithm (in [`gatys`](crate::gatys)); a [`Backend`] only supplies operations on
//! tensors of its own, by traits that each have a subject: [`Memory`], [`Pictures`], [`Layers`], [`LossTerms`], [`Updates`]
//! and [`Control`]. Everything that is not one of these operations does not depend on the backend. `unsafe` and foreign
//! functions occur below this folder and nowhere else.
//!
//! Every operation of every backend is held against [`reference`](mod@reference), by the same test body.

pub mod budget;
pub mod cancel;
mod control;
pub mod cpu;
pub mod cuda;
mod filter_cache;
pub mod flow;
mod losses;
#[allow(unsafe_code)]
pub mod mapped_file;
mod memory;
mod network;
mod optimizer;
mod pictures;
pub mod reference;
pub mod registry;
pub mod resample;
mod shape;

pub use cancel::CancelToken;
pub use control::{Capture, Control};
pub use losses::{LossTerms, Moments, Scalar, Slot};
pub use memory::{FilterData, Memory, ScratchUse, Sizes};
pub use network::{Layers, Pooling};
pub use optimizer::{AdamKnobs, Updates};
pub use pictures::{ColourMap, ColourStatistics, Export, Interpolation, Mix, Pictures, guide};
pub use shape::Shape;

/// The traits whose methods are the operations, for those who use a certain backend rather than any.
pub mod prelude {
    pub use super::flow::FlowSteps;
    pub use super::{Backend, Control, Layers, LossTerms, Memory, Pictures, Sizes, Updates};
}

/// Why an operation did not happen.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The [`CancelToken`] said stop.
    #[error("the computation was cancelled")]
    Cancelled,
    #[error("not enough memory for {bytes} bytes")]
    OutOfMemory { bytes: usize },
    /// The driver of a device refused an operation.
    #[error("{device}: {operation}: {reason}")]
    Driver {
        device: String,
        operation: String,
        /// In the driver's words.
        reason: String,
        /// Whether this process can do nothing more with the device.
        lost: bool,
    },
    /// The computer lacks what was asked for; in words for its user.
    #[error("{0}")]
    Unavailable(String),
    /// A mistake of this program.
    #[error("{0}")]
    Internal(&'static str),
}

pub type Result<T> = std::result::Result<T, Error>;

/// All operations of a step.
///
/// Operands are [C, H, W] unless said otherwise. An operation whose operands do not fit together is a mistake of the caller
/// and panics; `Err` is for what happens in a right program: no memory, a cancelled computation, a lost device.
pub trait Backend: Pictures + Layers + LossTerms + Updates + Control {}

impl<B: Pictures + Layers + LossTerms + Updates + Control> Backend for B {}
