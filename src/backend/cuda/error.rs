// SPDX-License-Identifier: MIT OR Apache-2.0

//! What can be wrong with a card or its driver, in words for its owner.

use cudarc::driver::DriverError;
use cudarc::driver::sys::CUresult;

use crate::backend::Error;

/// Why there is no CUDA backend on this computer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    #[error("there is no NVIDIA driver (libcuda.so.1 cannot be loaded)")]
    NoDriver,
    #[error(
        "the NVIDIA driver has no function {symbol}; version 11.4 of CUDA (driver 470) or a later one is needed"
    )]
    MissingSymbol { symbol: &'static str },
    #[error("the NVIDIA driver speaks CUDA {major}.{minor}; 11.4 (driver 470) or a later one is needed")]
    OldDriver { major: i32, minor: i32 },
    #[error("the NVIDIA driver does not start: {reason}")]
    NotStarted { reason: String },
    #[error("the NVIDIA driver knows no card")]
    NoDevice,
    #[error("cuda-device-id={id}: there is no such card; the driver knows {count}, counted from 0")]
    NoSuchDevice { id: i32, count: i32 },
    #[error("{name} has compute capability {major}.{minor}; 7.5 (Turing) or a later one is needed")]
    TooOld { name: String, major: i32, minor: i32 },
    #[error("no card is usable: {reasons}")]
    NoneUsable { reasons: String },
    #[error("{name} computes wrongly: {what}; a newer driver may help")]
    WrongAnswers { name: String, what: String },
    #[error("{name} cannot be used: {reason}")]
    Failed { name: String, reason: String },
}

impl Unavailable {
    /// Whether there is anything of NVIDIA's on this computer, so that its owner may wonder why it is not used.
    pub fn concerns_a_card(&self) -> bool {
        !matches!(self, Self::NoDriver | Self::NoDevice)
    }
}

impl From<Unavailable> for Error {
    fn from(unavailable: Unavailable) -> Self {
        Self::Unavailable(unavailable.to_string())
    }
}

/// What the driver says, and what may be done about it.
pub fn words(error: &DriverError) -> String {
    let text = |found: Result<&std::ffi::CStr, DriverError>| {
        found.map_or_else(
            |_| format!("error {}", error.0 as u32),
            |text| text.to_string_lossy().into_owned(),
        )
    };
    let said = format!("{} ({})", text(error.error_name()), text(error.error_string()));
    if is_lost(error.0) {
        format!("{said}: the card is lost to this program until it starts again")
    } else {
        said
    }
}

/// Whether nothing more can be done with the card's context after this.
pub fn is_lost(code: CUresult) -> bool {
    use CUresult as E;
    matches!(
        code,
        E::CUDA_ERROR_ILLEGAL_ADDRESS
            | E::CUDA_ERROR_MISALIGNED_ADDRESS
            | E::CUDA_ERROR_INVALID_ADDRESS_SPACE
            | E::CUDA_ERROR_INVALID_PC
            | E::CUDA_ERROR_ILLEGAL_INSTRUCTION
            | E::CUDA_ERROR_HARDWARE_STACK_ERROR
            | E::CUDA_ERROR_LAUNCH_FAILED
            | E::CUDA_ERROR_LAUNCH_TIMEOUT
            | E::CUDA_ERROR_ECC_UNCORRECTABLE
            | E::CUDA_ERROR_CONTEXT_IS_DESTROYED
            | E::CUDA_ERROR_DEVICE_UNAVAILABLE
            | E::CUDA_ERROR_DEINITIALIZED
            | E::CUDA_ERROR_UNKNOWN
    )
}
