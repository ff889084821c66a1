// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a step costs on the CPU: forward, losses, backward to the picture, Adam.
//!
//!     cargo bench --package neuralstyle-benches --bench steps
//!
//! The arithmetic of the convolutions is counted as if they were done directly, that of everything else not at all.

use criterion::{BenchmarkId, Criterion, Throughput};
use neuralstyle::backend::{Shape, cpu::Cpu};
use neuralstyle::gatys::extractor::{Extractor, nodes};
use neuralstyle::gatys::objective::Objective;
use neuralstyle::gatys::style::StyleTarget;
use neuralstyle::gatys::{
    LossWeights, Measure, Network, NetworkChoice, Normalization, Optimizer, OptimizerSettings, Result, Stage,
};
use neuralstyle_benches::flops::Flops;
use neuralstyle_benches::{setup, tensor};

fn main() -> Result<()> {
    let (mut cpu, mut criterion) = setup();
    for choice in [NetworkChoice::Tiny, NetworkChoice::Slim, NetworkChoice::Vgg16] {
        for (width, height) in [(256, 144), (512, 288)] {
            steps(&mut cpu, &mut criterion, choice, Shape::new(3, height, width))?;
        }
    }
    criterion.final_summary();
    Ok(())
}

fn steps(
    cpu: &mut Cpu,
    criterion: &mut Criterion<Flops>,
    choice: NetworkChoice,
    picture: Shape,
) -> Result<()> {
    let network = Network::open(choice, None)?;
    let content = nodes(&network, &network.defaults().content_layers)?;
    let style = nodes(&network, &network.defaults().style_layers)?;
    let depth = content
        .iter()
        .chain(&style)
        .map(|(node, _)| *node)
        .max()
        .unwrap_or(0);
    let mut extractor = Extractor::new(&network, network.pooling(), depth);
    extractor.load(cpu, &network)?;

    let mut objective = Objective::new(
        cpu,
        &extractor,
        picture,
        &content,
        &style,
        Measure::from(Normalization::Relative),
        None,
    )?;
    let mut x = tensor(cpu, picture);
    objective.set_content(cpu, &extractor, &x)?;
    let target = StyleTarget::measure(cpu, &extractor, &style, &x)?;
    objective.set_style(cpu, &target)?;
    let weights = LossWeights {
        content: 1.0,
        style: network.defaults().style_weights.covariance,
        tv: 0.0,
        temporal: 0.0,
    };
    objective.set_weights(cpu, weights)?;
    let mut optimizer = Optimizer::new(cpu, picture, OptimizerSettings::default())?;
    let mut group = criterion.benchmark_group("step");
    group.throughput(Throughput::Elements(flop(
        &network,
        depth,
        &extractor.shapes(picture),
    )));
    let name = format!("{}x{}", picture.width, picture.height);
    group.bench_function(BenchmarkId::new(network.name(), name), |bench| {
        bench.iter(|| -> Result<()> {
            optimizer.prepare(cpu, 0.01)?;
            objective.evaluate(cpu, &extractor, &x)?;
            Ok(optimizer.update(cpu, &mut x, objective.gradient())?)
        });
    });
    group.finish();
    Ok(())
}

/// Operations of the convolutions, both ways.
fn flop(network: &Network, depth: usize, shapes: &[Shape]) -> u64 {
    let stages = network.stages()[..depth].iter().zip(shapes);
    let pairs = stages.map(|(stage, before)| match stage {
        Stage::Conv { inputs, outputs, .. } => inputs * outputs * before.pixels(),
        Stage::Pool => 0,
    });
    2 * 2 * 9 * pairs.sum::<usize>() as u64
}
