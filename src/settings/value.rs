// SPDX-License-Identifier: MIT OR Apache-2.0

//! The value of a setting, and the refusal of one.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;

/// A value of a setting.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// The library chooses.
    Unset,
    Int(i64),
    Double(f64),
    Text(String),
    Path(PathBuf),
    /// The name of one of a choice's values.
    Choice(&'static str),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unset => f.pad("unset"),
            Self::Int(number) => number.fmt(f),
            Self::Double(number) => number.fmt(f),
            Self::Text(text) => f.pad(text),
            Self::Path(path) => path.display().fmt(f),
            Self::Choice(name) => f.pad(name),
        }
    }
}

/// A value that a setting cannot have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{setting}={value}: {reason}")]
pub struct Refused {
    pub setting: Cow<'static, str>,
    pub value: String,
    /// What is wrong with the value, or what to write instead.
    pub reason: String,
}

impl Refused {
    pub fn new(setting: &'static str, value: impl fmt::Display, reason: impl Into<String>) -> Self {
        Self {
            setting: setting.into(),
            value: value.to_string(),
            reason: reason.into(),
        }
    }
}
