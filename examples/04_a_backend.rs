// SPDX-License-Identifier: MIT OR Apache-2.0

//! A backend of your own: one that has the CPU do the work, and says in which operations the time goes.
//!
//!     cargo run --release --example 04_a_backend [WORKING SIZE]
//!
//! A backend is a type with the traits of `neuralstyle::backend`, each of which has a subject. It has tensors of its own
//! (here the CPU's) and knows nothing of networks, losses or frames: those are written once, for all backends.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use neuralstyle::backend::cpu::{Cpu, Filter, Mask, Tensor};
use neuralstyle::backend::prelude::*;
use neuralstyle::backend::registry::Entry;
use neuralstyle::backend::{
    AdamKnobs, CancelToken, Capture, ColourMap, ColourStatistics, Export, FilterData, Interpolation, Moments,
    Pooling, Result, Scalar, ScratchUse, Shape, Slot,
};
use neuralstyle::picture::{Picture, PictureView};
use neuralstyle::stylizer::{Controls, Frame, Options, StylePicture, Stylizer};

/// How often an operation was performed, and how long that took.
type Times = Arc<Mutex<BTreeMap<&'static str, (u32, Duration)>>>;

struct Timed {
    cpu: Cpu,
    times: Times,
}

impl Timed {
    fn time<R>(&mut self, name: &'static str, operation: impl FnOnce(&mut Cpu) -> R) -> R {
        let began = Instant::now();
        let answer = operation(&mut self.cpu);
        let mut times = self.times.lock().expect("no thread panics while it adds up");
        let (count, total) = times.entry(name).or_default();
        *count += 1;
        *total += began.elapsed();
        answer
    }
}

/// Operations that the CPU performs while they are timed.
macro_rules! timed {
    ($($name:ident($($operand:ident: $kind:ty),*) -> $answer:ty;)*) => {
        $(fn $name(&mut self, $($operand: $kind),*) -> Result<$answer> {
            self.time(stringify!($name), |cpu| cpu.$name($($operand),*))
        })*
    };
}

impl Memory for Timed {
    type Tensor = Tensor;
    type Filter = Filter;
    type Mask = Mask;

    fn sizes(&self) -> Arc<dyn Sizes> {
        self.cpu.sizes()
    }

    fn bytes_in_use(&self) -> usize {
        self.cpu.bytes_in_use()
    }

    fn available_bytes(&self) -> Option<usize> {
        self.cpu.available_bytes()
    }

    fn shape(&self, tensor: &Tensor) -> Shape {
        self.cpu.shape(tensor)
    }

    fn can_hold(&self, tensor: &Tensor, shape: Shape) -> bool {
        self.cpu.can_hold(tensor, shape)
    }

    fn reshape(&self, tensor: &mut Tensor, shape: Shape) {
        self.cpu.reshape(tensor, shape);
    }

    timed! {
        tensor_for(shapes: &[Shape]) -> Tensor;
        mask(shape: Shape) -> Mask;
        filter(data: &FilterData) -> Filter;
        reserve_scratch(uses: &[ScratchUse]) -> ();
        upload(data: &[f32], tensor: &mut Tensor) -> ();
        download(tensor: &Tensor, data: &mut [f32]) -> ();
        copy(from: &Tensor, to: &mut Tensor) -> ();
        fill(value: f32, tensor: &mut Tensor) -> ();
    }
}

impl Pictures for Timed {
    timed! {
        import(frame: PictureView, border: usize, picture: &mut Tensor) -> ();
        import_part(frame: PictureView, whole: (usize, usize), corner: (usize, usize), picture: &mut Tensor) -> ();
        export(export: Export<Tensor>, out: &mut Picture) -> ();
        resize(from: &Tensor, border: usize, to: &mut Tensor) -> ();
        mirror_border(picture: &mut Tensor, border: usize) -> ();
        colour_statistics(picture: &Tensor) -> ColourStatistics;
        colour_map(from: &Tensor, map: &ColourMap, to: &mut Tensor) -> ();
        blend(other: &Tensor, share: &Tensor, to: &mut Tensor) -> ();
        warp(from: &Tensor, flow: &Tensor, interpolation: Interpolation, to: &mut Tensor) -> ();
    }
}

impl Layers for Timed {
    timed! {
        centre(from: &Tensor, mean: [f32; 3], to: &mut Tensor) -> ();
        conv_relu(from: &Tensor, filter: &Filter, to: &mut Tensor, mask: &mut Mask) -> ();
        conv_relu_backward(to: &Tensor, mask: &Mask, filter: &Filter, from: &mut Tensor) -> ();
        conv_relu_pool(from: &Tensor, filter: &Filter, kind: Pooling, to: &mut Tensor, mask: &mut Mask) -> ();
        conv_relu_pool_backward(to: &Tensor, kind: Pooling, mask: &Mask, filter: &Filter,
            from: &mut Tensor) -> ();
        pool(from: &Tensor, kind: Pooling, to: &mut Tensor, mask: &mut Mask) -> ();
        pool_backward(to: &Tensor, kind: Pooling, mask: &Mask, from: &mut Tensor) -> ();
        cut(from: &Tensor, corner: (usize, usize), to: &mut Tensor) -> ();
    }
}

impl LossTerms for Timed {
    timed! {
        squared_norm(a: &Tensor, sum: Slot<Tensor>) -> ();
        squared_error(a: &Tensor, target: &Tensor, coefficient: Scalar<Tensor>, gradient: &mut Tensor,
            sum: Slot<Tensor>) -> ();
        weighted_squared_error(a: &Tensor, target: &Tensor, weight: &Tensor, coefficient: Scalar<Tensor>,
            gradient: &mut Tensor, sum: Slot<Tensor>) -> ();
        moments(a: &Tensor, scale: f32, gram: &mut Tensor, mean: &mut Tensor) -> ();
        difference(g: &Tensor, target: &Tensor, difference: &mut Tensor, sum: Slot<Tensor>) -> ();
        covariance_difference(found: Moments<Tensor>, target: Moments<Tensor>, q: f32, mean_weight: Scalar<Tensor>,
            difference: &mut Tensor, offset: &mut Tensor, sum: Slot<Tensor>) -> ();
        moments_backward(a: &Tensor, difference: &Tensor, offset: &Tensor, coefficient: Scalar<Tensor>,
            gradient: &mut Tensor) -> ();
        total_variation(x: &Tensor, coefficient: Scalar<Tensor>, gradient: &mut Tensor, sum: Slot<Tensor>) -> ();
    }
}

impl Updates for Timed {
    timed! {
        square(from: &Tensor, to: &mut Tensor) -> ();
        blur(from: &Tensor, to: &mut Tensor) -> ();
        axpy(factor: f32, x: &Tensor, to: &mut Tensor) -> ();
        adam(gradient: &Tensor, squared: &Tensor, m: &mut Tensor, v: &mut Tensor, knobs: &Tensor, at: AdamKnobs,
            step: &mut Tensor) -> ();
        sgd(gradient: &Tensor, velocity: &mut Tensor, rate: Scalar<Tensor>, momentum: Scalar<Tensor>,
            step: &mut Tensor) -> ();
        descend(x: &mut Tensor, step: &Tensor, blurred: &Tensor, axes: &Tensor) -> ();
    }
}

impl Control for Timed {
    fn name(&self) -> &'static str {
        "timed"
    }

    fn device(&self) -> String {
        self.cpu.device()
    }

    /// A card would record the operations of a step here once, and replay them from then on.
    fn capture<R>(&mut self, capture: &mut Capture, mut record: R) -> Result<()>
    where
        R: FnMut(&mut Self) -> Result<()> + Send,
    {
        capture.runs += 1;
        record(self)
    }
}

fn main() -> std::result::Result<(), Box<dyn Error>> {
    let options = Options {
        working_size: std::env::args().nth(1).map_or(Ok(256), |size| size.parse())?,
        ..Options::default()
    };
    let times = Times::default();
    // The network and the sizes that suit the CPU suit this one, too.
    let defaults = Entry::named("cpu").ok_or("no CPU")?.defaults;
    let mut stylizer = Stylizer::<()>::on(&options, CancelToken::new(), defaults, |cancel| {
        let cpu = Cpu::new(options.threads, cancel)?;
        let times = times.clone();
        Ok(Timed { cpu, times })
    })?;
    let style = StylePicture::load(Path::new("media/starry_night.jpg"))?;
    stylizer.set_style(Arc::new(style));
    let frame = StylePicture::load(Path::new("media/cat.jpg"))?.into_frame();
    let controls = Controls {
        first_iterations: 20,
        ..Controls::default()
    };
    stylizer.process(&frame, &mut Frame::default(), &controls)?;

    let mut times: Vec<_> = std::mem::take(&mut *times.lock().map_err(|error| error.to_string())?)
        .into_iter()
        .collect();
    times.sort_by_key(|&(_, (_, total))| std::cmp::Reverse(total));
    let all: Duration = times.iter().map(|&(_, (_, total))| total).sum();
    println!("{} on {}", stylizer.stats().network, stylizer.stats().backend);
    println!("{:24} {:>6} {:>9} {:>6}", "operation", "times", "ms", "share");
    for (name, (count, total)) in times {
        let (ms, share) = (total.as_secs_f64() * 1e3, total.as_secs_f64() / all.as_secs_f64());
        println!("{name:24} {count:>6} {ms:>9.1} {:>5.1}%", share * 100.0);
    }
    Ok(())
}
