// SPDX-License-Identifier: MIT OR Apache-2.0

use crate::backend::{self, Backend, Shape};
use crate::gatys::Result;
use crate::gatys::network::extractor::Extractor;

/// The activations of a picture of one size, and the way back. Activations of the nodes that are asked for are kept; the
/// others take turns in two tensors, since backward needs only their masks. On the way back the gradients take turns in
/// the same two.
pub struct Features<B: Backend> {
    plan: LayerPlan,
    buffers: [B::Tensor; 2],
    /// By place in [`LayerPlan::steps`], where the step's result is asked for.
    kept: Vec<Option<B::Tensor>>,
    /// By place in [`LayerPlan::steps`].
    masks: Vec<B::Mask>,
}

/// What is computed on the way from the picture to the deepest node, and what of it is kept.
struct LayerPlan {
    shapes: Vec<Shape>,
    steps: Vec<LayerStep>,
}

/// One or two stages in one operation. Activations before a pooling that are not asked for are never written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct LayerStep {
    kind: StepKind,
    /// The first stage, which is also the node from which the step goes, and the node to which it goes.
    from: usize,
    to: usize,
    /// Whether the result is asked for, and so kept.
    asked: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StepKind {
    Conv,
    Pool,
    ConvAndPool,
}

impl LayerStep {
    fn perform<B: Backend>(
        &self,
        ops: &mut B,
        extractor: &Extractor<B>,
        from: &B::Tensor,
        to: &mut B::Tensor,
        mask: &mut B::Mask,
    ) -> backend::Result<()> {
        match (self.kind, &extractor.filters[self.from]) {
            (StepKind::Conv, Some(filter)) => ops.conv_relu(from, filter, to, mask),
            (StepKind::ConvAndPool, Some(filter)) => {
                ops.conv_relu_pool(from, filter, extractor.pooling, to, mask)
            }
            _ => ops.pool(from, extractor.pooling, to, mask),
        }
    }
}

impl LayerPlan {
    fn new(pools: &[bool], shapes: Vec<Shape>, asked: &[usize]) -> Self {
        let mut steps = Vec::with_capacity(pools.len());
        let mut from = 0;
        while from < pools.len() {
            let joined = !pools[from] && pools.get(from + 1) == Some(&true) && !asked.contains(&(from + 1));
            let (kind, to) = match (pools[from], joined) {
                (true, _) => (StepKind::Pool, from + 1),
                (false, false) => (StepKind::Conv, from + 1),
                (false, true) => (StepKind::ConvAndPool, from + 2),
            };
            steps.push(LayerStep {
                kind,
                from,
                to,
                asked: asked.contains(&to),
            });
            from = to;
        }
        Self { shapes, steps }
    }

    /// The shapes that one of the two buffers, 0 or 1, holds in turn. The result of an even number of steps lies in buffer
    /// 0, that of an odd number in buffer 1; so does the gradient of each.
    fn buffer_shapes(&self, buffer: usize) -> Vec<Shape> {
        let nodes = std::iter::once(0).chain(self.steps.iter().map(|step| step.to));
        nodes
            .skip(buffer)
            .step_by(2)
            .map(|node| self.shapes[node])
            .collect()
    }

    /// The shapes that both buffers hold in turn, those of another pass among them.
    fn buffers(&self, other: Option<&ForwardPass>) -> [Vec<Shape>; 2] {
        [0, 1].map(|buffer| {
            let other = other.map_or_else(Vec::new, |other| other.0.buffer_shapes(buffer));
            [self.buffer_shapes(buffer), other].concat()
        })
    }

    fn mask(&self, step: &LayerStep) -> Shape {
        // Before pooling, if there is one.
        self.shapes[step.from + 1]
    }
}

/// A forward pass that keeps no activations: each node that was asked for is shown to the caller as soon as it is computed.
/// There is no backward pass after it.
pub struct ForwardPass(LayerPlan);

impl ForwardPass {
    /// For pictures of shape `picture`, of which the nodes `asked` are looked at.
    pub fn new<B: Backend>(extractor: &Extractor<B>, picture: Shape, asked: &[usize]) -> Self {
        Self(LayerPlan::new(&extractor.pools, extractor.shapes(picture), asked))
    }

    /// Allocates the two buffers that the pass alternates between.
    pub fn buffers<B: Backend>(&self, ops: &mut B) -> Result<[B::Tensor; 2]> {
        let [even, odd] = self.0.buffers(None);
        Ok([ops.tensor_for(&even)?, ops.tensor_for(&odd)?])
    }

    /// Takes `picture` through, in `buffers` of the size; `look(ops, node, activations)` sees each node that was asked for.
    pub fn pass<B: Backend>(
        &self,
        ops: &mut B,
        extractor: &Extractor<B>,
        picture: &B::Tensor,
        buffers: &mut [B::Tensor; 2],
        mut look: impl FnMut(&mut B, usize, &B::Tensor) -> backend::Result<()>,
    ) -> backend::Result<()> {
        let plan = &self.0;
        ops.reshape(&mut buffers[0], plan.shapes[0]);
        ops.centre(picture, extractor.mean, &mut buffers[0])?;
        for (place, step) in plan.steps.iter().enumerate() {
            let [even, odd] = &mut *buffers;
            let (from, to) = if place % 2 == 0 { (even, odd) } else { (odd, even) };
            ops.reshape(to, plan.shapes[step.to]);
            let mut mask = ops.mask(plan.mask(step))?;
            step.perform(ops, extractor, from, to, &mut mask)?;
            if step.asked {
                look(ops, step.to, to)?;
            }
        }
        Ok(())
    }
}

impl<B: Backend> Features<B> {
    /// Plans for pictures of shape `picture`; the activations of the nodes `asked` are kept. The buffers are large
    /// enough for an `other` [pass](ForwardPass::pass), too.
    pub fn new(
        ops: &mut B,
        extractor: &Extractor<B>,
        picture: Shape,
        asked: &[usize],
        other: Option<&ForwardPass>,
    ) -> Result<Self> {
        let plan = LayerPlan::new(&extractor.pools, extractor.shapes(picture), asked);
        let masks = plan.steps.iter().map(|step| ops.mask(plan.mask(step)));
        let masks = masks.collect::<backend::Result<Vec<_>>>()?;
        let kept = plan.steps.iter().map(|step| match step.asked {
            true => Ok(Some(ops.tensor(plan.shapes[step.to])?)),
            false => Ok(None),
        });
        let kept = kept.collect::<backend::Result<Vec<_>>>()?;
        let [even, odd] = plan.buffers(other);
        Ok(Self {
            buffers: [ops.tensor_for(&even)?, ops.tensor_for(&odd)?],
            kept,
            masks,
            plan,
        })
    }

    /// Whether the buffers are large enough for `pass`.
    pub fn has_buffers_for(&self, ops: &B, pass: &ForwardPass) -> bool {
        let needed = pass.0.buffers(None);
        let mut pairs = self.buffers.iter().zip(&needed);
        pairs.all(|(buffer, shapes)| shapes.iter().all(|&shape| ops.can_hold(buffer, shape)))
    }

    /// What holds activations and gradients in turn. Its contents mean nothing between a backward pass and the next forward
    /// pass.
    pub fn buffers(&mut self) -> &mut [B::Tensor; 2] {
        &mut self.buffers
    }

    pub fn shape(&self, node: usize) -> Shape {
        self.plan.shapes[node]
    }

    /// The activations of a kept node, after `forward`.
    pub fn value(&self, node: usize) -> &B::Tensor {
        let place = self.plan.steps.iter().position(|step| step.to == node);
        match place.and_then(|place| self.kept[place].as_ref()) {
            Some(value) => value,
            None => unreachable!("node {node} was not asked for"),
        }
    }

    /// Measures `picture`.
    pub fn forward(
        &mut self,
        ops: &mut B,
        extractor: &Extractor<B>,
        picture: &B::Tensor,
    ) -> backend::Result<()> {
        ops.reshape(&mut self.buffers[0], self.plan.shapes[0]);
        ops.centre(picture, extractor.mean, &mut self.buffers[0])?;
        for (place, step) in self.plan.steps.iter().enumerate() {
            let [even, odd] = &mut self.buffers;
            let (buffer_from, buffer_to) = if place % 2 == 0 { (even, odd) } else { (odd, even) };
            let (before, after) = self.kept.split_at_mut(place);
            let from = match before.last() {
                Some(Some(kept)) => kept,
                _ => &*buffer_from,
            };
            let to = match &mut after[0] {
                Some(kept) => kept,
                None => {
                    ops.reshape(buffer_to, self.plan.shapes[step.to]);
                    buffer_to
                }
            };
            step.perform(ops, extractor, from, to, &mut self.masks[place])?;
        }
        Ok(())
    }

    /// Goes back from the deepest node to the picture. `inject(ops, node, activations, gradient)` adds the loss terms of each
    /// kept node on the way. Returns the gradient of the picture.
    pub fn backward(
        &mut self,
        ops: &mut B,
        extractor: &Extractor<B>,
        mut inject: impl FnMut(&mut B, usize, &B::Tensor, &mut B::Tensor) -> backend::Result<()>,
    ) -> backend::Result<&mut B::Tensor> {
        let Self {
            plan,
            buffers,
            kept,
            masks,
            ..
        } = self;
        let deepest = &mut buffers[plan.steps.len() % 2];
        ops.reshape(deepest, plan.shapes[extractor.depth()]);
        ops.fill(0.0, deepest)?;
        for (place, step) in plan.steps.iter().enumerate().rev() {
            let [even, odd] = &mut *buffers;
            let (from, to) = if place % 2 == 0 { (even, odd) } else { (odd, even) };
            if let Some(activations) = &kept[place] {
                inject(ops, step.to, activations, to)?;
            }
            ops.reshape(from, plan.shapes[step.from]);
            let mask = &masks[place];
            match (step.kind, &extractor.filters[step.from]) {
                (StepKind::Conv, Some(filter)) => ops.conv_relu_backward(to, mask, filter, from)?,
                (StepKind::ConvAndPool, Some(filter)) => {
                    ops.conv_relu_pool_backward(to, extractor.pooling, mask, filter, from)?
                }
                _ => ops.pool_backward(to, extractor.pooling, mask, from)?,
            }
        }
        Ok(&mut buffers[0])
    }

    /// The gradient of the picture, after `backward`.
    pub fn gradient(&self) -> &B::Tensor {
        &self.buffers[0]
    }
}
