// SPDX-License-Identifier: MIT OR Apache-2.0

//! Address space that costs nothing until it is used.

/// Pages of this process that cost nothing until they are touched.
pub struct Pages {
    pub start: *mut u8,
    bytes: usize,
}

// SAFETY: plain memory; who touches what when is the business of the methods below.
unsafe impl Send for Pages {}
// SAFETY: as above; shadows are touched with atomics, and data as the kernels of the user do it on a card.
unsafe impl Sync for Pages {}

impl Pages {
    pub fn new(bytes: usize) -> Option<Self> {
        // SAFETY: an anonymous mapping at no fixed address disturbs nothing.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        (start != libc::MAP_FAILED).then_some(Self {
            start: start.cast(),
            bytes,
        })
    }

    /// Makes whole pages in a range zero again and gives them back.
    pub fn forget(&self, from: u64, bytes: u64) {
        let page = 4096;
        let first = from.next_multiple_of(page);
        let last = (from + bytes) / page * page;
        if last > first {
            // SAFETY: the range lies within the mapping, at page boundaries.
            unsafe {
                libc::madvise(
                    self.start.add(first as usize).cast(),
                    (last - first) as usize,
                    libc::MADV_DONTNEED,
                )
            };
        }
    }

    /// Fills a range, giving whole pages back where the value is zero.
    pub fn fill(&self, from: u64, bytes: u64, value: u8) {
        if value == 0 && bytes >= 1 << 16 {
            self.forget(from, bytes);
            let (head, tail) = (from.next_multiple_of(4096), (from + bytes) / 4096 * 4096);
            self.fill(from, head - from, 0);
            self.fill(tail, from + bytes - tail, 0);
            return;
        }
        // SAFETY: callers name ranges of allocations, which lie within the mapping.
        unsafe { self.start.add(from as usize).write_bytes(value, bytes as usize) };
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `new` and is used by nobody any more.
        unsafe { libc::munmap(self.start.cast(), self.bytes) };
    }
}
