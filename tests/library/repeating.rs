// SPDX-License-Identifier: MIT OR Apache-2.0

//! The CPU's promise: the same bits from run to run and for any number of threads.

use neuralstyle::backend::cpu::{Cpu, InstructionSet, Tensor};
use neuralstyle::backend::prelude::*;
use neuralstyle::backend::{
    AdamKnobs, CancelToken, ColourMap, Export, FilterData, Mix, Moments, Pooling, Scalar, Shape, Slot,
};
use neuralstyle::picture::Picture;

use super::random::Random;

/// Bits of what every operation makes of the same numbers, at a size that is cut into many pieces.
fn everything(ops: &mut Cpu) -> Vec<(&'static str, Vec<u32>)> {
    let mut random = Random(99);
    let shape = Shape::new(7, 61, 83);
    let wide = shape.with_channels(37);
    let small = wide.pooled();
    let mut put = |ops: &mut Cpu, shape: Shape| {
        let mut tensor = ops.tensor(shape).unwrap();
        ops.upload(&random.signeds(shape.elements()), &mut tensor)
            .unwrap();
        tensor
    };
    let mut seen = Vec::new();
    let mut look = |ops: &mut Cpu, what: &'static str, tensor: &Tensor| {
        let mut values = vec![0.0; ops.shape(tensor).elements()];
        ops.download(tensor, &mut values).unwrap();
        seen.push((what, values.iter().map(|value: &f32| value.to_bits()).collect()));
    };

    let knobs = put(ops, Shape::vector(5));
    let mut sums = ops.tensor(Shape::vector(1)).unwrap();
    macro_rules! knob {
        ($at:expr) => {
            Scalar {
                of: &knobs,
                at: $at,
            }
        };
    }
    macro_rules! sum {
        () => {
            Slot {
                of: &mut sums,
                at: 0,
            }
        };
    }

    let data = FilterData {
        outputs: 37,
        inputs: 7,
        weights: Random(3).signeds(37 * 7 * 9),
        bias: Random(4).signeds(37),
    };
    let filter = ops.filter(&data).unwrap();
    let (mut x, mut activations, mut gradient) = (put(ops, shape), put(ops, wide), put(ops, wide));
    let mut mask = ops.mask(wide).unwrap();
    ops.conv_relu(&x, &filter, &mut activations, &mut mask).unwrap();
    look(ops, "conv_relu", &activations);
    ops.squared_norm(&activations, sum!()).unwrap();
    look(ops, "squared_norm", &sums);
    let mut gram = ops.tensor(Shape::square(37)).unwrap();
    let mut mean = ops.tensor(Shape::vector(37)).unwrap();
    ops.moments(&activations, 0.01, &mut gram, &mut mean).unwrap();
    look(ops, "moments", &gram);
    look(ops, "the mean", &mean);
    let target = put(ops, Shape::square(37));
    let mut difference = put(ops, Shape::square(37));
    ops.difference(&gram, &target, &mut difference, sum!()).unwrap();
    look(ops, "difference", &difference);
    look(ops, "difference's sum", &sums);
    let (wanted, mut offset) = (put(ops, Shape::vector(37)), put(ops, Shape::vector(37)));
    let moments = |second, mean| Moments { second, mean };
    ops.covariance_difference(
        moments(&gram, &mean),
        moments(&target, &wanted),
        0.02,
        knob!(0),
        &mut difference,
        &mut offset,
        sum!(),
    )
    .unwrap();
    look(ops, "covariance_difference", &difference);
    look(ops, "covariance_difference's offset", &offset);
    look(ops, "covariance_difference's sum", &sums);
    ops.moments_backward(&activations, &difference, &offset, knob!(0), &mut gradient)
        .unwrap();
    look(ops, "moments_backward", &gradient);
    let other = put(ops, wide);
    ops.squared_error(&activations, &other, knob!(1), &mut gradient, sum!())
        .unwrap();
    look(ops, "squared_error", &gradient);
    look(ops, "squared_error's sum", &sums);
    let weight = put(ops, wide.with_channels(1));
    ops.weighted_squared_error(&activations, &other, &weight, knob!(2), &mut gradient, sum!())
        .unwrap();
    look(ops, "weighted_squared_error", &gradient);
    look(ops, "weighted_squared_error's sum", &sums);
    for kind in [Pooling::Average, Pooling::Max] {
        let mut pooled = ops.tensor(small).unwrap();
        let mut winners = ops.mask(small).unwrap();
        ops.pool(&activations, kind, &mut pooled, &mut winners).unwrap();
        look(ops, "pool", &pooled);
        let mut back = ops.tensor(wide).unwrap();
        ops.pool_backward(&pooled, kind, &winners, &mut back).unwrap();
        look(ops, "pool_backward", &back);
    }
    let mut back = ops.tensor(shape).unwrap();
    ops.conv_relu_backward(&gradient, &mask, &filter, &mut back)
        .unwrap();
    look(ops, "conv_relu_backward", &back);
    // A filter whose weights are transformed on the way.
    let (deep, deeper) = (Shape::new(190, 23, 21), Shape::new(185, 23, 21));
    let data = FilterData {
        outputs: 185,
        inputs: 190,
        weights: Random(6).signeds(185 * 190 * 9),
        bias: Random(7).signeds(185),
    };
    let (filter, mut mask) = (ops.filter(&data).unwrap(), ops.mask(deeper).unwrap());
    let (mut x_deep, mut pooled) = (put(ops, deep), put(ops, deeper.pooled()));
    for kind in [Pooling::Average, Pooling::Max] {
        ops.conv_relu_pool(&x_deep, &filter, kind, &mut pooled, &mut mask)
            .unwrap();
        look(ops, "conv_relu_pool", &pooled);
        ops.conv_relu_pool_backward(&pooled, kind, &mask, &filter, &mut x_deep)
            .unwrap();
        look(ops, "conv_relu_pool_backward", &x_deep);
    }
    ops.total_variation(&x, knob!(3), &mut back, sum!()).unwrap();
    look(ops, "total_variation", &back);
    look(ops, "total_variation's sum", &sums);

    let (mut squared, mut blurred) = (ops.tensor(shape).unwrap(), ops.tensor(shape).unwrap());
    ops.square(&back, &mut squared).unwrap();
    ops.blur(&squared, &mut blurred).unwrap();
    look(ops, "blur", &blurred);
    let (mut m, mut v) = (put(ops, shape), ops.tensor(shape).unwrap());
    ops.axpy(0.3, &blurred, &mut v).unwrap();
    look(ops, "axpy", &v);
    let at = AdamKnobs {
        rate: 0,
        root: 1,
        beta1: 2,
        beta2: 3,
        epsilon: 4,
    };
    let mut positive = ops.tensor(Shape::vector(5)).unwrap();
    ops.upload(&[0.02, 1.7, 0.9, 0.99, 1e-8], &mut positive).unwrap();
    ops.adam(&back, &blurred, &mut m, &mut v, &positive, at, &mut x)
        .unwrap();
    look(ops, "adam", &x);
    ops.sgd(&back, &mut m, knob!(0), knob!(1), &mut x).unwrap();
    look(ops, "sgd", &x);
    look(ops, "sgd's velocity", &m);

    let video = Picture::from_rgb(200, 100, Random(5).bytes(200 * 100 * 3)).unwrap();
    let frame = Shape::new(3, 61, 83);
    let (mut picture, mut other) = (put(ops, frame), put(ops, frame));
    ops.import(video.view(), 4, &mut picture).unwrap();
    ops.mirror_border(&mut picture, 4).unwrap();
    look(ops, "import", &picture);
    ops.import_part(video.view(), (300, 170), (40, 50), &mut picture)
        .unwrap();
    look(ops, "import_part", &picture);
    let mut part = ops.tensor(Shape::new(37, 50, 70)).unwrap();
    ops.cut(&activations, (9, 5), &mut part).unwrap();
    look(ops, "cut", &part);
    let (step, coloured, axes) = (put(ops, frame), put(ops, frame), put(ops, Shape::vector(9)));
    ops.descend(&mut other, &step, &coloured, &axes).unwrap();
    look(ops, "descend", &other);
    let mut trust = ops.tensor(frame.with_channels(1)).unwrap();
    ops.fill(0.3, &mut trust).unwrap();
    let map = ColourMap {
        matrix: [[0.9, -0.2, 0.1], [0.3, 1.4, -0.6], [-0.05, 0.7, 0.2]],
        offset: [0.1, -0.3, 0.05],
    };
    ops.colour_map(&picture, &map, &mut other).unwrap();
    ops.blend(&other, &trust, &mut picture).unwrap();
    look(ops, "blend", &picture);
    let mut larger = ops.tensor(Shape::new(3, 131, 99)).unwrap();
    ops.resize(&picture, 4, &mut larger).unwrap();
    look(ops, "resize", &larger);
    let statistics = ops.colour_statistics(&larger).unwrap();
    let bits = |value: f64| [value.to_bits() as u32, (value.to_bits() >> 32) as u32];
    let numbers = statistics
        .mean
        .into_iter()
        .chain(statistics.covariance.into_iter().flatten());
    seen.push(("colour_statistics", numbers.flat_map(bits).collect()));
    let mut out = Picture::new(200, 100);
    let mut content = ops.tensor(Shape::new(3, 131, 99)).unwrap();
    ops.import(video.view(), 4, &mut content).unwrap();
    ops.export(
        Export {
            picture: &larger,
            content: &content,
            border: 4,
            mix: Mix {
                strength: 0.9,
                detail: 0.5,
            },
            frame: video.view(),
        },
        &mut out,
    )
    .unwrap();
    seen.push(("export", out.rgb().iter().copied().map(u32::from).collect()));
    seen
}

/// What every operation makes of the same numbers is the same on all of these machines, at each of some runs.
fn assert_alike(machines: impl Iterator<Item = (String, Cpu)>) {
    let mut expected: Option<Vec<(&str, Vec<u32>)>> = None;
    for (about, mut ops) in machines {
        for run in 0..3 {
            let seen = everything(&mut ops);
            let expected = expected.get_or_insert_with(|| seen.clone());
            for ((what, expected), (_, seen)) in expected.iter().zip(&seen) {
                assert!(expected == seen, "{what} with {about}, run {run}");
            }
        }
    }
}

pub fn bits_do_not_depend_on_threads() {
    assert_alike([1, 2, 3, 5].into_iter().map(|threads| {
        let ops = Cpu::new(threads, CancelToken::new()).unwrap();
        (format!("{threads} threads"), ops)
    }));
}

/// The portable kernels round each product by itself, so that they are left out.
pub fn bits_do_not_depend_on_the_kernels() {
    let fused = InstructionSet::available()
        .into_iter()
        .filter(|instructions| *instructions != InstructionSet::Portable);
    assert_alike(fused.map(|instructions| {
        let ops = Cpu::with_instructions(2, CancelToken::new(), instructions).unwrap();
        (format!("the {} kernels", instructions.name()), ops)
    }));
}
