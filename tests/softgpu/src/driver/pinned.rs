// SPDX-License-Identifier: MIT OR Apache-2.0

//! Page-locked memory of the host, which is plain memory here: aligned as the driver aligns it.

use std::alloc::{Layout, alloc, dealloc};

const PAGE: usize = 4096;

/// None where there is no memory left.
pub fn allocate(bytes: usize) -> Option<usize> {
    let layout = Layout::from_size_align(bytes.max(1), PAGE).ok()?;
    // SAFETY: the size is not zero.
    let pointer = unsafe { alloc(layout) };
    if pointer.is_null() {
        return None;
    }
    // What nobody wrote shows up as NaNs in halves and singles.
    // SAFETY: just allocated with this size.
    unsafe { pointer.write_bytes(0xff, bytes) };
    Some(pointer as usize)
}

pub fn release(at: usize, bytes: usize) {
    if let Ok(layout) = Layout::from_size_align(bytes.max(1), PAGE) {
        // SAFETY: callers name what `allocate` gave, once.
        unsafe { dealloc(at as *mut u8, layout) };
    }
}
