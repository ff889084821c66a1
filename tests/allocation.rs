// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a step needs is there before the first step: no step keeps memory, and none asks for any that grows with the
//! picture.
//!
//! What is asked for all the same, and given back within the operation that asked:
//! - the `gemm` crate packs the operands of each product into space of its own, one block for the cache at a time. It
//!   has no way to be given that space. A block is at most 512 deep and 512 wide here, 1 MiB;
//! - rayon wakes its threads through a queue whose blocks of some dozens of jobs are allocated as it fills;
//! - the host makes a list of a dozen losses when somebody watches.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use neuralstyle::backend::CancelToken;
use neuralstyle::gatys::{NetworkChoice, OptimizerKind, PoolingChoice};
use neuralstyle::stylizer::{Controls, Frame, Options, Stylizer};

#[path = "common/random.rs"]
mod random;
#[path = "common/scene.rs"]
mod scene;

use scene::Show;

/// The system's allocator with a look at what is asked of it.
struct Counting;

static COUNT: AtomicUsize = AtomicUsize::new(0);
static BYTES: AtomicUsize = AtomicUsize::new(0);
static LARGEST: AtomicUsize = AtomicUsize::new(0);
static HELD: AtomicIsize = AtomicIsize::new(0);

fn note(bytes: usize) {
    HELD.fetch_add(bytes as isize, Ordering::Relaxed);
    COUNT.fetch_add(1, Ordering::Relaxed);
    BYTES.fetch_add(bytes, Ordering::Relaxed);
    LARGEST.fetch_max(bytes, Ordering::Relaxed);
}

// SAFETY: everything is handed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: the caller's promise is the one that is asked for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size() as isize, Ordering::Relaxed);
        // SAFETY: as above; the pointer came from the system's allocator.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        HELD.fetch_sub(layout.size() as isize, Ordering::Relaxed);
        note(size);
        // SAFETY: as above; the pointer came from the system's allocator.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What was allocated since the last look: how often, bytes in all, the largest; and what is held now.
#[derive(Clone, Copy, Debug, Default)]
struct Allocated {
    count: usize,
    bytes: usize,
    largest: usize,
    held: isize,
}

fn look() -> Allocated {
    Allocated {
        count: COUNT.swap(0, Ordering::Relaxed),
        bytes: BYTES.swap(0, Ordering::Relaxed),
        largest: LARGEST.swap(0, Ordering::Relaxed),
        held: HELD.load(Ordering::Relaxed),
    }
}

const STEPS: usize = 10;

/// What each step of a frame after the first allocates.
fn steps(options: &Options, (width, height): (usize, usize)) -> Vec<Allocated> {
    let mut stylizer = Stylizer::new(options, CancelToken::new()).unwrap();
    stylizer.set_style(scene::style(80, 60, Show::Shapes(2)));
    let seen = Arc::new(Mutex::new(Vec::with_capacity(10 * STEPS)));
    let notes = seen.clone();
    stylizer.set_observer(Some(Box::new(move |_| notes.lock().unwrap().push(look()))));
    let controls = Controls {
        first_iterations: 4,
        iterations: STEPS,
        cut_threshold: 1.0,
        ..Controls::default()
    };
    let mut out = Frame::default();
    for seed in [1, 2] {
        seen.lock().unwrap().clear();
        let frame = scene::frame(width, height, Show::Shapes(seed));
        stylizer.process(&frame, &mut out, &controls).unwrap();
    }
    seen.lock().unwrap().clone()
}

// One test alone, since others would allocate beside it.
#[test]
fn a_step_keeps_nothing_and_asks_for_nothing_that_grows_with_the_picture() {
    /// What may be held for a moment longer: a queue's block, a list.
    const SMALL: isize = 4096;
    /// The space in which a block of a product is packed.
    const PACKED: usize = 1 << 20;
    for (optimizer, pooling) in [
        (OptimizerKind::Adam, PoolingChoice::Average),
        (OptimizerKind::Sgd, PoolingChoice::Max),
    ] {
        // The first activations of the larger picture are 6 MiB, its image and each moment 1.2 MiB.
        for size in [(96, 64), (384, 256)] {
            let options = Options {
                network: NetworkChoice::Tiny,
                optimizer,
                pooling,
                threads: 3,
                working_size: size.0,
                ..Options::default()
            };
            let seen = steps(&options, size);
            assert_eq!(seen.len(), STEPS);
            // The first look also saw what came before the first step: the frame was imported.
            let steps = &seen[1..];
            let largest = steps.iter().map(|step| step.largest).max().unwrap();
            let count: usize = steps.iter().map(|step| step.count).sum();
            let bytes: usize = steps.iter().map(|step| step.bytes).sum();
            let kept = steps
                .iter()
                .map(|step| (step.held - seen[0].held).abs())
                .max()
                .unwrap();
            println!(
                "{optimizer:?}, {pooling:?}, {size:?}: a step asks {} times for {} bytes in all, {largest} at most, \
                 and keeps {kept}",
                count / steps.len(),
                bytes / steps.len(),
            );
            assert!(kept <= SMALL, "{kept} bytes are kept");
            assert!(largest <= PACKED, "{largest} bytes at once");
        }
    }
}
