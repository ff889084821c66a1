// SPDX-License-Identifier: MIT OR Apache-2.0

//! GStreamer itself, the element in this program, and the plugin for launch lines.

use std::env;
use std::path::PathBuf;

use gst::prelude::*;

use super::report::{Mark, Report};
use crate::failure::Failure;

const OLDEST: (u32, u32) = (1, 22);
const PLUGIN: &str = match cfg!(target_os = "macos") {
    true => "libgstneuralstyle.dylib",
    false => "libgstneuralstyle.so",
};

/// Whether this program can paint video. The element is registered by this, too.
pub fn check(report: &mut Report) -> Result<bool, Failure> {
    let (major, minor, micro, _) = gst::version();
    let new_enough = (major, minor) >= OLDEST;
    let version = format!("{major}.{minor}.{micro}");
    if new_enough {
        report.works("version", version);
    } else {
        let (major, minor) = OLDEST;
        report.broken(
            "version",
            format!("{version}; {major}.{minor} or a later one is needed"),
        );
    }
    // Before the element of this program is registered under the same name.
    let found = gst::ElementFactory::find("neuralstyle");
    gstneuralstyle::plugin_register_static()?;
    report.works(
        "element",
        format!(
            "neuralstyle {} is built into this program",
            env!("CARGO_PKG_VERSION")
        ),
    );
    match found.and_then(|factory| factory.plugin()) {
        Some(plugin) => tell_of(report, &plugin),
        None => tell_what_lacks(report),
    }
    tell_of_the_tools(report);
    Ok(new_enough)
}

/// The plugin that launch lines use.
fn tell_of(report: &Report, plugin: &gst::Plugin) {
    let place = plugin
        .filename()
        .map_or_else(|| "a program's own".to_owned(), |path| path.display().to_string());
    // It is in the registry because it could be loaded. That is not tried again: this program has its type already.
    report.works(
        "plugin",
        format!("gst-launch-1.0 finds version {} in {place}", plugin.version()),
    );
}

/// Why launch lines have no element `neuralstyle`, and what gives them one. This program needs none.
fn tell_what_lacks(report: &Report) {
    let refused = gst::Registry::get()
        .lookup(PLUGIN)
        .and_then(|plugin| plugin.filename());
    let words = if let Some(path) = refused {
        format!(
            "{} cannot be loaded by gst-launch-1.0. This says why:\n  GST_DEBUG=2 gst-inspect-1.0 neuralstyle",
            path.display()
        )
    } else if let Some(folder) = beside_the_program() {
        let variable = path_variable();
        let before = match env::var_os(variable).is_some_and(|value| !value.is_empty()) {
            true => format!(":${variable}"),
            false => String::new(),
        };
        format!(
            "gst-launch-1.0 finds none. After this it does:\n  export {variable}=\"{}{before}\"",
            folder.display()
        )
    } else {
        format!(
            "gst-launch-1.0 finds none; for launch lines, put {PLUGIN} into a folder that {} names",
            path_variable()
        )
    };
    report.lacks("plugin", words);
}

/// The folder of this program, if the plugin is there, too, as after cargo build.
fn beside_the_program() -> Option<PathBuf> {
    let folder = env::current_exe().ok()?.parent()?.to_owned();
    folder.join(PLUGIN).is_file().then_some(folder)
}

/// The variable whose folders GStreamer looks into: the first alone where it is set.
fn path_variable() -> &'static str {
    ["GST_PLUGIN_PATH_1_0", "GST_PLUGIN_PATH"]
        .into_iter()
        .find(|name| env::var_os(name).is_some())
        .unwrap_or("GST_PLUGIN_PATH")
}

fn tell_of_the_tools(report: &mut Report) {
    let name = "gst-launch-1.0";
    let folders = env::var_os("PATH").unwrap_or_default();
    let place = env::split_paths(&folders)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file());
    match place {
        Some(place) => report.works("tools", place.display().to_string()),
        None => {
            let tool = [("gstreamer1.0-tools", format!("{name}, for launch lines"))];
            report.missing(Mark::Lacks, "tools", &tool);
        }
    }
}
