// SPDX-License-Identifier: MIT OR Apache-2.0

//! The description of a setting, and what a description is good for: to read, check and write its value.

use std::fmt;
use std::ops::RangeInclusive;

use super::{Choice, Refused, Settings, Value};

/// The description of one setting.
pub struct Setting {
    /// Its name as a property, and after two dashes as a flag.
    pub name: &'static str,
    /// A title for people.
    pub nick: &'static str,
    /// What it does, in one sentence.
    pub blurb: &'static str,
    pub kind: Kind,
    /// What a value counts or measures, in capitals: `PIXELS`, `SHARE`. Empty for a choice.
    pub unit: &'static str,
    pub group: Group,
    pub acts: When,
    pub(super) read: fn(&Settings) -> Value,
    pub(super) write: fn(&mut Settings, Value) -> Result<(), String>,
}

/// The type of a setting, and its range.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    Uint {
        range: RangeInclusive<u32>,
    },
    Int {
        range: RangeInclusive<i32>,
        unset: Option<i32>,
    },
    /// `unset` is the number that stands for [`Value::Unset`] where a number must be written. It lies below the range, and
    /// all between means the same.
    Double {
        range: RangeInclusive<f64>,
        unset: Option<f64>,
    },
    Text,
    /// The path of a file.
    Path,
    Choice(Choice),
}

/// When a new value has an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// At the start of the next stream.
    Start,
    /// With the next frame.
    Playing,
    /// With the next frame, so smoothly that it may be automated.
    Controllable,
}

/// What a setting is about; settings are presented in these groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    Style,
    Look,
    Optimisation,
    Video,
    Running,
}

impl Group {
    /// In the order in which they are presented.
    pub const ALL: [Self; 5] = [
        Self::Style,
        Self::Look,
        Self::Optimisation,
        Self::Video,
        Self::Running,
    ];

    pub const fn title(self) -> &'static str {
        match self {
            Self::Style => "Style and network",
            Self::Look => "Look",
            Self::Optimisation => "Optimisation",
            Self::Video => "From frame to frame",
            Self::Running => "Where and how it runs",
        }
    }
}

impl Setting {
    pub fn get(&self, settings: &Settings) -> Value {
        (self.read)(settings)
    }

    /// The value that holds unless another is set.
    pub fn default(&self) -> Value {
        self.get(&Settings::default())
    }

    pub fn set(&self, settings: &mut Settings, value: Value) -> Result<(), Refused> {
        let written = value.to_string();
        let value = self.kind.or_unset(value);
        self.check(&value)?;
        (self.write)(settings, value).map_err(|reason| Refused::new(self.name, written, reason))
    }

    /// The value that `text` stands for.
    pub fn parse(&self, text: &str) -> Result<Value, Refused> {
        let value = match &self.kind {
            Kind::Uint { .. } | Kind::Int { .. } => text.parse().ok().map(Value::Int),
            Kind::Double { .. } => text.parse().ok().map(Value::Double),
            Kind::Text => Some(Value::Text(text.to_owned())),
            Kind::Path => Some(Value::Path(text.into())),
            Kind::Choice(choice) => choice.value(text).map(|value| Value::Choice(value.name)),
        };
        let value = value.ok_or_else(|| Refused::new(self.name, text, format!("write {}", self.kind)))?;
        // Whether a text can be read as a list of layers, only writing it to its field tells.
        self.set(&mut Settings::default(), value.clone())?;
        Ok(self.kind.or_unset(value))
    }

    /// Refuses a value of another type or outside the range. A number that stands for [`Value::Unset`] is no value yet:
    /// [`set`](Self::set) makes it one.
    pub fn check(&self, value: &Value) -> Result<(), Refused> {
        if self.kind.contains(value) || (*value == Value::Unset && self.can_be_unset()) {
            Ok(())
        } else {
            Err(Refused::new(self.name, value, format!("write {}", self.kind)))
        }
    }

    fn can_be_unset(&self) -> bool {
        self.default() == Value::Unset
    }
}

impl Kind {
    /// Whether a value is of this type and in its range.
    fn contains(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Uint { range }, Value::Int(number)) => {
                u32::try_from(*number).is_ok_and(|number| range.contains(&number))
            }
            (Self::Int { range, .. }, Value::Int(number)) => {
                i32::try_from(*number).is_ok_and(|number| range.contains(&number))
            }
            (Self::Double { range, .. }, Value::Double(number)) => range.contains(number),
            (Self::Text, Value::Text(_)) | (Self::Path, Value::Path(_)) => true,
            (Self::Choice(choice), Value::Choice(name)) => choice.value(name).is_some(),
            _ => false,
        }
    }

    /// [`Value::Unset`] for a number that stands for it, from the one that is named up to the range; other values as they are.
    fn or_unset(&self, value: Value) -> Value {
        let stands_for_unset = match (self, &value) {
            (
                Self::Int {
                    range,
                    unset: Some(unset),
                },
                Value::Int(number),
            ) => (i64::from(*unset)..i64::from(*range.start())).contains(number),
            (
                Self::Double {
                    range,
                    unset: Some(unset),
                },
                Value::Double(number),
            ) => (*unset..*range.start()).contains(number),
            _ => false,
        };
        if stands_for_unset { Value::Unset } else { value }
    }
}

/// As what to write: "a whole number from 0 to 16".
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uint { range } => write!(f, "a whole number from {} to {}", range.start(), range.end()),
            Self::Int { range, unset } => {
                write!(f, "a whole number from {} to {}", range.start(), range.end())?;
                unset.map_or(Ok(()), |unset| write!(f, ", or {unset} to leave it unset"))
            }
            Self::Double { range, unset } => {
                write!(
                    f,
                    "a number from {} to {}",
                    short(*range.start()),
                    short(*range.end())
                )?;
                unset.map_or(Ok(()), |unset| write!(f, ", or {unset} to leave it unset"))
            }
            Self::Text => f.pad("a text"),
            Self::Path => f.pad("the path of a file"),
            Self::Choice(choice) => write!(f, "one of {}", choice.names()),
        }
    }
}

/// A number without rows of zeros.
fn short(number: f64) -> String {
    if number == 0.0 || (1e-4..1e5).contains(&number.abs()) {
        number.to_string()
    } else {
        format!("{number:e}")
    }
}
