// SPDX-License-Identifier: MIT OR Apache-2.0

//! How the report looks on the terminal, and the packages that it has named so far.

use std::collections::BTreeSet;

use super::wording::{list, wrapped};

/// Columns for the mark and the name at the head of a line.
const INDENT: usize = 15;
const WIDTH: usize = 100;

/// What the first character of a line says.
#[derive(Clone, Copy)]
pub enum Mark {
    Works,
    Lacks,
    Broken,
}

#[derive(Default)]
pub struct Report {
    packages: BTreeSet<&'static str>,
}

impl Report {
    pub fn heading(&self, title: &str) {
        say!("\n{title}");
    }

    pub fn works(&self, name: &str, words: impl AsRef<str>) {
        line(Mark::Works, name, words.as_ref());
    }

    /// Something that can be done without.
    pub fn lacks(&self, name: &str, words: impl AsRef<str>) {
        line(Mark::Lacks, name, words.as_ref());
    }

    pub fn broken(&self, name: &str, words: impl AsRef<str>) {
        line(Mark::Broken, name, words.as_ref());
    }

    /// Something that can be done without, or not: the packages that bring it, each with what it brings.
    pub fn missing(&mut self, mark: Mark, name: &str, things: &[(&'static str, String)]) {
        let mut told = Vec::new();
        for &(package, _) in things {
            if told.contains(&package) {
                continue;
            }
            told.push(package);
            let of_it = things.iter().filter(|(of, _)| *of == package);
            let brought: Vec<_> = of_it.map(|(_, thing)| thing).collect();
            line(mark, name, &format!("{package} brings {}", list(&brought, "and")));
        }
        self.packages.extend(told);
    }

    pub fn packages(&self) -> &BTreeSet<&'static str> {
        &self.packages
    }
}

fn line(mark: Mark, name: &str, words: &str) {
    let mark = match mark {
        Mark::Works => '✓',
        Mark::Lacks => '–',
        Mark::Broken => '✗',
    };
    let mut lines = wrapped(words, WIDTH - INDENT).into_iter();
    let first = lines.next().unwrap_or_default();
    say!("  {mark} {name:10} {first}");
    for line in lines {
        say!("{:INDENT$}{line}", "");
    }
}
