// SPDX-License-Identifier: MIT OR Apache-2.0

//! Repaints pictures and video in the style of any picture, by the optimisation of Gatys, Ecker and Bethge (2015).

#![deny(unsafe_code)]

pub mod backend;
pub mod gatys;
pub mod motion;
pub mod picture;
pub mod settings;
pub mod stylizer;
