// SPDX-License-Identifier: MIT OR Apache-2.0

//! Progress on the terminal.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar of `length` with what `template` says behind it; without a terminal there is none.
pub fn bar(length: u64, template: &str) -> ProgressBar {
    // A template that cannot be read is shown as an ordinary bar.
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(length).with_style(style)
}

/// Says something above the bar, or, without a terminal, where there is no bar, all the same.
pub fn tell(bar: &ProgressBar, words: impl AsRef<str>) {
    if bar.is_hidden() {
        eprintln!("{}", words.as_ref());
    } else {
        bar.println(words);
    }
}
