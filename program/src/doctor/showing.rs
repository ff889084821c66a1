// SPDX-License-Identifier: MIT OR Apache-2.0

//! What `neuralstyle live` needs: elements, a window, a camera.

use std::{env, fs};

use gst::prelude::*;

use super::report::{Mark, Report};
use super::wording::list;
use super::writing::all_exist;
use crate::live::SURROUNDINGS;

/// What of live video works.
pub struct LiveVideo {
    /// A stream can be painted. A window and a camera can be done without: a file may be shown, and be written.
    pub works: bool,
    pub window: bool,
    pub camera: bool,
}

pub fn check(report: &mut Report) -> LiveVideo {
    let works = all_exist(report, "live", &SURROUNDINGS);
    if works {
        report.works("elements", "all that neuralstyle live puts around the painter");
    }
    LiveVideo {
        works,
        window: tell_of_windows(report),
        camera: tell_of_cameras(report),
    }
}

/// Whether there is a window to be had.
fn tell_of_windows(report: &mut Report) -> bool {
    let set = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
    let (x11, wayland) = (set("DISPLAY"), set("WAYLAND_DISPLAY"));
    let sinks = sinks();
    if sinks.is_empty() {
        let (package, element) = match wayland && !x11 {
            true => ("gstreamer1.0-gl", "glimagesink"),
            false => ("gstreamer1.0-x", "ximagesink"),
        };
        report.missing(Mark::Lacks, "window", &[(package, element.to_owned())]);
        false
    } else if cfg!(target_os = "linux") && !x11 && !wayland {
        report.lacks(
            "window",
            format!(
                "{} would open one, but there is no screen here: neither DISPLAY nor WAYLAND_DISPLAY is set",
                list(&sinks, "or")
            ),
        );
        false
    } else {
        report.works("window", list(&sinks, "or"));
        true
    }
}

/// What `autovideosink` may choose from, the best first.
fn sinks() -> Vec<String> {
    use gst::ElementFactoryType as Type;
    let kind = Type::SINK | Type::MEDIA_VIDEO;
    let factories = gst::ElementFactory::factories_with_type(kind, gst::Rank::MARGINAL);
    let mut sinks: Vec<_> = factories
        .iter()
        .filter(|factory| factory.klass().contains("Video") && factory.load().is_ok())
        .collect();
    sinks.sort_by_key(|factory| std::cmp::Reverse(factory.rank()));
    sinks.iter().map(|factory| factory.name().to_string()).collect()
}

/// Whether there is a camera.
fn tell_of_cameras(report: &mut Report) -> bool {
    if gst::ElementFactory::find("v4l2src").is_none_or(|factory| factory.load().is_err()) {
        let source = [("gstreamer1.0-plugins-good", "v4l2src".to_owned())];
        report.missing(Mark::Lacks, "camera", &source);
        return false;
    }
    let cameras = cameras();
    if cameras.is_empty() {
        report.lacks(
            "camera",
            "v4l2src is there, but no camera: /dev/video0 does not exist",
        );
    } else {
        report.works("camera", format!("v4l2src: {}", list(&cameras, "and")));
    }
    !cameras.is_empty()
}

/// The cameras that Linux knows, as in "/dev/video0 (Integrated Camera)".
fn cameras() -> Vec<String> {
    let entries = fs::read_dir("/sys/class/video4linux")
        .into_iter()
        .flatten()
        .flatten();
    let mut cameras: Vec<_> = entries
        .map(|entry| {
            let device = format!("/dev/{}", entry.file_name().display());
            match fs::read_to_string(entry.path().join("name")) {
                Ok(name) => format!("{device} ({})", name.trim()),
                Err(_) => device,
            }
        })
        .collect();
    cameras.sort();
    cameras
}
