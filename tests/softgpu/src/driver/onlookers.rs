// SPDX-License-Identifier: MIT OR Apache-2.0

//! Runs launches with those who look on, and writes down what they saw.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::modules::Found;
use super::settings::Settings;
use crate::machine::launch::Launch;
use crate::machine::profile::{Profile, Record};
use crate::machine::report::Report;

/// What the environment wants to know of launches.
pub struct Onlookers {
    profile: Option<PathBuf>,
}

impl Onlookers {
    pub fn new(settings: &Settings) -> Self {
        Self {
            profile: settings.profile.clone(),
        }
    }

    pub fn run(&self, launch: &Launch, function: &Found) -> Result<(), Box<Report>> {
        let Some(file) = &self.profile else {
            return launch.run();
        };
        let (run, profiles) = launch.watched(|| Profile::new(launch.kernel));
        if run.is_ok() {
            note_profile(file, launch, function, profiles);
        }
        run
    }
}

/// Adds a line to a file. It is written in one piece, so that several processes may share the file.
fn note_profile(file: &Path, launch: &Launch, function: &Found, profiles: Vec<Profile>) {
    let Some(profile) = Profile::sum(profiles) else {
        return;
    };
    let record = Record {
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
