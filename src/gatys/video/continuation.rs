// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a painting carries over from one frame to the next.

use crate::backend::{Backend, ColourMap, ColourStatistics, Interpolation, Shape, Slot};
use crate::gatys::Result;
use crate::gatys::paint::colour::{follow, matching};
use crate::gatys::paint::scale::ScaleState;
use crate::gatys::video::displacement::{Displacement, DisplacementMaps};
use crate::picture::LUMA;

/// How much of what is not settled yet stays so for another frame: some four frames after a place came into view its
/// painting takes small steps like all others.
const UNSETTLED_LEFT: f32 = 0.8;
/// The part of its second moment that Adam keeps from frame to frame where nothing is settled. Its steps are √3 times as
/// large after one frame, and larger after more, since the moment fills slowly.
const MOMENT_KEPT: f32 = 0.35;
/// What a painting is held to is a mean of its keyframes, moved along: how much of it stays in it for another keyframe. The
/// longer it remembers the calmer is a painting over ten frames, and the less of the style it has.
const ANCHOR_KEPT: f32 = 0.5;

/// The most by which a frame's finest detail is made stronger or weaker, as a share.
const MOST_GAIN: f64 = 0.2;
/// What adding a share of the finest detail does not add to it: a blur leaves some of it, which is then not among it.
const RESPONSE: f64 = 1.5;
/// The share of its contrast, squared, that the content may lose before the painting follows it: things come and go in
/// a frame, but a fade to black ends in black.
const FADED: f64 = 0.05;

/// The shift between the sides of a picture and of its small version, in which nothing but the large areas is left.
const LOW: usize = 2;

/// To the luma (BT.601), in all three channels.
const GREY: ColourMap = ColourMap {
    matrix: [LUMA; 3],
    offset: [0.0; 3],
};

/// Moves a painting along with what it shows.
pub struct Continuation<B: Backend> {
    border: usize,
    /// [3, H, W] of the picture with its margin.
    shape: Shape,
    /// [2, H, W].
    flow: B::Tensor,
    /// [1, H, W].
    trust: B::Tensor,
    /// [1, H, W], 0..1: how much of the picture shown last is mixed into the one shown now.
    share: B::Tensor,
    /// [1, H, W]: 0 where something has just come into view, 1 where it has been for long.
    settled: B::Tensor,
    /// [1, H, W]: scratch.
    plane: B::Tensor,
    /// [1, H, W]: zeros.
    nothing: B::Tensor,
    /// [3, H, W]: scratch, mostly for what was moved along the flow.
    moved: B::Tensor,
    /// [3, H / 4, W / 4]: scratch, a small version in which only large areas are left.
    low: B::Tensor,
    /// The picture that is shown: [3, H, W].
    output: B::Tensor,
    /// [3, H, W]: a copy of a picture with zeros in its margin, for the statistics of its colours.
    inside: B::Tensor,
    /// [2]: energy of the finest detail, grey and coloured, on its way to the host.
    sums: B::Tensor,
    beginning: Beginning,
    light: Light,
    /// Colours of the content, of the last frames.
    content: ColourStatistics,
    maps: DisplacementMaps,
}

fn low_shape(shape: Shape) -> Shape {
    Shape::new(
        shape.channels,
        (shape.height >> LOW).max(1),
        (shape.width >> LOW).max(1),
    )
}

impl<B: Backend> Continuation<B> {
    /// For a picture [3, H, W] with a margin of `border` pixels.
    pub fn new(ops: &mut B, shape: Shape, border: usize) -> Result<Self> {
        Ok(Self {
            border,
            shape,
            flow: ops.tensor(shape.with_channels(2))?,
            trust: ops.tensor(shape.with_channels(1))?,
            share: ops.tensor(shape.with_channels(1))?,
            settled: ops.tensor(shape.with_channels(1))?,
            plane: ops.tensor(shape.with_channels(1))?,
            nothing: ops.tensor(shape.with_channels(1))?,
            moved: ops.tensor(shape)?,
            low: ops.tensor(low_shape(shape))?,
            output: ops.tensor(shape)?,
            inside: ops.tensor(shape)?,
            sums: ops.tensor(Shape::vector(2))?,
            beginning: Beginning::default(),
            light: Light::default(),
            content: ColourStatistics::default(),
            maps: DisplacementMaps::default(),
        })
    }

    /// The picture that is shown, [3, H, W].
    pub fn output(&self) -> &B::Tensor {
        &self.output
    }

    /// Takes a picture that owes nothing to one before.
    pub fn begin(&mut self, ops: &mut B, state: &mut ScaleState<B>) -> Result<()> {
        ops.copy(&state.picture, &mut self.output)?;
        ops.copy(&state.picture, state.objective.anchor().0)?;
        ops.fill(1.0, &mut self.settled)?;
        let painting = self.colours(ops, &state.picture)?;
        let content = self.colours(ops, &state.content)?;
        self.beginning = Beginning {
            above: luma(&painting) - luma(&content),
            fine: self.fine_detail(ops, state)?,
            content_variance: variance(&content),
            restyled: 0,
        };
        self.light = Light::new(luma(&content));
        self.content = content;
        Ok(())
    }

    /// Another style is what is painted from now on: its strokes, and so its finest detail, come over the next keyframes.
    pub fn restyle(&mut self) {
        self.beginning.restyled = RESTYLED_KEYFRAMES;
    }

    /// Maps the colours of a painting that goes on.
    pub fn recolour(
        &mut self,
        ops: &mut B,
        state: &mut ScaleState<B>,
        recolouring: &ColourMap,
    ) -> Result<()> {
        let before = self.colours(ops, &state.picture)?;
        ops.colour_map(&state.picture, recolouring, &mut self.moved)?;
        ops.copy(&self.moved, &mut state.picture)?;
        ops.colour_map(&self.output, recolouring, &mut self.moved)?;
        std::mem::swap(&mut self.output, &mut self.moved);
        let (anchor, _) = state.objective.anchor();
        ops.colour_map(anchor, recolouring, &mut self.moved)?;
        ops.copy(&self.moved, anchor)?;
        let after = self.colours(ops, &state.picture)?;
        self.beginning.above += luma(&after) - luma(&before);
        Ok(())
    }

    /// Takes the motion for the next [`advance`](Self::advance), and the [steadiness](crate::gatys::Run::steadiness).
    pub fn lay_out(&mut self, displacement: Displacement, steadiness: f64) {
        self.maps.lay_out(displacement, self.shape, self.border);
        for share in &mut self.maps.share {
            *share *= steadiness as f32;
        }
    }

    /// Moves the picture, and what its optimiser knows, to where the new content is. What came into view is
    /// laid out in the colours of the `style`, with the strokes of the surroundings. So many `steps` follow.
    pub fn advance(
        &mut self,
        ops: &mut B,
        state: &mut ScaleState<B>,
        style: &ColourStatistics,
        steps: usize,
    ) -> Result<()> {
        ops.upload(&self.maps.flow, &mut self.flow)?;
        ops.upload(&self.maps.trust, &mut self.trust)?;
        ops.upload(&self.maps.share, &mut self.share)?;

        let sharp = Interpolation::CatmullRom;
        ops.warp(&self.output, &self.flow, sharp, &mut self.moved)?;
        std::mem::swap(&mut self.output, &mut self.moved);

        // moved + (1 − trust) · low-pass of (recoloured content − moved)
        ops.warp(&state.picture, &self.flow, sharp, &mut self.moved)?;
        ops.colour_map(
            &state.content,
            &matching(&self.content, style),
            &mut state.picture,
        )?;
        ops.axpy(-1.0, &self.moved, &mut state.picture)?;
        ops.resize(&state.picture, 0, &mut self.low)?;
        ops.resize(&self.low, 0, &mut state.picture)?;
        ops.axpy(1.0, &self.moved, &mut state.picture)?;
        ops.blend(&state.picture, &self.trust, &mut self.moved)?;
        // The optimiser's step knows the picture by its place in memory, so it is not exchanged.
        ops.copy(&self.moved, &mut state.picture)?;
        ops.mirror_border(&mut state.picture, self.border)?;

        // trust · (1 − left · (1 − settled before))
        ops.warp(
            &self.settled,
            &self.flow,
            Interpolation::Bilinear,
            &mut self.plane,
        )?;
        ops.fill(1.0 - UNSETTLED_LEFT, &mut self.settled)?;
        ops.axpy(UNSETTLED_LEFT, &self.plane, &mut self.settled)?;
        ops.blend(&self.nothing, &self.trust, &mut self.settled)?;
        if let Some(second) = state.optimizer.second_moment() {
            ops.warp(second, &self.flow, Interpolation::Bilinear, &mut self.moved)?;
            ops.copy(&self.moved, second)?;
            ops.axpy(MOMENT_KEPT - 1.0, second, &mut self.moved)?;
            ops.blend(&self.moved, &self.settled, second)?;
        }
        // kept · settled · (anchor before, moved) + (1 − kept · settled) · picture
        let kept = if steps > 0 { ANCHOR_KEPT } else { 1.0 };
        let (anchor, anchor_weight) = state.objective.anchor();
        ops.warp(anchor, &self.flow, sharp, &mut self.moved)?;
        ops.fill(0.0, &mut self.plane)?;
        ops.axpy(kept, &self.settled, &mut self.plane)?;
        ops.blend(&state.picture, &self.plane, &mut self.moved)?;
        ops.copy(&self.moved, anchor)?;
        ops.copy(&self.trust, anchor_weight)?;
        state.optimizer.reset_velocity(ops)
    }

    /// The colours of the inside of a picture. The margin mirrors it, so that what is near the edge would count twice.
    fn colours(&mut self, ops: &mut B, picture: &B::Tensor) -> Result<ColourStatistics> {
        ops.resize(picture, self.border, &mut self.inside)?;
        let all = ops.colour_statistics(&self.inside)?;
        // The margin's zeros count in both moments.
        let side = |length: usize| (length - 2 * self.border) as f64 / length as f64;
        let share = side(self.shape.height) * side(self.shape.width);
        let mean = all.mean.map(|mean| mean / share);
        let covariance = std::array::from_fn(|a| {
            std::array::from_fn(|b| {
                let moment = (all.covariance[a][b] + all.mean[a] * all.mean[b]) / share;
                let covariance = moment - mean[a] * mean[b];
                // Rounding must not leave a negative variance of a flat picture.
                if a == b { covariance.max(0.0) } else { covariance }
            })
        });
        Ok(ColourStatistics { mean, covariance })
    }

    /// Leaves minus the finest detail of the picture in the scale's spare tensor, as far as it is grey, and the rest in
    /// `moved`. Says how much there is of each.
    fn fine_detail(&mut self, ops: &mut B, state: &mut ScaleState<B>) -> Result<[f64; 2]> {
        ops.blur(&state.picture, &mut self.moved)?;
        ops.axpy(-1.0, &state.picture, &mut self.moved)?;
        ops.colour_map(&self.moved, &GREY, &mut state.spare)?;
        ops.axpy(-1.0, &state.spare, &mut self.moved)?;
        for (at, part) in [&state.spare, &self.moved].into_iter().enumerate() {
            ops.squared_norm(
                part,
                Slot {
                    of: &mut self.sums,
                    at,
                },
            )?;
        }
        let mut sums = [0.0; 2];
        ops.download(&self.sums, &mut sums)?;
        Ok(sums.map(f64::from))
    }

    /// Takes what the optimiser made of the picture in the `steps` since [`advance`](Self::advance): undoes what hundreds of
    /// frames would add up, and lets it into what is shown.
    pub fn correct_drift(&mut self, ops: &mut B, state: &mut ScaleState<B>, steps: usize) -> Result<()> {
        let content = self.colours(ops, &state.content)?;
        let fine = self.fine_detail(ops, state)?;
        if steps > 0 {
            self.beginning.take_restyled(fine, variance(&content));
        }
        let [grey, colour] = self.beginning.gains(fine, variance(&content), steps);
        ops.axpy(-grey as f32, &state.spare, &mut state.picture)?;
        ops.axpy(-colour as f32, &self.moved, &mut state.picture)?;
        // Steps frame after frame darken the picture. So its mean luma is set to the content's, smoothed over time, plus the
        // difference that the first frame had. One offset for all channels: the colours are left to the style.
        let painting = self.colours(ops, &state.picture)?;
        let light = self.light.follow(luma(&content)) + self.beginning.above - luma(&painting);
        let shift = ColourMap {
            offset: [light; 3],
            ..ColourMap::IDENTITY
        };
        follow(&mut self.content, &content);
        ops.colour_map(&state.picture, &shift, &mut self.moved)?;
        ops.copy(&self.moved, &mut state.picture)?;
        Ok(ops.blend(&state.picture, &self.share, &mut self.output)?)
    }
}

fn luma(colours: &ColourStatistics) -> f64 {
    (0..3).map(|c| GREY.matrix[0][c] * colours.mean[c]).sum()
}

fn variance(colours: &ColourStatistics) -> f64 {
    (0..3).map(|c| colours.covariance[c][c]).sum()
}

/// The mean luma of a clip, less its flicker: exponential smoothing with a trend (Holt 1957), which follows a steady
/// change without lagging behind.
#[derive(Clone, Copy, Debug, Default)]
struct Light {
    level: f64,
    trend: f64,
}

impl Light {
    /// The shares of the newest frame in the level, and of the newest change of the level in the trend.
    const SHARES: (f64, f64) = (0.3, 0.2);

    fn new(luma: f64) -> Self {
        Self {
            level: luma,
            trend: 0.0,
        }
    }

    fn follow(&mut self, luma: f64) -> f64 {
        let (before, expected) = (self.level, self.level + self.trend);
        self.level = expected + Self::SHARES.0 * (luma - expected);
        self.trend += Self::SHARES.1 * (self.level - before - self.trend);
        self.level
    }
}

/// What is held where it was on the first frame.
#[derive(Clone, Copy, Debug, Default)]
struct Beginning {
    /// What the painting's mean luma has above the content's.
    above: f64,
    /// Energy of the painting's finest detail, grey and coloured. One must not make up for the other.
    fine: [f64; 2],
    /// The variance of the content's colours.
    content_variance: f64,
    /// Keyframes for which the finest detail is not held, since another style has its own.
    restyled: usize,
}

/// Keyframes over which the strokes of a new style come.
const RESTYLED_KEYFRAMES: usize = 20;

impl Beginning {
    /// Takes the finest detail of a new style as it comes, as that to be held, unless the content has faded.
    fn take_restyled(&mut self, fine: [f64; 2], variance: f64) {
        if self.restyled > 0 && self.left(variance) == 1.0 {
            self.restyled -= 1;
            self.fine = fine;
        }
    }

    /// The share of the finest detail that is left while the content's colours have `variance`.
    fn left(&self, variance: f64) -> f64 {
        (variance / (FADED * self.content_variance).max(1e-9)).min(1.0)
    }

    /// By what shares detail of the energies `fine` is to be made stronger, while the content's colours have `variance`.
    ///
    /// Resampling takes from the finest detail, and the style loss may add to it. The more `steps` there were, the more they
    /// hold the balance themselves, and better than an enlarged rest of the detail does.
    fn gains(&self, fine: [f64; 2], variance: f64, steps: usize) -> [f64; 2] {
        let left = self.left(variance);
        let response = RESPONSE / (1 + steps) as f64;
        std::array::from_fn(|part| {
            let ratio = (self.fine[part] * left / fine[part].max(1e-12)).sqrt();
            (response * (ratio - 1.0)).clamp(-MOST_GAIN, MOST_GAIN)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn light_that_flickers_is_not_followed_and_light_that_changes_is() {
        let mut light = Light::new(0.5);
        for frame in 0..30 {
            let flicker = if frame % 2 == 0 { 0.1 } else { -0.1 };
            let level = light.follow(0.5 + flicker);
            assert!((level - 0.5).abs() < 0.05, "frame {frame}: {level}");
        }
        let mut light = Light::new(0.5);
        let ramp = |frame: usize| 0.5 + 0.002 * frame as f64;
        let levels: Vec<f64> = (0..100).map(|frame| light.follow(ramp(frame))).collect();
        assert!((levels[99] - ramp(99)).abs() < 1e-4, "{}", levels[99]);
        assert!((levels[10] - ramp(10)).abs() < 0.008, "{}", levels[10]);
    }

    #[test]
    fn detail_is_held_unless_the_content_fades() {
        let beginning = Beginning {
            above: 0.0,
            fine: [4.0, 1.0],
            content_variance: 0.1,
            restyled: 0,
        };
        assert_eq!(beginning.gains([4.0, 1.0], 0.1, 0), [0.0, 0.0]);
        let [grey, colour] = beginning.gains([3.6, 1.1], 0.1, 0);
        assert!(grey > 0.05 && colour < -0.05);
        let painted = beginning.gains([3.6, 1.1], 0.1, 4);
        assert_eq!(painted, [grey / 5.0, colour / 5.0], "steps do most of it");
        assert_eq!(
            beginning.gains([4.0, 1.0], 0.03, 6),
            [0.0, 0.0],
            "things come and go"
        );
        assert_eq!(
            beginning.gains([4.0, 1.0], 1e-4, 1),
            [-MOST_GAIN; 2],
            "a fade ends in nothing"
        );
        assert_eq!(beginning.gains([0.0, 0.0], 0.1, 0), [MOST_GAIN; 2]);
    }

    #[test]
    fn the_detail_of_another_style_is_taken_over_some_keyframes_and_then_held() {
        let mut beginning = Beginning {
            above: 0.0,
            fine: [4.0, 1.0],
            content_variance: 0.1,
            restyled: 2,
        };
        beginning.take_restyled([9.0, 9.0], 1e-4);
        assert_eq!(beginning.fine, [4.0, 1.0], "not what a fade has left");
        beginning.take_restyled([3.0, 2.0], 0.1);
        assert_eq!(beginning.gains([3.0, 2.0], 0.1, 0), [0.0, 0.0]);
        beginning.take_restyled([2.0, 2.0], 0.1);
        beginning.take_restyled([1.0, 1.0], 0.1);
        assert_eq!(beginning.fine, [2.0, 2.0]);
    }
}
