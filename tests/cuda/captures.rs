// SPDX-License-Identifier: MIT OR Apache-2.0

//! What is written down of a step holds for as long as it is replayed.

use neuralstyle::backend::cuda::{Cuda, Tensor};
use neuralstyle::backend::prelude::*;
use neuralstyle::backend::{CancelToken, Capture, ScratchUse, Shape};

use crate::faint::{SHAPE, faint_filter, uploaded, values};
use crate::start;

#[test]
fn what_a_step_writes_is_its_own_whatever_was_there() {
    let Some(mut ops) = start::cuda(CancelToken::new()) else {
        return;
    };
    let (filter, from) = (faint_filter(&mut ops), uploaded(&mut ops, SHAPE, 1));
    let (mut to, mut mask) = (ops.tensor(SHAPE).unwrap(), ops.mask(SHAPE).unwrap());
    let (mut step, mut first) = (Capture::default(), Vec::new());
    for run in 0..4 {
        ops.upload(&vec![1.0; SHAPE.elements()], &mut to).unwrap();
        ops.capture(&mut step, |ops| ops.conv_relu(&from, &filter, &mut to, &mut mask))
            .unwrap();
        let found = values(&mut ops, &to);
        if run == 0 {
            first = found;
        } else {
            assert!(found == first, "run {run}");
        }
    }
}

#[test]
fn a_step_notices_that_its_input_is_stored_otherwise() {
    let Some(mut ops) = start::cuda(CancelToken::new()) else {
        return;
    };
    let (filter, other) = (faint_filter(&mut ops), uploaded(&mut ops, SHAPE, 2));
    let mut from = uploaded(&mut ops, SHAPE, 1);
    let (mut to, mut expected) = (ops.tensor(SHAPE).unwrap(), ops.tensor(SHAPE).unwrap());
    let mut mask = ops.mask(SHAPE).unwrap();
    let mut step = Capture::default();
    for run in 0..8 {
        // Before it is recorded, and after.
        if run == 1 {
            ops.conv_relu(&other, &filter, &mut from, &mut mask).unwrap();
        } else if run == 5 {
            ops.upload(&vec![0.5; SHAPE.elements()], &mut from).unwrap();
        }
        ops.capture(&mut step, |ops| ops.conv_relu(&from, &filter, &mut to, &mut mask))
            .unwrap();
        let found = values(&mut ops, &to);
        ops.conv_relu(&from, &filter, &mut expected, &mut mask).unwrap();
        assert!(found == values(&mut ops, &expected), "run {run}");
    }
}

/// Captures a step that halves a picture, `runs` times, with what `before` does to the card before each; the results are the same.
fn halves_the_same_each_time(ops: &mut Cuda, runs: usize, mut before: impl FnMut(&mut Cuda, &Tensor, usize)) {
    let from = uploaded(ops, Shape::new(3, 9, 11), 1);
    let mut to = ops.tensor(Shape::new(3, 5, 7)).unwrap();
    let (mut step, mut first) = (Capture::default(), Vec::new());
    for run in 0..runs {
        before(ops, &from, run);
        ops.capture(&mut step, |ops| ops.resize(&from, 0, &mut to))
            .unwrap();
        let found = values(ops, &to);
        if run == 0 {
            first = found;
        } else {
            assert!(found == first, "run {run}");
        }
    }
}

/// The card keeps the tables of so many sizes and no more.
#[test]
fn a_step_keeps_the_tables_that_it_reads() {
    let Some(mut ops) = start::cuda(CancelToken::new()) else {
        return;
    };
    halves_the_same_each_time(&mut ops, 6, |ops, from, run| {
        if run == 3 {
            for side in 10..80 {
                let mut other = ops.tensor(Shape::new(3, 1, side)).unwrap();
                ops.resize(from, 0, &mut other).unwrap();
            }
        }
    });
}

/// Another style asks for other room while the steps of a painting are there.
#[test]
fn a_step_notices_that_the_room_it_works_in_is_another() {
    let Some(mut ops) = start::cuda(CancelToken::new()) else {
        return;
    };
    let work = |side| {
        let (from, to) = (Shape::new(3, 9, 11), Shape::new(3, 5, side));
        ScratchUse::Resize { from, to }
    };
    halves_the_same_each_time(&mut ops, 8, |ops, _, run| match run {
        0 => ops.reserve_scratch(&[work(7)]).unwrap(),
        // More lines, and all tables that were there before.
        4 => ops.reserve_scratch(&[work(7), work(20)]).unwrap(),
        _ => (),
    });
}
