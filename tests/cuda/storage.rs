// SPDX-License-Identifier: MIT OR Apache-2.0

//! How tensors lie in the card's memory, and which cannot.

use neuralstyle::backend::prelude::*;
use neuralstyle::backend::{CancelToken, Error, Scalar, Shape, Slot};

use crate::faint::{SHAPE, faint_filter, uploaded, values};
use crate::start;

#[test]
fn zeros_take_the_scale_of_what_is_added_to_them() {
    let Some(mut ops) = start::cuda(CancelToken::new()) else {
        return;
    };
    let (filter, from) = (faint_filter(&mut ops), uploaded(&mut ops, SHAPE, 1));
    let mut mask = ops.mask(SHAPE).unwrap();
    let [mut activations, mut gradient, target] = [(); 3].map(|()| ops.tensor(SHAPE).unwrap());
    ops.conv_relu(&from, &filter, &mut activations, &mut mask)
        .unwrap();
    let mut numbers = ops.tensor(Shape::vector(2)).unwrap();
    ops.upload(&[1.0, 0.0], &mut numbers).unwrap();
    let mut sums = ops.tensor(Shape::vector(1)).unwrap();
    ops.axpy(1.0, &activations, &mut gradient).unwrap();
    let (coefficient, sum) = (Scalar { of: &numbers, at: 0 }, Slot { of: &mut sums, at: 0 });
    ops.squared_error(&activations, &target, coefficient, &mut gradient, sum)
        .unwrap();
    let (added, activations) = (values(&mut ops, &gradient), values(&mut ops, &activations));
    let doubled: Vec<f32> = activations.iter().map(|value| 2.0 * value).collect();
    assert_eq!(added, doubled);
}

#[test]
fn what_the_kernels_cannot_count_is_refused() {
    let Some(mut ops) = start::cuda(CancelToken::new()) else {
        return;
    };
    for shape in [
        Shape::new(8, 1, 1 << 15),
        Shape::new(8, 1 << 15, 1),
        Shape::new(64, 8192, 8192),
    ] {
        assert!(
            matches!(ops.mask(shape), Err(Error::OutOfMemory { .. })),
            "{shape:?}"
        );
    }
    assert!(ops.mask(Shape::new(8, 1, (1 << 15) - 1)).is_ok());
}
