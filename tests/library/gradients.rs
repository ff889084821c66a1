// SPDX-License-Identifier: MIT OR Apache-2.0

//! The gradient is the gradient: the reference's against finite differences of J, the CPU's against the reference's;
//! and whole runs of both end in the same place.

mod agreement;
mod finite_differences;
mod runs;
