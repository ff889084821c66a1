// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the environment asks for: the card, the seed, and faults.

use std::collections::HashMap;
use std::path::PathBuf;

use super::card::Card;
use super::errors::Status;

/// Faults to commit, each at the nth time that its occasion comes (counted from 1).
#[derive(Debug, Default, Clone)]
pub struct Faults {
    at: HashMap<String, u64>,
}

impl Faults {
    /// Such as `alloc:3,launch:7,lost:20,init,wrong:mma`; the README lists the occasions.
    pub fn parse(text: &str) -> Self {
        let mut at = HashMap::new();
        for fault in text.split(',').map(str::trim).filter(|fault| !fault.is_empty()) {
            match fault.split_once(':') {
                Some((name, number)) if number.parse::<u64>().is_ok() => {
                    at.insert(name.to_owned(), number.parse().unwrap_or(1));
                }
                _ => {
                    at.insert(fault.to_owned(), 1);
                }
            }
        }
        Self { at }
    }

    pub fn at(&self, occasion: &str) -> Option<u64> {
        self.at.get(occasion).copied()
    }
}

#[derive(Debug, Clone)]
pub struct Settings {
    pub card: Card,
    pub devices: i32,
    pub bytes: u64,
    /// The driver's version as cuDriverGetVersion gives it, 12080 for 12.8.
    pub driver: i32,
    pub seed: u64,
    pub threads: usize,
    /// Launches and copies run at once instead of when somebody waits for them.
    pub blocking: bool,
    pub report_leaks: bool,
    pub faults: Faults,
    /// Where a line is added for each launch.
    pub profile: Option<PathBuf>,
    /// Blocks of a launch that are run; the others are left out.
    pub sample: Option<u32>,
    /// A folder with other text for modules.
    pub other_ptx: Option<PathBuf>,
    /// The file to which the name of each kernel that runs is written.
    pub trace: Option<PathBuf>,
    /// The folder for records of what ran.
    pub coverage: Option<PathBuf>,
}

fn number<T: std::str::FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok()?.trim().parse().ok()
}

fn flag(name: &str) -> bool {
    std::env::var(name).is_ok_and(|value| !matches!(value.trim(), "" | "0"))
}

fn path(name: &str) -> Option<PathBuf> {
    std::env::var_os(name)
        .filter(|path| !path.is_empty())
        .map(PathBuf::from)
}

/// Bytes as a number, or with K, M or G.
fn bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let (digits, unit) = match text.char_indices().last()? {
        (at, 'K' | 'k') => (&text[..at], 1 << 10),
        (at, 'M' | 'm') => (&text[..at], 1 << 20),
        (at, 'G' | 'g') => (&text[..at], 1 << 30),
        _ => (text, 1),
    };
    digits.trim().parse::<u64>().ok()?.checked_mul(unit)
}

impl Settings {
    pub fn from_environment() -> Result<Self, Status> {
        let wanted = std::env::var("SOFTGPU_CARD").unwrap_or_else(|_| "sm_86".to_owned());
        let Some(mut card) = Card::named(&wanted) else {
            eprintln!("softgpu: SOFTGPU_CARD={wanted} is no card that is known here");
            return Err(Status::NO_DEVICE);
        };
        if let Some(count) = number("SOFTGPU_MULTIPROCESSORS") {
            card.multiprocessors = count;
        }
        let seed = number("SOFTGPU_SEED").unwrap_or_else(|| {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            now.map_or(1, |now| now.as_nanos() as u64 % 1_000_000_007)
        });
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Ok(Self {
            devices: number("SOFTGPU_DEVICES").unwrap_or(1),
            bytes: std::env::var("SOFTGPU_MEMORY")
                .ok()
                .and_then(|text| bytes(&text))
                .unwrap_or(card.bytes),
            driver: number("SOFTGPU_DRIVER").unwrap_or(12080),
            seed,
            threads: number("SOFTGPU_THREADS").unwrap_or(cores),
            blocking: flag("SOFTGPU_BLOCKING") || flag("CUDA_LAUNCH_BLOCKING"),
            report_leaks: flag("SOFTGPU_LEAKS"),
            other_ptx: std::env::var_os("SOFTGPU_PTX").map(PathBuf::from),
            trace: std::env::var_os("SOFTGPU_TRACE").map(PathBuf::from),
            faults: Faults::parse(&std::env::var("SOFTGPU_FAULTS").unwrap_or_default()),
            profile: path("SOFTGPU_PROFILE"),
            sample: number("SOFTGPU_SAMPLE").filter(|blocks| *blocks > 0),
            coverage: path("SOFTGPU_COVERAGE"),
            card,
        })
    }

    /// The newest PTX that the driver reads.
    pub fn newest_ptx(&self) -> (u32, u32) {
        let (major, minor) = ((self.driver / 1000) as u32, (self.driver % 1000 / 10) as u32);
        match (major, minor) {
            (..=10, 0) => (6, 3),
            (..=10, 1) => (6, 4),
            (..=10, _) => (6, 5),
            (11, minor) => (7, minor),
            (12, 0..=5) => (8, minor),
            (12, minor) => (8, minor - 1),
            (_, minor) => (9, minor),
        }
    }
}
