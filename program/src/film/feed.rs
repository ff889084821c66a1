// SPDX-License-Identifier: MIT OR Apache-2.0

//! Where what is read meets what paints: frames are fitted, get their times and go to the painter, which is built for the
//! first of them; sound goes beside them.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use gst_video::{VideoFormat, VideoFrame, VideoInfo};
use image::DynamicImage;

use super::fitting::Fitting;
use super::painting::Painting;
use super::sound::Sound;
use super::target::{Kind, Target};
use super::timeline::{FrameTimes, Rate};
use crate::failure::Failure;
use crate::flags::{Flags, Stream};

/// Where no file says how long frames are.
const USUAL_RATE: Rate = Rate {
    frames: 25,
    seconds: 1,
};

/// What the painter needs to know.
pub struct Order {
    pub style: PathBuf,
    pub flags: Flags<Stream>,
    pub target: Target,
    /// Asked for, where a file says nothing.
    pub rate: Option<Rate>,
}

/// A frame of the input.
pub struct Frame {
    pub caps: gst::Caps,
    pub buffer: gst::Buffer,
    /// In nanoseconds, on the clock of the input.
    pub time: Option<u64>,
    pub duration: Option<u64>,
    /// How it was held, where that is not upright.
    pub turned: Option<gst::TagList>,
    /// Whether its alpha, if it has any, is the same everywhere.
    pub opaque: bool,
}

/// Why a frame was not taken.
pub enum Ended {
    /// Nobody waits for frames any more.
    Stopped,
    Failed(Failure),
}

impl<E: Into<Failure>> From<E> for Ended {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// Takes what is read.
pub struct Feed {
    order: Order,
    /// Whether what is read comes without times of its own.
    pub untimed: AtomicBool,
    /// Whether there is a track with sound.
    pub has_sound: AtomicBool,
    /// Whether no track has sound at this time.
    is_silent: AtomicBool,
    pictures: Mutex<Pictures>,
    sound: Mutex<Sound>,
    painting: OnceLock<Arc<Painting>>,
    /// Sentences for the user, and how many were told.
    told: Mutex<(Vec<String>, usize)>,
    stopped: AtomicBool,
    /// How many threads wait for the painter to take something.
    waiting: AtomicUsize,
    /// When something was last read.
    heard: Mutex<Instant>,
    /// How far the input was read, in nanoseconds on the clock of the film.
    read_until: AtomicU64,
}

#[derive(Default)]
struct Pictures {
    fitting: Option<Fitting>,
    times: Option<FrameTimes>,
    /// Whether the rate is only the usual one.
    guessed: bool,
}

pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Feed {
    pub fn new(order: Order) -> Arc<Self> {
        Arc::new(Self {
            order,
            untimed: AtomicBool::new(false),
            has_sound: AtomicBool::new(false),
            is_silent: AtomicBool::new(false),
            pictures: Mutex::default(),
            sound: Mutex::default(),
            painting: OnceLock::new(),
            told: Mutex::default(),
            stopped: AtomicBool::new(false),
            waiting: AtomicUsize::new(0),
            heard: Mutex::new(Instant::now()),
            read_until: AtomicU64::new(0),
        })
    }

    /// The painter, once there was a frame.
    pub fn painting(&self) -> Option<&Arc<Painting>> {
        self.painting.get()
    }

    /// Has the user read something, once.
    pub fn tell(&self, sentence: impl Into<String>) {
        let (sentence, sentences) = (sentence.into(), &mut lock(&self.told).0);
        if !sentences.contains(&sentence) {
            sentences.push(sentence);
        }
    }

    /// The sentences that are new.
    pub fn take_told(&self) -> Vec<String> {
        let mut told = lock(&self.told);
        let (sentences, count) = &mut *told;
        let new = sentences[*count..].to_vec();
        *count = sentences.len();
        new
    }

    /// Notes that reading goes on.
    pub fn heard(&self) {
        *lock(&self.heard) = Instant::now();
    }

    /// For how long nothing was read, though nothing had to wait for the painter.
    pub fn silence(&self) -> Duration {
        let at_work = self.waiting.load(Ordering::Acquire) > 0
            || self.painting().is_some_and(|painting| painting.is_at_work());
        if at_work {
            self.heard();
        }
        lock(&self.heard).elapsed()
    }

    /// Learns which tracks there are, before anything of them comes.
    pub fn announce_tracks(&self, pictures: usize, sounds: usize, sounds_later: bool, untimed: bool) {
        self.is_silent.store(sounds == 0, Ordering::Release);
        self.untimed.store(untimed, Ordering::Release);
        if pictures > 1 {
            self.tell("Only one of the tracks with pictures is painted");
        }
        if sounds > 1 {
            self.tell("Only the first of the tracks with sound is kept");
        }
        if sounds == 0 && !sounds_later {
            return;
        }
        if self.painting().is_some_and(|painting| painting.sound().is_none()) {
            self.tell("Sound that begins later than the film is left out");
        }
        match &self.order.target.kind {
            Kind::File { parts, .. } if parts.audio.is_none() => {
                self.tell(format!(
                    "The sound is left out: nothing here encodes it for .{}",
                    parts.ending
                ));
            }
            Kind::File { .. } => self.has_sound.store(true, Ordering::Release),
            Kind::Pictures { .. } => self.tell("The sound is left out: pictures have none"),
        }
    }

    /// Takes the next frame, once there is room for it.
    pub fn frame(&self, frame: Frame) -> Result<(), Ended> {
        self.heard();
        if self.is_stopped() {
            return Err(Ended::Stopped);
        }
        let (buffer, restarted) = {
            let mut pictures = lock(&self.pictures);
            let restarts = pictures.times.as_ref().map_or(0, |times| times.restarts);
            let buffer = self.prepare(&mut pictures, frame)?;
            let restarted = pictures
                .times
                .as_ref()
                .is_some_and(|times| times.restarts > restarts);
            (buffer, restarted)
        };
        if restarted {
            self.place_waiting_sound();
        }
        let Some(painting) = self.painting.get() else {
            return Err(Ended::Stopped);
        };
        self.waiting.fetch_add(1, Ordering::AcqRel);
        let taken = painting.push(buffer);
        self.waiting.fetch_sub(1, Ordering::AcqRel);
        self.heard();
        taken.map_err(|_| Ended::Stopped)
    }

    /// Fits a frame into the film and gives it its time. The first one decides what the film is.
    fn prepare(&self, pictures: &mut Pictures, frame: Frame) -> Result<gst::Buffer, Ended> {
        let info = VideoInfo::from_caps(&frame.caps)?;
        let times = match &mut pictures.times {
            Some(times) => times,
            times @ None => {
                let counting = self.counting(&info);
                pictures.guessed = counting.is_some() && self.order.rate.is_none() && info.fps().numer() == 0;
                times.insert(FrameTimes::new(counting))
            }
        };
        let fps = match times.counted() {
            Some(rate) => gst::Fraction::new(rate.frames as i32, rate.seconds as i32),
            None => info.fps(),
        };
        let fitting = match &mut pictures.fitting {
            Some(fitting) => fitting,
            fitting @ None => fitting.insert(Fitting::choose(
                &frame.caps,
                frame.opaque,
                fps,
                &self.order.target,
                |sentence| self.tell(sentence),
            )?),
        };
        let mut buffer = fitting.fit(&frame.caps, frame.buffer)?;
        let usual = match fps.numer() {
            0 => USUAL_RATE.time(1),
            numerator => {
                gst::ClockTime::SECOND
                    .nseconds()
                    .saturating_mul(fps.denom() as u64)
                    / numerator as u64
            }
        };
        let span = times.next(frame.time, frame.duration, usual);
        if self.is_silent.load(Ordering::Acquire) {
            lock(&self.sound).be_silent_until(span.start, times);
        }
        let has_times = matches!(self.order.target.kind, Kind::File { .. });
        if pictures.guessed && span.start > 0 && has_times {
            self.tell("The frames come without times: they are shown 25 times a second; --rate changes that");
        }
        self.read_until.fetch_max(span.end(), Ordering::AcqRel);
        let writable = buffer.make_mut();
        writable.set_pts(gst::ClockTime::from_nseconds(span.start));
        writable.set_duration(gst::ClockTime::from_nseconds(span.duration));
        if self.painting.get().is_none() {
            self.begin(fitting, frame.turned)?;
        }
        Ok(buffer)
    }

    /// The rate by which frames are counted where their times cannot be read.
    fn counting(&self, info: &VideoInfo) -> Option<Rate> {
        if !self.untimed.load(Ordering::Acquire) {
            if self.order.rate.is_some() {
                self.tell("--rate is not used: the frames have times of their own");
            }
            return None;
        }
        let written = info.fps();
        let written = (written.numer() > 0).then(|| Rate {
            frames: written.numer() as u32,
            seconds: written.denom() as u32,
        });
        Some(self.order.rate.or(written).unwrap_or(USUAL_RATE))
    }

    fn begin(&self, fitting: &Fitting, turned: Option<gst::TagList>) -> Result<(), Failure> {
        let mut sound = lock(&self.sound);
        let has_sound = self.has_sound.load(Ordering::Acquire);
        let format = has_sound.then(|| sound.format());
        let painting = Painting::start(&self.order, fitting, turned, format)?;
        sound.begin(painting.sound());
        // Nobody else begins: there is one thread at a time that has a frame.
        let _ = self.painting.set(Arc::new(painting));
        Ok(())
    }

    /// Notes how far a track goes that is not in the film.
    pub fn saw(&self, sample: &gst::Sample) {
        self.heard();
        let segment = sample
            .segment()
            .and_then(|segment| segment.downcast_ref::<gst::ClockTime>());
        let buffer = sample.buffer();
        let start = segment
            .zip(buffer)
            .and_then(|(segment, buffer)| segment.to_running_time(buffer.pts()));
        if let Some(start) = start {
            let end = start + buffer.and_then(gst::BufferRef::duration).unwrap_or_default();
            self.read_until.fetch_max(end.nseconds(), Ordering::AcqRel);
        }
    }

    /// Learns of sound before any of it comes.
    pub fn expect_sound(&self, caps: &gst::CapsRef) {
        lock(&self.sound).expect(caps);
    }

    /// Takes the sound of a track, as it is in the input.
    pub fn sound(self: &Arc<Self>, track: usize, sample: &gst::Sample) -> Result<(), Ended> {
        self.heard();
        if self.is_stopped() {
            return Err(Ended::Stopped);
        }
        let converter = lock(&self.sound).converter(track, sample, self);
        let pushed = converter.and_then(|converter| match converter {
            Some(converter) => converter.push(sample),
            None => Ok(()),
        });
        if let Err(failure) = pushed
            && !self.is_stopped()
            && lock(&self.sound).give_up()
        {
            self.tell(format!("The sound is left out from here on: {failure}"));
        }
        Ok(())
    }

    /// Takes converted sound.
    pub fn converted(&self, time: Option<u64>, buffer: gst::Buffer) {
        let pictures = lock(&self.pictures);
        let mut sound = lock(&self.sound);
        sound.add(time, buffer);
        sound.place(pictures.times.as_ref());
        drop(pictures);
        self.read_until.fetch_max(sound.end(), Ordering::AcqRel);
    }

    fn place_waiting_sound(&self) {
        let pictures = lock(&self.pictures);
        lock(&self.sound).place(pictures.times.as_ref());
    }

    /// A track with sound has ended.
    pub fn sound_ended(&self, track: usize) {
        let converter = lock(&self.sound).take_converter(track);
        if let Some(converter) = converter {
            converter.finish();
            self.is_silent.store(true, Ordering::Release);
        }
    }

    /// No more will be read.
    pub fn finish(&self) {
        if self.is_stopped() {
            return;
        }
        let converter = lock(&self.sound).take_any_converter();
        if let Some(converter) = converter {
            converter.finish();
        }
        lock(&self.sound).finish();
        if let Some(painting) = self.painting.get() {
            painting.end_of_frames();
        }
        self.stopped.store(true, Ordering::Release);
    }

    /// The user has seen enough: what is in work is given up, and what is painted is kept.
    pub fn interrupt(self: &Arc<Self>) {
        self.stopped.store(true, Ordering::Release);
        if let Some(painting) = self.painting.get() {
            painting.abandon();
        }
        // Waits until a thread that hands over sound right now has done so.
        let feed = self.clone();
        thread::spawn(move || lock(&feed.sound).finish());
    }

    /// How far the input was read.
    pub fn read_until(&self) -> gst::ClockTime {
        gst::ClockTime::from_nseconds(self.read_until.load(Ordering::Acquire))
    }

    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }
}

impl Frame {
    /// A picture without a time.
    pub fn of_picture(picture: DynamicImage) -> Result<Self, Failure> {
        let (width, height) = (picture.width(), picture.height());
        let deep = matches!(
            picture,
            DynamicImage::ImageLuma16(_)
                | DynamicImage::ImageLumaA16(_)
                | DynamicImage::ImageRgb16(_)
                | DynamicImage::ImageRgba16(_)
                | DynamicImage::ImageRgb32F(_)
                | DynamicImage::ImageRgba32F(_)
        );
        let (format, bytes, opaque) = if deep {
            let pixels = picture.into_rgba16();
            let opaque = pixels.pixels().all(|pixel| pixel.0[3] == u16::MAX);
            let bytes: Vec<u8> = pixels.iter().flat_map(|sample| sample.to_le_bytes()).collect();
            (VideoFormat::Rgba64Le, bytes, opaque)
        } else {
            let pixels = picture.into_rgba8();
            let opaque = pixels.pixels().all(|pixel| pixel.0[3] == u8::MAX);
            (VideoFormat::Rgba, pixels.into_raw(), opaque)
        };
        let info = VideoInfo::builder(format, width, height).build()?;
        let buffer = gst::Buffer::with_size(info.size())?;
        let mut frame = VideoFrame::from_buffer_writable(buffer, &info)
            .map_err(|_| "a picture cannot be written into memory")?;
        // Rows of four samples a pixel lie one behind the other.
        frame.plane_data_mut(0)?.copy_from_slice(&bytes);
        Ok(Self {
            caps: info.to_caps()?,
            buffer: frame.into_buffer(),
            time: None,
            duration: None,
            turned: None,
            opaque,
        })
    }

    /// The same at a time.
    pub fn at(self, time: u64, duration: u64) -> Self {
        Self {
            time: Some(time),
            duration: Some(duration),
            ..self
        }
    }
}
