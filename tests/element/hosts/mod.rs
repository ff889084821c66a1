// SPDX-License-Identifier: MIT OR Apache-2.0

//! What programs that host filters do with the element, as their sources say, and the lines of docs/hosts.md.

mod editors;
mod lines;
mod obs;
mod presets;
mod several;
mod vimix;

use std::path::PathBuf;

/// A file of the project, by its path from the root.
fn file(name: &str) -> PathBuf {
    std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join(name)
}
