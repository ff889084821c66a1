// SPDX-License-Identifier: MIT OR Apache-2.0

use super::{Memory, Result};
use crate::picture::{Picture, PictureView};

/// Mean and covariance of the colours of a picture, for values on the 0..1 scale.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ColourStatistics {
    pub mean: [f64; 3],
    pub covariance: [[f64; 3]; 3],
}

/// A colour map y = M·x + t.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ColourMap {
    pub matrix: [[f64; 3]; 3],
    pub offset: [f64; 3],
}

impl ColourMap {
    /// y = x.
    pub const IDENTITY: Self = Self {
        matrix: [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
        offset: [0.0; 3],
    };
}

/// How a picture is laid onto a frame, see [`Pictures::export`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mix {
    pub strength: f32,
    pub detail: f32,
}

/// What [`Pictures::export`] lays onto a frame.
#[derive(Clone, Copy)]
pub struct Export<'a, T> {
    /// [3, H, W], with a margin of `border` pixels on each side; and the content that it shows, of the same shape.
    pub picture: &'a T,
    pub content: &'a T,
    pub border: usize,
    pub mix: Mix,
    pub frame: PictureView<'a>,
}

/// How a picture is looked at between its pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interpolation {
    /// Never leaves the range of its neighbours.
    Bilinear,
    /// The cubic of Catmull and Rom (Keys 1981, a = −½): sharp, and without gain at any shift, so that nothing grows
    /// when it is applied to its own result again and again.
    CatmullRom,
}

/// How the colours of a picture follow the frame's luma nearby, for [`Pictures::export`]: the local linear model of the
/// guided filter (He, Sun and Tang 2013), whose slope is cov(luma, colour) / (var(luma) + ε).
pub mod guide {
    /// How much the pixels of a window count, along rows and along columns.
    pub const WINDOW: [f32; 5] = [0.0625, 0.25, 0.375, 0.25, 0.0625];
    /// ε: a variance of the luma (0..1) that is noise rather than an edge.
    pub const EPSILON: f32 = 1e-3;
}

/// Operations on pictures: RGB with values on the 0..1 scale, not clamped.
pub trait Pictures: Memory {
    /// `frame` of any size → the inside of `picture`, resampled (see [`resample`](super::resample)); a margin of `border` pixels on each
    /// side is left alone.
    fn import(&mut self, frame: PictureView, border: usize, picture: &mut Self::Tensor) -> Result<()>;

    /// As [`import`](Self::import) without a margin, of a part alone: the frame is resampled to the width and height `whole`, and
    /// `picture` is what lies there from the pixel `corner` = (x, y) on.
    fn import_part(
        &mut self,
        frame: PictureView,
        whole: (usize, usize),
        corner: (usize, usize),
        picture: &mut Self::Tensor,
    ) -> Result<()>;

    /// Lays a picture onto a frame of any size, guided by the frame: `out` = (1 − `strength`) · frame +
    /// `strength` · clamp(↑P + `detail` · ↑S · (Y − ↑y)), rounded to samples of the frame's depth. P is the inside of the picture, y the luma of the
    /// inside of the content (what `import` makes of the frame), Y that of the frame, ↑ resamples to the size of the frame,
    /// whose format `out` must have, too.
    ///
    /// S is how the picture follows the content there: for each colour the slope cov(y, P) / (var(y) + ε) in a window of
    /// 5×5 pixels (see [`guide`]), in which the pixels of the inside's edge go on beyond it. So what the frame shows but a
    /// small picture cannot is drawn in the picture's own contrast and colours, where the picture follows the content at
    /// all. With `detail` = 0 the content does not count.
    fn export(&mut self, export: Export<Self::Tensor>, out: &mut Picture) -> Result<()>;

    /// The inside of `from` resampled to the inside of `to`; both have a margin of `border` pixels.
    fn resize(&mut self, from: &Self::Tensor, border: usize, to: &mut Self::Tensor) -> Result<()>;

    /// Continues the inside into the margin of `border` pixels by mirroring at the outermost pixels.
    fn mirror_border(&mut self, picture: &mut Self::Tensor, border: usize) -> Result<()>;

    /// Mean and covariance of the colours of a picture with three channels.
    fn colour_statistics(&mut self, picture: &Self::Tensor) -> Result<ColourStatistics>;

    fn colour_map(&mut self, from: &Self::Tensor, map: &ColourMap, to: &mut Self::Tensor) -> Result<()>;

    /// `to` := `share`[1, H, W] · `to` + (1 − `share`) · `other`.
    fn blend(&mut self, other: &Self::Tensor, share: &Self::Tensor, to: &mut Self::Tensor) -> Result<()>;

    /// `to`(x) = `from`(x + `flow`(x)): what `from` shows moves along `flow` [2, H, W], pixels to the right and down.
    /// Places beyond the outermost pixels are moved onto them, and the edge goes on beyond itself.
    fn warp(
        &mut self,
        from: &Self::Tensor,
        flow: &Self::Tensor,
        interpolation: Interpolation,
        to: &mut Self::Tensor,
    ) -> Result<()>;
}
