// SPDX-License-Identifier: MIT OR Apache-2.0

//! Streams, events and graphs.
//!
//! Work waits in its stream until somebody needs its result, and then only what that result depends on runs. A card may
//! do so, and it is the order that shows a missing event or synchronisation: what nobody waited for has not happened.

use std::collections::{HashMap, VecDeque};
use std::ffi::c_void;
use std::sync::Arc;
use std::time::Instant;

use super::errors::{Outcome, Status};
use super::modules::Found;
use super::order::{Clock, Ticket};
use super::state::{Driver, Handle, LEGACY};
use super::tools::note_launch;
use crate::machine::launch::{Launch, Shape};
use crate::machine::report::Problem;

/// A pointer of the user's, which the user keeps good until the work that names it has run.
#[derive(Debug, Clone, Copy)]
pub struct HostPointer(pub *mut c_void);

// SAFETY: the pointer is only used by work that the user ordered on it; threads do not matter to that promise.
unsafe impl Send for HostPointer {}
// SAFETY: as above.
unsafe impl Sync for HostPointer {}

/// Where an upload comes from: bytes that were taken along, or memory that is read when the time comes.
#[derive(Debug, Clone)]
pub enum Source {
    Taken(Vec<u8>),
    Later(HostPointer, usize),
}

#[derive(Debug, Clone)]
pub enum Command {
    Kernel {
        function: Found,
        shape: Shape,
        parameters: Vec<u8>,
    },
    Upload {
        to: u64,
        source: Source,
    },
    Download {
        from: u64,
        to: HostPointer,
        bytes: u64,
    },
    Copy {
        from: u64,
        to: u64,
        bytes: u64,
    },
    Set {
        to: u64,
        value: u8,
        bytes: u64,
    },
    Free(u64),
    Record(Handle, u64),
    /// For so many pieces of work of a stream: those up to the record that an event had when it was waited for.
    Wait(Handle, u64),
    Host(unsafe extern "C" fn(*mut c_void), HostPointer),
    Graph(Arc<Vec<Command>>),
}

impl Command {
    fn touches_memory(&self) -> bool {
        match self {
            Self::Kernel { .. }
            | Self::Upload { .. }
            | Self::Download { .. }
            | Self::Copy { .. }
            | Self::Set { .. }
            | Self::Free(_) => true,
            Self::Record(..) | Self::Wait(..) | Self::Host(..) | Self::Graph(_) => false,
        }
    }
}

pub struct Stream {
    pub(super) queue: VecDeque<(Ticket, Command)>,
    /// Pieces of work that it was given, and what happens before the next one beside those.
    pub position: u64,
    pub clock: Arc<Clock>,
    /// Takes part in the order of the legacy stream.
    pub blocking: bool,
    /// The capture that it belongs to.
    pub capture: Option<Handle>,
}

impl Stream {
    pub fn new(blocking: bool) -> Self {
        Self {
            queue: VecDeque::new(),
            position: 0,
            clock: Arc::default(),
            blocking,
            capture: None,
        }
    }
}

#[derive(Default)]
pub struct Event {
    pub timed: bool,
    /// How often it was recorded, how often that has happened, and which piece of work of which stream the last record is.
    pub recorded: u64,
    pub done: u64,
    pub stream: Handle,
    pub position: u64,
    pub time: Option<Instant>,
    /// What happens before its last record.
    pub clock: Clock,
    /// The capture in which it was recorded, and how much that had captured of which stream.
    pub captured: Option<(Handle, Handle, usize)>,
}

/// A graph in the making.
pub struct Capture {
    pub origin: Handle,
    /// CU_STREAM_CAPTURE_MODE: 0 global, 1 of the thread that began, 2 relaxed.
    pub mode: u32,
    pub thread: std::thread::ThreadId,
    pub commands: Vec<Command>,
    pub invalid: bool,
    /// By stream: how many commands it had given when the last of them came, and how many of those were waited for.
    pub members: HashMap<Handle, (usize, usize)>,
}

impl Driver {
    pub fn stream(&mut self, handle: Handle) -> Outcome<&mut Stream> {
        // 1 and 2 are the driver's names for the legacy stream and the thread's own one.
        let handle = if handle <= 2 { LEGACY } else { handle };
        self.streams.get_mut(&handle).ok_or(Status::INVALID_HANDLE)
    }

    /// Orders work in a stream, or notes it down where the stream captures.
    pub fn order(&mut self, handle: Handle, command: Command) -> Outcome<()> {
        let handle = if handle <= 2 { LEGACY } else { handle };
        if let Some(id) = self.stream(handle)?.capture {
            return self.note(id, handle, command);
        }
        if self.streams[&handle].blocking {
            self.keep_legacy_order(handle)?;
        }
        let ticket = self.ticket(handle)?;
        self.guard(&ticket, &command);
        self.stream(handle)?.queue.push_back((ticket, command));
        if self.settings.blocking {
            self.drain(handle)
        } else {
            Ok(())
        }
    }

    fn note(&mut self, id: Handle, stream: Handle, command: Command) -> Outcome<()> {
        let capture = self.captures.get_mut(&id).ok_or(Status::CAPTURE_INVALIDATED)?;
        if capture.invalid {
            return Err(Status::CAPTURE_INVALIDATED);
        }
        capture.commands.push(command);
        let count = capture.commands.len();
        capture.members.entry(stream).or_default().0 = count;
        Ok(())
    }

    /// The legacy stream waits for all blocking ones, and they for it.
    fn keep_legacy_order(&mut self, handle: Handle) -> Outcome<()> {
        if handle != LEGACY {
            return self.drain(LEGACY);
        }
        let others: Vec<Handle> = self
            .streams
            .iter()
            .filter(|(name, s)| **name != LEGACY && s.blocking)
            .map(|(name, _)| *name)
            .collect();
        for other in others {
            if self.streams[&other].capture.is_some() {
                return Err(Status::CAPTURE_IMPLICIT);
            }
            self.drain(other)?;
        }
        Ok(())
    }

    /// Whether nothing waits in a stream.
    pub fn is_idle(&mut self, handle: Handle) -> Outcome<bool> {
        Ok(self.stream(handle)?.queue.is_empty())
    }

    /// Runs all that a stream was told.
    pub fn drain(&mut self, handle: Handle) -> Outcome<()> {
        while let Some((ticket, command)) = self.stream(handle)?.queue.pop_front() {
            self.perform(&ticket, &command)?;
        }
        Ok(())
    }

    pub fn drain_all(&mut self) -> Outcome<()> {
        let mut all: Vec<Handle> = self.streams.keys().copied().collect();
        all.sort_unstable();
        for handle in all {
            self.drain(handle)?;
        }
        Ok(())
    }

    /// Runs so many pieces of work of a stream, as far as they have not run. A stream that is gone has run all of its.
    fn drain_up_to(&mut self, handle: Handle, position: u64) -> Outcome<()> {
        while let Some(stream) = self.streams.get_mut(&handle) {
            let first = stream.queue.front();
            if first.is_none_or(|(ticket, _)| ticket.position > position) {
                break;
            }
            if let Some((ticket, command)) = stream.queue.pop_front() {
                self.perform(&ticket, &command)?;
            }
        }
        Ok(())
    }

    /// Runs what the last record of an event depends on.
    pub fn drain_to(&mut self, event: Handle, version: u64) -> Outcome<()> {
        while let Some(known) = self.events.get(&event) {
            if known.done >= version {
                break;
            }
            let stream = known.stream;
            let Some((ticket, command)) = self
                .streams
                .get_mut(&stream)
                .and_then(|stream| stream.queue.pop_front())
            else {
                break;
            };
            self.perform(&ticket, &command)?;
        }
        Ok(())
    }

    /// Runs one piece of work; whatever goes wrong stays wrong.
    fn perform(&mut self, ticket: &Ticket, command: &Command) -> Outcome<()> {
        if let Some(status) = self.sticky {
            return Err(status);
        }
        let result = self.attempt(ticket, command);
        if let Err(status) = result {
            self.sticky = Some(status);
        }
        result
    }

    fn attempt(&mut self, ticket: &Ticket, command: &Command) -> Outcome<()> {
        if command.touches_memory() {
            self.begin_work(ticket);
        }
        let failed = |what: &str| {
            let what = what.to_owned();
            move |problem: Box<Problem>| {
                eprintln!("softgpu: {what} fails: {:?}: {}", problem.kind, problem.what);
                Status::from(problem.kind)
            }
        };
        match command {
            Command::Kernel {
                function,
                shape,
                parameters,
            } => self.run(function, *shape, parameters),
            Command::Upload {
                to,
                source: Source::Taken(bytes),
            } => self
                .memory
                .upload(*to, bytes)
                .map_err(failed("a copy to the card")),
            Command::Upload {
                to,
                source: Source::Later(pointer, bytes),
            } => {
                let from = self.pinned.seen_from_here(pointer.0 as usize);
                // SAFETY: the user keeps the memory good until the copy has run, as the driver demands.
                let bytes = unsafe { std::slice::from_raw_parts(from as *const u8, *bytes) };
                self.memory
                    .upload(*to, bytes)
                    .map_err(failed("a copy to the card"))
            }
            Command::Download { from, to, bytes } => {
                let to = self.pinned.seen_from_here(to.0 as usize);
                // SAFETY: as above.
                let copied = unsafe { self.memory.download(*from, to as *mut u8, *bytes) };
                copied.map_err(failed("a copy to the host"))
            }
            Command::Copy { from, to, bytes } => self
                .memory
                .copy(*from, *to, *bytes)
                .map_err(failed("a copy on the card")),
            Command::Set { to, value, bytes } => self
                .memory
                .set(*to, *value, *bytes)
                .map_err(failed("setting memory")),
            Command::Free(address) => {
                self.memory
                    .check_free(*address)
                    .map_err(failed("freeing memory"))?;
                self.free(*address)
            }
            Command::Record(event, version) => {
                if let Some(event) = self.events.get_mut(event) {
                    event.done = event.done.max(*version);
                    event.time = Some(Instant::now());
                }
                Ok(())
            }
            Command::Wait(stream, position) => self.drain_up_to(*stream, *position),
            Command::Host(function, data) => {
                // The host learns by it that all before it has happened.
                let mut clock = Clock::clone(&ticket.after);
                clock.raise(ticket.stream, ticket.position);
                self.wait_on_host(&clock);
                // SAFETY: the user ordered this call with this pointer.
                unsafe { function(data.0) };
                Ok(())
            }
            Command::Graph(commands) => {
                let commands = commands.clone();
                commands
                    .iter()
                    .try_for_each(|command| self.attempt(ticket, command))
            }
        }
    }

    pub fn free(&mut self, address: u64) -> Outcome<()> {
        self.memory.free(address).map(|_| ()).map_err(|error| {
            eprintln!("softgpu: freeing {address:#x} fails: {error:?}");
            Status::INVALID_VALUE
        })
    }

    fn run(&mut self, function: &Found, shape: Shape, parameters: &[u8]) -> Outcome<()> {
        self.launches += 1;
        note_launch(self.settings.trace.as_deref(), &function.kernel().name);
        let wrong_mma = self.settings.faults.at("wrong:mma").is_some();
        let base_seed = self.settings.seed;
        let launch = Launch {
            kernel: function.kernel(),
            files: &function.program.files,
            shape,
            parameters,
            memory: &self.memory,
            multiprocessors: self.settings.card.multiprocessors as u32,
            seed: base_seed ^ self.launches.wrapping_mul(0x9e37_79b9_7f4a_7c15),
            base_seed,
            threads: self.settings.threads,
            wrong_mma,
            sample: self.settings.sample,
        };
        let run = self.onlookers.run(&launch, function);
        run.map_err(|report| {
            eprintln!("{report}");
            Status::from(report.kind)
        })
    }
}
