// SPDX-License-Identifier: MIT OR Apache-2.0

//! From one frame to the next: what a painting keeps and how it moves along; frames between two keyframes.

pub mod between;
pub mod continuation;
pub mod displacement;
