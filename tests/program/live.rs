// SPDX-License-Identifier: MIT OR Apache-2.0

//! Streams painted while they are seen.

use crate::folder::{Folder, decoded_pictures};
use crate::running::{assert_refused, command, run, said, words};

#[test]
fn a_live_picture_ends_when_it_was_told_to() {
    let folder = Folder::with_clip(4);
    for source in ["test", "clip.webm"] {
        let output = run(command(&[
            "live", source, "--to", "fakesink", "--frames", "3", "--size", "64x48",
        ])
        .current_dir(folder.0.path())
        .args(["--network", "tiny", "--first-iterations", "1"]));
        assert!(output.status.success(), "{source}: {}", words(&output));
        let said = said(&output);
        assert!(said.starts_with("3 frames in "), "{source}: {said}");
    }
}

#[test]
fn a_live_picture_can_be_sent_into_a_file() {
    let folder = Folder::new();
    let output = run(command(&[
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
    ]));
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
        let output = run(command(&["live"]).current_dir(folder.0.path()).args(flags));
        assert_refused(&output, expected);
    }
}
