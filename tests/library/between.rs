// SPDX-License-Identifier: MIT OR Apache-2.0

//! Frames between two keyframes: they wait for the second, and come out in their order whatever happens meanwhile.

use crate::scene;
use neuralstyle::backend::CancelToken;
use neuralstyle::gatys::NetworkChoice;
use neuralstyle::stylizer::{Controls, Error, Frame, Options, Report, Stylizer};

use crate::scene::Show;

const SIZE: (usize, usize) = (48, 32);

fn controls(keyframe_interval: usize) -> Controls {
    Controls {
        first_iterations: 6,
        iterations: 3,
        keyframe_interval,
        ..Controls::default()
    }
}

fn options() -> Options {
    Options {
        network: NetworkChoice::Tiny,
        working_size: SIZE.0,
        threads: 2,
        ..Options::default()
    }
}

fn stylizer() -> (Stylizer, CancelToken) {
    let cancel = CancelToken::new();
    let mut stylizer = Stylizer::new(&options(), cancel.clone()).unwrap();
    stylizer.set_style(scene::style(70, 50, Show::Shapes(9)));
    (stylizer, cancel)
}

/// A scene that `seed` makes, seen from further and further right.
fn clip(seed: u64, frames: usize) -> Vec<Frame> {
    let wide = scene::frame(SIZE.0 + frames, SIZE.1, Show::Shapes(seed));
    let seen_from = |left: usize| {
        let rows = wide.rgb().chunks_exact(wide.width() * 3);
        let part = rows.flat_map(|row| row[left * 3..][..SIZE.0 * 3].iter().copied());
        Frame::from_rgb(SIZE.0, SIZE.1, part.collect()).unwrap()
    };
    (0..frames).map(seen_from).collect()
}

type Outs = Vec<(Frame, Report)>;

fn pull(stylizer: &mut Stylizer) -> Outs {
    let mut out = Frame::default();
    std::iter::from_fn(|| {
        let ((), report) = stylizer.pull(&mut out)?;
        Some((std::mem::take(&mut out), report))
    })
    .collect()
}

fn push(stylizer: &mut Stylizer, frames: &[Frame], controls: &Controls) -> Outs {
    for frame in frames {
        stylizer.push(frame, controls, ()).unwrap();
    }
    pull(stylizer)
}

/// All of a clip that ends.
fn whole(stylizer: &mut Stylizer, frames: &[Frame], controls: &Controls) -> Outs {
    let mut outs = push(stylizer, frames, controls);
    stylizer.finish().unwrap();
    outs.extend(pull(stylizer));
    outs
}

fn same(a: &[(Frame, Report)], b: &[(Frame, Report)]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.0 == b.0)
}

#[test]
fn every_frame_comes_out_once_and_in_its_turn() {
    for interval in [1, 2, 5, 7] {
        for frames in [1, 2, 6, 15, 16] {
            // At no strength each frame is itself.
            let controls = Controls {
                strength: 0.0,
                ..controls(interval)
            };
            let clip = clip(1, frames);
            let outs = whole(&mut stylizer().0, &clip, &controls);
            assert_eq!(outs.len(), frames, "interval {interval}");
            for (index, ((out, report), frame)) in outs.iter().zip(&clip).enumerate() {
                assert!(out == frame, "frame {index} of {frames}, interval {interval}");
                assert_eq!(report.keyframe, index % interval == 0);
                assert_eq!(report.restarted, index == 0);
            }
        }
    }
}

#[test]
fn a_token_comes_out_with_its_frame() {
    let mut stylizer = Stylizer::<Option<usize>>::with_tokens(&options(), CancelToken::new()).unwrap();
    stylizer.set_style(scene::style(70, 50, Show::Shapes(9)));
    let controls = Controls {
        strength: 0.0,
        ..controls(3)
    };
    let (clip, mut out) = (clip(1, 6), Frame::default());
    let mut tokens = Vec::new();
    for (index, frame) in clip.iter().enumerate() {
        stylizer.push(frame, &controls, Some(index)).unwrap();
        assert_eq!(
            stylizer.newest_held().cloned(),
            (index % 3 > 0).then_some(Some(index))
        );
        // The last one's is exchanged while it waits.
        if let (5, Some(token)) = (index, stylizer.newest_held()) {
            *token = None;
        }
        while let Some((token, _)) = stylizer.pull(&mut out) {
            assert!(token.is_none_or(|index: usize| out == clip[index]));
            tokens.push(token);
        }
    }
    assert_eq!(stylizer.pending(), 2);
    stylizer.finish().unwrap();
    while let Some((token, _)) = stylizer.pull(&mut out) {
        tokens.push(token);
    }
    assert_eq!(tokens, [Some(0), Some(1), Some(2), Some(3), Some(4), None]);
    // With a fresh start the tokens of frames that are still there are dropped.
    for frame in &clip[..2] {
        stylizer.push(frame, &controls, Some(9)).unwrap();
    }
    stylizer.restart();
    assert_eq!(stylizer.pending(), 0);
    assert!(stylizer.pull(&mut out).is_none());
}

#[test]
fn no_more_frames_wait_than_lie_between_two_keyframes() {
    let (mut stylizer, _) = stylizer();
    let mut finished = Vec::new();
    for frame in clip(1, 11) {
        finished.push(push(&mut stylizer, &[frame], &controls(4)).len());
    }
    assert_eq!(finished, [1, 0, 0, 0, 4, 0, 0, 0, 4, 0, 0]);
    assert_eq!(stylizer.stats().frames, 9);
    stylizer.finish().unwrap();
    assert_eq!((pull(&mut stylizer).len(), stylizer.stats().frames), (2, 11));
}

#[test]
fn with_nothing_but_keyframes_no_frame_waits() {
    let clip = clip(1, 4);
    let expected = whole(&mut stylizer().0, &clip, &controls(1));
    let (mut stylizer, _) = stylizer();
    for (frame, (expected, _)) in clip.iter().zip(&expected) {
        let mut out = Frame::default();
        let report = stylizer.process(frame, &mut out, &controls(1)).unwrap();
        assert!(report.keyframe && out == *expected);
    }
}

#[test]
fn the_same_clip_is_the_same_bytes() {
    let clip = clip(1, 9);
    let first = whole(&mut stylizer().0, &clip, &controls(4));
    assert!(same(&first, &whole(&mut stylizer().0, &clip, &controls(4))));
}

#[test]
fn a_frame_between_owes_something_to_the_keyframe_after() {
    let clip = clip(1, 5);
    let both = whole(&mut stylizer().0, &clip, &controls(4));
    let before_alone = whole(&mut stylizer().0, &clip[..4], &controls(4));
    assert!(both[0].0 == before_alone[0].0);
    for index in 1..4 {
        assert!(both[index].0 != before_alone[index].0, "frame {index}");
    }
}

/// What came before a cut is what it would be if the stream had ended there, and what comes after it as if it had begun.
#[test]
fn no_frame_is_a_mixture_of_two_scenes() {
    let (old, mut new) = (clip(1, 8), clip(5, 4));
    // Another scene, at night.
    for frame in &mut new {
        frame.rgb_mut().iter_mut().for_each(|value| *value /= 5);
    }
    let expected = whole(&mut stylizer().0, &old, &controls(5));
    let expected_after = whole(&mut stylizer().0, &new, &controls(5));
    let (mut stylizer, _) = stylizer();
    let outs = whole(&mut stylizer, &[old, new].concat(), &controls(5));
    assert!(outs[8].1.restarted, "that was a cut");
    assert!(same(&outs[..8], &expected));
    assert!(same(&outs[8..], &expected_after));
}

#[test]
fn frames_of_another_size_let_those_go_that_wait() {
    let old = clip(1, 4);
    let expected = whole(&mut stylizer().0, &old, &controls(5));
    for size in [(31, 50), (96, 64)] {
        let (mut stylizer, _) = stylizer();
        let mut outs = push(&mut stylizer, &old, &controls(5));
        assert_eq!(outs.len(), 1);
        let new = scene::frame(size.0, size.1, Show::Shapes(1));
        outs.extend(push(&mut stylizer, &[new], &controls(5)));
        assert!(same(&outs[..4], &expected));
        assert_eq!((outs[4].0.width(), outs[4].0.height()), size);
        assert!(outs[4].1.restarted);
    }
}

#[test]
fn nothing_is_left_of_a_stream_that_was_left() {
    let new = clip(1, 7);
    let expected = whole(&mut stylizer().0, &new, &controls(3));
    let (mut stylizer, _) = stylizer();
    // Two wait, and one was not fetched.
    for frame in &clip(4, 6) {
        stylizer.push(frame, &controls(3), ()).unwrap();
    }
    stylizer.restart();
    assert!(pull(&mut stylizer).is_empty());
    assert!(same(&whole(&mut stylizer, &new, &controls(3)), &expected));
}

#[test]
fn after_a_pause_the_stream_goes_on_with_a_keyframe() {
    let clip = clip(1, 9);
    let (mut stylizer, _) = stylizer();
    whole(&mut stylizer, &clip[..3], &controls(5));
    let outs = whole(&mut stylizer, &clip[3..], &controls(5));
    let keyframes: Vec<_> = outs.iter().map(|(_, report)| report.keyframe).collect();
    assert_eq!(keyframes, [true, false, false, false, false, true]);
    assert!(!outs[0].1.restarted);
}

#[test]
fn another_interval_counts_at_once() {
    let clip = clip(1, 9);
    let (mut stylizer, _) = stylizer();
    assert_eq!(push(&mut stylizer, &clip[..4], &controls(100)).len(), 1);
    assert_eq!(push(&mut stylizer, &clip[4..5], &controls(1)).len(), 4);
    assert_eq!(push(&mut stylizer, &clip[5..6], &controls(1)).len(), 1);
}

/// The keyframe that they waited for was cancelled: they are what they would be at the end of the stream.
#[test]
fn a_cancelled_keyframe_leaves_those_that_waited_for_it() {
    let clip = clip(1, 5);
    let expected = whole(&mut stylizer().0, &clip[..4], &controls(4));
    for at in [1, 2, 3] {
        let (mut stylizer, cancel) = stylizer();
        let mut outs = push(&mut stylizer, &clip[..4], &controls(4));
        let (mut step, token) = (0, cancel.clone());
        stylizer.set_observer(Some(Box::new(move |_| {
            step += 1;
            if step == at {
                token.cancel();
            }
        })));
        let answer = stylizer.push(&clip[4], &controls(4), ());
        assert!(matches!(answer, Err(Error::Cancelled)), "{answer:?}");
        let answer = stylizer.finish();
        assert!(matches!(answer, Err(Error::Cancelled)), "{answer:?}");
        cancel.rearm();
        stylizer.finish().unwrap();
        outs.extend(pull(&mut stylizer));
        assert!(same(&outs, &expected), "at step {at}");
    }
}

/// Each frame has its own strength, whenever it is finished.
#[test]
fn a_fade_to_the_original_goes_frame_by_frame() {
    let clip = clip(1, 6);
    let (mut stylizer, _) = stylizer();
    for (index, frame) in clip.iter().enumerate() {
        let controls = Controls {
            strength: if index == 2 { 0.0 } else { 1.0 },
            ..controls(5)
        };
        stylizer.push(frame, &controls, ()).unwrap();
    }
    let outs = pull(&mut stylizer);
    for (index, ((out, _), frame)) in outs.iter().zip(&clip).enumerate() {
        assert_eq!(out == frame, index == 2, "frame {index}");
    }
}
