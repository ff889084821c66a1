// SPDX-License-Identifier: MIT OR Apache-2.0

//! What any tracker finds out about the motion of clips whose motion is known.
#![allow(dead_code, reason = "each test program uses its part")]

use neuralstyle::backend::flow::FlowSteps;
use neuralstyle::motion::{Flow, Gray, Motion, Stepped, Tracker};

use super::scenes::Scene;

/// The motion that was found, and what else a tracker says of it on request.
#[derive(PartialEq)]
pub struct Found {
    pub motion: Motion,
    pub consistency: Vec<f32>,
}

/// A tracker, on any backend.
pub trait Follows {
    fn track(&mut self, before: &Gray, now: &Gray) -> Found;
    fn forget(&mut self);
}

impl Follows for Tracker {
    fn track(&mut self, before: &Gray, now: &Gray) -> Found {
        Found {
            motion: self.track(before, now).clone(),
            consistency: self.consistency().to_vec(),
        }
    }

    fn forget(&mut self) {
        self.forget();
    }
}

impl<B: FlowSteps> Follows for Stepped<B> {
    fn track(&mut self, before: &Gray, now: &Gray) -> Found {
        Found {
            motion: self.track(before, now).unwrap().clone(),
            consistency: self.consistency().unwrap(),
        }
    }

    fn forget(&mut self) {
        self.forget();
    }
}

pub fn scene(name: &str, (width, height): (usize, usize)) -> Scene {
    Scene::named(name, width, height).expect("the scene has a name that is known")
}

pub fn gray(scene: &Scene, index: usize) -> Gray {
    Gray::of(&scene.frame(index), scene.width, scene.height)
}

/// What is said of the step to frame `last`, all steps from frame 0 having been seen.
pub fn tracked(mut tracker: impl Follows, scene: &Scene, last: usize) -> Found {
    for now in 1..last {
        tracker.track(&gray(scene, now - 1), &gray(scene, now));
    }
    tracker.track(&gray(scene, last - 1), &gray(scene, last))
}

/// Mean distance of two flows in pixels, where `counts`.
pub fn end_point_error(flow: &Flow, truth: &Flow, counts: &[bool]) -> f32 {
    let distance = |at: usize| (flow.u[at] - truth.u[at]).hypot(flow.v[at] - truth.v[at]);
    let counted: Vec<f32> = (0..counts.len()).filter(|&at| counts[at]).map(distance).collect();
    counted.iter().sum::<f32>() / counted.len() as f32
}

pub fn share(trust: &[f32], of: impl Fn(usize) -> bool) -> f32 {
    let values: Vec<f32> = (0..trust.len())
        .filter(|&at| of(at))
        .map(|at| trust[at])
        .collect();
    values.iter().sum::<f32>() / values.len() as f32
}

pub fn flat(width: usize, height: usize, value: f32) -> Gray {
    Gray {
        width,
        height,
        pixels: vec![value; width * height],
    }
}

fn planes(found: &Found) -> [&[f32]; 6] {
    let Motion {
        backward,
        forward,
        trust,
    } = &found.motion;
    [
        &backward.u,
        &backward.v,
        &forward.u,
        &forward.v,
        &found.consistency,
        trust,
    ]
}

/// What is visible in both frames is followed to `most` pixels, on the mean.
pub fn following<F: Follows>(start: impl Fn() -> F, size: (usize, usize), names: &[&str], most: f32) {
    for name in names {
        let scene = scene(name, size);
        let Found { motion, .. } = tracked(start(), &scene, 3);
        for (direction, flow, from, to) in [
            ("backward", &motion.backward, 3, 2),
            ("forward", &motion.forward, 2, 3),
        ] {
            let error = end_point_error(flow, &scene.flow(from, to), &scene.visible(from, to));
            println!("{name} at {size:?}, {direction}: {error:.3} px");
            assert!(error <= most, "{name} at {size:?}, {direction}: {error} px");
        }
    }
}

/// A still scene stands still, and noise hardly moves it.
pub fn standing_still<F: Follows>(start: impl Fn() -> F, size: (usize, usize)) {
    for (name, most) in [("still", 1e-3), ("noise", 0.1)] {
        let scene = scene(name, size);
        let Found {
            motion, consistency, ..
        } = tracked(start(), &scene, 2);
        let everywhere = vec![true; consistency.len()];
        let still = Flow::new(scene.width, scene.height);
        let error = end_point_error(&motion.backward, &still, &everywhere);
        assert!(error <= most, "{name}: {error} px");
        assert!(share(&consistency, |_| true) > 0.97, "{name} can be trusted");
    }
}

/// What an object uncovers is marked, and what stays is not: no more and no less than so much of it is trusted.
pub fn uncovering<F: Follows>(
    start: impl Fn() -> F,
    size: (usize, usize),
    names: &[&str],
    (most, least): (f32, f32),
) {
    for name in names {
        let scene = scene(name, size);
        let Found { consistency, .. } = tracked(start(), &scene, 2);
        let visible = scene.visible(2, 1);
        let (hidden, seen) = (
            share(&consistency, |at| !visible[at]),
            share(&consistency, |at| visible[at]),
        );
        assert!(hidden < most, "{name}: {hidden} of what was hidden is trusted");
        assert!(seen > least, "{name}: {seen} of what was seen is trusted");
    }
}

/// Pictures of any size may come after one another, and nothing is left of another size.
pub fn changing_size<F: Follows>(start: impl Fn() -> F, sizes: &[(usize, usize)]) {
    let mut tracker = start();
    for &size in sizes {
        let scene = scene("pan", size);
        let (before, now) = (gray(&scene, 0), gray(&scene, 1));
        let used = tracker.track(&before, &now);
        assert_eq!((used.motion.backward.width, used.motion.backward.height), size);
        assert!(used == start().track(&before, &now), "{size:?}");
        assert!(planes(&used).into_iter().flatten().all(|value| value.is_finite()));
    }
}

/// Pictures without structure do not move.
pub fn seeing_nothing<F: Follows>(start: impl Fn() -> F, sizes: &[(usize, usize)]) {
    for &(width, height) in sizes {
        for (before, now) in [(0.0, 0.0), (255.0, 255.0), (10.0, 240.0)] {
            let motion = start().track(&flat(width, height, before), &flat(width, height, now));
            let [flow @ .., consistency, trust] = planes(&motion);
            let still = |plane: &[f32]| plane.iter().all(|value| value.abs() < 1e-3);
            assert!(flow.into_iter().all(still), "{before} → {now}");
            let finite = |plane: &[f32]| plane.iter().all(|value| (0.0..=1.0).contains(value));
            assert!(finite(consistency) && finite(trust), "{before} → {now}");
        }
    }
}

/// The same frames give the same numbers.
pub fn repeating<F: Follows>(start: impl Fn() -> F, size: (usize, usize)) {
    let scene = scene("object", size);
    assert!(tracked(start(), &scene, 3) == tracked(start(), &scene, 3));
    let mut tracker = start();
    tracker.track(&gray(&scene, 5), &gray(&scene, 6));
    tracker.forget();
    let (before, now) = (gray(&scene, 0), gray(&scene, 1));
    assert!(tracker.track(&before, &now) == start().track(&before, &now));
    // Until then the last motion is what the next search tries, too.
    let (before, now) = (gray(&scene, 2), gray(&scene, 3));
    assert!(tracked(start(), &scene, 3) != start().track(&before, &now));
}
