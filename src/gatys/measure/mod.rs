// SPDX-License-Identifier: MIT OR Apache-2.0

//! What is measured of a picture: the activations of a network's layers, and J(G) with its gradient.

pub mod features;
pub mod objective;
pub mod style;
