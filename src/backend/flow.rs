// SPDX-License-Identifier: MIT OR Apache-2.0

//! The steps by which a backend finds dense optical flow: inverse search of patches (Kroeger, Timofte, Dai and Van Gool,
//! "Fast Optical Flow using Dense Inverse Search", 2016) and variational refinement (Brox, Bruhn, Papenberg and Weickert
//! 2004), in orders that many processors can follow at once. In what order the steps come is said in
//! [`motion`](crate::motion).
//!
//! Each step does both directions. *Pictures* are [2, H, W], the first and the second, brightness in steps of a byte;
//! beyond their edge the outermost pixels go on. A *flow* is [4, H, W], in pixels: u (to the right) and v (downwards)
//! from the first picture to the second, then u and v from the second to the first.

use super::{Backend, Result, Shape};

/// Side of a patch in pixels.
pub const SIDE: usize = 8;
/// Pixels from patch to patch.
pub const STEP: usize = 4;
/// Most steps of a patch, and the length of a step in pixels after which it stands still.
pub const STEPS: usize = 8;
pub const STILL: f32 = 0.02;
/// Candidates closer than this to one that was tried are the same, in pixels.
pub const SAME: f32 = 0.25;
/// How far a patch and a pixel may be looked for beyond the edge of a picture, in pixels.
pub const REACH: usize = 15;
/// What a pixel of way from the coarser size's flow costs, squared, beside the sum of squared differences: in variances
/// of the pictures' noise, which flat patches would follow otherwise, and a little more.
pub const WAY_PER_NOISE: f32 = 80.0;
pub const WAY: f32 = 2.0;

/// Weights of brightness, its derivatives and smoothness.
pub const BRIGHTNESS: f32 = 2.5;
pub const DERIVATIVES: f32 = 10.0;
pub const SMOOTHNESS: f32 = 14.0;
/// ε², in pixels².
pub const ROUND: f32 = 1e-4;
/// What is added to a squared gradient: differences in flat places are noise.
pub const FLAT: f32 = 4.0;
/// Pictures whose contrasts differ by more are not matched fully: one of them shows next to nothing.
pub const MOST_GAIN: f32 = 3.0;
/// How far a sweep goes beyond what solves a pixel's own equations.
pub const OVER_RELAXATION: f32 = 1.8;

/// Squared change of the flow from pixel to pixel that is still no edge of a motion, besides a share of its length.
pub const EDGE: f32 = 0.002;
/// Differences of brightness, means of 3 × 3 pixels: up to the first two pictures look alike, from the second on they do
/// not.
pub const ALIKE: f32 = 2.0;
pub const UNLIKE: f32 = 6.0;

/// What [`FlowSteps::search`] looks at.
#[derive(Debug)]
pub struct Search<'a, T> {
    pub pictures: &'a T,
    /// [1, 1, 2], see [`FlowSteps::noise`]; and by what it is to be multiplied at this size.
    pub noise: &'a T,
    pub noise_share: f32,
    /// Where each patch begins: the flow at its middle.
    pub flow: &'a T,
    /// A flow that may be right here too, of pictures that were halved as many times to become these.
    pub guess: Option<(&'a T, usize)>,
    /// [4, rows, columns]: where an earlier search found the patches.
    pub around: Option<&'a T>,
}

/// What [`FlowSteps::linearise`] writes, [2, H, W] each: for both directions the pixels' equations
/// xx u + xy v = x and xy u + yy v = y, and how strongly each pixel is tied to its neighbours.
#[derive(Debug)]
pub struct Equations<T> {
    pub xx: T,
    pub xy: T,
    pub yy: T,
    pub x: T,
    pub y: T,
    pub ties: T,
}

impl<T> Equations<T> {
    /// Six planes made by `plane`.
    pub fn new<E>(mut plane: impl FnMut() -> std::result::Result<T, E>) -> std::result::Result<Self, E> {
        Ok(Self {
            xx: plane()?,
            xy: plane()?,
            yy: plane()?,
            x: plane()?,
            y: plane()?,
            ties: plane()?,
        })
    }

    pub fn planes_mut(&mut self) -> [&mut T; 6] {
        let Self {
            xx,
            xy,
            yy,
            x,
            y,
            ties,
        } = self;
        [xx, xy, yy, x, y, ties]
    }
}

/// A backend that performs the steps. As for [`Backend`], operands that do not fit together are a mistake of the caller.
pub trait FlowSteps: Backend {
    /// Half the size, rounded up, by the weights (1 3 3 1)/8 each way, so that little aliases: pixel x of `to` covers the
    /// pixels 2x and 2x + 1 of `from`.
    fn halve(&mut self, from: &Self::Tensor, to: &mut Self::Tensor) -> Result<()>;

    /// `noise`[1, 1, 2]: of each picture the variance of noise that is not the same from pixel to pixel (Immerkær 1996):
    /// with m the median of |differences of second differences| in every fourth row, (m / (6 · 0.6745))². The squares of
    /// the weights add up to 36, and half of a normal distribution lies within 0.6745 deviations. Of n numbers the median
    /// is that with ⌊n/2⌋ before it. `scratch`, of the pictures' shape, is written over.
    fn noise(
        &mut self,
        pictures: &Self::Tensor,
        scratch: &mut Self::Tensor,
        noise: &mut Self::Tensor,
    ) -> Result<()>;

    /// `to`[4, H, W] = 2 · the flow `half` [4, ⌈H/2⌉, ⌈W/2⌉] between its pixels: ¾ of the pixel that covers this one and ¼
    /// of the next nearest, each way.
    fn enlarge_flow(&mut self, half: &Self::Tensor, to: &mut Self::Tensor) -> Result<()>;

    /// Looks for each patch of 8 × 8 pixels of a picture in the other, from the best of its candidates on. Minimised is
    /// Σ(d − mean(d))² + w |flow − start|², where d are the differences of the other picture from the patch and w is
    /// [`WAY`] + [`WAY_PER_NOISE`] · the greater noise · `noise_share`. Candidates are the start, the guess, what was
    /// found before and what was found for the patches left, right, above and below, each unless it is within [`SAME`]
    /// of one before; from the best Gauss and Newton's steps lead down, at most [`STEPS`], until they are shorter than
    /// [`STILL`] or lead up again. What ran further than [`SIDE`] has lost its way, and stays with its best candidate.
    ///
    /// `patches`[4, rows, columns], see [`patches`]: flow of the patches in both directions. `means`[2, rows, columns]:
    /// the mean of their differences there.
    fn search(
        &mut self,
        search: Search<Self::Tensor>,
        patches: &mut Self::Tensor,
        means: &mut Self::Tensor,
    ) -> Result<()>;

    /// `flow` at each pixel: the mean over the patches that cover it, each weighed by 1 / max(1, |d − mean(d)|) where d is
    /// the pixel's difference where the patch was found.
    fn densify(
        &mut self,
        pictures: &Self::Tensor,
        patches: &Self::Tensor,
        means: &Self::Tensor,
        flow: &mut Self::Tensor,
    ) -> Result<()>;

    /// What the pictures say about a flow, linearised about what it is now. Minimised is, with Ψ(s²) = √(s² + [`ROUND`]),
    ///
    /// ```text
    /// Σ  δ Ψ(difference of the brightness, in pixels)  +  γ Ψ(difference of its derivatives, in pixels)
    ///  + α Ψ(|∇u − s|² + |∇v − t|²)
    /// ```
    ///
    /// where a difference divided by the length of its own gradient is one in pixels (Zimmer, Bruhn and Weickert 2011), and
    /// s and t are the slopes that the motion of the picture as a whole has in this direction: `slopes`[1, 1, 8] has for
    /// each direction what u gains from a pixel to the next one on the right and below, and then v. At the picture's edge a
    /// gradient is half of the difference to the one neighbour there.
    /// The other picture is given mean and contrast of the one from which the flow leads. `there`[2, H, W] and
    /// `light`[1, 1, 4] are scratch for the other picture where the flow leads, and its gain and lift.
    fn linearise(
        &mut self,
        pictures: &Self::Tensor,
        flow: &Self::Tensor,
        there: &mut Self::Tensor,
        light: &mut Self::Tensor,
        slopes: &Self::Tensor,
        equations: &mut Equations<Self::Tensor>,
    ) -> Result<()>;

    /// Solves the equations of the pixels whose x + y is even and then of the others, each with what is known of its
    /// neighbours less what the slopes gain on the way from them, and goes [`OVER_RELAXATION`] as far.
    fn relax(
        &mut self,
        equations: &Equations<Self::Tensor>,
        slopes: &Self::Tensor,
        flow: &mut Self::Tensor,
    ) -> Result<()>;

    /// `consistency`[1, H, W] of the first picture: 0 where the second direction does not lead back from where the first leads,
    /// where that is out of the picture, or where the first changes sharply; 1 where both agree (Ruder, Dosovitskiy and
    /// Brox 2016, section 5).
    fn consistency(&mut self, flow: &Self::Tensor, consistency: &mut Self::Tensor) -> Result<()>;

    /// `resemblance`[1, H, W]: `consistency`, or more where the flow leads to a place inside of the second picture that looks
    /// like the first.
    fn resemblance(
        &mut self,
        pictures: &Self::Tensor,
        flow: &Self::Tensor,
        consistency: &Self::Tensor,
        resemblance: &mut Self::Tensor,
    ) -> Result<()>;
}

/// [1, 1, 8], the shape of the slopes of [`FlowSteps::linearise`].
pub const SLOPES: Shape = Shape::vector(2 * 4);

/// [4, rows, columns] of the patches of pictures of this shape; `None` if they are too small to have one.
pub fn patches(pictures: Shape) -> Option<Shape> {
    let count = |length: usize| Some(length.checked_sub(SIDE)?.div_ceil(STEP) + 1);
    Some(Shape::new(4, count(pictures.height)?, count(pictures.width)?))
}

/// What [`FlowSteps::halve`] makes of a picture.
pub fn halved(shape: Shape) -> Shape {
    Shape::new(shape.channels, shape.height.div_ceil(2), shape.width.div_ceil(2))
}
