// SPDX-License-Identifier: MIT OR Apache-2.0

//! The figure of what painting takes of a card's memory is exact: to the byte what the software GPU has given when all is
//! planned, and what it had given at most when all is painted.

use neuralstyle::backend::CancelToken;
use neuralstyle::backend::prelude::*;
use neuralstyle::gatys::{
    Demand, Displacement, Init, LossWeights, Network, NetworkChoice, OptimizerKind, OptimizerSettings,
    Painter, Recipe, Run, Sides, StyleSize,
};
use neuralstyle::motion;
use neuralstyle::picture::{Depth, Format};
use neuralstyle::stylizer::{BackendChoice, Controls, Frame, Mode, Options, Stylizer};

use crate::scene::{self, Layer, Random, Show};
use crate::softgpu::SoftGpu;
use crate::start;

pub fn recipe(scales: usize, kind: OptimizerKind, init: Init, border: usize) -> Recipe {
    Recipe {
        optimizer: OptimizerSettings {
            kind,
            ..OptimizerSettings::default()
        },
        border,
        scales,
        init,
        ..Recipe::default()
    }
}

/// A VGG with these widths of its blocks and so many convolutions in each; the last block has one.
fn vgg(widths: &[usize], convolutions: &[usize]) -> Network {
    let (mut number, mut inputs, mut layers) = (0, 3, Vec::new());
    let mut random = Random(5);
    for (&outputs, &count) in widths.iter().zip(convolutions) {
        for _ in 0..count {
            let spread = (6.0 / (9.0 * inputs as f32)).sqrt();
            let weights = (0..outputs * inputs * 9).map(|_| spread * random.signed());
            layers.push(Layer {
                number,
                outputs,
                inputs,
                weights: weights.collect(),
                bias: vec![0.1; outputs],
            });
            (number, inputs) = (number + 2, outputs);
        }
        number += 1;
    }
    scene::network(&layers, "average", "0.48,0.45,0.4")
}

const VGG16: [usize; 5] = [2, 2, 3, 3, 1];
const VGG19: [usize; 5] = [2, 2, 4, 4, 1];

pub fn run<'a>() -> Run<'a> {
    Run {
        weights: LossWeights {
            content: 1.0,
            style: 10.0,
            tv: 0.1,
            temporal: 0.5,
        },
        rate: 0.01,
        iterations: 2,
        steadiness: 1.0,
        observer: None,
        previews: None,
    }
}

/// Bytes that the software GPU has given, without those of the kernels' own variables.
struct Given<'a> {
    gpu: &'a SoftGpu,
    variables: usize,
}

impl<'a> Given<'a> {
    fn new(gpu: &'a SoftGpu) -> Self {
        let cuda = start::cuda(CancelToken::new()).expect("the software GPU is there");
        Self {
            gpu,
            variables: gpu.count("bytes") as usize - cuda.bytes_in_use(),
        }
    }

    fn now(&self) -> usize {
        self.gpu.count("bytes") as usize - self.variables
    }

    fn at_most(&self) -> usize {
        self.gpu.count("peak") as usize - self.variables
    }
}

/// Plans and paints everything that there is, and compares.
fn compare(gpu: &SoftGpu, network: Network, recipe: Recipe, demand: Demand) {
    let given = Given::new(gpu);
    let cuda = start::cuda(CancelToken::new()).expect("the software GPU is there");
    let what = format!("{} {demand:?} {}", network.name(), recipe.scales);
    let mut painter = Painter::new(cuda, network, recipe).unwrap();
    let (planned, peak) = (painter.planned_bytes(demand), painter.peak_bytes(demand));
    gpu.faults("");
    painter.plan(demand, 0).unwrap();
    assert_eq!(given.now(), planned, "{what}: planned");
    assert_eq!(painter.backend().bytes_in_use(), planned, "{what}: counted");
    assert_eq!(given.at_most(), planned, "{what}: while it was planned");

    // For a larger frame some of it is replaced, which is given back before more is taken.
    let larger = Demand {
        frame: Format {
            width: 2 * demand.frame.width,
            height: 2 * demand.frame.height,
            ..demand.frame
        },
        ..demand
    };
    painter.plan(larger, 0).unwrap();
    let for_larger = painter.planned_bytes(larger);
    assert_eq!(given.now(), for_larger, "{what}: planned for a larger frame");
    assert_eq!(
        given.at_most(),
        for_larger,
        "{what}: while it was planned for that"
    );
    // What fits is kept.
    let of_same_frame = Demand {
        between: !larger.between,
        ..larger
    };
    painter.plan(of_same_frame, 0).unwrap();
    let for_same_frame = painter.planned_bytes(of_same_frame);
    assert_eq!(given.now(), for_same_frame, "{what}: planned for the same frame");
    painter.plan(demand, 0).unwrap();
    assert_eq!(given.now(), planned, "{what}: planned again");
    gpu.faults("");

    let style = scene::frame(demand.style.picture.0, demand.style.picture.1, Show::Shapes(2));
    painter.set_style(style.view(), demand.style.scale).unwrap();
    let frame = scene::of_format(demand.frame, Show::Shapes(1));
    painter.start(frame.view(), run()).unwrap();
    let (pixels, mut out) = (demand.size.0 * demand.size.1, frame.clone());
    let (zeros, ones) = (vec![0.0; pixels], vec![1.0; pixels]);
    let displacement = Displacement {
        flow: [&zeros, &zeros],
        trust: &ones,
    };
    let painting = painter.output().unwrap();
    painter.proceed(frame.view(), displacement, run()).unwrap();
    painter.compose(frame.view(), 0.9, &mut out).unwrap();
    if demand.between {
        let sides = Sides {
            before: &painting,
            trust: &ones,
            after: Some((displacement, 0.5)),
        };
        painter
            .compose_between(frame.view(), sides, 0.9, &mut out)
            .unwrap();
    }
    assert!(painter.is_finite().unwrap(), "{what}");
    assert_eq!(given.now(), planned, "{what}: painted");
    assert_eq!(given.at_most(), peak, "{what}: at most");

    // Another style of other sides; what was measured of the first one makes room.
    let other = scene::frame(
        demand.style.picture.1,
        demand.style.picture.0 + 3,
        Show::Shapes(3),
    );
    painter.set_style(other.view(), 1.0).unwrap();
    painter.start(frame.view(), run()).unwrap();
    painter.compose(frame.view(), 0.9, &mut out).unwrap();
    assert_eq!(given.now(), painter.planned_now(), "{what}: restyled");
    assert_eq!(painter.backend().bytes_in_use(), painter.planned_now(), "{what}");
}

#[test]
fn what_is_planned_is_what_the_card_gives_and_the_peak_is_its_high_water_mark() {
    let Some(gpu) = SoftGpu::take() else { return };
    let tiny = || Network::open(NetworkChoice::Tiny, None).unwrap();
    let (adam, sgd) = (OptimizerKind::Adam, OptimizerKind::Sgd);
    let scaled = |size, frame: (usize, usize), (picture, scale), between| Demand {
        size,
        frame: frame.into(),
        style: StyleSize { picture, scale },
        between,
    };
    let demand = |size, frame, style, between| scaled(size, frame, (style, 1.0), between);
    let deep = |demand: Demand| Demand {
        frame: Format {
            depth: Depth::Sixteen,
            ..demand.frame
        },
        ..demand
    };
    for (network, recipe, demand) in [
        (
            tiny(),
            recipe(1, adam, Init::Matched, 0),
            demand((32, 24), (32, 24), (32, 24), false),
        ),
        (
            tiny(),
            recipe(3, adam, Init::Previous, 8),
            deep(demand((67, 45), (201, 135), (50, 64), true)),
        ),
        (
            tiny(),
            recipe(2, adam, Init::Matched, 8),
            // By tiles.
            scaled((67, 45), (67, 45), ((70, 50), 3.0), false),
        ),
        (
            tiny(),
            recipe(1, sgd, Init::Noise, 3),
            demand((41, 17), (60, 25), (16, 90), true),
        ),
        (
            vgg(&[12, 16, 24, 40, 48], &VGG19),
            recipe(2, adam, Init::Content, 8),
            demand((53, 37), (106, 74), (64, 48), true),
        ),
        (
            vgg(&[64, 128, 256, 512, 512], &VGG16),
            recipe(1, adam, Init::Matched, 0),
            demand((20, 17), (20, 17), (17, 20), false),
        ),
    ] {
        compare(&gpu, network, recipe, demand);
    }
}

fn stylizer(mode: Mode) -> Stylizer {
    let options = Options {
        network: NetworkChoice::Tiny,
        backend: BackendChoice::Cuda,
        mode,
        scales: 2,
        working_size: 48,
        ..Options::default()
    };
    let mut stylizer = Stylizer::new(&options, CancelToken::new()).unwrap();
    stylizer.set_style(scene::style(40, 30, Show::Shapes(2)));
    stylizer
}

fn quick() -> Controls {
    Controls {
        iterations: 1,
        first_iterations: 1,
        cut_threshold: 1.0,
        ..Controls::default()
    }
}

#[test]
fn the_figures_of_a_stream_are_those_of_the_card() {
    let Some(gpu) = SoftGpu::take() else { return };
    let given = Given::new(&gpu);
    let mut stylizer = stylizer(Mode::Offline);
    let controls = Controls {
        keyframe_interval: 3,
        ..quick()
    };
    for (width, height) in [(64, 40), (40, 64), (33, 31)] {
        for index in 0..5 {
            let frame = scene::frame(width, height, Show::Shapes(1 + index / 3));
            stylizer.push(&frame, &controls, ()).unwrap();
            let stats = stylizer.stats();
            assert_eq!(stats.bytes_in_use, stats.planned_bytes, "frame {index}");
            assert_eq!(given.now(), stats.planned_bytes, "frame {index}");
        }
        // From then on nothing is taken any more, not for a moment.
        gpu.faults("");
        for index in 5..9 {
            let frame = scene::frame(width, height, Show::Shapes(1 + index / 3));
            stylizer.push(&frame, &controls, ()).unwrap();
        }
        let planned = stylizer.stats().planned_bytes;
        assert_eq!((given.at_most(), gpu.count("alloc")), (planned, 0));
    }
    // Frames between keyframes, which nobody asked for before.
    let mut stylizer = self::stylizer(Mode::Offline);
    let frame = scene::frame(64, 40, Show::Shapes(1));
    stylizer.push(&frame, &quick(), ()).unwrap();
    let before = stylizer.stats().planned_bytes;
    stylizer.push(&frame, &controls, ()).unwrap();
    let after = stylizer.stats().clone();
    assert!(after.planned_bytes > before);
    assert_eq!(after.bytes_in_use, after.planned_bytes);
}

#[test]
fn the_figure_of_a_live_stream_is_that_of_the_card() {
    let Some(gpu) = SoftGpu::take() else { return };
    let given = Given::new(&gpu);
    let mut stylizer = stylizer(Mode::Live);
    let frame = scene::frame(64, 40, Show::Shapes(1));
    let mut out = Frame::default();
    // Some frame shows the painting; how many do not is the card's affair.
    while stylizer.stats().keyframes < 2 {
        stylizer.process(&frame, &mut out, &quick()).unwrap();
    }
    assert_eq!(given.now(), stylizer.stats().planned_bytes);
}

/// The most that a VGG-19 takes of a card at 1920×1080, in bytes: a card with 4 GB of memory has room for it and for a desktop.
const MOST: usize = 2_500_000_000;

#[test]
fn a_vgg19_paints_full_hd_within_two_and_a_half_gigabytes() {
    let Some(_gpu) = SoftGpu::take() else { return };
    let cuda = start::cuda(CancelToken::new()).unwrap();
    let network = vgg(&[64, 128, 256, 512, 512], &VGG19);
    // What a user gets who chooses nothing but the network and the size.
    let painter = Painter::new(cuda, network, recipe(0, OptimizerKind::Adam, Init::Matched, 8)).unwrap();
    let size = (1920, 1080);
    let following = motion::planned_bytes(painter.backend().sizes(), size);
    for (between, style) in [
        (false, (1280, 960)),
        (true, (1280, 960)),
        (true, (1920, 1080)),
        (true, (707, 552)),
        (true, (2000, 3000)),
    ] {
        let demand = Demand {
            size,
            frame: size.into(),
            style: StyleSize {
                picture: style,
                scale: 1.0,
            },
            between,
        };
        let (planned, peak) = (painter.planned_bytes(demand), painter.peak_bytes(demand));
        println!(
            "VGG-19 at 1920×1080, style {style:?}, frames between keyframes {between}: {} MB planned, of which {} MB for \
             the motion, and {} MB more while the style is measured",
            (planned + following) / 1_000_000,
            following / 1_000_000,
            (peak - planned) / 1_000_000
        );
        assert!(peak + following <= MOST, "{}", peak + following);
    }
}
