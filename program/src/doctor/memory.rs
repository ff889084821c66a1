// SPDX-License-Identifier: MIT OR Apache-2.0

//! The memory that painting may take.

use super::report::Report;
use neuralstyle::backend::Memory;
use neuralstyle::backend::cpu::Cpu;

pub fn tell(report: &mut Report, cpu: &Cpu) {
    match cpu.available_bytes() {
        Some(bytes) => report.works(
            "memory",
            format!(
                "{:.1} GB are available; limits of containers are counted in",
                bytes as f64 / 1e9
            ),
        ),
        None => report.lacks("memory", "this system does not say how much is available"),
    }
}
