// SPDX-License-Identifier: MIT OR Apache-2.0

pub use super::overlap::Overlap;
use crate::backend::budget::Budget;
use crate::backend::{self, Backend, FilterData, Memory, Pooling, Shape};
use crate::gatys::{Error, Network, Result, Stage};

/// A [`Network`] on a backend, down to the deepest stage that is needed.
pub struct Extractor<B: Backend> {
    pub(in crate::gatys) mean: [f32; 3],
    pub(in crate::gatys) pooling: Pooling,
    /// The weights of each stage, as far as they are loaded; `None` is a pooling.
    pub(in crate::gatys) filters: Vec<Option<B::Filter>>,
    /// Channels after each stage.
    channels: Vec<usize>,
    /// Which stages are poolings.
    pub(in crate::gatys) pools: Vec<bool>,
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

    pub fn depth(&self) -> usize {
        self.channels.len()
    }

    /// How tiles of a picture must overlap to be measured at `layers` (node, λ).
    pub fn overlap(&self, layers: &[(usize, f64)]) -> Overlap {
        let depth = layers.iter().map(|(node, _)| *node).max().unwrap_or(0);
        Overlap::of(&self.pools[..depth])
    }

    /// How many poolings there are before node `node`.
    pub fn poolings(&self, node: usize) -> u32 {
        self.pools[..node].iter().map(|&is_pool| u32::from(is_pool)).sum()
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

/// The stage numbers (as nodes) and weights of named layers.
pub fn nodes(network: &Network, layers: &crate::gatys::LayerWeights) -> Result<Vec<(usize, f64)>> {
    layers
        .0
        .iter()
        .map(|(name, weight)| Ok::<_, Error>((network.stage_of(name)? + 1, *weight)))
        .collect()
}
