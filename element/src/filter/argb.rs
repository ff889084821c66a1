// SPDX-License-Identifier: MIT OR Apache-2.0

//! Pixels with alpha, which comes first, and pixels without.

/// Samples of a pixel with alpha.
const CHANNELS: usize = 4;

/// The colours of pixels with alpha.
pub fn leave_alpha<S: Copy>(argb: &[S], rgb: &mut [S]) {
    for (rgb, argb) in rgb.chunks_exact_mut(3).zip(argb.chunks_exact(CHANNELS)) {
        rgb.copy_from_slice(&argb[1..]);
    }
}

/// The same for bytes, four pixels at a time: this is done to each frame, and three bytes alone are slow to copy.
pub fn leave_alpha_of_bytes(argb: &[u8], rgb: &mut [u8]) {
    let (fours, rest) = argb.as_chunks::<16>();
    let (threes, rest_rgb) = rgb.as_chunks_mut::<12>();
    for (rgb, argb) in threes.iter_mut().zip(fours) {
        // Little-endian: the first byte, alpha, is the lowest.
        let [a, b, c, d] = words(argb).map(|pixel| pixel >> 8);
        let packed = [a | b << 24, b >> 8 | c << 16, c >> 16 | d << 8];
        for (bytes, word) in rgb.as_chunks_mut::<4>().0.iter_mut().zip(packed) {
            *bytes = word.to_le_bytes();
        }
    }
    leave_alpha(rest, rest_rgb);
}

/// Gives pixels other colours, and opaque alpha unless theirs is kept.
pub fn beside_alpha<S: Copy>(rgb: &[S], argb: &mut [S], keep_alpha: bool, opaque: S) {
    for (rgb, argb) in rgb.chunks_exact(3).zip(argb.chunks_exact_mut(CHANNELS)) {
        if !keep_alpha {
            argb[0] = opaque;
        }
        argb[1..].copy_from_slice(rgb);
    }
}

/// The same for bytes, four pixels at a time.
pub fn beside_alpha_of_bytes(rgb: &[u8], argb: &mut [u8], keep_alpha: bool) {
    let (threes, rest_rgb) = rgb.as_chunks::<12>();
    let (fours, rest) = argb.as_chunks_mut::<16>();
    for (rgb, argb) in threes.iter().zip(fours) {
        let [a, b, c] = words(rgb);
        let colours = [
            a << 8,
            a >> 16 & 0xff00 | b << 16,
            b >> 8 & 0xffff00 | c << 24,
            c & 0xffff_ff00,
        ];
        for (bytes, colour) in argb.as_chunks_mut::<4>().0.iter_mut().zip(colours) {
            let alpha = if keep_alpha { bytes[0] } else { u8::MAX };
            *bytes = (colour | u32::from(alpha)).to_le_bytes();
        }
    }
    beside_alpha(rest_rgb, rest, keep_alpha, u8::MAX);
}

/// Bytes as little-endian words.
fn words<const BYTES: usize, const WORDS: usize>(bytes: &[u8; BYTES]) -> [u32; WORDS] {
    let (words, _) = bytes.as_chunks::<4>();
    std::array::from_fn(|at| u32::from_le_bytes(words[at]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_pixels_at_a_time_are_the_same_as_one() {
        for pixels in [0, 1, 3, 4, 5, 8, 11] {
            let argb: Vec<u8> = (0..4 * pixels).map(|i| (i * 37 + 11) as u8).collect();
            let (mut fast, mut slow) = (vec![0; 3 * pixels], vec![0; 3 * pixels]);
            leave_alpha_of_bytes(&argb, &mut fast);
            leave_alpha(&argb, &mut slow);
            assert_eq!(fast, slow, "{pixels}");
            for keep_alpha in [false, true] {
                let (mut fast, mut slow) = (vec![7; 4 * pixels], vec![7; 4 * pixels]);
                beside_alpha_of_bytes(&argb[..3 * pixels], &mut fast, keep_alpha);
                beside_alpha(&argb[..3 * pixels], &mut slow, keep_alpha, u8::MAX);
                assert_eq!(fast, slow, "{pixels} {keep_alpha}");
            }
        }
    }
}
