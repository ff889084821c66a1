// SPDX-License-Identifier: MIT OR Apache-2.0

//! How far a picture is from grey: max(R, G, B) − min(R, G, B) of its pixels, in steps of a byte.

use neuralstyle::stylizer::Frame;

/// The mean over the pixels, and the 99th percentile: the least value that is not exceeded by 99 % of them. Both are 0 for
/// a grey picture.
pub fn distance(frame: &Frame) -> (f64, f64) {
    let spread = |pixel: &[u8]| {
        pixel
            .iter()
            .max()
            .zip(pixel.iter().min())
            .map_or(0, |(max, min)| max - min)
    };
    let mut spreads: Vec<u8> = frame.rgb().chunks_exact(3).map(spread).collect();
    spreads.sort_unstable();
    let count = spreads.len();
    let mean = spreads.iter().map(|&spread| f64::from(spread)).sum::<f64>() / count as f64;
    let place = (count * 99).div_ceil(100).max(1) - 1;
    (mean, f64::from(spreads[place]))
}
