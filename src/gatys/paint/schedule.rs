// SPDX-License-Identifier: MIT OR Apache-2.0

//! How many steps at which size, and how far each of them goes.

use crate::settings::MOST_SCALES;

/// Each scale's share of the cost of a coarse-to-fine run, the full size first. Found by trials: half of the work
/// belongs to the sizes at which large strokes are laid out.
const SHARES: [&[f64]; MOST_SCALES] = [
    &[1.0],
    &[0.5, 0.5],
    &[0.375, 0.4375, 0.1875],
    &[0.375, 0.4, 0.15, 0.075],
];

/// Scales for a picture whose longer side has `longer` pixels.
pub fn scales_for(longer: usize) -> usize {
    match longer {
        0..=127 => 1,
        128..=383 => 2,
        384..=1023 => 3,
        _ => 4,
    }
}

/// Width and height at `scale` (0 = full), never below what the network can look at.
pub fn size_at(size: (usize, usize), scale: usize) -> (usize, usize) {
    let shrink = |length: usize| (length >> scale).max(SMALLEST).min(length.max(1));
    (shrink(size.0), shrink(size.1))
}

/// No side of a coarse picture is made smaller than this many pixels.
const SMALLEST: usize = 16;

/// Steps at each of `scales` sizes, the full size first, that together cost `equivalents` full-size steps. With one
/// scale these are exactly `equivalents` steps.
pub fn steps(equivalents: usize, scales: usize) -> Vec<usize> {
    let shares = SHARES[scales.clamp(1, MOST_SCALES) - 1];
    let steps = |(scale, share): (usize, &f64)| {
        let exact = equivalents as f64 * share * f64::powi(4.0, scale as i32);
        (exact.round() as usize).max(usize::from(equivalents > 0))
    };
    shares.iter().enumerate().map(steps).collect()
}

/// The rate at step `index` of `count`: constant, then over the last `decay` of the steps falling linearly to 5 %.
pub fn rate(rate: f64, index: usize, count: usize, decay: f64) -> f64 {
    let constant = count as f64 * (1.0 - decay);
    let falling = (count as f64 - constant).max(1e-9);
    let progress = ((index as f64 - constant) / falling).clamp(0.0, 1.0);
    rate * (1.0 - 0.95 * progress)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_steps_cost_what_was_asked() {
        assert_eq!(steps(40, 1), [40]);
        assert_eq!(steps(40, 2), [20, 80]);
        assert_eq!(steps(40, 3), [15, 70, 120]);
        for scales in 1..=MOST_SCALES {
            let cost: f64 = steps(64, scales)
                .iter()
                .enumerate()
                .map(|(scale, &n)| n as f64 / f64::powi(4.0, scale as i32))
                .sum();
            assert!((cost - 64.0).abs() < 1.0, "{scales}: {cost}");
            assert!(steps(1, scales).iter().all(|&n| n > 0));
            assert!(steps(0, scales).iter().all(|&n| n == 0));
        }
    }

    #[test]
    fn the_rate_falls_only_at_the_end() {
        let rates: Vec<f64> = (0..10).map(|index| rate(1.0, index, 10, 0.4)).collect();
        assert!(rates[..7].iter().all(|&rate| rate == 1.0));
        assert!(rates.windows(2).all(|pair| pair[1] <= pair[0]));
        assert!(rates[9] < 0.5 && rates[9] > 0.05);
        assert_eq!(rate(1.0, 9, 10, 0.0), 1.0);
    }

    #[test]
    fn small_pictures_are_not_shrunk_away() {
        assert_eq!(size_at((256, 144), 1), (128, 72));
        assert_eq!(size_at((40, 20), 2), (16, 16));
        assert_eq!(size_at((5, 300), 1), (5, 150));
    }
}
