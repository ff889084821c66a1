// SPDX-License-Identifier: MIT OR Apache-2.0

//! The processor as Linux describes it.

/// The name of the processor and how many cores it has, out of /proc/cpuinfo. Many ARM processors have no name there.
pub fn parse(text: &str) -> (Option<String>, usize) {
    let fields = || {
        text.lines()
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.trim(), value.trim()))
    };
    let name = ["model name", "Model", "Hardware"]
        .into_iter()
        .find_map(|wanted| {
            fields()
                .find(|&(name, value)| name == wanted && !value.is_empty())
                .map(|(_, value)| value.to_owned())
        });
    (name, fields().filter(|&(name, _)| name == "processor").count())
}
