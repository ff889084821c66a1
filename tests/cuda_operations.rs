// SPDX-License-Identifier: MIT OR Apache-2.0

//! Every operation of the CUDA backend does what the reference does, by the same bodies as the CPU's.

#[macro_use]
#[path = "operations/bodies.rs"]
mod bodies;
#[path = "operations/flow.rs"]
mod flow;
#[path = "operations/losses.rs"]
mod losses;
#[path = "operations/network.rs"]
mod network;
#[path = "operations/pair.rs"]
mod pair;
#[path = "operations/pictures.rs"]
mod pictures;
#[path = "common/random.rs"]
mod random;
#[path = "cuda/start.rs"]
mod start;
#[path = "operations/step.rs"]
mod step;
#[path = "operations/stopping.rs"]
mod stopping;
#[path = "operations/vectors.rs"]
mod vectors;

use gstneuralstyle::backend::CancelToken;

backend!(cuda, crate::start::cuda);
flow_steps!(flow_on_cuda, crate::start::cuda);
