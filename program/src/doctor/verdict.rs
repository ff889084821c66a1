// SPDX-License-Identifier: MIT OR Apache-2.0

//! What can be done on this computer, and whether that is enough.

use super::reading::Read;
use super::report::Report;
use super::showing::LiveVideo;
use super::wording::list;
use crate::failure::Failure;

pub fn pictures(report: &mut Report, works: bool) {
    match works {
        true => report.works(
            "pictures",
            "JPEG, PNG, WebP, TIFF, GIF, BMP and others, in and out",
        ),
        false => report.broken("pictures", "the processor cannot paint"),
    }
}

/// Whether a film can be painted: what this program writes can be read, and something can be written.
pub fn films(report: &mut Report, painted: bool, read: &Read, written: &[&str]) -> bool {
    let works = painted && read.webm() && !written.is_empty();
    if works {
        let endings: Vec<String> = written.iter().map(|ending| format!(".{ending}")).collect();
        report.works(
            "films",
            format!(
                "{} with {} in; {} out",
                list(&read.files, "or"),
                list(&read.pictures, "or"),
                list(&endings, "or")
            ),
        );
    } else {
        let why = match painted {
            false => "video cannot be painted",
            true if !read.webm() => "not even WebM with VP8 or VP9 can be read",
            true => "no format can be written",
        };
        report.broken("films", why);
    }
    works
}

pub fn live(report: &mut Report, works: bool, shown: &LiveVideo) {
    if !works {
        return report.broken("live", "video cannot be painted beside a stream");
    }
    let from = match shown.camera {
        true => "a camera, a file or the test picture in",
        false => "a file or the test picture in",
    };
    let to = match shown.window {
        true => "a window, a file or a virtual camera out",
        false => "by --to a file or a virtual camera out",
    };
    report.works("live", format!("{from}; {to}"));
}

/// An error that names what does not work, if anything.
pub fn sum_up(subjects: &[(&str, bool)]) -> Result<(), Failure> {
    let failed: Vec<_> = subjects
        .iter()
        .filter(|(_, works)| !works)
        .map(|(name, _)| name)
        .collect();
    match list(&failed, "and").as_str() {
        "" => Ok(()),
        names => Err(format!("{names} cannot be used here; see ✗ above").into()),
    }
}
