// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the element, the window and the system say at some moment.

use std::collections::BTreeMap;
use std::fs;
use std::time::Instant;

use gst::prelude::*;

use super::Player;

/// What is known at some moment.
pub struct Reading {
    pub at: Instant,
    pub frames: u64,
    pub keyframes: u64,
    pub rendered: u64,
    pub dropped: u64,
    pub wall_ms: f64,
    /// Milliseconds that the threads of each name have been running.
    pub busy_ms: BTreeMap<String, f64>,
}

impl Reading {
    pub fn take(player: &Player) -> Self {
        let stats: gst::Structure = player.painter.property("stats");
        let window: gst::Structure = player.window.property("stats");
        Self {
            at: Instant::now(),
            frames: stats.get("frames").unwrap_or(0),
            keyframes: stats.get("keyframes").unwrap_or(0),
            wall_ms: stats.get("ms-per-frame").unwrap_or(0.0),
            rendered: window.get("rendered").unwrap_or(0),
            dropped: window.get("dropped").unwrap_or(0),
            busy_ms: busy_ms(),
        }
    }
}

/// Megabytes that the process has in memory, as Linux says.
pub fn resident_mb() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or(0.0) * 1024.0 / 1e6
}

/// Milliseconds that the threads of each name have been running, as Linux says.
fn busy_ms() -> BTreeMap<String, f64> {
    let mut busy = BTreeMap::new();
    for thread in fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
        let read = |file: &str| fs::read_to_string(thread.path().join(file)).unwrap_or_default();
        let ns: f64 = read("schedstat")
            .split_whitespace()
            .next()
            .and_then(|ns| ns.parse().ok())
            .unwrap_or(0.0);
        let name = read("comm");
        let name = name.trim();
        // Threads of a pool are numbered.
        let name = match name.strip_prefix("neuralstyle-") {
            Some(number) if number.parse::<usize>().is_ok() => "neuralstyle-n",
            _ => name,
        };
        *busy.entry(name.to_owned()).or_insert(0.0) += ns / 1e6;
    }
    busy
}
