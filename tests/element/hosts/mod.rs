// SPDX-License-Identifier: MIT OR Apache-2.0

//! What programs that host filters do with the element, as their sources say.

mod obs;
mod presets;
