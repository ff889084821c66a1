// SPDX-License-Identifier: MIT OR Apache-2.0

//! The steps of optical flow.
//!
//! They are not linear, so that no count of roundings tells how far a right answer in f32 may be from that in f64. But each
//! rounding of what is computed from operands has the effect of operands that are a little different. So the reference is also
//! asked what it would answer to those: where it answers something else, so may the backend.

use neuralstyle::backend::flow::{Equations, FlowSteps, SLOPES, Search, halved, patches};
use neuralstyle::backend::prelude::*;
use neuralstyle::backend::reference::Reference;
use neuralstyle::backend::{Backend, CancelToken, Result, Shape};

use super::pair::{Machine, UNIT, gamma};
use super::random::Random;

/// How often the reference is asked, and by how much more than the greatest change of its answers the backend may be off:
/// the signs of as many as 64 roundings that add up are drawn, and would be all the same in the worst case.
const ASKED: usize = 8;
const WORST: f64 = 8.0;
/// Roundings on the way from operands to what depends on them.
const ROUNDINGS: f64 = 8.0;
/// Of a step that hardly matters any more: pixels, or what they change of the brightness.
const LAST_STEP: f64 = 0.1;

/// Heights and widths: smaller than a patch, one patch, patches that overlap more than others, several blocks.
const SIZES: [(usize, usize); 9] = [
    (1, 1),
    (3, 5),
    (7, 20),
    (8, 8),
    (9, 13),
    (16, 16),
    (22, 33),
    (17, 90),
    (48, 64),
];

fn pictures() -> impl Iterator<Item = Shape> {
    SIZES
        .into_iter()
        .map(|(height, width)| Shape::new(2, height, width))
}

/// For what is not slow: more pixels than a card has threads; twice as many; and so many that the sums of a card's blocks are
/// added up in several rounds.
const LARGE: Shape = Shape::new(2, 513, 512);
const LARGER: Shape = Shape::new(2, 725, 726);
const IN_ROUNDS: Shape = Shape::new(2, 419, 427);

/// How many of `all` kinds of operands a test takes: one will do where pictures are large.
fn kinds(shape: Shape, all: usize) -> usize {
    if shape.pixels() < IN_ROUNDS.pixels() {
        all
    } else {
        1
    }
}

struct Operand {
    shape: Shape,
    values: Vec<f32>,
    /// Rounding it changes it by no more than this, besides its own relative rounding.
    spacing: f64,
}

impl Operand {
    fn new(shape: Shape, values: Vec<f32>) -> Self {
        let spacing = 0.0;
        Self {
            shape,
            values,
            spacing,
        }
    }

    /// The second picture shows the first moved, in another light and with noise in it.
    fn pictures(shape: Shape, random: &mut Random) -> Self {
        let waves: Vec<[f32; 3]> = (0..6)
            .map(|_| [random.signed(), random.signed(), 6.0 * random.unit()])
            .collect();
        let mut values = Vec::with_capacity(shape.elements());
        for index in 0..shape.elements() {
            let (second, at) = (index / shape.pixels(), index % shape.pixels());
            let (mut x, mut y) = ((at % shape.width) as f32, (at / shape.width) as f32);
            let mut light = 1.0;
            if second == 1 {
                (x, y, light) = (x + 1.7, y - 0.6, 0.9);
            }
            let sum: f32 = waves.iter().map(|[a, b, c]| (a * x + b * y + c).sin()).sum();
            values.push((120.0 + light * 20.0 * sum + 3.0 * random.signed()).clamp(0.0, 255.0));
        }
        let spacing = ROUNDINGS * UNIT * 255.0;
        Self {
            shape,
            values,
            spacing,
        }
    }

    /// Up to `most` pixels; where a place is computed from it, it is rounded as that is.
    fn flow(pictures: Shape, most: f32, random: &mut Random) -> Self {
        let shape = pictures.with_channels(4);
        Self {
            shape,
            values: random
                .signeds(shape.elements())
                .iter()
                .map(|value| most * value)
                .collect(),
            spacing: ROUNDINGS * UNIT * (pictures.width.max(pictures.height) + 32) as f64,
        }
    }

    fn slopes(random: &mut Random) -> Self {
        let slopes = random.signeds(SLOPES.elements());
        Self::new(SLOPES, slopes.iter().map(|slope| 0.1 * slope).collect())
    }

    fn units(shape: Shape, random: &mut Random) -> Self {
        Self::new(shape, random.units(shape.elements()))
    }

    fn put<B: Backend>(&self, ops: &mut B) -> B::Tensor {
        let mut tensor = ops.tensor(self.shape).unwrap();
        ops.upload(&self.values, &mut tensor).unwrap();
        tensor
    }
}

/// Something that a backend makes of tensors.
trait Step {
    /// Whether it ends when a sum of squares no longer shrinks. Where two of them are nearly the same, their roundings
    /// decide, of which operands know nothing: one number in a hundred may be a last step away from the reference's.
    const DECIDES: bool = false;

    fn run<F: FlowSteps>(&self, ops: &mut F, from: &[F::Tensor], to: &mut [F::Tensor]) -> Result<()>;
}

/// Runs `step` on the backend, on the reference, and on the reference with operands that are a little different. `to` is what
/// it writes.
fn check<B: Machine + FlowSteps, S: Step>(ops: &mut B, what: &str, step: &S, from: &[Operand], to: &[Shape]) {
    let shape = from[0].shape;
    let exact = answers(step, from, to, &mut |_| 0.0);
    let mut random = Random(77);
    let mut apart: Vec<Vec<f64>> = exact.iter().map(|values| vec![0.0; values.len()]).collect();
    for _ in 0..ASKED {
        let other = answers(step, from, to, &mut |size| size * f64::from(random.signed()));
        for ((apart, other), exact) in apart.iter_mut().zip(&other).zip(&exact) {
            for ((apart, other), exact) in apart.iter_mut().zip(other).zip(exact) {
                *apart = apart.max((other - exact).abs());
            }
        }
    }
    let tensors: Vec<_> = from.iter().map(|operand| operand.put(ops)).collect();
    // Full of what nobody wants to see again.
    let mut found: Vec<_> = to
        .iter()
        .map(|shape| Operand::new(*shape, vec![-4711.0; shape.elements()]).put(ops))
        .collect();
    step.run(ops, &tensors, &mut found).unwrap();
    for (index, of) in to.iter().enumerate() {
        let mut values = vec![0.0; of.elements()];
        ops.download(&found[index], &mut values).unwrap();
        let mut undecided = if S::DECIDES { of.elements() / 100 } else { 0 };
        for (at, (&value, &exact)) in values.iter().zip(&exact[index]).enumerate() {
            let bound = WORST * apart[index][at] + gamma(32) * exact.abs() + UNIT * UNIT;
            let error = (f64::from(value) - exact).abs();
            if error > bound && error < LAST_STEP && undecided > 0 {
                undecided -= 1;
                continue;
            }
            assert!(
                error <= bound,
                "{what} of {shape:?}: element {at} of result {index}, {of:?}, is {value} instead of {exact}: \
                 {error:e} > {bound:e}"
            );
        }
    }
}

/// What the reference answers, its operands changed by up to as much as rounding them.
fn answers(
    step: &impl Step,
    from: &[Operand],
    to: &[Shape],
    change: &mut impl FnMut(f64) -> f64,
) -> Vec<Vec<f64>> {
    let mut exact = Reference::new(CancelToken::new());
    let mut tensors = Vec::new();
    for operand in from {
        let mut tensor = operand.put(&mut exact);
        for value in &mut tensor.values {
            *value += change(operand.spacing + ROUNDINGS * UNIT * value.abs());
        }
        tensors.push(tensor);
    }
    let mut found: Vec<_> = to.iter().map(|shape| exact.tensor(*shape).unwrap()).collect();
    step.run(&mut exact, &tensors, &mut found).unwrap();
    found.into_iter().map(|tensor| tensor.values).collect()
}

/// A step that is named after what it does.
macro_rules! step {
    ($name:ident $(($($field:ty),*))?, $(decides: $decides:literal,)? |$this:ident, $ops:ident, $from:ident, $to:ident| $body:expr) => {
        struct $name $(($($field),*))?;

        impl Step for $name {
            $(const DECIDES: bool = $decides;)?

            fn run<F: FlowSteps>(&self, $ops: &mut F, $from: &[F::Tensor], $to: &mut [F::Tensor]) -> Result<()> {
                let $this = self;
                let _ = $this;
                $body
            }
        }
    };
}

step!(Halve, |this, ops, from, to| ops.halve(&from[0], &mut to[0]));
step!(Noise, |this, ops, from, to| {
    let mut scratch = ops.tensor(ops.shape(&from[0]))?;
    ops.noise(&from[0], &mut scratch, &mut to[0])
});
step!(Enlarge, |this, ops, from, to| ops
    .enlarge_flow(&from[0], &mut to[0]));
step!(Densify, |this, ops, from, to| ops
    .densify(&from[0], &from[1], &from[2], &mut to[0]));
step!(Consistency, |this, ops, from, to| ops
    .consistency(&from[0], &mut to[0]));
step!(Resemblance, |this, ops, from, to| ops
    .resemblance(&from[0], &from[1], &from[2], &mut to[0]));
// Its fields: the share of the noise, halvings of the guess, whether there is something around.
step!(Seek(f32, Option<usize>, bool), decides: true, |this, ops, from, to| {
    let search = Search {
        pictures: &from[0],
        noise: &from[1],
        noise_share: this.0,
        flow: &from[2],
        guess: this.1.map(|halvings| (&from[3], halvings)),
        around: this.2.then_some(&from[4]),
    };
    let [found, means] = to else { panic!("two results") };
    ops.search(search, found, means)
});
step!(Linearise, |this, ops, from, to| {
    let mut planes = Vec::new();
    for tensor in &to[2..] {
        planes.push(ops.tensor(ops.shape(tensor))?);
    }
    let mut planes = planes.into_iter();
    let mut equations = Equations::new(|| planes.next().ok_or(())).expect("six planes");
    let [there, light, ..] = to else {
        panic!("eight results")
    };
    ops.linearise(&from[0], &from[1], there, light, &from[2], &mut equations)?;
    for (from, to) in equations.planes_mut().into_iter().zip(&mut to[2..]) {
        ops.copy(from, to)?;
    }
    Ok(())
});
step!(Relax, |this, ops, from, to| {
    let mut planes = Vec::new();
    for tensor in &from[2..] {
        let mut plane = ops.tensor(ops.shape(tensor))?;
        ops.copy(tensor, &mut plane)?;
        planes.push(plane);
    }
    let mut planes = planes.into_iter();
    let equations = Equations::new(|| planes.next().ok_or(())).expect("six planes");
    ops.copy(&from[0], &mut to[0])?;
    ops.relax(&equations, &from[1], &mut to[0])?;
    ops.relax(&equations, &from[1], &mut to[0])
});

pub fn halving<B: Machine + FlowSteps>(ops: &mut B) {
    let mut random = Random(1);
    for shape in pictures().chain([LARGER, Shape::new(3, 21, 11)]) {
        let from = Operand::pictures(shape, &mut random);
        check(ops, "half", &Halve, &[from], &[halved(shape)]);
    }
}

pub fn noise<B: Machine + FlowSteps>(ops: &mut B) {
    let mut random = Random(2);
    for shape in pictures().chain([LARGER]) {
        let from = Operand::pictures(shape, &mut random);
        check(ops, "noise", &Noise, &[from], &[Shape::vector(2)]);
        let flat = Operand::new(shape, vec![93.0; shape.elements()]);
        check(ops, "noise of nothing", &Noise, &[flat], &[Shape::vector(2)]);
    }
}

pub fn enlarging_a_flow<B: Machine + FlowSteps>(ops: &mut B) {
    let mut random = Random(3);
    for shape in pictures().chain([LARGE]) {
        let half = Operand::flow(halved(shape), 9.0, &mut random);
        check(ops, "enlarged flow", &Enlarge, &[half], &[shape.with_channels(4)]);
    }
}

pub fn searching<B: Machine + FlowSteps>(ops: &mut B) {
    let mut random = Random(4);
    for shape in pictures() {
        let Some(found) = patches(shape) else { continue };
        let (guess, halvings) = (Shape::new(2, 2 * shape.height + 1, 2 * shape.width - 1), 1);
        let from = |random: &mut Random| {
            [
                Operand::pictures(shape, random),
                Operand::new(Shape::vector(2), vec![0.4, 1.3]),
                Operand::flow(shape, 2.0, random),
                Operand::flow(guess, 4.0, random),
                Operand {
                    shape: found,
                    ..Operand::flow(found, 3.0, random)
                },
            ]
        };
        for step in [
            Seek(1.0, None, false),
            Seek(0.25, Some(halvings), false),
            Seek(0.0625, Some(halvings), true),
            Seek(1.0, None, true),
        ] {
            let results = [found, found.with_channels(2)];
            let mut from = from(&mut random);
            check(ops, "patches", &step, &from, &results);
            // The noisier of the two pictures counts.
            from[1].values.reverse();
            check(ops, "patches", &step, &from, &results);
        }
        // Without noise a way has its least price.
        let mut quiet = from(&mut random);
        quiet[1] = Operand::new(Shape::vector(2), vec![0.0, 0.0]);
        let results = [found, found.with_channels(2)];
        check(
            ops,
            "patches without noise",
            &Seek(1.0, None, true),
            &quiet,
            &results,
        );
        // What leads far beyond the edge is kept near it.
        let mut from = from(&mut random);
        from[2] = Operand::flow(shape, 90.0, &mut random);
        let results = [found, found.with_channels(2)];
        check(
            ops,
            "patches beyond the edge",
            &Seek(1.0, None, false),
            &from,
            &results,
        );
    }
}

pub fn densifying<B: Machine + FlowSteps>(ops: &mut B) {
    let mut random = Random(5);
    for shape in pictures().chain([LARGE]) {
        let Some(found) = patches(shape) else { continue };
        let from = [
            Operand::pictures(shape, &mut random),
            Operand {
                shape: found,
                ..Operand::flow(found, 6.0, &mut random)
            },
            Operand::new(
                found.with_channels(2),
                random
                    .signeds(found.pixels() * 2)
                    .iter()
                    .map(|value| 9.0 * value)
                    .collect(),
            ),
        ];
        check(ops, "dense flow", &Densify, &from, &[shape.with_channels(4)]);
    }
}

pub fn linearising<B: Machine + FlowSteps>(ops: &mut B) {
    let mut random = Random(6);
    for shape in pictures().chain([IN_ROUNDS, LARGE]) {
        for most in [2.0, 0.0, 60.0].into_iter().take(kinds(shape, 3)) {
            let from = [
                Operand::pictures(shape, &mut random),
                Operand::flow(shape, most, &mut random),
                Operand::slopes(&mut random),
            ];
            let mut results = vec![shape, Shape::vector(4)];
            results.extend([shape; 6]);
            check(ops, "equations", &Linearise, &from, &results);
        }
    }
}

pub fn relaxing<B: Machine + FlowSteps>(ops: &mut B) {
    let mut random = Random(7);
    for shape in pictures().chain([LARGER]) {
        let from = [
            Operand::flow(shape, 3.0, &mut random),
            Operand::slopes(&mut random),
            Operand::units(shape, &mut random),
            // xx yy is more than xy² with what ties a pixel to its neighbours, and with what keeps one that has none.
            Operand::new(shape, vec![0.0; shape.elements()]),
            Operand::units(shape, &mut random),
            Operand::units(shape, &mut random),
            Operand::units(shape, &mut random),
            Operand::units(shape, &mut random),
        ];
        check(ops, "relaxed flow", &Relax, &from, &[shape.with_channels(4)]);
    }
}

pub fn consistency<B: Machine + FlowSteps>(ops: &mut B) {
    let mut random = Random(8);
    for shape in pictures().chain([LARGE]) {
        // Flows that agree, that hardly do, and that do not.
        for most in [0.3, 0.02, 5.0].into_iter().take(kinds(shape, 3)) {
            let from = [Operand::flow(shape, most, &mut random)];
            check(ops, "trust", &Consistency, &from, &[shape.with_channels(1)]);
        }
    }
}

pub fn resemblance<B: Machine + FlowSteps>(ops: &mut B) {
    let mut random = Random(9);
    for shape in pictures().chain([LARGE]) {
        for most in [9.0, 0.5].into_iter().take(kinds(shape, 2)) {
            let from = [
                Operand::pictures(shape, &mut random),
                Operand::flow(shape, most, &mut random),
                Operand::units(shape.with_channels(1), &mut random),
            ];
            check(ops, "resemblance", &Resemblance, &from, &[shape.with_channels(1)]);
        }
    }
}
