// SPDX-License-Identifier: MIT OR Apache-2.0

//! The processor: what of it may be used, and by which kernels.

use std::env::consts::ARCH;
use std::{fs, thread};

use super::report::Report;
use super::wording::list;
use super::{cpuinfo, memory};
use crate::values::counted;
use neuralstyle::backend::cpu::{Cpu, InstructionSet};
use neuralstyle::backend::{CancelToken, Control};

/// Whether the processor can paint.
pub fn check(report: &mut Report) -> bool {
    let (name, cores) = cpuinfo::parse(&fs::read_to_string("/proc/cpuinfo").unwrap_or_default());
    let usable = usable_cores();
    let name = name.unwrap_or_else(|| ARCH.to_owned());
    report.works("processor", format!("{name}, {}", shares(cores, usable)));
    let mut cpu = match Cpu::new(0, CancelToken::new()) {
        Ok(cpu) => cpu,
        Err(error) => {
            report.broken("kernels", error.to_string());
            return false;
        }
    };
    // It was chosen a moment ago.
    let chosen = InstructionSet::choose().map_or("unknown", InstructionSet::name);
    let others: Vec<_> = InstructionSet::available()
        .into_iter()
        .map(InstructionSet::name)
        .filter(|&name| name != chosen)
        .collect();
    report.works(
        "kernels",
        format!(
            "{chosen} (NEURALSTYLE_KERNELS may choose {})",
            list(&others, "or")
        ),
    );
    let whole = cpu.device();
    if cpu.lower_priority().is_ok() {
        report.works(
            "painting",
            format!("by {whole}; beside a live stream by {}", cpu.device()),
        );
    }
    memory::tell(report, &cpu);
    true
}

/// How many cores there are, and how many of them this process may use.
fn shares(cores: usize, usable: usize) -> String {
    if cores <= usable {
        counted(usable, "core")
    } else {
        format!(
            "{}, of which this process may use {usable}",
            counted(cores, "core")
        )
    }
}

/// How many cores this process may use.
pub fn usable_cores() -> usize {
    thread::available_parallelism().map_or(1, |count| count.get())
}
