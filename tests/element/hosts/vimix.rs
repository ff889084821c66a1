// SPDX-License-Identifier: MIT OR Apache-2.0

//! vimix, whose MediaPlayer.cpp plays each clip by a `playbin` with the effect as its filter, and seeks all the time.

use crate::common::*;
use gst::prelude::*;
use gst_app::AppSink;

use super::file;

const SECOND: gst::ClockTime = gst::ClockTime::SECOND;

/// A clip as vimix opens it: only its pictures, in time, and at most five of them waiting.
struct Clip {
    playbin: gst::Element,
    sink: AppSink,
    _pictures: Pictures,
}

impl Clip {
    fn open(effect: &str) -> Self {
        init();
        let pictures = Pictures::new();
        let line = format!(
            "neuralstyle style=\"{}\" {QUICK} {effect}",
            pictures.red().display()
        );
        // A line that cannot be understood is refused when it is typed, by an element that is never started.
        drop(gst::parse::launch(&line).unwrap());
        let caps = gst_video::VideoCapsBuilder::new()
            .format(gst_video::VideoFormat::Rgba)
            .width(640)
            .height(360)
            .build();
        let sink = AppSink::builder()
            .caps(&caps)
            .sync(true)
            .max_buffers(5)
            .drop(true)
            .build();
        let clip = file("media/bunny.webm").canonicalize().unwrap();
        let playbin = gst::ElementFactory::make("playbin")
            .property("uri", format!("file://{}", clip.display()))
            .property_from_str("flags", "video")
            .property("video-filter", gst::parse::launch(&line).unwrap())
            .property("video-sink", &sink)
            .build()
            .unwrap();
        playbin.set_state(gst::State::Paused).unwrap();
        let clip = Self {
            playbin,
            sink,
            _pictures: pictures,
        };
        clip.settled();
        clip
    }

    /// Waits until the last state change or seek is done.
    fn settled(&self) {
        let (result, _, _) = self.playbin.state(PATIENCE);
        assert_eq!(result, Ok(gst::StateChangeSuccess::Success));
    }

    fn set_state(&self, state: gst::State) {
        self.playbin.set_state(state).unwrap();
        self.settled();
    }

    /// Seeks as the player does: precisely, or at more than one and a half times the speed roughly.
    fn seek(&self, rate: f64, place: gst::ClockTime) {
        let precision = match rate.abs() > 1.5 {
            true => gst::SeekFlags::TRICKMODE,
            false => gst::SeekFlags::ACCURATE,
        };
        let none = gst::ClockTime::NONE;
        let (start, stop) = match rate > 0.0 {
            true => (Some(place), none),
            false => (Some(gst::ClockTime::ZERO), Some(place)),
        };
        let flags = gst::SeekFlags::FLUSH | precision;
        self.playbin
            .seek(rate, flags, gst::SeekType::Set, start, gst::SeekType::Set, stop)
            .unwrap();
        self.settled();
    }

    /// When the next frame is shown.
    fn next(&self) -> gst::ClockTime {
        let sample = self.sink.try_pull_sample(PATIENCE).expect("a frame comes");
        sample.buffer().unwrap().pts().unwrap()
    }
}

impl Drop for Clip {
    fn drop(&mut self) {
        // On another thread, with a frame under way.
        let playbin = self.playbin.clone();
        std::thread::spawn(move || playbin.set_state(gst::State::Null))
            .join()
            .unwrap()
            .unwrap();
    }
}

const MODES: [&str; 2] = ["mode=live", "mode=offline"];

#[test]
fn a_clip_is_played_from_every_place_at_every_speed() {
    for mode in MODES {
        let clip = Clip::open(mode);
        clip.set_state(gst::State::Playing);
        clip.next();
        for (rate, place) in [
            (1.0, 2 * SECOND),
            (0.5, SECOND),
            (2.0, SECOND),
            (-1.0, SECOND),
            (-2.0, 2 * SECOND),
            (1.0, gst::ClockTime::ZERO),
        ] {
            clip.seek(rate, place);
            let shown = clip.next();
            // Roughly is from the frame before that can be decoded by itself.
            let within = match rate {
                _ if rate < 0.0 => shown <= place,
                _ if rate > 1.5 => true,
                _ => shown >= place,
            };
            assert!(within, "{mode}, {rate} from {place}: {shown}");
        }
    }
}

#[test]
fn a_clip_that_plays_takes_another_speed_at_once() {
    for mode in MODES {
        let clip = Clip::open(mode);
        clip.set_state(gst::State::Playing);
        clip.next();
        let flags = gst::SeekFlags::INSTANT_RATE_CHANGE | gst::SeekFlags::TRICKMODE;
        let none = gst::ClockTime::NONE;
        clip.playbin
            .seek(1.25, flags, gst::SeekType::None, none, gst::SeekType::None, none)
            .expect(mode);
        clip.next();
    }
}

#[test]
fn a_clip_that_pauses_is_shown_frame_by_frame() {
    for mode in MODES {
        let clip = Clip::open(mode);
        let mut shown = clip.sink.pull_preroll().unwrap().buffer().unwrap().pts();
        for _ in 0..3 {
            let step = gst::event::Step::new(gst::format::Buffers::from_u64(1), 1.0, true, false);
            assert!(clip.playbin.send_event(step), "{mode}");
            clip.settled();
            let sample = clip.sink.try_pull_preroll(PATIENCE).expect(mode);
            let next = sample.buffer().unwrap().pts();
            assert!(next > shown, "{mode}: {next:?} after {shown:?}");
            shown = next;
        }
    }
}

#[test]
fn a_clip_that_has_ended_begins_again() {
    for mode in MODES {
        let clip = Clip::open(mode);
        let duration = clip.playbin.query_duration::<gst::ClockTime>().unwrap();
        for _ in 0..2 {
            clip.seek(1.0, duration - SECOND / 5);
            clip.set_state(gst::State::Playing);
            while clip.sink.try_pull_sample(PATIENCE).is_some() {}
            assert!(clip.sink.is_eos(), "{mode}");
        }
        clip.seek(1.0, gst::ClockTime::ZERO);
        assert!(clip.next() < SECOND, "{mode}");
    }
}
