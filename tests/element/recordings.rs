// SPDX-License-Identifier: MIT OR Apache-2.0

//! Digests of paintings, and the streams that are painted for them.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

use crate::common::*;
use gst_video::VideoFormat;
use neuralstyle::backend::cpu::InstructionSet;

/// A stream and how it is painted.
pub struct Case {
    pub name: &'static str,
    pub width: u32,
    pub height: u32,
    pub frames: u64,
    /// As in a launch line.
    pub settings: &'static str,
}

const fn case(name: &'static str, (width, height): (u32, u32), settings: &'static str) -> Case {
    Case {
        name,
        width,
        height,
        frames: 5,
        settings,
    }
}

pub const CASES: &[Case] = &[
    case("tiny", (96, 64), "network=tiny"),
    case("slim", (96, 64), "network=slim"),
    case("vgg16", (96, 64), "network=vgg16"),
    case(
        "gatys",
        (96, 64),
        "normalization=gatys network=slim content-weight=1e-3 style-weight=1e4 tv-weight=1e-2 temporal-weight=1e-2",
    ),
    case(
        "gatys alone",
        (64, 48),
        "normalization=gatys network=tiny scales=1 init=content style-crop=0 moment-blur=0 rate-decay=0",
    ),
    case("sgd", (96, 64), "optimizer=sgd learning-rate=0.2 network=tiny"),
    case("max pooling", (96, 64), "pooling=max network=slim"),
    case("average pooling", (64, 48), "pooling=average network=tiny"),
    case(
        "layers",
        (64, 48),
        "network=tiny content-layers=relu3_1=0.5,relu2_1=1 style-layers=relu1_1,relu3_1=2",
    ),
    case("interval", (96, 64), "keyframe-interval=3 network=tiny"),
    case("odd", (83, 41), "network=tiny"),
    case("narrow", (17, 90), "network=slim"),
    case("small", (120, 90), "working-size=48 network=tiny detail=0.8"),
    case("noise", (64, 48), "init=noise seed=7 network=tiny scales=2"),
    case("content", (64, 48), "init=content network=tiny overscan=4"),
    case(
        "steady",
        (64, 48),
        "network=tiny temporal-weight=0.5 tv-weight=0.01 iterations=2",
    ),
    case("strength", (64, 48), "network=tiny strength=0.6 style-crop=0.1"),
];

/// The shape of the cases for a card, where a software GPU interprets every instruction.
#[allow(dead_code, reason = "for the tests of the CUDA backend")]
pub const CARD_CASES: &[Case] = &[
    Case {
        name: "tiny",
        width: 40,
        height: 32,
        frames: 3,
        settings: "network=tiny first-iterations=8 iterations=2",
    },
    Case {
        name: "interval",
        width: 33,
        height: 27,
        frames: 4,
        settings: "network=tiny first-iterations=4 iterations=1 keyframe-interval=3 scales=1",
    },
    Case {
        name: "gatys",
        width: 40,
        height: 32,
        frames: 2,
        settings: "network=tiny normalization=gatys optimizer=sgd pooling=max first-iterations=3 iterations=1 content-weight=1e-3",
    },
];

/// Whether this process paints with kernels that fuse multiplication and addition.
pub fn is_fused() -> bool {
    InstructionSet::choose().is_ok_and(|instructions| instructions != InstructionSet::Portable)
}

/// The digests of all frames that come out, in their order. There is a cut before the last but one of five.
pub fn paint(case: &Case, more: &str) -> Vec<u64> {
    init();
    let pictures = Pictures::new();
    let style = style(&pictures);
    let line = format!(
        "neuralstyle mode=offline first-iterations=20 style=\"{}\" {} {more}",
        style.display(),
        case.settings
    );
    let element = gst::parse::launch(&line).unwrap();
    let mut rig = Rig::new(element, &info(VideoFormat::Rgb, case.width, case.height));
    for number in 0..case.frames {
        let buffer = scene(case, &rig.info, number);
        rig.harness.push(buffer).unwrap();
    }
    assert!(rig.harness.push_event(gst::event::Eos::new()));
    let outs: Vec<gst::Buffer> = std::iter::from_fn(|| rig.harness.try_pull()).collect();
    assert_eq!(outs.len() as u64, case.frames, "{}", case.name);
    outs.iter()
        .map(|out| {
            let stride = rig.info.stride()[0] as usize;
            let data = bytes(out);
            let rows = data
                .chunks(stride)
                .flat_map(|row| &row[..case.width as usize * 3]);
            digest(rows.copied())
        })
        .collect()
}

/// FNV-1a of 64 bits.
fn digest(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0xcbf2_9ce4_8422_2325, |digest, byte| {
        (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Slanted strokes of four colours, without any float in their making.
fn style(pictures: &Pictures) -> PathBuf {
    let path = pictures.path("strokes.png");
    let picture = image::RgbImage::from_fn(72, 60, |x, y| {
        let (a, b) = ((3 * x + 5 * y) % 23, (7 * x + 90 * 2 - y) % 31);
        image::Rgb([
            (40 + 8 * a) as u8,
            (20 + 5 * b + 2 * a) as u8,
            (230 - 6 * b) as u8,
        ])
    });
    picture.save(&path).unwrap();
    path
}

/// A bright block before a textured ground, which move against each other; another place altogether after the cut.
fn scene(case: &Case, info: &gst_video::VideoInfo, number: u64) -> gst::Buffer {
    let (width, height) = (info.width() as usize, info.height() as usize);
    let stride = info.stride()[0] as usize;
    let cut = number + 2 >= case.frames && case.frames > 3;
    let t = number as usize;
    let mut data = vec![0u8; info.size()];
    for y in 0..height {
        for x in 0..width {
            let (u, v) = (x + 2 * t, y + t);
            let ground = ((u / 5) * 37 + (v / 4) * 91 + (u * v) / 16) % 160;
            let inside = x + t * 3 > width / 3
                && x + t * 3 < width / 3 + width / 4
                && y > height / 4
                && y < height / 2;
            let pixel = match (cut, inside) {
                (false, false) => [ground + 20, 200 - ground, 90 + ground / 2],
                (false, true) => [240, 230 - (x * 7 + y * 3) % 60, 40],
                (true, false) => [250 - ground / 4, 180 - (u * 3 + v) % 120, 30 + v % 64],
                (true, true) => [10, 20 + (x * y) % 90, 120],
            };
            for (place, value) in pixel.into_iter().enumerate() {
                data[y * stride + x * 3 + place] = value as u8;
            }
        }
    }
    let mut buffer = gst::Buffer::from_slice(data);
    let buffer_ref = buffer.get_mut().unwrap();
    buffer_ref.set_pts(FRAME * number);
    buffer_ref.set_duration(FRAME);
    buffer
}

/// Digests by the names of their cases.
pub struct Recording {
    path: PathBuf,
    known: BTreeMap<String, String>,
    seen: BTreeMap<String, String>,
}

impl Recording {
    pub fn open(name: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("../tests/recordings")
            .join(name);
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let known = text.lines().filter_map(|line| line.split_once(": "));
        let known = known.map(|(name, digests)| (name.to_owned(), digests.to_owned()));
        Self {
            known: known.collect(),
            path,
            seen: BTreeMap::new(),
        }
    }

    pub fn check(&mut self, name: &str, digests: &[u64]) {
        let mut line = String::new();
        for digest in digests {
            let _ = write!(line, "{digest:016x} ");
        }
        self.seen.insert(name.to_owned(), line.trim_end().to_owned());
    }

    /// Compares all at once, so that a failure shows how far it reaches; or records them if that was asked for.
    pub fn close(self) {
        if std::env::var_os("NEURALSTYLE_RECORD").is_some() {
            let lines: String = self
                .seen
                .iter()
                .map(|(name, line)| format!("{name}: {line}\n"))
                .collect();
            std::fs::write(&self.path, lines).unwrap();
            return;
        }
        let others: Vec<_> = self
            .seen
            .iter()
            .filter(|(name, line)| self.known.get(*name) != Some(line))
            .map(|(name, line)| format!("{name}: recorded {:?}, now {line:?}", self.known.get(name)))
            .collect();
        assert!(others.is_empty(), "these paintings are others: {others:#?}");
    }
}
