// SPDX-License-Identifier: MIT OR Apache-2.0

//! Streams, events and graphs, as functions of the driver.

use std::ffi::{c_int, c_uint, c_ulonglong, c_void};
use std::sync::Arc;

use super::device_calls::give;
use super::errors::{Outcome, Status};
use super::state::{Driver, Handle, LEGACY, in_context};
use super::streams::{Capture, Command, Event, HostPointer, Stream};

const NON_BLOCKING: c_uint = 1;
const EVENT_WITHOUT_TIME: c_uint = 2;
const GRAPH_FREES: c_ulonglong = 1;
const GRAPH_FROM_DEVICE: c_ulonglong = 4;
const GRAPH_FLAGS: c_ulonglong = 15;

/// # Safety
/// `stream` must be good for a write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamCreate(stream: *mut Handle, flags: c_uint) -> Status {
    in_context(|driver| {
        if flags > NON_BLOCKING {
            return Err(Status::INVALID_VALUE);
        }
        if driver.is_due("stream") {
            return Err(Status::OUT_OF_MEMORY);
        }
        let handle = driver.handle();
        driver
            .streams
            .insert(handle, Stream::new(flags & NON_BLOCKING == 0));
        // SAFETY: the user's promise.
        unsafe { give(stream, handle) }
    })
}

/// # Safety
/// `stream` must be good for a write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamCreateWithPriority(
    stream: *mut Handle,
    flags: c_uint,
    _priority: c_int,
) -> Status {
    // SAFETY: the same promise.
    unsafe { cuStreamCreate(stream, flags) }
}

#[unsafe(no_mangle)]
pub extern "C" fn cuStreamDestroy_v2(stream: Handle) -> Status {
    in_context(|driver| {
        if stream <= 2 {
            return Err(Status::INVALID_HANDLE);
        }
        // What was ordered still happens.
        driver.drain(stream)?;
        // Whoever waits for everything waits for that, too.
        let clock = driver.clock_of(stream)?;
        driver.gone.join(&clock);
        driver.streams.remove(&stream);
        Ok(())
    })
}

impl Driver {
    fn refuse_to_wait(&mut self, stream: Handle) -> Outcome<()> {
        if let Some(id) = self.stream(stream)?.capture {
            if let Some(capture) = self.captures.get_mut(&id) {
                capture.invalid = true;
            }
            return Err(Status::CAPTURE_UNSUPPORTED);
        }
        Ok(())
    }

    fn event(&mut self, handle: Handle) -> Outcome<&mut Event> {
        self.events.get_mut(&handle).ok_or(Status::INVALID_HANDLE)
    }

    fn record(&mut self, handle: Handle, stream: Handle) -> Outcome<()> {
        let stream = if stream <= 2 { LEGACY } else { stream };
        if let Some(id) = self.stream(stream)?.capture {
            let count = self
                .captures
                .get(&id)
                .ok_or(Status::CAPTURE_INVALIDATED)?
                .commands
                .len();
            self.event(handle)?.captured = Some((id, stream, count));
            return Ok(());
        }
        let event = self.event(handle)?;
        event.captured = None;
        event.recorded += 1;
        event.stream = stream;
        let version = event.recorded;
        self.order(stream, Command::Record(handle, version))?;
        let (clock, position) = (self.clock_of(stream)?, self.stream(stream)?.position);
        let event = self.event(handle)?;
        (event.clock, event.position) = (clock, position);
        Ok(())
    }

    fn wait_for(&mut self, stream: Handle, handle: Handle) -> Outcome<()> {
        let capture = self.stream(stream)?.capture;
        let event = self.event(handle)?;
        let (captured, version, done) = (event.captured, event.recorded, event.done);
        match (captured, capture) {
            (Some((id, from, count)), _) => {
                // Work of a capture can only be waited for within it; another stream joins it that way.
                if capture.is_some_and(|mine| mine != id) {
                    return Err(Status::CAPTURE_ISOLATION);
                }
                let known = self.captures.get_mut(&id).ok_or(Status::CAPTURED_EVENT)?;
                let member = known.members.entry(from).or_default();
                member.1 = member.1.max(count);
                self.stream(stream)?.capture = Some(id);
                Ok(())
            }
            (None, Some(id)) => {
                if version == done {
                    return Ok(());
                }
                if let Some(capture) = self.captures.get_mut(&id) {
                    capture.invalid = true;
                }
                Err(Status::CAPTURE_ISOLATION)
            }
            // Waiting for an event that nobody recorded is no waiting.
            (None, None) if version == 0 => Ok(()),
            (None, None) => {
                let event = self.event(handle)?;
                let (clock, recorded) = (event.clock.clone(), (event.stream, event.position));
                self.wait_in_stream(stream, &clock)?;
                self.order(stream, Command::Wait(recorded.0, recorded.1))
            }
        }
    }

    fn end_capture(&mut self, stream: Handle) -> Outcome<Handle> {
        let id = self.stream(stream)?.capture.ok_or(Status::INVALID_VALUE)?;
        if self
            .captures
            .get(&id)
            .is_none_or(|capture| capture.origin != stream)
        {
            return Err(Status::CAPTURE_UNMATCHED);
        }
        for member in self
            .streams
            .values_mut()
            .filter(|member| member.capture == Some(id))
        {
            member.capture = None;
        }
        let capture = self.captures.remove(&id).ok_or(Status::CAPTURE_INVALIDATED)?;
        if capture.invalid {
            return Err(Status::CAPTURE_INVALIDATED);
        }
        if capture
            .members
            .iter()
            .any(|(member, (last, joined))| *member != stream && last > joined)
        {
            return Err(Status::CAPTURE_UNJOINED);
        }
        let graph = self.handle();
        self.graphs.insert(graph, Arc::new(capture.commands));
        Ok(graph)
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn cuStreamSynchronize(stream: Handle) -> Status {
    in_context(|driver| {
        driver.refuse_to_wait(stream)?;
        if driver.is_due("sync") {
            driver.sticky = Some(Status::LAUNCH_FAILED);
            return Err(Status::LAUNCH_FAILED);
        }
        driver.wait_for_stream(stream)
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuStreamQuery(stream: Handle) -> Status {
    in_context(|driver| {
        driver.refuse_to_wait(stream)?;
        if driver.is_idle(stream)? {
            return driver.wait_for_stream(stream);
        }
        // Asking is no waiting, but whoever asks again and again gets there.
        driver.drain(stream)?;
        Err(Status::NOT_READY)
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuStreamWaitEvent(stream: Handle, event: Handle, _flags: c_uint) -> Status {
    in_context(|driver| {
        if driver.is_due("wait") {
            return Err(Status::ILLEGAL_STATE);
        }
        driver.wait_for(stream, event)
    })
}

/// # Safety
/// `function` must be good to call with `data` once what was ordered before has run.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuLaunchHostFunc(
    stream: Handle,
    function: Option<unsafe extern "C" fn(*mut c_void)>,
    data: *mut c_void,
) -> Status {
    in_context(|driver| {
        let function = function.ok_or(Status::INVALID_VALUE)?;
        driver.order(stream, Command::Host(function, HostPointer(data)))
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuStreamBeginCapture_v2(stream: Handle, mode: c_uint) -> Status {
    in_context(|driver| {
        // The legacy stream cannot be captured.
        if stream <= 2 {
            return Err(Status::CAPTURE_UNSUPPORTED);
        }
        if mode > 2 {
            return Err(Status::INVALID_VALUE);
        }
        if driver.is_due("capture") {
            return Err(Status::CAPTURE_UNSUPPORTED);
        }
        if driver.stream(stream)?.capture.is_some() {
            return Err(Status::ILLEGAL_STATE);
        }
        let id = driver.handle();
        let capture = Capture {
            origin: stream,
            mode,
            thread: std::thread::current().id(),
            commands: Vec::new(),
            invalid: false,
            members: Default::default(),
        };
        driver.captures.insert(id, capture);
        driver.stream(stream)?.capture = Some(id);
        Ok(())
    })
}

/// # Safety
/// `graph` must be good for a write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamEndCapture(stream: Handle, graph: *mut Handle) -> Status {
    in_context(|driver| {
        let ended = driver.end_capture(stream);
        // SAFETY: the user's promise.
        unsafe { give(graph, ended.unwrap_or(0)) }?;
        ended.map(|_| ())
    })
}

/// # Safety
/// `status` must be good for a write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamIsCapturing(stream: Handle, status: *mut c_uint) -> Status {
    in_context(|driver| {
        let id = driver.stream(stream)?.capture;
        let capture = id.and_then(|id| driver.captures.get(&id));
        let found = capture.map_or(0, |capture| if capture.invalid { 2 } else { 1 });
        // SAFETY: the user's promise.
        unsafe { give(status, found) }
    })
}

/// # Safety
/// `executable` must be good for a write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGraphInstantiateWithFlags(
    executable: *mut Handle,
    graph: Handle,
    flags: c_ulonglong,
) -> Status {
    in_context(|driver| {
        let both = GRAPH_FREES | GRAPH_FROM_DEVICE;
        if flags & !GRAPH_FLAGS != 0 || flags & both == both {
            return Err(Status::INVALID_VALUE);
        }
        if driver.is_due("graph") {
            return Err(Status::OUT_OF_MEMORY);
        }
        let commands = driver.graphs.get(&graph).ok_or(Status::INVALID_VALUE)?.clone();
        let handle = driver.handle();
        driver.executables.insert(handle, commands);
        // SAFETY: the user's promise.
        unsafe { give(executable, handle) }
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuGraphUpload(executable: Handle, stream: Handle) -> Status {
    in_context(|driver| {
        driver.stream(stream)?;
        driver
            .executables
            .get(&executable)
            .map(|_| ())
            .ok_or(Status::INVALID_VALUE)
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuGraphLaunch(executable: Handle, stream: Handle) -> Status {
    in_context(|driver| {
        if driver.is_due("replay") {
            return Err(Status::LAUNCH_FAILED);
        }
        let commands = driver
            .executables
            .get(&executable)
            .ok_or(Status::INVALID_VALUE)?
            .clone();
        driver.order(stream, Command::Graph(commands))
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuGraphExecDestroy(executable: Handle) -> Status {
    in_context(|driver| {
        driver
            .executables
            .remove(&executable)
            .map(|_| ())
            .ok_or(Status::INVALID_VALUE)
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuGraphDestroy(graph: Handle) -> Status {
    in_context(|driver| {
        driver
            .graphs
            .remove(&graph)
            .map(|_| ())
            .ok_or(Status::INVALID_VALUE)
    })
}

/// # Safety
/// `event` must be good for a write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuEventCreate(event: *mut Handle, flags: c_uint) -> Status {
    in_context(|driver| {
        if driver.is_due("event") {
            return Err(Status::OUT_OF_MEMORY);
        }
        let handle = driver.handle();
        driver.events.insert(
            handle,
            Event {
                timed: flags & EVENT_WITHOUT_TIME == 0,
                ..Event::default()
            },
        );
        // SAFETY: the user's promise.
        unsafe { give(event, handle) }
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuEventDestroy_v2(event: Handle) -> Status {
    in_context(|driver| {
        // Whoever waits for it still does, so what it marks has to happen first.
        let version = driver.event(event)?.recorded;
        driver.drain_to(event, version)?;
        driver.events.remove(&event);
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuEventRecord(event: Handle, stream: Handle) -> Status {
    in_context(|driver| {
        if driver.is_due("record") {
            return Err(Status::ILLEGAL_STATE);
        }
        driver.record(event, stream)
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuEventQuery(event: Handle) -> Status {
    in_context(|driver| {
        let known = driver.event(event)?;
        if known.captured.is_some() {
            return Err(Status::CAPTURED_EVENT);
        }
        let (done, version) = (known.done, known.recorded);
        if done >= version {
            let clock = known.clock.clone();
            driver.wait_on_host(&clock);
            return Ok(());
        }
        driver.drain_to(event, version)?;
        Err(Status::NOT_READY)
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuEventSynchronize(event: Handle) -> Status {
    in_context(|driver| {
        let known = driver.event(event)?;
        if known.captured.is_some() {
            return Err(Status::CAPTURED_EVENT);
        }
        let (version, clock) = (known.recorded, known.clock.clone());
        if driver.is_due("sync") {
            driver.sticky = Some(Status::LAUNCH_FAILED);
            return Err(Status::LAUNCH_FAILED);
        }
        driver.drain_to(event, version)?;
        driver.wait_on_host(&clock);
        Ok(())
    })
}

/// # Safety
/// `milliseconds` must be good for a write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuEventElapsedTime(milliseconds: *mut f32, start: Handle, end: Handle) -> Status {
    in_context(|driver| {
        let mut times = [None; 2];
        for (time, handle) in times.iter_mut().zip([start, end]) {
            let event = driver.event(handle)?;
            if !event.timed || event.recorded == 0 {
                return Err(Status::INVALID_HANDLE);
            }
            if event.done < event.recorded {
                return Err(Status::NOT_READY);
            }
            *time = event.time;
        }
        let [Some(first), Some(second)] = times else {
            return Err(Status::INVALID_HANDLE);
        };
        let elapsed = if second >= first {
            second - first
        } else {
            first - second
        };
        let sign = if second >= first { 1.0 } else { -1.0 };
        // SAFETY: the user's promise.
        unsafe { give(milliseconds, sign * elapsed.as_secs_f32() * 1000.0) }
    })
}

/// # Safety
/// As for cuEventElapsedTime.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuEventElapsedTime_v2(milliseconds: *mut f32, start: Handle, end: Handle) -> Status {
    // SAFETY: the same promise.
    unsafe { cuEventElapsedTime(milliseconds, start, end) }
}
