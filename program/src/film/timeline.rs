// SPDX-License-Identifier: MIT OR Apache-2.0

//! When frames and sound are shown. A film has one clock that only goes forward, whatever the clocks in its file do.
//! All times are nanoseconds.

const SECOND: u64 = 1_000_000_000;

/// A step back that is longer is a clock that was set anew; a shorter one is jitter.
const JITTER: u64 = SECOND / 4;

/// A gap that is longer is not in the film: a clock was set.
const LONGEST_GAP: u64 = 600 * SECOND;

/// Sound is moved only if it is off by more than can be heard.
const UNHEARD: u64 = SECOND / 25;

/// How many frames there are in how many seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    pub frames: u32,
    pub seconds: u32,
}

impl Rate {
    /// When a frame begins.
    pub fn time(self, number: u64) -> u64 {
        let nanoseconds = u128::from(number) * u128::from(self.seconds) * u128::from(SECOND)
            / u128::from(self.frames.max(1));
        u64::try_from(nanoseconds).unwrap_or(u64::MAX)
    }
}

/// A stretch of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub start: u64,
    pub duration: u64,
}

impl Span {
    pub fn end(self) -> u64 {
        self.start.saturating_add(self.duration)
    }
}

/// Brings the times of a file onto the clock of the film.
#[derive(Default)]
struct Shift {
    /// Added to the times of the file.
    offset: i64,
}

impl Shift {
    /// The time on the film's clock.
    fn place(&self, time: u64) -> i64 {
        i64::try_from(time)
            .unwrap_or(i64::MAX)
            .saturating_add(self.offset)
    }

    /// From now on `time` is shown at `at`.
    fn set(&mut self, time: u64, at: u64) {
        let signed = |time| i64::try_from(time).unwrap_or(i64::MAX);
        self.offset = signed(at).saturating_sub(signed(time));
    }
}

/// Whether a clock was set anew, so that what comes next follows what ended at `end`. The film has come to `furthest`.
fn was_set(time: i64, end: u64, furthest: u64) -> bool {
    let signed = |time| i64::try_from(time).unwrap_or(i64::MAX);
    time.saturating_add(JITTER as i64) < signed(end)
        || time > signed(end.max(furthest)).saturating_add(LONGEST_GAP as i64)
}

/// Gives each frame its time.
pub struct FrameTimes {
    /// Counts frames instead of reading their times.
    counted: Option<Rate>,
    shift: Shift,
    number: u64,
    last: Option<Span>,
    /// How often the file's clock was set anew.
    pub restarts: usize,
}

impl FrameTimes {
    /// Takes times from the file, or if it has none, from a rate.
    pub fn new(counted: Option<Rate>) -> Self {
        Self {
            counted,
            shift: Shift::default(),
            number: 0,
            last: None,
            restarts: 0,
        }
    }

    /// The rate by which frames are counted, if they are.
    pub fn counted(&self) -> Option<Rate> {
        self.counted
    }

    /// The end of the last frame.
    pub fn end(&self) -> u64 {
        self.last.map_or(0, Span::end)
    }

    /// When the next frame is shown, and how long. `usual` is how long frames of this file are.
    pub fn next(&mut self, time: Option<u64>, duration: Option<u64>, usual: u64) -> Span {
        let number = self.number;
        self.number += 1;
        let span = match (self.counted, time) {
            (Some(rate), _) => Span {
                start: rate.time(number),
                duration: rate.time(number + 1) - rate.time(number),
            },
            (None, time) => Span {
                start: self.start(time),
                duration: duration.filter(|duration| *duration > 0).unwrap_or(usual),
            },
        };
        self.last = Some(span);
        span
    }

    fn start(&mut self, time: Option<u64>) -> u64 {
        let (Some(last), Some(time)) = (self.last, time) else {
            // Sound before the first frame stays in step with it, unless the clock begins anywhere.
            let first = time.unwrap_or(self.end());
            return match self.last {
                None if first > 10 * SECOND => {
                    self.shift.set(first, 0);
                    0
                }
                _ => first,
            };
        };
        if was_set(self.shift.place(time), last.end(), last.end()) {
            self.restarts += 1;
            self.shift.set(time, last.end());
        }
        let placed = u64::try_from(self.shift.place(time)).unwrap_or(0);
        if placed <= last.start {
            // Some decoders give the same time again and again where a clock begins anew.
            return last.end();
        }
        // Two frames at nearly the same time would be one for many players.
        placed.max(last.start + (last.duration / 2).max(1_000_000))
    }
}

/// What is done with a piece of sound so that it comes in step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    /// When it begins, with the silence.
    pub start: u64,
    /// Samples of silence before it.
    pub silence: u64,
    /// Samples left out at its beginning.
    pub skipped: u64,
}

/// Gives each piece of sound its place. Its clock are its own samples.
pub struct SoundTimes {
    rate: u32,
    /// Samples so far.
    position: u64,
    shift: Shift,
    /// How often the file's clock was set anew.
    restarts: usize,
}

impl SoundTimes {
    pub fn new(rate: u32) -> Self {
        Self {
            rate: rate.max(1),
            position: 0,
            shift: Shift::default(),
            restarts: 0,
        }
    }

    /// The end of what was placed.
    pub fn end(&self) -> u64 {
        let nanoseconds = u128::from(self.position) * u128::from(SECOND) / u128::from(self.rate);
        u64::try_from(nanoseconds).unwrap_or(u64::MAX)
    }

    /// Whether the clock was set anew before this piece, more often than for the frames so far.
    pub fn is_ahead(&self, time: Option<u64>, frames: &FrameTimes) -> bool {
        let restarted = time.is_some_and(|time| was_set(self.shift.place(time), self.end(), frames.end()));
        restarted && self.restarts >= frames.restarts
    }

    /// Places a piece of so many samples.
    pub fn place(&mut self, time: Option<u64>, samples: u64, frames: &FrameTimes) -> Placement {
        let mut placement = Placement {
            start: self.end(),
            silence: 0,
            skipped: 0,
        };
        if let Some(time) = time {
            if was_set(self.shift.place(time), self.end(), frames.end()) {
                // Frames that began anew at the same place have found where that is.
                let with_frames = frames.restarts > self.restarts;
                self.restarts = frames.restarts.max(self.restarts + 1);
                if with_frames {
                    self.shift.offset = frames.shift.offset;
                }
                if !with_frames || was_set(self.shift.place(time), self.end(), frames.end()) {
                    self.shift.set(time, self.end());
                }
            }
            let off = self.shift.place(time) - i64::try_from(self.end()).unwrap_or(i64::MAX);
            let samples_off = self.samples(off.unsigned_abs());
            if off > UNHEARD as i64 {
                placement.silence = samples_off;
            } else if off < -(UNHEARD as i64) {
                placement.skipped = samples_off.min(samples);
            }
        }
        self.position += placement.silence + samples - placement.skipped;
        placement
    }

    /// How many samples of silence there are until a time.
    pub fn until(&self, time: u64) -> u64 {
        self.samples(time.saturating_sub(self.end()))
    }

    fn samples(&self, nanoseconds: u64) -> u64 {
        let samples = u128::from(nanoseconds) * u128::from(self.rate) / u128::from(SECOND);
        u64::try_from(samples).unwrap_or(u64::MAX)
    }
}
