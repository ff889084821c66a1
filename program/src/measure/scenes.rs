// SPDX-License-Identifier: MIT OR Apache-2.0

//! Clips whose motion is known exactly: pictures that are functions of the place, seen by a camera that pans, zooms
//! and turns, and an object that moves before them.
#![allow(dead_code, reason = "tests include this file, too, and use their part")]

use std::f64::consts::TAU;

use neuralstyle::motion::Flow;
use neuralstyle::stylizer::Frame;

/// An encoded photograph: part of the program, which runs where the folder `media` is not.
#[derive(Clone, Copy)]
pub struct Photo(&'static [u8]);

pub const BUNNY: Photo = Photo(include_bytes!("../../../media/bunny.jpg"));
pub const ASTRONAUT: Photo = Photo(include_bytes!("../../../media/astronaut.jpg"));

/// A picture without end, smooth enough to be looked at between its pixels.
pub struct Texture {
    width: usize,
    height: usize,
    /// [H, W, 3], in steps of a byte.
    rgb: Vec<f32>,
    /// Whether it begins anew beyond its border; else it is mirrored there.
    periodic: bool,
}

impl Texture {
    /// Waves of random directions, 7 to 64 pixels long: a spectrum like that of photographs.
    pub fn waves(seed: u64) -> Self {
        const SIDE: usize = 256;
        let mut random = Random(seed);
        let mut rgb = vec![128.0f32; SIDE * SIDE * 3];
        // A wave that fits into the side turns by a multiple of a full circle along it.
        let circle: Vec<f32> = (0..SIDE)
            .map(|i| (i as f64 / SIDE as f64 * TAU).sin() as f32)
            .collect();
        for _ in 0..48 {
            let (length, angle) = (7.0 * (64.0f64 / 7.0).powf(random.unit()), random.unit() * TAU);
            let turns = |part: f64| (SIDE as f64 / length * part).round() as isize;
            let (across, down) = (turns(angle.cos()), turns(angle.sin()));
            let amplitude = 2.2 * length.powf(0.6);
            // Mostly grey: channels that have nothing in common are no picture.
            let phase = random.unit();
            let phases: [isize; 3] =
                std::array::from_fn(|_| ((phase + 0.15 * random.unit()) * SIDE as f64) as isize);
            for (index, pixel) in rgb.chunks_exact_mut(3).enumerate() {
                let turn = across * (index % SIDE) as isize + down * (index / SIDE) as isize;
                for (value, phase) in pixel.iter_mut().zip(phases) {
                    *value += amplitude as f32 * circle[(turn + phase).rem_euclid(SIDE as isize) as usize];
                }
            }
        }
        Self {
            width: SIDE,
            height: SIDE,
            rgb,
            periodic: true,
        }
    }

    /// A photograph, blurred a little so that it can be looked at between its pixels.
    pub fn photo(photo: Photo) -> Self {
        let picture = image::load_from_memory(photo.0)
            .expect("it was built in and can be read")
            .into_rgb8();
        let (width, height) = (picture.width() as usize, picture.height() as usize);
        let values: Vec<f32> = picture.iter().map(|&value| f32::from(value)).collect();
        let at = |x: usize, y: usize, channel: usize| values[(y * width + x) * 3 + channel];
        let mut rgb = vec![0.0; values.len()];
        for (index, value) in rgb.iter_mut().enumerate() {
            let (x, y, channel) = (index / 3 % width, index / 3 / width, index % 3);
            let (left, right) = (x.saturating_sub(1), (x + 1).min(width - 1));
            let (above, below) = (y.saturating_sub(1), (y + 1).min(height - 1));
            let row = |y| 0.25 * (at(left, y, channel) + at(right, y, channel)) + 0.5 * at(x, y, channel);
            *value = 0.25 * (row(above) + row(below)) + 0.5 * row(y);
        }
        Self {
            width,
            height,
            rgb,
            periodic: false,
        }
    }

    /// Nothing but one colour, in steps of a byte.
    pub fn plain(colour: [f32; 3]) -> Self {
        Self {
            width: 1,
            height: 1,
            rgb: colour.to_vec(),
            periodic: true,
        }
    }

    /// The colour at a place, by the Catmull-Rom cubic.
    fn at(&self, x: f64, y: f64) -> [f32; 3] {
        let (columns, across) = self.taps(x, self.width);
        let (rows, down) = self.taps(y, self.height);
        let mut colour = [0.0; 3];
        for (row, down) in rows.iter().zip(down) {
            for (column, across) in columns.iter().zip(across) {
                let pixel = &self.rgb[(row * self.width + column) * 3..][..3];
                for (sum, value) in colour.iter_mut().zip(pixel) {
                    *sum += down * across * value;
                }
            }
        }
        colour
    }

    fn taps(&self, at: f64, length: usize) -> ([usize; 4], [f32; 4]) {
        let floor = at.floor();
        let t = (at - floor) as f32;
        let index = |offset: isize| {
            let (at, length) = (floor as isize + offset, length as isize);
            let folded = if self.periodic {
                at.rem_euclid(length)
            } else {
                let at = at.rem_euclid(2 * length);
                at.min(2 * length - 1 - at)
            };
            folded as usize
        };
        let weights = [
            ((-0.5 * t + 1.0) * t - 0.5) * t,
            (1.5 * t - 2.5) * t * t + 1.0,
            ((-1.5 * t + 2.0) * t + 0.5) * t,
            (0.5 * t - 0.5) * t * t,
        ];
        ([index(-1), index(0), index(1), index(2)], weights)
    }
}

/// How the view of the background changes from frame to frame.
#[derive(Clone, Copy, Debug, Default)]
pub struct Camera {
    /// Pixels of the background, right and down.
    pub pan: (f64, f64),
    /// The factor by which things grow, less 1.
    pub zoom: f64,
    /// Radians.
    pub turn: f64,
    /// Amplitude in pixels of a hand that is not steady.
    pub shake: f64,
}

/// A disc with a picture on it that swings about the middle of the frame.
pub struct Object {
    pub texture: Texture,
    /// As a share of the frame's height.
    pub radius: f64,
    /// To either side, as shares of the frame's width and height.
    pub swing: (f64, f64),
    /// Frames from a place back to it.
    pub period: f64,
}

/// What a clip shows. Frame `index` is a function of `index` alone.
pub struct Scene {
    pub width: usize,
    pub height: usize,
    pub background: Texture,
    /// The place of the background in the middle of frame 0.
    pub start: (f64, f64),
    pub camera: Camera,
    pub object: Option<Object>,
    /// Standard deviation of the sensor's noise, in steps of a byte.
    pub noise: f64,
    /// Amplitude of the light's changes, as a share.
    pub light: f64,
}

/// The clips that [`Scene::named`] knows.
pub const NAMES: [&str; 10] = [
    "still",
    "pan",
    "fast-pan",
    "zoom",
    "rotation",
    "object",
    "shake",
    "noise",
    "noisy-pan",
    "light",
];

impl Scene {
    /// A clip by its name: on waves, or on a photograph if the name ends in `-photo`.
    pub fn named(name: &str, width: usize, height: usize) -> Option<Self> {
        let (kind, photo) = match name.strip_suffix("-photo") {
            Some(kind) => (kind, true),
            None => (name, false),
        };
        let mut scene = Self {
            width,
            height,
            background: if photo {
                Texture::photo(BUNNY)
            } else {
                Texture::waves(1)
            },
            start: (0.3 * 480.0, 0.5 * 320.0),
            camera: Camera::default(),
            object: None,
            noise: 0.0,
            light: 0.0,
        };
        match kind {
            "still" => (),
            "pan" => scene.camera.pan = (1.5, 0.5),
            "fast-pan" => scene.camera.pan = (-9.3, 4.6),
            "zoom" => scene.camera.zoom = 0.02,
            "rotation" => scene.camera.turn = 0.02,
            "shake" => scene.camera.shake = 5.0,
            "noise" => scene.noise = 4.0,
            "noisy-pan" => (scene.camera.pan, scene.noise) = ((0.7, -1.2), 4.0),
            "light" => (scene.camera.pan, scene.light) = ((1.3, 0.4), 0.15),
            "object" => {
                scene.camera.pan = (0.6, 0.2);
                scene.object = Some(Object {
                    texture: if photo {
                        Texture::photo(ASTRONAUT)
                    } else {
                        Texture::waves(2)
                    },
                    radius: 0.22,
                    swing: (0.25, 0.15),
                    period: 60.0,
                });
            }
            _ => return None,
        }
        Some(scene)
    }

    /// What frame `index` looks like.
    pub fn frame(&self, index: usize) -> Frame {
        let mut frame = Frame::new(self.width, self.height);
        let mut random = Random(index as u64 + 1);
        let gain = 1.0 + self.light * (index as f64 * 2.1).sin();
        let lift = 40.0 * self.light * (index as f64 * 1.3).sin();
        let place = self.object_at(index);
        for (at, pixel) in frame.rgb_mut().chunks_exact_mut(3).enumerate() {
            let (x, y) = ((at % self.width) as f64, (at / self.width) as f64);
            let (bx, by) = self.background_at(index, x, y);
            let mut colour = self.background.at(bx, by);
            if let (Some(object), Some((ox, oy))) = (&self.object, place) {
                let inside = self.radius(object) - (x - ox).hypot(y - oy) + 0.5;
                if inside > 0.0 {
                    let cover = inside.min(1.0) as f32;
                    let of_object = object.texture.at(x - ox + 240.0, y - oy + 100.0);
                    for (value, of_object) in colour.iter_mut().zip(of_object) {
                        *value += cover * (of_object - *value);
                    }
                }
            }
            for (value, colour) in pixel.iter_mut().zip(colour) {
                let noise = if self.noise > 0.0 {
                    self.noise * random.normal()
                } else {
                    0.0
                };
                *value = (gain * f64::from(colour) + lift + noise)
                    .round()
                    .clamp(0.0, 255.0) as u8;
            }
        }
        frame
    }

    /// The flow from frame `from` to frame `to`: what the pixel (x, y) of the one shows is at (x + u, y + v) in the
    /// other, if it can be seen there.
    pub fn flow(&self, from: usize, to: usize) -> Flow {
        let mut flow = Flow::new(self.width, self.height);
        for at in 0..self.width * self.height {
            let (x, y) = ((at % self.width) as f64, (at / self.width) as f64);
            let (there_x, there_y) = self.moved(from, to, x, y);
            flow.u[at] = (there_x - x) as f32;
            flow.v[at] = (there_y - y) as f32;
        }
        flow
    }

    /// For each pixel of frame `from`, whether what it shows can be seen in frame `to`.
    pub fn visible(&self, from: usize, to: usize) -> Vec<bool> {
        let (right, bottom) = ((self.width - 1) as f64, (self.height - 1) as f64);
        let pixels = 0..self.width * self.height;
        pixels
            .map(|at| {
                let (x, y) = ((at % self.width) as f64, (at / self.width) as f64);
                let (there_x, there_y) = self.moved(from, to, x, y);
                let in_frame = (0.0..=right).contains(&there_x) && (0.0..=bottom).contains(&there_y);
                in_frame && (self.on_object(from, x, y) || !self.on_object(to, there_x, there_y))
            })
            .collect()
    }

    /// Where in frame `to` is what frame `from` shows at (x, y).
    fn moved(&self, from: usize, to: usize, x: f64, y: f64) -> (f64, f64) {
        if self.on_object(from, x, y)
            && let (Some(before), Some(after)) = (self.object_at(from), self.object_at(to))
        {
            return (x + after.0 - before.0, y + after.1 - before.1);
        }
        let (bx, by) = self.background_at(from, x, y);
        let view = self.view(to);
        let (dx, dy) = (bx - view.middle.0, by - view.middle.1);
        let size = view.real * view.real + view.imaginary * view.imaginary;
        let (middle_x, middle_y) = self.middle();
        (
            middle_x + (dx * view.real + dy * view.imaginary) / size,
            middle_y + (dy * view.real - dx * view.imaginary) / size,
        )
    }

    /// The place of the background that frame `index` shows at (x, y).
    fn background_at(&self, index: usize, x: f64, y: f64) -> (f64, f64) {
        let view = self.view(index);
        let (middle_x, middle_y) = self.middle();
        let (x, y) = (x - middle_x, y - middle_y);
        (
            view.middle.0 + x * view.real - y * view.imaginary,
            view.middle.1 + x * view.imaginary + y * view.real,
        )
    }

    fn view(&self, index: usize) -> View {
        let time = index as f64;
        let (scale, angle) = ((1.0 + self.camera.zoom).powf(-time), self.camera.turn * time);
        let shake = |pace: f64| self.camera.shake * ((time * pace).sin() + (time * pace * 0.37).cos() - 1.0);
        View {
            middle: (
                self.start.0 + time * self.camera.pan.0 + shake(1.1),
                self.start.1 + time * self.camera.pan.1 + shake(1.7),
            ),
            real: scale * angle.cos(),
            imaginary: scale * angle.sin(),
        }
    }

    fn middle(&self) -> (f64, f64) {
        (0.5 * (self.width - 1) as f64, 0.5 * (self.height - 1) as f64)
    }

    fn radius(&self, object: &Object) -> f64 {
        object.radius * self.height as f64
    }

    fn object_at(&self, index: usize) -> Option<(f64, f64)> {
        let object = self.object.as_ref()?;
        let phase = TAU * index as f64 / object.period;
        let (x, y) = self.middle();
        Some((
            x + object.swing.0 * self.width as f64 * phase.sin(),
            y + object.swing.1 * self.height as f64 * phase.cos(),
        ))
    }

    fn on_object(&self, index: usize, x: f64, y: f64) -> bool {
        match (&self.object, self.object_at(index)) {
            (Some(object), Some((ox, oy))) => (x - ox).hypot(y - oy) <= self.radius(object),
            _ => false,
        }
    }
}

/// How a frame looks at the background: where its middle is, and the factor from pixels of the frame to the
/// background's, as a complex number.
struct View {
    middle: (f64, f64),
    real: f64,
    imaginary: f64,
}

/// SplitMix64 (Steele, Lea and Flood 2014).
struct Random(u64);

impl Random {
    /// Uniform in 0..1.
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Normally distributed, nearly: the sum of 6 uniform numbers.
    fn normal(&mut self) -> f64 {
        let sum: f64 = (0..6).map(|_| self.unit()).sum();
        (sum - 3.0) * std::f64::consts::SQRT_2
    }
}
