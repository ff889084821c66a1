// SPDX-License-Identifier: MIT OR Apache-2.0

use neuralstyle::backend::{Backend, Shape};
use neuralstyle::gatys::{Optimizer, OptimizerKind, OptimizerSettings};

struct Walk<B: Backend> {
    x: B::Tensor,
    gradient: B::Tensor,
    optimizer: Optimizer<B>,
    shape: Shape,
}

impl<B: Backend> Walk<B> {
    fn new(ops: &mut B, shape: Shape, kind: OptimizerKind, moment_blur: usize) -> Self {
        let settings = OptimizerSettings {
            kind,
            momentum: 0.5,
            moment_blur,
            chroma_blur: 0,
            colour_axes: 0.0,
        };
        Self::with(ops, shape, settings)
    }

    fn with(ops: &mut B, shape: Shape, settings: OptimizerSettings) -> Self {
        let mut optimizer = Optimizer::new(ops, shape, settings).unwrap();
        optimizer.restart(ops).unwrap();
        Self {
            x: ops.tensor(shape).unwrap(),
            gradient: ops.tensor(shape).unwrap(),
            optimizer,
            shape,
        }
    }

    /// Where a step along `gradient` leads.
    fn step(&mut self, ops: &mut B, gradient: &[f32], rate: f64) -> Vec<f32> {
        ops.upload(gradient, &mut self.gradient).unwrap();
        self.optimizer.prepare(ops, rate).unwrap();
        self.optimizer.update(ops, &mut self.x, &self.gradient).unwrap();
        let mut x = vec![0.0; self.shape.elements()];
        ops.download(&self.x, &mut x).unwrap();
        x
    }
}

fn assert_near(found: f32, expected: f64) {
    // A handful of roundings of f32, the bias corrections among them.
    let error = (f64::from(found) - expected).abs();
    assert!(
        error <= 1e-6 * expected.abs().max(1e-3),
        "{found} instead of {expected}"
    );
}

/// The first step of Adam goes by the rate against the gradient's sign, however steep it is.
///
/// The second with the gradients 1 and then −½: m̂ = (0.9 · 0.1 − 0.1 · ½) / (1 − 0.9²) = 0.04 / 0.19 and
/// v̂ = (0.99 · 0.01 + 0.01 · ¼) / (1 − 0.99²) = 0.0124 / 0.0199, so a step of 0.210526 / 0.789377 = 0.266700 rates.
/// After a restart the next is a first step again.
pub fn adams_first_steps<B: Backend>(ops: &mut B) {
    let mut walk = Walk::new(ops, Shape::new(1, 1, 4), OptimizerKind::Adam, 0);
    let x = walk.step(ops, &[1.0, -1000.0, 1e-3, 0.0], 0.25);
    assert_near(x[0], -0.25);
    assert_near(x[1], 0.25);
    // ε = 10⁻⁸ beside 10⁻³.
    let small = -0.25 / (1.0 + 1e-5);
    assert_near(x[2], small);
    assert_near(x[3], 0.0);
    let x = walk.step(ops, &[-0.5, -1000.0, 1e-3, 0.0], 0.25);
    let step = (0.04f64 / 0.19) / (0.0124f64 / 0.0199).sqrt();
    assert!((step - 0.266_700).abs() < 1e-6);
    assert_near(x[0], -0.25 - 0.25 * step);
    // A gradient that stays is a step by the rate again.
    assert_near(x[1], 0.5);
    assert_near(x[2], 2.0 * small);
    walk.optimizer.restart(ops).unwrap();
    let x = walk.step(ops, &[-0.5, 1.0, 1.0, 0.0], 0.125);
    assert_near(x[0], -0.125 - 0.25 * step);
    assert_near(x[1], 0.375);
}

/// One pass of ¼ ½ ¼ both ways leaves a quarter of a single squared gradient where it was, so its pixel goes by two
/// rates; the others have no gradient and stay.
pub fn adam_with_a_blurred_moment<B: Backend>(ops: &mut B) {
    let mut walk = Walk::new(ops, Shape::new(1, 3, 3), OptimizerKind::Adam, 1);
    let mut gradient = [0.0; 9];
    gradient[4] = 3.0;
    let x = walk.step(ops, &gradient, 0.25);
    for (index, &x) in x.iter().enumerate() {
        assert_near(x, if index == 4 { -0.5 } else { 0.0 });
    }
    // Once more: a quarter of that quarter's neighbours comes back. (¼² + ½² + ¼²)² = (3/8)² = 9/64.
    let mut twice = Walk::new(ops, Shape::new(1, 5, 5), OptimizerKind::Adam, 2);
    let mut gradient = [0.0; 25];
    gradient[12] = 3.0;
    let x = twice.step(ops, &gradient, 0.25);
    assert_near(x[12], -0.25 * 8.0 / 3.0);
}

/// u = ½ u + g: along a gradient of 1 the steps are 1, 1½, 1¾ rates; along none half the last one.
pub fn sgd_with_momentum<B: Backend>(ops: &mut B) {
    let mut walk = Walk::new(ops, Shape::new(1, 1, 2), OptimizerKind::Sgd, 4);
    assert_eq!(walk.step(ops, &[1.0, -2.0], 0.25), [-0.25, 0.5]);
    assert_eq!(walk.step(ops, &[1.0, -2.0], 0.25), [-0.625, 1.25]);
    assert_eq!(walk.step(ops, &[1.0, -2.0], 0.25), [-1.0625, 2.125]);
    assert_eq!(walk.step(ops, &[0.0, 0.0], 0.25), [-1.28125, 2.5625]);
    walk.optimizer.restart(ops).unwrap();
    assert_eq!(walk.step(ops, &[1.0, 0.0], 0.25), [-1.53125, 2.5625]);
}

/// Three pixels in a row, of which the middle one is pulled in red alone: −12. Of its mean, 4, all stays there. Red blurred
/// is 3 6 3, less its mean 2 4 2, and the others are −1 −2 −1. Along axes of 1, ½ and 0 green goes half as far, blue nowhere.
pub fn steps_in_colours<B: Backend>(ops: &mut B) {
    let settings = OptimizerSettings {
        kind: OptimizerKind::Sgd,
        momentum: 0.5,
        moment_blur: 0,
        chroma_blur: 1,
        colour_axes: 1.0,
    };
    let mut walk = Walk::with(ops, Shape::new(3, 1, 3), settings);
    let axes = [[1.0, 0.0, 0.0], [0.0, 0.5, 0.0], [0.0, 0.0, 0.0]];
    walk.optimizer.set_axes(ops, &axes).unwrap();
    let x = walk.step(ops, &[0.0, 12.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0], 0.25);
    let expected = [2.0, 8.0, 2.0, -0.5, 1.0, -0.5, 0.0, 0.0, 0.0];
    for (x, expected) in x.into_iter().zip(expected) {
        assert_near(x, -0.25 * expected);
    }
}
