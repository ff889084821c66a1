// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a card finds out about the motion of clips whose motion is known, and what that takes.

use crate::{facts, softgpu, start};
use std::sync::Arc;

use neuralstyle::backend::cuda::Cuda;
use neuralstyle::backend::prelude::*;
use neuralstyle::backend::{CancelToken, Error};
use neuralstyle::gatys::NetworkChoice;
use neuralstyle::motion::Stepped;
use neuralstyle::stylizer::{BackendChoice, Controls, Frame, Mode, Options, StylePicture, Stylizer};

use crate::facts::{flat, gray, scene};
use crate::softgpu::SoftGpu;

const SIZE: (usize, usize) = (96, 56);

/// A card's tracker, or `None` where there is no card.
fn stepped() -> Option<Stepped<Cuda>> {
    start::cuda(CancelToken::new()).map(Stepped::new)
}

/// Runs `body` with what starts a tracker, where there is a card, alone.
fn on_a_card(body: impl FnOnce(fn() -> Stepped<Cuda>)) {
    let _alone = softgpu::alone();
    if stepped().is_some() {
        body(|| stepped().expect("cannot fail: there is a card"));
    }
}

#[test]
fn what_is_visible_is_followed_to_a_quarter_of_a_pixel() {
    on_a_card(|start| {
        facts::following(start, SIZE, &["pan", "zoom", "rotation", "object", "light"], 0.25);
    });
}

#[test]
fn a_still_scene_stands_still_and_noise_hardly_moves_it() {
    on_a_card(|start| facts::standing_still(start, SIZE));
}

#[test]
fn what_an_object_uncovers_is_marked_and_what_stays_is_not() {
    on_a_card(|start| facts::uncovering(start, SIZE, &["object"], (0.5, 0.85)));
}

#[test]
fn pictures_of_any_size_may_come_after_one_another() {
    on_a_card(|start| facts::changing_size(start, &[(40, 24), (16, 16), (33, 21), (5, 3), (1, 1), (40, 24)]));
}

#[test]
fn pictures_without_structure_do_not_move() {
    on_a_card(|start| facts::seeing_nothing(start, &[(16, 16), (40, 24)]));
}

#[test]
fn the_same_frames_give_the_same_numbers() {
    on_a_card(|start| facts::repeating(start, (48, 32)));
}

/// From the fourth frame of a stream on what is to be done is written down: a frame is one replay, two copies to the card
/// (the pictures, and the slopes for the next ones) and two from it, and takes no memory.
#[test]
fn a_frame_is_one_replay_and_waits_for_its_result_alone() {
    let Some(gpu) = SoftGpu::take() else { return };
    let Some(mut tracker) = stepped() else { return };
    let scene = scene("pan", (33, 25));
    let frames: Vec<_> = (0..6).map(|index| gray(&scene, index)).collect();
    for now in 1..4 {
        tracker.track(&frames[now - 1], &frames[now]).unwrap();
    }
    gpu.faults("");
    let waited = gpu.count("sync");
    for now in 4..6 {
        tracker.track(&frames[now - 1], &frames[now]).unwrap();
    }
    let counts = ["replay", "launch", "alloc", "copy"].map(|occasion| gpu.count(occasion));
    assert_eq!(counts, [2, 0, 0, 2 * 4]);
    assert!(gpu.count("sync") - waited <= 2 * 3, "{} waits", gpu.count("sync"));
}

#[test]
fn what_is_planned_is_what_is_then_in_use() {
    let Some(gpu) = SoftGpu::take() else { return };
    let Some(cuda) = start::cuda(CancelToken::new()) else {
        return;
    };
    // As a stream has it, without what the start-up check has left.
    let mut tracker = Stepped::new(cuda.beside(CancelToken::new()).unwrap());
    // Of the other one, and of the kernels' own variables.
    let others = gpu.count("bytes") as usize - tracker.backend().bytes_in_use();
    for size in [(40, 30), (64, 48), (5, 3), (1, 1), (33, 21)] {
        let picture = flat(size.0, size.1, 9.0);
        let planned = tracker.planned_bytes(size);
        tracker.plan(size).unwrap();
        gpu.faults("");
        for _ in 0..4 {
            tracker.track(&picture, &picture).unwrap();
        }
        assert_eq!(tracker.backend().bytes_in_use(), planned);
        let counts = ["bytes", "peak"].map(|count| gpu.count(count));
        assert_eq!(counts, [(planned + others) as u64; 2], "{size:?}");
    }
}

#[test]
fn a_card_without_room_says_so_and_a_wish_to_stop_is_heard() {
    let Some(gpu) = SoftGpu::take() else { return };
    let picture = flat(48, 32, 9.0);
    let cancel = CancelToken::new();
    let Some(mut tracker) = start::cuda(cancel.clone()).map(Stepped::new) else {
        return;
    };
    gpu.faults("alloc:5");
    let answer = tracker.track(&picture, &picture).map(drop);
    assert!(matches!(answer, Err(Error::OutOfMemory { .. })), "{answer:?}");
    gpu.faults("");
    tracker.track(&picture, &picture).unwrap();
    cancel.cancel();
    let answer = tracker.track(&picture, &picture).map(drop);
    assert!(matches!(answer, Err(Error::Cancelled)), "{answer:?}");
}

/// What is painted of the first frames of a scene, by a step or two each.
fn painted(backend: BackendChoice, mode: Mode, name: &str) -> Vec<Frame> {
    let options = Options {
        network: NetworkChoice::Tiny,
        backend,
        mode,
        scales: 1,
        ..Options::default()
    };
    let controls = Controls {
        first_iterations: 2,
        iterations: 1,
        ..Controls::default()
    };
    let scene = scene(name, (48, 32));
    let mut stylizer = Stylizer::new(&options, CancelToken::new()).unwrap();
    stylizer.set_style(Arc::new(StylePicture::from_frame(
        facts::scene("object-photo", (40, 30)).frame(0),
    )));
    let paint = |index| {
        let mut out = Frame::default();
        stylizer
            .process(&scene.frame(index), &mut out, &controls)
            .unwrap();
        out
    };
    (0..4).map(paint).collect()
}

/// Mean difference of two frames, in steps of a byte.
fn difference(a: &Frame, b: &Frame) -> f64 {
    let pairs = a.rgb().iter().zip(b.rgb());
    pairs.map(|(a, b)| f64::from(a.abs_diff(*b))).sum::<f64>() / a.rgb().len() as f64
}

/// The first steps of both go the same way but for pixels whose gradient is next to nothing; what comes after has moved by as
/// much. A painting that stays behind its scene by a frame is another one.
#[test]
fn a_painting_moves_along_on_the_card_as_on_the_cpu() {
    on_a_card(|_| {
        let [cuda, cpu] =
            [BackendChoice::Cuda, BackendChoice::Cpu].map(|backend| painted(backend, Mode::Offline, "pan"));
        for index in 1..4 {
            let (same, behind) = (
                difference(&cuda[index], &cpu[index]),
                difference(&cuda[index], &cpu[index - 1]),
            );
            println!("frame {index}: {same:.2}, {behind:.2}");
            assert!(same < 1.5 && same < 0.25 * behind, "{same} {behind}");
        }
    });
}

#[test]
fn a_live_stream_is_followed_on_the_card_beside_its_painting() {
    on_a_card(|_| {
        for frame in painted(BackendChoice::Cuda, Mode::Live, "object") {
            assert_eq!((frame.width(), frame.height()), (48, 32));
        }
    });
}
