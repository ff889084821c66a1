// SPDX-License-Identifier: MIT OR Apache-2.0

//! The weights of convolutions, laid out and transformed once for all backends of a process: several elements with the same
//! network share them for as long as one of them lives.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, Weak};

use super::buffer::Held;
use super::conv;
use super::simd::Level;
use crate::backend::{FilterData, Result};

/// The weights of a convolution, which others may share.
pub struct Filter {
    of: Arc<conv::Filter>,
    /// Counted as in use by each who shares them.
    _held: Held,
}

impl std::ops::Deref for Filter {
    type Target = conv::Filter;

    fn deref(&self) -> &conv::Filter {
        &self.of
    }
}

/// What a filter was made of and for. The weights stand for themselves by a hash with a random key: that two sets meet in all 64
/// bits happens by chance once in 10¹⁹ pairs, and nobody can make it happen.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    outputs: usize,
    inputs: usize,
    level: Level,
    content: u64,
}

struct Known {
    hashes: RandomState,
    filters: Mutex<HashMap<Key, (Weak<conv::Filter>, usize)>>,
}

static KNOWN: LazyLock<Known> = LazyLock::new(|| Known {
    hashes: RandomState::new(),
    filters: Mutex::default(),
});

impl Filter {
    /// Those that are there, or new ones made in the pool of the calling thread. They are counted in `total`.
    pub fn new(data: &FilterData, level: Level, total: &Arc<AtomicUsize>) -> Result<Self> {
        let (weights, bias): (&[u8], &[u8]) = (
            bytemuck::cast_slice(&data.weights),
            bytemuck::cast_slice(&data.bias),
        );
        let key = Key {
            outputs: data.outputs,
            inputs: data.inputs,
            level,
            content: KNOWN.hashes.hash_one((weights, bias)),
        };
        let (of, bytes) = match known(&key) {
            Some(found) => found,
            None => {
                let bytes = Arc::new(AtomicUsize::new(0));
                let made = Arc::new(conv::Filter::new(data, level, &bytes)?);
                keep(key, made, bytes.load(Ordering::Relaxed))
            }
        };
        Ok(Self {
            of,
            _held: Held::new(total, bytes),
        })
    }
}

fn known(key: &Key) -> Option<(Arc<conv::Filter>, usize)> {
    let filters = KNOWN
        .filters
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    let (filter, bytes) = filters.get(key)?;
    Some((filter.upgrade()?, *bytes))
}

/// Makes `made` known, unless somebody else was faster; then theirs is used. Forgets those that nobody has any more.
fn keep(key: Key, made: Arc<conv::Filter>, bytes: usize) -> (Arc<conv::Filter>, usize) {
    let mut filters = KNOWN
        .filters
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    filters.retain(|_, (filter, _)| filter.strong_count() > 0);
    let (known, _) = filters
        .entry(key)
        .or_insert_with(|| (Arc::downgrade(&made), bytes));
    // What was retained a moment ago may be gone by now.
    let theirs = known.upgrade();
    if theirs.is_none() {
        *known = Arc::downgrade(&made);
    }
    (theirs.unwrap_or(made), bytes)
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
        let level = Level::available()[0];
        let first = Filter::new(&data(1.0), level, &one).unwrap();
        let second = Filter::new(&data(1.0), level, &other).unwrap();
        assert!(Arc::ptr_eq(&first.of, &second.of));
        assert!(!Arc::ptr_eq(
            &first.of,
            &Filter::new(&data(2.0), level, &one).unwrap().of
        ));
        // Each who uses them says so, until the last has gone.
        let bytes = one.load(Ordering::Relaxed);
        assert!(bytes > 0 && bytes == other.load(Ordering::Relaxed));
        let left = Arc::downgrade(&first.of);
        drop(first);
        assert_eq!((one.load(Ordering::Relaxed), left.strong_count()), (0, 1));
        drop(second);
        assert_eq!((other.load(Ordering::Relaxed), left.strong_count()), (0, 0));
    }
}
