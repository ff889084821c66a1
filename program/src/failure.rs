// SPDX-License-Identifier: MIT OR Apache-2.0

/// Why a command stops, in words for the person who started it.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
