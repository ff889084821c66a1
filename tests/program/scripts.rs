// SPDX-License-Identifier: MIT OR Apache-2.0

//! The scripts do what they say.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::folder::Folder;
use crate::running::{assert_refused, run, said, words};

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
        let checked = run(Command::new("bash").arg("-n").arg(&script));
        assert!(checked.status.success(), "{}", words(&checked));
        if script.ends_with("common.sh") || script.ends_with(".ci/run") {
            continue;
        }
        // From anywhere.
        let help = run(Command::new(&script).arg("--help").current_dir("/"));
        let said = said(&help);
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

#[test]
fn a_gallery_that_cannot_be_written_is_refused_before_the_work() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../pipelines/gallery.sh");
    let folder = Folder::new();
    let gallery = |words: &[&str]| run(Command::new(script).args(words).current_dir(folder.0.path()));
    for (words, expected) in [
        (vec!["out.jpg", "content.png"], "are needed"),
        (
            vec!["nowhere/out.jpg", "content.png", "--", "style.png"],
            "no folder nowhere",
        ),
        (
            vec!["out.jpg", "nowhere.png", "--", "style.png"],
            "no file nowhere.png",
        ),
        (
            vec!["out.jpg", "content.png", "style.png", "--"],
            "pictures are missing",
        ),
    ] {
        assert_refused(&gallery(&words), expected);
    }
    assert_eq!(folder.names(), ["content.png", "style.png"]);
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
    let told = run(Command::new("rustc").arg("-vV"));
    let told = said(&told);
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
        let output = run(script.current_dir(&krate).envs(variable));
        assert!(output.status.success(), "{}", words(&output));
        let found = said(&output);
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
        let output = run(script.envs(set));
        assert_eq!(said(&output).trim_end(), expected.join(" "));
    }
}
