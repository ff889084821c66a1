// SPDX-License-Identifier: MIT OR Apache-2.0

//! The library's settings as flags of the same names.

use std::marker::PhantomData;
use std::path::PathBuf;

use clap::builder::{PathBufValueParser, PossibleValue, PossibleValuesParser, TypedValueParser, ValueParser};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};

use neuralstyle::settings::{self, Kind, Setting, Settings, Value};
use neuralstyle::stylizer::{Controls, Options};

/// What a command paints, which decides which settings it offers as flags.
pub trait Subject {
    /// Whether there are values that serve comparisons only.
    const COMPARES: bool;

    /// Whether the command has a flag for this setting; as a rule for all but NO_FLAGS.
    fn has(setting: &Setting) -> bool {
        !NO_FLAGS.contains(&setting.name)
    }
}

/// One picture, whose size and steps a command has flags of its own for.
pub struct Picture;

/// Each frame of a stream, through the element.
#[derive(Clone)]
pub struct Stream;

/// A clip through the library, whose size a command chooses.
pub struct Clip;

/// Noise: only what a step costs matters.
pub struct Noise;

/// What commands decide themselves: the style's file, and whether frames wait.
const NO_FLAGS: [&str; 2] = ["style", "mode"];

/// What has a meaning only from frame to frame, or is a size or number of steps.
const OF_STREAMS: [&str; 7] = [
    "working-size",
    "iterations",
    "first-iterations",
    "keyframe-interval",
    "cut-threshold",
    "steadiness",
    "temporal-weight",
];

impl Subject for Picture {
    const COMPARES: bool = true;

    fn has(setting: &Setting) -> bool {
        !NO_FLAGS.contains(&setting.name) && !OF_STREAMS.contains(&setting.name)
    }
}

impl Subject for Stream {
    const COMPARES: bool = false;
}

impl Subject for Clip {
    const COMPARES: bool = true;
}

impl Subject for Noise {
    const COMPARES: bool = true;

    fn has(setting: &Setting) -> bool {
        [
            "weights",
            "content-layers",
            "style-layers",
            "pooling",
            "optimizer",
            "moment-blur",
            "backend",
            "threads",
        ]
        .contains(&setting.name)
    }
}

/// The settings that the flags ask for.
#[derive(Clone)]
pub struct Flags<S: Subject> {
    settings: Settings,
    given: Vec<&'static Setting>,
    subject: PhantomData<S>,
}

impl<S: Subject> Flags<S> {
    pub fn options(&self) -> Options {
        self.settings.options.clone()
    }

    pub fn controls(&self) -> Controls {
        self.settings.controls
    }

    /// The file with the network's weights.
    pub fn weights(&self) -> Option<&PathBuf> {
        self.settings.options.weights.as_ref()
    }

    /// What was asked for, and not left as it is by default.
    pub fn given(&self) -> impl Iterator<Item = (&'static Setting, Value)> {
        self.given
            .iter()
            .map(|setting| (*setting, setting.get(&self.settings)))
    }

    /// All that the command offers, with what was asked for.
    pub fn all(&self) -> impl Iterator<Item = (&'static Setting, Value)> {
        settings::all()
            .filter(|setting| S::has(setting))
            .map(|setting| (setting, setting.get(&self.settings)))
    }
}

impl<S: Subject> FromArgMatches for Flags<S> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut flags = Self {
            settings: Settings::default(),
            given: Vec::new(),
            subject: PhantomData,
        };
        flags.update_from_arg_matches(matches)?;
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        for setting in settings::all().filter(|setting| S::has(setting)) {
            if matches.value_source(setting.name) != Some(ValueSource::CommandLine) {
                continue;
            }
            if let Some(value) = matches.get_one::<Value>(setting.name) {
                setting
                    .set(&mut self.settings, value.clone())
                    .map_err(|refused| clap::Error::raw(clap::error::ErrorKind::InvalidValue, refused))?;
                self.given.push(setting);
            }
        }
        Ok(())
    }
}

impl<S: Subject> Args for Flags<S> {
    fn augment_args(command: Command) -> Command {
        settings::Group::ALL
            .into_iter()
            .flat_map(settings::of)
            .filter(|setting| S::has(setting))
            .fold(command, |command, setting| {
                command.arg(flag(setting, S::COMPARES))
            })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

fn flag(setting: &'static Setting, with_hidden: bool) -> Arg {
    let flag = Arg::new(setting.name)
        .long(setting.name)
        .help(setting.blurb)
        .help_heading(setting.group.title())
        .value_parser(parser(setting, with_hidden))
        // Some ranges begin below zero, and where they do not, the error should be about the number.
        .allow_negative_numbers(true);
    let flag = match setting.kind {
        Kind::Choice(_) => flag,
        Kind::Path => flag
            .value_name(setting.unit)
            .value_hint(clap::ValueHint::FilePath),
        _ => flag.value_name(setting.unit),
    };
    match setting.default() {
        Value::Unset => flag,
        initial => flag.default_value(initial.to_string()),
    }
}

fn parser(setting: &'static Setting, with_hidden: bool) -> ValueParser {
    match &setting.kind {
        Kind::Choice(choice) => {
            let words = choice.values.iter().filter(|value| with_hidden || !value.hidden);
            PossibleValuesParser::new(words.map(|value| PossibleValue::new(value.name).help(value.blurb)))
                .try_map(|word| setting.parse(&word))
                .into()
        }
        Kind::Path => PathBufValueParser::new().map(Value::Path).into(),
        _ => ValueParser::new(move |text: &str| setting.parse(text).map_err(|refused| refused.reason)),
    }
}
