// SPDX-License-Identifier: MIT OR Apache-2.0

//! What happens without an order between streams, or between the card and the host, is told; with one it passes.

mod common;

use std::sync::Arc;

use common::{alone, error, set_faults};
use cudarc::driver::sys::{self, CUresult, CUstreamCaptureMode as Mode};
use cudarc::driver::{CudaContext, CudaEvent, CudaFunction, CudaStream, LaunchConfig, PushKernelArg, result};
use cudarc::nvrtc::Ptx;

const SCALE: &str = include_str!("ptx/scale.ptx");
const FAILED: CUresult = CUresult::CUDA_ERROR_LAUNCH_FAILED;
const FINE: CUresult = CUresult::CUDA_SUCCESS;
const BYTES: usize = 8192;

/// Two streams that nothing orders but what a test does, memory of the card that is written, and pinned memory.
struct Place {
    context: Arc<CudaContext>,
    one: Arc<CudaStream>,
    other: Arc<CudaStream>,
    scale: CudaFunction,
    memory: u64,
    pinned: *mut u8,
}

impl Place {
    fn new() -> Self {
        let context = CudaContext::new(0).unwrap();
        // SAFETY: the order between the streams is what is looked at here.
        unsafe { context.disable_event_tracking() };
        let [one, other] = [0; 2].map(|_| context.new_stream().unwrap());
        let module = context.load_module(Ptx::from_src(SCALE)).unwrap();
        // SAFETY: both are given back when this goes.
        let (memory, pinned) = unsafe {
            (
                result::malloc_sync(BYTES).unwrap(),
                result::malloc_host(BYTES, 0).unwrap().cast::<u8>(),
            )
        };
        // SAFETY: they have so many bytes.
        unsafe {
            pinned.write_bytes(1, BYTES);
            result::memset_d8_async(memory, 3, BYTES, one.cu_stream()).unwrap();
        }
        one.synchronize().unwrap();
        Self {
            scale: module.load_function("scale").unwrap(),
            context,
            one,
            other,
            memory,
            pinned,
        }
    }

    fn set(&self, stream: &CudaStream, at: usize, bytes: usize) {
        // SAFETY: within the memory.
        unsafe { result::memset_d8_async(self.memory + at as u64, 5, bytes, stream.cu_stream()) }.unwrap();
    }

    /// Copies the first half onto the second.
    fn copy(&self, stream: &CudaStream) {
        let (half, from) = (BYTES / 2, self.memory);
        // SAFETY: within the memory.
        unsafe { result::memcpy_dtod_async(from + half as u64, from, half, stream.cu_stream()) }.unwrap();
    }

    /// Multiplies the first floats.
    fn multiply(&self, stream: &Arc<CudaStream>) {
        let shape = LaunchConfig {
            grid_dim: (4, 1, 1),
            block_dim: (64, 1, 1),
            shared_mem_bytes: 0,
        };
        // SAFETY: the arguments are those of the kernel, and the memory holds so many floats.
        unsafe {
            stream
                .launch_builder(&self.scale)
                .arg(&self.memory)
                .arg(&2f32)
                .arg(&256i32)
                .launch(shape)
        }
        .unwrap();
    }

    fn fetch(&self, stream: &CudaStream, bytes: usize) {
        // SAFETY: both have so many bytes, which the test looks at when they are there, or not.
        unsafe {
            let to = std::slice::from_raw_parts_mut(self.pinned, bytes);
            result::memcpy_dtoh_async(to, self.memory, stream.cu_stream())
        }
        .unwrap();
    }

    fn send(&self, stream: &CudaStream, bytes: usize) {
        // SAFETY: as above.
        unsafe {
            let from = std::slice::from_raw_parts(self.pinned, bytes);
            result::memcpy_htod_async(self.memory, from, stream.cu_stream())
        }
        .unwrap();
    }

    fn look(&self, at: usize) -> u8 {
        // SAFETY: within the memory.
        unsafe { self.pinned.add(at).read_volatile() }
    }

    fn write(&self, at: usize) {
        // SAFETY: within the memory.
        unsafe { self.pinned.add(at).write_volatile(9) }
    }

    fn event(&self, stream: &CudaStream) -> CudaEvent {
        let event = self.context.new_event(None).unwrap();
        event.record(stream).unwrap();
        event
    }

    /// Has what a stream was given run, which the host does not learn.
    fn run(&self, stream: &CudaStream) {
        let event = self.event(stream);
        assert!(!event.is_complete());
    }

    fn end(&self) -> CUresult {
        let ends = [&self.one, &self.other].map(|stream| error(stream.synchronize()));
        set_faults("");
        ends.into_iter().find(|end| *end != FINE).unwrap_or(FINE)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        set_faults("");
        // SAFETY: both are this one's, and nobody uses them any more.
        unsafe {
            let _ = result::free_sync(self.memory);
            let _ = result::free_host(self.pinned.cast());
        }
    }
}

type Act = fn(&Place, &Arc<CudaStream>);

const SET: Act = |place, stream| place.set(stream, 0, 64);
const COPY: Act = |place, stream| place.copy(stream);
const MULTIPLY: Act = |place, stream| place.multiply(stream);
const FETCH: Act = |place, stream| place.fetch(stream, 64);
const SEND: Act = |place, stream| place.send(stream, 64);
const GRAPH: Act = |place, stream| {
    stream
        .begin_capture(Mode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL)
        .unwrap();
    place.multiply(stream);
    let graph = stream.end_capture(sys::CUgraphInstantiate_flags(0)).unwrap();
    graph.unwrap().launch().unwrap();
};

/// Pairs of which at least one writes what the other one touches.
const PAIRS: [(Act, Act); 9] = [
    (SET, COPY),
    (SET, SET),
    (COPY, SEND),
    (MULTIPLY, COPY),
    (SET, MULTIPLY),
    (MULTIPLY, MULTIPLY),
    (MULTIPLY, FETCH),
    (GRAPH, FETCH),
    (GRAPH, SEND),
];

#[test]
fn work_in_two_streams_without_an_event_is_told_whichever_runs_first() {
    let _turn = alone();
    for (first, second) in PAIRS {
        for (first, second) in [(first, second), (second, first)] {
            let place = Place::new();
            first(&place, &place.one);
            second(&place, &place.other);
            assert_eq!(place.end(), FAILED);
            // That given second runs first.
            let place = Place::new();
            first(&place, &place.one);
            second(&place, &place.other);
            assert_eq!(error(place.other.synchronize()), FINE);
            assert_eq!(place.end(), FAILED);
        }
    }
}

#[test]
fn an_event_or_the_host_orders_two_streams() {
    let _turn = alone();
    for (first, second) in PAIRS {
        let place = Place::new();
        first(&place, &place.one);
        place.other.wait(&place.event(&place.one)).unwrap();
        second(&place, &place.other);
        assert_eq!(place.end(), FINE);
        let place = Place::new();
        first(&place, &place.one);
        place.one.synchronize().unwrap();
        second(&place, &place.other);
        assert_eq!(place.end(), FINE);
        let place = Place::new();
        first(&place, &place.one);
        place.context.synchronize().unwrap();
        second(&place, &place.other);
        assert_eq!(place.end(), FINE);
    }
}

#[test]
fn an_event_orders_what_was_before_it_and_nothing_else() {
    let _turn = alone();
    let place = Place::new();
    let early = place.event(&place.one);
    place.set(&place.one, 0, 64);
    place.other.wait(&early).unwrap();
    place.copy(&place.other);
    assert_eq!(place.end(), FAILED);
    // The record counts that there was when the stream was told to wait.
    let place = Place::new();
    let event = place.event(&place.one);
    place.other.wait(&event).unwrap();
    place.set(&place.one, 0, 64);
    event.record(&place.one).unwrap();
    place.copy(&place.other);
    assert_eq!(place.end(), FAILED);
    // It is that record which is waited for when the event has moved on to the other stream, as it does around a copy.
    let place = Place::new();
    let event = place.context.new_event(None).unwrap();
    place.set(&place.one, 0, 64);
    event.record(&place.one).unwrap();
    place.other.wait(&event).unwrap();
    place.send(&place.other, 64);
    event.record(&place.other).unwrap();
    assert_eq!(error(place.other.synchronize()), FINE);
    assert_eq!(place.end(), FINE);
    place.fetch(&place.one, 64);
    place.one.synchronize().unwrap();
    assert_eq!(place.look(0), 1, "what was sent last");
    // By way of a third stream.
    let place = Place::new();
    let third = place.context.new_stream().unwrap();
    place.set(&place.one, 0, 64);
    third.wait(&place.event(&place.one)).unwrap();
    place.other.wait(&place.event(&third)).unwrap();
    place.copy(&place.other);
    assert_eq!(place.end(), FINE);
    // Asking is no waiting, unless the answer is yes.
    for asks in [1, 2] {
        let place = Place::new();
        place.set(&place.one, 0, 64);
        let event = place.event(&place.one);
        let answers: Vec<bool> = (0..asks).map(|_| event.is_complete()).collect();
        place.copy(&place.other);
        let expected = if answers.contains(&true) { FINE } else { FAILED };
        assert_eq!((place.end(), answers.len()), (expected, asks));
        assert_eq!(expected, if asks == 2 { FINE } else { FAILED });
    }
}

#[test]
fn streams_that_read_or_touch_other_bytes_need_no_order() {
    let _turn = alone();
    let place = Place::new();
    place.fetch(&place.one, 64);
    // SAFETY: as of `fetch`; into other bytes.
    unsafe {
        let to = std::slice::from_raw_parts_mut(place.pinned.add(4096), 64);
        result::memcpy_dtoh_async(to, place.memory, place.other.cu_stream()).unwrap();
    }
    assert_eq!(place.end(), FINE);
    // Neighbours within a word.
    let place = Place::new();
    place.set(&place.one, 5, 5);
    place.set(&place.other, 10, 9);
    place.set(&place.other, 0, 5);
    assert_eq!(place.end(), FINE);
    let place = Place::new();
    place.set(&place.one, 5, 5);
    place.set(&place.other, 9, 9);
    assert_eq!(place.end(), FAILED);
}

#[test]
fn the_host_waits_for_what_comes_to_it() {
    let _turn = alone();
    for runs in [false, true] {
        let place = Place::new();
        place.fetch(&place.one, 64);
        if runs {
            // It has happened, but the host cannot know.
            place.run(&place.one);
        }
        place.look(63);
        assert_eq!(place.end(), FAILED);
        let place = Place::new();
        place.fetch(&place.one, 64);
        if runs {
            place.run(&place.one);
        }
        place.write(0);
        assert_eq!(place.end(), FAILED);
        // Waiting for another stream is no waiting.
        let place = Place::new();
        place.fetch(&place.one, 64);
        if runs {
            place.run(&place.one);
        }
        place.other.synchronize().unwrap();
        place.look(0);
        assert_eq!(place.end(), FAILED);
        let place = Place::new();
        place.fetch(&place.one, 64);
        if runs {
            place.run(&place.one);
        }
        place.event(&place.one).synchronize().unwrap();
        assert_eq!(place.look(63), 3);
        assert_eq!(place.end(), FINE);
    }
    // Bytes beside those that come, on the same page and on another.
    let place = Place::new();
    place.fetch(&place.one, 64);
    assert_eq!((place.look(64), place.look(5000)), (1, 1));
    place.one.synchronize().unwrap();
    assert_eq!(place.end(), FINE);
    // Waited for once is not waited for the next.
    let place = Place::new();
    place.fetch(&place.one, 64);
    place.one.synchronize().unwrap();
    place.look(0);
    place.fetch(&place.one, 64);
    place.look(0);
    assert_eq!(place.end(), FAILED);
}

#[test]
fn the_host_leaves_alone_what_goes_from_it() {
    let _turn = alone();
    for runs in [false, true] {
        let place = Place::new();
        place.send(&place.one, 64);
        if runs {
            place.run(&place.one);
        }
        place.write(63);
        assert_eq!(place.end(), FAILED);
        let place = Place::new();
        place.send(&place.one, 64);
        assert_eq!(place.look(63), 1, "reading is allowed");
        place.write(64);
        place.one.synchronize().unwrap();
        place.write(63);
        assert_eq!(place.end(), FINE);
    }
}

#[test]
fn memory_is_not_given_back_under_another_streams_work() {
    let _turn = alone();
    let acts: [Act; 3] = [SET, MULTIPLY, FETCH];
    for act in acts {
        for (waits, runs) in [(false, true), (false, false), (true, true), (true, false)] {
            let mut place = Place::new();
            act(&place, &place.one);
            if runs {
                place.run(&place.one);
            }
            if waits {
                place.other.wait(&place.event(&place.one)).unwrap();
            }
            // SAFETY: the memory is not used after this but by what was ordered before.
            unsafe { result::free_async(place.memory, place.other.cu_stream()) }.unwrap();
            // Whoever comes late finds what was freed.
            let late = if runs || waits {
                FAILED
            } else {
                CUresult::CUDA_ERROR_ILLEGAL_ADDRESS
            };
            let other = error(place.other.synchronize());
            let end = if other == FINE { place.end() } else { other };
            assert_eq!(end, if waits { FINE } else { late });
            set_faults("");
            // SAFETY: its own memory instead of that which is gone.
            place.memory = unsafe { result::malloc_sync(16) }.unwrap();
        }
    }
}
