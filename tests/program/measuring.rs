// SPDX-License-Identifier: MIT OR Apache-2.0

//! What is measured.

use crate::folder::Folder;
use crate::running::{assert_refused, command, run, said, words};

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

/// Saves a picture with detail in all its colours.
fn save_noise(folder: &Folder, name: &str, width: u32, height: u32) {
    let byte = |x: u32, y: u32, c: u32| ((x * 7919 + y * 10_473 + c * 3571 + x * y * (31 + c)) % 251) as u8;
    let picture = image::RgbImage::from_fn(width, height, |x, y| {
        image::Rgb([byte(x, y, 0), byte(x, y, 1), byte(x, y, 2)])
    });
    picture.save(folder.path(name)).unwrap();
}

/// The document that judging prints.
fn judged(folder: &Folder, flags: &[&str]) -> serde_json::Value {
    let output = run(command(&["measure", "look"])
        .current_dir(folder.0.path())
        .args(flags));
    assert!(output.status.success(), "{}", words(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_picture_judged_by_itself_is_perfect() {
    let folder = Folder::new();
    save_noise(&folder, "noise.png", 48, 32);
    let document = judged(
        &folder,
        &[
            "--content",
            "noise.png",
            "--style",
            "noise.png",
            "--painting",
            "noise.png",
            "--style-crop",
            "0",
        ],
    );
    for (name, perfect) in [
        ("gram", 0.0),
        ("covariance", 0.0),
        ("mean", 0.0),
        ("content", 0.0),
        ("ssim", 1.0),
        ("cfsd", 0.0),
        ("histogram", 0.0),
        ("hY", 1.0),
        ("hC", 1.0),
        ("weak", 1.0),
    ] {
        let figure = document["mean"][name].as_f64().unwrap();
        assert!((figure - perfect).abs() < 1e-4, "{name} is {figure}");
    }
    // Without a style's border it is another style.
    let cropped = judged(
        &folder,
        &[
            "--content",
            "noise.png",
            "--style",
            "noise.png",
            "--painting",
            "noise.png",
        ],
    );
    assert!(cropped["mean"]["gram"].as_f64().unwrap() > 1e-4, "{cropped}");
}

#[test]
fn what_was_painted_is_judged_and_kept() {
    let folder = Folder::new();
    save_noise(&folder, "noise.png", 48, 32);
    let pair = ["--content", "content.png", "--style", "noise.png"];
    let flags = [
        "--network",
        "tiny",
        "--size",
        "40",
        "--iterations",
        "2",
        "--keep",
        "kept",
    ];
    let document = judged(&folder, &[&pair[..], &flags].concat());
    assert_eq!(document["pairs"].as_array().map(Vec::len), Some(1), "{document}");
    let row = &document["pairs"][0];
    assert_eq!((&row["width"], &row["height"]), (&40.into(), &27.into()));
    for name in [
        "gram",
        "content",
        "ssim",
        "cfsd",
        "histogram",
        "weak",
        "coherence",
        "grey_99",
    ] {
        assert!(row[name].as_f64().is_some(), "{name} in {row}");
        assert_eq!(row[name], document["mean"][name], "{name}");
    }
    // Judged again from its file it is as good, and the content, which is larger, is resized again.
    let again = judged(
        &folder,
        &[&pair[..], &["--painting", "kept/content_noise.png"]].concat(),
    );
    assert_eq!(again["mean"], document["mean"]);
    // The painting has more of the style than the content.
    let content = judged(&folder, &[&pair[..], &["--painting", "content.png"]].concat());
    let gram = |document: &serde_json::Value| document["mean"]["gram"].as_f64().unwrap();
    assert!(gram(&document) < gram(&content), "{document} {content}");
}

#[test]
fn what_cannot_be_judged_is_refused_by_name() {
    let folder = Folder::new();
    save_noise(&folder, "upright.png", 32, 48);
    save_noise(&folder, "tiny.png", 15, 10);
    std::fs::write(folder.path("letter.png"), "Dear Vincent,").unwrap();
    for (flags, expected) in [
        (
            vec!["--painting", "nothing.png"],
            "there is no painting at nothing.png",
        ),
        (
            vec!["--painting", "letter.png"],
            "the painting letter.png cannot be read",
        ),
        (vec!["--painting", "upright.png"], "would have 32×21"),
        (vec!["--painting", "tiny.png"], "can be judged from 16×16 on"),
        (
            vec!["--painting", "content.png", "--network", "tiny"],
            "leave out --network",
        ),
        (vec!["--size", "20"], "choose a greater --size"),
        (vec!["--keep", "letter.png"], "cannot write into letter.png"),
    ] {
        let output = run(command(&["measure", "look"])
            .current_dir(folder.0.path())
            .args(["--content", "content.png", "--style", "style.png"])
            .args(flags));
        assert_refused(&output, expected);
    }
}
