// SPDX-License-Identifier: MIT OR Apache-2.0

//! NVIDIA cards from compute capability 7.5 on, by kernels of our own (in `kernels/`) and cudarc. Nothing but the driver is
//! needed: the kernels are embedded as PTX, which it compiles.
//!
//! Pictures, matrices and everything of the optimiser are f32; activations and their gradients are fp16, multiplied by
//! powers of two that keep them in range (see `filter.rs` and `capture.rs`). Products are added up in f32. The same input
//! gives the same bytes.
#![allow(unsafe_code)]

mod allocator;
mod capture;
mod convolution;
mod device;
mod error;
mod exponents;
mod filter;
mod flow;
mod kernels;
mod layout;
mod losses;
mod memory;
mod network;
mod optimizer;
mod pictures;
mod pointer;
mod probe;
mod scratch;
mod self_check;
mod transfer;

use std::sync::Arc;

use cudarc::driver::CudaStream;
use cudarc::driver::result::stream::get_priority_range;

use super::{CancelToken, Error, Result, Shape};
use allocator::{Allocator, Buffer};
use capture::{Recording, Scale};
use device::Device;
pub use error::Unavailable;
use exponents::Exponent;
pub use filter::Filter;
use kernels::{Argument, Grid, Kernel, Kernels};
use layout::Layout;
use pointer::Pointer;
use probe::Multiprocessors;
pub use probe::{Card, cards};
use scratch::{Scratch, Table};
use transfer::Transfers;

/// Numbers in the card's memory.
pub struct Tensor {
    layout: Layout,
    buffer: Buffer,
    /// What is stored is the number multiplied by 2 to this; always 0 in a planar tensor.
    exponent: Exponent,
}

impl Tensor {
    fn pointer(&self) -> Pointer {
        self.buffer.pointer()
    }
}

/// What backward needs of forward.
pub struct Mask {
    shape: Shape,
    buffer: Buffer,
}

impl Mask {
    fn pointer(&self) -> Pointer {
        self.buffer.pointer()
    }
}

/// A card.
pub struct Cuda {
    device: Arc<Device>,
    /// Takes all work but the copies of frames.
    stream: Arc<CudaStream>,
    memory: Allocator,
    transfers: Transfers,
    scratch: Scratch,
    /// The scale of gradients in the step that is being performed.
    scale: Scale,
    /// While a step is performed or written down.
    recording: Option<Recording>,
    cancel: CancelToken,
}

impl Cuda {
    /// The card numbered `id`, or with −1 the first that works; each is given a small task with a known answer before.
    ///
    /// # Errors
    /// Says what is missing. Never panics, whatever driver there is.
    pub fn new(id: i32, cancel: CancelToken) -> std::result::Result<Self, Unavailable> {
        let mut reasons = Vec::new();
        for card in probe::cards(id)? {
            match Self::start(&card) {
                Ok(cuda) => return Ok(Self { cancel, ..cuda }),
                Err(reason) => reasons.push(reason),
            }
        }
        Err(match <[Unavailable; 1]>::try_from(reasons) {
            Ok([reason]) => reason,
            Err(reasons) => Unavailable::NoneUsable {
                reasons: reasons
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join("; "),
            },
        })
    }

    fn start(card: &Card) -> std::result::Result<Self, Unavailable> {
        let failed = |error: Error| Unavailable::Failed {
            name: card.name.clone(),
            reason: match error {
                Error::Driver {
                    operation, reason, ..
                } => format!("{operation}: {reason}"),
                other => other.to_string(),
            },
        };
        let device = Device::open(card)?;
        let mut cuda = Self::on(device).map_err(failed)?;
        match self_check::wrong_answer(&mut cuda).map_err(failed)? {
            None => Ok(cuda),
            Some(what) => Err(Unavailable::WrongAnswers {
                name: card.name.clone(),
                what,
            }),
        }
    }

    fn on(device: Arc<Device>) -> Result<Self> {
        let stream = device.checked("stream", device.context.new_stream())?;
        Self::with(device, stream)
    }

    /// The same card for small work that must not wait for what this one has been given: where there is work of both, that
    /// of the other goes first.
    ///
    /// # Errors
    /// The driver gives no more.
    pub fn beside(&self, cancel: CancelToken) -> Result<Self> {
        let device = self.device.clone();
        device.bind()?;
        let (_least, greatest) = device.checked("stream", get_priority_range())?;
        let stream = device.checked("stream", device.context.new_stream_with_priority(greatest))?;
        let beside = Self::with(device, stream)?;
        Ok(Self { cancel, ..beside })
    }

    fn with(device: Arc<Device>, stream: Arc<CudaStream>) -> Result<Self> {
        let memory = Allocator::new(device.clone(), stream.clone());
        Ok(Self {
            transfers: Transfers::new(&device, &memory)?,
            scratch: Scratch::new(&memory)?,
            scale: Scale::NONE,
            recording: None,
            cancel: CancelToken::new(),
            stream,
            memory,
            device,
        })
    }

    fn poll(&self) -> Result<()> {
        if self.cancel.is_cancelled() {
            Err(Error::Cancelled)
        } else {
            Ok(())
        }
    }

    fn multiprocessors(&self) -> Multiprocessors {
        self.device.card.multiprocessors()
    }

    /// Puts a launch into the stream. The modules of this folder hand over the addresses of tensors whose shapes they have
    /// compared, and of scratch space of the size that the kernel's description asks for.
    fn launch(&self, kernel: impl Fn(&Kernels) -> &Kernel, grid: Grid, arguments: &[Argument]) -> Result<()> {
        let kernel = kernel(&self.device.kernels);
        // SAFETY: see above. Memory is given back only after the driver has waited for what uses it.
        let answer = unsafe { kernel.launch(&self.stream, grid, arguments) };
        self.device.checked(kernel.name(), answer)
    }

    /// Bytes → the card, into `buffer` if there is one, or else into a new one.
    fn send(&self, bytes: &[u8], buffer: Option<Buffer>) -> Result<Buffer> {
        match buffer {
            Some(buffer) => self.transfers.send_into(bytes, buffer, &self.stream),
            None => self.transfers.send(bytes, &self.memory, &self.stream),
        }
    }

    fn taps(&mut self, inputs: usize, outputs: usize) -> Result<Arc<Table>> {
        let Self {
            scratch,
            transfers,
            stream,
            memory,
            ..
        } = self;
        scratch.taps(inputs, outputs, |bytes| transfers.send(bytes, memory, stream))
    }

    fn loss_scale(&self) -> Pointer {
        self.scale.scale
    }

    fn overflow(&self) -> Pointer {
        self.scale.overflow
    }
}
