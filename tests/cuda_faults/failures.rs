// SPDX-License-Identifier: MIT OR Apache-2.0

//! Every call of the driver fails once, in a way that leaves everything else as it was: nothing but its own answer tells.

use neuralstyle::backend::CancelToken;
use neuralstyle::backend::cuda::Cuda;
use neuralstyle::gatys::{
    Demand, Displacement, Init, LossWeights, Network, NetworkChoice, OptimizerKind, Painter, Run, StyleSize,
};
use neuralstyle::motion::{Gray, Stepped};

use crate::planning::{recipe, run};
use crate::scene::{self, Show};
use crate::softgpu::SoftGpu;
use crate::start;

/// Occasions that come up in whatever is done, and those that do in some of it.
const ALWAYS: [&str; 5] = ["alloc", "launch-refused", "copy-refused", "set", "record"];
const SOMETIMES: [&str; 6] = ["wait", "stream", "event", "capture", "graph", "replay"];

/// Lets `act` meet each failure of each occasion, which it must tell, and then do without; the faults begin when it calls what
/// it is given.
fn each_is_told<E: std::fmt::Display>(
    gpu: &SoftGpu,
    what: &str,
    mut act: impl FnMut(&dyn Fn()) -> Result<(), E>,
) {
    for occasion in ALWAYS.into_iter().chain(SOMETIMES) {
        let mut failed = 0;
        loop {
            let fault = format!("{occasion}:{}", failed + 1);
            let answer = act(&|| gpu.faults(&fault));
            let came = gpu.count(occasion);
            gpu.faults("");
            match answer {
                Ok(()) => {
                    assert!(came <= failed, "{what}: {fault} is not told");
                    break;
                }
                Err(error) => {
                    let text = error.to_string();
                    let words = if occasion == "alloc" {
                        "memory"
                    } else {
                        "CUDA_ERROR_"
                    };
                    assert!(came > failed && text.contains(words), "{what}: {fault}: {text}");
                    failed += 1;
                }
            }
        }
        println!("{what}: {failed} × {occasion}");
        assert!(failed > 0 || SOMETIMES.contains(&occasion), "{what}: {occasion}");
    }
}

/// One step, with weights so small that no gradient overflows, and the scale is found at once.
fn faint<'a>() -> Run<'a> {
    let mut run = Run {
        iterations: 1,
        ..run()
    };
    let LossWeights {
        content, style, tv, ..
    } = &mut run.weights;
    for weight in [content, style, tv] {
        *weight *= 1e-6;
    }
    run
}

#[test]
fn none_goes_unnoticed_while_the_backend_starts() {
    let Some(gpu) = SoftGpu::take() else { return };
    let _user = start::cuda(CancelToken::new());
    each_is_told(&gpu, "start", |begin| {
        begin();
        Cuda::new(-1, CancelToken::new()).map(drop)
    });
}

#[test]
fn none_goes_unnoticed_while_frames_are_painted() {
    let Some(gpu) = SoftGpu::take() else { return };
    let cuda = start::cuda(CancelToken::new()).expect("the software GPU is there");
    let size = (8, 8);
    let [frame, style] = [1, 2].map(|seed| scene::frame(size.0, size.1, Show::Shapes(seed)));
    let demand = Demand {
        size,
        frame: size.into(),
        style: StyleSize {
            picture: size,
            scale: 1.0,
        },
        between: false,
    };
    let network = Network::open(NetworkChoice::Tiny, None).unwrap();
    let mut painter = Painter::new(cuda, network, recipe(1, OptimizerKind::Adam, Init::Matched, 0)).unwrap();
    each_is_told(&gpu, "a first frame", |begin| {
        begin();
        painter.plan(demand, 0)?;
        painter.set_style(style.view(), 1.0)?;
        painter.start(frame.view(), faint())
    });
    let (zeros, ones) = ([0.0; 64], [1.0; 64]);
    let displacement = Displacement {
        flow: [&zeros, &zeros],
        trust: &ones,
    };
    let mut out = frame.clone();
    // Its step has been written down before; what comes between is tried where motion is followed.
    each_is_told(&gpu, "the next frame", |begin| {
        painter.start(frame.view(), faint())?;
        begin();
        painter.proceed(frame.view(), displacement, faint())?;
        painter.compose(frame.view(), 0.9, &mut out)
    });
}

#[test]
fn none_goes_unnoticed_while_motion_is_followed() {
    let Some(gpu) = SoftGpu::take() else { return };
    let mut tracker = Stepped::new(start::cuda(CancelToken::new()).expect("the software GPU is there"));
    let [before, now] = [1, 2].map(|seed| {
        let frame = scene::frame(16, 16, Show::Shapes(seed));
        Gray::of(&frame, 16, 16)
    });
    each_is_told(&gpu, "motion", |begin| {
        begin();
        tracker.discard_plan();
        // The first run, and what is written down of it.
        for _ in 0..2 {
            tracker.track(&before, &now)?;
            tracker.forget();
        }
        Ok::<(), neuralstyle::backend::Error>(())
    });
}
