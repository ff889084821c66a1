// SPDX-License-Identifier: MIT OR Apache-2.0

//! libcuda: the driver's functions, as far as cudarc needs them, over the machine.

mod card;
mod device_calls;
mod errors;
mod extras;
mod leaks;
mod memory_calls;
mod module_calls;
mod modules;
mod onlookers;
mod order;
mod pinned;
mod settings;
mod state;
mod stream_calls;
mod streams;
mod tools;
