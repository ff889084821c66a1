// SPDX-License-Identifier: MIT OR Apache-2.0

//! The program and the scripts do what they say.

mod folder;
mod running;

#[cfg(unix)]
mod doctor;
mod films;
mod flags;
mod live;
mod manual;
mod measuring;
mod pictures;
mod scripts;
