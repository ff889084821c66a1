// SPDX-License-Identifier: MIT OR Apache-2.0

use std::path::PathBuf;

use crate::gatys;

/// Why a stream cannot be stylised, in words for the person who asked for it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Somebody cancelled; nothing is wrong.
    #[error("the computation was cancelled")]
    Cancelled,
    /// A setting that cannot work, alone or together with others.
    #[error("{property}={value}: {reason}")]
    Setting {
        property: &'static str,
        value: String,
        reason: String,
    },
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
    /// The numbers went bad and a fresh start did not help.
    #[error("the optimisation left the finite numbers ({0}); try a smaller learning-rate")]
    Diverged(String),
    /// The thread that paints has ended, by a mistake of this program; in its own words.
    #[error("the thread that paints has failed: {0}")]
    Worker(String),
    /// Everything of the layer below: networks, weight files, layers.
    #[error(transparent)]
    Gatys(gatys::Error),
}

impl Error {
    /// Whether there was no memory.
    pub(super) fn is_for_memory(&self) -> bool {
        use crate::backend::Error as B;
        matches!(
            self,
            Self::OutOfMemory { .. } | Self::Gatys(gatys::Error::Backend(B::OutOfMemory { .. }))
        )
    }

    /// Whether the machine failed, not what was asked of it.
    pub(super) fn is_the_machines(&self) -> bool {
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
