// SPDX-License-Identifier: MIT OR Apache-2.0

//! What painting takes of a card's memory is known beforehand, and where that is too much the user is told what would fit.

use neuralstyle::backend::cuda::Cuda;
use neuralstyle::backend::prelude::*;
use neuralstyle::backend::{CancelToken, FilterData};
use neuralstyle::gatys::NetworkChoice;
use neuralstyle::stylizer::{BackendChoice, Controls, Error, Frame, Options, Stats, Stylizer};

use crate::machines::said;
use crate::scene::{self, Show};
use crate::softgpu::SoftGpu;
use crate::start;

fn paint(working_size: usize, scales: usize) -> Result<Stats, Error> {
    let options = Options {
        network: NetworkChoice::Tiny,
        backend: BackendChoice::Cuda,
        scales,
        working_size,
        ..Options::default()
    };
    let mut stylizer = Stylizer::new(&options, CancelToken::new())?;
    stylizer.set_style(scene::style(64, 48, Show::Shapes(2)));
    // The first frame takes all that there is to take.
    let controls = Controls {
        first_iterations: 1,
        ..Controls::default()
    };
    let frame = scene::frame(200, 150, Show::Shapes(1));
    stylizer.process(&frame, &mut Frame::default(), &controls)?;
    Ok(stylizer.stats().clone())
}

/// Says what becomes of a size; run by the tests below.
#[test]
#[ignore = "is run by the other tests, on machines of their own"]
fn say_what_fits() {
    let size = std::env::var("TEST_WORKING_SIZE").unwrap().parse().unwrap();
    match paint(size, 0) {
        Ok(stats) => println!("painted, {} bytes in use", stats.bytes_in_use),
        Err(error) => println!("refused, {error}"),
    }
}

fn said_of(size: &str, memory: &str) -> String {
    said(
        "memory::say_what_fits",
        &[("TEST_WORKING_SIZE", size), ("SOFTGPU_MEMORY", memory)],
    )
}

/// The number before `unit` in a text.
fn number(text: &str, before: &str, after: &str) -> Option<usize> {
    let (_, rest) = text.split_once(before)?;
    rest.split_once(after)?.0.parse().ok()
}

#[test]
fn the_size_that_is_proposed_fits_and_is_no_smaller_than_it_must_be() {
    let Some(_gpu) = SoftGpu::take() else { return };
    for memory in [6 << 20, 10 << 20] {
        let text = said_of("200", &memory.to_string());
        let proposed = number(&text, "working-size=", " would fit").unwrap_or_else(|| panic!("{text}"));
        println!("{memory} bytes: {text}");
        let text = said_of(&proposed.to_string(), &memory.to_string());
        let used = number(&text, "painted, ", " bytes in use").unwrap_or_else(|| panic!("{text}"));
        println!("{text}");
        assert!(used > memory / 2, "{used} of {memory} at {proposed}");
    }
    let text = said_of("200", &(3 << 20).to_string());
    assert!(text.contains("not enough memory"), "{text}");
}

/// Pushes a frame with each of some keyframe intervals, one after the other, and says what becomes of it; run by the test below.
#[test]
#[ignore = "is run by the other tests, on machines of their own"]
fn say_what_intervals_fit() {
    let options = Options {
        network: NetworkChoice::Tiny,
        backend: BackendChoice::Cuda,
        scales: 1,
        working_size: 128,
        ..Options::default()
    };
    let mut stylizer = Stylizer::new(&options, CancelToken::new()).unwrap();
    stylizer.set_style(scene::style(32, 24, Show::Shapes(2)));
    let frame = scene::frame(128, 96, Show::Shapes(1));
    for interval in std::env::var("TEST_INTERVALS").unwrap().split(',') {
        let controls = Controls {
            first_iterations: 1,
            iterations: 1,
            keyframe_interval: interval.parse().unwrap(),
            ..Controls::default()
        };
        match stylizer.push(&frame, &controls, ()) {
            Ok(()) => println!(
                "interval {interval} takes {} bytes",
                stylizer.stats().planned_bytes
            ),
            Err(error) => println!("interval {interval} is refused, {error}"),
        }
    }
}

#[test]
fn who_asks_for_less_after_there_was_too_little_gets_it() {
    let Some(gpu) = SoftGpu::take() else { return };
    let said_of = |intervals: &str, memory: usize| {
        let memory = memory.to_string();
        let settings = [("TEST_INTERVALS", intervals), ("SOFTGPU_MEMORY", &memory)];
        said("memory::say_what_intervals_fit", &settings)
    };
    let taken = |interval: &str| {
        let text = said_of(interval, 1 << 30);
        number(&text, "takes ", " bytes").unwrap_or_else(|| panic!("{text}"))
    };
    // What the kernels take themselves, and a 32nd that is left to the driver.
    let cuda = start::cuda(CancelToken::new()).expect("the software GPU is there");
    let kernels = gpu.count("bytes") as usize - cuda.bytes_in_use();
    // More than the one needs and less than the other: both need a little more while the style is measured.
    let (less, more) = (taken("1"), taken("3"));
    let memory = (less + 3 * more) / 4 * 32 / 31 + kernels;
    let text = said_of("3,1", memory);
    assert!(
        text.contains("interval 3 is refused, not enough memory"),
        "{text}"
    );
    assert!(text.contains(&format!("interval 1 takes {less} bytes")), "{text}");
}

#[test]
fn two_elements_have_one_set_of_weights() {
    let Some(gpu) = SoftGpu::take() else { return };
    let (Some(mut one), Some(mut other)) = (start::cuda(CancelToken::new()), start::cuda(CancelToken::new()))
    else {
        return;
    };
    let data = FilterData {
        outputs: 5,
        inputs: 9,
        weights: vec![0.5; 5 * 9 * 9],
        bias: vec![0.0; 5],
    };
    let mut changed = data.clone();
    changed.bias[4] = 1.0;
    let before = [one.bytes_in_use(), other.bytes_in_use()];
    gpu.faults("");
    let first = one.filter(&data).unwrap();
    let allocations = gpu.count("alloc");
    let second = other.filter(&data).unwrap();
    assert_eq!(gpu.count("alloc"), allocations);
    let third = other.filter(&changed).unwrap();
    assert!(gpu.count("alloc") > allocations, "those are others");
    drop(third);
    // Each who uses them says so, and the last frees them.
    let taken = one.bytes_in_use() - before[0];
    assert!(taken > 0 && other.bytes_in_use() - before[1] == taken);
    let live = gpu.count("live");
    drop((first, one));
    assert_eq!(other.bytes_in_use() - before[1], taken);
    let without_one = gpu.count("live");
    drop(second);
    assert_eq!(other.bytes_in_use(), before[1]);
    assert!(without_one < live && gpu.count("live") < without_one);
}

#[test]
fn two_threads_that_want_the_same_weights_load_them_once() {
    let Some(gpu) = SoftGpu::take() else { return };
    let (Some(mut one), Some(mut other)) = (start::cuda(CancelToken::new()), start::cuda(CancelToken::new()))
    else {
        return;
    };
    let data = |weight| FilterData {
        outputs: 40,
        inputs: 64,
        weights: vec![weight; 40 * 64 * 9],
        bias: vec![0.0; 40],
    };
    gpu.faults("");
    let alone = one.filter(&data(0.25)).unwrap();
    let allocations = gpu.count("alloc");
    assert!(allocations > 0);
    let both = std::sync::Barrier::new(2);
    for round in 1_u8..=8 {
        let data = data(0.25 + f32::from(round));
        gpu.faults("");
        let load = |ops: &mut Cuda| {
            both.wait();
            ops.filter(&data).unwrap()
        };
        let filters = std::thread::scope(|scope| {
            let [first, second] = [&mut one, &mut other].map(|ops| scope.spawn(|| load(ops)));
            [first.join().unwrap(), second.join().unwrap()]
        });
        assert_eq!(gpu.count("alloc"), allocations, "round {round}");
        drop(filters);
    }
    drop(alone);
}
