// SPDX-License-Identifier: MIT OR Apache-2.0

//! A small task that the card and the slow, obvious reference are both given before the first frame: a driver that
//! nobody has met may compile the kernels wrongly, and a card may be broken.

use super::Cuda;
use crate::backend::flow::{Equations, FlowSteps, SLOPES, Search, halved, patches};
use crate::backend::reference::Reference;
use crate::backend::{AdamKnobs, Backend, CancelToken, FilterData, Pooling, Result, Scalar, Shape, Slot};
use crate::picture::Picture;

/// How far a number may be off, in parts of the largest of its kind. Activations come out exactly; gradients are rounded to
/// fp16 a few times, each 2⁻¹¹ of them, while a wrong kernel is off by about as much as there is.
const TOLERANCE: f32 = 1.0 / 64.0;

/// What the task computes, by name.
type Answers = Vec<(&'static str, Vec<f32>)>;

/// Which part of the task has a wrong answer.
pub fn wrong_answer(cuda: &mut Cuda) -> Result<Option<String>> {
    let expected = answers(&mut Reference::new(CancelToken::new()))?;
    let found = answers(cuda)?;
    Ok(found
        .iter()
        .zip(&expected)
        .find(|((_, found), (_, expected))| !agree(found, expected))
        .map(|((name, _), _)| (*name).to_owned()))
}

fn agree(found: &[f32], expected: &[f32]) -> bool {
    let largest = expected.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
    // Written so that what is no number does not agree.
    found
        .iter()
        .zip(expected)
        .all(|(found, expected)| (found - expected).abs() <= TOLERANCE * largest)
}

/// Small whole numbers −`most`..=`most`, of which `share` in 8 are not 0, over `divisor`: activations made of them have few
/// enough digits to be exact in fp16, so that card and reference agree which of them are positive or the greatest.
struct Numbers(u32);

impl Numbers {
    fn take(&mut self, count: usize, most: u32, share: u32, divisor: f32) -> Vec<f32> {
        let mut next = || {
            // A linear congruential generator, whose upper bits are good enough.
            self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            self.0 >> 16
        };
        let mut number = || {
            let (kept, value) = (next() % 8 < share, next() % (2 * most + 1));
            if kept {
                (value as f32 - most as f32) / divisor
            } else {
                0.0
            }
        };
        (0..count).map(|_| number()).collect()
    }

    fn filter(&mut self, inputs: usize, outputs: usize, share: u32) -> FilterData {
        FilterData {
            outputs,
            inputs,
            weights: self.take(outputs * inputs * 9, 1, share, 2.0),
            bias: self.take(outputs, 2, 8, 4.0),
        }
    }
}

/// A step in small: two layers, one pooled, a Gram matrix, a content loss, the way back, Adam; and bytes in and out.
fn answers<B: FlowSteps>(ops: &mut B) -> Result<Answers> {
    let mut numbers = Numbers(7);
    let shape = Shape::new(3, 12, 18);
    let mut answers = Answers::new();
    let mut picture = ops.tensor(shape)?;
    ops.upload(&numbers.take(shape.elements(), 2, 8, 2.0), &mut picture)?;
    let (first, second) = (numbers.filter(3, 16, 8), numbers.filter(16, 40, 2));
    let (first, second) = (ops.filter(&first)?, ops.filter(&second)?);

    let mut low = ops.tensor(shape.pooled().with_channels(16))?;
    let mut low_mask = ops.mask(shape.with_channels(16))?;
    ops.conv_relu_pool(&picture, &first, Pooling::Max, &mut low, &mut low_mask)?;
    answers.push(("a convolution of a picture", values(ops, &low)?));
    let deep_shape = shape.pooled().with_channels(40);
    let mut deep = ops.tensor(deep_shape)?;
    let mut deep_mask = ops.mask(deep_shape)?;
    ops.conv_relu(&low, &second, &mut deep, &mut deep_mask)?;
    answers.push(("a convolution", values(ops, &deep)?));

    let mut gram = ops.tensor(Shape::square(40))?;
    let mut mean = ops.tensor(Shape::vector(40))?;
    ops.moments(&deep, 1.0 / deep_shape.elements() as f32, &mut gram, &mut mean)?;
    answers.push(("a Gram matrix", values(ops, &gram)?));
    answers.push(("a mean", values(ops, &mean)?));

    let mut knobs = ops.tensor(Shape::vector(7))?;
    ops.upload(&[1.0 / 16.0, 1.0 / 64.0, 0.05, 3.0, 0.9, 0.99, 1e-6], &mut knobs)?;
    let mut sums = ops.tensor(Shape::vector(2))?;
    let mut target = ops.tensor(deep_shape)?;
    ops.copy(&deep, &mut target)?;
    ops.fill(0.0, &mut target)?;
    let mut gradient = ops.tensor(deep_shape)?;
    ops.moments_backward(&deep, &gram, &mean, Scalar { of: &knobs, at: 0 }, &mut gradient)?;
    let slot = Slot { of: &mut sums, at: 1 };
    ops.squared_error(&deep, &target, Scalar { of: &knobs, at: 1 }, &mut gradient, slot)?;
    answers.push(("the gradient of the losses", values(ops, &gradient)?));
    answers.push(("a loss", values(ops, &sums)?));

    let mut low_gradient = ops.tensor(shape.pooled().with_channels(16))?;
    ops.conv_relu_backward(&gradient, &deep_mask, &second, &mut low_gradient)?;
    answers.push(("a convolution's gradient", values(ops, &low_gradient)?));
    let mut back = ops.tensor(shape)?;
    ops.conv_relu_pool_backward(&low_gradient, Pooling::Max, &low_mask, &first, &mut back)?;
    answers.push(("a picture's gradient", values(ops, &back)?));

    let [mut squared, mut m, mut v] = [ops.tensor(shape)?, ops.tensor(shape)?, ops.tensor(shape)?];
    ops.square(&back, &mut squared)?;
    let at = AdamKnobs {
        rate: 2,
        root: 3,
        beta1: 4,
        beta2: 5,
        epsilon: 6,
    };
    let mut step = ops.tensor(shape)?;
    ops.adam(&back, &squared, &mut m, &mut v, &knobs, at, &mut step)?;
    answers.push(("Adam's first moment", values(ops, &m)?));
    answers.push(("Adam's second moment", values(ops, &v)?));

    let mut frame = Picture::new(shape.width, shape.height);
    for (at, byte) in frame.rgb_mut().iter_mut().enumerate() {
        *byte = (at * 7 % 256) as u8;
    }
    ops.import(frame.view(), 0, &mut picture)?;
    answers.push(("a frame", values(ops, &picture)?));
    motion(ops, &mut answers)?;
    Ok(answers)
}

/// Steps of optical flow between two pictures, the second of which shows the first moved and in another light.
fn motion<B: FlowSteps>(ops: &mut B, answers: &mut Answers) -> Result<()> {
    let shape = Shape::new(2, 17, 26);
    let shown = |index: usize| {
        let (second, at) = (index / shape.pixels(), index % shape.pixels());
        let moved = if second == 1 { 0.75 } else { 0.0 };
        let (x, y) = (
            (at % shape.width) as f32 + moved,
            (at / shape.width) as f32 - moved,
        );
        let waves = (0.7 * x + 0.2 * y).sin() + (0.9 * y - 0.3 * x).sin();
        100.0 + (40.0 - 6.0 * moved) * waves
    };
    let values_of: Vec<f32> = (0..shape.elements()).map(shown).collect();
    let [mut pictures, mut scratch] = [ops.tensor(shape)?, ops.tensor(shape)?];
    ops.upload(&values_of, &mut pictures)?;
    let mut half = ops.tensor(halved(shape))?;
    ops.halve(&pictures, &mut half)?;
    answers.push(("a picture halved", values(ops, &half)?));
    let mut noise = ops.tensor(Shape::vector(2))?;
    ops.noise(&pictures, &mut scratch, &mut noise)?;
    answers.push(("the noise of a picture", values(ops, &noise)?));
    let (mut coarse, mut flow) = (
        ops.tensor(halved(shape).with_channels(4))?,
        ops.tensor(shape.with_channels(4))?,
    );
    ops.fill(0.25, &mut coarse)?;
    ops.enlarge_flow(&coarse, &mut flow)?;
    let Some(found) = patches(shape) else {
        return Ok(());
    };
    let (mut patches, mut means) = (ops.tensor(found)?, ops.tensor(found.with_channels(2))?);
    let search = Search {
        pictures: &pictures,
        noise: &noise,
        noise_share: 1.0,
        flow: &flow,
        guess: None,
        around: None,
    };
    ops.search(search, &mut patches, &mut means)?;
    ops.densify(&pictures, &patches, &means, &mut flow)?;
    answers.push(("the motion of patches", values(ops, &flow)?));
    let mut equations = Equations::new(|| ops.tensor(shape))?;
    let mut light = ops.tensor(Shape::vector(4))?;
    let mut slopes = ops.tensor(SLOPES)?;
    ops.upload(&[0.01, -0.02, 0.03, -0.04, 0.05, -0.06, 0.07, -0.08], &mut slopes)?;
    ops.linearise(
        &pictures,
        &flow,
        &mut scratch,
        &mut light,
        &slopes,
        &mut equations,
    )?;
    ops.relax(&equations, &slopes, &mut flow)?;
    answers.push(("motion", values(ops, &flow)?));
    let mut trust = ops.tensor(shape.with_channels(1))?;
    ops.consistency(&flow, &mut trust)?;
    let mut resemblance = ops.tensor(shape.with_channels(1))?;
    ops.resemblance(&pictures, &flow, &trust, &mut resemblance)?;
    answers.push(("what can be trusted of a motion", values(ops, &resemblance)?));
    Ok(())
}

fn values<B: Backend>(ops: &mut B, tensor: &B::Tensor) -> Result<Vec<f32>> {
    let mut values = vec![0.0; ops.shape(tensor).elements()];
    ops.download(tensor, &mut values)?;
    Ok(values)
}
