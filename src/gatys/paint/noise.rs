// SPDX-License-Identifier: MIT OR Apache-2.0

/// Uniform numbers in 0..1 from a seed: SplitMix64 (Steele, Lea and Flood 2014).
pub fn noise(seed: u32, count: usize) -> Vec<f32> {
    let mut state = u64::from(seed);
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    // The upper 24 bits fill a float's mantissa exactly.
    (0..count)
        .map(|_| (next() >> 40) as f32 / (1u64 << 24) as f32)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_uniform_and_its_own_for_each_seed() {
        let values = noise(1, 30_000);
        let mean = values.iter().map(|&value| f64::from(value)).sum::<f64>() / 30_000.0;
        // The mean of 30 000 uniform numbers has a standard deviation of 0.0017.
        assert!((mean - 0.5).abs() < 0.008, "{mean}");
        assert!(values.iter().all(|value| (0.0..1.0).contains(value)));
        assert_eq!(values, noise(1, 30_000));
        assert_ne!(values, noise(2, 30_000));
    }
}
