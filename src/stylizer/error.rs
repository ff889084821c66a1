// SPDX-License-Identifier: MIT OR Apache-2.0

use std::path::PathBuf;

use crate::gatys;
use crate::settings::Refused;

/// Why a stream cannot be stylised, in words for the user.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The computation was cancelled on request; nothing is wrong.
    #[error("the computation was cancelled")]
    Cancelled,
    /// A setting that cannot work, alone or together with others.
    #[error(transparent)]
    Setting(#[from] Refused),
    /// A frame came before `set_style`.
    #[error("no style picture is set; set `style` to the path of a picture")]
    NoStyle,
    #[error("there is no style picture at {}", path.display())]
    StyleNotFound { path: PathBuf },
    #[error("the style picture {} cannot be read: {reason}", path.display())]
    StyleUnreadable { path: PathBuf, reason: String },
    /// The backend that was asked for does not work on this machine.
    #[error("{0}")]
    BackendUnavailable(String),
    /// The plan of a step does not fit.
    #[error("not enough memory: {needed_bytes} bytes are needed at {width}×{height}; {advice}")]
    OutOfMemory {
        needed_bytes: usize,
        width: usize,
        height: usize,
        advice: String,
    },
    /// A fresh start with a smaller learning rate diverged, too. The losses are those before the last step.
    #[error("the optimisation produced NaN or infinite values; try a smaller learning-rate")]
    Diverged(gatys::Losses),
    /// The system did not start a thread, for `purpose`.
    #[error("the system gives no thread {purpose}: {source}")]
    NoThread {
        purpose: &'static str,
        source: std::io::Error,
    },
    /// The painting thread panicked, with this message: a bug of this program. The next frame starts afresh.
    #[error("painting in the background failed by a bug in this program: {0}")]
    Panicked(String),
    /// What went wrong with the network, its weights or its layers, or in the backend.
    #[error(transparent)]
    Gatys(gatys::Error),
}

impl Error {
    /// Whether memory was lacking.
    pub(super) fn is_for_memory(&self) -> bool {
        use crate::backend::Error as B;
        matches!(
            self,
            Self::OutOfMemory { .. } | Self::Gatys(gatys::Error::Backend(B::OutOfMemory { .. }))
        )
    }

    /// Whether the backend failed, so that another one may succeed at the same.
    pub(super) fn is_of_the_backend(&self) -> bool {
        use crate::backend::Error as B;
        match self {
            Self::OutOfMemory { .. } => true,
            Self::Gatys(gatys::Error::Backend(error)) => !matches!(error, B::Cancelled),
            _ => false,
        }
    }
}

impl From<gatys::Error> for Error {
    fn from(error: gatys::Error) -> Self {
        match error {
            gatys::Error::Backend(crate::backend::Error::Cancelled) => Self::Cancelled,
            other => Self::Gatys(other),
        }
    }
}

impl From<crate::backend::Error> for Error {
    fn from(error: crate::backend::Error) -> Self {
        gatys::Error::Backend(error).into()
    }
}
