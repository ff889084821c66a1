// SPDX-License-Identifier: MIT OR Apache-2.0

use neuralstyle::backend::{Backend, FilterData, Pooling, Shape};
use neuralstyle::gatys::extractor::Extractor;
use neuralstyle::gatys::features::Features;

use crate::scene::{self, Layer};

fn tensor<B: Backend>(ops: &mut B, shape: Shape, values: &[f32]) -> B::Tensor {
    let mut tensor = ops.tensor(shape).unwrap();
    ops.upload(values, &mut tensor).unwrap();
    tensor
}

fn values<B: Backend>(ops: &mut B, tensor: &B::Tensor) -> Vec<f32> {
    let mut values = vec![0.0; ops.shape(tensor).elements()];
    ops.download(tensor, &mut values).unwrap();
    values
}

/// Convolutions by Winograd's method are off by some 1e-6 of the greatest sum of magnitudes in a tile, here 49 at most; the
/// numbers by hand are whole or have few digits.
fn assert_near(found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len());
    for (found_here, expected_here) in found.iter().zip(expected) {
        let error = (found_here - expected_here).abs();
        assert!(error <= 2e-4, "{found:?} instead of {expected:?}");
    }
}

/// y(r, c) = Σ w(i, j) x(r + i − 1, c + j − 1) + b: the kernel is not turned round, and beyond the frame is nothing.
pub fn convolution_is_correlation<B: Backend>(ops: &mut B) {
    let shape = Shape::new(1, 3, 3);
    let x = tensor(ops, shape, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]);
    let mut mask = ops.mask(shape).unwrap();
    let mut y = ops.tensor(shape).unwrap();
    // Only the tap above and to the left: everything moves down and to the right.
    let mut weights = vec![0.0; 9];
    weights[0] = 1.0;
    let filter = |weights| FilterData {
        outputs: 1,
        inputs: 1,
        weights,
        bias: vec![0.0],
    };
    let shift = ops.filter(&filter(weights)).unwrap();
    ops.conv_relu(&x, &shift, &mut y, &mut mask).unwrap();
    assert_near(&values(ops, &y), &[0.0, 0.0, 0.0, 0.0, 1.0, 2.0, 0.0, 4.0, 5.0]);
    // And back again: a one at each place where y is positive goes up and to the left.
    let gradient = tensor(ops, shape, &[1.0; 9]);
    let mut back = ops.tensor(shape).unwrap();
    ops.conv_relu_backward(&gradient, &mask, &shift, &mut back)
        .unwrap();
    assert_near(
        &values(ops, &back),
        &[1.0, 1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0],
    );

    // All ones less 21: sums of the neighbourhoods 12 21 16 / 27 45 33 / 24 39 28, and what is left above zero.
    let sums = ops
        .filter(&FilterData {
            bias: vec![-21.0],
            ..filter(vec![1.0; 9])
        })
        .unwrap();
    ops.conv_relu(&x, &sums, &mut y, &mut mask).unwrap();
    assert_near(
        &values(ops, &y),
        &[0.0, 0.0, 0.0, 6.0, 24.0, 12.0, 3.0, 18.0, 7.0],
    );
}

/// A picture of the mean's colour is all zeros to the network, at its edge too; blue is the file's third channel.
pub fn the_mean_is_taken_off_before_the_padding<B: Backend>(ops: &mut B) {
    let mut weights = vec![0.0; 27];
    weights[18..27].fill(1.0);
    let layer = Layer {
        number: 0,
        outputs: 1,
        inputs: 3,
        weights,
        bias: vec![0.5],
    };
    let network = scene::network(&[layer], "average", "0.5,0.25,0.125");
    let mut extractor = Extractor::new(&network, Pooling::Average, 1);
    extractor.load(ops, &network).unwrap();
    let shape = Shape::new(3, 2, 2);
    let mut features = Features::new(ops, &extractor, shape, &[1], None).unwrap();
    let mut picture = tensor(
        ops,
        shape,
        &[0.9, 0.1, 0.2, 0.3, 0.7, 0.6, 0.5, 0.4, 0.125, 0.125, 0.125, 0.125],
    );
    features.forward(ops, &extractor, &picture).unwrap();
    assert_near(&values(ops, features.value(1)), &[0.5; 4]);
    // One pixel bluer by ½ is seen by all four.
    let bluer = [0.9, 0.1, 0.2, 0.3, 0.7, 0.6, 0.5, 0.4, 0.625, 0.125, 0.125, 0.125];
    ops.upload(&bluer, &mut picture).unwrap();
    features.forward(ops, &extractor, &picture).unwrap();
    assert_near(&values(ops, features.value(1)), &[1.0; 4]);
}

/// 2×2 windows; the fifth column and the third row belong to none.
pub fn max_and_average<B: Backend>(ops: &mut B) {
    let shape = Shape::new(1, 3, 5);
    let x = tensor(
        ops,
        shape,
        &[
            1.0, 2.0, 7.0, 7.0, 99.0, 3.0, 2.0, 7.0, 3.0, 99.0, 99.0, 99.0, 99.0, 99.0, 99.0,
        ],
    );
    let gradient = tensor(ops, shape.pooled(), &[4.0, 8.0]);
    let mut back = ops.tensor(shape).unwrap();
    let mut mask = ops.mask(shape.pooled()).unwrap();
    let mut y = ops.tensor(shape.pooled()).unwrap();
    ops.pool(&x, Pooling::Average, &mut y, &mut mask).unwrap();
    assert_eq!(values(ops, &y), [2.0, 6.0]);
    ops.pool_backward(&gradient, Pooling::Average, &mask, &mut back)
        .unwrap();
    let expected = [
        1.0, 1.0, 2.0, 2.0, 0.0, 1.0, 1.0, 2.0, 2.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0,
    ];
    assert_eq!(values(ops, &back), expected);
    // Three sevens: the first of them gets it all.
    ops.pool(&x, Pooling::Max, &mut y, &mut mask).unwrap();
    assert_eq!(values(ops, &y), [3.0, 7.0]);
    ops.pool_backward(&gradient, Pooling::Max, &mask, &mut back)
        .unwrap();
    let expected = [
        0.0, 0.0, 8.0, 0.0, 0.0, 4.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0,
    ];
    assert_eq!(values(ops, &back), expected);
}
