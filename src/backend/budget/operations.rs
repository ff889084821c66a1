// SPDX-License-Identifier: MIT OR Apache-2.0

//! The operations, which do nothing. Those that take scratch space leave a note of it.

use super::{Budget, Counted};
use crate::backend::flow::{Equations, FlowSteps, Search};
use crate::backend::{
    AdamKnobs, ColourMap, ColourStatistics, Export, Interpolation, Layers, LossTerms, Moments, Pictures,
    Pooling, Result, Scalar, ScratchUse, Shape, Slot, Updates,
};
use crate::picture::{Picture, PictureView};

/// The shape without a margin of `border` pixels.
fn inside(shape: Shape, border: usize) -> Shape {
    Shape::new(
        shape.channels,
        shape.height - 2 * border,
        shape.width - 2 * border,
    )
}

impl Pictures for Budget {
    fn import(&mut self, frame: PictureView, border: usize, picture: &mut Counted) -> Result<()> {
        let inside = inside(picture.shape, border);
        self.note(ScratchUse::Import {
            frame: frame.format(),
            whole: (inside.width, inside.height),
            inside,
        });
        Ok(())
    }

    fn import_part(
        &mut self,
        frame: PictureView,
        whole: (usize, usize),
        _corner: (usize, usize),
        picture: &mut Counted,
    ) -> Result<()> {
        self.note(ScratchUse::Import {
            frame: frame.format(),
            whole,
            inside: picture.shape,
        });
        Ok(())
    }

    fn export(&mut self, export: Export<Counted>, _out: &mut Picture) -> Result<()> {
        self.note(ScratchUse::Export {
            frame: export.frame.format(),
            inside: inside(export.picture.shape, export.border),
            guided: export.mix.detail != 0.0,
        });
        Ok(())
    }

    fn resize(&mut self, from: &Counted, border: usize, to: &mut Counted) -> Result<()> {
        let (from, to) = (inside(from.shape, border), inside(to.shape, border));
        self.note(ScratchUse::Resize { from, to });
        Ok(())
    }

    fn mirror_border(&mut self, _picture: &mut Counted, _border: usize) -> Result<()> {
        Ok(())
    }

    fn colour_statistics(&mut self, _picture: &Counted) -> Result<ColourStatistics> {
        self.note(ScratchUse::Colours);
        Ok(ColourStatistics::default())
    }

    fn colour_map(&mut self, _from: &Counted, _map: &ColourMap, _to: &mut Counted) -> Result<()> {
        Ok(())
    }

    fn blend(&mut self, _other: &Counted, _share: &Counted, _to: &mut Counted) -> Result<()> {
        Ok(())
    }

    fn warp(
        &mut self,
        _from: &Counted,
        _flow: &Counted,
        _interpolation: Interpolation,
        _to: &mut Counted,
    ) -> Result<()> {
        Ok(())
    }
}

impl Layers for Budget {
    fn centre(&mut self, _from: &Counted, _mean: [f32; 3], _to: &mut Counted) -> Result<()> {
        Ok(())
    }

    fn conv_relu(
        &mut self,
        from: &Counted,
        filter: &Counted,
        _to: &mut Counted,
        _mask: &mut Counted,
    ) -> Result<()> {
        self.note(ScratchUse::Convolution {
            from: from.shape,
            outputs: filter.shape.channels,
        });
        Ok(())
    }

    fn conv_relu_backward(
        &mut self,
        _to: &Counted,
        _mask: &Counted,
        _filter: &Counted,
        _from: &mut Counted,
    ) -> Result<()> {
        Ok(())
    }

    fn conv_relu_pool(
        &mut self,
        from: &Counted,
        filter: &Counted,
        _kind: Pooling,
        _to: &mut Counted,
        _mask: &mut Counted,
    ) -> Result<()> {
        self.note(ScratchUse::Convolution {
            from: from.shape,
            outputs: filter.shape.channels,
        });
        Ok(())
    }

    fn conv_relu_pool_backward(
        &mut self,
        _to: &Counted,
        _kind: Pooling,
        _mask: &Counted,
        _filter: &Counted,
        _from: &mut Counted,
    ) -> Result<()> {
        Ok(())
    }

    fn pool(
        &mut self,
        _from: &Counted,
        _kind: Pooling,
        _to: &mut Counted,
        _mask: &mut Counted,
    ) -> Result<()> {
        Ok(())
    }

    fn pool_backward(
        &mut self,
        _to: &Counted,
        _kind: Pooling,
        _mask: &Counted,
        _from: &mut Counted,
    ) -> Result<()> {
        Ok(())
    }

    fn cut(&mut self, _from: &Counted, _corner: (usize, usize), _to: &mut Counted) -> Result<()> {
        Ok(())
    }
}

impl LossTerms for Budget {
    fn squared_norm(&mut self, _a: &Counted, _sum: Slot<Counted>) -> Result<()> {
        Ok(())
    }

    fn squared_error(
        &mut self,
        _a: &Counted,
        _target: &Counted,
        _coefficient: Scalar<Counted>,
        _gradient: &mut Counted,
        _sum: Slot<Counted>,
    ) -> Result<()> {
        Ok(())
    }

    fn weighted_squared_error(
        &mut self,
        _a: &Counted,
        _target: &Counted,
        _weight: &Counted,
        _coefficient: Scalar<Counted>,
        _gradient: &mut Counted,
        _sum: Slot<Counted>,
    ) -> Result<()> {
        Ok(())
    }

    fn moments(&mut self, a: &Counted, _scale: f32, _gram: &mut Counted, _mean: &mut Counted) -> Result<()> {
        self.note(ScratchUse::Gram(a.shape));
        Ok(())
    }

    fn difference(
        &mut self,
        _g: &Counted,
        _target: &Counted,
        _difference: &mut Counted,
        _sum: Slot<Counted>,
    ) -> Result<()> {
        Ok(())
    }

    fn covariance_difference(
        &mut self,
        _found: Moments<Counted>,
        _target: Moments<Counted>,
        _q: f32,
        _mean_weight: Scalar<Counted>,
        _difference: &mut Counted,
        _offset: &mut Counted,
        _sum: Slot<Counted>,
    ) -> Result<()> {
        Ok(())
    }

    fn moments_backward(
        &mut self,
        _a: &Counted,
        _difference: &Counted,
        _offset: &Counted,
        _coefficient: Scalar<Counted>,
        _gradient: &mut Counted,
    ) -> Result<()> {
        Ok(())
    }

    fn total_variation(
        &mut self,
        _x: &Counted,
        _coefficient: Scalar<Counted>,
        _gradient: &mut Counted,
        _sum: Slot<Counted>,
    ) -> Result<()> {
        Ok(())
    }
}

impl Updates for Budget {
    fn square(&mut self, _from: &Counted, _to: &mut Counted) -> Result<()> {
        Ok(())
    }

    fn blur(&mut self, _from: &Counted, _to: &mut Counted) -> Result<()> {
        Ok(())
    }

    fn axpy(&mut self, _factor: f32, _x: &Counted, _to: &mut Counted) -> Result<()> {
        Ok(())
    }

    fn adam(
        &mut self,
        _gradient: &Counted,
        _squared: &Counted,
        _m: &mut Counted,
        _v: &mut Counted,
        _knobs: &Counted,
        _at: AdamKnobs,
        _step: &mut Counted,
    ) -> Result<()> {
        Ok(())
    }

    fn sgd(
        &mut self,
        _gradient: &Counted,
        _velocity: &mut Counted,
        _rate: Scalar<Counted>,
        _momentum: Scalar<Counted>,
        _step: &mut Counted,
    ) -> Result<()> {
        Ok(())
    }

    fn descend(
        &mut self,
        _x: &mut Counted,
        _step: &Counted,
        _blurred: &Counted,
        _axes: &Counted,
    ) -> Result<()> {
        Ok(())
    }
}

impl FlowSteps for Budget {
    fn halve(&mut self, _from: &Counted, _to: &mut Counted) -> Result<()> {
        Ok(())
    }

    fn noise(&mut self, _pictures: &Counted, _scratch: &mut Counted, _noise: &mut Counted) -> Result<()> {
        Ok(())
    }

    fn enlarge_flow(&mut self, _half: &Counted, _to: &mut Counted) -> Result<()> {
        Ok(())
    }

    fn search(
        &mut self,
        _search: Search<Counted>,
        _patches: &mut Counted,
        _means: &mut Counted,
    ) -> Result<()> {
        Ok(())
    }

    fn densify(
        &mut self,
        _pictures: &Counted,
        _patches: &Counted,
        _means: &Counted,
        _flow: &mut Counted,
    ) -> Result<()> {
        Ok(())
    }

    fn linearise(
        &mut self,
        _pictures: &Counted,
        _flow: &Counted,
        _there: &mut Counted,
        _light: &mut Counted,
        _slopes: &Counted,
        _equations: &mut Equations<Counted>,
    ) -> Result<()> {
        Ok(())
    }

    fn relax(
        &mut self,
        _equations: &Equations<Counted>,
        _slopes: &Counted,
        _flow: &mut Counted,
    ) -> Result<()> {
        Ok(())
    }

    fn consistency(&mut self, _flow: &Counted, _trust: &mut Counted) -> Result<()> {
        Ok(())
    }

    fn resemblance(
        &mut self,
        _pictures: &Counted,
        _flow: &Counted,
        _trust: &Counted,
        _resemblance: &mut Counted,
    ) -> Result<()> {
        Ok(())
    }
}
