// SPDX-License-Identifier: MIT OR Apache-2.0

//! The program and the scripts do what they say.

mod flags;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use gst::prelude::*;
use tempfile::TempDir;

/// Long enough for a loaded machine; a test that fails waits this long at most.
const PATIENCE: Duration = Duration::from_secs(120);

/// A command of the program.
fn command(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_neuralstyle"));
    command.args(words);
    command
}

/// A folder with a small picture and a clip of ten frames and one second of sound.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        let picture = image::RgbImage::from_fn(48, 32, |x, y| image::Rgb([(x * 5) as u8, (y * 7) as u8, 90]));
        picture.save(folder.path("content.png")).unwrap();
        image::imageops::rotate90(&picture)
            .save(folder.path("style.png"))
            .unwrap();
        folder
    }

    fn with_clip(frames: u32) -> Self {
        let folder = Self::new();
        gst::init().unwrap();
        let line = format!(
            "videotestsrc num-buffers={frames} ! video/x-raw,width=64,height=48,framerate=10/1 ! vp8enc ! mux. \
             audiotestsrc num-buffers=10 samplesperbuffer=4800 ! audio/x-raw,rate=48000 ! opusenc ! mux. \
             webmmux name=mux ! filesink location={}",
            folder.path("clip.webm").display()
        );
        let pipeline = gst::parse::launch(&line).unwrap();
        pipeline.set_state(gst::State::Playing).unwrap();
        let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
        let end = pipeline
            .bus()
            .unwrap()
            .timed_pop_filtered(gst::ClockTime::from_seconds(60), &kinds);
        pipeline.set_state(gst::State::Null).unwrap();
        assert_eq!(end.map(|message| message.type_()), Some(gst::MessageType::Eos));
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn paint(&self, more: &[&str]) -> Output {
        command(&["image"])
            .current_dir(self.0.path())
            .args([
                "--content",
                "content.png",
                "--style",
                "style.png",
                "--network",
                "tiny",
            ])
            .args(more)
            .output()
            .unwrap()
    }

    fn render(&self) -> Command {
        let mut command = self::command(&["film"]);
        command
            .current_dir(self.0.path())
            .args([
                "clip.webm",
                "out.webm",
                "--style",
                "style.png",
                "--network",
                "tiny",
            ])
            .args(["--first-iterations", "1", "--iterations", "1"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn assert_refused(output: &Output, expected: &str) {
    assert_eq!(output.status.code(), Some(1), "{}", words(output));
    assert!(words(output).contains(expected), "{}", words(output));
}

/// How many pictures and how many pieces of sound a file decodes to.
fn decoded(path: &Path) -> (usize, usize) {
    let line = format!(
        "filesrc location={} ! decodebin name=d \
         d. ! queue ! video/x-raw ! appsink name=video sync=false \
         d. ! queue ! audio/x-raw ! appsink name=audio sync=false",
        path.display()
    );
    let pipeline = gst::parse::launch(&line)
        .unwrap()
        .downcast::<gst::Pipeline>()
        .unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let count = |name: &str| {
        let sink = pipeline.by_name(name).and_downcast::<gst_app::AppSink>().unwrap();
        let patience = gst::ClockTime::from_seconds(60);
        std::iter::from_fn(|| sink.try_pull_sample(patience)).count()
    };
    let counts = (count("video"), count("audio"));
    pipeline.set_state(gst::State::Null).unwrap();
    counts
}

/// How many pictures a file without sound decodes to.
fn decoded_pictures(path: &Path) -> usize {
    let line = format!(
        "filesrc location={} ! decodebin ! video/x-raw ! appsink name=video sync=false",
        path.display()
    );
    let pipeline = gst::parse::launch(&line)
        .unwrap()
        .downcast::<gst::Pipeline>()
        .unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let sink = pipeline
        .by_name("video")
        .and_downcast::<gst_app::AppSink>()
        .unwrap();
    let patience = gst::ClockTime::from_seconds(60);
    let count = std::iter::from_fn(|| sink.try_pull_sample(patience)).count();
    pipeline.set_state(gst::State::Null).unwrap();
    count
}

#[test]
fn the_trace_tells_every_step_of_a_plain_run() {
    let folder = Folder::new();
    let flags = [
        "--output",
        "out.png",
        "--trace",
        "trace.json",
        "--scales",
        "1",
        "--iterations",
        "7",
    ];
    let output = folder.paint(&flags);
    assert!(output.status.success(), "{}", words(&output));
    let trace: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.path("trace.json")).unwrap()).unwrap();
    assert_eq!(
        (trace["width"].as_u64(), trace["height"].as_u64()),
        (Some(48), Some(32))
    );
    assert_eq!(
        (trace["backend"].as_str(), trace["network"].as_str()),
        (Some("cpu"), Some("tiny"))
    );
    assert!(trace["seconds_per_step"].as_f64().unwrap() > 0.0);
    let steps = trace["steps"].as_array().unwrap();
    assert_eq!(steps.len(), 7);
    for step in steps {
        for term in ["content", "style", "tv", "total"] {
            assert!(step[term].as_f64().unwrap().is_finite(), "{term} in {step}");
        }
    }
    let losses = |index: usize| steps[index]["total"].as_f64().unwrap();
    assert!(losses(6) < losses(0));
}

#[test]
fn a_painting_has_the_size_that_was_asked_for() {
    let folder = Folder::new();
    let output = folder.paint(&["--output", "out.jpg", "--size", "64", "--iterations", "1"]);
    assert!(output.status.success(), "{}", words(&output));
    assert_eq!(image::image_dimensions(folder.path("out.jpg")).unwrap(), (64, 43));
}

#[test]
fn a_picture_that_cannot_be_painted_is_refused_before_the_work_and_leaves_nothing() {
    let folder = Folder::new();
    for (flags, expected) in [
        (vec!["--output", "nowhere/out.png"], "no directory nowhere"),
        (vec!["--output", "."], "the name must end in"),
        (vec!["--output", "out.txt"], "the name must end in"),
        (vec!["--output", "content.png"], "would overwrite --content"),
        (vec!["--output", "./style.png"], "would overwrite --style"),
        (vec!["--output", "out.png", "--trace", "out.png"], "the same file"),
        (
            vec!["--output", "out.png", "--content-layers", "relu9_1"],
            "no layer",
        ),
        (vec!["--output", "out.png", "--weights", "style.png"], "style.png"),
    ] {
        assert_refused(&folder.paint(&flags), expected);
    }
    assert_eq!(folder.names(), ["content.png", "style.png"]);
}

#[test]
fn a_painted_film_keeps_its_frames_and_its_sound() {
    let folder = Folder::with_clip(10);
    let output = folder.render().output().unwrap();
    assert!(output.status.success(), "{}", words(&output));
    let (frames, pieces) = decoded(&folder.path("out.webm"));
    assert_eq!(frames, 10);
    assert!(pieces > 10, "{pieces}");
}

#[test]
fn the_figures_of_a_clip_are_numbers_and_its_frames_are_kept() {
    let folder = Folder::with_clip(4);
    for clip in [["clip.webm", "--size"], ["--scene=object", "--size"]] {
        let output = command(&["measure", "flicker"])
            .current_dir(folder.0.path())
            .args(clip)
            .args([
                "48x32",
                "--frames",
                "4",
                "--style",
                "style.png",
                "--independent",
                "1",
            ])
            .args(["--network", "tiny", "--judge", "tiny", "--judge-every", "1"])
            .args(["--iterations", "1", "--first-iterations", "1"])
            .args(["--save", "frames", "--contact-sheet", "sheet.png"])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", words(&output));
        let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        for pointer in [
            "/warping_error/next_frame/ours_to_independent",
            "/style_loss/ours_to_independent",
            "/drift_percent/luma",
            "/high_frequencies/ours/end_to_frame_5",
            "/time/steps_per_frame",
        ] {
            let number = document.pointer(pointer).and_then(serde_json::Value::as_f64);
            assert!(number.is_some(), "{pointer} in {document}");
        }
        assert_eq!(
            image::image_dimensions(folder.path("frames/00003.png")).unwrap(),
            (48, 32)
        );
        // One column with the input, the frame painted alone and ours.
        assert_eq!(
            image::image_dimensions(folder.path("sheet.png")).unwrap(),
            (48, 3 * 32 + 2 * 4)
        );
    }
}

#[test]
fn a_film_that_exists_is_replaced_only_by_force_and_only_by_a_whole_one() {
    let folder = Folder::with_clip(2);
    fs::write(folder.path("out.webm"), "precious").unwrap();
    assert_refused(&folder.render().output().unwrap(), "--force");
    let failing = folder
        .render()
        .args(["--force", "--content-layers", "relu9_1"])
        .output()
        .unwrap();
    assert_refused(&failing, "relu9_1");
    assert_eq!(fs::read(folder.path("out.webm")).unwrap(), b"precious");
    assert_eq!(
        folder.names(),
        ["clip.webm", "content.png", "out.webm", "style.png"]
    );
    assert!(folder.render().arg("--force").output().unwrap().status.success());
    assert_eq!(decoded(&folder.path("out.webm")).0, 2);
}

#[test]
fn a_film_is_never_painted_over_itself() {
    let folder = Folder::with_clip(1);
    let output = command(&["film"])
        .current_dir(folder.0.path())
        .args(["clip.webm", "clip.webm", "--force", "--style", "style.png"])
        .output()
        .unwrap();
    assert_refused(&output, "overwritten while it is read");
}

#[cfg(unix)]
#[test]
fn an_interrupted_film_can_be_played() {
    let folder = Folder::with_clip(2000);
    let mut child = folder.render().spawn().unwrap();
    // The film is being written once its neighbour has grown by more than a header.
    let begun = Instant::now();
    let growing = || {
        let entries = fs::read_dir(folder.0.path()).unwrap().flatten();
        let hidden = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(".neuralstyle-"));
        hidden
            .filter_map(|entry| entry.metadata().ok())
            .any(|found| found.len() > 4096)
    };
    while !growing() {
        assert!(begun.elapsed() < PATIENCE, "nothing is written");
        assert_eq!(
            child.try_wait().unwrap(),
            None,
            "it has ended before it was interrupted"
        );
        // Looking more often would take the time from the painter.
        std::thread::park_timeout(Duration::from_millis(10));
    }
    let interrupt = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(interrupt.success());
    let output = child.wait_with_output().unwrap();
    assert_refused(&output, "interrupted; out.webm holds the first");
    let (frames, _) = decoded(&folder.path("out.webm"));
    assert!((1..2000).contains(&frames), "{frames}");
}

#[test]
fn a_live_stream_can_be_measured() {
    let folder = Folder::with_clip(10);
    let output = command(&["measure", "live"])
        .current_dir(folder.0.path())
        .args([
            "--input",
            "clip.webm",
            "--style",
            "style.png",
            "--networks",
            "tiny",
        ])
        .args([
            "--width",
            "64",
            "--height",
            "48",
            "--rate",
            "10",
            "--seconds",
            "1",
        ])
        .args(["--changes", "1", "--other-style", "content.png"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", words(&output));
    let said = String::from_utf8_lossy(&output.stdout);
    let row = said.lines().find(|line| line.starts_with("| tiny |"));
    // What it measured is the machine's affair; that it is a row of the table is not.
    assert_eq!(row.map(|row| row.matches('|').count()), Some(13), "{said}");
}

#[test]
fn a_live_picture_ends_when_it_was_told_to() {
    let folder = Folder::with_clip(4);
    for source in ["test", "clip.webm"] {
        let output = command(&[
            "live", source, "--to", "fakesink", "--frames", "3", "--size", "64x48",
        ])
        .current_dir(folder.0.path())
        .args(["--network", "tiny", "--first-iterations", "1"])
        .output()
        .unwrap();
        assert!(output.status.success(), "{source}: {}", words(&output));
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.starts_with("3 frames in "), "{source}: {said}");
    }
}

#[test]
fn a_live_picture_can_be_sent_into_a_file() {
    let folder = Folder::new();
    let output = command(&[
        "live",
        "test",
        "--frames",
        "5",
        "--size",
        "64x48",
        "--network",
        "tiny",
    ])
    .current_dir(folder.0.path())
    .args([
        "--style",
        "style.png",
        "--to",
        "vp8enc deadline=1 ! webmmux ! filesink location=live.webm",
    ])
    .output()
    .unwrap();
    assert!(output.status.success(), "{}", words(&output));
    assert_eq!(decoded_pictures(&folder.path("live.webm")), 5);
}

#[test]
fn what_cannot_be_shown_live_is_refused_in_words() {
    let folder = Folder::new();
    for (flags, expected) in [
        (vec!["nowhere.mp4"], "there is no nowhere.mp4"),
        (vec!["test", "--to", "no_such_sink"], "no_such_sink"),
        (vec!["test", "--to", "audiotestsrc"], "takes no pictures"),
        (
            vec!["test", "--to", "fakesink", "--style", "nowhere.png"],
            "nowhere.png",
        ),
        (
            vec!["style.png", "--to", "fakesink", "--content-layers", "relu9_1"],
            "relu9_1",
        ),
    ] {
        let output = command(&["live"])
            .current_dir(folder.0.path())
            .args(flags)
            .output()
            .unwrap();
        assert_refused(&output, expected);
    }
}

/// The commands of the program, as their words.
fn all_commands() -> Vec<Vec<&'static str>> {
    let single = ["image", "film", "live", "measure", "doctor", "completions", "man"];
    let measured = ["step", "live", "flicker", "flow", "upsampling"];
    let commands = single.iter().map(|word| vec![*word]);
    commands
        .chain(measured.iter().map(|word| vec!["measure", *word]))
        .collect()
}

#[test]
fn every_command_explains_itself() {
    let first = command(&["--help"]).output().unwrap();
    let overview = String::from_utf8_lossy(&first.stdout).into_owned();
    for words in all_commands() {
        assert!(
            words.len() > 1 || overview.contains(&format!("\n  {}", words[0])),
            "{words:?} in {overview}"
        );
        for flag in ["-h", "--help"] {
            let help = command(&words).arg(flag).output().unwrap();
            let said = String::from_utf8_lossy(&help.stdout);
            let usage = format!("Usage: neuralstyle {}", words.join(" "));
            assert!(
                help.status.success() && said.contains(&usage),
                "{words:?}: {said}"
            );
            // What is shown fits a terminal, and no example was forgotten.
            assert!(
                said.contains("neuralstyle ") && said.lines().count() > 5,
                "{words:?}: {said}"
            );
        }
    }
}

#[test]
fn shells_and_man_know_every_command() {
    let folder = Folder::new();
    for shell in ["bash", "zsh", "fish"] {
        let output = command(&["completions", shell]).output().unwrap();
        let script = String::from_utf8_lossy(&output.stdout).into_owned();
        for word in ["flicker", "keyframe-interval", "first-iterations"] {
            assert!(script.contains(word), "{shell} lacks {word}");
        }
        if shell == "bash" {
            fs::write(folder.path("completions.bash"), &script).unwrap();
            let checked = Command::new("bash")
                .arg("-n")
                .arg(folder.path("completions.bash"))
                .status();
            assert!(checked.unwrap().success());
        }
    }
    let page = command(&["man"]).output().unwrap();
    assert!(String::from_utf8_lossy(&page.stdout).contains(".TH neuralstyle 1"));
    let output = command(&["man", "--into"])
        .arg(folder.path("man"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", words(&output));
    for words in all_commands() {
        let page = folder.path(&format!("man/neuralstyle-{}.1", words.join("-")));
        let text = fs::read_to_string(&page).unwrap();
        assert!(text.contains("SYNOPSIS"), "{}", page.display());
    }
}

#[test]
fn the_program_holds_no_path_of_the_computer_that_built_it() {
    let program = fs::read(env!("CARGO_BIN_EXE_neuralstyle")).unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let media = root.join("media");
    let media = media.to_str().unwrap().as_bytes();
    assert!(!program.windows(media.len()).any(|bytes| bytes == media));
}

#[test]
fn every_script_is_sound_and_explains_itself() {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let scripts = ["pipelines", "tests", ".ci"].into_iter().flat_map(|folder| {
        let entries = fs::read_dir(root.join(folder)).unwrap();
        entries
            .map(|entry| entry.unwrap().path())
            .filter(|path| is_script(path))
            .collect::<Vec<_>>()
    });
    for script in scripts {
        let checked = Command::new("bash").arg("-n").arg(&script).output().unwrap();
        assert!(checked.status.success(), "{}", words(&checked));
        if script.ends_with("common.sh") || script.ends_with(".ci/run") {
            continue;
        }
        // From anywhere.
        let help = Command::new(&script)
            .arg("--help")
            .current_dir("/")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&help.stdout);
        assert!(
            help.status.success() && said.starts_with("Usage: "),
            "{}: {said}",
            script.display()
        );
    }
}

fn is_script(path: &Path) -> bool {
    path.is_file() && fs::read(path).unwrap().starts_with(b"#!/usr/bin/env bash")
        || path.ends_with("common.sh")
}

/// Runs lines of bash after those of pipelines/common.sh.
fn with_the_scripts(lines: &str) -> Command {
    let common = concat!(env!("CARGO_MANIFEST_DIR"), "/../pipelines/common.sh");
    let mut command = Command::new("bash");
    command.args(["-euo", "pipefail", "-c", &format!("source {common:?}\n{lines}")]);
    command
}

#[test]
fn scripts_find_what_cargo_built_wherever_it_is_told_to_put_it() {
    let folder = Folder::new();
    let krate = folder.path("a \"crate\"");
    fs::create_dir_all(krate.join("src")).unwrap();
    fs::create_dir(krate.join(".cargo")).unwrap();
    fs::write(krate.join("src/main.rs"), "fn main() {}").unwrap();
    fs::write(
        krate.join("Cargo.toml"),
        "[package]\nname = \"neuralstyle\"\n[workspace]\n",
    )
    .unwrap();
    fs::write(
        krate.join("Cargo.lock"),
        "version = 4\n[[package]]\nname = \"neuralstyle\"\nversion = \"0.0.0\"\n",
    )
    .unwrap();
    let told = Command::new("rustc").arg("-vV").output().unwrap();
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    let host = told.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let variables = ["CARGO_TARGET_DIR", "CARGO_BUILD_TARGET_DIR", "CARGO_BUILD_TARGET"];
    let configured = format!("[build]\ntarget-dir = \"configured\"\ntarget = \"{host}\"\n");
    for (config, variable, expected) in [
        ("", None, "target/debug".into()),
        ("", Some((variables[0], "one")), "one/debug".into()),
        ("", Some((variables[1], "other")), "other/debug".into()),
        ("", Some((variables[2], host)), format!("target/{host}/debug")),
        (configured.as_str(), None, format!("configured/{host}/debug")),
    ] {
        fs::write(krate.join(".cargo/config.toml"), config).unwrap();
        let mut script = with_the_scripts(
            "root=$PWD; messages=$(cargo_messages build --offline); built_file neuralstyle <<<\"$messages\"",
        );
        for name in variables {
            script.env_remove(name);
        }
        let output = script.current_dir(&krate).envs(variable).output().unwrap();
        assert!(output.status.success(), "{}", words(&output));
        let found = String::from_utf8_lossy(&output.stdout).into_owned();
        let found = Path::new(found.trim_end());
        assert!(found.is_file(), "{}", found.display());
        assert_eq!(
            found.canonicalize().unwrap(),
            krate.canonicalize().unwrap().join(expected).join("neuralstyle")
        );
    }
}

#[test]
fn scripts_show_the_plugin_by_the_variable_that_gstreamer_looks_at() {
    let variables = ["GST_PLUGIN_PATH", "GST_PLUGIN_PATH_1_0"];
    for (set, expected) in [
        (vec![], ["here", "unset"]),
        (vec![(variables[0], "there")], ["here:there", "unset"]),
        (vec![(variables[1], "there")], ["unset", "here:there"]),
        (vec![(variables[1], "")], ["unset", "here"]),
        (
            vec![(variables[0], "away"), (variables[1], "there")],
            ["away", "here:there"],
        ),
    ] {
        let mut script = with_the_scripts(
            "add_plugins here; echo \"${GST_PLUGIN_PATH-unset} ${GST_PLUGIN_PATH_1_0-unset}\"",
        );
        for name in variables {
            script.env_remove(name);
        }
        let output = script.envs(set).output().unwrap();
        assert_eq!(
            String::from_utf8_lossy(&output.stdout).trim_end(),
            expected.join(" ")
        );
    }
}
