// SPDX-License-Identifier: MIT OR Apache-2.0

//! Everything that the driver knows, behind one lock.

use std::cell::Cell;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use super::errors::{Outcome, Status};
use super::leaks::{self, Excused};
use super::modules::Module;
use super::onlookers::Onlookers;
use super::order::{Clock, Open};
use super::pinned::Pinned;
use super::settings::Settings;
use super::streams::{Capture, Command, Event, Stream};
use crate::machine::memory::Memory;

/// A handle as the user holds it: a pointer to nothing.
pub type Handle = usize;

/// Occasions of faults and how often they have come.
#[derive(Debug, Default)]
pub struct Counts {
    pub calls: u64,
    pub occasions: HashMap<&'static str, u64>,
}

/// The context of a card and all that belongs to it.
pub struct Driver {
    pub settings: Settings,
    pub memory: Memory,
    /// Retains of the primary context; other contexts.
    pub retained: u32,
    pub contexts: Vec<Handle>,
    pub streams: HashMap<Handle, Stream>,
    pub events: HashMap<Handle, Event>,
    pub modules: HashMap<Handle, Module>,
    pub captures: HashMap<Handle, Capture>,
    pub graphs: HashMap<Handle, Arc<Vec<Command>>>,
    pub executables: HashMap<Handle, Arc<Vec<Command>>>,
    /// Pinned memory of the host.
    pub pinned: Pinned,
    /// What the host has waited for, and work that has run without that.
    pub host: Clock,
    pub open: Open,
    /// All work of streams that were destroyed.
    pub gone: Clock,
    pub pool_attributes: HashMap<u32, u64>,
    pub launches: u64,
    pub counts: Counts,
    pub onlookers: Onlookers,
    /// An error after which nothing works any more.
    pub sticky: Option<Status>,
    pub excused: Excused,
    next_handle: Handle,
}

static DRIVER: Mutex<Option<Driver>> = Mutex::new(None);

/// The handle of the primary context; others come from `handle`.
pub const PRIMARY: Handle = 0x00c0_0000;

/// The stream that is there without being made.
pub const LEGACY: Handle = 0;

thread_local! {
    pub static CURRENT: Cell<Handle> = const { Cell::new(0) };
}

impl Driver {
    fn new(settings: Settings) -> Outcome<Self> {
        let memory = Memory::new(settings.bytes).ok_or(Status::OUT_OF_MEMORY)?;
        let onlookers = Onlookers::new(&settings);
        let mut driver = Self {
            settings,
            memory,
            retained: 0,
            contexts: Vec::new(),
            streams: HashMap::new(),
            events: HashMap::new(),
            modules: HashMap::new(),
            captures: HashMap::new(),
            graphs: HashMap::new(),
            executables: HashMap::new(),
            pinned: Pinned::default(),
            host: Clock::default(),
            open: Open::default(),
            gone: Clock::default(),
            pool_attributes: HashMap::new(),
            launches: 0,
            counts: Counts::default(),
            onlookers,
            sticky: None,
            excused: Excused::default(),
            next_handle: 0x00c1_0000,
        };
        driver.streams.insert(LEGACY, Stream::new(true));
        Ok(driver)
    }

    pub fn handle(&mut self) -> Handle {
        self.next_handle += 0x10;
        self.next_handle
    }

    /// Counts an occasion of a fault; true if the fault is due now.
    pub fn is_due(&mut self, occasion: &'static str) -> bool {
        let count = self.counts.occasions.entry(occasion).or_default();
        *count += 1;
        self.settings.faults.at(occasion) == Some(*count)
    }

    /// What is left of a context that nobody holds any more: nothing.
    pub fn destroy_context(&mut self) {
        if self.settings.report_leaks {
            self.report_leaks();
        }
        self.pinned.clear();
        (self.host, self.open, self.gone) = Default::default();
        let live: Vec<u64> = self.memory.live().map(|(address, _)| address).collect();
        for address in live {
            // The addresses were just listed, so there is nothing that could fail.
            let _ = self.memory.free(address);
        }
        self.streams.clear();
        self.streams.insert(LEGACY, Stream::new(true));
        self.events.clear();
        self.modules.clear();
        self.captures.clear();
        self.graphs.clear();
        self.executables.clear();
        self.excused = Excused::default();
        self.sticky = None;
    }

    /// Memory of modules goes with them and is no leak.
    pub fn live_allocations(&self) -> Vec<(u64, u64)> {
        let of_modules: Vec<u64> = self
            .modules
            .values()
            .flat_map(|module| module.globals.values())
            .map(|g| g.0)
            .collect();
        self.memory
            .live()
            .filter(|(address, _)| !of_modules.contains(address))
            .collect()
    }
}

fn lock() -> MutexGuard<'static, Option<Driver>> {
    DRIVER.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Turns a panic into an error: it must not leave through a C function.
fn caught(f: impl FnOnce() -> Outcome<()>) -> Status {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(Ok(())) => Status::SUCCESS,
        Ok(Err(status)) => status,
        Err(_) => Status::UNKNOWN,
    }
}

/// cuInit.
pub fn initialise() -> Status {
    caught(|| {
        let mut driver = lock();
        if driver.is_none() {
            let settings = Settings::from_environment()?;
            if settings.devices == 0 || settings.faults.at("init").is_some() {
                return Err(Status::NO_DEVICE);
            }
            if settings.report_leaks {
                // SAFETY: the function takes nothing and stays in this library, which is never unloaded while used.
                unsafe { libc::atexit(leaks::at_exit) };
            }
            *driver = Some(Driver::new(settings)?);
        }
        Ok(())
    })
}

/// A call that needs no context.
pub fn call(f: impl FnOnce(&mut Driver) -> Outcome<()>) -> Status {
    caught(|| {
        let mut driver = lock();
        let driver = driver.as_mut().ok_or(Status::NOT_INITIALIZED)?;
        driver.counts.calls += 1;
        if driver
            .settings
            .faults
            .at("lost")
            .is_some_and(|from| driver.counts.calls >= from)
        {
            driver.sticky = Some(Status::DEVICE_UNAVAILABLE);
        }
        f(driver)
    })
}

/// A call that needs a context and fails for ever after a kernel has failed.
pub fn in_context(f: impl FnOnce(&mut Driver) -> Outcome<()>) -> Status {
    call(|driver| {
        if CURRENT.get() == 0 {
            return Err(Status::INVALID_CONTEXT);
        }
        if let Some(status) = driver.sticky {
            return Err(status);
        }
        f(driver)
    })
}

/// Looks at the driver without counting as a call; None before cuInit.
pub fn look<T>(f: impl FnOnce(&mut Driver) -> T) -> Option<T> {
    lock().as_mut().map(f)
}

/// The same for whoever may have to do without: None as well while the driver is busy for seconds, which it is for good if
/// this thread is in one of its calls.
pub fn look_soon<T>(f: impl FnOnce(&mut Driver) -> T) -> Option<T> {
    for _ in 0..5000 {
        match DRIVER.try_lock() {
            Ok(mut driver) => return driver.as_mut().map(f),
            Err(TryLockError::Poisoned(poisoned)) => return poisoned.into_inner().as_mut().map(f),
            Err(TryLockError::WouldBlock) => std::thread::sleep(std::time::Duration::from_millis(1)),
        }
    }
    None
}
