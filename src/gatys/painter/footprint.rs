// SPDX-License-Identifier: MIT OR Apache-2.0

//! What painting takes of a machine's memory.

use super::{Painter, mix};
use crate::backend::{Backend, Shape, Work};
use crate::gatys::between::Between;
use crate::gatys::canvas::{Plan, with_margin};
use crate::gatys::continuation::Continuation;
use crate::gatys::{Init, Recipe, schedule};

/// What a painter is to be ready for. Sizes are widths and heights in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demand {
    /// At which frames are painted.
    pub size: (usize, usize),
    /// Of the frames.
    pub frame: (usize, usize),
    /// Of the style's picture.
    pub style: (usize, usize),
    /// Whether there are frames between keyframes.
    pub between: bool,
}

impl<B: Backend> Painter<B> {
    /// Bytes of everything that painting takes of the machine's memory, known before anything is allocated: weights,
    /// tensors of all sizes, masks, the style's Gram matrices, scratch space, tables of resamplings, frames on their way, and
    /// what frames between keyframes need. Those of a card are exact: it is what is
    /// [in use](Backend::bytes_in_use) from [`plan`](Self::plan) on, and no painting takes more. On the CPU weights and
    /// scratch space are not in the figure.
    pub fn planned_bytes(&self, demand: Demand) -> usize {
        self.tensor_bytes(demand) + self.ops.scratch_bytes(&self.work(demand))
    }

    /// The most that it takes at a time: of the style's picture and its activations there is something while they are
    /// measured.
    pub fn peak_bytes(&self, demand: Demand) -> usize {
        let styles = self
            .canvas_plans(demand)
            .map(|plan| plan.style_bytes(&self.extractor));
        self.planned_bytes(demand) + styles.max().unwrap_or(0)
    }

    /// The [planned bytes](Self::planned_bytes) of the plan that there is, with the style that was set last; 0 without one.
    pub fn planned_now(&self) -> usize {
        self.planned.map_or(0, |(demand, style)| {
            let work = self.work(Demand { style, ..demand });
            self.tensor_bytes(demand) + self.ops.scratch_bytes(&work)
        })
    }

    /// Of everything but scratch space.
    fn tensor_bytes(&self, demand: Demand) -> usize {
        let shape = self.shape(demand.size);
        let canvases = self.canvas_plans(demand).map(|plan| plan.bytes(&self.extractor));
        let between = if demand.between {
            Between::<B>::bytes(shape)
        } else {
            0
        };
        let probe = B::tensor_bytes(Shape::vector(1));
        let carried = Continuation::<B>::bytes(shape) + between;
        self.extractor.weight_bytes() + canvases.sum::<usize>() + carried + probe
    }

    /// All that takes memory beyond its operands.
    pub(super) fn work(&self, demand: Demand) -> Vec<Work> {
        let plans: Vec<Plan> = self.canvas_plans(demand).collect();
        let mut work: Vec<Work> = plans.iter().flat_map(|plan| plan.work(&self.extractor)).collect();
        work.extend(Continuation::<B>::work(
            self.shape(demand.size),
            self.recipe.border,
        ));
        if let Some(full) = plans.first() {
            let (width, height) = demand.frame;
            work.push(Work::Export {
                width,
                height,
                inside: full.inside(),
                guided: mix(1.0, self.recipe.detail, demand.size, demand.frame).detail != 0.0,
            });
            // Step by step up in size, and at a glance to the full one.
            for (index, coarser) in plans.iter().enumerate().skip(1) {
                for finer in [full, &plans[index - 1]] {
                    let (from, to) = (coarser.inside(), finer.inside());
                    work.push(Work::Resize { from, to });
                }
            }
            if let (Init::Previous, Some(coarsest)) = (self.recipe.init, plans.last()) {
                let (from, to) = (full.inside(), coarsest.inside());
                work.push(Work::Resize { from, to });
            }
        }
        work
    }

    fn canvas_plans(&self, demand: Demand) -> impl Iterator<Item = Plan<'_>> {
        (0..self.scales(demand.size)).map(move |scale| {
            canvas_plan(
                &self.recipe,
                &self.content_layers,
                &self.style_layers,
                demand,
                scale,
            )
        })
    }

    /// Of the full-size picture, with its margin.
    pub(super) fn shape(&self, size: (usize, usize)) -> Shape {
        with_margin(size, self.recipe.border)
    }

    /// How many sizes a fresh start of pictures painted at `size` has.
    pub(super) fn scales(&self, size: (usize, usize)) -> usize {
        match self.recipe.scales {
            0 => schedule::scales_for(size.0.max(size.1)),
            chosen => chosen.min(schedule::MOST_SCALES),
        }
    }
}

/// The plan of one scale of a recipe.
pub fn canvas_plan<'a>(
    recipe: &Recipe,
    content: &'a [(usize, f64)],
    style: &'a [(usize, f64)],
    demand: Demand,
    scale: usize,
) -> Plan<'a> {
    let size = schedule::size_at(demand.size, scale);
    Plan {
        size,
        border: recipe.border,
        frame: demand.frame,
        style_size: scaled_to_area(demand.style.0, demand.style.1, size),
        style_frame: demand.style,
        content,
        style,
        normalization: recipe.normalization,
        optimizer: recipe.optimizer,
    }
}

/// Width and height of a picture of the given shape scaled to the area of `size`, at least 16 pixels each way.
pub fn scaled_to_area(width: usize, height: usize, size: (usize, usize)) -> (usize, usize) {
    let factor = ((size.0 * size.1) as f64 / (width * height) as f64).sqrt();
    let side = |length: usize| ((length as f64 * factor).round() as usize).max(16);
    (side(width), side(height))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::{CancelToken, Memory, cpu::Cpu};
    use crate::gatys::{
        Network, NetworkChoice, Normalization, OptimizerKind, OptimizerSettings, PoolingChoice,
    };

    #[test]
    fn what_is_planned_is_what_is_then_in_use() {
        for (scales, kind) in [
            (1, OptimizerKind::Adam),
            (3, OptimizerKind::Adam),
            (1, OptimizerKind::Sgd),
        ] {
            let recipe = Recipe {
                content_layers: None,
                style_layers: None,
                normalization: Normalization::Relative,
                pooling: PoolingChoice::Network,
                optimizer: OptimizerSettings {
                    kind,
                    momentum: 0.9,
                    moment_blur: 4,
                },
                detail: 0.5,
                rate_decay: 0.4,
                border: 8,
                scales,
                init: Init::Matched,
                seed: 0,
            };
            let network = Network::open(NetworkChoice::Tiny, None).unwrap();
            let mut painter =
                Painter::new(Cpu::new(1, CancelToken::new()).unwrap(), network, recipe).unwrap();
            let demand = |size| Demand {
                size,
                frame: (320, 192),
                style: (64, 50),
                between: scales == 3,
            };
            painter.plan(demand((16, 16)), 0).unwrap();
            // Weights and scratch space.
            let constant = painter.backend().bytes_in_use() - painter.planned_now();
            painter.plan(demand((200, 120)), 0).unwrap();
            let planned = painter.planned_bytes(demand((200, 120)));
            assert_eq!(painter.planned_now(), planned);
            assert_eq!(painter.backend().bytes_in_use() - constant, planned);
        }
    }

    #[test]
    fn the_style_picture_gets_the_area_of_the_output() {
        let (width, height) = scaled_to_area(707, 552, (256, 160));
        let area = (width * height) as f64 / (256.0 * 160.0);
        assert!((area - 1.0).abs() < 0.01, "{width}×{height}");
        assert!((width as f64 / height as f64 - 707.0 / 552.0).abs() < 0.01);
        assert_eq!(scaled_to_area(4, 1000, (32, 32)), (16, 506));
    }
}
