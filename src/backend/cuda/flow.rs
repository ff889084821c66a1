// SPDX-License-Identifier: MIT OR Apache-2.0

//! The steps of optical flow. Planar, f32; both directions in one launch.

use super::kernels::{Grid, MOST_BLOCKS, arguments};
use super::pointer::Pointer;
use super::{Cuda, Tensor};
use crate::backend::flow::{Equations, FlowSteps, SIDE, SLOPES, Search, halved, patches};
use crate::backend::{Result, Shape};

/// For passes over `items` in each of the two directions.
fn both_ways(items: usize) -> Grid {
    Grid(Grid::over(items).0, 2, 1)
}

/// Patches that a block looks for: each has as many lanes as columns.
const PATCHES_PER_BLOCK: usize = 256 / SIDE;

/// Sums in f64 of each block of a pass.
const LIGHT_SUMS: usize = 4;

impl Cuda {
    /// Height and width of pictures [2, H, W] and of a flow [4, H, W] between them.
    fn size(pictures: &Tensor, flow: &Tensor) -> (usize, usize) {
        let shape = pictures.layout.shape;
        assert!(shape.channels == 2 && flow.layout.shape == shape.with_channels(4));
        (shape.height, shape.width)
    }
}

impl FlowSteps for Cuda {
    fn halve(&mut self, from: &Tensor, to: &mut Tensor) -> Result<()> {
        self.poll()?;
        let shape = from.layout.shape;
        assert!(to.layout.shape == halved(shape) && !from.layout.blocked);
        let Shape {
            channels,
            height,
            width,
        } = shape;
        let arguments = arguments![from.pointer(), to.pointer(), channels, height, width];
        self.launch(
            |k| &k.flow_halve,
            Grid::over(to.layout.shape.elements()),
            arguments,
        )?;
        self.set_exponent(to, 0);
        Ok(())
    }

    fn noise(&mut self, pictures: &Tensor, scratch: &mut Tensor, noise: &mut Tensor) -> Result<()> {
        self.poll()?;
        let shape = pictures.layout.shape;
        assert!(shape.channels == 2 && noise.layout.shape == Shape::vector(2));
        assert!(scratch.layout == pictures.layout);
        let count = shape.height.div_ceil(4) * shape.width;
        let bends = scratch.pointer();
        let arguments = arguments![pictures.pointer(), bends, shape.height, shape.width];
        self.launch(|k| &k.flow_bends, Grid::over(2 * count), arguments)?;
        let arguments = arguments![bends, count, noise.pointer()];
        self.launch(|k| &k.flow_noise, Grid(2, 1, 1), arguments)?;
        self.set_exponent(scratch, 0);
        self.set_exponent(noise, 0);
        Ok(())
    }

    fn enlarge_flow(&mut self, half: &Tensor, to: &mut Tensor) -> Result<()> {
        self.poll()?;
        let shape = to.layout.shape;
        assert!(shape.channels == 4 && half.layout.shape == halved(shape));
        let arguments = arguments![half.pointer(), to.pointer(), shape.height, shape.width];
        self.launch(|k| &k.flow_enlarge, Grid::over(shape.elements()), arguments)?;
        self.set_exponent(to, 0);
        Ok(())
    }

    fn search(&mut self, search: Search<Tensor>, found: &mut Tensor, means: &mut Tensor) -> Result<()> {
        self.poll()?;
        let (height, width) = Self::size(search.pictures, search.flow);
        let shape = found.layout.shape;
        assert!(Some(shape) == patches(search.pictures.layout.shape));
        assert!(
            means.layout.shape == shape.with_channels(2) && search.noise.layout.shape == Shape::vector(2)
        );
        assert!(search.around.is_none_or(|around| around.layout.shape == shape));
        let (guess, size, halvings) = match search.guess {
            Some((guess, halvings)) => (guess.pointer(), guess.layout.shape, halvings),
            None => (Pointer::NULL, Shape::default(), 0),
        };
        let arguments = arguments![
            search.pictures.pointer(),
            height,
            width,
            search.noise.pointer(),
            search.noise_share,
            search.flow.pointer(),
            guess,
            size.height,
            size.width,
            halvings,
            search.around.map_or(Pointer::NULL, Tensor::pointer),
            shape.height,
            shape.width,
            found.pointer(),
            means.pointer(),
        ];
        let blocks = shape.pixels().div_ceil(PATCHES_PER_BLOCK);
        self.launch(|k| &k.flow_search, Grid(blocks, 2, 1), arguments)?;
        self.set_exponent(found, 0);
        self.set_exponent(means, 0);
        Ok(())
    }

    fn densify(
        &mut self,
        pictures: &Tensor,
        found: &Tensor,
        means: &Tensor,
        flow: &mut Tensor,
    ) -> Result<()> {
        self.poll()?;
        let (height, width) = Self::size(pictures, flow);
        let shape = found.layout.shape;
        assert!(
            Some(shape) == patches(pictures.layout.shape) && means.layout.shape == shape.with_channels(2)
        );
        let arguments = arguments![
            pictures.pointer(),
            height,
            width,
            found.pointer(),
            means.pointer(),
            shape.height,
            shape.width,
            flow.pointer(),
        ];
        self.launch(|k| &k.flow_densify, both_ways(height * width), arguments)?;
        self.set_exponent(flow, 0);
        Ok(())
    }

    fn linearise(
        &mut self,
        pictures: &Tensor,
        flow: &Tensor,
        there: &mut Tensor,
        light: &mut Tensor,
        slopes: &Tensor,
        equations: &mut Equations<Tensor>,
    ) -> Result<()> {
        self.poll()?;
        let (height, width) = Self::size(pictures, flow);
        let layout = pictures.layout;
        assert!(there.layout == layout && light.layout.shape == Shape::vector(2 * 2));
        assert_eq!(slopes.layout.shape, SLOPES);
        for plane in equations.planes_mut() {
            assert_eq!(plane.layout, layout);
            self.set_exponent(plane, 0);
        }
        let grid = both_ways(height * width);
        let blocks = grid.0;
        let partials = self.scratch.partials();
        assert!(2 * MOST_BLOCKS * LIGHT_SUMS * size_of::<f64>() <= partials.bytes());
        let partials = partials.pointer();
        let (seen, from, warped) = (pictures.pointer(), flow.pointer(), there.pointer());
        let arguments = arguments![seen, from, warped, height, width, partials];
        self.launch(|k| &k.flow_there, grid, arguments)?;
        let arguments = arguments![partials, blocks, height * width, light.pointer()];
        self.launch(|k| &k.flow_light, Grid(2, 1, 1), arguments)?;
        let arguments = arguments![
            seen,
            from,
            warped,
            light.pointer(),
            slopes.pointer(),
            height,
            width,
            equations.xx.pointer(),
            equations.xy.pointer(),
            equations.yy.pointer(),
            equations.x.pointer(),
            equations.y.pointer(),
            equations.ties.pointer(),
        ];
        self.launch(|k| &k.flow_equations, grid, arguments)?;
        self.set_exponent(there, 0);
        self.set_exponent(light, 0);
        Ok(())
    }

    fn relax(&mut self, equations: &Equations<Tensor>, slopes: &Tensor, flow: &mut Tensor) -> Result<()> {
        self.poll()?;
        assert_eq!(slopes.layout.shape, SLOPES);
        let (height, width) = Self::size(&equations.xx, flow);
        for odd in [0_usize, 1] {
            let arguments = arguments![
                equations.xx.pointer(),
                equations.xy.pointer(),
                equations.yy.pointer(),
                equations.x.pointer(),
                equations.y.pointer(),
                equations.ties.pointer(),
                slopes.pointer(),
                flow.pointer(),
                height,
                width,
                odd,
            ];
            self.launch(
                |k| &k.flow_relax,
                both_ways(height * width.div_ceil(2)),
                arguments,
            )?;
        }
        self.set_exponent(flow, 0);
        Ok(())
    }

    fn consistency(&mut self, flow: &Tensor, trust: &mut Tensor) -> Result<()> {
        self.poll()?;
        let shape = flow.layout.shape;
        assert!(shape.channels == 4 && trust.layout.shape == shape.with_channels(1));
        let arguments = arguments![flow.pointer(), shape.height, shape.width, trust.pointer()];
        self.launch(|k| &k.flow_consistency, Grid::over(shape.pixels()), arguments)?;
        self.set_exponent(trust, 0);
        Ok(())
    }

    fn resemblance(
        &mut self,
        pictures: &Tensor,
        flow: &Tensor,
        trust: &Tensor,
        resemblance: &mut Tensor,
    ) -> Result<()> {
        self.poll()?;
        let (height, width) = Self::size(pictures, flow);
        assert!(trust.layout == resemblance.layout);
        assert_eq!(trust.layout.shape, Shape::new(1, height, width));
        let arguments = arguments![
            pictures.pointer(),
            flow.pointer(),
            trust.pointer(),
            height,
            width,
            resemblance.pointer(),
        ];
        self.launch(|k| &k.flow_resemblance, Grid::over(height * width), arguments)?;
        self.set_exponent(resemblance, 0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::backend::flow;

    /// The value of a constant of kernels/flow.cuh.
    fn of_the_kernels(name: &str) -> f32 {
        let text = include_str!("../../../kernels/flow.cuh");
        let line = text.lines().find_map(|line| {
            let (kind, rest) = line.strip_prefix("constexpr ")?.split_once(' ')?;
            let (found, value) = rest.split_once(" = ")?;
            (found == name && ["int", "float"].contains(&kind)).then_some(value)
        });
        let value = line.unwrap_or_else(|| panic!("{name} is not there"));
        value.trim_end_matches([';', 'f']).parse().unwrap()
    }

    #[test]
    fn the_kernels_have_the_numbers_that_the_steps_are_described_with() {
        for (name, value) in [
            ("SIDE", flow::SIDE as f32),
            ("STEP", flow::STEP as f32),
            ("STEPS", flow::STEPS as f32),
            ("STILL", flow::STILL),
            ("SAME", flow::SAME),
            ("REACH", flow::REACH as f32),
            ("WAY_PER_NOISE", flow::WAY_PER_NOISE),
            ("WAY", flow::WAY),
            ("BRIGHTNESS", flow::BRIGHTNESS),
            ("DERIVATIVES", flow::DERIVATIVES),
            ("SMOOTHNESS", flow::SMOOTHNESS),
            ("ROUND", flow::ROUND),
            ("FLAT", flow::FLAT),
            ("MOST_GAIN", flow::MOST_GAIN),
            ("OVER_RELAXATION", flow::OVER_RELAXATION),
            ("EDGE", flow::EDGE),
            ("ALIKE", flow::ALIKE),
            ("UNLIKE", flow::UNLIKE),
        ] {
            assert_eq!(of_the_kernels(name), value, "{name}");
        }
    }
}
