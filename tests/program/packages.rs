// SPDX-License-Identifier: MIT OR Apache-2.0

//! What packages are made of. tests/package.sh makes, installs and removes them.

use std::path::Path;
use std::process::Command;

use crate::running::{run, said, words};

/// Software centres show a program by its metadata.
#[test]
fn the_metadata_for_software_centres_is_valid() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = root.join("package/io.github.neuralstyle.neuralstyle.metainfo.xml");
    let tool = "appstreamcli";
    if Command::new(tool).arg("--version").output().is_err() {
        println!("skipped: {tool} is not here; Debian's package appstream brings it");
        return;
    }
    let checked = run(Command::new(tool).args(["validate", "--no-net"]).arg(file));
    assert!(checked.status.success(), "{}{}", said(&checked), words(&checked));
}
