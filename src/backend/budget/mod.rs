// SPDX-License-Identifier: MIT OR Apache-2.0

//! A backend that computes nothing and counts the memory that another one would take.
//!
//! What is built on a [`Budget`] has the sizes that the other backend states, and what is done with it leaves behind which
//! scratch space that takes. So the way to know what painting will take is to paint once on a budget.

mod operations;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Capture, Control, FilterData, Memory, Result, ScratchUse, Shape, Sizes};

/// Counts the bytes of whatever is made on it.
pub struct Budget {
    sizes: Arc<dyn Sizes>,
    count: Arc<Count>,
    uses: Vec<ScratchUse>,
}

#[derive(Default)]
struct Count {
    now: AtomicUsize,
    most: AtomicUsize,
}

/// A tensor, mask or filter of which nothing but the size is there.
pub struct Counted {
    shape: Shape,
    bytes: usize,
    count: Arc<Count>,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.count.now.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Budget {
    /// For the backend that states these sizes.
    pub fn new(sizes: Arc<dyn Sizes>) -> Self {
        Self {
            sizes,
            count: Arc::default(),
            uses: Vec::new(),
        }
    }

    /// Bytes of all that is alive, and of the scratch space for all that was done so far.
    pub fn bytes(&self) -> usize {
        self.count.now.load(Ordering::Relaxed) + self.sizes.scratch(&self.uses)
    }

    /// The most bytes of what was alive at the same time, and of the scratch space for all that was done so far.
    pub fn peak(&self) -> usize {
        self.count.most.load(Ordering::Relaxed) + self.sizes.scratch(&self.uses)
    }

    /// All that was done and takes scratch space, without repetitions.
    pub fn scratch_uses(&self) -> &[ScratchUse] {
        &self.uses
    }

    fn take(&self, shape: Shape, bytes: usize) -> Counted {
        let now = self.count.now.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.count.most.fetch_max(now, Ordering::Relaxed);
        Counted {
            shape,
            bytes,
            count: self.count.clone(),
        }
    }

    fn note(&mut self, scratch: ScratchUse) {
        if !self.uses.contains(&scratch) {
            self.uses.push(scratch);
        }
    }
}

impl Memory for Budget {
    type Tensor = Counted;
    type Filter = Counted;
    type Mask = Counted;

    fn sizes(&self) -> Arc<dyn Sizes> {
        self.sizes.clone()
    }

    fn bytes_in_use(&self) -> usize {
        self.bytes()
    }

    fn available_bytes(&self) -> Option<usize> {
        None
    }

    fn tensor_for(&mut self, shapes: &[Shape]) -> Result<Counted> {
        let bytes = shapes.iter().map(|&shape| self.sizes.tensor(shape)).max();
        let shape = shapes.first().copied().unwrap_or_default();
        Ok(self.take(shape, bytes.unwrap_or(0)))
    }

    fn shape(&self, tensor: &Counted) -> Shape {
        tensor.shape
    }

    fn can_hold(&self, tensor: &Counted, shape: Shape) -> bool {
        self.sizes.tensor(shape) <= tensor.bytes
    }

    fn reshape(&self, tensor: &mut Counted, shape: Shape) {
        assert!(self.can_hold(tensor, shape));
        tensor.shape = shape;
    }

    fn mask(&mut self, shape: Shape) -> Result<Counted> {
        Ok(self.take(shape, self.sizes.mask(shape)))
    }

    /// Looks at the numbers of channels alone; weights need not be there.
    fn filter(&mut self, data: &FilterData) -> Result<Counted> {
        let shape = Shape::new(data.outputs, data.inputs, 9);
        Ok(self.take(shape, self.sizes.filter(data.outputs, data.inputs)))
    }

    fn upload(&mut self, _data: &[f32], _tensor: &mut Counted) -> Result<()> {
        Ok(())
    }

    /// Leaves `data` as it is.
    fn download(&mut self, _tensor: &Counted, _data: &mut [f32]) -> Result<()> {
        Ok(())
    }

    fn copy(&mut self, _from: &Counted, _to: &mut Counted) -> Result<()> {
        Ok(())
    }

    fn fill(&mut self, _value: f32, _tensor: &mut Counted) -> Result<()> {
        Ok(())
    }
}

impl Control for Budget {
    fn name(&self) -> &'static str {
        "budget"
    }

    fn device(&self) -> String {
        "none".into()
    }

    fn new_capture(&mut self) -> Result<Capture> {
        Ok(Capture {
            runs: 0,
            kept: Some(Box::new(self.take(Shape::default(), self.sizes.capture()))),
        })
    }

    fn capture<R>(&mut self, capture: &mut Capture, mut record: R) -> Result<()>
    where
        R: FnMut(&mut Self) -> Result<()> + Send,
    {
        capture.runs += 1;
        record(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::prelude::*;
    use crate::backend::reference::Reference;
    use crate::backend::{CancelToken, Pooling};

    #[test]
    fn what_is_dropped_counts_in_the_peak_alone() {
        let mut budget = Budget::new(Reference::new(CancelToken::new()).sizes());
        let kept = budget.tensor(Shape::vector(10)).unwrap();
        let passing = budget.mask(Shape::vector(100)).unwrap();
        let both = budget.bytes();
        drop(passing);
        assert_eq!((budget.bytes(), budget.peak()), (80, both));
        assert!(both > 80);
        drop(kept);
        assert_eq!((budget.bytes(), budget.peak()), (0, both));
    }

    #[test]
    fn what_takes_scratch_space_is_noted_once() {
        let mut budget = Budget::new(Reference::new(CancelToken::new()).sizes());
        let shape = Shape::new(8, 4, 6);
        let data = FilterData {
            outputs: 16,
            inputs: 8,
            weights: Vec::new(),
            bias: Vec::new(),
        };
        let filter = budget.filter(&data).unwrap();
        let (from, whole) = (budget.tensor(shape).unwrap(), shape.with_channels(16));
        let (mut to, mut mask) = (budget.tensor(whole).unwrap(), budget.mask(whole).unwrap());
        let mut pooled = budget.tensor(whole.pooled()).unwrap();
        budget.conv_relu(&from, &filter, &mut to, &mut mask).unwrap();
        budget
            .conv_relu_pool(&from, &filter, Pooling::Max, &mut pooled, &mut mask)
            .unwrap();
        let convolution = ScratchUse::Convolution {
            from: shape,
            outputs: 16,
        };
        assert_eq!(budget.scratch_uses(), [convolution]);
    }
}
