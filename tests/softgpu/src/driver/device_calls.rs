// SPDX-License-Identifier: MIT OR Apache-2.0

//! Devices, contexts and errors.

use std::ffi::{c_char, c_int, c_uint};

use super::errors::{Outcome, Status};
use super::state::{CURRENT, Driver, Handle, PRIMARY, call, in_context, initialise, look};

/// Writes a result where the user wants it.
///
/// # Safety
/// A pointer that is not null must be good for a write.
pub unsafe fn give<T>(to: *mut T, value: T) -> Outcome<()> {
    if to.is_null() {
        return Err(Status::INVALID_VALUE);
    }
    // SAFETY: the caller's promise.
    unsafe { to.write(value) };
    Ok(())
}

fn known(driver: &Driver, device: c_int) -> Outcome<()> {
    if (0..driver.settings.devices).contains(&device) {
        Ok(())
    } else {
        Err(Status::INVALID_DEVICE)
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn cuInit(flags: c_uint) -> Status {
    if flags != 0 {
        Status::INVALID_VALUE
    } else {
        initialise()
    }
}

/// # Safety
/// `version` must be good for a write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDriverGetVersion(version: *mut c_int) -> Status {
    // The version can be asked for before cuInit.
    let found = look(|driver| driver.settings.driver).or_else(|| {
        super::settings::Settings::from_environment()
            .ok()
            .map(|settings| settings.driver)
    });
    // SAFETY: the user's promise, as for every pointer of this interface.
    match found.map(|found| unsafe { give(version, found) }) {
        Some(Ok(())) => Status::SUCCESS,
        Some(Err(status)) => status,
        None => Status::UNKNOWN,
    }
}

/// # Safety
/// `text` must be good for a write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGetErrorName(status: Status, text: *mut *const c_char) -> Status {
    let Some(name) = status.name() else {
        return Status::INVALID_VALUE;
    };
    // SAFETY: the user's promise.
    unsafe { give(text, name.as_ptr()) }.map_or_else(|status| status, |()| Status::SUCCESS)
}

/// # Safety
/// `text` must be good for a write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGetErrorString(status: Status, text: *mut *const c_char) -> Status {
    let Some(found) = status.text() else {
        return Status::INVALID_VALUE;
    };
    // SAFETY: the user's promise.
    unsafe { give(text, found.as_ptr()) }.map_or_else(|status| status, |()| Status::SUCCESS)
}

/// # Safety
/// `count` must be good for a write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetCount(count: *mut c_int) -> Status {
    // SAFETY: the user's promise.
    call(|driver| unsafe { give(count, driver.settings.devices) })
}

/// # Safety
/// `device` must be good for a write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGet(device: *mut c_int, ordinal: c_int) -> Status {
    call(|driver| {
        known(driver, ordinal)?;
        // SAFETY: the user's promise.
        unsafe { give(device, ordinal) }
    })
}

/// # Safety
/// `name` must be good for writes of `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetName(name: *mut c_char, length: c_int, device: c_int) -> Status {
    call(|driver| {
        known(driver, device)?;
        if name.is_null() || length <= 0 {
            return Err(Status::INVALID_VALUE);
        }
        let bytes = driver
            .settings
            .card
            .name
            .bytes()
            .take(length as usize - 1)
            .chain([0]);
        for (at, byte) in bytes.enumerate() {
            // SAFETY: within `length` bytes, the user's promise.
            unsafe { name.add(at).write(byte as c_char) };
        }
        Ok(())
    })
}

/// # Safety
/// `uuid` must be good for a write of 16 bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetUuid_v2(uuid: *mut [u8; 16], device: c_int) -> Status {
    call(|driver| {
        known(driver, device)?;
        let mut bytes = *b"software-gpu-000";
        bytes[15] += device as u8;
        // SAFETY: the user's promise.
        unsafe { give(uuid, bytes) }
    })
}

/// # Safety
/// As for cuDeviceGetUuid_v2.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetUuid(uuid: *mut [u8; 16], device: c_int) -> Status {
    // SAFETY: the same promise.
    unsafe { cuDeviceGetUuid_v2(uuid, device) }
}

/// # Safety
/// `value` must be good for a write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetAttribute(value: *mut c_int, attribute: c_uint, device: c_int) -> Status {
    call(|driver| {
        known(driver, device)?;
        let found = driver
            .settings
            .card
            .attribute(attribute)
            .ok_or(Status::INVALID_VALUE)?;
        // SAFETY: the user's promise.
        unsafe { give(value, found) }
    })
}

/// # Safety
/// `bytes` must be good for a write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceTotalMem_v2(bytes: *mut usize, device: c_int) -> Status {
    call(|driver| {
        known(driver, device)?;
        // SAFETY: the user's promise.
        unsafe { give(bytes, driver.memory.capacity() as usize) }
    })
}

/// # Safety
/// `context` must be good for a write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDevicePrimaryCtxRetain(context: *mut Handle, device: c_int) -> Status {
    call(|driver| {
        known(driver, device)?;
        if let Some(status) = driver.sticky {
            return Err(status);
        }
        if driver.is_due("context") {
            return Err(Status::OUT_OF_MEMORY);
        }
        driver.retained += 1;
        // SAFETY: the user's promise.
        unsafe { give(context, PRIMARY) }
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuDevicePrimaryCtxRelease_v2(device: c_int) -> Status {
    call(|driver| {
        known(driver, device)?;
        if driver.retained == 0 {
            return Err(Status::INVALID_CONTEXT);
        }
        let drained = if driver.sticky.is_none() {
            driver.drain_all()
        } else {
            Ok(())
        };
        driver.retained -= 1;
        if driver.retained == 0 && driver.contexts.is_empty() {
            driver.destroy_context();
        }
        drained
    })
}

/// # Safety
/// `context` must be good for a write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxGetCurrent(context: *mut Handle) -> Status {
    // SAFETY: the user's promise.
    call(|_| unsafe { give(context, CURRENT.get()) })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuCtxSetCurrent(context: Handle) -> Status {
    call(|driver| {
        let alive =
            context == 0 || (context == PRIMARY && driver.retained > 0) || driver.contexts.contains(&context);
        if !alive {
            return Err(Status::INVALID_CONTEXT);
        }
        CURRENT.set(context);
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuCtxSynchronize() -> Status {
    in_context(|driver| {
        if !driver.captures.is_empty() {
            driver
                .captures
                .values_mut()
                .for_each(|capture| capture.invalid = true);
            return Err(Status::CAPTURE_UNSUPPORTED);
        }
        if driver.is_due("sync") {
            driver.sticky = Some(Status::LAUNCH_FAILED);
            return Err(Status::LAUNCH_FAILED);
        }
        driver.wait_for_all()
    })
}

/// # Safety
/// `context` must be good for a write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxCreate_v2(context: *mut Handle, _flags: c_uint, device: c_int) -> Status {
    call(|driver| {
        known(driver, device)?;
        let handle = driver.handle();
        driver.contexts.push(handle);
        CURRENT.set(handle);
        // SAFETY: the user's promise.
        unsafe { give(context, handle) }
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuCtxDestroy_v2(context: Handle) -> Status {
    call(|driver| {
        let at = driver
            .contexts
            .iter()
            .position(|known| *known == context)
            .ok_or(Status::INVALID_CONTEXT)?;
        driver.contexts.remove(at);
        if driver.retained == 0 && driver.contexts.is_empty() {
            driver.destroy_context();
        }
        if CURRENT.get() == context {
            CURRENT.set(0);
        }
        Ok(())
    })
}

/// # Safety
/// `value` must be good for a write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxGetLimit(value: *mut usize, limit: c_uint) -> Status {
    in_context(|_| {
        let found = match limit {
            0 => 1024,
            1 => 1 << 20,
            2 => 8 << 20,
            _ => return Err(Status::UNSUPPORTED_LIMIT),
        };
        // SAFETY: the user's promise.
        unsafe { give(value, found) }
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuCtxSetFlags(_flags: c_uint) -> Status {
    in_context(|_| Ok(()))
}

/// # Safety
/// Both must be good for a write, or null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxGetStreamPriorityRange(least: *mut c_int, greatest: *mut c_int) -> Status {
    in_context(|_| {
        for (to, value) in [(least, 0), (greatest, -5)] {
            if !to.is_null() {
                // SAFETY: the user's promise.
                unsafe { to.write(value) };
            }
        }
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuProfilerStart() -> Status {
    in_context(|_| Ok(()))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuProfilerStop() -> Status {
    in_context(|_| Ok(()))
}
