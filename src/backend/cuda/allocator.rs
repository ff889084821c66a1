// SPDX-License-Identifier: MIT OR Apache-2.0

//! The card's memory, and the count of it.
//!
//! It is taken and given back before and after the work, never within a step, so that the plain calls serve: they are
//! there on every card, and what is given back is at once to be had again. What is counted are the bytes that were asked
//! for; a driver takes whole pages of the card's memory, of up to 2 MiB, for one large piece or many small ones.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cudarc::driver::result;
use cudarc::driver::sys::{CUevent_flags, CUresult};
use cudarc::driver::{CudaEvent, CudaStream};

use super::device::Device;
use super::pointer::Pointer;
use crate::backend::{Error, Result};

/// Gives out the card's memory.
#[derive(Clone)]
pub struct Allocator {
    device: Arc<Device>,
    stream: Arc<CudaStream>,
    in_use: Arc<AtomicUsize>,
}

impl Allocator {
    pub fn new(device: Arc<Device>, stream: Arc<CudaStream>) -> Self {
        Self {
            device,
            stream,
            in_use: Arc::default(),
        }
    }

    pub fn in_use(&self) -> usize {
        self.in_use.load(Ordering::Relaxed)
    }

    /// Tells the devices in use apart.
    pub fn device_address(&self) -> usize {
        Arc::as_ptr(&self.device).addr()
    }

    /// The same, but what is taken here is not counted.
    pub fn uncounted(&self) -> Self {
        Self {
            in_use: Arc::default(),
            ..self.clone()
        }
    }

    /// Counts `bytes` that have been taken elsewhere.
    pub fn hold(&self, bytes: usize) -> CountedBytes {
        self.in_use.fetch_add(bytes, Ordering::Relaxed);
        CountedBytes {
            bytes,
            in_use: self.in_use.clone(),
        }
    }

    /// No memory at all: nothing is not a size that the driver gives.
    pub fn nothing(&self) -> Buffer {
        Buffer {
            pointer: Pointer::NULL,
            bytes: 0,
            memory: self.clone(),
        }
    }

    /// `bytes` zeros.
    pub fn zeros(&self, bytes: usize) -> Result<Buffer> {
        if bytes == 0 {
            return Ok(self.nothing());
        }
        self.device.bind()?;
        // SAFETY: the memory is set below, before anybody can read it.
        let pointer = unsafe { result::malloc_sync(bytes) }.or_else(|error| match error.0 {
            CUresult::CUDA_ERROR_OUT_OF_MEMORY => Err(Error::OutOfMemory { bytes }),
            _ => self.device.checked("memory", Err(error)),
        })?;
        self.in_use.fetch_add(bytes, Ordering::Relaxed);
        let buffer = Buffer {
            pointer: Pointer(pointer),
            bytes,
            memory: self.clone(),
        };
        self.clear(&buffer, bytes)?;
        Ok(buffer)
    }

    /// Sets the first `bytes` of `buffer` to zero, in the order of the stream.
    pub fn clear(&self, buffer: &Buffer, bytes: usize) -> Result<()> {
        assert!(bytes <= buffer.bytes);
        if bytes == 0 {
            return Ok(());
        }
        self.device.bind()?;
        // SAFETY: the buffer has as many bytes and lives until the stream is past this, see `Buffer::drop`.
        let answer = unsafe { result::memset_d8_async(buffer.pointer.0, 0, bytes, self.stream.cu_stream()) };
        self.device.checked("memset", answer)
    }

    /// Copies `bytes` from the beginning of one buffer to that of another, in the order of the stream.
    pub fn copy(&self, from: &Buffer, to: &Buffer, bytes: usize) -> Result<()> {
        assert!(bytes <= from.bytes && bytes <= to.bytes);
        self.device.bind()?;
        let (from, to) = (from.pointer.0, to.pointer.0);
        // SAFETY: both have as many bytes and live until the stream is past this.
        let answer = unsafe { result::memcpy_dtod_async(to, from, bytes, self.stream.cu_stream()) };
        self.device.checked("copy", answer)
    }

    /// Makes `buffer` hold at least `bytes`, which loses what is in it. Whether it is another one now.
    pub fn reserve(&self, buffer: &mut Buffer, bytes: usize) -> Result<bool> {
        let grows = buffer.bytes < bytes;
        if grows {
            // The old one goes first: the two together may be too much.
            *buffer = self.nothing();
            *buffer = self.zeros(bytes)?;
        }
        Ok(grows)
    }
}

/// Bytes that are counted for as long as this lives.
pub struct CountedBytes {
    bytes: usize,
    in_use: Arc<AtomicUsize>,
}

impl Drop for CountedBytes {
    fn drop(&mut self) {
        self.in_use.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// A piece of the card's memory.
pub struct Buffer {
    pointer: Pointer,
    bytes: usize,
    memory: Allocator,
}

impl Buffer {
    pub fn pointer(&self) -> Pointer {
        self.pointer
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if self.bytes == 0 {
            return;
        }
        self.memory.in_use.fetch_sub(self.bytes, Ordering::Relaxed);
        // The driver waits for what is under way before it takes memory back. On a lost card this fails, and there is
        // nothing left to give back.
        if self.memory.device.bind_to_give_back() {
            // SAFETY: the pointer is the driver's own and nobody uses it after this.
            let _ = unsafe { result::free_sync(self.pointer.0) };
        }
    }
}

/// Memory of the host that the card reads and writes by itself.
pub struct Pinned {
    pointer: *mut u8,
    bytes: usize,
    device: Arc<Device>,
    /// When the card has done with it.
    done: CudaEvent,
}

// SAFETY: the memory belongs to this alone, and everything that touches it takes `&mut self`.
unsafe impl Send for Pinned {}

impl Pinned {
    pub fn new(device: &Arc<Device>, bytes: usize) -> Result<Self> {
        device.bind()?;
        // The host sleeps while it waits, and leaves its cores to others.
        let flags = CUevent_flags::CU_EVENT_BLOCKING_SYNC;
        let done = device.checked("event", device.context.new_event(Some(flags)))?;
        // SAFETY: the memory is set at once.
        let pointer = unsafe { result::malloc_host(bytes.max(16), 0) }.or_else(|error| match error.0 {
            CUresult::CUDA_ERROR_OUT_OF_MEMORY => Err(Error::OutOfMemory { bytes }),
            _ => device.checked("pinned memory", Err(error)),
        })?;
        let pointer = pointer.cast::<u8>();
        // SAFETY: it has as many bytes.
        unsafe { pointer.write_bytes(0, bytes.max(16)) };
        Ok(Self {
            pointer,
            bytes: bytes.max(16),
            device: device.clone(),
            done,
        })
    }

    /// The bytes, when the card has done with them.
    pub fn bytes(&mut self) -> Result<&mut [u8]> {
        // Alone of all calls on events this one does not do it by itself.
        self.device.bind()?;
        let done = self.device.checked("a copy", self.done.try_is_complete())?;
        if !done {
            self.device
                .checked("waiting for a copy", self.done.synchronize())?;
        }
        // SAFETY: they have been set when they were made, and the card has just been waited for.
        Ok(unsafe { std::slice::from_raw_parts_mut(self.pointer, self.bytes) })
    }

    pub fn len(&self) -> usize {
        self.bytes
    }

    /// Sends `bytes` of them to `to`, in the order of `stream`.
    pub fn send(&mut self, bytes: usize, to: &Buffer, stream: &CudaStream) -> Result<()> {
        assert!(bytes <= self.bytes && bytes <= to.bytes);
        self.device.bind()?;
        // SAFETY: both have as many bytes; `done` keeps the host from touching its side before the copy is over.
        let answer = unsafe {
            let from = std::slice::from_raw_parts(self.pointer, bytes);
            result::memcpy_htod_async(to.pointer.0, from, stream.cu_stream())
        };
        self.device.checked("upload", answer)?;
        self.note("upload", stream)
    }

    /// Fetches `bytes` from `from`, in the order of `stream`.
    pub fn fetch(&mut self, bytes: usize, from: &Buffer, stream: &CudaStream) -> Result<()> {
        assert!(bytes <= self.bytes && bytes <= from.bytes);
        self.device.bind()?;
        // SAFETY: as of `send`.
        let answer = unsafe {
            let to = std::slice::from_raw_parts_mut(self.pointer, bytes);
            result::memcpy_dtoh_async(to, from.pointer.0, stream.cu_stream())
        };
        self.device.checked("download", answer)?;
        self.note("download", stream)
    }

    /// Notes that the card has done with the bytes when it is past what `stream` has been given.
    fn note(&self, what: &str, stream: &CudaStream) -> Result<()> {
        let recorded = self.done.record(stream);
        if recorded.is_err() {
            // Nothing will tell when the copy is over, so it must be over now.
            let _ = stream.synchronize();
        }
        self.device.checked(what, recorded)
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // On a lost card both fail, and the memory goes with the process.
        let _ = self.done.synchronize();
        if self.device.bind_to_give_back() {
            // SAFETY: the pointer is the driver's own and nobody uses it after this.
            let _ = unsafe { result::free_host(self.pointer.cast()) };
        }
    }
}
