// SPDX-License-Identifier: MIT OR Apache-2.0

//! The clock of a film.

#[path = "../../program/src/film/timeline.rs"]
#[allow(dead_code)]
mod timeline;

use timeline::{FrameTimes, Rate, SoundTimes};

const MS: u64 = 1_000_000;

fn starts(times: &mut FrameTimes, given: &[Option<u64>]) -> Vec<u64> {
    let next = |time: &Option<u64>| times.next(time.map(|ms| ms * MS), None, 100 * MS).start / MS;
    given.iter().map(next).collect()
}

#[test]
fn frames_keep_their_times_and_gaps() {
    let mut times = FrameTimes::new(None);
    let given = [0, 100, 233, 5_000, 5_100];
    assert_eq!(starts(&mut times, &given.map(Some)), given);
}

#[test]
fn a_clock_that_begins_anew_goes_on_where_it_was() {
    let mut times = FrameTimes::new(None);
    let given = [0, 100, 900, 0, 100, 200].map(Some);
    assert_eq!(starts(&mut times, &given), [0, 100, 900, 1000, 1100, 1200]);
    assert_eq!(times.restarts, 1);
}

#[test]
fn no_two_frames_have_the_same_time() {
    let mut times = FrameTimes::new(None);
    let given = [Some(0), Some(100), Some(100), Some(90), None, Some(400)];
    let starts = starts(&mut times, &given);
    assert!(starts.windows(2).all(|pair| pair[0] < pair[1]), "{starts:?}");
}

#[test]
fn frames_without_times_are_counted() {
    let rate = Rate {
        frames: 30_000,
        seconds: 1001,
    };
    let mut times = FrameTimes::new(Some(rate));
    let spans: Vec<_> = (0..300_000).map(|_| times.next(Some(7), None, 1)).collect();
    assert!(spans.windows(2).all(|pair| pair[0].end() == pair[1].start));
    assert_eq!(spans[30_000].start, 1_001_000 * MS);
}

#[test]
fn sound_that_stops_comes_back_in_step() {
    let frames = FrameTimes::new(None);
    let mut sound = SoundTimes::new(48_000);
    // Two pieces of 20 ms, a second of nothing, and one more.
    assert_eq!(sound.place(Some(0), 960, &frames).silence, 0);
    assert_eq!(sound.place(Some(20 * MS), 960, &frames).silence, 0);
    assert_eq!(sound.place(Some(1040 * MS), 960, &frames).silence, 48_000);
    assert_eq!(sound.end(), 1060 * MS);
    // What overlaps by more than can be heard is heard once.
    assert_eq!(sound.place(Some(960 * MS), 9_600, &frames).skipped, 4_800);
}

#[test]
fn sound_of_a_new_beginning_waits_for_its_frames() {
    let mut frames = FrameTimes::new(None);
    let mut sound = SoundTimes::new(48_000);
    starts(&mut frames, &[Some(0), Some(900)]);
    sound.place(Some(0), 44_160, &frames);
    assert!(sound.is_ahead(Some(0), &frames));
    starts(&mut frames, &[Some(0)]);
    assert!(!sound.is_ahead(Some(0), &frames));
    // The frames begin anew at 1000 ms, the sound ended at 920 ms.
    let placed = sound.place(Some(0), 480, &frames);
    assert_eq!((placed.start, placed.silence), (920 * MS, 80 * 48));
}
