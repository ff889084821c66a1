// SPDX-License-Identifier: MIT OR Apache-2.0

//! The properties, and what they do when they change while frames are painted.

use std::collections::BTreeMap;

use crate::common::*;
use gst::glib;
use gst::prelude::*;

/// The element's own properties, without those of its base classes.
pub fn own_properties() -> BTreeMap<String, glib::ParamSpec> {
    init();
    let factory = gst::ElementFactory::find("neuralstyle").unwrap();
    let element = factory.create().build().unwrap();
    let own = |spec: &glib::ParamSpec| spec.owner_type() == element.type_();
    let specs = element.list_properties().into_iter().filter(own);
    specs.map(|spec| (spec.name().to_owned(), spec)).collect()
}

#[test]
fn the_element_stands_where_video_effects_are_looked_for() {
    init();
    let factory = gst::ElementFactory::find("neuralstyle").unwrap();
    assert_eq!(factory.metadata("klass"), Some("Filter/Effect/Video"));
    assert_eq!(factory.rank(), gst::Rank::NONE);
    let element = factory.create().build().unwrap();
    assert_eq!(element.type_().name(), "GstNeuralStyle");
    assert!(element.type_().is_a(gst_video::VideoFilter::static_type()));
    let plugin = factory.plugin().unwrap();
    assert_eq!(
        (plugin.plugin_name().as_str(), plugin.license().as_str()),
        ("neuralstyle", "MIT/X11")
    );
}

#[test]
fn every_property_can_be_set_to_its_default_and_read_back() {
    init();
    let element = gst::ElementFactory::make("neuralstyle").build().unwrap();
    for (name, spec) in own_properties() {
        if spec.flags().contains(glib::ParamFlags::WRITABLE) {
            element.set_property_from_value(&name, spec.default_value());
            let value = element.property_value(&name);
            assert_eq!(
                format!("{value:?}"),
                format!("{:?}", spec.default_value()),
                "{name}"
            );
        }
    }
}

#[test]
fn a_launch_line_sets_choices_by_name() {
    init();
    let line = "neuralstyle network=slim normalization=gatys pooling=max optimizer=sgd init=noise mode=offline \
                backend=cpu overscan=-1 style-weight=-1 seed=4294967295";
    let element = gst::parse::launch(line).unwrap();
    let nick = |name: &str| {
        let value = element.property_value(name);
        glib::EnumValue::from_value(&value).unwrap().1.nick().to_owned()
    };
    let choices = [
        "network",
        "normalization",
        "pooling",
        "optimizer",
        "init",
        "mode",
        "backend",
    ];
    assert_eq!(
        choices.map(nick),
        ["slim", "gatys", "max", "sgd", "noise", "offline", "cpu"]
    );
    assert_eq!(element.property::<u32>("seed"), u32::MAX);
}

/// Paints frames until the element says that the style is `style`; gives their mean colours.
fn paint_until_style_is(rig: &mut Rig, style: &str, number: &mut u64) -> Vec<[f64; 3]> {
    let mut means = Vec::new();
    // The picture is read in the background. Any machine has read it after so many frames.
    while *number < 200_000 {
        let input = rig.frame(*number);
        let output = rig.paint(input);
        *number += 1;
        means.push(mean_colour(&output, &rig.info));
        if rig.stats().get::<&str>("style").unwrap() == style {
            return means;
        }
    }
    panic!("the style {style} never came");
}

#[test]
fn a_style_that_changes_while_playing_shows_within_two_keyframes_and_no_frame_is_lost() {
    let pictures = Pictures::new();
    let (red, blue) = (pictures.red(), pictures.blue());
    let settings = "init=matched iterations=30 first-iterations=60 learning-rate=0.05 content-weight=0";
    let mut rig = Rig::rgb(element(&red, settings), 32, 24);
    let mut number = 0;
    let [first_red, _, first_blue] = paint_until_style_is(&mut rig, red.to_str().unwrap(), &mut number)[0];
    assert!(first_red > first_blue, "a red painting");

    rig.element.set_property("style", blue.to_str().unwrap());
    let means = paint_until_style_is(&mut rig, blue.to_str().unwrap(), &mut number);
    for mean in &means {
        assert!(mean.iter().sum::<f64>() > 30.0, "no frame is black: {mean:?}");
    }
    // The last of these is the first keyframe with the new style; one more makes two.
    let redness = |mean: &[f64; 3]| mean[0] - mean[2];
    let before = if means.len() > 1 {
        redness(&means[means.len() - 2])
    } else {
        first_red - first_blue
    };
    let input = rig.frame(number);
    let second = mean_colour(&rig.paint(input), &rig.info);
    assert!(
        redness(&second) < 0.7 * before,
        "{second:?} is bluer than {before}"
    );
    assert_eq!(
        rig.harness.buffers_received() as u64,
        number + 1,
        "every frame came out"
    );
}

#[test]
fn a_bad_style_while_playing_is_a_warning_and_the_last_one_stays() {
    let pictures = Pictures::new();
    let red = pictures.red();
    let mut rig = Rig::rgb(element(&red, ""), 32, 24);
    let first = rig.frame(0);
    rig.paint(first);
    let letter = pictures.write("letter.png", b"Dear Theo,");
    for (bad, said) in [
        (
            Some("/nowhere/to/be/found.png"),
            "There is no style picture at /nowhere/to/be/found.png.",
        ),
        (letter.to_str(), "is not a picture"),
        (None, "No style picture is set"),
    ] {
        rig.element.set_property("style", bad);
        let warning = rig.message(gst::MessageType::Warning);
        let gst::MessageView::Warning(warning) = warning.view() else {
            panic!("{warning:?}")
        };
        assert!(warning.error().message().contains(said), "{warning:?}");
        let next = rig.frame(1);
        rig.paint(next);
        assert_eq!(rig.stats().get::<&str>("style").unwrap(), red.to_str().unwrap());
    }
    assert!(rig.bus.pop_filtered(&[gst::MessageType::Error]).is_none());
}

#[test]
fn steps_and_keyframes_may_change_while_playing() {
    let pictures = Pictures::new();
    let mut rig = Rig::rgb(element(&pictures.red(), ""), 32, 24);
    let steps = |rig: &mut Rig, number: u64| {
        let before = rig.iterations();
        let input = rig.frame(number);
        rig.paint(input);
        rig.iterations() - before
    };
    assert_eq!(steps(&mut rig, 0), 2);
    rig.element.set_property("iterations", 5u32);
    assert_eq!(steps(&mut rig, 1), 5);
    rig.element.set_property("iterations", 3u32);
    assert_eq!(steps(&mut rig, 2), 3);
}

/// No steps at the start: what `init` made is shown, offline and live.
#[test]
fn a_start_of_no_steps_shows_what_it_begins_with() {
    let pictures = Pictures::new();
    for mode in ["offline", "live"] {
        let settings = format!("mode={mode} first-iterations=0 init=matched");
        let mut rig = Rig::rgb(element(&pictures.red(), &settings), 32, 24);
        let input = rig.frame(0);
        let output = rig.paint(input);
        let [red, _, blue] = mean_colour(&output, &rig.info);
        assert!(red > blue, "{mode}: the style's colours");
        assert!(rig.bus.pop_filtered(&[gst::MessageType::Error]).is_none());
        for number in 1..4 {
            let input = rig.frame(number);
            rig.paint(input);
        }
    }
}

#[test]
fn what_is_fixed_while_playing_is_kept_for_the_next_start() {
    init();
    let pictures = Pictures::new();
    let line = format!(
        "videotestsrc ! video/x-raw,format=RGB,width=64,height=48 ! neuralstyle name=fx style={} {QUICK} \
         ! appsink name=out sync=false max-buffers=1",
        pictures.red().display()
    );
    let pipeline = gst::parse::launch(&line)
        .unwrap()
        .downcast::<gst::Pipeline>()
        .unwrap();
    let element = pipeline.by_name("fx").unwrap();
    let sink = appsink(&pipeline);
    let width = || {
        element
            .property::<gst::Structure>("stats")
            .get::<u32>("working-width")
            .unwrap()
    };

    pipeline.set_state(gst::State::Playing).unwrap();
    sink.pull_sample().unwrap();
    assert_eq!(width(), 32);
    element.set_property("working-size", 48u32);
    assert_eq!(element.property::<u32>("working-size"), 48);
    for _ in 0..3 {
        sink.pull_sample().unwrap();
    }
    assert_eq!(width(), 32);
    pipeline.set_state(gst::State::Ready).unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    sink.pull_sample().unwrap();
    assert_eq!(width(), 48);
    pipeline.set_state(gst::State::Null).unwrap();
}

#[test]
fn strength_may_go_to_nothing_and_back_while_playing() {
    let pictures = Pictures::new();
    let mut rig = Rig::rgb(element(&pictures.red(), ""), 32, 24);
    for (number, strength) in [1.0, 0.0, 0.0, 0.5, 0.0, 1.0].into_iter().enumerate() {
        rig.element.set_property("strength", strength);
        let input = rig.frame(number as u64);
        let original = bytes(&input);
        let output = rig.paint(input);
        assert_eq!(bytes(&output) == original, strength == 0.0, "frame {number}");
    }
}

#[test]
fn a_controller_moves_strength_from_frame_to_frame() {
    let pictures = Pictures::new();
    let element = element(&pictures.red(), "");
    let source = gst_controller::InterpolationControlSource::new();
    source.set_mode(gst_controller::InterpolationMode::Linear);
    use gst_controller::prelude::*;
    source.set(gst::ClockTime::ZERO, 0.0);
    source.set(FRAME * 4, 1.0);
    let binding = gst_controller::DirectControlBinding::new_absolute(&element, "strength", &source);
    element.add_control_binding(&binding).unwrap();
    let mut rig = Rig::rgb(element, 32, 24);
    for number in 0..5 {
        let input = rig.frame(number);
        let original = bytes(&input);
        let output = rig.paint(input);
        let strength: f64 = rig.element.property("strength");
        assert!(
            (strength - number as f64 / 4.0).abs() < 1e-9,
            "frame {number} has strength {strength}"
        );
        assert_eq!(bytes(&output) == original, number == 0, "frame {number}");
    }
}

#[test]
fn messages_come_once_per_keyframe_and_only_if_asked_for() {
    let pictures = Pictures::new();
    let mut rig = Rig::rgb(element(&pictures.red(), "keyframe-interval=2"), 32, 24);
    let messages = |rig: &Rig| -> Vec<gst::Message> {
        std::iter::from_fn(|| rig.bus.pop_filtered(&[gst::MessageType::Element])).collect()
    };
    // Every other frame waits for the one after it.
    let show = |rig: &mut Rig, number: u64| {
        let input = rig.frame(number);
        rig.harness.push(input).unwrap();
        while rig.harness.try_pull().is_some() {}
    };
    for number in 0..4 {
        show(&mut rig, number);
    }
    assert!(messages(&rig).is_empty());
    rig.element.set_property("post-messages", true);
    for number in 4..8 {
        show(&mut rig, number);
    }
    let messages = messages(&rig);
    assert_eq!(messages.len(), 2);
    for message in messages {
        assert_eq!(message.src(), Some(rig.element.upcast_ref::<gst::Object>()));
        assert_eq!(message.structure().unwrap().name(), "neuralstyle");
    }
}

#[test]
fn statistics_tell_what_was_done_and_with_what() {
    let pictures = Pictures::new();
    let red = pictures.red();
    let mut rig = Rig::rgb(element(&red, ""), 32, 24);
    for number in 0..3 {
        let input = rig.frame(number);
        rig.paint(input);
    }
    let stats = rig.stats();
    assert_eq!(stats.get::<u64>("frames"), Ok(3));
    assert_eq!(stats.get::<u64>("keyframes"), Ok(3));
    assert_eq!(stats.get::<u64>("iterations"), Ok(4));
    assert_eq!(stats.get::<&str>("network"), Ok("tiny"));
    assert_eq!(stats.get::<&str>("backend"), Ok("cpu"));
    assert_eq!(stats.get::<&str>("style"), Ok(red.to_str().unwrap()));
    assert!(stats.get::<f64>("style-loss").unwrap() > 0.0);
    assert!(stats.get::<f64>("content-loss").unwrap() > 0.0);
    assert!(stats.get::<f64>("total-loss").unwrap() > 0.0);
    assert!(stats.get::<f64>("ms-per-step").unwrap() > 0.0);
    assert!(stats.get::<f64>("ms-per-frame").unwrap() > 0.0);
    let bytes = |name: &str| stats.get::<u64>(name).unwrap();
    assert!(bytes("planned-bytes") > 0 && bytes("planned-bytes") < bytes("bytes-in-use"));
    assert!(stats.get::<u32>("working-width").unwrap() >= 32);
}
