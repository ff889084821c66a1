// SPDX-License-Identifier: MIT OR Apache-2.0

//! The card that is imitated: its generation, its sizes and its attributes.

/// What a card can do. The sizes are those of the CUDA C++ Programming Guide, "Compute Capabilities".
#[derive(Debug, Clone)]
pub struct Card {
    pub name: &'static str,
    pub capability: (i32, i32),
    pub multiprocessors: i32,
    pub clock_khz: i32,
    pub memory_clock_khz: i32,
    pub bus_bits: i32,
    pub l2_bytes: i32,
    pub shared_per_multiprocessor: i32,
    pub shared_opt_in: i32,
    pub threads_per_multiprocessor: i32,
    pub blocks_per_multiprocessor: i32,
    pub bytes: u64,
}

const GIB: u64 = 1 << 30;
const KIB: i32 = 1 << 10;

impl Card {
    /// The card of a generation such as `sm_86`.
    pub fn named(generation: &str) -> Option<Self> {
        let number: u32 = generation.trim().strip_prefix("sm_")?.parse().ok()?;
        let capability = ((number / 10) as i32, (number % 10) as i32);
        let ampere = Self {
            name: "NVIDIA GeForce RTX 3060",
            capability,
            multiprocessors: 28,
            clock_khz: 1_777_000,
            memory_clock_khz: 7_501_000,
            bus_bits: 192,
            l2_bytes: 2304 * KIB,
            shared_per_multiprocessor: 100 * KIB,
            shared_opt_in: 99 * KIB,
            threads_per_multiprocessor: 1536,
            blocks_per_multiprocessor: 16,
            bytes: 12 * GIB,
        };
        Some(match number {
            50 | 52 | 60 | 61 | 70 => Self {
                name: "NVIDIA GeForce GTX 1060 6GB",
                multiprocessors: 10,
                shared_per_multiprocessor: 96 * KIB,
                shared_opt_in: if number == 70 { 96 * KIB } else { 48 * KIB },
                threads_per_multiprocessor: 2048,
                blocks_per_multiprocessor: 32,
                bytes: 6 * GIB,
                ..ampere
            },
            75 => Self {
                name: "NVIDIA GeForce RTX 2060",
                multiprocessors: 30,
                shared_per_multiprocessor: 64 * KIB,
                shared_opt_in: 64 * KIB,
                threads_per_multiprocessor: 1024,
                blocks_per_multiprocessor: 16,
                bytes: 6 * GIB,
                ..ampere
            },
            80 | 87 => Self {
                name: "NVIDIA A100-SXM4-40GB",
                multiprocessors: 108,
                bus_bits: 5120,
                l2_bytes: 40960 * KIB,
                shared_per_multiprocessor: 164 * KIB,
                shared_opt_in: 163 * KIB,
                threads_per_multiprocessor: 2048,
                blocks_per_multiprocessor: 32,
                bytes: 40 * GIB,
                ..ampere
            },
            86 => ampere,
            89 => Self {
                name: "NVIDIA GeForce RTX 4090",
                multiprocessors: 128,
                clock_khz: 2_520_000,
                bus_bits: 384,
                l2_bytes: 73728 * KIB,
                blocks_per_multiprocessor: 24,
                bytes: 24 * GIB,
                ..ampere
            },
            90 | 100 => Self {
                name: "NVIDIA H100 80GB HBM3",
                multiprocessors: 132,
                bus_bits: 5120,
                l2_bytes: 51200 * KIB,
                shared_per_multiprocessor: 228 * KIB,
                shared_opt_in: 227 * KIB,
                threads_per_multiprocessor: 2048,
                blocks_per_multiprocessor: 32,
                bytes: 80 * GIB,
                ..ampere
            },
            120 => Self {
                name: "NVIDIA GeForce RTX 5070",
                multiprocessors: 48,
                ..ampere
            },
            _ => return None,
        })
    }

    /// The number in `sm_NN`.
    pub fn generation(&self) -> u32 {
        (self.capability.0 * 10 + self.capability.1) as u32
    }

    /// The value of a device attribute, by the driver's number; 0 for what this card lacks.
    pub fn attribute(&self, number: u32) -> Option<i32> {
        let at_least = |major| i32::from(self.capability.0 >= major);
        Some(match number {
            1 => 1024,
            2 | 3 => 1024,
            4 => 64,
            5 => i32::MAX,
            6 | 7 => 65535,
            8 => 48 * KIB,
            9 => 64 * KIB,
            10 => 32,
            11 => i32::MAX,
            12 | 82 => 65536,
            13 => self.clock_khz,
            14 => 512,
            15 | 19 | 31 | 41 | 78 | 79 | 80 => 1,
            16 => self.multiprocessors,
            30 | 51 => 512,
            33 => 1,
            36 => self.memory_clock_khz,
            37 => self.bus_bits,
            38 => self.l2_bytes,
            39 => self.threads_per_multiprocessor,
            40 => 2,
            75 => self.capability.0,
            76 => self.capability.1,
            81 => self.shared_per_multiprocessor,
            83 | 90 | 95 | 115 => 1,
            87 => 32,
            97 => self.shared_opt_in,
            106 => self.blocks_per_multiprocessor,
            111 => at_least(8) * KIB,
            other if other <= 150 => 0,
            _ => return None,
        })
    }
}
