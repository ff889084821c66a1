// SPDX-License-Identifier: MIT OR Apache-2.0

//! The formats that `neuralstyle film` can write here.

use super::report::{Mark, Report};
use super::wording::list;
use crate::film::formats::{CONTAINERS, Container, Part, SURROUNDINGS, existing};

/// The endings of the files that can be written.
pub fn check(report: &mut Report) -> Vec<&'static str> {
    let surrounded = all_exist(report, "film", &SURROUNDINGS);
    let mut written = Vec::new();
    for container in &CONTAINERS {
        if tell(report, container) && surrounded {
            written.push(container.ending);
        }
    }
    written
}

/// Whether all of some elements that a command cannot do without are there.
pub fn all_exist(report: &mut Report, command: &str, parts: &[Part]) -> bool {
    let missing: Vec<_> = parts.iter().filter(|part| !part.exists()).map(brought).collect();
    report.missing(Mark::Broken, command, &missing);
    missing.is_empty()
}

/// Tells what writes such files; whether everything for it is there.
fn tell(report: &mut Report, container: &Container) -> bool {
    let name = format!(".{}", container.ending);
    let video = container.video();
    let candidates = [
        std::slice::from_ref(&container.muxer),
        video.as_slice(),
        container.audio,
    ];
    let (mut there, mut missing) = (Vec::new(), Vec::new());
    for parts in candidates {
        match existing(parts) {
            Some(part) => there.push(part.element),
            None => missing.extend(parts.first().map(brought)),
        }
    }
    if missing.is_empty() {
        report.works(&name, list(&there, "and"));
    } else {
        report.missing(Mark::Lacks, &name, &missing);
    }
    missing.is_empty()
}

/// The package that brings an element, and the element.
fn brought(part: &Part) -> (&'static str, String) {
    (part.package, part.element.to_owned())
}
