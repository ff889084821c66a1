// SPDX-License-Identifier: MIT OR Apache-2.0

//! Presets, which programs with a dialogue for an element's properties keep for their users.

use std::path::Path;
use std::process::Command;

use gst::prelude::*;

use crate::common::*;

/// Set for the process that keeps presets, since the folder where they are is known once and for all from the environment.
const CHILD: &str = "NEURALSTYLE_TEST_PRESETS";

const BY_HAND: &str = "\
[_presets_]
element-name=GstNeuralStyle
version=0.1.0

[Faint]
strength=0.25
steadiness=0.5
";

#[test]
fn a_preset_brings_back_all_that_can_be_set() {
    if std::env::var_os(CHILD).is_some() {
        keep_and_load();
        return load_what_was_written_by_hand();
    }
    let folder = tempfile::tempdir().unwrap();
    // Presets for all users, such as a package installs.
    let shared = tempfile::tempdir().unwrap();
    std::fs::write(shared.path().join("GstNeuralStyle.prs"), BY_HAND).unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "hosts::presets::a_preset_brings_back_all_that_can_be_set",
        ])
        .env(CHILD, "1")
        .env("XDG_DATA_HOME", folder.path())
        .env("GST_PRESET_PATH", shared.path())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
    assert!(
        folder
            .path()
            .join("gstreamer-1.0/presets/GstNeuralStyle.prs")
            .exists()
    );
}

fn preset(element: &gst::Element) -> &gst::Preset {
    element.dynamic_cast_ref().expect("the element has presets")
}

fn keep_and_load() {
    // GStreamer 1.22 writes spaces and signs such as = and , in a way that it does not read again.
    let style = Path::new("/pictures/storm.jpg");
    let kept = element(style, "strength=0.25 seed=7 mode=live style-layers=relu1_1");
    let names = preset(&kept).property_names();
    let own = crate::properties::own_properties();
    let can_be_set = own
        .values()
        .filter(|spec| spec.flags().contains(gst::glib::ParamFlags::WRITABLE))
        .map(|spec| spec.name());
    for name in can_be_set {
        assert!(names.iter().any(|known| known == name), "{name} is kept");
    }
    preset(&kept).save_preset("Twilight").unwrap();
    preset(&kept)
        .set_meta("Twilight", "comment", Some("dark and calm"))
        .unwrap();

    let loaded = gst::ElementFactory::make("neuralstyle").build().unwrap();
    assert_eq!(preset(&loaded).preset_names(), ["Faint", "Twilight"]);
    assert_eq!(
        preset(&loaded).meta("Twilight", "comment").unwrap(),
        "dark and calm"
    );
    preset(&loaded).load_preset("Twilight").unwrap();
    let named = gst::parse::launch("neuralstyle @preset=Twilight").unwrap();
    for spec in own.values() {
        let value = |element: &gst::Element| format!("{:?}", element.property_value(spec.name()));
        assert_eq!(value(&loaded), value(&kept), "{}", spec.name());
        assert_eq!(
            value(&named),
            value(&kept),
            "{}, by its name in a line",
            spec.name()
        );
    }
}

fn load_what_was_written_by_hand() {
    let line = "videotestsrc ! neuralstyle @preset=Faint ! neuralstyle @preset=Faint ! fakesink";
    let pipeline = gst::parse::launch(line).unwrap().downcast::<gst::Bin>().unwrap();
    let factory = gst::ElementFactory::find("neuralstyle");
    let elements = pipeline.iterate_elements().into_iter().flatten();
    let strengths: Vec<f64> = elements
        .filter(|element| element.factory() == factory)
        .map(|element| element.property("strength"))
        .collect();
    assert_eq!(strengths, [0.25, 0.25]);
}
