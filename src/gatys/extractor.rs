// SPDX-License-Identifier: MIT OR Apache-2.0

use super::{Error, Network, Result, Stage};
use crate::backend::{self, Backend, Pooling, Shape};

/// A [`Network`] on a backend, down to the deepest stage that is needed.
pub struct Extractor<B: Backend> {
    mean: [f32; 3],
    pooling: Pooling,
    /// The weights of each stage, as far as they are loaded; `None` is a pooling.
    filters: Vec<Option<B::Filter>>,
    /// Channels after each stage.
    channels: Vec<usize>,
    /// Which stages are poolings.
    pools: Vec<bool>,
}

impl<B: Backend> Extractor<B> {
    /// The first `depth` stages, yet without their weights.
    pub fn new(network: &Network, pooling: Pooling, depth: usize) -> Self {
        let mut channels = Vec::with_capacity(depth);
        for stage in &network.stages()[..depth] {
            channels.push(match stage {
                Stage::Conv { outputs, .. } => *outputs,
                // A pooling follows a convolution, so there is a last one.
                Stage::Pool => channels.last().copied().unwrap_or(3),
            });
        }
        let pools = network.stages()[..depth]
            .iter()
            .map(|stage| *stage == Stage::Pool)
            .collect();
        Self {
            mean: network.mean(),
            pooling,
            filters: Vec::with_capacity(depth),
            channels,
            pools,
        }
    }

    /// Loads the weights that are not loaded yet. After a cancelled call the next one goes on.
    pub fn load(&mut self, ops: &mut B, network: &Network) -> Result<()> {
        while self.filters.len() < self.depth() {
            self.filters.push(match network.filter(self.filters.len())? {
                Some(data) => Some(ops.filter(&data)?),
                None => None,
            });
        }
        Ok(())
    }

    pub fn depth(&self) -> usize {
        self.channels.len()
    }

    /// Shapes of the picture and of what each stage makes of it: node 0 is the picture, node n + 1 the output of
    /// stage n.
    pub fn shapes(&self, picture: Shape) -> Vec<Shape> {
        let mut shapes = vec![picture];
        for (&is_pool, &channels) in self.pools.iter().zip(&self.channels) {
            let before = shapes[shapes.len() - 1];
            shapes.push(if is_pool {
                before.pooled()
            } else {
                before.with_channels(channels)
            });
        }
        shapes
    }
}

/// The activations of a picture of one size, and the way back. Activations that somebody asked for are kept; the
/// others take turns in two tensors, since backward needs only their masks.
pub struct Features<B: Backend> {
    shapes: Vec<Shape>,
    /// Which of `values` holds each node.
    value_of: Vec<usize>,
    values: Vec<B::Tensor>,
    /// By stage.
    masks: Vec<B::Mask>,
}

impl<B: Backend> Features<B> {
    /// Plans for pictures of shape `picture`; the nodes of `kept` can be asked for after `forward`.
    pub fn new(ops: &mut B, extractor: &Extractor<B>, picture: Shape, kept: &[usize]) -> Result<Self> {
        let shapes = extractor.shapes(picture);
        let (value_of, capacity) = layout(&shapes, kept);
        let values = capacity
            .iter()
            .map(|&elements| ops.tensor(Shape::vector(elements.max(1))));
        let values = values.collect::<std::result::Result<_, _>>()?;
        let masks = shapes[1..]
            .iter()
            .map(|&shape| ops.mask(shape))
            .collect::<std::result::Result<_, _>>()?;
        Ok(Self {
            shapes,
            value_of,
            values,
            masks,
        })
    }

    pub fn shape(&self, node: usize) -> Shape {
        self.shapes[node]
    }

    /// The activations of a kept node, after `forward`.
    pub fn value(&self, node: usize) -> &B::Tensor {
        &self.values[self.value_of[node]]
    }

    /// Measures `picture`.
    pub fn forward(
        &mut self,
        ops: &mut B,
        extractor: &Extractor<B>,
        picture: &B::Tensor,
    ) -> backend::Result<()> {
        let first = &mut self.values[self.value_of[0]];
        ops.reshape(first, self.shapes[0]);
        ops.centre(picture, extractor.mean, first)?;
        for (stage, filter) in extractor.filters.iter().enumerate() {
            let [from, to] = pair(&mut self.values, self.value_of[stage], self.value_of[stage + 1]);
            ops.reshape(to, self.shapes[stage + 1]);
            match filter {
                Some(filter) => ops.conv_relu(from, filter, to, &mut self.masks[stage])?,
                None => ops.pool(from, extractor.pooling, to, &mut self.masks[stage])?,
            }
        }
        Ok(())
    }

    /// Goes back from the deepest node to the picture. `gradients` are two tensors with room for any node's
    /// gradient; `inject(ops, node, activations, gradient)` adds the loss terms of each node on the way. Returns which of the
    /// two holds the gradient of the picture.
    pub fn backward(
        &self,
        ops: &mut B,
        extractor: &Extractor<B>,
        gradients: &mut [B::Tensor; 2],
        mut inject: impl FnMut(&mut B, usize, &B::Tensor, &mut B::Tensor) -> backend::Result<()>,
    ) -> backend::Result<usize> {
        let deepest = extractor.depth();
        let mut here = 0;
        ops.reshape(&mut gradients[here], self.shapes[deepest]);
        ops.fill(0.0, &mut gradients[here])?;
        for stage in (0..deepest).rev() {
            inject(ops, stage + 1, self.value(stage + 1), &mut gradients[here])?;
            let [to, from] = pair(gradients, here, 1 - here);
            ops.reshape(from, self.shapes[stage]);
            match &extractor.filters[stage] {
                Some(filter) => ops.conv_relu_backward(to, &self.masks[stage], filter, from)?,
                None => ops.pool_backward(to, extractor.pooling, &self.masks[stage], from)?,
            }
            here = 1 - here;
        }
        Ok(here)
    }

    /// Elements of the largest node: the room that a gradient needs.
    pub fn largest(&self) -> usize {
        self.shapes.iter().map(Shape::elements).max().unwrap_or(0)
    }
}

/// Which tensor holds each node, and the elements of each tensor.
fn layout(shapes: &[Shape], kept: &[usize]) -> (Vec<usize>, Vec<usize>) {
    let mut value_of = Vec::with_capacity(shapes.len());
    let mut capacity = vec![0, 0];
    for (node, shape) in shapes.iter().enumerate() {
        if kept.contains(&node) {
            value_of.push(capacity.len());
            capacity.push(shape.elements());
        } else {
            // Even and odd nodes take turns: a stage never reads what it writes.
            value_of.push(node % 2);
            capacity[node % 2] = capacity[node % 2].max(shape.elements());
        }
    }
    (value_of, capacity)
}

/// Numbers and mask bits that [`Features`] of this plan hold.
pub fn footprint(shapes: &[Shape], kept: &[usize]) -> (usize, usize) {
    let (_, capacity) = layout(shapes, kept);
    (
        capacity.iter().sum(),
        shapes[1..].iter().map(Shape::elements).sum(),
    )
}

/// Two different elements of a slice, both mutable.
fn pair<T>(slice: &mut [T], first: usize, second: usize) -> [&mut T; 2] {
    match slice.get_disjoint_mut([first, second]) {
        Ok(pair) => pair,
        Err(_) => unreachable!("neighbouring nodes lie in different tensors"),
    }
}

/// The stage numbers (as nodes) and weights of named layers.
pub fn nodes(network: &Network, layers: &super::LayerWeights) -> Result<Vec<(usize, f64)>> {
    layers
        .0
        .iter()
        .map(|(name, weight)| Ok::<_, Error>((network.stage_of(name)? + 1, *weight)))
        .collect()
}
