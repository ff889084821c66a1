// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a test can ask of the software GPU beyond the driver's interface, and the functions that it has not learnt.

use std::ffi::{CStr, c_char};

use super::errors::Status;
use super::settings::Faults;
use super::state::look;

/// Sets the faults to commit from now on, in the words of SOFTGPU_FAULTS, counted from now; what failed is forgotten.
///
/// # Safety
/// `faults` must be a text that ends with a zero.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn softgpu_set_faults(faults: *const c_char) {
    // SAFETY: the caller's promise.
    let faults = Faults::parse(&unsafe { CStr::from_ptr(faults) }.to_string_lossy());
    look(|driver| {
        driver.settings.faults = faults;
        driver.counts = Default::default();
        if driver.sticky.take().is_some() {
            driver.excuse();
        }
        driver.memory.forget_peak();
    });
}

/// How often an occasion of a fault has come since the faults were set: `alloc`, `launch`, `copy`, …; `calls` counts
/// all calls.
///
/// # Safety
/// `occasion` must be a text that ends with a zero.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn softgpu_count(occasion: *const c_char) -> u64 {
    // SAFETY: the caller's promise.
    let occasion = unsafe { CStr::from_ptr(occasion) }.to_string_lossy();
    look(|driver| match &*occasion {
        "calls" => driver.counts.calls,
        "live" => driver.live_allocations().len() as u64,
        "bytes" => driver.memory.used(),
        "peak" => driver.memory.peak(),
        "kernels" => driver.launches,
        other => driver.counts.occasions.get(other).copied().unwrap_or(0),
    })
    .unwrap_or(0)
}

macro_rules! not_supported {
    ($($name:ident)+) => {
        $(
            #[unsafe(no_mangle)]
            pub extern "C" fn $name() -> Status {
                Status::NOT_SUPPORTED
            }
        )+
    };
}

not_supported! {
    cuMemAllocManaged cuMemAdvise_v2 cuMemPrefetchAsync_v2 cuStreamAttachMemAsync cuMemPoolCreate cuMemPoolDestroy
    cuImportExternalMemory cuDestroyExternalMemory cuExternalMemoryGetMappedBuffer cuLaunchCooperativeKernel
    cuOccupancyMaxPotentialBlockSize cuOccupancyMaxPotentialBlockSizeWithFlags cuOccupancyMaxPotentialClusterSize
    cuOccupancyMaxActiveClusters cuOccupancyAvailableDynamicSMemPerBlock cuCtxCreate_v3 cuCtxCreate_v4
    cuCtxSetLimit cuCtxGetCacheConfig cuCtxSetCacheConfig
}
