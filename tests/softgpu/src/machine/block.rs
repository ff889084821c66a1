// SPDX-License-Identifier: MIT OR Apache-2.0

//! A block: its warps take turns from barrier to barrier, in an order that is drawn anew each time.

use super::launch::{Launch, Shape};
use super::order::Order;
use super::report::{Kind, Problem, Report};
use super::shared::Shared;
use super::warp::{Scene, Stop, Warp};
use super::watch::Onlooker;
use super::{SHARED_START, WARP};
use crate::ptx::instruction::Special;

/// A small generator of numbers (SplitMix64), so that a seed gives the same order on every machine.
#[derive(Debug, Clone)]
pub struct Draws(u64);

impl Draws {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound.max(1) as u64) as usize
    }

    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.below(at + 1));
        }
    }
}

/// The warps and the shared memory of a block, made once for each thread of the host and used for block after block.
pub struct Block {
    warps: Vec<Warp>,
    shared: Shared,
    order: Order,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ready,
    At(u32, Option<u32>),
    Done,
}

impl Block {
    pub fn new(launch: &Launch) -> Self {
        let threads = launch.shape.threads();
        let warps = threads.div_ceil(WARP as u32);
        let kernel = launch.kernel;
        let bytes = kernel.dynamic_shared_at - SHARED_START + launch.shape.dynamic_shared;
        let bytes = if launch.shape.dynamic_shared == 0 {
            kernel.static_shared
        } else {
            bytes
        };
        let mut block = Self {
            warps: (0..warps).map(|number| Warp::new(kernel, number)).collect(),
            shared: Shared::new(bytes as usize),
            order: Order::new(warps as usize),
        };
        for warp in &mut block.warps {
            prepare(warp, launch, warps);
        }
        block
    }

    /// Runs the block with this number.
    pub fn run(&mut self, launch: &Launch, number: u64, watch: &mut Onlooker) -> Result<(), Box<Report>> {
        let index = launch.shape.block(number);
        let threads = launch.shape.threads();
        self.shared.clear();
        if let Some(watch) = watch {
            watch.begin_block();
        }
        self.order.restart();
        for warp in &mut self.warps {
            warp.start(threads - warp.number * WARP as u32);
            for (special, at) in &launch.kernel.specials {
                if let Special::Block(axis) = special {
                    *warp.registers.words_mut(*at) = [index[usize::from(*axis)]; WARP];
                }
            }
        }
        self.take_turns(launch, number, watch)
            .map_err(|(warp, problem)| Box::new(self.report(launch, index, warp, *problem)))
    }

    fn take_turns(&mut self, launch: &Launch, number: u64, watch: &mut Onlooker) -> Checked2<()> {
        let mut draws = Draws::new(launch.seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut states = vec![State::Ready; self.warps.len()];
        let mut order: Vec<usize> = (0..self.warps.len()).collect();
        loop {
            draws.shuffle(&mut order);
            for at in &order {
                if states[*at] == State::Ready {
                    let turn = self.order.turn(*at);
                    self.shared.begin_turn(&turn);
                    let scene = Scene {
                        kernel: launch.kernel,
                        parameters: launch.parameters,
                        memory: launch.memory,
                        who: launch.memory.accessor(number, &turn),
                        wrong_mma: launch.wrong_mma,
                    };
                    let stop = self.warps[*at]
                        .run(&scene, &mut self.shared, watch)
                        .map_err(|problem| (*at, problem))?;
                    states[*at] = match stop {
                        Stop::Done => State::Done,
                        Stop::Barrier { number, threads } => State::At(number, threads),
                    };
                }
            }
            if states.iter().all(|state| *state == State::Done) {
                return Ok(());
            }
            release(&mut states, |warps| self.order.meet(warps))?;
        }
    }

    fn report(&self, launch: &Launch, block: [u32; 3], warp: usize, problem: Problem) -> Report {
        let warp = &self.warps[warp];
        let kernel = launch.kernel;
        let place = kernel.places.get(warp.counter()).copied().unwrap_or_default();
        let file = launch
            .files
            .iter()
            .find(|(number, _)| *number == place.file)
            .map(|(_, name)| name.clone());
        let lane = problem.lane.or(Some(warp.some_lane()));
        Report {
            kind: problem.kind,
            what: problem.what,
            kernel: kernel.name.clone(),
            block,
            thread: lane.map(|lane| launch.shape.thread(warp.number * WARP as u32 + lane)),
            warp: warp.number,
            lane,
            ptx_line: place.line,
            source: file.map(|name| (name, place.source_line)),
            seed: launch.base_seed,
        }
    }
}

/// Lets the warps go on whose barrier is complete, and tells `met` of them.
fn release(states: &mut [State], mut met: impl FnMut(&[usize])) -> Checked2<()> {
    let mut released = false;
    for number in 0..16 {
        let here: Vec<usize> = (0..states.len())
            .filter(|at| matches!(states[*at], State::At(n, _) if n == number))
            .collect();
        let Some(first) = here.first() else { continue };
        let State::At(_, wanted) = states[*first] else {
            continue;
        };
        let count = |threads: Option<u32>| threads.map_or(states.len() * WARP, |threads| threads as usize);
        let threads = count(wanted);
        for at in &here {
            if let State::At(_, other) = states[*at]
                && count(other) != threads
            {
                let what = format!(
                    "a warp comes to barrier {number} for {} threads, and another one for {threads}",
                    count(other)
                );
                return Err((*at, Problem::new(Kind::Divergence, what)));
            }
        }
        if threads == 0 || !threads.is_multiple_of(WARP) {
            let what = format!("barrier {number} is for {threads} threads, which are no whole warps");
            return Err((*first, Problem::new(Kind::Divergence, what)));
        }
        let wanted = threads / WARP;
        if here.len() > wanted {
            let what = format!(
                "{} warps come to barrier {number}, which is for {wanted}: which of them it holds back is not said",
                here.len()
            );
            return Err((*first, Problem::new(Kind::Divergence, what)));
        }
        if here.len() == wanted {
            here.iter().for_each(|at| states[*at] = State::Ready);
            met(&here);
            released = true;
        }
    }
    if released {
        return Ok(());
    }
    let at = states
        .iter()
        .position(|state| matches!(state, State::At(..)))
        .unwrap_or(0);
    let done = states.iter().filter(|state| **state == State::Done).count();
    let what = format!(
        "a barrier that not all warps of the block come to: of {} warps {done} have left, the others wait",
        states.len()
    );
    Err((at, Problem::new(Kind::Divergence, what)))
}

type Checked2<T> = Result<T, (usize, Box<Problem>)>;

/// Fills the registers that are the same for every block.
fn prepare(warp: &mut Warp, launch: &Launch, warps: u32) {
    let Shape {
        grid,
        block,
        dynamic_shared,
    } = launch.shape;
    let first = warp.number * WARP as u32;
    for (special, at) in &launch.kernel.specials {
        let lanes = |f: &dyn Fn(u32) -> u32| std::array::from_fn(|lane| f(lane as u32));
        let values = match special {
            Special::Thread(axis) => lanes(&|lane| launch.shape.thread(first + lane)[usize::from(*axis)]),
            Special::Threads(axis) => [block[usize::from(*axis)]; WARP],
            Special::Blocks(axis) => [grid[usize::from(*axis)]; WARP],
            Special::Block(_) | Special::Grid => [0; WARP],
            Special::Lane => lanes(&|lane| lane),
            Special::Warp => [warp.number; WARP],
            Special::Warps => [warps; WARP],
            Special::Multiprocessor => [0; WARP],
            Special::Multiprocessors => [launch.multiprocessors; WARP],
            Special::MaskEqual => lanes(&|lane| 1 << lane),
            Special::MaskLess => lanes(&|lane| (1 << lane) - 1),
            Special::MaskLessEqual => lanes(&|lane| u32::MAX >> (31 - lane)),
            Special::MaskGreater => lanes(&|lane| !(u32::MAX >> (31 - lane))),
            Special::MaskGreaterEqual => lanes(&|lane| !((1 << lane) - 1)),
            Special::DynamicShared => [dynamic_shared; WARP],
            Special::TotalShared => [launch.kernel.static_shared + dynamic_shared; WARP],
        };
        *warp.registers.words_mut(*at) = values;
    }
}
