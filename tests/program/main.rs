// SPDX-License-Identifier: MIT OR Apache-2.0

//! The program and the scripts do what they say.

#[path = "../../program/src/measure/look/figures/mod.rs"]
mod figures;
mod folder;
mod running;

mod clock;
#[cfg(unix)]
mod doctor;
mod films;
mod flags;
mod kinds;
mod live;
mod looks;
mod manual;
mod measuring;
mod packages;
mod pictures;
mod scripts;
