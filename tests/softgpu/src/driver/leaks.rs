// SPDX-License-Identifier: MIT OR Apache-2.0

//! What is left of a context when it goes, or when the process ends while it is there.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};

use super::state::{Driver, Handle, LEGACY};

/// Whether anything was left anywhere.
static FOUND: AtomicBool = AtomicBool::new(false);

/// What the process ends with if so.
pub const STATUS: i32 = 23;

/// What nobody could give back: it was there when the context failed, after which nothing can be given back.
#[derive(Debug, Default)]
pub struct Excused(HashSet<(&'static str, u64)>);

/// Something that must be given back: its kind, address or handle, and how to call it.
type Thing = (&'static str, u64, String);

impl Driver {
    fn things(&self) -> Vec<Thing> {
        let memory = self.live_allocations().into_iter();
        let memory = memory.map(|(at, bytes)| ("memory", at, format!("{bytes} bytes at {at:#x}")));
        let pinned = self.pinned.live().map(|(at, bytes)| {
            let at = at as u64;
            ("pinned", at, format!("{bytes} bytes of pinned memory at {at:#x}"))
        });
        let streams = self.streams.keys().filter(|handle| **handle != LEGACY);
        let named = |kind: &'static str, handle: &Handle| (kind, *handle as u64, format!("a {kind}"));
        let mut things: Vec<Thing> = memory
            .chain(pinned)
            .chain(streams.map(|handle| named("stream", handle)))
            .chain(self.events.keys().map(|handle| named("CUDA event", handle)))
            .chain(self.modules.keys().map(|handle| named("module", handle)))
            .chain(self.graphs.keys().map(|handle| named("graph", handle)))
            .chain(
                self.executables
                    .keys()
                    .map(|handle| named("graph that was instantiated", handle)),
            )
            .collect();
        things.sort();
        things
    }

    /// Excuses all that is there.
    pub fn excuse(&mut self) {
        let things = self.things().into_iter();
        let things: Vec<_> = things.map(|(kind, handle, _)| (kind, handle)).collect();
        self.excused.0.extend(things);
    }

    /// Tells what was never given back, unless it could not be.
    pub fn report_leaks(&mut self) {
        if self.sticky.is_some() {
            return;
        }
        for (kind, handle, name) in self.things() {
            if !self.excused.0.contains(&(kind, handle)) {
                eprintln!("softgpu: leak: {name} never given back");
                FOUND.store(true, Ordering::Relaxed);
            }
        }
    }
}

/// Reports leaks at the end of a process, which fails where there are any, now or before.
pub extern "C" fn at_exit() {
    super::state::look(|driver| {
        if driver.retained > 0 || !driver.contexts.is_empty() {
            driver.report_leaks();
        }
    });
    if FOUND.load(Ordering::Relaxed) {
        // SAFETY: ends the process; whoever else listens for its end has been called, or goes without.
        unsafe { libc::_exit(STATUS) };
    }
}
