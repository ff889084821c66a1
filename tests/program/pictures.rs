// SPDX-License-Identifier: MIT OR Apache-2.0

//! One picture painted.

use std::fs;

use crate::folder::Folder;
use crate::running::{assert_refused, words};

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
fn a_style_that_had_to_be_enlarged_is_said() {
    let folder = Folder::new();
    let flags = ["--output", "out.png", "--iterations", "1", "--style-scale"];
    for (scale, is_said) in [("4", true), ("0.25", false)] {
        let output = folder.paint(&[&flags[..], &[scale]].concat());
        assert!(output.status.success(), "{}", words(&output));
        assert_eq!(
            words(&output).contains("was enlarged"),
            is_said,
            "{scale}: {}",
            words(&output)
        );
    }
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
fn a_content_picture_of_which_a_part_is_missing_is_refused_as_that() {
    let folder = Folder::new();
    let whole = image::RgbImage::from_fn(64, 48, |x, y| {
        image::Rgb([(x * 5) as u8, (y * 7) as u8, (x * y) as u8])
    });
    for format in [image::ImageFormat::Jpeg, image::ImageFormat::Png] {
        let mut file = std::io::Cursor::new(Vec::new());
        whole.write_to(&mut file, format).unwrap();
        let file = file.into_inner();
        std::fs::write(folder.path("content.png"), &file[..file.len() * 2 / 3]).unwrap();
        let output = folder.paint(&["--output", "out.png", "--iterations", "1"]);
        assert_refused(
            &output,
            "the content picture content.png cannot be read: the file ends early: ",
        );
    }
    assert_eq!(folder.names(), ["content.png", "style.png"]);
}
