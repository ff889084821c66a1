// SPDX-License-Identifier: MIT OR Apache-2.0

//! Resampling as all backends do it: separable, along rows and along columns, with the Catmull-Rom cubic
//! (Keys 1981, a = −½), stretched when shrinking so that nothing aliases. Its gain never exceeds 1 for any shift,
//! so nothing grows when it is applied again and again.

/// For each of the output samples: the first input sample and `width` weights that sum to 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Taps {
    /// Weights per output sample.
    pub width: usize,
    /// `[outputs]`: index of the input sample under the first weight.
    pub first: Vec<usize>,
    /// `[outputs, width]`.
    pub weights: Vec<f32>,
}

impl Taps {
    /// Taps that turn `inputs` samples into `outputs`, both ≥ 1. Centres of samples are at half-integers; what lies
    /// beyond the ends is left out and the rest weighed up.
    pub fn new(inputs: usize, outputs: usize) -> Self {
        if inputs == outputs {
            return Self {
                width: 1,
                first: (0..outputs).collect(),
                weights: vec![1.0; outputs],
            };
        }
        let step = inputs as f64 / outputs as f64;
        let (stretch, reach) = (step.max(1.0), Self::reach(inputs, outputs));
        let width = Self::width(inputs, outputs);
        let mut first = Vec::with_capacity(outputs);
        let mut weights = Vec::with_capacity(outputs * width);
        for output in 0..outputs {
            let centre = (output as f64 + 0.5) * step - 0.5;
            let start = ((centre - reach).ceil().max(0.0) as usize).min(inputs - width);
            let row: Vec<f64> = (start..start + width)
                .map(|input| catmull_rom((input as f64 - centre) / stretch))
                .collect();
            let sum: f64 = row.iter().sum();
            first.push(start);
            weights.extend(row.iter().map(|weight| (weight / sum) as f32));
        }
        Self {
            width,
            first,
            weights,
        }
    }

    /// Weights per output sample of the taps that turn `inputs` samples into `outputs`.
    pub fn width(inputs: usize, outputs: usize) -> usize {
        if inputs == outputs {
            return 1;
        }
        // The samples nearer than `reach` to a place; at `reach` itself the kernel is zero.
        ((2.0 * Self::reach(inputs, outputs)).ceil() as usize).min(inputs)
    }

    /// How far the kernel reaches to either side, in input samples.
    fn reach(inputs: usize, outputs: usize) -> f64 {
        2.0 * (inputs as f64 / outputs as f64).max(1.0)
    }

    /// First input sample and weights of one output sample.
    pub fn of(&self, output: usize) -> (usize, &[f32]) {
        (
            self.first[output],
            &self.weights[output * self.width..(output + 1) * self.width],
        )
    }
}

/// Keys' cubic convolution kernel with a = −½.
pub fn catmull_rom(x: f64) -> f64 {
    let x = x.abs();
    if x < 1.0 {
        (1.5 * x - 2.5) * x * x + 1.0
    } else if x < 2.0 {
        ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    } else {
        0.0
    }
}

/// Where sample `index` of an endless mirrored continuation lies in 0..`length` (the end samples are not repeated:
/// … 2 1 0 1 2 …).
pub fn mirrored(index: isize, length: usize) -> usize {
    if length == 1 {
        return 0;
    }
    let period = 2 * (length as isize - 1);
    let folded = index.rem_euclid(period);
    folded.min(period - folded) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_size_changes_nothing() {
        let taps = Taps::new(7, 7);
        for output in 0..7 {
            let (first, weights) = taps.of(output);
            for (offset, weight) in weights.iter().enumerate() {
                assert_eq!(*weight, if first + offset == output { 1.0 } else { 0.0 });
            }
        }
    }

    #[test]
    fn a_constant_stays_constant_at_every_size() {
        for inputs in 1..12 {
            for outputs in 1..30 {
                let taps = Taps::new(inputs, outputs);
                for output in 0..outputs {
                    let (first, weights) = taps.of(output);
                    assert!(first + weights.len() <= inputs);
                    assert!((weights.iter().sum::<f32>() - 1.0).abs() < 1e-6);
                }
            }
        }
    }

    #[test]
    fn a_ramp_stays_a_ramp_inside() {
        let taps = Taps::new(16, 40);
        for output in 8..32 {
            let (first, weights) = taps.of(output);
            let value: f32 = weights
                .iter()
                .enumerate()
                .map(|(i, w)| w * (first + i) as f32)
                .sum();
            let expected = (output as f32 + 0.5) * 0.4 - 0.5;
            assert!((value - expected).abs() < 1e-5, "{value} {expected}");
        }
    }

    #[test]
    fn mirroring_folds_back_from_both_ends() {
        let row: Vec<usize> = (-4..8).map(|i| mirrored(i, 4)).collect();
        assert_eq!(row, [2, 3, 2, 1, 0, 1, 2, 3, 2, 1, 0, 1]);
        assert_eq!(mirrored(-3, 1), 0);
    }
}
