// SPDX-License-Identifier: MIT OR Apache-2.0

//! Every operation of the CUDA backend does what the reference does, by the same bodies as the CPU's.

use crate::operations::{flow, losses, network, pictures, step, stopping, vectors};
use neuralstyle::backend::CancelToken;

backend!(cuda, crate::start::cuda);
flow_steps!(flow_on_cuda, crate::start::cuda);
