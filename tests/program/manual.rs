// SPDX-License-Identifier: MIT OR Apache-2.0

//! The program explains itself.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::folder::Folder;
use crate::running::{command, run, said, words};

/// The commands of the program, as their words.
fn all_commands() -> Vec<Vec<&'static str>> {
    let single = ["image", "film", "live", "measure", "doctor", "completions", "man"];
    let measured = ["step", "live", "flicker", "flow", "look", "upsampling"];
    let commands = single.iter().map(|word| vec![*word]);
    commands
        .chain(measured.iter().map(|word| vec!["measure", *word]))
        .collect()
}

#[test]
fn every_command_explains_itself() {
    let first = run(&mut command(&["--help"]));
    let overview = said(&first);
    for words in all_commands() {
        assert!(
            words.len() > 1 || overview.contains(&format!("\n  {}", words[0])),
            "{words:?} in {overview}"
        );
        for flag in ["-h", "--help"] {
            let help = run(command(&words).arg(flag));
            let said = said(&help);
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
        let output = run(&mut command(&["completions", shell]));
        let script = said(&output);
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
    let page = run(&mut command(&["man"]));
    assert!(said(&page).contains(".TH neuralstyle 1"));
    let output = run(command(&["man", "--into"]).arg(folder.path("man")));
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
