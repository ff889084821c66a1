// SPDX-License-Identifier: MIT OR Apache-2.0

//! What players do to a pipeline: pause and resume, seek everywhere, play fast and backwards.

use crate::common::*;
use gst::prelude::*;

const SECOND: gst::ClockTime = gst::ClockTime::SECOND;

/// A film of ten seconds at ten frames a second in a paused pipeline.
struct Film {
    pipeline: gst::Pipeline,
    sink: gst_app::AppSink,
    _pictures: Pictures,
}

impl Film {
    fn new() -> Self {
        init();
        let pictures = Pictures::new();
        let line = format!(
            "videotestsrc num-buffers=100 pattern=ball ! video/x-raw,format=BGRx,width=24,height=18,framerate=10/1 \
             ! neuralstyle style={} {QUICK} ! appsink name=out sync=false max-buffers=1",
            pictures.red().display()
        );
        let pipeline = gst::parse::launch(&line)
            .unwrap()
            .downcast::<gst::Pipeline>()
            .unwrap();
        let sink = appsink(&pipeline);
        pipeline.set_state(gst::State::Paused).unwrap();
        let film = Self {
            pipeline,
            sink,
            _pictures: pictures,
        };
        film.settled();
        film
    }

    /// Waits until the last state change or seek is done.
    fn settled(&self) {
        let (result, _, _) = self.pipeline.state(PATIENCE);
        assert_eq!(result, Ok(gst::StateChangeSuccess::Success));
    }

    fn set_state(&self, state: gst::State) {
        self.pipeline.set_state(state).unwrap();
    }

    fn seek(&self, rate: f64, start: gst::ClockTime, stop: Option<gst::ClockTime>) {
        let flags = gst::SeekFlags::FLUSH | gst::SeekFlags::ACCURATE;
        self.pipeline
            .seek(rate, flags, gst::SeekType::Set, start, gst::SeekType::Set, stop)
            .unwrap();
        self.settled();
    }

    /// The times of all frames to the end of the segment.
    fn play_to_the_end(&self) -> Vec<gst::ClockTime> {
        self.set_state(gst::State::Playing);
        let mut times = Vec::new();
        while let Ok(sample) = self.sink.pull_sample() {
            times.push(sample.buffer().unwrap().pts().unwrap());
        }
        let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
        let end = self
            .pipeline
            .bus()
            .unwrap()
            .timed_pop_filtered(PATIENCE, &kinds)
            .unwrap();
        assert_eq!(end.type_(), gst::MessageType::Eos, "{end:?}");
        times
    }
}

impl Drop for Film {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

fn tenths(range: impl IntoIterator<Item = u64>) -> Vec<gst::ClockTime> {
    range
        .into_iter()
        .map(|number| gst::ClockTime::from_mseconds(100 * number))
        .collect()
}

#[test]
fn a_part_is_played_from_its_start_to_its_stop() {
    let film = Film::new();
    film.seek(1.0, 2 * SECOND, Some(4 * SECOND));
    assert_eq!(film.play_to_the_end(), tenths(20..40));
}

#[test]
fn backwards_every_frame_comes_out_in_its_turn() {
    let film = Film::new();
    film.seek(-1.0, gst::ClockTime::ZERO, Some(3 * SECOND));
    let times = film.play_to_the_end();
    assert!(times.len() >= 30, "{times:?}");
    assert!(times.is_sorted_by(|earlier, later| earlier > later), "{times:?}");
}

#[test]
fn fast_forward_and_fast_backward_end() {
    for rate in [2.0, 8.0, -2.0, -8.0] {
        let film = Film::new();
        film.seek(rate, gst::ClockTime::ZERO, Some(5 * SECOND));
        assert!(!film.play_to_the_end().is_empty(), "rate {rate}");
    }
}

#[test]
fn pausing_and_resuming_loses_nothing() {
    let film = Film::new();
    let mut times = Vec::new();
    for _ in 0..10 {
        film.set_state(gst::State::Playing);
        let sample = film.sink.pull_sample().unwrap();
        times.push(sample.buffer().unwrap().pts().unwrap());
        film.set_state(gst::State::Paused);
        film.settled();
    }
    times.extend(film.play_to_the_end());
    assert_eq!(times, tenths(0..100));
}

#[test]
fn scrubbing_shows_the_frame_of_every_place() {
    let film = Film::new();
    for second in [1, 9, 4, 4, 0, 7, 2, 8] {
        film.seek(1.0, second * SECOND, None);
        let preroll = film.sink.pull_preroll().unwrap();
        assert_eq!(preroll.buffer().unwrap().pts(), Some(second * SECOND));
    }
}

#[test]
fn states_may_change_in_any_order() {
    use gst::State::{Null, Paused, Playing, Ready};
    let film = Film::new();
    for state in [
        Playing, Ready, Playing, Null, Paused, Ready, Null, Ready, Paused, Playing, Paused, Null,
    ] {
        film.set_state(state);
    }
    film.set_state(Paused);
    film.settled();
    assert_eq!(film.play_to_the_end().len(), 100);
}

/// Two recordings one after the other, each with a time of its own.
#[test]
fn streams_one_after_the_other_are_painted_to_the_end() {
    init();
    let pictures = Pictures::new();
    let source = "videotestsrc num-buffers=5 ! video/x-raw,format=RGB,framerate=10/1";
    let line = format!(
        "concat name=film ! neuralstyle style={} {QUICK} ! appsink \
         {source},width=24,height=18 ! film. {source},width=30,height=20 ! film.",
        pictures.red().display()
    );
    assert_eq!(render(&line).len(), 10);
}
