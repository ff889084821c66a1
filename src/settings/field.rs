// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the fields of [`Options`](super::Options) and [`Controls`](super::Controls) are, seen as values of settings.

use std::path::PathBuf;

use super::{LayerWeights, LayerWeightsError, Value};

/// A type that a setting's field can have.
pub trait Field: Sized {
    fn to_value(&self) -> Value;

    /// The error says what is wrong with the value.
    fn from_value(value: Value) -> Result<Self, String>;
}

/// What is said of a value of a type that the setting does not have.
pub(super) fn another_type(value: &Value) -> String {
    format!("a value of another type is needed than {value:?}")
}

/// A whole number, which the library holds as one type and [`Value`] as `i64`.
macro_rules! whole_number {
    ($($number:ty),+) => {
        $(impl Field for $number {
            fn to_value(&self) -> Value {
                // Ranges end long before i64 does; a larger number in a field is reported as outside its range.
                Value::Int(i64::try_from(*self).unwrap_or(i64::MAX))
            }

            fn from_value(value: Value) -> Result<Self, String> {
                match value {
                    Value::Int(number) => Self::try_from(number).map_err(|error| error.to_string()),
                    other => Err(another_type(&other)),
                }
            }
        })+
    };
}

whole_number!(usize, u32, i32);

impl Field for f64 {
    fn to_value(&self) -> Value {
        Value::Double(*self)
    }

    fn from_value(value: Value) -> Result<Self, String> {
        match value {
            Value::Double(number) => Ok(number),
            other => Err(another_type(&other)),
        }
    }
}

impl Field for PathBuf {
    fn to_value(&self) -> Value {
        Value::Path(self.clone())
    }

    fn from_value(value: Value) -> Result<Self, String> {
        match value {
            Value::Path(path) => Ok(path),
            other => Err(another_type(&other)),
        }
    }
}

impl Field for LayerWeights {
    fn to_value(&self) -> Value {
        Value::Text(self.to_string())
    }

    fn from_value(value: Value) -> Result<Self, String> {
        match value {
            Value::Text(text) => text.parse().map_err(|error: LayerWeightsError| error.to_string()),
            other => Err(another_type(&other)),
        }
    }
}

impl<F: Field> Field for Option<F> {
    fn to_value(&self) -> Value {
        self.as_ref().map_or(Value::Unset, F::to_value)
    }

    fn from_value(value: Value) -> Result<Self, String> {
        match value {
            Value::Unset => Ok(None),
            value => F::from_value(value).map(Some),
        }
    }
}
