// SPDX-License-Identifier: MIT OR Apache-2.0

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use cudarc::driver::{CudaContext, DriverError};

use super::error::{Unavailable, is_lost, words};
use super::kernels::Kernels;
use super::probe::{Card, fenced};
use crate::backend::{Error, Result};

/// A card in use: its context with kernels in it, which all elements of a process share.
pub struct Device {
    pub card: Card,
    pub context: Arc<CudaContext>,
    pub kernels: Kernels,
    /// Set when nothing more can be done with the context.
    lost: AtomicBool,
}

/// The cards in use.
static IN_USE: Mutex<Vec<Weak<Device>>> = Mutex::new(Vec::new());

impl Device {
    pub fn open(card: &Card) -> std::result::Result<Arc<Self>, Unavailable> {
        // What a panicking thread may have left is a list all the same.
        let mut in_use = IN_USE.lock().unwrap_or_else(PoisonError::into_inner);
        in_use.retain(|device| device.strong_count() > 0);
        let shared = in_use
            .iter()
            .filter_map(Weak::upgrade)
            .find(|device| device.card.id == card.id && !device.is_lost());
        if let Some(device) = shared {
            return Ok(device);
        }
        let device = Arc::new(fenced(&card.name, || Self::start(card))?);
        in_use.push(Arc::downgrade(&device));
        Ok(device)
    }

    fn start(card: &Card) -> std::result::Result<Self, Unavailable> {
        let failed = |what: String| Unavailable::Failed {
            name: card.name.clone(),
            reason: what,
        };
        let context = CudaContext::new(card.id as usize).map_err(|error| failed(words(&error)))?;
        // SAFETY: the streams of this backend wait for each other by events of their own, and its memory is not
        // cudarc's, so there is nothing that cudarc's events would keep apart.
        unsafe { context.disable_event_tracking() };
        let kernels = Kernels::load(&context, card.capability).map_err(|(file, error)| {
            failed(format!(
                "its driver refuses the kernels of {file}: {}",
                words(&error)
            ))
        })?;
        Ok(Self {
            card: card.clone(),
            context,
            kernels,
            lost: AtomicBool::new(false),
        })
    }

    pub fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }

    /// An answer of the driver's to `what`; a lost card is remembered.
    pub fn checked<T>(&self, what: &str, answer: std::result::Result<T, DriverError>) -> Result<T> {
        answer.map_err(|error| {
            let lost = is_lost(error.0);
            if lost {
                self.lost.store(true, Ordering::Relaxed);
            }
            Error::Driver {
                device: self.card.name.clone(),
                operation: what.to_owned(),
                reason: words(&error),
                lost,
            }
        })
    }

    /// Makes the context that of the calling thread.
    pub fn bind(&self) -> Result<()> {
        self.checked("context", self.context.bind_to_thread())
    }

    /// The same before memory is freed, and whether it worked. What went wrong when another thing was dropped, which
    /// cudarc tells the next who binds, is no reason to keep this one.
    pub fn bind_to_give_back(&self) -> bool {
        self.bind().is_ok() || self.bind().is_ok()
    }
}
