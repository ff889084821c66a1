// SPDX-License-Identifier: MIT OR Apache-2.0

//! The operations of which a Gatys step consists, and the machines that perform them.
//!
//! There is one description of the algorithm (in [`gatys`](crate::gatys)); a [`Backend`] only supplies operations
//! on tensors of its own. Everything that is not one of these operations does not depend on the machine. `unsafe`
//! and foreign functions occur below this folder and nowhere else.
//!
//! Every operation of every backend is held against [`reference`], by the same test body.

pub mod cancel;
pub mod cpu;
pub mod cuda;
pub mod flow;
#[allow(unsafe_code)]
pub mod mapped_file;
pub mod reference;
pub mod resample;

pub use cancel::CancelToken;

use crate::picture::{Picture, PictureView};

/// Why an operation did not happen.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The [`CancelToken`] said stop.
    #[error("the computation was cancelled")]
    Cancelled,
    #[error("not enough memory for {bytes} bytes")]
    OutOfMemory { bytes: usize },
    /// The machine refused; in its own words.
    #[error("{0}")]
    Device(String),
}

pub type Result<T> = std::result::Result<T, Error>;

/// The shape of a tensor, logically [C, H, W]. How a backend lays it out in memory is its own affair.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Shape {
    pub channels: usize,
    pub height: usize,
    pub width: usize,
}

impl Shape {
    pub const fn new(channels: usize, height: usize, width: usize) -> Self {
        Self {
            channels,
            height,
            width,
        }
    }

    /// A row of `length` numbers.
    pub const fn vector(length: usize) -> Self {
        Self::new(1, 1, length)
    }

    /// A C × C matrix.
    pub const fn square(side: usize) -> Self {
        Self::new(1, side, side)
    }

    /// H · W.
    pub const fn pixels(&self) -> usize {
        self.height * self.width
    }

    /// C · H · W.
    pub const fn elements(&self) -> usize {
        self.channels * self.pixels()
    }

    /// The same picture with other channels.
    pub const fn with_channels(&self, channels: usize) -> Self {
        Self::new(channels, self.height, self.width)
    }

    /// What 2×2 pooling with stride 2 makes of it: halves rounded down, but never less than one pixel.
    pub fn pooled(&self) -> Self {
        let half = |n: usize| if n < 2 { 1 } else { n / 2 };
        Self::new(self.channels, half(self.height), half(self.width))
    }
}

/// The weights of one 3×3 convolution, stride 1, padding 1.
#[derive(Clone, Debug)]
pub struct FilterData {
    /// O.
    pub outputs: usize,
    /// I.
    pub inputs: usize,
    /// [O, I, 3, 3].
    pub weights: Vec<f32>,
    /// [O].
    pub bias: Vec<f32>,
}

/// How 2×2 windows become one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    Average,
    Max,
}

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

/// How a picture is laid onto a frame, see [`Backend::export`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mix {
    pub strength: f32,
    pub detail: f32,
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

/// How the colours of a picture follow the frame's luma nearby, for [`Backend::export`]: the local linear model of the
/// guided filter (He, Sun and Tang 2013), whose slope is cov(luma, colour) / (var(luma) + ε).
pub mod guide {
    /// How much the pixels of a window count, along rows and along columns.
    pub const WINDOW: [f32; 5] = [0.0625, 0.25, 0.375, 0.25, 0.0625];
    /// ε: a variance of the luma (0..1) that is noise rather than an edge.
    pub const EPSILON: f32 = 1e-3;
}

/// A number that lives in a tensor, so that a captured step sees what was uploaded after the capture.
#[derive(Debug)]
pub struct Scalar<'a, T> {
    pub of: &'a T,
    pub at: usize,
}

/// The slot of a tensor into which a reduction writes its sum.
#[derive(Debug)]
pub struct Slot<'a, T> {
    pub of: &'a mut T,
    pub at: usize,
}

/// Where the numbers of an Adam step lie in its `knobs` tensor, in this order.
///
/// The bias corrections (Kingma and Ba 2015, §3) are folded in by the host, which counts the steps of both moments
/// by itself: `rate` is η/(1 − β₁^t), `root` is 1/√(1 − β₂^t).
#[derive(Clone, Copy, Debug)]
pub struct AdamKnobs {
    pub rate: usize,
    pub root: usize,
    pub beta1: usize,
    pub beta2: usize,
    pub epsilon: usize,
}

/// Operations that take memory beyond their operands, and the shapes that decide how much, see
/// [`Backend::scratch_bytes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// A convolution from a tensor of shape `from`, and the way back.
    Convolution { from: Shape, outputs: usize },
    /// The Gram matrix of a tensor of this shape, and the way back.
    Gram(Shape),
    /// A frame of `width` × `height` into a picture whose inside has this shape.
    Import {
        width: usize,
        height: usize,
        inside: Shape,
    },
    /// A picture whose inside has this shape laid onto a frame of `width` × `height`, which guides it or not.
    Export {
        width: usize,
        height: usize,
        inside: Shape,
        guided: bool,
    },
    /// A picture whose inside has the shape `from` resampled to another.
    Resize { from: Shape, to: Shape },
    /// The statistics of a picture's colours.
    Colours,
}

/// A machine that performs the operations.
///
/// Operands are [C, H, W] unless said otherwise, pictures are RGB with values on the 0..1 scale, not clamped. An
/// operation whose operands do not fit together is a mistake of the caller and panics; `Err` is for what happens on
/// a right program: no memory, a cancelled computation, a lost device.
pub trait Backend: Send {
    type Tensor: Send + Sync;
    /// The weights of a convolution, laid out as this machine likes them.
    type Filter: Send + Sync;
    /// What backward needs to know of forward: a bit per unit of a ReLU, the winner of a max-pooling window.
    type Mask: Send + Sync;

    /// `cpu`, `reference`, …
    fn name(&self) -> &'static str;

    /// What the work runs on, for people: threads, the card's name.
    fn device(&self) -> String;

    /// Bytes held by living tensors, masks, filters and scratch space.
    fn bytes_in_use(&self) -> usize;

    /// Those of them that [`tensor_bytes`](Self::tensor_bytes), [`filter_bytes`](Self::filter_bytes),
    /// [`scratch_bytes`](Self::scratch_bytes) and their like foretell; 0 from a machine that does not know them all.
    fn planned_in_use(&self) -> usize {
        0
    }

    /// Bytes that this machine can still give, as far as it knows.
    fn available_bytes(&self) -> Option<usize>;

    /// Lets others go first where the processor is busy, and leaves one of its cores to them unless the number of threads
    /// was chosen.
    fn stand_back(&mut self) -> Result<()> {
        Ok(())
    }

    // ---- memory ----

    /// A tensor of zeros.
    fn tensor(&mut self, shape: Shape) -> Result<Self::Tensor>;
    /// Bytes that a tensor of this shape takes.
    fn tensor_bytes(shape: Shape) -> usize;
    /// A tensor that can hold each of these shapes in turn, see [`reshape`](Self::reshape). It has the first of them.
    fn room(&mut self, shapes: &[Shape]) -> Result<Self::Tensor>;
    /// Bytes that the machine holds beside tensors, masks and filters once it is [prepared](Self::prepare) for this work.
    /// 0 from a machine that does not know it beforehand.
    fn scratch_bytes(&self, _work: &[Work]) -> usize {
        0
    }
    /// Those that it holds from the beginning.
    fn standing_bytes() -> usize {
        0
    }
    /// Takes memory for just this work, one operation after the other, and gives back what earlier work took.
    fn prepare(&mut self, _work: &[Work]) -> Result<()> {
        Ok(())
    }
    fn shape(&self, tensor: &Self::Tensor) -> Shape;
    /// Lets the memory of `tensor` hold another shape, of which [`tensor_bytes`](Self::tensor_bytes) says no more than of
    /// one that it was made for; what it then contains is unspecified.
    fn reshape(&self, tensor: &mut Self::Tensor, shape: Shape);
    fn mask(&mut self, shape: Shape) -> Result<Self::Mask>;
    /// Bytes that a mask of this shape takes.
    fn mask_bytes(shape: Shape) -> usize;
    fn filter(&mut self, data: &FilterData) -> Result<Self::Filter>;
    /// Bytes that the filter of a convolution takes; 0 from a machine that does not know it beforehand.
    fn filter_bytes(_outputs: usize, _inputs: usize) -> usize {
        0
    }
    /// Fills `tensor` from [C, H, W] in row-major order.
    fn upload(&mut self, data: &[f32], tensor: &mut Self::Tensor) -> Result<()>;
    /// The inverse of `upload`; waits for the machine.
    fn download(&mut self, tensor: &Self::Tensor, data: &mut [f32]) -> Result<()>;
    fn copy(&mut self, from: &Self::Tensor, to: &mut Self::Tensor) -> Result<()>;
    fn fill(&mut self, value: f32, tensor: &mut Self::Tensor) -> Result<()>;

    // ---- pictures ----

    /// `frame` of any size → the inside of `picture`, resampled (see [`resample`]); a margin of `border` pixels on each
    /// side is left alone.
    fn import(&mut self, frame: PictureView, border: usize, picture: &mut Self::Tensor) -> Result<()>;

    /// Lays a picture onto `frame` of any size, guided by the frame: `out` = (1 − `strength`) · `frame` +
    /// `strength` · clamp(↑P + `detail` · ↑S · (Y − ↑y)), rounded to bytes. P is the inside of `picture`, y the luma of the
    /// inside of `content` (what `import` makes of `frame`), Y that of `frame`, ↑ resamples to the size of `frame`, which
    /// `out` must have, too.
    ///
    /// S is how the picture follows the content there: for each colour the slope cov(y, P) / (var(y) + ε) in a window of
    /// 5×5 pixels (see [`guide`]), in which the pixels of the inside's edge go on beyond it. So what the frame shows but a
    /// small picture cannot is drawn in the picture's own contrast and colours, where the picture follows the content at
    /// all. With `detail` = 0 the content does not count.
    fn export(
        &mut self,
        picture: &Self::Tensor,
        content: &Self::Tensor,
        border: usize,
        mix: Mix,
        frame: PictureView,
        out: &mut Picture,
    ) -> Result<()>;

    /// The inside of `from` resampled to the inside of `to`; both have a margin of `border` pixels.
    fn resize(&mut self, from: &Self::Tensor, border: usize, to: &mut Self::Tensor) -> Result<()>;

    /// Continues the inside into the margin of `border` pixels by mirroring at the outermost pixels.
    fn mirror_border(&mut self, picture: &mut Self::Tensor, border: usize) -> Result<()>;

    /// Of a picture with three channels.
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

    // ---- the network ----

    /// `to` = `from` − `mean` per channel: the network's view of a picture.
    fn centre(&mut self, from: &Self::Tensor, mean: [f32; 3], to: &mut Self::Tensor) -> Result<()>;

    /// `to`[O] = max(0, W ∗ `from`[I] + b), zeros beyond the frame; `mask` remembers where it is positive.
    fn conv_relu(
        &mut self,
        from: &Self::Tensor,
        filter: &Self::Filter,
        to: &mut Self::Tensor,
        mask: &mut Self::Mask,
    ) -> Result<()>;

    /// The adjoint: `from`[I] = Wᵀ ∗ (mask · `to`[O]), where both are gradients.
    fn conv_relu_backward(
        &mut self,
        to: &Self::Tensor,
        mask: &Self::Mask,
        filter: &Self::Filter,
        from: &mut Self::Tensor,
    ) -> Result<()>;

    /// `conv_relu` and `pool` in one, for activations that nobody asks for: `to` has the pooled shape, `mask` that
    /// before pooling.
    fn conv_relu_pool(
        &mut self,
        from: &Self::Tensor,
        filter: &Self::Filter,
        kind: Pooling,
        to: &mut Self::Tensor,
        mask: &mut Self::Mask,
    ) -> Result<()>;

    /// The adjoint of `conv_relu_pool`.
    fn conv_relu_pool_backward(
        &mut self,
        to: &Self::Tensor,
        kind: Pooling,
        mask: &Self::Mask,
        filter: &Self::Filter,
        from: &mut Self::Tensor,
    ) -> Result<()>;

    /// 2×2 windows with stride 2, as [`Shape::pooled`] says. In a tie the first in row-major order wins.
    fn pool(
        &mut self,
        from: &Self::Tensor,
        kind: Pooling,
        to: &mut Self::Tensor,
        mask: &mut Self::Mask,
    ) -> Result<()>;

    /// The adjoint of `pool`; rows and columns that no window covers get 0.
    fn pool_backward(
        &mut self,
        to: &Self::Tensor,
        kind: Pooling,
        mask: &Self::Mask,
        from: &mut Self::Tensor,
    ) -> Result<()>;

    // ---- losses: a sum into a slot, a gradient added to a running one ----

    /// `sum` = Σ a².
    fn squared_norm(&mut self, a: &Self::Tensor, sum: Slot<Self::Tensor>) -> Result<()>;

    /// `sum` = Σ (a − t)²; `gradient` += `coefficient` · (a − t).
    fn squared_error(
        &mut self,
        a: &Self::Tensor,
        target: &Self::Tensor,
        coefficient: Scalar<Self::Tensor>,
        gradient: &mut Self::Tensor,
        sum: Slot<Self::Tensor>,
    ) -> Result<()>;

    /// As `squared_error`, each pixel weighed: `sum` = Σ w (a − t)²; `gradient` += `coefficient` · w · (a − t), with
    /// `weight` [1, H, W].
    fn weighted_squared_error(
        &mut self,
        a: &Self::Tensor,
        target: &Self::Tensor,
        weight: &Self::Tensor,
        coefficient: Scalar<Self::Tensor>,
        gradient: &mut Self::Tensor,
        sum: Slot<Self::Tensor>,
    ) -> Result<()>;

    /// `gram`[C, C] = `scale` · Σ over pixels of a aᵀ.
    fn gram(&mut self, a: &Self::Tensor, scale: f32, gram: &mut Self::Tensor) -> Result<()>;

    /// `difference` = g − t; `sum` = Σ (g − t)².
    fn difference(
        &mut self,
        g: &Self::Tensor,
        target: &Self::Tensor,
        difference: &mut Self::Tensor,
        sum: Slot<Self::Tensor>,
    ) -> Result<()>;

    /// `gradient` += `coefficient` · D a, with D [C, C] symmetric: the way back through a Gram matrix.
    fn gram_backward(
        &mut self,
        a: &Self::Tensor,
        difference: &Self::Tensor,
        coefficient: Scalar<Self::Tensor>,
        gradient: &mut Self::Tensor,
    ) -> Result<()>;

    /// TV(x) = Σ (x_{i+1,j} − x_{i,j})² + (x_{i,j+1} − x_{i,j})²: `sum` = TV; `gradient` += `coefficient` · ∂TV/∂x.
    fn total_variation(
        &mut self,
        x: &Self::Tensor,
        coefficient: Scalar<Self::Tensor>,
        gradient: &mut Self::Tensor,
        sum: Slot<Self::Tensor>,
    ) -> Result<()>;

    // ---- the optimiser ----

    /// `to` = `from`² per element.
    fn square(&mut self, from: &Self::Tensor, to: &mut Self::Tensor) -> Result<()>;

    /// `to` = `from` blurred once with the 3×3 binomial kernel (¼ ½ ¼ in both directions), edges repeated.
    fn blur(&mut self, from: &Self::Tensor, to: &mut Self::Tensor) -> Result<()>;

    /// `to` += `factor` · `x`.
    fn axpy(&mut self, factor: f32, x: &Self::Tensor, to: &mut Self::Tensor) -> Result<()>;

    /// m := β₁ m + (1 − β₁) g;  v := β₂ v + (1 − β₂) s;  x := x − rate · m / (√v · root + ε), where s is g² or what a
    /// blur made of it.
    #[allow(clippy::too_many_arguments)]
    fn adam(
        &mut self,
        x: &mut Self::Tensor,
        gradient: &Self::Tensor,
        squared: &Self::Tensor,
        m: &mut Self::Tensor,
        v: &mut Self::Tensor,
        knobs: &Self::Tensor,
        at: AdamKnobs,
    ) -> Result<()>;

    /// u := momentum · u + g;  x := x − rate · u.
    fn sgd(
        &mut self,
        x: &mut Self::Tensor,
        gradient: &Self::Tensor,
        velocity: &mut Self::Tensor,
        rate: Scalar<Self::Tensor>,
        momentum: Scalar<Self::Tensor>,
    ) -> Result<()>;

    // ---- control ----

    /// A place for a step with all that it takes; [`Capture::default`] is one that takes it when it is needed.
    fn new_capture(&mut self) -> Result<Capture> {
        Ok(Capture::default())
    }
    /// Bytes that a place for a step takes.
    fn capture_bytes() -> usize {
        0
    }

    /// Performs what `record` describes. A machine that can (a CUDA graph) writes it down at one of the first calls with a
    /// `capture` and only replays it after that: whatever changes between two calls must lie in a tensor, and the
    /// tensors must be the same and live as long. A step whose gradients overflow may leave the optimiser's tensors alone.
    fn capture<R>(&mut self, capture: &mut Capture, record: R) -> Result<()>
    where
        R: FnMut(&mut Self) -> Result<()> + Send;
}

/// The place where a backend keeps a captured step. The CPU has nothing to keep.
#[derive(Debug, Default)]
pub struct Capture {
    /// Steps performed through this capture.
    pub runs: u64,
    /// What only the backend knows. The tensors of the step must live as long as it is performed.
    kept: Option<Box<dyn std::any::Any + Send>>,
}
