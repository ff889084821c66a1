// SPDX-License-Identifier: MIT OR Apache-2.0

//! How the values of flags are read, and refused.

use std::ops::RangeInclusive;
use std::str::FromStr;

use clap::builder::{PossibleValuesParser, TypedValueParser, ValueParser};

/// A word out of a list.
pub fn choice<T>(names: &'static [&'static str]) -> impl TypedValueParser<Value = T>
where
    T: FromStr + Clone + Send + Sync + 'static,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    PossibleValuesParser::new(names).try_map(|word| word.parse::<T>())
}

/// A whole number within a range.
pub fn count(range: RangeInclusive<usize>) -> ValueParser {
    ValueParser::new(move |text: &str| {
        let asked = || match *range.end() {
            usize::MAX => format!("write a number of {} or more", range.start()),
            end => format!("write a number from {} to {end}", range.start()),
        };
        let number = text.parse::<usize>().ok().filter(|number| range.contains(number));
        number.ok_or_else(asked)
    })
}

/// Width and height in pixels, as in 192x112.
pub fn size(text: &str) -> Result<(usize, usize), String> {
    let side = |side: &str| side.parse().ok().filter(|px| (16..=8192).contains(px));
    text.split_once('x')
        .and_then(|(width, height)| Some((side(width)?, side(height)?)))
        .ok_or_else(|| "write e.g. 192x112, with sides from 16 to 8192".into())
}

/// "1 frame", "2 frames".
pub fn counted(number: usize, thing: &str) -> String {
    match number {
        1 => format!("1 {thing}"),
        _ => format!("{number} {thing}s"),
    }
}
