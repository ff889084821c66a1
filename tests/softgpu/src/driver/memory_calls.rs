// SPDX-License-Identifier: MIT OR Apache-2.0

//! Memory of the card and of the host, and copies between them.

use std::ffi::{c_int, c_uchar, c_uint, c_void};

use super::device_calls::give;
use super::errors::{Outcome, Status};
use super::state::{Driver, Handle, LEGACY, in_context};
use super::streams::{Command, HostPointer, Source};

/// The handle of the default pool.
const POOL: Handle = 0x00c0_0100;

impl Driver {
    fn allocate(&mut self, bytes: usize) -> Outcome<u64> {
        if bytes == 0 {
            return Err(Status::INVALID_VALUE);
        }
        if self.is_due("alloc") {
            return Err(Status::OUT_OF_MEMORY);
        }
        if let Some(address) = self.memory.allocate(bytes as u64) {
            return Ok(address);
        }
        // Memory whose freeing waits in a stream can be had by letting it happen.
        self.drain_all()?;
        self.memory.allocate(bytes as u64).ok_or(Status::OUT_OF_MEMORY)
    }

    /// The pinned allocation that a range of the host lies in; an error where it runs over its end.
    fn pinned_range(&self, pointer: *const c_void, bytes: usize) -> Outcome<bool> {
        let at = pointer as usize;
        match self.pinned.around(at) {
            Some((start, size)) => {
                if at + bytes > start + size {
                    eprintln!(
                        "softgpu: a copy of {bytes} bytes runs over the end of {size} bytes of pinned memory"
                    );
                    return Err(Status::INVALID_VALUE);
                }
                Ok(true)
            }
            None => Ok(false),
        }
    }

    /// Whether a copy comes off, as far as faults are concerned.
    fn may_copy(&mut self) -> Outcome<()> {
        if self.is_due("copy") {
            return Err(Status::LAUNCH_FAILED);
        }
        if self.is_due("copy-refused") {
            return Err(Status::ILLEGAL_STATE);
        }
        Ok(())
    }

    fn upload(&mut self, to: u64, from: *const c_void, bytes: usize, stream: Handle) -> Outcome<()> {
        self.may_copy()?;
        if from.is_null() && bytes > 0 {
            return Err(Status::INVALID_VALUE);
        }
        let capturing = self.stream(stream)?.capture.is_some();
        let later = self.pinned_range(from, bytes)? || capturing;
        let source = if later {
            Source::Later(HostPointer(from.cast_mut()), bytes)
        } else {
            // The driver stages memory that is not pinned before it returns.
            // SAFETY: the user says that so many bytes can be read.
            Source::Taken(unsafe { std::slice::from_raw_parts(from.cast::<u8>(), bytes) }.to_vec())
        };
        self.order(stream, Command::Upload { to, source })
    }

    fn download(&mut self, to: *mut c_void, from: u64, bytes: usize, stream: Handle) -> Outcome<()> {
        self.may_copy()?;
        if to.is_null() && bytes > 0 {
            return Err(Status::INVALID_VALUE);
        }
        let pinned = self.pinned_range(to, bytes)?;
        self.order(
            stream,
            Command::Download {
                from,
                to: HostPointer(to),
                bytes: bytes as u64,
            },
        )?;
        // Copies to memory that is not pinned return when they are done.
        let capturing = self.stream(stream)?.capture.is_some();
        if pinned || capturing {
            Ok(())
        } else {
            self.wait_for_stream(stream)
        }
    }

    /// What is not ordered in a stream may not happen while this thread captures, nor while another one does that asked
    /// for it (cuThreadExchangeStreamCaptureMode).
    fn refuse_in_capture(&mut self) -> Outcome<()> {
        let here = std::thread::current().id();
        let mut refused = false;
        for capture in self.captures.values_mut() {
            if capture.mode == 0 || capture.mode == 1 && capture.thread == here {
                capture.invalid = true;
                refused = true;
            }
        }
        if refused {
            Err(Status::CAPTURE_UNSUPPORTED)
        } else {
            Ok(())
        }
    }
}

/// # Safety
/// `address` must be good for a write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemAlloc_v2(address: *mut u64, bytes: usize) -> Status {
    in_context(|driver| {
        driver.refuse_in_capture()?;
        // SAFETY: the user's promise.
        driver
            .allocate(bytes)
            .and_then(|found| unsafe { give(address, found) })
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemFree_v2(address: u64) -> Status {
    in_context(|driver| {
        driver.refuse_in_capture()?;
        // The driver waits for all work before it takes memory back.
        driver.wait_for_all()?;
        if address == 0 {
            Ok(())
        } else {
            driver.free(address)
        }
    })
}

/// # Safety
/// `address` must be good for a write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemAllocAsync(address: *mut u64, bytes: usize, stream: Handle) -> Status {
    in_context(|driver| {
        if driver.stream(stream)?.capture.is_some() {
            eprintln!(
                "softgpu: memory is allocated while a stream captures; what a graph needs is planned before it"
            );
            return driver.refuse_in_capture();
        }
        // SAFETY: the user's promise.
        driver
            .allocate(bytes)
            .and_then(|found| unsafe { give(address, found) })
    })
}

/// # Safety
/// As for cuMemAllocAsync.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemAllocFromPoolAsync(
    address: *mut u64,
    bytes: usize,
    _pool: Handle,
    stream: Handle,
) -> Status {
    // SAFETY: the same promise.
    unsafe { cuMemAllocAsync(address, bytes, stream) }
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemFreeAsync(address: u64, stream: Handle) -> Status {
    in_context(|driver| {
        if driver.stream(stream)?.capture.is_some() {
            return driver.refuse_in_capture();
        }
        driver.order(stream, Command::Free(address))
    })
}

/// # Safety
/// Both must be good for a write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemGetInfo_v2(free: *mut usize, total: *mut usize) -> Status {
    in_context(|driver| {
        let (capacity, used) = (driver.memory.capacity(), driver.memory.used());
        // SAFETY: the user's promise.
        unsafe {
            give(free, (capacity - used) as usize)?;
            give(total, capacity as usize)
        }
    })
}

/// # Safety
/// `pointer` must be good for a write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemHostAlloc(pointer: *mut *mut c_void, bytes: usize, _flags: c_uint) -> Status {
    in_context(|driver| {
        if bytes == 0 {
            return Err(Status::INVALID_VALUE);
        }
        if driver.is_due("alloc") {
            return Err(Status::OUT_OF_MEMORY);
        }
        let at = driver.pinned.allocate(bytes).ok_or(Status::OUT_OF_MEMORY)?;
        // SAFETY: the user's promise.
        unsafe { give(pointer, at as *mut c_void) }
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemFreeHost(pointer: *mut c_void) -> Status {
    in_context(|driver| {
        driver.wait_for_all()?;
        if driver.pinned.free(pointer as usize) {
            Ok(())
        } else {
            Err(Status::INVALID_VALUE)
        }
    })
}

/// # Safety
/// `from` must be good for reads of so many bytes, until the copy has run where it is pinned.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemcpyHtoDAsync_v2(
    to: u64,
    from: *const c_void,
    bytes: usize,
    stream: Handle,
) -> Status {
    in_context(|driver| driver.upload(to, from, bytes, stream))
}

/// # Safety
/// `from` must be good for reads of so many bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemcpyHtoD_v2(to: u64, from: *const c_void, bytes: usize) -> Status {
    in_context(|driver| {
        driver.refuse_in_capture()?;
        driver.upload(to, from, bytes, LEGACY)?;
        driver.wait_for_stream(LEGACY)
    })
}

/// # Safety
/// `to` must be good for writes of so many bytes, until the copy has run where it is pinned.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemcpyDtoHAsync_v2(
    to: *mut c_void,
    from: u64,
    bytes: usize,
    stream: Handle,
) -> Status {
    in_context(|driver| driver.download(to, from, bytes, stream))
}

/// # Safety
/// `to` must be good for writes of so many bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemcpyDtoH_v2(to: *mut c_void, from: u64, bytes: usize) -> Status {
    in_context(|driver| {
        driver.refuse_in_capture()?;
        driver.download(to, from, bytes, LEGACY)?;
        driver.wait_for_stream(LEGACY)
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemcpyDtoDAsync_v2(to: u64, from: u64, bytes: usize, stream: Handle) -> Status {
    in_context(|driver| {
        driver.may_copy()?;
        driver.order(
            stream,
            Command::Copy {
                from,
                to,
                bytes: bytes as u64,
            },
        )
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemcpyDtoD_v2(to: u64, from: u64, bytes: usize) -> Status {
    cuMemcpyDtoDAsync_v2(to, from, bytes, LEGACY)
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemcpyPeerAsync(
    to: u64,
    _to_context: Handle,
    from: u64,
    _from_context: Handle,
    bytes: usize,
    stream: Handle,
) -> Status {
    cuMemcpyDtoDAsync_v2(to, from, bytes, stream)
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemsetD8Async(to: u64, value: c_uchar, bytes: usize, stream: Handle) -> Status {
    in_context(|driver| {
        if driver.is_due("set") {
            return Err(Status::ILLEGAL_STATE);
        }
        driver.order(
            stream,
            Command::Set {
                to,
                value,
                bytes: bytes as u64,
            },
        )
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemsetD8_v2(to: u64, value: c_uchar, bytes: usize) -> Status {
    cuMemsetD8Async(to, value, bytes, LEGACY)
}

/// # Safety
/// `pool` must be good for a write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetDefaultMemPool(pool: *mut Handle, _device: c_int) -> Status {
    // SAFETY: the user's promise.
    in_context(|_| unsafe { give(pool, POOL) })
}

/// # Safety
/// `pool` must be good for a write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetMemPool(pool: *mut Handle, device: c_int) -> Status {
    // SAFETY: the same promise.
    unsafe { cuDeviceGetDefaultMemPool(pool, device) }
}

#[unsafe(no_mangle)]
pub extern "C" fn cuDeviceSetMemPool(_device: c_int, pool: Handle) -> Status {
    in_context(|_| {
        if pool == POOL {
            Ok(())
        } else {
            Err(Status::INVALID_VALUE)
        }
    })
}

/// # Safety
/// `value` must be good for a read of the attribute's type.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemPoolSetAttribute(
    _pool: Handle,
    attribute: c_uint,
    value: *const c_void,
) -> Status {
    in_context(|driver| {
        if value.is_null() {
            return Err(Status::INVALID_VALUE);
        }
        // Attributes 1 to 3 are ints, the others 64 bits.
        // SAFETY: the user's promise.
        let found = unsafe {
            if attribute <= 3 {
                u64::from(value.cast::<u32>().read())
            } else {
                value.cast::<u64>().read()
            }
        };
        driver.pool_attributes.insert(attribute, found);
        Ok(())
    })
}

/// # Safety
/// `value` must be good for a write of the attribute's type.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemPoolGetAttribute(
    _pool: Handle,
    attribute: c_uint,
    value: *mut c_void,
) -> Status {
    in_context(|driver| {
        let found = match attribute {
            1..=3 => driver.pool_attributes.get(&attribute).copied().unwrap_or(1),
            4 => driver.pool_attributes.get(&attribute).copied().unwrap_or(0),
            5..=8 => driver.memory.used(),
            _ => return Err(Status::INVALID_VALUE),
        };
        // SAFETY: the user's promise.
        unsafe {
            if attribute <= 3 {
                give(value.cast(), found as u32)
            } else {
                give(value.cast(), found)
            }
        }
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemPoolTrimTo(_pool: Handle, _keep: usize) -> Status {
    in_context(Driver::drain_all)
}
