// SPDX-License-Identifier: MIT OR Apache-2.0

//! The weights of convolutions, laid out and transformed once for all backends of a process.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use super::buffer::CountedBytes;
use super::conv;
use super::simd::InstructionSet;
use crate::backend::filter_cache::FilterCache;
use crate::backend::{FilterData, Result};

/// The weights of a convolution, which others may share.
pub struct Filter {
    of: Arc<Shared>,
    /// Counts the bytes as in use for each backend that shares them.
    _held: CountedBytes,
}

struct Shared {
    filter: conv::Filter,
    bytes: usize,
}

impl std::ops::Deref for Filter {
    type Target = conv::Filter;

    fn deref(&self) -> &conv::Filter {
        &self.of.filter
    }
}

/// Kernels of different instruction sets want weights of different layouts.
static KNOWN: LazyLock<FilterCache<InstructionSet, Shared>> = LazyLock::new(FilterCache::default);

impl Filter {
    /// Those that are there, or new ones made in the pool of the calling thread. They are counted in `total`.
    pub fn new(data: &FilterData, instructions: InstructionSet, total: &Arc<AtomicUsize>) -> Result<Self> {
        let of = KNOWN.get(data, instructions, || {
            let bytes = Arc::new(AtomicUsize::new(0));
            let filter = conv::Filter::new(data, instructions, &bytes)?;
            let bytes = bytes.load(Ordering::Relaxed);
            Ok(Shared { filter, bytes })
        })?;
        Ok(Self {
            _held: CountedBytes::new(total, of.bytes),
            of,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(weight: f32) -> FilterData {
        FilterData {
            outputs: 1,
            inputs: 1,
            weights: vec![weight; 9],
            bias: vec![0.0],
        }
    }

    #[test]
    fn the_same_weights_are_there_once() {
        let (one, other) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let instructions = InstructionSet::available()[0];
        let first = Filter::new(&data(1.0), instructions, &one).unwrap();
        let second = Filter::new(&data(1.0), instructions, &other).unwrap();
        assert!(Arc::ptr_eq(&first.of, &second.of));
        assert!(!Arc::ptr_eq(
            &first.of,
            &Filter::new(&data(2.0), instructions, &one).unwrap().of
        ));
        // Each backend counts them as in use until it drops them.
        let bytes = one.load(Ordering::Relaxed);
        assert!(bytes > 0 && bytes == other.load(Ordering::Relaxed));
        let left = Arc::downgrade(&first.of);
        drop(first);
        assert_eq!((one.load(Ordering::Relaxed), left.strong_count()), (0, 1));
        drop(second);
        assert_eq!((other.load(Ordering::Relaxed), left.strong_count()), (0, 0));
    }
}
