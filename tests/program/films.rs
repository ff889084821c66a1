// SPDX-License-Identifier: MIT OR Apache-2.0

//! Films painted.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::folder::{Folder, decoded};
use crate::running::{PATIENCE, Running, assert_refused, command, run, words};

#[test]
fn a_painted_film_keeps_its_frames_and_its_sound() {
    let folder = Folder::with_clip(10);
    let output = run(&mut folder.render());
    assert!(output.status.success(), "{}", words(&output));
    let (frames, pieces) = decoded(&folder.path("out.webm"));
    assert_eq!(frames, 10);
    assert!(pieces > 10, "{pieces}");
}

#[test]
fn a_film_that_exists_is_replaced_only_by_force_and_only_by_a_whole_one() {
    let folder = Folder::with_clip(2);
    fs::write(folder.path("out.webm"), "precious").unwrap();
    assert_refused(&run(&mut folder.render()), "--force");
    let failing = run(folder.render().args(["--force", "--content-layers", "relu9_1"]));
    assert_refused(&failing, "relu9_1");
    assert_eq!(fs::read(folder.path("out.webm")).unwrap(), b"precious");
    assert_eq!(
        folder.names(),
        ["clip.webm", "content.png", "out.webm", "style.png"]
    );
    assert!(run(folder.render().arg("--force")).status.success());
    assert_eq!(decoded(&folder.path("out.webm")).0, 2);
}

#[test]
fn a_film_is_never_painted_over_itself() {
    let folder = Folder::with_clip(1);
    let output = run(command(&["film"]).current_dir(folder.0.path()).args([
        "clip.webm",
        "clip.webm",
        "--force",
        "--style",
        "style.png",
    ]));
    assert_refused(&output, "overwritten while it is read");
}

#[cfg(unix)]
#[test]
fn an_interrupted_film_can_be_played() {
    let folder = Folder::with_clip(2000);
    let mut film = Running::start(&mut folder.render());
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
        assert_eq!(film.status(), None, "it has ended before it was interrupted");
        // Looking more often would take the time from the painter.
        std::thread::park_timeout(Duration::from_millis(10));
    }
    let interrupt = Command::new("kill")
        .args(["-INT", &film.id().to_string()])
        .status()
        .unwrap();
    assert!(interrupt.success());
    let output = film.finish(PATIENCE);
    assert_refused(&output, "interrupted; out.webm holds the first");
    let (frames, _) = decoded(&folder.path("out.webm"));
    assert!((1..2000).contains(&frames), "{frames}");
}
