// SPDX-License-Identifier: MIT OR Apache-2.0

//! Paintings keep to the colours of their style.

use std::sync::Arc;

use neuralstyle::backend::CancelToken;
use neuralstyle::gatys::{Init, OptimizerKind};
use neuralstyle::picture::LUMA;
use neuralstyle::stylizer::{Controls, Frame, Options, StylePicture, Stylizer};

use crate::scene::{self, Show};
use crate::stylizer::options;

fn controls() -> Controls {
    Controls {
        first_iterations: 10,
        iterations: 4,
        style_crop: 0.0,
        cut_threshold: 1.0,
        ..Controls::default()
    }
}

/// The picture with each pixel's green in all channels.
fn grey(frame: &Frame) -> Frame {
    let rgb = frame.rgb().chunks_exact(3).flat_map(|pixel| [pixel[1]; 3]);
    Frame::from_rgb(frame.width(), frame.height(), rgb.collect()).unwrap()
}

fn style(frame: Frame) -> Arc<StylePicture> {
    Arc::new(frame.into())
}

/// Frame `number` of a scene in which everything moves, larger than what is painted.
fn moving(number: usize) -> Frame {
    let whole = scene::frame(140, 90, Show::Shapes(3));
    let row = |y: usize| &whole.rgb()[(y * 140 + 2 * number) * 3..][..96 * 3];
    Frame::from_rgb(96, 72, (number..number + 72).flat_map(row).copied().collect()).unwrap()
}

/// The greatest difference between two channels of a pixel, in steps of a byte.
fn colour(frame: &Frame) -> u8 {
    let spread = |pixel: &[u8]| pixel.iter().max().unwrap() - pixel.iter().min().unwrap();
    frame.rgb().chunks_exact(3).map(spread).max().unwrap()
}

fn paint(stylizer: &mut Stylizer, frame: &Frame, controls: &Controls) -> Frame {
    let mut out = Frame::default();
    stylizer.process(frame, &mut out, controls).unwrap();
    out
}

#[test]
fn grey_frames_in_a_grey_style_stay_grey_to_the_byte() {
    for (kind, init, iterations) in [
        (OptimizerKind::Adam, Init::Matched, 10),
        (OptimizerKind::Adam, Init::Previous, 10),
        (OptimizerKind::Sgd, Init::Matched, 10),
        // As it was begun.
        (OptimizerKind::Adam, Init::Matched, 0),
    ] {
        let options = Options {
            optimizer: kind,
            init,
            ..options()
        };
        let controls = Controls {
            first_iterations: iterations,
            ..controls()
        };
        let mut stylizer = Stylizer::new(&options, CancelToken::new()).unwrap();
        stylizer.set_style(style(grey(&scene::frame(70, 50, Show::Shapes(9)))));
        for number in 0..5 {
            let out = paint(&mut stylizer, &grey(&moving(number)), &controls);
            assert_eq!(colour(&out), 0, "{kind} {init}, frame {number}");
        }
        // After a cut, too, and where a picture from before is at hand.
        stylizer.restart();
        let out = paint(&mut stylizer, &grey(&moving(15)), &controls);
        assert_eq!(colour(&out), 0, "{kind} {init}");
    }
}

#[test]
fn a_grey_style_takes_the_colours_off() {
    let mut stylizer = Stylizer::new(&options(), CancelToken::new()).unwrap();
    stylizer.set_style(style(grey(&scene::frame(70, 50, Show::Shapes(9)))));
    for number in 0..3 {
        let frame = moving(number);
        let (before, after) = (colour(&frame), colour(&paint(&mut stylizer, &frame, &controls())));
        assert!(before > 100 && after == 0, "frame {number}: {before} {after}");
    }
}

/// Mean colour in steps of a byte.
fn mean(frame: &Frame) -> [f64; 3] {
    let count = (frame.width() * frame.height()) as f64;
    std::array::from_fn(|c| {
        let values = frame.rgb().iter().skip(c).step_by(3);
        values.map(|&value| f64::from(value)).sum::<f64>() / count
    })
}

#[test]
fn a_style_that_comes_while_a_film_plays_brings_its_colours_at_once() {
    let coloured = scene::frame(70, 50, Show::Shapes(9));
    let red = Frame::from_rgb(
        70,
        50,
        (coloured.rgb().chunks_exact(3))
            .flat_map(|pixel| [128 + pixel[0] / 2, pixel[1] / 3, pixel[1] / 4])
            .collect(),
    )
    .unwrap();
    // Begun anew, or with the last painting, in whose colours nothing of the old style may be left.
    for init in [Init::Matched, Init::Previous] {
        let options = Options { init, ..options() };
        let mut stylizer = Stylizer::new(&options, CancelToken::new()).unwrap();
        stylizer.set_style(style(coloured.clone()));
        for number in 0..2 {
            paint(&mut stylizer, &moving(number), &controls());
        }
        stylizer.set_style(style(grey(&coloured)));
        for number in 2..5 {
            let out = paint(&mut stylizer, &moving(number), &controls());
            assert_eq!(colour(&out), 0, "{init:?}, frame {number}");
        }
        stylizer.set_style(style(red.clone()));
        for number in 5..9 {
            let out = paint(&mut stylizer, &moving(number), &controls());
            let (found, wanted) = (mean(&out), mean(&red));
            for (found, wanted) in found.into_iter().zip(wanted) {
                // The strokes and the content have their say in the mean, too.
                assert!(
                    (found - wanted).abs() < 25.0,
                    "{init:?}, frame {number}: {found} {wanted}"
                );
            }
        }
    }
}

/// With any other beginning steps may go wherever the loss leads, or what the picture began with would stay in it.
#[test]
fn noise_does_not_stay_in_the_colours() {
    let spread = |init| {
        let options = Options { init, ..options() };
        let controls = Controls {
            first_iterations: 60,
            ..controls()
        };
        let mut stylizer = Stylizer::new(&options, CancelToken::new()).unwrap();
        stylizer.set_style(style(grey(&scene::frame(70, 50, Show::Shapes(9)))));
        let out = paint(&mut stylizer, &grey(&moving(0)), &controls);
        let spreads = out.rgb().chunks_exact(3).map(|pixel| {
            let (least, greatest) = (pixel.iter().min().unwrap(), pixel.iter().max().unwrap());
            f64::from(greatest - least)
        });
        spreads.sum::<f64>() / (96.0 * 72.0)
    };
    // The mean range of three uniform numbers is half of theirs, 128.
    let (noise, matched) = (spread(Init::Noise), spread(Init::Matched));
    println!("noise {noise:.1}, matched {matched:.1}");
    assert!(noise < 50.0 && matched == 0.0, "{noise} {matched}");
}

/// The mean luma in steps of a byte.
fn light(frame: &Frame) -> f64 {
    mean(frame)
        .iter()
        .zip(LUMA)
        .map(|(mean, share)| mean * share)
        .sum()
}

#[test]
fn measuring_the_style_in_another_way_does_not_change_the_light() {
    let mut stylizer = Stylizer::new(&options(), CancelToken::new()).unwrap();
    stylizer.set_style(style(scene::frame(70, 50, Show::Shapes(9))));
    // The scene becomes darker and stays so.
    let dimmed = |number: usize| {
        let frame = moving(number.min(4));
        let share = 1.0 - 0.1 * number.min(6) as f64;
        let rgb = frame.rgb().iter().map(|&byte| (share * f64::from(byte)) as u8);
        Frame::from_rgb(frame.width(), frame.height(), rgb.collect()).unwrap()
    };
    let mut last = 0.0;
    for number in 0..16 {
        last = light(&paint(&mut stylizer, &dimmed(number), &controls()));
    }
    for (style_crop, style_scale) in [(0.02, 1.0), (0.02, 1.3), (0.0, 1.0)] {
        let controls = Controls {
            style_crop,
            style_scale,
            ..controls()
        };
        let now = light(&paint(&mut stylizer, &dimmed(16), &controls));
        // Cropped it may have slightly other colours.
        assert!(
            (now - last).abs() < 6.0,
            "{style_crop} {style_scale}: {last} {now}"
        );
        last = now;
    }
}

#[test]
fn styles_of_one_colour_are_painted_too() {
    let (adam, sgd) = (OptimizerKind::Adam, OptimizerKind::Sgd);
    for optimizer in [adam, sgd] {
        for rgb in [[250, 20, 90], [128, 128, 128], [0, 0, 0]] {
            // To the network middle grey is next to nothing, by which the loss is divided. Adam's steps are none the longer.
            if optimizer == sgd && rgb == [128; 3] {
                continue;
            }
            let options = Options {
                optimizer,
                ..options()
            };
            let flat = Frame::from_rgb(70, 50, rgb.repeat(70 * 50)).unwrap();
            let mut stylizer = Stylizer::new(&options, CancelToken::new()).unwrap();
            stylizer.set_style(style(flat));
            for number in 0..2 {
                let mut out = Frame::default();
                let answer = stylizer.process(&moving(number), &mut out, &controls());
                assert!(answer.is_ok(), "{optimizer} {rgb:?}: {answer:?}");
            }
        }
    }
}
