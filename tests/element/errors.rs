// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a user is told when something cannot work.

use crate::common::*;
use gst::prelude::*;

/// Starts a pipeline that cannot work; gives the error's text and the details.
fn refusal(settings: &str) -> (gst::glib::Error, String) {
    init();
    let line = format!(
        "videotestsrc num-buffers=3 ! video/x-raw,width=32,height=24 ! neuralstyle {settings} ! fakesink"
    );
    let pipeline = gst::parse::launch(&line)
        .unwrap()
        .downcast::<gst::Pipeline>()
        .unwrap();
    let _ = pipeline.set_state(gst::State::Playing);
    let kinds = [gst::MessageType::Error, gst::MessageType::Eos];
    let message = pipeline
        .bus()
        .unwrap()
        .timed_pop_filtered(PATIENCE, &kinds)
        .expect("an error comes");
    pipeline.set_state(gst::State::Null).unwrap();
    match message.view() {
        gst::MessageView::Error(error) => (error.error(), error.debug().unwrap_or_default().to_string()),
        _ => panic!("‘{settings}’ works"),
    }
}

fn assert_refused(settings: &str, code: impl gst::glib::error::ErrorDomain + std::fmt::Debug, said: &[&str]) {
    let (error, details) = refusal(settings);
    assert!(error.matches(code), "‘{settings}’ is not {code:?} but {error:?}");
    for said in said {
        assert!(
            error.message().contains(said),
            "‘{settings}’: ‘{}’ does not say ‘{said}’",
            error.message()
        );
    }
    assert!(!details.is_empty(), "‘{settings}’ has details for a report");
}

#[test]
fn no_style() {
    assert_refused(
        "",
        gst::ResourceError::Settings,
        &["No style picture is set", "`style`"],
    );
}

#[test]
fn no_such_style() {
    let said = ["There is no style picture at /nowhere/starry_night.jpg."];
    assert_refused(
        "style=/nowhere/starry_night.jpg",
        gst::ResourceError::NotFound,
        &said,
    );
}

#[test]
fn a_style_that_is_no_picture() {
    let pictures = Pictures::new();
    let letter = pictures.write("letter.jpg", b"Dear Theo,");
    let said = [
        letter.to_str().unwrap(),
        "not a picture in a format known here (JPEG, PNG",
    ];
    assert_refused(
        &format!("style={}", letter.display()),
        gst::ResourceError::Read,
        &said,
    );
    let folder = letter.parent().unwrap().display();
    assert_refused(
        &format!("style={folder}"),
        gst::ResourceError::Read,
        &["it is a directory"],
    );
    let empty = pictures.write("empty.png", b"");
    assert_refused(
        &format!("style={}", empty.display()),
        gst::ResourceError::Read,
        &["the file is empty"],
    );
}

/// The header is fine, so this shows only when the first frame needs the picture.
#[test]
fn a_style_that_breaks_off() {
    let pictures = Pictures::new();
    let whole = std::fs::read(pictures.red()).unwrap();
    let half = pictures.write("half.png", &whole[..whole.len() / 2]);
    let settings = format!("style={} {QUICK}", half.display());
    assert_refused(
        &settings,
        gst::ResourceError::Read,
        &[half.to_str().unwrap(), "cannot be read"],
    );
}

#[test]
fn what_is_not_there_yet_is_refused_by_name() {
    let pictures = Pictures::new();
    let red = pictures.red();
    let with = |setting: &str| format!("style={} {QUICK} {setting}", red.display());
    assert_refused(
        &with("optimizer=lbfgs"),
        gst::ResourceError::Settings,
        &["optimizer=lbfgs", "adam"],
    );
}

/// Where there is a card, the number is one that none has.
#[test]
fn a_card_that_is_not_there_is_refused_by_name() {
    let pictures = Pictures::new();
    let settings = format!(
        "style={} {QUICK} backend=cuda cuda-device-id=99",
        pictures.red().display()
    );
    assert_refused(
        &settings,
        gst::LibraryError::Init,
        &["backend=cuda", "backend=cpu"],
    );
}

#[test]
fn layers_that_cannot_be_read_or_are_not_there() {
    let pictures = Pictures::new();
    let red = pictures.red();
    let with = |setting: &str| format!("style={} {QUICK} {setting}", red.display());
    let said = ["style-layers=relu1_1=much", "not a number"];
    assert_refused(
        &with("style-layers=relu1_1=much"),
        gst::ResourceError::Settings,
        &said,
    );
    let said = ["content-layers=", "name is missing"];
    assert_refused(&with("content-layers=\"\""), gst::ResourceError::Settings, &said);
    let said = ["relu9_1", "relu4_1"];
    assert_refused(&with("style-layers=relu9_1"), gst::ResourceError::Settings, &said);
}

#[test]
fn weights_that_are_not_there_or_are_none() {
    let pictures = Pictures::new();
    let red = pictures.red();
    let with = |setting: &str| format!("style={} {setting}", red.display());
    let said = ["/nowhere/vgg16.pth"];
    assert_refused(
        &with("weights=/nowhere/vgg16.pth"),
        gst::ResourceError::NotFound,
        &said,
    );
    let letter = pictures.write("vgg16.safetensors", b"Dear Theo,");
    let said = [letter.to_str().unwrap()];
    assert_refused(
        &with(&format!("weights={}", letter.display())),
        gst::ResourceError::Read,
        &said,
    );
    assert_refused(
        &with("network=file"),
        gst::ResourceError::Settings,
        &["network=file", "`weights`"],
    );
}

#[test]
fn an_error_leaves_an_element_that_works_once_the_reason_is_gone() {
    let pictures = Pictures::new();
    let element = element(&pictures.red(), "optimizer=lbfgs");
    assert!(element.set_state(gst::State::Paused).is_err());
    element.set_state(gst::State::Null).unwrap();
    element.set_property_from_str("optimizer", "adam");
    let mut rig = Rig::rgb(element, 32, 24);
    let input = rig.frame(0);
    rig.paint(input);
}
