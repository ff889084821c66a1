// SPDX-License-Identifier: MIT OR Apache-2.0

//! What is found out about the motion of clips whose motion is known.

#[path = "../examples/common/scenes.rs"]
mod scenes;

use gstneuralstyle::motion::{Flow, Gray, Motion, Tracker};

use scenes::{NAMES, Scene};

const SIZES: [(usize, usize); 2] = [(192, 112), (320, 180)];

fn scene(name: &str, (width, height): (usize, usize)) -> Scene {
    Scene::named(name, width, height).expect("the scene has a name that is known")
}

fn gray(scene: &Scene, index: usize) -> Gray {
    Gray::of(&scene.frame(index), scene.width, scene.height)
}

/// What a tracker says of the step to frame `last`, having seen all steps from frame 0.
fn tracked(scene: &Scene, last: usize) -> Motion {
    let mut tracker = Tracker::new();
    for now in 1..last {
        tracker.track(&gray(scene, now - 1), &gray(scene, now));
    }
    tracker.track(&gray(scene, last - 1), &gray(scene, last)).clone()
}

/// Mean distance of two flows in pixels, where `counts`.
fn end_point_error(flow: &Flow, truth: &Flow, counts: &[bool]) -> f32 {
    let distance = |at: usize| (flow.u[at] - truth.u[at]).hypot(flow.v[at] - truth.v[at]);
    let counted: Vec<f32> = (0..counts.len()).filter(|&at| counts[at]).map(distance).collect();
    counted.iter().sum::<f32>() / counted.len() as f32
}

fn share(trust: &[f32], of: impl Fn(usize) -> bool) -> f32 {
    let values: Vec<f32> = (0..trust.len())
        .filter(|&at| of(at))
        .map(|at| trust[at])
        .collect();
    values.iter().sum::<f32>() / values.len() as f32
}

fn flat(width: usize, height: usize, value: f32) -> Gray {
    Gray {
        width,
        height,
        pixels: vec![value; width * height],
    }
}

#[test]
fn what_is_visible_is_followed_to_a_quarter_of_a_pixel() {
    for size in SIZES {
        for name in NAMES
            .iter()
            .flat_map(|name| [name.to_string(), format!("{name}-photo")])
        {
            let scene = scene(&name, size);
            let motion = tracked(&scene, 3);
            for (direction, flow, from, to) in [
                ("backward", &motion.backward, 3, 2),
                ("forward", &motion.forward, 2, 3),
            ] {
                let error = end_point_error(flow, &scene.flow(from, to), &scene.visible(from, to));
                assert!(error <= 0.25, "{name} at {size:?}, {direction}: {error} px");
            }
        }
    }
}

#[test]
fn a_still_scene_stands_still_and_noise_hardly_moves_it() {
    for (name, most) in [("still", 1e-3), ("noise", 0.1)] {
        let scene = scene(name, SIZES[0]);
        let motion = tracked(&scene, 2);
        let everywhere = vec![true; motion.trust.len()];
        let error = end_point_error(
            &motion.backward,
            &Flow::new(scene.width, scene.height),
            &everywhere,
        );
        assert!(error <= most, "{name}: {error} px");
        assert!(share(&motion.trust, |_| true) > 0.97, "{name} can be trusted");
    }
}

#[test]
fn what_an_object_uncovers_is_marked_and_what_stays_is_not() {
    for name in ["object", "object-photo"] {
        let scene = scene(name, SIZES[1]);
        let motion = tracked(&scene, 2);
        let visible = scene.visible(2, 1);
        let (hidden, seen) = (
            share(&motion.trust, |at| !visible[at]),
            share(&motion.trust, |at| visible[at]),
        );
        assert!(hidden < 0.45, "{name}: {hidden} of what was hidden is trusted");
        assert!(seen > 0.85, "{name}: {seen} of what was seen is trusted");
    }
}

#[test]
fn light_does_not_count_as_another_picture_but_a_cut_does() {
    let (lit, before) = (scene("light-photo", SIZES[0]), scene("pan", SIZES[0]));
    let motion = tracked(&lit, 2);
    assert!(motion.unexplained < 0.1, "{}", motion.unexplained);
    let cut = Tracker::new()
        .track(&gray(&before, 0), &gray(&lit, 0))
        .unexplained;
    assert!(cut > 0.4, "{cut}");
}

#[test]
fn a_tracker_takes_pictures_of_any_size_after_one_another() {
    let mut tracker = Tracker::new();
    for size in [(64, 48), (16, 16), (33, 21), (5, 3), (1, 1), (192, 112)] {
        let scene = scene("pan", size);
        let (before, now) = (gray(&scene, 0), gray(&scene, 1));
        let used = tracker.track(&before, &now).clone();
        assert_eq!((used.backward.width, used.backward.height), size);
        assert_eq!(
            &used,
            Tracker::new().track(&before, &now),
            "nothing is left of another size: {size:?}"
        );
        assert!(
            used.backward
                .u
                .iter()
                .chain(&used.trust)
                .all(|value| value.is_finite())
        );
    }
}

#[test]
fn pictures_without_structure_do_not_move() {
    for (width, height) in [(16, 16), (64, 40)] {
        for (before, now) in [(0.0, 0.0), (255.0, 255.0), (10.0, 240.0)] {
            let mut tracker = Tracker::new();
            let motion = tracker.track(&flat(width, height, before), &flat(width, height, now));
            for plane in [&motion.backward, &motion.forward]
                .map(|flow| [&flow.u, &flow.v])
                .iter()
                .flatten()
            {
                assert!(plane.iter().all(|value| value.abs() < 1e-3), "{before} → {now}");
            }
        }
    }
}

#[test]
fn the_same_frames_give_the_same_numbers() {
    let scene = scene("object", SIZES[0]);
    assert_eq!(tracked(&scene, 3), tracked(&scene, 3));
    let mut tracker = Tracker::new();
    tracker.track(&gray(&scene, 5), &gray(&scene, 6));
    tracker.forget();
    let (before, now) = (gray(&scene, 0), gray(&scene, 1));
    assert_eq!(tracker.track(&before, &now), Tracker::new().track(&before, &now));
}
