// SPDX-License-Identifier: MIT OR Apache-2.0

//! Records of which instructions of a module a process ran, as files that processes leave behind and a report reads.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What the instructions of a module did, by kernel; see `machine::coverage` for the bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The digest of the module's text, so that a record is not taken for that of another version.
    pub digest: u64,
    pub kernels: BTreeMap<String, Vec<u8>>,
}

/// A number that other texts hardly share (FNV-1a).
pub fn digest(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

impl Record {
    pub fn new(digest: u64) -> Self {
        Self {
            digest,
            kernels: BTreeMap::new(),
        }
    }

    /// Adds what was seen of a kernel; false if nothing of it is new.
    pub fn add(&mut self, kernel: &str, seen: &[u8]) -> bool {
        if !self.kernels.contains_key(kernel) {
            self.kernels.insert(kernel.to_owned(), vec![0; seen.len()]);
        }
        let mut is_new = false;
        for (known, more) in self.kernels.get_mut(kernel).into_iter().flatten().zip(seen) {
            is_new |= *known | more != *known;
            *known |= more;
        }
        is_new
    }

    /// The digest, and for each kernel a line with its name and a digit for each instruction.
    pub fn text(&self) -> String {
        let mut text = format!("{:016x}\n", self.digest);
        for (kernel, seen) in &self.kernels {
            text += kernel;
            text.push(' ');
            text.extend(seen.iter().map(|seen| char::from(b'0' + seen)));
            text.push('\n');
        }
        text
    }

    pub fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let mut record = Self::new(u64::from_str_radix(lines.next()?, 16).ok()?);
        for line in lines {
            let (kernel, digits) = line.split_once(' ')?;
            let seen = digits.bytes().map(|digit| match digit {
                b'0'..=b'7' => Some(digit - b'0'),
                _ => None,
            });
            record.add(kernel, &seen.collect::<Option<Vec<u8>>>()?);
        }
        Some(record)
    }

    /// Writes the record to a path, at once for whoever reads there.
    pub fn write(&self, path: &Path) -> std::io::Result<()> {
        let unfinished = path.with_extension("unfinished");
        std::fs::write(&unfinished, self.text())?;
        std::fs::rename(unfinished, path)
    }

    /// All records of a folder, one for each file with the extension that `path` gives them.
    pub fn read_all(folder: &Path) -> std::io::Result<Vec<Self>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == EXTENSION) {
                let record = Self::parse(&std::fs::read_to_string(&path)?);
                found.push(
                    record
                        .ok_or_else(|| std::io::Error::other(format!("{} is no record", path.display())))?,
                );
            }
        }
        Ok(found)
    }
}

const EXTENSION: &str = "coverage";

/// The file of a process for a module. `started` tells processes apart that have the same number one after the other.
pub fn path(folder: &Path, digest: u64, process: u32, started: u128) -> PathBuf {
    folder.join(format!("{digest:016x}-{process}-{started}.{EXTENSION}"))
}
