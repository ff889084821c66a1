// SPDX-License-Identifier: MIT OR Apache-2.0

//! What is measured.

use crate::folder::Folder;
use crate::running::{command, run, said, words};

#[test]
fn the_figures_of_a_clip_are_numbers_and_its_frames_are_kept() {
    let folder = Folder::with_clip(4);
    for clip in [["clip.webm", "--size"], ["--scene=object", "--size"]] {
        let output = run(command(&["measure", "flicker"])
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
            .args(["--save", "frames", "--contact-sheet", "sheet.png"]));
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
fn a_live_stream_can_be_measured() {
    let folder = Folder::with_clip(10);
    let output = run(command(&["measure", "live"])
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
        .args(["--changes", "1", "--other-style", "content.png"]));
    assert!(output.status.success(), "{}", words(&output));
    let said = said(&output);
    let row = said.lines().find(|line| line.starts_with("| tiny |"));
    // What it measured is the machine's affair; that it is a row of the table is not.
    assert_eq!(row.map(|row| row.matches('|').count()), Some(13), "{said}");
}

#[test]
fn a_sheet_that_cannot_be_written_is_refused_before_the_work() {
    let folder = Folder::with_clip(4);
    for (sheet, expected) in [
        ("nowhere/sheet.png", "cannot write nowhere/sheet.png"),
        ("sheet.song", "cannot write sheet.song"),
    ] {
        // So many frames would take minutes.
        let output = run(
            command(&["measure", "flicker", "--scene=object", "--frames", "100000"])
                .current_dir(folder.0.path())
                .args(["--contact-sheet", sheet]),
        );
        assert_eq!(output.status.code(), Some(1), "{}", words(&output));
        assert!(words(&output).contains(expected), "{}", words(&output));
    }
}
