// SPDX-License-Identifier: MIT OR Apache-2.0

//! Runs launches with those who look on, and writes down what they saw.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::modules::Found;
use super::settings::Settings;
use crate::coverage::{self, Record};
use crate::machine::coverage::Coverage;
use crate::machine::launch::Launch;
use crate::machine::profile::{self, Profile};
use crate::machine::report::Report;

/// What the environment wants to know of launches.
#[derive(Default)]
pub struct Onlookers {
    profile: Option<PathBuf>,
    coverage: Option<Covered>,
}

/// What ran of each module since the process started.
struct Covered {
    folder: PathBuf,
    /// Nanoseconds since 1970.
    started: u128,
    records: HashMap<u64, Record>,
}

impl Onlookers {
    pub fn new(settings: &Settings) -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Self {
            profile: settings.profile.clone(),
            coverage: settings.coverage.clone().map(|folder| Covered {
                folder,
                started: now.map_or(0, |now| now.as_nanos()),
                records: HashMap::new(),
            }),
        }
    }

    pub fn run(&mut self, launch: &Launch, function: &Found) -> Result<(), Box<Report>> {
        if self.profile.is_none() && self.coverage.is_none() {
            return launch.run();
        }
        let (run, seen) = launch.watched(|| {
            let profile = self.profile.as_ref().map(|_| Profile::new(launch.kernel));
            let coverage = self.coverage.as_ref().map(|_| Coverage::new(launch.kernel));
            (profile, coverage)
        });
        let (profiles, coverages): (Vec<_>, Vec<_>) = seen.into_iter().unzip();
        if let Some(covered) = &mut self.coverage {
            covered.note(function, coverages.iter().flatten());
        }
        if let (Some(file), Ok(())) = (&self.profile, &run) {
            note_profile(file, launch, function, profiles.into_iter().flatten().collect());
        }
        run
    }
}

/// Adds a line to a file. It is written in one piece, so that several processes may share the file.
fn note_profile(file: &Path, launch: &Launch, function: &Found, profiles: Vec<Profile>) {
    let Some(profile) = Profile::sum(profiles) else {
        return;
    };
    let record = profile::Record {
        kernel: launch.kernel,
        files: launch.files,
        target: function.program.target,
        shape: launch.shape,
        sampled: launch.sampled().len(),
        parameters: launch.parameters,
        profile: &profile,
    };
    let line = record.json() + "\n";
    let opened = OpenOptions::new().append(true).create(true).open(file);
    if let Err(error) = opened.and_then(|mut file| file.write_all(line.as_bytes())) {
        eprintln!(
            "softgpu: no profile can be written to {}: {error}",
            file.display()
        );
    }
}

impl Covered {
    /// Whatever is new is written at once: a process may end without a word.
    fn note<'a>(&mut self, function: &Found, coverages: impl Iterator<Item = &'a Coverage>) {
        let digest = function.digest;
        let record = self.records.entry(digest).or_insert_with(|| Record::new(digest));
        let mut is_new = false;
        for coverage in coverages {
            is_new |= record.add(&function.kernel().name, &coverage.seen);
        }
        if is_new {
            let path = coverage::path(&self.folder, digest, std::process::id(), self.started);
            let written = std::fs::create_dir_all(&self.folder).and_then(|()| record.write(&path));
            if let Err(error) = written {
                eprintln!(
                    "softgpu: no coverage can be written to {}: {error}",
                    path.display()
                );
            }
        }
    }
}
