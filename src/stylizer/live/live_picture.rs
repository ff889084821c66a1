// SPDX-License-Identifier: MIT OR Apache-2.0

use crate::backend::cpu::{Cpu, Tensor};
use crate::backend::prelude::*;
use crate::backend::{ColourStatistics, Export, Interpolation, Shape};
use crate::gatys::{follow, matching, mix};
use crate::motion::{Chain, Flow, Gray};
use crate::stylizer::{Error, Frame, StylePicture};

/// The picture that is shown in live mode: a running average of the keyframes, moved along with the scene. Where no keyframe
/// covers it yet, or the motion cannot be trusted, the frame in the style's colours.
pub struct LivePicture {
    ops: Cpu,
    /// Width and height at which it is kept.
    size: (usize, usize),
    /// `None` before [`plan`](Self::plan).
    planes: Option<Planes>,
    recolouring: Option<Recolouring>,
    /// The motion at the size of the picture.
    moved: Chain,
    /// [H, W], 0..1: how far the picture is covered by keyframes.
    painted: Vec<f32>,
    /// [H, W]: scratch space for a share to be uploaded.
    share: Vec<f32>,
    /// [3, H, W]: scratch space for the frame.
    seen: Vec<f32>,
}

struct Planes {
    /// [3, H, W] each: the picture, the frame, and scratch space.
    picture: Tensor,
    content: Tensor,
    spare: Tensor,
    other: Tensor,
    /// The motion of the last step: [2, H, W].
    flow: Tensor,
    /// Scratch space, and [`LivePicture::painted`] on the backend: [1, H, W] each.
    share: Tensor,
    painted: Tensor,
}

/// The colours from which and to which a frame is recoloured.
struct Recolouring {
    /// The colours of the scene's frames, in which newer frames count more.
    content: ColourStatistics,
    style: ColourStatistics,
}

/// The share of a new keyframe where something painted is shown already.
const NEW_SHARE: f32 = 0.35;
/// How far a preview counts as painted: a larger share of the next keyframe is mixed in there.
const PREVIEW_PAINTED: f32 = 0.4;

impl LivePicture {
    pub fn new(ops: Cpu) -> Self {
        Self {
            ops,
            size: (0, 0),
            planes: None,
            recolouring: None,
            moved: Chain::default(),
            painted: Vec::new(),
            share: Vec::new(),
            seen: Vec::new(),
        }
    }

    pub fn bytes_in_use(&self) -> usize {
        self.ops.bytes_in_use()
    }

    /// Plans for pictures of `size`, width and height.
    pub fn plan(&mut self, size: (usize, usize)) -> Result<(), Error> {
        let shape = Shape::new(3, size.1, size.0);
        let mut plane = |channels| self.ops.tensor(shape.with_channels(channels));
        self.planes = Some(Planes {
            picture: plane(3)?,
            content: plane(3)?,
            spare: plane(3)?,
            other: plane(3)?,
            flow: plane(2)?,
            share: plane(1)?,
            painted: plane(1)?,
        });
        self.size = size;
        self.painted = vec![0.0; shape.pixels()];
        self.share = vec![0.0; shape.pixels()];
        self.seen = vec![0.0; shape.elements()];
        Ok(())
    }

    /// Takes the next frame, and returns its luma at the size that was planned for.
    pub fn set_frame(&mut self, frame: &Frame) -> Result<Gray, Error> {
        let (width, height) = self.size;
        let Self {
            ops,
            planes: Some(planes),
            seen,
            ..
        } = self
        else {
            return Ok(Gray::default());
        };
        ops.import(frame.view(), 0, &mut planes.content)?;
        ops.download(&planes.content, seen)?;
        Ok(Gray::of_planes(seen, width, height))
    }

    /// Shows the frame in the colours of `style`.
    pub fn restart(&mut self, style: &StylePicture, crop: f64) -> Result<(), Error> {
        let Self {
            ops,
            planes: Some(planes),
            ..
        } = self
        else {
            return Ok(());
        };
        let colours = Recolouring {
            content: ops.colour_statistics(&planes.content)?,
            style: style.colours(crop),
        };
        let map = matching(&colours.content, &colours.style);
        ops.colour_map(&planes.content, &map, &mut planes.picture)?;
        self.recolouring = Some(colours);
        self.painted.fill(0.0);
        Ok(())
    }

    /// Moves the picture along `flow`, which leads from the frame to the one before and may have been found at another
    /// size, and fills in the frame in the style's colours where that cannot be trusted.
    pub fn advance(&mut self, flow: &Flow, trust: &[f32]) -> Result<(), Error> {
        let Self {
            ops,
            planes: Some(planes),
            recolouring: Some(colours),
            painted,
            moved,
            size,
            ..
        } = self
        else {
            return Ok(());
        };
        moved.stretch_step(flow, trust, size.0, size.1);
        let trust = &moved.trust;
        upload_flow(ops, &moved.backward, &mut planes.flow)?;
        ops.warp(
            &planes.picture,
            &planes.flow,
            Interpolation::CatmullRom,
            &mut planes.spare,
        )?;
        std::mem::swap(&mut planes.picture, &mut planes.spare);
        follow(&mut colours.content, &ops.colour_statistics(&planes.content)?);
        let map = matching(&colours.content, &colours.style);
        ops.colour_map(&planes.content, &map, &mut planes.spare)?;
        ops.upload(trust, &mut planes.share)?;
        ops.blend(&planes.spare, &planes.share, &mut planes.picture)?;
        ops.upload(painted, &mut planes.share)?;
        ops.warp(
            &planes.share,
            &planes.flow,
            Interpolation::Bilinear,
            &mut planes.painted,
        )?;
        ops.download(&planes.painted, painted)?;
        for (painted, trust) in painted.iter_mut().zip(trust) {
            *painted *= trust;
        }
        Ok(())
    }

    /// Mixes in a keyframe [3, H, W], to which `motion` of any size leads: [`NEW_SHARE`] of it where something painted is
    /// shown, all of it elsewhere, and nothing where the motion cannot be trusted. It is a preview unless `finished`.
    pub fn mix_in(&mut self, keyframe: &[f32], finished: bool, motion: &Chain) -> Result<(), Error> {
        let Self {
            ops,
            planes: Some(planes),
            painted,
            share,
            moved,
            size,
            ..
        } = self
        else {
            return Ok(());
        };
        ops.upload(keyframe, &mut planes.spare)?;
        moved.stretch(motion, size.0, size.1);
        upload_flow(ops, &moved.backward, &mut planes.flow)?;
        ops.warp(
            &planes.spare,
            &planes.flow,
            Interpolation::CatmullRom,
            &mut planes.other,
        )?;
        let limit = if finished { 1.0 } else { PREVIEW_PAINTED };
        for ((kept, painted), trust) in share.iter_mut().zip(painted).zip(&moved.trust) {
            *kept = 1.0 - trust * NEW_SHARE.max(1.0 - *painted);
            *painted += trust * (limit - *painted).max(0.0);
        }
        ops.upload(share, &mut planes.share)?;
        ops.blend(&planes.other, &planes.share, &mut planes.picture)?;
        Ok(())
    }

    /// Lays the picture onto the frame by `strength`; where the frame is larger, its detail is followed as far as
    /// `detail` says.
    pub fn compose(
        &mut self,
        frame: &Frame,
        strength: f64,
        detail: f64,
        out: &mut Frame,
    ) -> Result<(), Error> {
        let size = self.size;
        let Self {
            ops,
            planes: Some(planes),
            ..
        } = self
        else {
            return Ok(());
        };
        let mix = mix(strength, detail, size, frame.size());
        let Planes { picture, content, .. } = planes;
        ops.export(
            Export {
                picture,
                content,
                border: 0,
                mix,
                frame: frame.view(),
            },
            out,
        )?;
        Ok(())
    }
}

fn upload_flow(ops: &mut Cpu, flow: &Flow, to: &mut Tensor) -> Result<(), Error> {
    ops.upload(&[flow.u.as_slice(), flow.v.as_slice()].concat(), to)?;
    Ok(())
}
