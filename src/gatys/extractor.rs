// SPDX-License-Identifier: MIT OR Apache-2.0

use super::{Error, Network, Result, Stage};
use crate::backend::budget::Budget;
use crate::backend::{self, Backend, FilterData, Memory, Pooling, Shape};

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

    /// The same network on a backend that only counts, and so needs no weights.
    pub fn counted(&self, budget: &mut Budget) -> backend::Result<Extractor<Budget>> {
        let inputs = std::iter::once(3).chain(self.channels.iter().copied());
        let stages = self.channels.iter().zip(inputs).zip(&self.pools);
        let filters = stages.map(|((&outputs, inputs), &is_pool)| match is_pool {
            true => Ok(None),
            false => {
                let (weights, bias) = (Vec::new(), Vec::new());
                let data = FilterData {
                    outputs,
                    inputs,
                    weights,
                    bias,
                };
                budget.filter(&data).map(Some)
            }
        });
        Ok(Extractor {
            mean: self.mean,
            pooling: self.pooling,
            filters: filters.collect::<backend::Result<_>>()?,
            channels: self.channels.clone(),
            pools: self.pools.clone(),
        })
    }

    fn perform(
        &self,
        ops: &mut B,
        step: &LaidStep,
        from: &B::Tensor,
        to: &mut B::Tensor,
        mask: &mut B::Mask,
    ) -> backend::Result<()> {
        match (step.kind, &self.filters[step.from]) {
            (StepKind::Conv, Some(filter)) => ops.conv_relu(from, filter, to, mask),
            (StepKind::ConvAndPool, Some(filter)) => ops.conv_relu_pool(from, filter, self.pooling, to, mask),
            _ => ops.pool(from, self.pooling, to, mask),
        }
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
/// others take turns in two tensors, since backward needs only their masks. On the way back the gradients take turns in
/// the same two.
pub struct Features<B: Backend> {
    layout: Layout,
    rooms: [B::Tensor; 2],
    /// By place in [`Layout::steps`], where the step's result is asked for.
    kept: Vec<Option<B::Tensor>>,
    /// By place in [`Layout::steps`].
    masks: Vec<B::Mask>,
}

/// What is computed on the way from the picture to the deepest node, and what of it is kept.
struct Layout {
    shapes: Vec<Shape>,
    steps: Vec<LaidStep>,
}

/// One or two stages in one operation. Activations before a pooling that nobody asks for are never written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct LaidStep {
    kind: StepKind,
    /// The first stage, which is also the node from which the step goes, and the node to which it goes.
    from: usize,
    to: usize,
    /// Whether somebody asked for the result.
    asked: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StepKind {
    Conv,
    Pool,
    ConvAndPool,
}

impl Layout {
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
            steps.push(LaidStep {
                kind,
                from,
                to,
                asked: asked.contains(&to),
            });
            from = to;
        }
        Self { shapes, steps }
    }

    /// The shapes that a room holds in turn. After an even number of steps a result lies in the first room, after an odd
    /// number in the second; so does the gradient of it.
    fn room(&self, room: usize) -> Vec<Shape> {
        let nodes = std::iter::once(0).chain(self.steps.iter().map(|step| step.to));
        nodes
            .skip(room)
            .step_by(2)
            .map(|node| self.shapes[node])
            .collect()
    }

    /// The shapes that both rooms hold in turn, those of a guest among them.
    fn rooms(&self, guest: Option<&Passage>) -> [Vec<Shape>; 2] {
        [0, 1].map(|room| {
            let guest = guest.map_or_else(Vec::new, |guest| guest.0.room(room));
            [self.room(room), guest].concat()
        })
    }

    fn mask(&self, step: &LaidStep) -> Shape {
        // Before pooling, if there is one.
        self.shapes[step.from + 1]
    }
}

/// The way of a picture through the network of which nothing is kept: activations come by, and there is no way back.
pub struct Passage(Layout);

impl Passage {
    /// For pictures of shape `picture`, of which the nodes `asked` are looked at.
    pub fn new<B: Backend>(extractor: &Extractor<B>, picture: Shape, asked: &[usize]) -> Self {
        Self(Layout::new(&extractor.pools, extractor.shapes(picture), asked))
    }

    /// Room for it.
    pub fn rooms<B: Backend>(&self, ops: &mut B) -> Result<[B::Tensor; 2]> {
        let [even, odd] = self.0.rooms(None);
        Ok([ops.tensor_for(&even)?, ops.tensor_for(&odd)?])
    }

    /// Takes `picture` through, in `rooms` of the size; `look(ops, node, activations)` sees each node that was asked for.
    pub fn pass<B: Backend>(
        &self,
        ops: &mut B,
        extractor: &Extractor<B>,
        picture: &B::Tensor,
        rooms: &mut [B::Tensor; 2],
        mut look: impl FnMut(&mut B, usize, &B::Tensor) -> backend::Result<()>,
    ) -> backend::Result<()> {
        let layout = &self.0;
        ops.reshape(&mut rooms[0], layout.shapes[0]);
        ops.centre(picture, extractor.mean, &mut rooms[0])?;
        for (place, step) in layout.steps.iter().enumerate() {
            let [even, odd] = &mut *rooms;
            let (from, to) = if place % 2 == 0 { (even, odd) } else { (odd, even) };
            ops.reshape(to, layout.shapes[step.to]);
            let mut mask = ops.mask(layout.mask(step))?;
            extractor.perform(ops, step, from, to, &mut mask)?;
            if step.asked {
                look(ops, step.to, to)?;
            }
        }
        Ok(())
    }
}

impl<B: Backend> Features<B> {
    /// Plans for pictures of shape `picture`; the activations of the nodes `asked` are kept. There is room to let a `guest`
    /// [pass](Passage::pass), too.
    pub fn new(
        ops: &mut B,
        extractor: &Extractor<B>,
        picture: Shape,
        asked: &[usize],
        guest: Option<&Passage>,
    ) -> Result<Self> {
        let layout = Layout::new(&extractor.pools, extractor.shapes(picture), asked);
        let masks = layout.steps.iter().map(|step| ops.mask(layout.mask(step)));
        let masks = masks.collect::<backend::Result<Vec<_>>>()?;
        let kept = layout.steps.iter().map(|step| match step.asked {
            true => Ok(Some(ops.tensor(layout.shapes[step.to])?)),
            false => Ok(None),
        });
        let kept = kept.collect::<backend::Result<Vec<_>>>()?;
        let [even, odd] = layout.rooms(guest);
        Ok(Self {
            rooms: [ops.tensor_for(&even)?, ops.tensor_for(&odd)?],
            kept,
            masks,
            layout,
        })
    }

    /// Whether a picture that passes finds room.
    pub fn has_room_for(&self, ops: &B, passage: &Passage) -> bool {
        let needed = passage.0.rooms(None);
        let mut pairs = self.rooms.iter().zip(&needed);
        pairs.all(|(room, shapes)| shapes.iter().all(|&shape| ops.can_hold(room, shape)))
    }

    /// What holds activations and gradients in turn: nothing that anybody counts on between a way back and the next way
    /// forward.
    pub fn rooms(&mut self) -> &mut [B::Tensor; 2] {
        &mut self.rooms
    }

    pub fn shape(&self, node: usize) -> Shape {
        self.layout.shapes[node]
    }

    /// The activations of a kept node, after `forward`.
    pub fn value(&self, node: usize) -> &B::Tensor {
        let place = self.layout.steps.iter().position(|step| step.to == node);
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
        ops.reshape(&mut self.rooms[0], self.layout.shapes[0]);
        ops.centre(picture, extractor.mean, &mut self.rooms[0])?;
        for (place, step) in self.layout.steps.iter().enumerate() {
            let [even, odd] = &mut self.rooms;
            let (room_from, room_to) = if place % 2 == 0 { (even, odd) } else { (odd, even) };
            let (before, after) = self.kept.split_at_mut(place);
            let from = match before.last() {
                Some(Some(kept)) => kept,
                _ => &*room_from,
            };
            let to = match &mut after[0] {
                Some(kept) => kept,
                None => {
                    ops.reshape(room_to, self.layout.shapes[step.to]);
                    room_to
                }
            };
            extractor.perform(ops, step, from, to, &mut self.masks[place])?;
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
            layout,
            rooms,
            kept,
            masks,
            ..
        } = self;
        let deepest = &mut rooms[layout.steps.len() % 2];
        ops.reshape(deepest, layout.shapes[extractor.depth()]);
        ops.fill(0.0, deepest)?;
        for (place, step) in layout.steps.iter().enumerate().rev() {
            let [even, odd] = &mut *rooms;
            let (from, to) = if place % 2 == 0 { (even, odd) } else { (odd, even) };
            if let Some(activations) = &kept[place] {
                inject(ops, step.to, activations, to)?;
            }
            ops.reshape(from, layout.shapes[step.from]);
            let mask = &masks[place];
            match (step.kind, &extractor.filters[step.from]) {
                (StepKind::Conv, Some(filter)) => ops.conv_relu_backward(to, mask, filter, from)?,
                (StepKind::ConvAndPool, Some(filter)) => {
                    ops.conv_relu_pool_backward(to, extractor.pooling, mask, filter, from)?
                }
                _ => ops.pool_backward(to, extractor.pooling, mask, from)?,
            }
        }
        Ok(&mut rooms[0])
    }

    /// The gradient of the picture, after `backward`.
    pub fn gradient(&self) -> &B::Tensor {
        &self.rooms[0]
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
