// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a painting carries over from one frame to the next.

use super::Result;
use super::canvas::Canvas;
use crate::backend::{Backend, ColourMap, ColourStatistics, Interpolation, Shape, Slot};

/// How a frame came from the one before, at the size at which it is painted.
#[derive(Clone, Copy, Debug)]
pub struct Carry<'a> {
    /// [H, W] each: how many pixels to the right and down lies, in the frame before, what a pixel shows now.
    pub flow: [&'a [f32]; 2],
    /// [H, W], 0..1: whether it was seen there at all.
    pub trust: &'a [f32],
}

/// The share of the last picture in what is shown, where the frame stands still: the optimiser never quite comes to
/// rest, and what its steps have in common is the painting. Where something moves they are hidden by the motion, and a
/// mean of pictures that were resampled more often than the newest would only be softer.
const SHOWN_BEFORE: f32 = 0.8;
/// From this motion on, in pixels a frame, nothing stands still.
const MOVING_PX: f32 = 0.5;

/// The part of its second moment that Adam keeps where a picture begins anew: its steps are √16 times as large there
/// at first, and as small as everywhere when the moment has filled again.
const MOMENT_KEPT: f32 = 1.0 / 16.0;

/// The most by which a frame's finest detail is made stronger or weaker, as a share.
const MOST_GAIN: f64 = 0.15;
/// What adding a share of the finest detail does not add to it: a blur leaves some of it, which is then not among it.
const RESPONSE: f64 = 1.5;
/// The share of its contrast, squared, that the content may lose before the painting follows it: things come and go in
/// a frame, but a fade to black ends in black.
const FADED: f64 = 0.25;

/// The shift between the sides of a picture and of its small version, in which nothing but the large areas is left.
const LOW: usize = 2;

/// Moves a painting along with what it shows.
pub struct Continuation<B: Backend> {
    border: usize,
    /// Of the canvas, with its margin.
    shape: Shape,
    /// [2, H, W].
    flow: B::Tensor,
    /// [1, H, W].
    trust: B::Tensor,
    /// [1, H, W]: of the last picture in what is shown.
    share: B::Tensor,
    /// [3, H, W].
    moved: B::Tensor,
    /// [3, H / 4, W / 4].
    low: B::Tensor,
    /// The picture that is shown: [3, H, W].
    shown: B::Tensor,
    /// [3, H, W]: the inside of a picture to look at; zeros in the margin.
    inside: B::Tensor,
    /// A sum to look at.
    sum: B::Tensor,
    beginning: Beginning,
    maps: Maps,
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
            moved: ops.tensor(shape)?,
            low: ops.tensor(low_shape(shape))?,
            shown: ops.tensor(shape)?,
            inside: ops.tensor(shape)?,
            sum: ops.tensor(Shape::vector(1))?,
            beginning: Beginning::default(),
            maps: Maps::default(),
        })
    }

    /// Bytes of its tensors, known before anything is allocated.
    pub fn bytes(shape: Shape) -> usize {
        let planes = [2, 1, 1, 3, 3, 3].map(|channels| B::tensor_bytes(shape.with_channels(channels)));
        planes.iter().sum::<usize>() + B::tensor_bytes(low_shape(shape))
    }

    /// The picture that is shown, [3, H, W].
    pub fn shown(&self) -> &B::Tensor {
        &self.shown
    }

    /// Takes a picture that owes nothing to one before.
    pub fn begin(&mut self, ops: &mut B, canvas: &Canvas<B>) -> Result<()> {
        ops.copy(&canvas.picture, &mut self.shown)?;
        let (painting, content) = (self.look(ops, &canvas.picture)?, self.look(ops, &canvas.content)?);
        self.beginning = Beginning {
            above: std::array::from_fn(|c| painting.mean[c] - content.mean[c]),
            fine: self.fine_detail(ops, canvas)?,
            content_variance: content.variance,
        };
        Ok(())
    }

    /// Moves the canvas's picture, and what its optimiser knows, to where the new content is. What came into view is
    /// laid out in the style's colours, by `recolouring`, with the strokes of the surroundings.
    pub fn advance(
        &mut self,
        ops: &mut B,
        canvas: &mut Canvas<B>,
        carry: Carry,
        recolouring: &ColourMap,
    ) -> Result<()> {
        self.maps.lay_out(carry, self.shape, self.border);
        ops.upload(&self.maps.flow, &mut self.flow)?;
        ops.upload(&self.maps.trust, &mut self.trust)?;
        ops.upload(&self.maps.share, &mut self.share)?;

        let sharp = Interpolation::CatmullRom;
        ops.warp(&self.shown, &self.flow, sharp, &mut self.moved)?;
        std::mem::swap(&mut self.shown, &mut self.moved);

        // moved + (1 − trust) · low-pass of (recoloured content − moved)
        ops.warp(&canvas.picture, &self.flow, sharp, &mut self.moved)?;
        ops.colour_map(&canvas.content, recolouring, &mut canvas.picture)?;
        ops.axpy(-1.0, &self.moved, &mut canvas.picture)?;
        ops.resize(&canvas.picture, 0, &mut self.low)?;
        ops.resize(&self.low, 0, &mut canvas.picture)?;
        ops.axpy(1.0, &self.moved, &mut canvas.picture)?;
        ops.blend(&canvas.picture, &self.trust, &mut self.moved)?;
        // The optimiser's step knows the picture by its place in memory, so it is not exchanged.
        ops.copy(&self.moved, &mut canvas.picture)?;
        ops.mirror_border(&mut canvas.picture, self.border)?;

        if let Some(second) = canvas.optimizer.second_moment() {
            ops.warp(second, &self.flow, Interpolation::Bilinear, &mut self.moved)?;
            ops.copy(&self.moved, second)?;
            ops.axpy(MOMENT_KEPT - 1.0, second, &mut self.moved)?;
            ops.blend(&self.moved, &self.trust, second)?;
        }
        let (anchor, anchor_weight) = canvas.objective.anchor();
        ops.copy(&canvas.picture, anchor)?;
        ops.copy(&self.trust, anchor_weight)?;
        canvas.optimizer.halt(ops)
    }

    /// Looks at the inside of a picture. The margin mirrors it, so that what is near the edge would count twice.
    fn look(&mut self, ops: &mut B, picture: &B::Tensor) -> Result<Look> {
        ops.resize(picture, self.border, &mut self.inside)?;
        let ColourStatistics { mean, covariance } = ops.colour_statistics(&self.inside)?;
        // The margin's zeros count in both moments.
        let side = |length: usize| (length - 2 * self.border) as f64 / length as f64;
        let share = side(self.shape.height) * side(self.shape.width);
        let of_channel = |c: usize| {
            let square = (covariance[c][c] + mean[c] * mean[c]) / share;
            square - (mean[c] / share).powi(2)
        };
        Ok(Look {
            mean: mean.map(|mean| mean / share),
            variance: (0..3).map(of_channel).sum(),
        })
    }

    /// Leaves minus the finest detail of the canvas's picture in `moved`, and says how much there is.
    fn fine_detail(&mut self, ops: &mut B, canvas: &Canvas<B>) -> Result<f64> {
        ops.blur(&canvas.picture, &mut self.moved)?;
        ops.axpy(-1.0, &canvas.picture, &mut self.moved)?;
        let mut sum = [0.0];
        ops.squared_norm(
            &self.moved,
            Slot {
                of: &mut self.sum,
                at: 0,
            },
        )?;
        ops.download(&self.sum, &mut sum)?;
        Ok(f64::from(sum[0]))
    }

    /// Takes what the optimiser made of the picture since [`advance`](Self::advance): undoes what hundreds of frames would
    /// add up, and lets it into what is shown.
    pub fn settle(&mut self, ops: &mut B, canvas: &mut Canvas<B>) -> Result<()> {
        let content = self.look(ops, &canvas.content)?;
        // Resampling takes from the finest detail, the style loss may add to it for ever.
        let fine = self.fine_detail(ops, canvas)?;
        let gain = self.beginning.gain(fine, content.variance);
        ops.axpy(-gain as f32, &self.moved, &mut canvas.picture)?;
        // Steps that never end darken the picture; only the input's own light may.
        let painting = self.look(ops, &canvas.picture)?;
        let mut shift = ColourMap::IDENTITY;
        shift.offset = std::array::from_fn(|c| content.mean[c] + self.beginning.above[c] - painting.mean[c]);
        ops.colour_map(&canvas.picture, &shift, &mut self.moved)?;
        ops.copy(&self.moved, &mut canvas.picture)?;
        Ok(ops.blend(&canvas.picture, &self.share, &mut self.shown)?)
    }
}

/// Mean colours of a picture, and the sum of their variances.
struct Look {
    mean: [f64; 3],
    variance: f64,
}

/// What is held where it was on the first frame.
#[derive(Clone, Copy, Debug, Default)]
struct Beginning {
    /// What the mean of the painting's colours has above that of the content's.
    above: [f64; 3],
    /// Energy of the painting's finest detail.
    fine: f64,
    /// Of the content's colours.
    content_variance: f64,
}

impl Beginning {
    /// By what share detail of the energy `fine` is to be made stronger, while the content's colours have `variance`.
    fn gain(&self, fine: f64, variance: f64) -> f64 {
        let left = (variance / (FADED * self.content_variance).max(1e-9)).min(1.0);
        let ratio = (self.fine * left / fine.max(1e-12)).sqrt();
        (RESPONSE * (ratio - 1.0)).clamp(-MOST_GAIN, MOST_GAIN)
    }
}

/// The numbers of a [`Carry`], laid out for a canvas with its margin.
#[derive(Default)]
struct Maps {
    flow: Vec<f32>,
    trust: Vec<f32>,
    share: Vec<f32>,
}

impl Maps {
    /// The margin moves as its neighbours inside do. Places beyond the inside are mirrored into it: what comes into view
    /// is painted with the strokes next to it, and without a seam.
    fn lay_out(&mut self, carry: Carry, shape: Shape, border: usize) {
        let (width, height) = (shape.width - 2 * border, shape.height - 2 * border);
        assert!(carry.trust.len() == width * height && carry.flow.iter().all(|f| f.len() == width * height));
        let pixels = shape.pixels();
        self.flow.resize(2 * pixels, 0.0);
        self.trust.resize(pixels, 0.0);
        self.share.resize(pixels, 0.0);
        let inside = |at: usize, length: usize| at.saturating_sub(border).min(length - 1);
        let mirrored = |place: f32, length: usize| {
            let (first, last) = (border as f32, (border + length - 1) as f32);
            let place = if place < first { 2.0 * first - place } else { place };
            let place = if place > last { 2.0 * last - place } else { place };
            place.clamp(first, last)
        };
        let (across, down) = self.flow.split_at_mut(pixels);
        for y in 0..shape.height {
            for x in 0..shape.width {
                let (at, from) = (y * shape.width + x, inside(y, height) * width + inside(x, width));
                across[at] = mirrored(x as f32 + carry.flow[0][from], width) - x as f32;
                down[at] = mirrored(y as f32 + carry.flow[1][from], height) - y as f32;
                self.trust[at] = carry.trust[from];
                let moved = carry.flow[0][from].hypot(carry.flow[1][from]);
                let still = (1.0 - moved / MOVING_PX).max(0.0);
                self.share[at] = SHOWN_BEFORE * still * carry.trust[from];
            }
        }
    }
}
