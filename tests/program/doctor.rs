// SPDX-License-Identifier: MIT OR Apache-2.0

//! What `neuralstyle doctor` says of this computer, and of one that lacks something.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use gst::prelude::*;
use tempfile::TempDir;

use crate::running::{assert_refused, command, run, said, words};

#[path = "../../program/src/doctor/cpuinfo.rs"]
mod cpuinfo;
#[path = "../../program/src/doctor/wording.rs"]
mod wording;

/// A computer whose GStreamer has some plugins only.
struct Computer(TempDir);

impl Computer {
    fn without_plugins() -> Self {
        let computer = Self(tempfile::tempdir().unwrap());
        fs::create_dir(computer.plugins()).unwrap();
        computer
    }

    /// All plugins of this computer but those in these files.
    fn without(names: &[&str]) -> Self {
        let computer = Self::without_plugins();
        for entry in fs::read_dir(folder_of_plugins()).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap();
            if !names.contains(&name.to_str().unwrap()) {
                symlink(&path, computer.plugins().join(name)).unwrap();
            }
        }
        computer
    }

    fn plugins(&self) -> PathBuf {
        self.0.path().join("plugins")
    }

    fn doctor(&self) -> Command {
        let mut doctor = command(&["doctor", "--quick"]);
        doctor
            .env("GST_PLUGIN_SYSTEM_PATH_1_0", self.plugins())
            .env("GST_PLUGIN_PATH_1_0", "")
            .env("GST_REGISTRY", self.0.path().join("registry.bin"))
            // A plugin that cannot be loaded is what some tests are about.
            .env_remove("G_DEBUG");
        doctor
    }
}

/// Where the plugins of this computer are.
fn folder_of_plugins() -> PathBuf {
    gst::init().unwrap();
    let queue = gst::ElementFactory::find("queue").unwrap();
    let file = queue.plugin().unwrap().filename().unwrap();
    file.parent().unwrap().to_owned()
}

/// The lines of a report as if the terminal were wide.
fn lines(output: &Output) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in said(output).lines() {
        match line.strip_prefix("               ") {
            Some(more) => {
                let last = lines.last_mut().unwrap();
                last.push(' ');
                last.push_str(more);
            }
            None => lines.push(line.to_owned()),
        }
    }
    lines
}

/// Whether a line begins with this mark and name, and goes on with these words.
fn has(output: &Output, mark: &str, name: &str, expected: &str) -> bool {
    let head = format!("  {mark} {name:10} ");
    lines(output).iter().any(|line| {
        line.strip_prefix(&head)
            .is_some_and(|rest| rest.contains(expected))
    })
}

#[test]
fn a_computer_with_the_usual_plugins_is_healthy() {
    let output = run(&mut command(&[
        "doctor",
        "--networks",
        "tiny",
        "--sizes",
        "64",
        "--steps",
        "2",
    ]));
    assert!(output.status.success(), "{}{}", said(&output), words(&output));
    for (name, expected) in [
        ("version", "1."),
        ("element", "is built into this program"),
        ("files", "MKV/WebM (matroskademux)"),
        ("pictures", "VP8 ("),
        ("sound", "Opus ("),
        (".webm", "webmmux"),
        ("processor", "core"),
        ("painting", "thread"),
        ("pictures", "in and out"),
        ("films", ".webm"),
        ("live", "test picture"),
    ] {
        assert!(has(&output, "✓", name, expected), "{name}: {}", said(&output));
    }
    assert!(said(&output).contains("\nSpeed of a live stream\n"));
}

#[test]
fn without_plugins_it_names_the_packages_and_fails() {
    let output = run(&mut Computer::without_plugins().doctor());
    assert_refused(&output, "films and live video cannot be used here");
    for (mark, name, expected) in [
        ("✓", "pictures", "in and out"),
        ("✗", "films", "not even WebM with VP8 or VP9 can be read"),
        (
            "✗",
            "live",
            "gstreamer1.0-plugins-base brings decodebin, videoconvert",
        ),
        ("–", "pictures", "gstreamer1.0-libav brings H.264 (avdec_h264)"),
        ("–", ".mp4", "gstreamer1.0-plugins-ugly brings x264enc"),
    ] {
        assert!(has(&output, mark, name, expected), "{name}: {}", said(&output));
    }
    let text = said(&output);
    let install = text.lines().last().unwrap();
    assert!(install.starts_with("  sudo apt install "), "{install}");
    for package in ["base", "good", "bad", "ugly"] {
        assert!(
            install.contains(&format!(" gstreamer1.0-plugins-{package}")),
            "{install}"
        );
    }
}

#[test]
fn without_a_decoder_for_its_own_films_it_fails_and_live_video_works() {
    let output = run(&mut Computer::without(&["libgstvpx.so", "libgstlibav.so"]).doctor());
    assert_refused(&output, "films cannot be used here");
    let expected = "gstreamer1.0-plugins-good brings VP8 (vp8dec) and VP9 (vp9dec)";
    assert!(has(&output, "–", "pictures", expected), "{}", said(&output));
    assert!(has(&output, "✓", "live", "test picture"), "{}", said(&output));
}

#[test]
fn what_can_be_done_without_is_named_and_is_no_failure() {
    let output = run(&mut Computer::without(&["libgstogg.so", "libgstlibav.so"]).doctor());
    assert!(output.status.success(), "{}{}", said(&output), words(&output));
    let expected = "gstreamer1.0-plugins-base brings Ogg (oggdemux)";
    assert!(has(&output, "–", "files", expected), "{}", said(&output));
}

/// The file of the plugin for launch lines.
const PLUGIN: &str = match cfg!(target_os = "macos") {
    true => "libgstneuralstyle.dylib",
    false => "libgstneuralstyle.so",
};

#[test]
fn the_plugin_that_launch_lines_use_is_named() {
    let computer = Computer::without(&[PLUGIN]);
    // Cargo builds it with the element that the program has.
    let built = Path::new(env!("CARGO_BIN_EXE_neuralstyle"))
        .with_file_name("deps")
        .join(PLUGIN);
    symlink(&built, computer.plugins().join(PLUGIN)).unwrap();
    let output = run(&mut computer.doctor());
    assert!(output.status.success(), "{}{}", said(&output), words(&output));
    assert!(has(&output, "✓", "plugin", PLUGIN), "{}", said(&output));
    assert!(has(&output, "✓", "element", "built into"), "{}", said(&output));
}

#[test]
fn a_plugin_that_cannot_be_loaded_is_named() {
    let computer = Computer::without(&[PLUGIN]);
    let plugin = computer.plugins().join(PLUGIN);
    fs::write(&plugin, "no plugin").unwrap();
    let output = run(&mut computer.doctor());
    assert!(output.status.success(), "{}{}", said(&output), words(&output));
    let expected = format!("{} cannot be loaded", plugin.display());
    assert!(has(&output, "–", "plugin", &expected), "{}", said(&output));
}

#[test]
fn a_processor_that_cannot_be_used_is_a_failure() {
    let output = run(command(&["doctor", "--quick"]).env("NEURALSTYLE_KERNELS", "abacus"));
    assert_refused(&output, "pictures, films and live video cannot be used here");
    assert!(has(&output, "✗", "kernels", "abacus"), "{}", said(&output));
}

/// Where tests/run.sh says that there is a card, or the software GPU in its place.
#[test]
fn a_card_is_checked_and_one_that_is_too_old_is_not_missed() {
    if std::env::var_os("NEURALSTYLE_TEST_CUDA").is_none() {
        return;
    }
    let quick = ["doctor", "--quick", "--networks", "tiny"];
    let output = run(&mut command(&quick));
    assert!(output.status.success(), "{}{}", said(&output), words(&output));
    for (name, expected) in [
        ("card", "compute capability"),
        ("start", "passes"),
        ("tiny", "cosine"),
    ] {
        assert!(has(&output, "✓", name, expected), "{name}: {}", said(&output));
    }
    let too_old = run(command(&quick).env("SOFTGPU_CARD", "sm_61"));
    if has(&too_old, "✓", "card", "compute capability") {
        println!("skipped: a real card can neither be replaced nor be told to compute wrongly");
        return;
    }
    assert!(too_old.status.success(), "{}{}", said(&too_old), words(&too_old));
    assert!(has(&too_old, "–", "card", "the CPU paints"), "{}", said(&too_old));
    let wrong = run(command(&quick).env("SOFTGPU_FAULTS", "wrong:mma"));
    assert_refused(&wrong, "the NVIDIA card cannot be used here");
    assert!(has(&wrong, "✗", "card", "computes wrongly"), "{}", said(&wrong));
}

/// By what the packages say of themselves, where this is Debian or Ubuntu.
#[test]
fn packages_bring_what_is_said_of_them() {
    let output = run(&mut Computer::without_plugins().doctor());
    let claims: Vec<(String, Vec<String>)> = lines(&output).iter().filter_map(|line| claim(line)).collect();
    assert!(claims.len() > 10, "{}", said(&output));
    let known = elements_by_package(&claims);
    for (package, elements) in &claims {
        let Some(known) = known.get(package) else {
            println!("not checked: apt-cache knows nothing of the elements of {package}");
            continue;
        };
        for element in elements {
            assert!(known.contains(element), "{package} does not bring {element}");
        }
    }
}

/// The package and the elements of a line as in "– files x brings AVI (avidemux) and Ogg (oggdemux)" or "– .mp4 x brings
/// mp4mux and x264enc".
fn claim(line: &str) -> Option<(String, Vec<String>)> {
    let (before, things) = line.split_once(" brings ")?;
    let package = before.split_whitespace().last()?.to_owned();
    let things = things.replace(" and ", ", ");
    let elements = things.split(", ").map(|thing| match thing.split_once('(') {
        Some((_, element)) => element.trim_end_matches(')').to_owned(),
        None => thing.to_owned(),
    });
    Some((package, elements.collect()))
}

/// The elements that packages declare to have; only of those that apt knows and that declare it.
fn elements_by_package(claims: &[(String, Vec<String>)]) -> BTreeMap<String, Vec<String>> {
    let packages: BTreeSet<_> = claims.iter().map(|(package, _)| package).collect();
    if Command::new("apt-cache").arg("--version").output().is_err() {
        return BTreeMap::new();
    }
    let shown = said(&run(Command::new("apt-cache").arg("show").args(packages)));
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut package = String::new();
    for line in shown.lines() {
        if let Some(name) = line.strip_prefix("Package: ") {
            package = name.to_owned();
        } else if let Some(list) = line.strip_prefix("Gstreamer-Elements: ") {
            let elements = list.split(", ").map(str::to_owned);
            found.entry(package.clone()).or_default().extend(elements);
        }
    }
    found
}

#[test]
fn no_line_is_too_long_for_a_terminal() {
    let output = run(&mut Computer::without_plugins().doctor());
    for line in said(&output).lines() {
        let command = ["  sudo ", "  export ", "  GST_"];
        let is_command = command.iter().any(|start| line.contains(start));
        assert!(is_command || line.chars().count() <= 100, "{line}");
    }
}

#[test]
fn a_processor_is_known_by_its_name_if_it_has_one() {
    let intel = "processor\t: 0\nmodel name\t: Some CPU @ 2:1\n\nprocessor\t: 1\nmodel name\t: Some CPU\n";
    assert_eq!(cpuinfo::parse(intel), (Some("Some CPU @ 2:1".to_owned()), 2));
    let arm = "processor\t: 0\nBogoMIPS\t: 108.00\n\nprocessor\t: 1\n\nModel\t\t: Raspberry Pi 5\n";
    assert_eq!(cpuinfo::parse(arm), (Some("Raspberry Pi 5".to_owned()), 2));
    assert_eq!(cpuinfo::parse("processor: 0\n"), (None, 1));
    assert_eq!(cpuinfo::parse(""), (None, 0));
}

#[test]
fn lists_and_lines_read_well() {
    assert_eq!(wording::list(&[] as &[&str], "and"), "");
    assert_eq!(wording::list(&["a"], "and"), "a");
    assert_eq!(wording::list(&["a", "b"], "and"), "a and b");
    assert_eq!(wording::list(&["a", "b", "c"], "or"), "a, b or c");
    assert_eq!(wording::wrapped("one two three", 7), ["one two", "three"]);
    assert_eq!(wording::wrapped("äöü äöü", 7), ["äöü äöü"]);
    assert_eq!(
        wording::wrapped("first this:\n  a long command", 5),
        ["first", "this:", "  a long command"]
    );
    assert!(wording::wrapped("", 5).is_empty());
}

#[test]
fn a_reader_who_has_seen_enough_ends_it_quietly() {
    let mut child = command(&["doctor", "--quick"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", words(&output));
    assert!(!words(&output).contains("panicked"), "{}", words(&output));
}
