// SPDX-License-Identifier: MIT OR Apache-2.0

//! The packages that bring what is missing.

use std::collections::BTreeSet;

/// Says how they are installed, in a line that can be copied.
pub fn tell(packages: &BTreeSet<&'static str>) {
    if packages.is_empty() {
        return;
    }
    let packages: Vec<_> = packages.iter().copied().collect();
    say!("\nOn Debian and Ubuntu, this installs what is missing:");
    say!("  sudo apt install {}", packages.join(" "));
}
