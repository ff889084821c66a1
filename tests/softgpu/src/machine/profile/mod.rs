// SPDX-License-Identifier: MIT OR Apache-2.0

//! Counts what a launch does: instructions by class, sectors of memory, turns of the banks of shared memory.

mod banks;
mod classes;
mod record;
mod sectors;

pub use banks::{Wavefronts, wavefronts};
pub use classes::{Class, class};
pub use record::Record;

use super::WARP;
use super::lanes::Doubles;
use super::loads::resolve;
use super::watch::{Step, Watch};
use crate::ptx::Kernel;
use crate::ptx::instruction::{Access, NONE, Op};
use crate::ptx::syntax::Space;
use sectors::Sectors;

/// One instruction of the kernel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Place {
    /// Warps that ran it, and all lanes of theirs that did.
    pub warps: u64,
    pub lanes: u64,
    pub shared: Wavefronts,
    /// Where its accesses go, the last time that it ran.
    pub space: Option<Space>,
}

/// Requests of warps to the memory of the card.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    pub requests: u64,
    /// Sectors of 32 bytes: all that each request touches, those that differ within a block, and within the launch.
    pub sectors: u64,
    pub block_sectors: u64,
    pub unique_sectors: u64,
    /// Bytes that the lanes asked for; what several lanes of a request asked for counts once.
    pub bytes: u64,
}

/// Requests of warps to shared memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Banked {
    pub requests: u64,
    pub wavefronts: u64,
    pub ideal: u64,
}

impl Banked {
    fn add(&mut self, found: Wavefronts) {
        self.requests += 1;
        self.wavefronts += found.taken;
        self.ideal += found.ideal;
    }

    fn merge(&mut self, other: &Self) {
        self.requests += other.requests;
        self.wavefronts += other.wavefronts;
        self.ideal += other.ideal;
    }
}

/// Traffic in the counting: the sectors that the block and the launch touched so far.
#[derive(Default)]
struct Flow {
    counted: Traffic,
    of_block: Sectors,
    of_launch: Sectors,
}

impl Flow {
    fn request(&mut self, addresses: &Doubles, sizes: &[u32; WARP], mask: u32) {
        let counted = &mut self.counted;
        let bytes = sectors::of_request(addresses, sizes, mask, |sector| {
            counted.sectors += 1;
            if self.of_block.insert(sector) {
                counted.block_sectors += 1;
                self.of_launch.insert(sector);
            }
        });
        counted.requests += u64::from(bytes != 0);
        counted.bytes += bytes;
    }

    fn merge(&mut self, other: &Self) {
        let (mine, theirs) = (&mut self.counted, &other.counted);
        mine.requests += theirs.requests;
        mine.sectors += theirs.sectors;
        mine.block_sectors += theirs.block_sectors;
        mine.bytes += theirs.bytes;
        self.of_launch.extend(&other.of_launch);
    }

    fn traffic(&self) -> Traffic {
        Traffic {
            unique_sectors: self.of_launch.count(),
            ..self.counted
        }
    }
}

/// What one thread of the host has counted of a launch.
pub struct Profile {
    pub places: Vec<Place>,
    loads: Flow,
    stores: Flow,
    atomics: Flow,
    pub shared_loads: Banked,
    pub shared_stores: Banked,
}

impl Profile {
    pub fn new(kernel: &Kernel) -> Self {
        Self {
            places: vec![Place::default(); kernel.code.len()],
            loads: Flow::default(),
            stores: Flow::default(),
            atomics: Flow::default(),
            shared_loads: Banked::default(),
            shared_stores: Banked::default(),
        }
    }

    /// All that the threads have counted, of which there is at least one.
    pub fn sum(profiles: Vec<Self>) -> Option<Self> {
        profiles.into_iter().reduce(|mut all, one| {
            for (place, other) in all.places.iter_mut().zip(&one.places) {
                place.warps += other.warps;
                place.lanes += other.lanes;
                place.shared.taken += other.shared.taken;
                place.shared.ideal += other.shared.ideal;
                place.space = place.space.or(other.space);
            }
            all.loads.merge(&one.loads);
            all.stores.merge(&one.stores);
            all.atomics.merge(&one.atomics);
            all.shared_loads.merge(&one.shared_loads);
            all.shared_stores.merge(&one.shared_stores);
            all
        })
    }

    pub fn loads(&self) -> Traffic {
        self.loads.traffic()
    }

    pub fn stores(&self) -> Traffic {
        self.stores.traffic()
    }

    pub fn atomics(&self) -> Traffic {
        self.atomics.traffic()
    }

    fn shared(&mut self, at: usize, addresses: &Doubles, bytes: u32, mask: u32, stores: bool) {
        let found = wavefronts(addresses, u64::from(bytes), mask);
        let place = &mut self.places[at].shared;
        place.taken += found.taken;
        place.ideal += found.ideal;
        if stores {
            self.shared_stores.add(found);
        } else {
            self.shared_loads.add(found);
        }
    }

    /// A load, store or atomic operation of one space or, by generic addresses, of several.
    fn access(&mut self, step: &Step, access: Access, kind: Kind) {
        let mut addresses = step.registers.addresses(step.instruction.a, access.wide_address);
        let bytes = access.kind.bytes() * u32::from(access.vector);
        let (mut global, mut shared) = (0, 0);
        for lane in (0..WARP).filter(|lane| step.mask >> lane & 1 == 1) {
            let address = addresses[lane].wrapping_add(step.instruction.immediate as u64);
            let (space, address) = resolve(access.space, address);
            addresses[lane] = address;
            match space {
                Space::Global => global |= 1 << lane,
                Space::Shared => shared |= 1 << lane,
                _ => {}
            }
            self.places[step.at].space = Some(space);
        }
        if global != 0 {
            let flow = match kind {
                Kind::Load => &mut self.loads,
                Kind::Store => &mut self.stores,
                Kind::Atomic => &mut self.atomics,
            };
            flow.request(&addresses, &[bytes; WARP], global);
        }
        if shared != 0 && kind != Kind::Atomic {
            self.shared(step.at, &addresses, bytes, shared, kind == Kind::Store);
        }
    }

    fn copy(&mut self, step: &Step, bytes: u8, wide_shared: bool) {
        let at = step.instruction;
        let mut to = step.registers.addresses(at.a, wide_shared);
        let mut from = *step.registers.doubles(at.b);
        let offset = step.registers.doubles(at.list[0]);
        for lane in 0..WARP {
            to[lane] = to[lane].wrapping_add(at.immediate as u64);
            from[lane] = from[lane].wrapping_add(offset[lane]);
        }
        let sizes = if at.c == NONE {
            [u32::from(bytes); WARP]
        } else {
            *step.registers.words(at.c)
        };
        self.loads.request(&from, &sizes, step.mask);
        self.shared(step.at, &to, u32::from(bytes), step.mask, true);
    }

    fn load_matrix(&mut self, step: &Step, count: u8, wide_address: bool) {
        let mut addresses = step.registers.addresses(step.instruction.a, wide_address);
        for address in &mut addresses {
            let named = address.wrapping_add(step.instruction.immediate as u64);
            *address = resolve(Space::Generic, named).1;
        }
        // The rows of a matrix are 8 lanes with 16 bytes, which is what takes one turn.
        let mask = u32::MAX >> (32 - 8 * u32::from(count));
        self.shared(step.at, &addresses, 16, mask, false);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Load,
    Store,
    Atomic,
}

impl Watch for Profile {
    fn begin_block(&mut self) {
        for flow in [&mut self.loads, &mut self.stores, &mut self.atomics] {
            flow.of_block.clear();
        }
    }

    fn runs(&mut self, step: &Step) {
        let place = &mut self.places[step.at];
        place.warps += 1;
        place.lanes += u64::from(step.mask.count_ones());
        match step.instruction.op {
            Op::Load(access) => self.access(step, access, Kind::Load),
            Op::Store(access) => self.access(step, access, Kind::Store),
            Op::Atomic(_, access, _) => self.access(step, access, Kind::Atomic),
            Op::CopyAsync { bytes, wide_shared } => self.copy(step, bytes, wide_shared),
            Op::LoadMatrix {
                count, wide_address, ..
            } => self.load_matrix(step, count, wide_address),
            _ => {}
        }
    }

    fn passed_over(&mut self, _: usize) {}
}
