// SPDX-License-Identifier: MIT OR Apache-2.0

//! What goes between host and card.
//!
//! Frames are copied on a stream of their own, once each: the bytes of the last one are kept, so that the painting's
//! content, its coarser sizes and the mix at the end share one upload. The few numbers of each step lie in turns in
//! a ring, so that the host need not wait for the step before.

use std::sync::Arc;

use cudarc::driver::{CudaEvent, CudaStream};

use super::allocator::{Allocator, Buffer, Pinned};
use super::device::Device;
use super::kernels::countable;
use crate::backend::Result;
use crate::picture::{Format, PictureView};

/// Places of the ring. A step uploads twice, so that the host gets at most eight steps ahead of the card, and a wish
/// to stop waits for no more than those.
const PLACES: usize = 16;
/// Bytes of a place.
const PLACE: usize = 1024;

pub struct Transfers {
    device: Arc<Device>,
    memory: Allocator,
    /// The stream on which frames are copied.
    copies: Arc<CudaStream>,
    ring: Vec<Pinned>,
    next: usize,
    /// For tensors.
    bulk: Pinned,
    frame: Frame,
    painted: Painted,
}

/// The last frame that came in.
struct Frame {
    format: Option<Format>,
    pinned: Pinned,
    bytes: Buffer,
    arrived: CudaEvent,
    /// When the last kernel that reads the bytes is done.
    read: CudaEvent,
}

/// The frame that goes out.
struct Painted {
    pinned: Pinned,
    bytes: Buffer,
    written: CudaEvent,
}

impl Transfers {
    pub fn new(device: &Arc<Device>, memory: &Allocator) -> Result<Self> {
        let event = || device.checked("event", device.context.new_event(None));
        let ring = (0..PLACES).map(|_| Pinned::new(device, PLACE));
        Ok(Self {
            copies: device.checked("stream", device.context.new_stream())?,
            ring: ring.collect::<Result<_>>()?,
            next: 0,
            bulk: Pinned::new(device, PLACE)?,
            frame: Frame {
                format: None,
                pinned: Pinned::new(device, 0)?,
                bytes: memory.nothing(),
                arrived: event()?,
                read: event()?,
            },
            painted: Painted {
                pinned: Pinned::new(device, 0)?,
                bytes: memory.nothing(),
                written: event()?,
            },
            memory: memory.clone(),
            device: device.clone(),
        })
    }

    /// Brings `data` to the beginning of `to`.
    pub fn upload(&mut self, data: &[f32], to: &Buffer, stream: &CudaStream) -> Result<()> {
        let bytes: &[u8] = bytemuck::cast_slice(data);
        let pinned = if bytes.len() <= PLACE {
            self.next = (self.next + 1) % PLACES;
            &mut self.ring[self.next]
        } else {
            self.roomy(bytes.len())?
        };
        pinned.bytes()?[..bytes.len()].copy_from_slice(bytes);
        pinned.send(bytes.len(), to, stream)
    }

    /// Takes the beginning of `from` to `data`, and waits for it.
    pub fn download(&mut self, from: &Buffer, data: &mut [f32], stream: &CudaStream) -> Result<()> {
        self.fetch(from, bytemuck::cast_slice_mut(data), stream)
    }

    /// The same for any numbers.
    pub fn fetch(&mut self, from: &Buffer, data: &mut [u8], stream: &CudaStream) -> Result<()> {
        let pinned = self.roomy(data.len())?;
        pinned.fetch(data.len(), from, stream)?;
        data.copy_from_slice(&pinned.bytes()?[..data.len()]);
        Ok(())
    }

    /// New memory of the card with `bytes` in it. Not for a step: the host waits until they are there.
    pub fn send(&self, bytes: &[u8], memory: &Allocator, stream: &CudaStream) -> Result<Buffer> {
        self.send_into(bytes, memory.zeros(bytes.len())?, stream)
    }

    /// The same into memory that there is.
    pub fn send_into(&self, bytes: &[u8], buffer: Buffer, stream: &CudaStream) -> Result<Buffer> {
        let mut pinned = Pinned::new(&self.device, bytes.len())?;
        pinned.bytes()?[..bytes.len()].copy_from_slice(bytes);
        pinned.send(bytes.len(), &buffer, stream)?;
        Ok(buffer)
    }

    fn roomy(&mut self, bytes: usize) -> Result<&mut Pinned> {
        if self.bulk.len() < bytes {
            self.bulk = Pinned::new(&self.device, bytes)?;
        }
        Ok(&mut self.bulk)
    }

    /// Gives the frame that comes in and the one that goes out room for just so many bytes.
    pub fn prepare(&mut self, frame: usize, painted: usize) -> Result<()> {
        let Self { memory, .. } = self;
        let (frame_fits, painted_fits) = (
            self.frame.bytes.bytes() == frame,
            self.painted.bytes.bytes() == painted,
        );
        if !frame_fits {
            self.frame.format = None;
            self.frame.bytes = memory.nothing();
        }
        if !painted_fits {
            self.painted.bytes = memory.nothing();
        }
        if !frame_fits {
            self.frame.bytes = memory.zeros(frame)?;
        }
        if !painted_fits {
            self.painted.bytes = memory.zeros(painted)?;
        }
        Ok(())
    }

    /// Makes the bytes of `picture` lie on the card, to be read by what `stream` is given next.
    pub fn frame(&mut self, picture: PictureView, stream: &CudaStream) -> Result<&Buffer> {
        let data = picture.bytes();
        countable(picture.format().samples(), data.len())?;
        let Self {
            device,
            memory,
            copies,
            frame,
            ..
        } = self;
        let known = frame.format == Some(picture.format()) && frame.pinned.bytes()?[..data.len()] == *data;
        if !known {
            // If this does not come to its end there is no frame.
            frame.format = None;
            if frame.pinned.len() < data.len() {
                frame.pinned = Pinned::new(device, data.len())?;
            }
            memory.reserve(&mut frame.bytes, data.len())?;
            frame.pinned.bytes()?[..data.len()].copy_from_slice(data);
            device.checked("frame", copies.wait(&frame.read))?;
            // What made the buffer is in the other stream.
            device.checked("frame", frame.arrived.record(stream))?;
            device.checked("frame", copies.wait(&frame.arrived))?;
            frame.pinned.send(data.len(), &frame.bytes, copies)?;
            device.checked("frame", frame.arrived.record(copies))?;
            frame.format = Some(picture.format());
        }
        device.checked("frame", stream.wait(&frame.arrived))?;
        Ok(&frame.bytes)
    }

    /// Notes that what `stream` was given so far is all that reads the frame.
    pub fn frame_is_read(&mut self, stream: &CudaStream) -> Result<()> {
        self.device.checked("frame", self.frame.read.record(stream))
    }

    /// Room for a painted frame of `bytes`, to be written by what is put into the stream next.
    pub fn painted(&mut self, bytes: usize) -> Result<&Buffer> {
        self.memory.reserve(&mut self.painted.bytes, bytes)?;
        if self.painted.pinned.len() < bytes {
            self.painted.pinned = Pinned::new(&self.device, bytes)?;
        }
        Ok(&self.painted.bytes)
    }

    /// Takes the painted frame that `stream` writes to `out`, and waits for it.
    pub fn fetch_painted(&mut self, out: &mut [u8], stream: &CudaStream) -> Result<()> {
        let Self {
            device,
            copies,
            painted,
            ..
        } = self;
        device.checked("painted frame", painted.written.record(stream))?;
        device.checked("painted frame", copies.wait(&painted.written))?;
        painted.pinned.fetch(out.len(), &painted.bytes, copies)?;
        out.copy_from_slice(&painted.pinned.bytes()?[..out.len()]);
        Ok(())
    }
}
