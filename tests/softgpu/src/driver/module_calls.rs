// SPDX-License-Identifier: MIT OR Apache-2.0

//! Modules, functions, launches and occupancy.

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};

use super::device_calls::give;
use super::errors::{Outcome, Status};
use super::modules::{check_shape, occupancy};
use super::state::{Driver, Handle, in_context};
use super::streams::Command;
use crate::machine::launch::Shape;

/// # Safety
/// A pointer that is not null must name a text that ends with a zero.
unsafe fn text<'a>(pointer: *const c_char) -> Outcome<&'a str> {
    if pointer.is_null() {
        return Err(Status::INVALID_VALUE);
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(pointer) }
        .to_str()
        .map_err(|_| Status::INVALID_VALUE)
}

/// # Safety
/// `module` must be good for a write, `image` must be PTX that ends with a zero.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuModuleLoadData(module: *mut Handle, image: *const c_void) -> Status {
    in_context(|driver| {
        // SAFETY: the user's promise; binaries for real cards begin with bytes that are no text.
        let image = unsafe { text(image.cast()) }.map_err(|_| Status::NO_BINARY_FOR_GPU)?;
        let loaded = driver.load_module(image)?;
        // SAFETY: the user's promise.
        unsafe { give(module, loaded) }
    })
}

/// # Safety
/// As for cuModuleLoadData; the options are not read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuModuleLoadDataEx(
    module: *mut Handle,
    image: *const c_void,
    _count: c_uint,
    _options: *mut c_uint,
    _values: *mut *mut c_void,
) -> Status {
    // SAFETY: the same promise.
    unsafe { cuModuleLoadData(module, image) }
}

/// # Safety
/// `module` must be good for a write, `path` a text that ends with a zero.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuModuleLoad(module: *mut Handle, path: *const c_char) -> Status {
    in_context(|driver| {
        // SAFETY: the user's promise.
        let path = unsafe { text(path) }?;
        let image = std::fs::read_to_string(path).map_err(|_| Status::FILE_NOT_FOUND)?;
        let loaded = driver.load_module(&image)?;
        // SAFETY: the user's promise.
        unsafe { give(module, loaded) }
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuModuleUnload(module: Handle) -> Status {
    in_context(|driver| driver.unload_module(module))
}

/// # Safety
/// `function` must be good for a write, `name` a text that ends with a zero.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuModuleGetFunction(
    function: *mut Handle,
    module: Handle,
    name: *const c_char,
) -> Status {
    in_context(|driver| {
        // SAFETY: the user's promise.
        let name = unsafe { text(name) }?;
        let found = driver.function(module, name)?;
        // SAFETY: the user's promise.
        unsafe { give(function, found) }
    })
}

/// # Safety
/// `address` and `bytes` must be good for a write or null, `name` a text that ends with a zero.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuModuleGetGlobal_v2(
    address: *mut u64,
    bytes: *mut usize,
    module: Handle,
    name: *const c_char,
) -> Status {
    in_context(|driver| {
        // SAFETY: the user's promise.
        let name = unsafe { text(name) }?;
        let module = driver.modules.get(&module).ok_or(Status::INVALID_HANDLE)?;
        let (found, size) = *module.globals.get(name).ok_or(Status::NOT_FOUND)?;
        // SAFETY: the user's promise.
        unsafe {
            if !address.is_null() {
                address.write(found);
            }
            if !bytes.is_null() {
                bytes.write(size as usize);
            }
        }
        Ok(())
    })
}

/// # Safety
/// `value` must be good for a write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuFuncGetAttribute(
    value: *mut c_int,
    attribute: c_uint,
    function: Handle,
) -> Status {
    in_context(|driver| {
        let found = driver.function_attribute(function, attribute)?;
        // SAFETY: the user's promise.
        unsafe { give(value, found) }
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuFuncSetAttribute(function: Handle, attribute: c_uint, value: c_int) -> Status {
    in_context(|driver| driver.set_function_attribute(function, attribute, value))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuFuncSetCacheConfig(function: Handle, _config: c_uint) -> Status {
    in_context(|driver| driver.found(function).map(|_| ()))
}

/// # Safety
/// `blocks` must be good for a write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuOccupancyMaxActiveBlocksPerMultiprocessor(
    blocks: *mut c_int,
    function: Handle,
    threads: c_int,
    dynamic: usize,
) -> Status {
    in_context(|driver| {
        let found = driver.found(function)?;
        let count = occupancy(
            found.kernel(),
            &driver.settings.card,
            threads.max(0) as u32,
            dynamic as u32,
        );
        // SAFETY: the user's promise.
        unsafe { give(blocks, count) }
    })
}

/// # Safety
/// As for cuOccupancyMaxActiveBlocksPerMultiprocessor.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(
    blocks: *mut c_int,
    function: Handle,
    threads: c_int,
    dynamic: usize,
    _flags: c_uint,
) -> Status {
    // SAFETY: the same promise.
    unsafe { cuOccupancyMaxActiveBlocksPerMultiprocessor(blocks, function, threads, dynamic) }
}

impl Driver {
    /// # Safety
    /// `values` must name as many pointers as the kernel has parameters, each to a value of its size.
    unsafe fn launch(
        &mut self,
        function: Handle,
        shape: Shape,
        stream: Handle,
        values: *mut *mut c_void,
    ) -> Outcome<()> {
        let found = self.found(function)?;
        self.stream(stream)?;
        if self.is_due("launch") {
            return Err(Status::LAUNCH_FAILED);
        }
        if self.is_due("launch-refused") {
            return Err(Status::LAUNCH_OUT_OF_RESOURCES);
        }
        check_shape(&found, &shape, &self.settings.card)?;
        let kernel = found.kernel();
        let mut parameters = vec![0u8; kernel.parameter_bytes as usize];
        if values.is_null() && !kernel.parameters.is_empty() {
            return Err(Status::INVALID_VALUE);
        }
        for (at, parameter) in kernel.parameters.iter().enumerate() {
            let range = parameter.offset as usize..(parameter.offset + parameter.bytes) as usize;
            // SAFETY: the caller's promise.
            unsafe {
                let value = *values.add(at);
                if value.is_null() {
                    return Err(Status::INVALID_VALUE);
                }
                value
                    .cast::<u8>()
                    .copy_to_nonoverlapping(parameters[range].as_mut_ptr(), parameter.bytes as usize);
            }
        }
        self.order(
            stream,
            Command::Kernel {
                function: found,
                shape,
                parameters,
            },
        )
    }
}

/// # Safety
/// `values` must name a pointer to a value for each parameter of the kernel.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuLaunchKernel(
    function: Handle,
    grid_x: c_uint,
    grid_y: c_uint,
    grid_z: c_uint,
    block_x: c_uint,
    block_y: c_uint,
    block_z: c_uint,
    dynamic_shared: c_uint,
    stream: Handle,
    values: *mut *mut c_void,
    extra: *mut *mut c_void,
) -> Status {
    in_context(|driver| {
        if !extra.is_null() {
            return Err(Status::NOT_SUPPORTED);
        }
        let shape = Shape {
            grid: [grid_x, grid_y, grid_z],
            block: [block_x, block_y, block_z],
            dynamic_shared,
        };
        // SAFETY: the user's promise.
        unsafe { driver.launch(function, shape, stream, values) }
    })
}
