// SPDX-License-Identifier: MIT OR Apache-2.0

//! Gradient descent on a picture at one size, and what is decided before it: sizes, steps, rates, beginnings.

pub mod colour;
pub mod noise;
pub mod optimizer;
pub mod scale;
pub mod schedule;
