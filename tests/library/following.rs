// SPDX-License-Identifier: MIT OR Apache-2.0

//! A painted clip follows what the frames show: what one sees of it, in clips whose motion is known.

use crate::{figures, scenes};
use neuralstyle::backend::CancelToken;
use neuralstyle::gatys::NetworkChoice;
use neuralstyle::picture;
use neuralstyle::stylizer::{Controls, Frame, Options, StylePicture, Stylizer};

use crate::scenes::{Object, Scene};

const SIZE: (usize, usize) = (96, 56);

fn scene(name: &str) -> Scene {
    Scene::named(name, SIZE.0, SIZE.1).expect("the scene has a name that is known")
}

fn controls() -> Controls {
    Controls {
        first_iterations: 20,
        iterations: 4,
        ..Controls::default()
    }
}

fn stylizer() -> Stylizer {
    let options = Options {
        network: NetworkChoice::Tiny,
        ..Options::default()
    };
    let mut stylizer = Stylizer::new(&options, CancelToken::new()).unwrap();
    let style = concat!(env!("CARGO_MANIFEST_DIR"), "/media/starry_night.jpg");
    stylizer.set_style(StylePicture::load(style.as_ref()).unwrap().into());
    stylizer
}

/// The painted frames of a clip.
fn painted(clip: impl Iterator<Item = Frame>, controls: &Controls) -> Vec<Frame> {
    let mut stylizer = stylizer();
    let mut outs = Vec::new();
    let mut pull = |stylizer: &mut Stylizer| {
        let mut out = Frame::default();
        while let Some(((), report)) = stylizer.pull(&mut out) {
            assert_eq!(
                report.restarted,
                outs.is_empty(),
                "frame {} of one scene",
                outs.len()
            );
            outs.push(std::mem::take(&mut out));
        }
    };
    for frame in clip {
        stylizer.push(&frame, controls, ()).unwrap();
        pull(&mut stylizer);
    }
    stylizer.finish().unwrap();
    pull(&mut stylizer);
    outs
}

/// Each frame painted as if it were the first.
fn painted_alone(clip: impl Iterator<Item = Frame>, controls: &Controls) -> Vec<Frame> {
    let mut stylizer = stylizer();
    let mut alone = |frame: Frame| {
        let mut out = Frame::default();
        stylizer.restart();
        stylizer.process(&frame, &mut out, controls).unwrap();
        out
    };
    clip.map(&mut alone).collect()
}

/// Mean squared difference, on the 0..1 scale, of what two frames show of the same things.
fn flicker(scene: &Scene, outs: &[Frame], (from, to): (usize, usize)) -> f64 {
    warping_error(scene, (&outs[from], &outs[to]), (from, to))
}

fn warping_error(scene: &Scene, (now, then): (&Frame, &Frame), (from, to): (usize, usize)) -> f64 {
    let visible: Vec<f32> = scene.visible(from, to).into_iter().map(f32::from).collect();
    figures::warping_error(now, then, &scene.flow(from, to), &visible).expect("something stays in view")
}

/// Mean of `of` over the pixels in `area`, in steps of a byte.
fn mean(frame: &Frame, area: impl Fn(usize, usize) -> bool, of: impl Fn(&[u8]) -> f64) -> f64 {
    let pixels = frame.rgb().chunks_exact(3).enumerate();
    let inside = pixels.filter(|(at, _)| area(at % frame.width(), at / frame.width()));
    let values: Vec<f64> = inside.map(|(_, pixel)| of(pixel)).collect();
    values.iter().sum::<f64>() / values.len() as f64
}

fn luma(pixel: &[u8]) -> f64 {
    f64::from(picture::luma([0, 1, 2].map(|c| f32::from(pixel[c]))))
}

fn scene_at_rest() -> Scene {
    scene("still-photo")
}

#[test]
fn a_pan_moves_with_its_content() {
    let scene = scene("pan-photo");
    let outs = painted((0..14).map(|index| scene.frame(index)), &controls());
    let alone = painted_alone([12, 13].map(|index| scene.frame(index)).into_iter(), &controls());
    let independent = warping_error(&scene, (&alone[0], &alone[1]), (12, 13));
    let ours = flicker(&scene, &outs, (12, 13));
    // The same pixels, as if nothing had moved.
    let stuck = warping_error(&scene_at_rest(), (&outs[12], &outs[13]), (12, 13));
    println!("ours {ours:.6}, alone {independent:.6}, without motion {stuck:.6}");
    assert!(ours < 0.1 * independent, "{ours} {independent}");
    assert!(ours < 0.1 * stuck, "{ours} {stuck}");
}

#[test]
fn a_still_scene_stays_still_however_noisy() {
    let scene = scene("noise-photo");
    let clip: Vec<Frame> = (0..12).map(|index| scene.frame(index)).collect();
    let outs = painted(clip.iter().cloned(), &controls());
    let change = |frames: &[Frame]| figures::change(&frames[10], &frames[11]);
    println!("input {:.2}, ours {:.2} bytes", change(&clip), change(&outs));
    assert!(change(&outs) < 1.5 * change(&clip));
}

/// Whatever moves, each step is one that moves along: into a keyframe, out of it and between.
#[test]
fn frames_between_keyframes_move_along_and_no_keyframe_is_a_jump() {
    const INTERVAL: usize = 5;
    let controls = Controls {
        keyframe_interval: INTERVAL,
        ..controls()
    };
    for name in ["pan-photo", "rotation-photo"] {
        let scene = scene(name);
        let outs = painted((0..21).map(|index| scene.frame(index)), &controls);
        let alone = painted_alone([19, 20].map(|index| scene.frame(index)).into_iter(), &controls);
        let independent = warping_error(&scene, (&alone[0], &alone[1]), (19, 20));
        let (mut beside, mut inside) = (Vec::new(), Vec::new());
        for now in 6..21 {
            let flicker = flicker(&scene, &outs, (now - 1, now));
            println!("{name}, into frame {now}: {flicker:.6} of {independent:.6}");
            assert!(
                flicker < 0.1 * independent,
                "{name}, frame {now}: {flicker} {independent}"
            );
            let change = figures::change(&outs[now - 1], &outs[now]);
            assert!(change > 0.5, "{name}, frame {now} is held still: {change}");
            let at_a_keyframe = now % INTERVAL < 2;
            if at_a_keyframe { &mut beside } else { &mut inside }.push(flicker);
        }
        let mean = |errors: &[f64]| errors.iter().sum::<f64>() / errors.len() as f64;
        println!(
            "{name}: beside keyframes {:.6}, inside {:.6}",
            mean(&beside),
            mean(&inside)
        );
        assert!(
            mean(&beside) < 2.0 * mean(&inside),
            "{name}: {beside:?} {inside:?}"
        );
    }
}

#[test]
fn an_object_that_has_passed_leaves_no_trail() {
    // A ball as red as nothing else swings from side to side before a photograph that stands still.
    let mut scene = scene("still-photo");
    scene.object = Some(Object {
        texture: scenes::Texture::plain([250.0, 20.0, 10.0]),
        radius: 0.2,
        swing: (0.33, 0.0),
        period: 24.0,
    });
    let red = |pixel: &[u8]| f64::from(pixel[0]) - 0.5 * (f64::from(pixel[1]) + f64::from(pixel[2]));
    let outs = painted((0..19).map(|index| scene.frame(index)), &controls());
    let alone = painted_alone([scene.frame(18)].into_iter(), &controls());
    // From its right turning point in frame 6 it has come to the left one in frame 18.
    let way = |x: usize, y: usize| (40..86).contains(&x) && (20..36).contains(&y);
    let ball = |x: usize, y: usize| (8..22).contains(&x) && (22..34).contains(&y);
    let (trail, expected) = (mean(&outs[18], way, red), mean(&alone[0], way, red));
    let painted_ball = mean(&outs[18], ball, red);
    println!("on the way {trail:.1}, painted alone {expected:.1}, the ball {painted_ball:.1}");
    assert!(
        painted_ball - expected > 25.0,
        "the ball can be told from the way"
    );
    assert!(
        (trail - expected).abs() < 0.15 * (painted_ball - expected),
        "{trail} {expected} {painted_ball}"
    );
}

#[test]
fn three_hundred_frames_neither_darken_nor_blur() {
    let mut scene = scene("pan-photo");
    // To and fro by a fraction of a pixel, so that every frame is resampled and the input stays what it is.
    scene.camera = scenes::Camera {
        shake: 0.8,
        ..scenes::Camera::default()
    };
    let outs = painted(
        (0..300).map(|index| scene.frame(index)),
        &Controls {
            iterations: 1,
            ..controls()
        },
    );
    let everywhere = |_, _| true;
    let light = |index: usize| mean(&outs[index], everywhere, luma);
    let detail = |index: usize| figures::Look::of(&outs[index]).high_frequencies;
    println!(
        "luma {:.1} {:.1}, detail {:.6} {:.6}",
        light(5),
        light(299),
        detail(5),
        detail(299)
    );
    assert!((light(299) / light(5) - 1.0).abs() < 0.02);
    assert!(
        (0.8..1.15).contains(&(detail(299) / detail(5))),
        "{}",
        detail(299) / detail(5)
    );
}

#[test]
fn what_comes_into_view_is_painted_at_once() {
    let scene = scene("pan-photo");
    let outs = painted((0..10).map(|index| scene.frame(index)), &controls());
    // A pan to the right by 1.5 pixels a frame uncovers 4 columns within 3 frames.
    let strip = |x: usize, _| x >= SIZE.0 - 4;
    let inside = |x: usize, _| (SIZE.0 - 24..SIZE.0 - 8).contains(&x);
    let alone = painted_alone([scene.frame(9)].into_iter(), &controls());
    let step = |frame: &Frame| mean(frame, strip, luma) - mean(frame, inside, luma);
    println!(
        "the new strip is {:.1} brighter, painted alone {:.1}",
        step(&outs[9]),
        step(&alone[0])
    );
    // Left unpainted it would be 25 steps of a byte off.
    assert!((step(&outs[9]) - step(&alone[0])).abs() < 16.0);
}
