// SPDX-License-Identifier: MIT OR Apache-2.0

//! Reading what `torch.save(state_dict)` wrote.
//!
//! Both containers, a zip archive and an older stream, hold the same two things: a pickle that describes the
//! dictionary, in which tensors refer to storages by a key, and the storages' raw numbers.
//!
//! ```text
//! zip ─────┐                              ┌─ input, opcodes: pickle's bytes and instructions
//!          ├─► state_dict ─► machine ─────┤
//! legacy ──┘   (which tensors, by name)   └─ rebuild: the few Python callables that a state dict needs
//! ```

mod input;
pub(super) mod legacy;
mod machine;
mod opcodes;
mod rebuild;
mod state_dict;
mod value;
pub(super) mod zip;
