// SPDX-License-Identifier: MIT OR Apache-2.0

//! What painting takes of a backend's memory.

use super::Painter;
use crate::backend::budget::Budget;
use crate::backend::{Backend, ColourMap, ColourStatistics, Memory, ScratchUse, Shape};
use crate::gatys::network::overlap::Overlap;
use crate::gatys::paint::scale::{ScaleSettings, with_margin};
use crate::gatys::paint::schedule;
use crate::gatys::{LossWeights, Losses, PreviewSink, Recipe, Result, Run};
use crate::picture::{Format, Picture};
use crate::settings::MOST_SCALES;

/// What a painter is to be ready for. Sizes are widths and heights in pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Demand {
    /// The size at which frames are painted.
    pub size: (usize, usize),
    /// The frames' own size and depth.
    pub frame: Format,
    /// The style's picture.
    pub style: StyleSize,
    /// Whether there are frames between keyframes.
    pub between: bool,
}

/// How large a style's picture is, and how large it is to be measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StyleSize {
    /// Width and height of the picture.
    pub picture: (usize, usize),
    /// It is measured at this multiple of the size at which it has the output's area.
    pub scale: f64,
}

impl StyleSize {
    /// Width and height at which the picture is measured for an output of a size, at least 16 pixels each way.
    pub fn measured(&self, output: (usize, usize)) -> (usize, usize) {
        let (width, height) = self.picture;
        let same_area = ((output.0 * output.1) as f64 / (width * height) as f64).sqrt();
        let side = |length: usize| ((length as f64 * same_area * self.scale).round() as usize).max(16);
        (side(width), side(height))
    }

    /// Width and height of the largest tiles in which it is measured: memory for the output's area serves for them, unless it
    /// is so small that little but overlap would be in them.
    pub fn tile(&self, output: (usize, usize), overlap: Overlap) -> (usize, usize) {
        let (width, height) = Self { scale: 1.0, ..*self }.measured(output);
        let least = overlap.least_side();
        (width.max(least), height.max(least))
    }

    /// How many times the picture would have to be enlarged for an output of a size; at most 1 if it is large enough.
    pub fn enlarged(&self, output: (usize, usize)) -> f64 {
        let (width, height) = self.measured(output);
        let times = |measured: usize, there: usize| measured as f64 / there as f64;
        times(width, self.picture.0).min(times(height, self.picture.1))
    }
}

/// What there is a plan for, the size of the style that was asked for since, and what it takes with that, in bytes.
#[derive(Clone, Copy)]
pub struct Planned {
    pub demand: Demand,
    pub style: StyleSize,
    pub bytes: usize,
}

/// What painting takes of a backend's memory.
pub struct Requirement {
    /// Bytes of all that is there from the plan on.
    pub bytes: usize,
    /// The most bytes at a time: of the style's picture and its activations there is something while they are measured.
    pub peak: usize,
    pub scratch: Vec<ScratchUse>,
}

impl<B: Backend> Painter<B> {
    /// Bytes of everything that painting takes of the backend's memory, known before anything is allocated: weights,
    /// tensors of all sizes, masks, the style's Gram matrices, scratch space, tables of resamplings, frames on their way, and
    /// what frames between keyframes need. Those of a card are exact: it is what is
    /// [in use](crate::backend::Memory::bytes_in_use) from [`plan`](Self::plan) on, and no painting takes more. On the CPU
    /// weights and scratch space are not in the figure.
    pub fn planned_bytes(&self, demand: Demand) -> usize {
        self.requirement(demand, demand.style).bytes
    }

    /// The most that it takes at a time.
    pub fn peak_bytes(&self, demand: Demand) -> usize {
        self.requirement(demand, demand.style).peak
    }

    /// The [planned bytes](Self::planned_bytes) of the plan that there is, with the style that was set last; 0 without one.
    pub fn planned_now(&self) -> usize {
        self.planned.map_or(0, |planned| planned.bytes)
    }

    /// What painting takes with a plan for `demand` and a style of the size `style`: found by doing it once on a backend
    /// that only counts.
    pub(super) fn requirement(&self, demand: Demand, style: StyleSize) -> Requirement {
        self.on_a_budget(demand, style)
            .expect("cannot fail: what only counts has memory for everything and is not cancelled")
    }

    fn on_a_budget(&self, demand: Demand, style: StyleSize) -> Result<Requirement> {
        let mut budget = Budget::new(self.ops.sizes());
        let mut painter = Painter {
            extractor: self.extractor.counted(&mut budget)?,
            probe: budget.tensor(Shape::vector(1))?,
            ops: budget,
            network: None,
            recipe: self.recipe.clone(),
            content_layers: self.content_layers.clone(),
            style_layers: self.style_layers.clone(),
            planned: None,
            states: Vec::new(),
            style_colours: ColourStatistics::default(),
            axes: ColourMap::IDENTITY,
            continuation: None,
            between: None,
            // A start from the previous picture takes most.
            painted: true,
            losses: Losses::default(),
            iterations: 0,
        };
        painter.allocate(demand)?;
        let (width, height) = style.picture;
        painter.measure_style(Picture::new(width, height).view(), style)?;
        // Only the sizes count: the system gives memory for zeros when they are first touched, and nothing touches them.
        let picture = || Picture::black(demand.frame);
        let (frame, mut out) = (picture(), picture());
        painter.start(frame.view(), one_step(Some(&mut Always)))?;
        painter.advance(frame.view(), one_step(None))?;
        painter.compose(frame.view(), 1.0, &mut out)?;
        // Frames between keyframes are put together by the same operations.
        let budget = &painter.ops;
        Ok(Requirement {
            bytes: budget.bytes(),
            peak: budget.peak(),
            scratch: budget.scratch_uses().to_vec(),
        })
    }

    /// [3, H, W] of the full-size picture with its margin.
    pub(super) fn shape(&self, size: (usize, usize)) -> Shape {
        with_margin(size, self.recipe.border)
    }

    /// How many sizes a fresh start of pictures painted at `size` has.
    pub(super) fn scales(&self, size: (usize, usize)) -> usize {
        match self.recipe.scales {
            0 => schedule::scales_for(size.0.max(size.1)),
            chosen => chosen.min(MOST_SCALES),
        }
    }
}

/// The plan of one scale of a recipe.
pub fn scale_settings<'a>(
    recipe: &Recipe,
    content: &'a [(usize, f64)],
    style: &'a [(usize, f64)],
    demand: Demand,
    overlap: Overlap,
    scale: usize,
) -> ScaleSettings<'a> {
    let size = schedule::size_at(demand.size, scale);
    // Styles are measured for all scales in the buffers of the full size.
    let guest = (scale == 0).then(|| {
        // A smaller scale may grow while frames are painted.
        let largest = StyleSize {
            scale: demand.style.scale.max(1.0),
            ..demand.style
        };
        let (most, measured) = (largest.tile(size, overlap), largest.measured(size));
        Shape::new(3, measured.1.min(most.1), measured.0.min(most.0))
    });
    ScaleSettings {
        size,
        border: recipe.border,
        guest,
        content,
        style,
        measure: recipe.measure,
        optimizer: recipe.optimizer,
    }
}

fn one_step(previews: Option<&mut dyn PreviewSink>) -> Run<'_> {
    Run {
        weights: LossWeights::default(),
        rate: 0.0,
        iterations: 1,
        steadiness: 1.0,
        observer: None,
        previews,
    }
}

/// Asks for everything that there is to see.
struct Always;

impl PreviewSink for Always {
    fn wants_preview(&mut self) -> bool {
        true
    }

    fn show(&mut self, _picture: Vec<f32>) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::{CancelToken, Memory, cpu::Cpu};
    use crate::gatys::{Network, NetworkChoice, OptimizerKind, OptimizerSettings};

    #[test]
    fn what_is_planned_is_what_is_then_in_use() {
        for (scales, kind) in [
            (1, OptimizerKind::Adam),
            (3, OptimizerKind::Adam),
            (1, OptimizerKind::Sgd),
        ] {
            let recipe = Recipe {
                optimizer: OptimizerSettings {
                    kind,
                    ..OptimizerSettings::default()
                },
                scales,
                border: 8,
                ..Recipe::default()
            };
            let network = Network::open(NetworkChoice::Tiny, None).unwrap();
            let mut painter =
                Painter::new(Cpu::new(1, CancelToken::new()).unwrap(), network, recipe).unwrap();
            let demand = |size| Demand {
                size,
                frame: (320, 192).into(),
                style: StyleSize {
                    picture: (64, 50),
                    scale: 1.0,
                },
                between: scales == 3,
            };
            painter.plan(demand((16, 16)), 0).unwrap();
            // The network's weights and scratch space.
            let constant = painter.backend().bytes_in_use() - painter.planned_now();
            painter.plan(demand((200, 120)), 0).unwrap();
            let planned = painter.planned_bytes(demand((200, 120)));
            assert_eq!(painter.planned_now(), planned);
            assert_eq!(painter.backend().bytes_in_use() - constant, planned);
        }
    }

    #[test]
    fn the_style_picture_gets_the_area_of_the_output() {
        let style = |picture, scale| StyleSize { picture, scale };
        let (width, height) = style((707, 552), 1.0).measured((256, 160));
        let area = (width * height) as f64 / (256.0 * 160.0);
        assert!((area - 1.0).abs() < 0.01, "{width}×{height}");
        assert!((width as f64 / height as f64 - 707.0 / 552.0).abs() < 0.01);
        assert_eq!(style((4, 1000), 1.0).measured((32, 32)), (16, 506));
        let (wide, tall) = style((707, 552), 2.0).measured((256, 160));
        assert!(wide.abs_diff(2 * width) <= 1 && tall.abs_diff(2 * height) <= 1);
    }

    #[test]
    fn a_style_that_is_too_small_is_told_by_how_much() {
        let enlarged = |picture, scale| StyleSize { picture, scale }.enlarged((200, 100));
        assert!((enlarged((400, 200), 1.0) - 0.5).abs() < 1e-9);
        assert!((enlarged((400, 200), 4.0) - 2.0).abs() < 1e-9);
    }
}
