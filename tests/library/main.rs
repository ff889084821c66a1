// SPDX-License-Identifier: MIT OR Apache-2.0

//! Facts of the world, held against the library.

#[macro_use]
#[path = "../common/operations/mod.rs"]
mod operations;

#[path = "../common/facts.rs"]
mod facts;
#[path = "../../program/src/measure/figures.rs"]
mod figures;
#[path = "../common/forge.rs"]
mod forge;
#[path = "../../program/src/measure/judge.rs"]
mod judge;
#[path = "../common/random.rs"]
mod random;
#[path = "../common/scene.rs"]
mod scene;
#[path = "../../program/src/measure/scenes.rs"]
mod scenes;
#[path = "../common/setup.rs"]
mod setup;

mod between;
mod colours;
mod documents;
mod every_operation;
mod following;
mod formulas;
mod gradients;
mod hostile_weights;
mod live;
mod measured;
mod motion;
mod network_files;
mod repeating;
mod stylizer;
mod weight_files;
