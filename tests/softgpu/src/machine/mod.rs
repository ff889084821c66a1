// SPDX-License-Identifier: MIT OR Apache-2.0

//! The card itself: memory with its shadow, warps of 32 lanes, blocks, and launches over several threads.

mod arithmetic;
mod atomics;
mod block;
mod collective;
mod compare;
mod convert;
mod copies;
pub mod coverage;
pub mod float16;
mod integer;
mod interpreter;
mod lanes;
mod lanewise;
pub mod launch;
mod loads;
mod local;
pub mod memory;
mod order;
mod pages;
pub mod profile;
mod races;
pub mod report;
mod rounding;
mod shared;
mod tensor;
mod transfers;
mod warp;
pub mod watch;

/// Shared memory begins here, as on cards that keep the first kibibyte for themselves: a null pointer is no variable.
pub const SHARED_START: u32 = 1024;

/// Where shared and local memory appear among the generic addresses, and where the memory of the card begins. No
/// address of this process lies there, so a pointer of the host is no pointer of the card and the other way round.
pub const SHARED_WINDOW: u64 = 0x0100_0000_0000;
pub const LOCAL_WINDOW: u64 = 0x0200_0000_0000;
pub const WINDOW_BYTES: u64 = 0x0100_0000_0000;
pub const DEVICE_BASE: u64 = 0x0a00_0000_0000;

pub const WARP: usize = 32;
