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

/// Frames per second, as in 25, 29.97 or 30000/1001: how many frames in how many seconds.
pub fn rate(text: &str) -> Result<(u32, u32), String> {
    let whole = |number: &str| number.parse::<u32>().ok().filter(|number| *number > 0);
    let rate = match text.split_once(['/', '.']) {
        Some((frames, seconds)) if text.contains('/') => whole(frames).zip(whole(seconds)),
        Some((_, digits)) if digits.len() <= 4 => {
            whole(&text.replace('.', "")).zip(10_u32.checked_pow(digits.len() as u32))
        }
        Some(_) => None,
        None => whole(text).map(|frames| (frames, 1)),
    };
    rate.filter(|(frames, seconds)| (1..=1000).contains(&frames.div_ceil(*seconds)))
        .ok_or_else(|| "write e.g. 25, 23.976 or 30000/1001, up to 1000".into())
}

/// "1 frame", "2 frames".
pub fn counted(number: usize, thing: &str) -> String {
    match number {
        1 => format!("1 {thing}"),
        _ => format!("{number} {thing}s"),
    }
}
