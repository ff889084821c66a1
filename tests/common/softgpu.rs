// SPDX-License-Identifier: MIT OR Apache-2.0

//! What can be asked of the software GPU beyond the driver's interface.
#![allow(dead_code, reason = "each test program uses its part")]

use std::ffi::{CString, c_char};
use std::sync::{Mutex, MutexGuard, PoisonError};

use cudarc::driver::sys;

/// The software GPU, of which one test at a time may make use: its faults are those of the process.
pub struct SoftGpu(MutexGuard<'static, ()>);

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Keeps the faults of other tests away, for tests that run on any card.
pub fn alone() -> MutexGuard<'static, ()> {
    // A test that failed leaves nothing but its lock.
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SoftGpu {
    /// `None` after saying so if the driver is another one.
    pub fn take() -> Option<Self> {
        let guard = alone();
        // A card must be there before the library can be asked.
        crate::start::cuda(Default::default())?;
        if function::<unsafe extern "C" fn()>("softgpu_count").is_none() {
            println!("skipped: no faults can be injected into a real driver");
            return None;
        }
        let gpu = Self(guard);
        gpu.faults("");
        Some(gpu)
    }

    /// Sets the faults to commit from now on, and counts from 0 again.
    pub fn faults(&self, faults: &str) {
        let text = CString::new(faults).unwrap();
        let set = function::<unsafe extern "C" fn(*const c_char)>("softgpu_set_faults").unwrap();
        // SAFETY: the function is the software GPU's and has this type; the text lives through the call.
        unsafe { set(text.as_ptr()) };
    }

    /// How often an occasion has come since the faults were set.
    pub fn count(&self, occasion: &str) -> u64 {
        let text = CString::new(occasion).unwrap();
        let count = function::<unsafe extern "C" fn(*const c_char) -> u64>("softgpu_count").unwrap();
        // SAFETY: as above.
        unsafe { count(text.as_ptr()) }
    }
}

impl Drop for SoftGpu {
    fn drop(&mut self) {
        self.faults("");
    }
}

fn function<F: Copy>(name: &str) -> Option<F> {
    // SAFETY: the library was loaded when the card was opened; whoever calls the function knows its type.
    unsafe { sys::culib().get::<F>(name.as_bytes()) }
        .ok()
        .map(|found| *found)
}
