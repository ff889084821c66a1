// SPDX-License-Identifier: MIT OR Apache-2.0

//! What motion costs: flow both ways, its mask and how much it explains, on one core.
//!
//!     cargo bench --package neuralstyle-benches --bench flow

#[path = "../program/src/measure/scenes.rs"]
mod scenes;

use std::time::Duration;

use criterion::{BenchmarkId, Criterion};
use neuralstyle::motion::{Gray, Tracker};
use scenes::{NAMES, Scene};

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    let mut group = criterion.benchmark_group("flow");
    for (width, height) in [(192, 112), (320, 180)] {
        for name in NAMES {
            let name = format!("{name}-photo");
            let scene = Scene::named(&name, width, height).expect("the scene has a name that is known");
            let [before, now] = [0, 1].map(|index| Gray::of(&scene.frame(index), width, height));
            let mut tracker = Tracker::new();
            group.bench_function(BenchmarkId::new(format!("{width}x{height}"), &name), |bench| {
                bench.iter(|| tracker.track(&before, &now).trust[0]);
            });
        }
    }
    group.finish();
    criterion.final_summary();
}
