// SPDX-License-Identifier: MIT OR Apache-2.0

//! Says which instructions of PTX files no test executed, from the records that SOFTGPU_COVERAGE=FOLDER left.
//!
//! ```sh
//! cargo run -p softgpu --bin coverage -- FOLDER [--unreachable LIST] kernels/ptx/*.ptx
//! ```
//!
//! It fails if there are any that the list does not explain, and if the list names instructions that were executed or
//! are in none of the files.

mod unreachable;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use softgpu::coverage::{Record, digest};
use softgpu::machine::coverage::{NOT_TAKEN, RAN, TAKEN};
use softgpu::ptx;
use softgpu::ptx::instruction::{NONE, Op};
use unreachable::Unreachable;

/// An instruction of a file, and what was seen of it.
struct Found {
    kernel: String,
    /// The line of the PTX, and the line of the source as `conv.cuh:330`.
    line: u32,
    source: String,
    text: String,
    /// A branch with a guard.
    decides: bool,
    /// It leads back to an instruction before it, so that a loop goes on.
    repeats: bool,
    seen: u8,
}

impl Found {
    /// Whether it did in some lane what it is there for. A guard alone does nothing, but for that of a branch forward:
    /// what that would have gone around ran, and what it leads to ran or is listed. A loop must go on once.
    fn executed(&self) -> bool {
        self.seen & RAN != 0 || (self.decides && !self.repeats && self.seen & NOT_TAKEN != 0)
    }

    fn went_one_way(&self) -> bool {
        self.decides && matches!(self.seen & (TAKEN | NOT_TAKEN), TAKEN | NOT_TAKEN)
    }
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next();
    let mut files: Vec<String> = arguments.collect();
    let list = (files.first().is_some_and(|first| first == "--unreachable") && files.len() > 1)
        .then(|| files.drain(..2).nth(1))
        .flatten();
    let Some(folder) = folder.filter(|_| !files.is_empty()) else {
        eprintln!("usage: coverage FOLDER [--unreachable LIST] FILE.ptx...");
        return ExitCode::from(2);
    };
    match report(Path::new(&folder), list.as_deref(), &files) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(what) => {
            eprintln!("coverage: {what}");
            ExitCode::FAILURE
        }
    }
}

/// Whether every instruction of every file was executed or is explained.
fn report(folder: &Path, list: Option<&str>, files: &[String]) -> Result<bool, String> {
    let records = Record::read_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut merged: BTreeMap<u64, Record> = BTreeMap::new();
    for record in records {
        let all = merged.entry(record.digest).or_insert(Record::new(record.digest));
        for (kernel, seen) in &record.kernels {
            all.add(kernel, seen);
        }
    }
    let mut unreachable = match list {
        Some(path) => Unreachable::parse(&read(path)?)?,
        None => Unreachable::default(),
    };
    let mut complete = true;
    for path in files {
        let text = read(path)?;
        let Some(record) = merged.get(&digest(&text)) else {
            println!("{path}: no test ran any of it");
            complete = false;
            continue;
        };
        let found = instructions(&text, record).map_err(|error| format!("{path}: {error}"))?;
        complete &= say(path, &found, &mut unreachable);
    }
    for entry in unreachable.stale() {
        println!("stale in the list of what is unreachable: {entry}");
        complete = false;
    }
    Ok(complete)
}

fn read(path: &str) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))
}

fn instructions(text: &str, record: &Record) -> Result<Vec<Found>, String> {
    let module = ptx::parse(text).map_err(|error| error.to_string())?;
    let program = ptx::lower(&module, &|_| Some(0)).map_err(|error| error.to_string())?;
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for kernel in &program.kernels {
        let nothing = vec![0; kernel.code.len()];
        let seen = record.kernels.get(&kernel.name).unwrap_or(&nothing);
        if seen.len() != kernel.code.len() {
            return Err(format!(
                "a record of {} comes from another version of this tool",
                kernel.name
            ));
        }
        // The last one is the machine's own, behind what the file holds.
        let own = kernel.code.len() - 1;
        let code = kernel.code.iter().zip(&kernel.places).zip(seen).enumerate();
        for (at, ((instruction, place), seen)) in code.take(own) {
            let file = program.files.iter().find(|(number, _)| *number == place.file);
            let file = file.map_or("?", |(_, path)| path.rsplit('/').next().unwrap_or(path));
            let text = lines.get(place.line as usize - 1).copied().unwrap_or_default();
            found.push(Found {
                kernel: kernel.name.clone(),
                line: place.line,
                source: format!("{file}:{}", place.source_line),
                text: text.split_whitespace().collect::<Vec<_>>().join(" "),
                decides: instruction.op == Op::Branch && instruction.guard != NONE,
                repeats: instruction.op == Op::Branch && instruction.immediate <= at as i64,
                seen: *seen,
            });
        }
    }
    Ok(found)
}

/// Prints what is missing in a file; true if that is nothing.
fn say(path: &str, found: &[Found], unreachable: &mut Unreachable) -> bool {
    let mut missing: BTreeMap<&str, Vec<&Found>> = BTreeMap::new();
    let (mut executed, mut explained) = (0, 0);
    for at in found {
        let known = unreachable.explains(&at.kernel, &at.source, &at.text, at.executed());
        if at.executed() {
            executed += 1;
        } else if known {
            explained += 1;
        } else {
            missing.entry(&at.kernel).or_default().push(at);
        }
    }
    println!(
        "{path}: {:.2} % of {} instructions executed, {explained} unreachable, {} missing, {} branches went one way only",
        100.0 * f64::from(executed) / found.len() as f64,
        found.len(),
        missing.values().map(Vec::len).sum::<usize>(),
        found.iter().filter(|at| at.went_one_way()).count(),
    );
    for (kernel, missing) in &missing {
        if found.iter().filter(|at| at.kernel == *kernel).count() == missing.len() {
            println!("    {kernel}: none of its {} instructions", missing.len());
            continue;
        }
        for at in missing {
            println!("    {kernel}, line {} ({}): {}", at.line, at.source, at.text);
        }
    }
    missing.is_empty()
}
