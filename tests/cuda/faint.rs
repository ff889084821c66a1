// SPDX-License-Identifier: MIT OR Apache-2.0

//! Tensors whose numbers the card stores multiplied by a power of two.
#![allow(dead_code, reason = "each test program uses its part")]

use neuralstyle::backend::cuda::{Cuda, Filter, Tensor};
use neuralstyle::backend::prelude::*;
use neuralstyle::backend::{FilterData, Shape};

use crate::scene::Random;

pub const SHAPE: Shape = Shape::new(8, 6, 7);

/// Its outputs are so small that they are such.
pub fn faint_filter(ops: &mut Cuda) -> Filter {
    let data = FilterData {
        outputs: SHAPE.channels,
        inputs: SHAPE.channels,
        weights: vec![1.0 / 1024.0; 9 * SHAPE.channels * SHAPE.channels],
        bias: vec![1.0 / 64.0; SHAPE.channels],
    };
    ops.filter(&data).unwrap()
}

pub fn uploaded(ops: &mut Cuda, shape: Shape, seed: u64) -> Tensor {
    let mut random = Random(seed);
    let values: Vec<f32> = (0..shape.elements()).map(|_| random.unit()).collect();
    let mut tensor = ops.tensor(shape).unwrap();
    ops.upload(&values, &mut tensor).unwrap();
    tensor
}

pub fn values(ops: &mut Cuda, tensor: &Tensor) -> Vec<f32> {
    let mut values = vec![0.0; ops.shape(tensor).elements()];
    ops.download(tensor, &mut values).unwrap();
    values
}
