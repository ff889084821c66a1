// SPDX-License-Identifier: MIT OR Apache-2.0

//! A launch: the blocks of a grid in an order drawn by a seed, spread over threads of the host.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::block::{Block, Draws};
use super::memory::Memory;
use super::report::Report;
use super::watch::{Onlooker, Watch};
use crate::ptx::Kernel;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    pub grid: [u32; 3],
    pub block: [u32; 3],
    /// Bytes of shared memory beyond what the kernel declares.
    pub dynamic_shared: u32,
}

impl Shape {
    pub fn threads(&self) -> u32 {
        self.block.iter().product()
    }

    pub fn blocks(&self) -> u64 {
        self.grid.iter().map(|size| u64::from(*size)).product()
    }

    /// The place in the grid of the block with a number.
    pub fn block(&self, number: u64) -> [u32; 3] {
        let [x, y, _] = self.grid.map(u64::from);
        [
            (number % x) as u32,
            (number / x % y) as u32,
            (number / x / y) as u32,
        ]
    }

    pub fn thread(&self, number: u32) -> [u32; 3] {
        let [x, y, _] = self.block;
        [number % x, number / x % y, number / x / y]
    }
}

/// Everything that a launch is made of.
pub struct Launch<'a> {
    pub kernel: &'a Kernel,
    pub files: &'a [(u32, String)],
    pub shape: Shape,
    pub parameters: &'a [u8],
    pub memory: &'a Memory,
    pub multiprocessors: u32,
    /// The seed of this launch, and the one that the user can give to see the same again.
    pub seed: u64,
    pub base_seed: u64,
    pub threads: usize,
    pub wrong_mma: bool,
    /// Of a launch of many times more blocks, only so many are run, evenly drawn from the grid; what it leaves is then not
    /// its result.
    pub sample: Option<u32>,
}

/// What a thread of the host does with the work that is given to it.
type Thread<'a> = dyn Fn(&dyn Fn(&mut Onlooker)) + Sync + 'a;

/// A launch of fewer times the sample is run whole.
const MANY: u64 = 16;

/// So many blocks a thread of the host takes at once.
const SHARE: usize = 4;

impl Launch<'_> {
    /// Runs all blocks, or stops at the first report.
    pub fn run(&self) -> Result<(), Box<Report>> {
        self.in_threads(&|work| work(&mut None))
    }

    /// Runs with an onlooker in each thread of the host, of which there is at least one, and returns what they saw.
    pub fn watched<W: Watch>(&self, onlooker: impl Fn() -> W + Sync) -> (Result<(), Box<Report>>, Vec<W>) {
        let seen = Mutex::new(Vec::new());
        let run = self.in_threads(&|work| {
            let mut watch = onlooker();
            work(&mut Some(&mut watch));
            seen.lock().unwrap_or_else(PoisonError::into_inner).push(watch);
        });
        (run, seen.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// The numbers of the blocks that run.
    pub fn sampled(&self) -> Vec<u32> {
        let blocks = self.shape.blocks();
        match self.sample {
            Some(most) if blocks > MANY * u64::from(most) => {
                let most = u64::from(most);
                (0..most)
                    .map(|i| ((2 * i + 1) * blocks / (2 * most)) as u32)
                    .collect()
            }
            _ => (0..blocks as u32).collect(),
        }
    }

    /// Each thread of the host gives its onlooker to the work.
    fn in_threads(&self, thread: &Thread) -> Result<(), Box<Report>> {
        let mut order = self.sampled();
        let blocks = order.len();
        Draws::new(self.seed).shuffle(&mut order);
        let next = AtomicUsize::new(0);
        let failed = AtomicBool::new(false);
        let report = Mutex::new(None);
        let work = || {
            thread(&|watch| {
                if let Err(found) = self.work(&order, &next, &failed, watch) {
                    failed.store(true, Ordering::Relaxed);
                    if let Ok(mut report) = report.lock() {
                        report.get_or_insert(found);
                    }
                }
            });
        };
        let threads = self.threads.min(blocks.div_ceil(SHARE)).max(1);
        std::thread::scope(|scope| {
            for _ in 1..threads {
                scope.spawn(work);
            }
            work();
        });
        let report = report.into_inner().unwrap_or_else(PoisonError::into_inner);
        report.map_or(Ok(()), Err)
    }

    /// Takes blocks from the order and runs them until none is left or one has failed, here or elsewhere.
    fn work(
        &self,
        order: &[u32],
        next: &AtomicUsize,
        failed: &AtomicBool,
        watch: &mut Onlooker,
    ) -> Result<(), Box<Report>> {
        let mut block = Block::new(self);
        loop {
            let from = next.fetch_add(SHARE, Ordering::Relaxed);
            for number in order.iter().skip(from).take(SHARE) {
                if failed.load(Ordering::Relaxed) {
                    return Ok(());
                }
                block.run(self, u64::from(*number), watch)?;
            }
            if from + SHARE >= order.len() {
                return Ok(());
            }
        }
    }
}
