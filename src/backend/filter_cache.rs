// SPDX-License-Identifier: MIT OR Apache-2.0

//! Weights that several backends of a process share: elements with the same network have its weights in memory once, for as
//! long as one of them lives.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::{FilterData, Result};

/// Weights as a backend lays them out (`W`), by what they were made of and the place or the form that they were made for
/// (`P`).
pub struct FilterCache<P, W> {
    hashes: RandomState,
    entries: Mutex<HashMap<Key<P>, Arc<Entry<W>>>>,
}

/// Locked while the weights are made, so that another thread that needs the same waits for them.
type Entry<W> = Mutex<Weak<W>>;

/// The weights stand for themselves by a hash with a random key: that two sets meet in all 64 bits happens by chance once in
/// 10¹⁹ pairs, and no file can be made to do so.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Key<P> {
    outputs: usize,
    inputs: usize,
    place: P,
    content: u64,
}

impl<P, W> Default for FilterCache<P, W> {
    fn default() -> Self {
        Self {
            hashes: RandomState::new(),
            entries: Mutex::default(),
        }
    }
}

impl<P: Copy + Eq + Hash, W> FilterCache<P, W> {
    /// The weights that are there already for this `place`, or those that `make` returns. However many threads ask for the
    /// same at once, one of them makes it; after an error the next one tries.
    ///
    /// # Errors
    /// Whatever `make` answers.
    pub fn get(&self, data: &FilterData, place: P, make: impl FnOnce() -> Result<W>) -> Result<Arc<W>> {
        let entry = self.entry(Key {
            outputs: data.outputs,
            inputs: data.inputs,
            place,
            content: self.hashes.hash_one((
                bytemuck::cast_slice::<f32, u8>(&data.weights),
                bytemuck::cast_slice::<f32, u8>(&data.bias),
            )),
        });
        // What a panicking thread may have left is a reference all the same.
        let mut known = entry.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known.upgrade() {
            return Ok(found);
        }
        let made = Arc::new(make()?);
        *known = Arc::downgrade(&made);
        Ok(made)
    }

    fn entry(&self, key: Key<P>) -> Arc<Entry<W>> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        // A thread that is making weights holds a second reference to its entry.
        entries.retain(|_, entry| {
            Arc::strong_count(entry) > 1 || entry.try_lock().is_ok_and(|weights| weights.strong_count() > 0)
        });
        entries.entry(key).or_default().clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::backend::Error;

    fn data(weight: f32) -> FilterData {
        FilterData {
            outputs: 1,
            inputs: 1,
            weights: vec![weight; 9],
            bias: vec![0.0],
        }
    }

    #[test]
    fn two_threads_that_ask_for_the_same_weights_make_them_once() {
        let cache = FilterCache::default();
        let (made, both) = (AtomicUsize::new(0), Barrier::new(2));
        let ask = || {
            both.wait();
            let make = || {
                made.fetch_add(1, Ordering::SeqCst);
                // The other one has asked long before this is over.
                (0..1000).for_each(|_| std::thread::yield_now());
                Ok(7)
            };
            cache.get(&data(1.0), (), make).unwrap()
        };
        for round in 1..=20 {
            std::thread::scope(|scope| {
                let (one, other) = (scope.spawn(ask), scope.spawn(ask));
                assert!(Arc::ptr_eq(&one.join().unwrap(), &other.join().unwrap()));
            });
            // Nothing refers to them any more, so the next round makes them anew.
            assert_eq!(made.load(Ordering::SeqCst), round);
        }
    }

    #[test]
    fn weights_for_another_place_or_of_other_numbers_are_others() {
        let cache = FilterCache::default();
        let one = cache.get(&data(1.0), 1, || Ok('a')).unwrap();
        let same = cache.get(&data(1.0), 1, || Ok('b')).unwrap();
        let elsewhere = cache.get(&data(1.0), 2, || Ok('c')).unwrap();
        let other = cache.get(&data(2.0), 1, || Ok('d')).unwrap();
        assert_eq!([*one, *same, *elsewhere, *other], ['a', 'a', 'c', 'd']);
    }

    #[test]
    fn after_an_error_the_next_one_makes_them() {
        let cache = FilterCache::default();
        let failed = cache.get(&data(1.0), (), || Err::<u8, _>(Error::Cancelled));
        assert!(matches!(failed, Err(Error::Cancelled)));
        assert_eq!(*cache.get(&data(1.0), (), || Ok(3)).unwrap(), 3);
    }
}
