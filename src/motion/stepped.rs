// SPDX-License-Identifier: MIT OR Apache-2.0

use std::sync::Arc;

use super::estimate::Motion;
use super::flow::Flow;
use super::gray::Gray;
use super::pyramid::SMALLEST_SIDE;
use super::slope::Slope;
use super::tracker::{ROUNDS, SWEEPS};
use crate::backend::budget::Budget;
use crate::backend::flow::{Equations, FlowSteps, SLOPES, Search, halved, patches};
use crate::backend::{Capture, Error, Result, Shape, Sizes};

/// Estimates the motion between frames as a [`Tracker`](super::Tracker) does, by the steps of a backend: pictures and flows
/// stay where the backend has its memory until the motion is known.
///
/// Patches do not learn from their neighbours one after the other but all at once, in several rounds. And the
/// slope of the flow is not found anew at each size but computed on the host from the motion before; where
/// there is none, the pair of pictures is looked at twice.
pub struct Stepped<B: FlowSteps> {
    ops: B,
    plan: Option<Plan<B>>,
    motion: Motion,
    /// Scratch space for uploads and downloads.
    values: Vec<f32>,
    /// Whether `motion` is a start for the next search.
    has_tracked: bool,
}

/// Rounds of the search for patches of each size; from the second on, patches try what their neighbours have found.
const SEARCHES: usize = 2;

impl<B: FlowSteps> Stepped<B> {
    /// A tracker that has seen nothing yet.
    pub fn new(ops: B) -> Self {
        Self {
            ops,
            plan: None,
            motion: Motion::default(),
            values: Vec::new(),
            has_tracked: false,
        }
    }

    pub fn backend(&self) -> &B {
        &self.ops
    }

    /// Bytes of everything that tracking pictures of `size`, width and height, takes of the backend's memory, its own
    /// included: what is in use from [`plan`](Self::plan) on.
    pub fn planned_bytes(&self, size: (usize, usize)) -> usize {
        planned_bytes(self.ops.sizes(), size)
    }

    /// Frees what was planned.
    pub fn discard_plan(&mut self) {
        self.plan = None;
        self.has_tracked = false;
    }

    /// Allocates what pictures of `size`, width and height, need; tracking does so, too.
    pub fn plan(&mut self, size: (usize, usize)) -> Result<()> {
        if self.plan.as_ref().is_some_and(|plan| plan.size == size) {
            return Ok(());
        }
        // The old plan is freed first: both together may not fit.
        self.discard_plan();
        let needed = self.planned_bytes(size).saturating_sub(self.ops.bytes_in_use());
        if self
            .ops
            .available_bytes()
            .is_some_and(|available| needed > available)
        {
            return Err(Error::OutOfMemory { bytes: needed });
        }
        self.plan = Some(Plan::new(&mut self.ops, size)?);
        Ok(())
    }

    /// How `now` came from `before`, two pictures of the same size. The motion found last, if it was of this size, is
    /// tried as a start: frames after one another move alike.
    ///
    /// # Panics
    /// If the pictures' sizes differ.
    pub fn track(&mut self, before: &Gray, now: &Gray) -> Result<&Motion> {
        let size = (now.width, now.height);
        assert_eq!(size, (before.width, before.height), "sizes of the two pictures");
        self.plan(size)?;
        let has_tracked = std::mem::take(&mut self.has_tracked);
        let Self {
            ops,
            plan: Some(plan),
            motion,
            values,
            ..
        } = self
        else {
            return Ok(&self.motion);
        };
        values.clear();
        values.extend_from_slice(&now.pixels);
        values.extend_from_slice(&before.pixels);
        ops.upload(values, &mut plan.levels[0].pictures)?;
        if !has_tracked {
            ops.fill(0.0, &mut plan.tensors.slopes)?;
            plan.find(ops, false)?;
            plan.fetch(ops, values, motion)?;
            plan.set_slopes(ops, motion, before, now)?;
        }
        plan.find(ops, true)?;
        plan.fetch(ops, values, motion)?;
        plan.set_slopes(ops, motion, before, now)?;
        self.has_tracked = true;
        Ok(&self.motion)
    }

    /// Where the two flows found last agree: see [`Tracker::consistency`](super::Tracker::consistency).
    pub fn consistency(&mut self) -> Result<Vec<f32>> {
        let Some(plan) = &self.plan else {
            return Ok(Vec::new());
        };
        let mut consistency = vec![0.0; plan.size.0 * plan.size.1];
        self.ops.download(&plan.tensors.consistency, &mut consistency)?;
        Ok(consistency)
    }

    /// Forgets the last motion, which the next search would start from: the next frames are of another scene.
    pub fn forget(&mut self) {
        self.has_tracked = false;
    }
}

/// What [`Stepped::planned_bytes`] says, of a backend that takes such `sizes`.
pub fn planned_bytes(sizes: Arc<dyn Sizes>, size: (usize, usize)) -> usize {
    let mut budget = Budget::new(sizes);
    let plan = Plan::new(&mut budget, size).expect("cannot fail: what only counts has memory for everything");
    let bytes = budget.bytes();
    drop(plan);
    bytes
}

/// Tensors for pictures of a size, and the steps on them.
struct Plan<B: FlowSteps> {
    /// Width and height.
    size: (usize, usize),
    tensors: Tensors<B::Tensor>,
    levels: Vec<Level<B::Tensor>>,
    /// The steps without a motion before, and with one.
    first: Capture,
    following: Capture,
}

/// The two pictures at one size.
struct Level<T> {
    /// [2, H, W]: now and before.
    pictures: T,
    /// [4, H, W]: backward and forward.
    flow: T,
}

/// Tensors that all sizes share; those before `last` can hold the largest size and are reshaped for the others.
struct Tensors<T> {
    /// [4, rows, columns] and [2, rows, columns]: what two searches have found, unless the pictures are smaller than a patch.
    patches: Option<[T; 2]>,
    means: Option<T>,
    /// [2, H, W] each.
    there: T,
    equations: Equations<T>,
    /// [1, 1, 4] and [1, 1, 2].
    light: T,
    noise: T,
    /// [1, 1, 8], see [`FlowSteps::linearise`].
    slopes: T,
    /// [4, H, W]: the flow of the frame before.
    last: T,
    /// [1, H, W] each.
    consistency: T,
    trust: T,
}

/// The shapes of the two pictures at each size, from `size` down by halves.
fn sizes((width, height): (usize, usize)) -> Vec<Shape> {
    let mut sizes = vec![Shape::new(2, height, width)];
    loop {
        let half = halved(sizes[sizes.len() - 1]);
        if half.width.min(half.height) < SMALLEST_SIDE {
            return sizes;
        }
        sizes.push(half);
    }
}

/// Gain and lift in both directions; the noise of both pictures.
const LIGHT: Shape = Shape::vector(4);
const NOISE: Shape = Shape::vector(2);

impl<B: FlowSteps> Plan<B> {
    fn new(ops: &mut B, size: (usize, usize)) -> Result<Self> {
        let sizes = sizes(size);
        let largest = sizes[0];
        let (patches, means) = match patches(largest) {
            Some(shape) => (
                Some([ops.tensor(shape)?, ops.tensor(shape)?]),
                Some(ops.tensor(shape.with_channels(2))?),
            ),
            None => (None, None),
        };
        let tensors = Tensors {
            patches,
            means,
            there: ops.tensor(largest)?,
            equations: Equations::new(|| ops.tensor(largest))?,
            light: ops.tensor(LIGHT)?,
            noise: ops.tensor(NOISE)?,
            slopes: ops.tensor(SLOPES)?,
            last: ops.tensor(largest.with_channels(4))?,
            consistency: ops.tensor(largest.with_channels(1))?,
            trust: ops.tensor(largest.with_channels(1))?,
        };
        let mut levels = Vec::with_capacity(sizes.len());
        for shape in sizes {
            levels.push(Level {
                pictures: ops.tensor(shape)?,
                flow: ops.tensor(shape.with_channels(4))?,
            });
        }
        Ok(Self {
            size,
            tensors,
            levels,
            first: ops.new_capture()?,
            following: ops.new_capture()?,
        })
    }

    /// The motion between the pictures of the largest size.
    fn find(&mut self, ops: &mut B, has_tracked: bool) -> Result<()> {
        let Self {
            tensors,
            levels,
            first,
            following,
            ..
        } = self;
        let capture = if has_tracked { following } else { first };
        ops.capture(capture, |ops| find(ops, levels, tensors, has_tracked))
    }

    /// Takes the slopes of a motion for the next search.
    fn set_slopes(&mut self, ops: &mut B, motion: &Motion, before: &Gray, now: &Gray) -> Result<()> {
        let mut slopes = [0.0; 8];
        let ways = [(&motion.backward, now), (&motion.forward, before)];
        for ((flow, from), numbers) in ways.into_iter().zip(slopes.chunks_exact_mut(4)) {
            let Slope { u, v } = Slope::of(flow, |x, y| from.structure(x, y));
            numbers.copy_from_slice(&[u[0], u[1], v[0], v[1]]);
        }
        ops.upload(&slopes, &mut self.tensors.slopes)
    }

    fn fetch(&self, ops: &mut B, values: &mut Vec<f32>, motion: &mut Motion) -> Result<()> {
        let (width, height) = self.size;
        let pixels = width * height;
        values.resize(4 * pixels, 0.0);
        ops.download(&self.tensors.last, values)?;
        for (way, flow) in [&mut motion.backward, &mut motion.forward]
            .into_iter()
            .enumerate()
        {
            let Flow { u, v, .. } = flow;
            for (plane, to) in [u, v].into_iter().enumerate() {
                to.clear();
                to.extend_from_slice(&values[(2 * way + plane) * pixels..][..pixels]);
            }
            (flow.width, flow.height) = (width, height);
        }
        motion.trust.resize(pixels, 0.0);
        ops.download(&self.tensors.trust, &mut motion.trust)
    }
}

fn find<B: FlowSteps>(
    ops: &mut B,
    levels: &mut [Level<B::Tensor>],
    tensors: &mut Tensors<B::Tensor>,
    has_tracked: bool,
) -> Result<()> {
    for index in 1..levels.len() {
        let (finer, coarser) = levels.split_at_mut(index);
        ops.halve(&finer[index - 1].pictures, &mut coarser[0].pictures)?;
    }
    let largest = ops.shape(&levels[0].pictures);
    ops.reshape(&mut tensors.there, largest);
    ops.noise(&levels[0].pictures, &mut tensors.there, &mut tensors.noise)?;
    for index in (0..levels.len()).rev() {
        let (finer, coarser) = levels.split_at_mut(index + 1);
        let Level { pictures, flow } = &mut finer[index];
        match coarser.first() {
            Some(coarser) => ops.enlarge_flow(&coarser.flow, flow)?,
            None => ops.fill(0.0, flow)?,
        }
        search(ops, pictures, index, has_tracked, tensors, flow)?;
        refine(ops, pictures, tensors, flow)?;
    }
    let Level { pictures, flow } = &levels[0];
    ops.copy(flow, &mut tensors.last)?;
    ops.consistency(flow, &mut tensors.consistency)?;
    ops.resemblance(pictures, flow, &tensors.consistency, &mut tensors.trust)
}

/// Replaces `flow` by the flow of the patches, for pictures that were halved `halvings` times.
fn search<B: FlowSteps>(
    ops: &mut B,
    pictures: &B::Tensor,
    halvings: usize,
    has_tracked: bool,
    tensors: &mut Tensors<B::Tensor>,
    flow: &mut B::Tensor,
) -> Result<()> {
    let (Some(shape), Some([old, new]), Some(means)) = (
        patches(ops.shape(pictures)),
        &mut tensors.patches,
        &mut tensors.means,
    ) else {
        return Ok(());
    };
    ops.reshape(means, shape.with_channels(2));
    for time in 0..SEARCHES {
        ops.reshape(new, shape);
        let search = Search {
            pictures,
            noise: &tensors.noise,
            // Four pixels become one.
            noise_share: 0.25f32.powi(halvings as i32),
            flow,
            guess: (has_tracked && time == 0).then_some((&tensors.last, halvings)),
            around: (time > 0).then_some(&*old),
        };
        ops.search(search, new, means)?;
        std::mem::swap(old, new);
    }
    ops.densify(pictures, old, means, flow)
}

fn refine<B: FlowSteps>(
    ops: &mut B,
    pictures: &B::Tensor,
    tensors: &mut Tensors<B::Tensor>,
    flow: &mut B::Tensor,
) -> Result<()> {
    let Tensors {
        there,
        light,
        slopes,
        equations,
        ..
    } = tensors;
    let shape = ops.shape(pictures);
    ops.reshape(there, shape);
    for plane in equations.planes_mut() {
        ops.reshape(plane, shape);
    }
    for _ in 0..ROUNDS {
        ops.linearise(pictures, flow, there, light, slopes, equations)?;
        for _ in 0..SWEEPS {
            ops.relax(equations, slopes, flow)?;
        }
    }
    Ok(())
}
