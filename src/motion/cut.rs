// SPDX-License-Identifier: MIT OR Apache-2.0

use super::gray::Gray;
use super::tracker::Tracker;
use crate::picture::Picture;

/// Side of the thumbnail on which frames are compared, in cells.
const CELLS: usize = 16;
/// Bins of a colour channel in the histogram.
const BINS: usize = 8;
/// The mean change of the thumbnail's colours that counts as much as histograms with nothing in common.
const FULL_CHANGE: f64 = 0.25;
/// Longer side of the picture in which motion is looked for, in pixels.
const SMALL: usize = 96;
/// The largest share of a frame's structure that the frame before may leave unexplained within a scene.
const UNEXPLAINED: f64 = 0.4;

/// Tells whether a frame belongs to another scene than the one before.
///
/// The measure is the geometric mean of two, each in 0..1: how little the colour histograms overlap, and how much the
/// colours of a 16 × 16 thumbnail have changed. A pan changes the thumbnail but not the histogram, and an object
/// that changes its colour little of the thumbnail; a cut changes both. So do a flash and a fast fade, but they leave what
/// the frame shows in its place:
/// a change of colours is no cut if the frame before, moved and brought to the same light, explains this one.
///
/// A picture that fades in is begun again on the way, and once more when nearly all of it is there: what was painted on
/// black is no painting of it. One that fades out goes on.
#[derive(Debug, Default)]
pub struct CutDetector {
    before: Option<Signature>,
    tracker: Tracker,
    fade_in: FadeIn,
}

impl CutDetector {
    /// Compares `frame`, whose luma at any size is `gray`, with the one of the last call and remembers it. `threshold` is in
    /// 0..1; at 1 nothing is a cut. The first frame is none.
    pub fn is_cut(&mut self, frame: &Picture, gray: &Gray, threshold: f64) -> bool {
        let (width, height) = Signature::size(frame);
        self.compare(Signature::of(frame, gray.resized(width, height)), threshold)
    }

    fn compare(&mut self, now: Signature, threshold: f64) -> bool {
        let is_cut = self.before.as_ref().is_some_and(|before| {
            now.difference(before) > threshold && is_another_scene(&mut self.tracker, &before.gray, &now.gray)
        });
        if is_cut {
            self.fade_in = FadeIn::default();
        }
        let is_begun = self.fade_in.begins_again(moments(&now.gray).1.sqrt());
        self.before = Some(now);
        is_cut || (is_begun && threshold < 1.0)
    }

    /// Forgets the last frame: the next one is compared with nothing.
    pub fn forget(&mut self) {
        self.before = None;
        self.fade_in = FadeIn::default();
    }
}

/// The standard deviation of the luma, in steps of a byte, below which a frame shows next to nothing.
const NOTHING: f32 = 4.0;
/// How many times the contrast has grown since a painting was begun when it is begun again: while it still grows, and when it
/// does no more.
const GROWN: f32 = 2.0;
const GROWN_IN_THE_END: f32 = 1.15;
/// A contrast that has not grown so many times in so many frames does not grow any more. A fade of ten seconds does.
const GROWING: f32 = 1.02;
const FRAMES_WITHOUT_GROWTH: usize = 8;

/// Follows the contrast of a picture that comes out of nothing.
#[derive(Debug, Default)]
struct FadeIn {
    /// The contrast when the painting was begun last, as long as it may still grow.
    begun: Option<f32>,
    /// The contrast when it was last seen to have grown, and the frames since.
    grown_to: f32,
    without_growth: usize,
}

impl FadeIn {
    /// Takes the contrast of the next frame. Says whether it is to be begun again with that frame.
    fn begins_again(&mut self, contrast: f32) -> bool {
        if contrast < NOTHING {
            *self = Self {
                begun: Some(NOTHING),
                grown_to: contrast,
                without_growth: 0,
            };
            return false;
        }
        let Some(begun) = self.begun else { return false };
        if contrast > GROWING * self.grown_to {
            (self.grown_to, self.without_growth) = (contrast, 0);
        } else {
            self.without_growth += 1;
        }
        let has_ended = self.without_growth >= FRAMES_WITHOUT_GROWTH;
        let grown = contrast / begun;
        let begins = grown >= GROWN || (has_ended && grown >= GROWN_IN_THE_END);
        if has_ended {
            self.begun = None;
        } else if begins {
            self.begun = Some(contrast);
        }
        begins
    }
}

/// Whether motion and light do not explain how `now` came from `before`. Pictures without structure can only be compared by
/// their colours, so that the answer is yes.
fn is_another_scene(tracker: &mut Tracker, before: &Gray, now: &Gray) -> bool {
    if (before.width, before.height) != (now.width, now.height) {
        return true;
    }
    // Patches are compared by their brightness, so both pictures get the same mean and contrast first.
    let (Some(before), Some(now)) = (normalized(before), normalized(now)) else {
        return true;
    };
    tracker.forget();
    tracker.track(&before, &now);
    tracker
        .unexplained(&before, &now)
        .is_none_or(|share| share > UNEXPLAINED)
}

/// A picture with a mean of 128 and a standard deviation of 40; `None` if it is flat.
fn normalized(picture: &Gray) -> Option<Gray> {
    let (mean, variance) = moments(picture);
    let mut even = picture.clone();
    for value in &mut even.pixels {
        *value = 128.0 + 40.0 * (*value - mean) / variance.sqrt();
    }
    (variance > 1.0).then_some(even)
}

/// Mean and variance.
fn moments(picture: &Gray) -> (f32, f32) {
    let count = picture.pixels.len() as f32;
    let mean = picture.pixels.iter().sum::<f32>() / count;
    let squares = picture.pixels.iter().map(|value| (value - mean).powi(2));
    (mean, squares.sum::<f32>() / count)
}

/// The features of a frame that are compared.
#[derive(Debug)]
struct Signature {
    /// Share of the pixels in each bin of R × G × B.
    histogram: Vec<f32>,
    /// Mean colours of the cells, 0..1.
    thumbnail: Vec<f32>,
    /// The luma, in which motion is looked for.
    gray: Gray,
}

impl Signature {
    /// Width and height of the picture in which motion is looked for.
    fn size(frame: &Picture) -> (usize, usize) {
        let (width, height) = (frame.width(), frame.height());
        let side = |length: usize| (length * SMALL / width.max(height).max(SMALL)).max(1);
        (side(width), side(height))
    }

    fn of(frame: &Picture, gray: Gray) -> Self {
        let ((width, height), view) = (frame.size(), frame.view());
        let mut histogram = vec![0.0; BINS * BINS * BINS];
        let mut thumbnail = vec![0.0; CELLS * CELLS * 3];
        let mut counts = vec![0.0f32; CELLS * CELLS];
        // A few thousand pixels are enough.
        let stride = (width.max(height) / 128).max(1);
        for y in (0..height).step_by(stride) {
            for x in (0..width).step_by(stride) {
                let colour = view.colour(x, y);
                let bin = colour.iter().fold(0, |bin, value| {
                    let byte = (255.0 * value).round() as usize;
                    bin * BINS + byte * BINS / 256
                });
                histogram[bin] += 1.0;
                let cell = y * CELLS / height * CELLS + x * CELLS / width;
                counts[cell] += 1.0;
                for (sum, value) in thumbnail[cell * 3..].iter_mut().zip(colour) {
                    *sum += value as f32;
                }
            }
        }
        let total: f32 = counts.iter().sum();
        histogram.iter_mut().for_each(|bin| *bin /= total.max(1.0));
        for (cell, count) in thumbnail.chunks_exact_mut(3).zip(&counts) {
            cell.iter_mut().for_each(|sum| *sum /= count.max(1.0));
        }
        Self {
            histogram,
            thumbnail,
            gray,
        }
    }

    /// 0 for the same frame, 1 for nothing in common.
    fn difference(&self, other: &Self) -> f64 {
        let apart = |a: &[f32], b: &[f32]| {
            a.iter()
                .zip(b)
                .map(|(a, b)| f64::from((a - b).abs()))
                .sum::<f64>()
        };
        let histogram = 0.5 * apart(&self.histogram, &other.histogram);
        let change = apart(&self.thumbnail, &other.thumbnail) / self.thumbnail.len() as f64;
        (histogram * (change / FULL_CHANGE).min(1.0)).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_cut(cuts: &mut CutDetector, frame: &Picture, threshold: f64) -> bool {
        let gray = Gray::of(frame, frame.width(), frame.height());
        cuts.is_cut(frame, &gray, threshold)
    }

    /// A scene of soft colours that `seed` makes, seen from `shift` pixels further right.
    fn scene(seed: f32, shift: f32) -> Picture {
        let (width, height) = (96, 54);
        let mut frame = Picture::new(width, height);
        for (index, pixel) in frame.rgb_mut().chunks_exact_mut(3).enumerate() {
            let (x, y) = ((index % width) as f32 + shift, (index / width) as f32);
            for (channel, value) in pixel.iter_mut().enumerate() {
                let phase = seed * (channel as f32 + 1.3);
                let wave = (x * 0.07 * seed + phase).sin() * (y * 0.05 + phase * 2.0).cos();
                *value = (128.0 + 60.0 * wave + 50.0 * phase.sin()) as u8;
            }
        }
        frame
    }

    #[test]
    fn a_pan_is_no_cut_and_another_scene_is_one() {
        let mut cuts = CutDetector::default();
        for step in 0..10 {
            assert!(
                !is_cut(&mut cuts, &scene(1.0, step as f32 * 3.0), 0.3),
                "step {step}"
            );
        }
        assert!(is_cut(&mut cuts, &scene(2.6, 0.0), 0.3));
        assert!(!is_cut(&mut cuts, &scene(2.6, 2.0), 0.3));
    }

    /// A frame in another light.
    fn lit(mut frame: Picture, gain: f32, lift: f32) -> Picture {
        for value in frame.rgb_mut() {
            *value = (gain * f32::from(*value) + lift) as u8;
        }
        frame
    }

    #[test]
    fn a_flash_and_a_fade_are_no_cuts() {
        let mut cuts = CutDetector::default();
        assert!(!is_cut(&mut cuts, &scene(1.0, 0.0), 0.3));
        let flash = lit(scene(1.0, 1.0), 0.4, 150.0);
        let seen = |frame: &Picture| Signature::of(frame, Gray::default());
        let colours = seen(&flash).difference(&seen(&scene(1.0, 0.0)));
        assert!(colours > 0.3, "the flash is a strong one: {colours}");
        assert!(!is_cut(&mut cuts, &flash, 0.3), "into the flash");
        assert!(!is_cut(&mut cuts, &scene(1.0, 2.0), 0.3), "out of the flash");
        for step in 1..8 {
            let faded = lit(scene(1.0, 2.0 + step as f32), 1.0 - step as f32 / 8.0, 0.0);
            assert!(!is_cut(&mut cuts, &faded, 0.3), "step {step} of the fade");
        }
    }

    #[test]
    fn a_scene_that_fades_in_is_begun_again_and_at_last_when_nearly_all_of_it_is_there() {
        // Within half a second, with frames that are there twice, and within ten.
        for (steps, frames_alike) in [(12, 1), (12, 2), (300, 1)] {
            let fade = (0..steps + 12).map(|step| (step as f32 / steps as f32).min(1.0));
            let begun = |threshold: f64| -> Vec<f32> {
                let mut cuts = CutDetector::default();
                let mut begun = Vec::new();
                for gain in fade.clone().flat_map(|gain| vec![gain; frames_alike]) {
                    if is_cut(&mut cuts, &lit(scene(1.0, 0.0), gain, 0.0), threshold) {
                        begun.push(gain);
                    }
                }
                begun
            };
            let found = begun(0.3);
            assert!((1..=4).contains(&found.len()), "{found:?}");
            assert!(
                found.last().is_some_and(|gain| gain * GROWN_IN_THE_END >= 1.0),
                "{found:?}"
            );
            assert_eq!(begun(1.0), Vec::<f32>::new());
        }
    }

    #[test]
    fn a_dark_scene_is_not_begun_again_and_neither_is_one_that_fades_out() {
        let mut cuts = CutDetector::default();
        for step in 0..30 {
            let flicker = 0.15 + 0.01 * (step % 3) as f32;
            assert!(
                !is_cut(&mut cuts, &lit(scene(1.0, 0.0), flicker, 0.0), 0.3),
                "{step}"
            );
        }
        let mut cuts = CutDetector::default();
        for step in 0..13 {
            let gain = 1.0 - step as f32 / 12.0;
            assert!(
                !is_cut(&mut cuts, &lit(scene(1.0, 0.0), gain, 0.0), 0.3),
                "{step}"
            );
        }
    }

    #[test]
    fn a_threshold_of_one_finds_no_cut_and_a_forgotten_scene_neither() {
        let (mut black, mut white) = (Picture::new(8, 8), Picture::new(8, 8));
        black.rgb_mut().fill(0);
        white.rgb_mut().fill(255);
        let mut cuts = CutDetector::default();
        assert!(!is_cut(&mut cuts, &black, 0.3));
        assert!(!is_cut(&mut cuts, &white, 1.0));
        assert!(is_cut(&mut cuts, &black, 0.3));
        cuts.forget();
        assert!(!is_cut(&mut cuts, &white, 0.3));
    }
}
