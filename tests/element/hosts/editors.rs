// SPDX-License-Identifier: MIT OR Apache-2.0

//! Pitivi and other editors on GStreamer's editing services, whose timeline (nlecomposition.c) has one effect and many clips
//! before it: for each stretch of the timeline the effect is stopped, linked anew, started and sought to its part.

use std::process::Command;

use gst::prelude::*;

use crate::common::*;

use super::file;

const SECOND: gst::ClockTime = gst::ClockTime::SECOND;
const TENTH: gst::ClockTime = gst::ClockTime::from_mseconds(100);

/// An effect as a timeline has it: between two converters, before the size and rate of the project.
struct Timeline {
    pipeline: gst::Pipeline,
    _pictures: Pictures,
}

impl Timeline {
    fn new(effect: &str) -> Self {
        init();
        let pictures = Pictures::new();
        let line = format!(
            "videotestsrc name=clip pattern=ball ! capsfilter name=media ! videoconvert \
             ! neuralstyle style=\"{}\" {QUICK} {effect} ! videoconvert \
             ! videoscale ! videorate ! video/x-raw,width=64,height=36,framerate=10/1 \
             ! appsink name=out sync=false max-buffers=1",
            pictures.red().display()
        );
        let pipeline = gst::parse::launch(&line).unwrap().downcast().unwrap();
        Self {
            pipeline,
            _pictures: pictures,
        }
    }

    fn settled(&self) {
        let (result, _, _) = self.pipeline.state(PATIENCE);
        assert_eq!(result, Ok(gst::StateChangeSuccess::Success));
    }

    /// Puts a clip of this kind before the effect.
    fn link(&self, media: &str) {
        self.pipeline.set_state(gst::State::Ready).unwrap();
        let filter = self.pipeline.by_name("media").unwrap();
        filter.set_property_from_str("caps", &format!("video/x-raw,{media}"));
        self.pipeline.set_state(gst::State::Paused).unwrap();
        self.settled();
    }

    /// When the frames between these are shown, to the end.
    fn play(&self, rate: f64, start: gst::ClockTime, stop: gst::ClockTime) -> Vec<gst::ClockTime> {
        let flags = gst::SeekFlags::FLUSH | gst::SeekFlags::ACCURATE;
        self.pipeline
            .seek(rate, flags, gst::SeekType::Set, start, gst::SeekType::Set, stop)
            .unwrap();
        self.settled();
        self.pipeline.set_state(gst::State::Playing).unwrap();
        let sink = appsink(&self.pipeline);
        let mut shown = Vec::new();
        while let Some(sample) = sink.try_pull_sample(PATIENCE) {
            shown.push(sample.buffer().unwrap().pts().unwrap());
        }
        assert!(sink.is_eos(), "it comes to its end");
        shown
    }
}

impl Drop for Timeline {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

#[test]
fn an_effect_is_in_step_with_every_stretch_of_a_timeline() {
    for effect in ["", "keyframe-interval=3", "mode=live"] {
        let timeline = Timeline::new(effect);
        for (media, start) in [
            ("format=I420,width=64,height=36,framerate=10/1", 0),
            ("format=NV12,width=48,height=48,framerate=10/1", 7),
            ("format=BGRA,width=64,height=36,framerate=10/1", 3),
            ("format=I420,width=64,height=36,framerate=10/1", 30),
        ] {
            timeline.link(media);
            let stretch: Vec<_> = (start..start + 5).map(|number| TENTH * number).collect();
            let played = timeline.play(1.0, TENTH * start, TENTH * (start + 5));
            assert_eq!(played, stretch, "{media} {effect}");
            // Played once more, as when the cursor is put back.
            let again = timeline.play(1.0, TENTH * (start + 2), TENTH * (start + 5));
            assert_eq!(again, stretch[2..], "{media} {effect}");
        }
    }
}

#[test]
fn dragging_the_cursor_shows_where_it_is() {
    for effect in ["keyframe-interval=3", "mode=live"] {
        let timeline = Timeline::new(effect);
        timeline.link("format=I420,width=64,height=36,framerate=10/1");
        for second in [4, 1, 1, 9, 0] {
            let flags = gst::SeekFlags::FLUSH | gst::SeekFlags::ACCURATE;
            timeline.pipeline.seek_simple(flags, second * SECOND).unwrap();
            timeline.settled();
            let preroll = appsink(&timeline.pipeline).pull_preroll().unwrap();
            assert_eq!(preroll.buffer().unwrap().pts(), Some(second * SECOND), "{effect}");
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn the_editing_services_render_each_clip_in_its_own_style() {
    init();
    let tool = "ges-launch-1.0";
    if Command::new(tool).arg("--version").output().is_err() {
        println!("skipped: {tool} is not here; Debian's package ges1.0-tools brings it");
        return;
    }
    let pictures = Pictures::new();
    let plugin = plugin_folder();
    let film = pictures.path("film.webm");
    let clip = file("media/bunny.webm");
    let mut render = Command::new(tool);
    render
        .env("GST_PLUGIN_PATH", plugin.path())
        .env_remove("GST_PLUGIN_PATH_1_0")
        .env("GST_REGISTRY", pictures.path("registry.bin"))
        // GES 1.22 itself trips over some of GLib's warnings.
        .env_remove("G_DEBUG")
        .arg("--track-types=video");
    for style in [pictures.red(), pictures.blue()] {
        let effect = format!("neuralstyle style={} {QUICK}", style.display());
        render.arg("+clip").arg(&clip);
        render
            .args(["inpoint=1.0", "duration=0.4", "+effect"])
            .arg(effect);
    }
    render.args(["-f", "video/webm:video/x-vp8", "-o"]);
    render.arg(format!("file://{}", film.display()));
    let output = render.output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );

    let frames = render_film(&film);
    let means: Vec<[f64; 3]> = frames
        .iter()
        .map(|sample| {
            let info = gst_video::VideoInfo::from_caps(sample.caps().unwrap()).unwrap();
            mean_colour(sample.buffer().unwrap(), &info)
        })
        .collect();
    let in_red = means.iter().take_while(|[r, _, b]| r > b).count();
    let in_blue = means[in_red..].iter().filter(|[r, _, b]| r < b).count();
    assert_eq!(in_red + in_blue, means.len(), "{means:?}");
    assert_eq!(in_red, in_blue, "both clips last as long: {means:?}");
    let times = shown_at(&frames);
    assert!(*times.last().unwrap() > 7 * TENTH, "{times:?}");
}

#[cfg(target_os = "linux")]
fn render_film(film: &std::path::Path) -> Vec<gst::Sample> {
    render(&format!(
        "filesrc location=\"{}\" ! decodebin ! videoconvert ! video/x-raw,format=RGB ! appsink",
        film.display()
    ))
}
