// SPDX-License-Identifier: MIT OR Apache-2.0

//! Frames between two keyframes: what was painted before, moved along, and what was painted after, moved back.

use crate::backend::{Backend, Export, Interpolation, Mix, Shape};
use crate::gatys::Result;
use crate::gatys::video::displacement::{Displacement, DisplacementMaps};
use crate::picture::{Picture, PictureView};

/// What a frame between two keyframes is put together from, at the size at which they are painted.
#[derive(Clone, Copy, Debug)]
pub struct Sides<'a> {
    /// What was shown when the frame came, see [`Painter::output`](crate::gatys::Painter::output): the keyframe before, moved
    /// along, and what was laid out on the way.
    pub before: &'a [f32],
    /// [H, W], 0..1: how far the keyframe before is seen in it.
    pub trust: &'a [f32],
    /// The way to the keyframe after, if there is one, and how much of the time to it has gone by, 0..1.
    pub after: Option<(Displacement<'a>, f32)>,
}

/// Puts frames together from the paintings on both sides.
pub struct Between<B: Backend> {
    border: usize,
    /// [3, H, W] of a painting with its margin.
    shape: Shape,
    /// [3, H, W] each.
    content: B::Tensor,
    picture: B::Tensor,
    moved: B::Tensor,
    /// [2, H, W].
    flow: B::Tensor,
    /// [1, H, W].
    share: B::Tensor,
    before: DisplacementMaps,
    after: DisplacementMaps,
}

impl<B: Backend> Between<B> {
    /// For paintings [3, H, W] with a margin of `border` pixels.
    pub fn new(ops: &mut B, shape: Shape, border: usize) -> Result<Self> {
        Ok(Self {
            border,
            shape,
            content: ops.tensor(shape)?,
            picture: ops.tensor(shape)?,
            moved: ops.tensor(shape)?,
            flow: ops.tensor(shape.with_channels(2))?,
            share: ops.tensor(shape.with_channels(1))?,
            before: DisplacementMaps::default(),
            after: DisplacementMaps::default(),
        })
    }

    /// Lays a frame's painting onto the frame. `after` is that of the keyframe after, if the sides know one.
    pub fn compose(
        &mut self,
        ops: &mut B,
        frame: PictureView,
        sides: Sides,
        after: &B::Tensor,
        mix: Mix,
        out: &mut Picture,
    ) -> Result<()> {
        ops.upload(sides.before, &mut self.picture)?;
        if let Some((displacement, time)) = sides.after {
            self.after.lay_out(displacement, self.shape, self.border);
            ops.upload(&self.after.flow, &mut self.flow)?;
            ops.warp(after, &self.flow, Interpolation::CatmullRom, &mut self.moved)?;
            // Of the way to the keyframe before only the trust counts.
            let back = Displacement {
                trust: sides.trust,
                ..displacement
            };
            self.before.lay_out(back, self.shape, self.border);
            let DisplacementMaps { trust, share, .. } = &mut self.before;
            for ((share, before), after) in share.iter_mut().zip(&*trust).zip(&self.after.trust) {
                *share = share_of_before(time, *before, *after);
            }
            ops.upload(share, &mut self.share)?;
            ops.blend(&self.moved, &self.share, &mut self.picture)?;
        }
        ops.import(frame, self.border, &mut self.content)?;
        let (picture, content) = (&self.picture, &self.content);
        Ok(ops.export(
            Export {
                picture,
                content,
                border: self.border,
                mix,
                frame,
            },
            out,
        )?)
    }
}

/// The share of what was painted before in what is shown, when `time` of the time between two keyframes has gone by and
/// they can be trusted as far as `before` and `after` say; all in 0..1. Where neither can be trusted it is all of it: what
/// came into view has been laid out there.
fn share_of_before(time: f32, before: f32, after: f32) -> f32 {
    let (first, second) = ((1.0 - time) * before, time * after);
    if second > 0.0 {
        1.0 - second / (first + second) * before.max(after)
    } else {
        1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is(share: f32, expected: f32) {
        assert!((share - expected).abs() < 1e-6, "{share} {expected}");
    }

    #[test]
    fn what_is_seen_on_both_sides_passes_from_one_to_the_other_in_even_steps() {
        for interval in [2, 5, 7] {
            for frame in 0..=interval {
                let time = frame as f32 / interval as f32;
                is(share_of_before(time, 1.0, 1.0), 1.0 - time);
            }
        }
    }

    #[test]
    fn what_is_seen_on_one_side_alone_comes_from_there_all_the_time() {
        for time in [0.01, 0.5, 0.99] {
            is(share_of_before(time, 1.0, 0.0), 1.0);
            is(share_of_before(time, 0.0, 1.0), 0.0);
        }
    }

    #[test]
    fn at_a_keyframe_there_is_nothing_but_the_keyframe() {
        for trust in [0.0, 0.3, 1.0] {
            is(share_of_before(0.0, 1.0, trust), 1.0);
            is(share_of_before(1.0, trust, 1.0), 0.0);
        }
    }

    #[test]
    fn what_is_seen_on_neither_side_stays_as_it_was_laid_out() {
        for time in [0.0, 0.25, 1.0] {
            is(share_of_before(time, 0.0, 0.0), 1.0);
        }
        is(share_of_before(0.5, 0.0, 0.25), 0.75);
    }

    #[test]
    fn the_more_trusted_side_counts_more() {
        is(share_of_before(0.5, 1.0, 0.25), 0.8);
        is(share_of_before(0.5, 0.25, 1.0), 0.2);
    }
}
