// SPDX-License-Identifier: MIT OR Apache-2.0

//! The kinds of input, and how reading them stands.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::sync::{Arc, Mutex};
use std::thread;

use super::animation::Animation;
use super::feed::{Feed, lock};
use super::reading::{Reading, State};
use super::sequence::{Pattern, Sequence};
use super::timeline::Rate;
use crate::failure::Failure;

/// What is there to be read.
pub enum Input {
    /// A file for GStreamer.
    Film,
    Animation(Animation),
    Pictures(Sequence),
}

impl Input {
    /// Finds out what a name stands for; with a sentence if that is not all that one may expect.
    pub fn find(path: &Path) -> Result<(Self, Option<String>), Failure> {
        if let Some(pattern) = Pattern::of(path) {
            let (sequence, gap) = Sequence::find(&pattern)?;
            return Ok((Self::Pictures(sequence), gap));
        }
        if !path.is_file() {
            return Err(format!("there is no video file {}", path.display()).into());
        }
        let input = Animation::of(path).map_or(Self::Film, Self::Animation);
        Ok((input, None))
    }

    /// The number of the first picture, where there are numbers.
    pub fn first(&self) -> u64 {
        match self {
            Self::Pictures(sequence) => sequence.first,
            _ => 1,
        }
    }
}

/// Reads an input to its end.
type Read = Box<dyn FnOnce(&Feed) -> Result<(), Failure> + Send>;

/// An input that is being read.
pub enum Source {
    Film(Reading),
    /// Read by a thread of this program, which says when it has come to the end.
    Thread {
        ended: Mutex<Receiver<Result<(), Failure>>>,
        length: Option<gst::ClockTime>,
    },
}

impl Source {
    pub fn start(input: Input, path: &Path, rate: Option<Rate>, feed: &Arc<Feed>) -> Result<Self, Failure> {
        let (length, read): (_, Read) = match input {
            Input::Film => return Ok(Self::Film(Reading::start(path, feed)?)),
            Input::Animation(animation) => (None, Box::new(move |feed| animation.read(feed))),
            Input::Pictures(sequence) => {
                feed.untimed.store(true, Ordering::Release);
                let length = rate.map(|rate| gst::ClockTime::from_nseconds(rate.time(sequence.count)));
                (length, Box::new(move |feed| sequence.read(feed)))
            }
        };
        let (sender, ended) = channel();
        let feed = feed.clone();
        // Nobody waits for the answer of one that was interrupted.
        thread::spawn(move || sender.send(read(&feed)));
        let ended = Mutex::new(ended);
        Ok(Self::Thread { ended, length })
    }

    /// What has happened since it was last asked.
    pub fn poll(&self, feed: &Feed) -> State {
        match self {
            Self::Film(reading) => reading.poll(feed),
            Self::Thread { ended, .. } => match lock(ended).try_recv() {
                Ok(Ok(())) => State::Ended,
                Ok(Err(failure)) => State::Failed(failure),
                Err(TryRecvError::Empty) => State::Reads,
                Err(TryRecvError::Disconnected) => State::Failed("reading broke off".into()),
            },
        }
    }

    /// How long the film is, as far as that can be known before its end.
    pub fn length(&self) -> Option<gst::ClockTime> {
        match self {
            Self::Film(reading) => reading.length(),
            Self::Thread { length, .. } => *length,
        }
    }

    /// Whether the file itself ends before it should, if it says how long it is.
    pub fn is_cut(&self, path: &Path) -> bool {
        let head = File::open(path).and_then(|mut file| {
            let mut head = [0; 12];
            file.read_exact(&mut head)?;
            Ok((head, file.metadata()?.len()))
        });
        matches!(head, Ok(([b'R', b'I', b'F', b'F', a, b, c, d, b'A', b'V', b'I', b' '], length))
            if u64::from(u32::from_le_bytes([a, b, c, d])) + 8 > length)
    }

    /// Whether that length is written in the file.
    pub fn says_its_length(&self) -> bool {
        matches!(self, Self::Film(reading) if reading.says_its_length())
    }

    /// Stops reading. It may hang where an element does.
    pub fn close(&self) {
        if let Self::Film(reading) = self {
            reading.close();
        }
    }
}
