// SPDX-License-Identifier: MIT OR Apache-2.0

//! Drives a film from its first frame to its end, whichever end that is.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;

use super::feed::{Feed, lock};
use super::painting::Painting;
use super::reading::State;
use super::source::Source;
use super::watchdog::Watchdog;
use crate::failure::Failure;
use crate::pipeline::{Interrupts, why};
use crate::progress::{self, tell};

/// How long Ctrl-C and the progress bar may wait.
const TURN: gst::ClockTime = gst::ClockTime::from_mseconds(50);
/// How long a failed decoder may still give what it had.
const REST: Duration = Duration::from_secs(1);
/// How long the pipelines may take to stop. Everything is written by then.
const WRITTEN: Duration = Duration::from_secs(3);
const READ: Duration = Duration::from_millis(300);
/// A film is cut short if it lacks this part of what its file announces, and a second.
const LACKING: f64 = 0.05;

/// How a render ended.
pub enum End {
    Whole,
    /// By the user.
    Interrupted,
    /// What is written can be played nevertheless.
    Failed(Failure),
    /// Nothing that is written can be used.
    Lost(Failure),
}

/// Runs until the end, a failure or Ctrl-C.
pub fn run(feed: &Arc<Feed>, source: Source, input: &Path) -> Result<End, Failure> {
    let mut render = Render {
        feed: feed.clone(),
        source: Arc::new(source),
        input: input.to_owned(),
        interrupts: Interrupts::catch()?,
        bar: progress::bar(0, "{bar:30} {percent}%, {eta} left, {msg}"),
        end: None,
        failed: None,
        finishing: false,
        watchdog: Watchdog::new(),
        length: None,
    };
    let end = render.drive();
    for sentence in feed.take_told() {
        tell(&render.bar, sentence);
    }
    render.close(&end);
    Ok(end)
}

struct Render {
    feed: Arc<Feed>,
    source: Arc<Source>,
    input: PathBuf,
    interrupts: Interrupts,
    bar: ProgressBar,
    /// How it will have ended when the file is finished.
    end: Option<End>,
    /// Why reading ended, and when.
    failed: Option<(Failure, Instant)>,
    /// No more frames will come.
    finishing: bool,
    watchdog: Watchdog,
    /// The longest that the film was said to be.
    length: Option<gst::ClockTime>,
}

impl Render {
    fn drive(&mut self) -> End {
        loop {
            if let Some(end) = self.heed_interrupts() {
                return end;
            }
            for sentence in self.feed.take_told() {
                tell(&self.bar, sentence);
            }
            self.look_at_reading();
            let painting = self.feed.painting().cloned();
            let ended = match &painting {
                Some(painting) => self.look_at_painting(painting),
                None => self.end_without_a_frame(),
            };
            if let Some(end) = ended {
                return end;
            }
            self.show(painting.as_deref());
        }
    }

    /// The first Ctrl-C keeps what is painted, the second gives up.
    fn heed_interrupts(&mut self) -> Option<End> {
        match self.interrupts.count() {
            0 => None,
            1 if matches!(self.end, Some(End::Interrupted)) => None,
            1 => {
                tell(&self.bar, "Finishing the file; Ctrl-C again gives it up.");
                self.end = Some(End::Interrupted);
                self.stop();
                None
            }
            _ => Some(End::Lost("given up; nothing was written".into())),
        }
    }

    /// Ends it with what is painted.
    fn stop(&mut self) {
        self.finishing = true;
        self.feed.interrupt();
    }

    fn look_at_reading(&mut self) {
        if self.finishing {
            return;
        }
        self.length = self.length.max(self.source.length());
        match self.source.poll(&self.feed) {
            State::Reads => {}
            State::Ended => {
                let failed = self.failed.take();
                return self.finish(failed.map(|(failure, _)| failure));
            }
            // The first says most.
            State::Failed(failure) if self.failed.is_none() => self.failed = Some((failure, Instant::now())),
            State::Failed(_) => {}
        }
        let silence = self.feed.silence();
        if let Some((failure, _)) = self
            .failed
            .take_if(|(_, since)| silence.min(since.elapsed()) > REST)
        {
            self.finish(Some(failure));
        } else if let Some(failure) = Watchdog::reading(&self.feed) {
            self.finish(Some(failure));
        }
    }

    /// Nothing more is read: what was read is painted, and the file finished.
    fn finish(&mut self, failure: Option<Failure>) {
        self.finishing = true;
        self.watchdog = Watchdog::new();
        let failure = failure.or_else(|| self.cut_short());
        self.end = Some(failure.map_or(End::Whole, End::Failed));
        // Sound that is still being converted is waited for.
        let feed = self.feed.clone();
        thread::spawn(move || feed.finish());
    }

    /// Whether there is less than the file says.
    fn cut_short(&self) -> Option<Failure> {
        let announced = self.length.filter(|_| self.source.says_its_length())?;
        let there = self.feed.read_until();
        let lacking = announced.saturating_sub(there);
        let is_short = lacking > gst::ClockTime::SECOND
            && lacking.nseconds() as f64 > LACKING * announced.nseconds() as f64;
        if !is_short && self.source.is_cut(&self.input) {
            return Some(format!("it is cut short: the file ends early, after {}", seconds(there)).into());
        }
        is_short.then(|| {
            format!(
                "it is cut short: it shows {} of {} that the file announces",
                seconds(there),
                seconds(announced)
            )
            .into()
        })
    }

    fn end_without_a_frame(&mut self) -> Option<End> {
        if self.finishing && self.feed.is_stopped() {
            return Some(self.end.take().unwrap_or(End::Whole));
        }
        thread::sleep(TURN.into());
        None
    }

    fn look_at_painting(&mut self, painting: &Painting) -> Option<End> {
        let Some(bus) = painting.bus() else {
            return Some(End::Lost("the pipeline has no bus".into()));
        };
        let nothing_to_keep = self.feed.is_stopped() && painting.frames() == 0;
        if nothing_to_keep && matches!(self.end, Some(End::Interrupted)) {
            return self.end.take();
        }
        let mut wait = Some(TURN);
        while let Some(message) = bus.timed_pop(wait.take().unwrap_or_default()) {
            match message.view() {
                gst::MessageView::Eos(_) => return Some(self.end.take().unwrap_or(End::Whole)),
                gst::MessageView::Error(_) => {
                    let failure = lock(&painting.failure).take();
                    let failure = failure.unwrap_or_else(|| why(&message));
                    // Where not even the end can be written, the first error says why.
                    match self.end.take() {
                        Some(End::Failed(first)) if self.feed.is_stopped() => {
                            return Some(End::Lost(format!("the film cannot be finished: {first}").into()));
                        }
                        _ if painting.frames() == 0 => return Some(End::Lost(failure)),
                        _ => {}
                    }
                    self.end = Some(End::Failed(failure));
                    self.stop();
                }
                gst::MessageView::Warning(warning) => {
                    tell(&self.bar, format!("Warning: {}", warning.error().message()));
                }
                _ => {}
            }
        }
        match self.finishing {
            true => self.watchdog.writing(painting).map(End::Lost),
            false => None,
        }
    }

    fn show(&self, painting: Option<&Painting>) {
        let Some(painting) = painting else {
            return;
        };
        let position = painting.shown();
        let length = self.length.unwrap_or_default().max(self.feed.read_until());
        self.bar.set_length(length.max(position).mseconds());
        self.bar.set_position(position.mseconds());
        let frames = painting.frames();
        self.bar.set_message(format!(
            "{frames} frames, {:.2} a second",
            frames as f64 / self.bar.elapsed().as_secs_f64()
        ));
    }

    /// Stops both pipelines. One that does not stop is left behind: the program ends anyway.
    fn close(&self, end: &End) {
        self.bar.finish_and_clear();
        if !matches!(end, End::Lost(_)) {
            let feed = self.feed.clone();
            within(WRITTEN, move || {
                if let Some(painting) = feed.painting() {
                    painting.close();
                }
            });
            let source = self.source.clone();
            within(READ, move || source.close());
        }
        // What hangs would hang again where it is dropped.
        std::mem::forget((self.source.clone(), self.feed.clone()));
    }
}

/// Does something, or leaves it behind.
fn within(patience: Duration, act: impl FnOnce() + Send + 'static) {
    let (sender, done) = channel();
    thread::spawn(move || {
        act();
        sender.send(())
    });
    let _ = done.recv_timeout(patience);
}

/// As in "4.0 s".
pub fn seconds(time: gst::ClockTime) -> String {
    format!("{:.1} s", time.nseconds() as f64 * 1e-9)
}
