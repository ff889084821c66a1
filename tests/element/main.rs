// SPDX-License-Identifier: MIT OR Apache-2.0

//! Facts of the world, held against the element in pipelines.

mod common;
mod recordings;
#[path = "../common/softgpu.rs"]
mod softgpu;
#[path = "../common/start.rs"]
mod start;

mod between;
mod documented;
mod errors;
mod formats;
mod frames;
mod hosts;
mod leaks;
mod live;
mod on_a_card;
mod plugin_cache;
mod properties;
mod same_bytes;
mod scenarios;
mod stop;
mod stream;
mod validate;
