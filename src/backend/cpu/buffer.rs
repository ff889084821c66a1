// SPDX-License-Identifier: MIT OR Apache-2.0

//! Memory for tensors, and the count of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use memmap2::MmapMut;

use crate::backend::{Error, Result};

/// The size of the large pages of x86-64 and most of arm64, in bytes.
#[cfg(target_os = "linux")]
const HUGE_PAGE: usize = 2 << 20;

/// Numbers in pages of their own: zeros at first, aligned to lines of the cache. Taking and giving them back costs the same
/// for gigabytes as for bytes, a page that nobody touches takes no memory, and what is given back is the system's
/// again at once.
pub struct Buffer<T> {
    pages: Option<MmapMut>,
    length: usize,
    held: CountedBytes,
    of: std::marker::PhantomData<T>,
}

impl<T: bytemuck::Pod> Buffer<T> {
    /// `length` zeros, counted in `total`.
    pub fn zeros(length: usize, total: &Arc<AtomicUsize>) -> Result<Self> {
        let bytes = length.saturating_mul(size_of::<T>());
        let pages = match bytes {
            0 => None,
            _ => Some(MmapMut::map_anon(bytes).map_err(|_| Error::OutOfMemory { bytes })?),
        };
        #[cfg(target_os = "linux")]
        if let Some(pages) = pages.as_ref().filter(|_| bytes >= HUGE_PAGE) {
            // A wish: where it is not granted everything works as well, only slower.
            let _ = pages.advise(memmap2::Advice::HugePage);
        }
        Ok(Self {
            pages,
            length,
            held: CountedBytes::new(total, bytes),
            of: std::marker::PhantomData,
        })
    }

    /// Makes room for at least `length` numbers; what was in it may be lost.
    pub fn reserve(&mut self, length: usize) -> Result<()> {
        if self.length < length {
            *self = Self::zeros(length, &self.held.total)?;
        }
        Ok(())
    }
}

impl<T: bytemuck::Pod> std::ops::Deref for Buffer<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        self.pages.as_deref().map_or(&[], bytemuck::cast_slice)
    }
}

impl<T: bytemuck::Pod> std::ops::DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        self.pages
            .as_deref_mut()
            .map_or(&mut [], bytemuck::cast_slice_mut)
    }
}

/// Bytes counted as in use for as long as this lives.
pub struct CountedBytes {
    total: Arc<AtomicUsize>,
    bytes: usize,
}

impl CountedBytes {
    pub fn new(total: &Arc<AtomicUsize>, bytes: usize) -> Self {
        total.fetch_add(bytes, Ordering::Relaxed);
        Self {
            total: total.clone(),
            bytes,
        }
    }
}

impl Drop for CountedBytes {
    fn drop(&mut self) {
        self.total.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
