// SPDX-License-Identifier: MIT OR Apache-2.0

//! What there is: the driver's library, its functions, and cards.
//!
//! cudarc looks functions up when they are first called and panics when one is missing. So all of them are looked up
//! here before cudarc calls any, and its first calls are fenced all the same.

use std::panic::{AssertUnwindSafe, catch_unwind};

use cudarc::driver::result::{self, device};
use cudarc::driver::sys::{self, CUdevice_attribute, CUresult};

use super::error::{Unavailable, words};

/// The functions that this backend calls, by itself or through cudarc.
const FUNCTIONS: [&str; 44] = [
    "cuInit",
    "cuDriverGetVersion",
    "cuGetErrorName",
    "cuGetErrorString",
    "cuDeviceGet",
    "cuDeviceGetCount",
    "cuDeviceGetName",
    "cuDeviceGetAttribute",
    "cuDeviceTotalMem_v2",
    "cuDevicePrimaryCtxRetain",
    "cuDevicePrimaryCtxRelease_v2",
    "cuCtxGetCurrent",
    "cuCtxSetCurrent",
    "cuCtxGetStreamPriorityRange",
    "cuStreamCreate",
    "cuStreamCreateWithPriority",
    "cuStreamDestroy_v2",
    "cuStreamWaitEvent",
    "cuStreamSynchronize",
    "cuStreamBeginCapture_v2",
    "cuStreamEndCapture",
    "cuEventCreate",
    "cuEventDestroy_v2",
    "cuEventRecord",
    "cuEventQuery",
    "cuEventSynchronize",
    "cuMemAlloc_v2",
    "cuMemFree_v2",
    "cuMemHostAlloc",
    "cuMemFreeHost",
    "cuMemGetInfo_v2",
    "cuMemsetD8Async",
    "cuMemcpyHtoDAsync_v2",
    "cuMemcpyDtoHAsync_v2",
    "cuMemcpyDtoDAsync_v2",
    "cuModuleLoadData",
    "cuModuleGetFunction",
    "cuModuleUnload",
    "cuLaunchKernel",
    "cuGraphInstantiateWithFlags",
    "cuGraphUpload",
    "cuGraphLaunch",
    "cuGraphExecDestroy",
    "cuGraphDestroy",
];

/// The oldest version of CUDA whose driver has all of [`FUNCTIONS`], as `cuDriverGetVersion` writes it.
const OLDEST_DRIVER: i32 = 11_040;
/// The oldest compute capability for which there are kernels.
const OLDEST_CAPABILITY: (i32, i32) = (7, 5);

/// A card, as its driver describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Card {
    /// Its number, from 0.
    pub id: i32,
    pub name: String,
    /// Compute capability, major and minor.
    pub capability: (i32, i32),
    pub multiprocessors: usize,
    /// Size of its memory.
    pub bytes: usize,
}

/// The multiprocessors of a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Multiprocessors {
    pub count: usize,
    /// Products of fp16 numbers, added up in f32, that the tensor cores of one make in a clock.
    pub products: usize,
}

impl Card {
    /// Its multiprocessors, and what their tensor cores do: figures of NVIDIA's papers on each architecture. Hopper's make
    /// 2048 products a clock, but not by the instruction that is used here, which all cards know.
    pub fn multiprocessors(&self) -> Multiprocessors {
        let products = match self.capability {
            (8, 0) => 1024,
            (9.., _) if self.capability < (12, 0) => 1280,
            // Cards for games: Turing, Ampere, Ada, Blackwell.
            _ => 256,
        };
        Multiprocessors {
            count: self.multiprocessors,
            products,
        }
    }
}

/// The cards that can be asked to work: the one numbered `id`, or with −1 all that are new enough.
pub fn cards(id: i32) -> Result<Vec<Card>, Unavailable> {
    open()?;
    let found = fenced("the driver", || {
        result::init().map_err(|error| match error.0 {
            CUresult::CUDA_ERROR_NO_DEVICE => Unavailable::NoDevice,
            _ => not_started(&error),
        })?;
        let version = driver_version()?;
        if version < OLDEST_DRIVER {
            let (major, minor) = (version / 1000, version % 1000 / 10);
            return Err(Unavailable::OldDriver { major, minor });
        }
        let count = device::get_count().map_err(|error| not_started(&error))?;
        (0..count)
            .map(|id| describe(id).map_err(|error| not_started(&error)))
            .collect::<Result<Vec<_>, _>>()
    })?;
    choose(found, id)
}

/// Of the cards `found`, those that `id` asks for and that are new enough.
fn choose(found: Vec<Card>, id: i32) -> Result<Vec<Card>, Unavailable> {
    if found.is_empty() {
        return Err(Unavailable::NoDevice);
    }
    let count = found.len() as i32;
    let asked: Vec<Card> = found.into_iter().filter(|card| id < 0 || card.id == id).collect();
    if asked.is_empty() {
        return Err(Unavailable::NoSuchDevice { id, count });
    }
    let (new, old): (Vec<Card>, Vec<Card>) = asked
        .into_iter()
        .partition(|card| card.capability >= OLDEST_CAPABILITY);
    match old.into_iter().next() {
        Some(card) if new.is_empty() => Err(Unavailable::TooOld {
            name: card.name,
            major: card.capability.0,
            minor: card.capability.1,
        }),
        _ => Ok(new),
    }
}

/// Opens the driver's library and sees that nothing is missing in it.
fn open() -> Result<(), Unavailable> {
    // SAFETY: loading libcuda runs its initialisers, as every program that uses a card does.
    if !unsafe { sys::is_culib_present() } {
        return Err(Unavailable::NoDriver);
    }
    // SAFETY: as above; it cannot panic, because the library has just been found.
    let library = unsafe { sys::culib() };
    let missing = FUNCTIONS.into_iter().find(|name| {
        // SAFETY: the address is looked up but not called.
        unsafe { library.get::<unsafe extern "C" fn()>(name.as_bytes()) }.is_err()
    });
    match missing {
        Some(symbol) => Err(Unavailable::MissingSymbol { symbol }),
        None => Ok(()),
    }
}

/// What `first_use` answers; a panic of cudarc's becomes an error.
pub fn fenced<T>(name: &str, first_use: impl FnOnce() -> Result<T, Unavailable>) -> Result<T, Unavailable> {
    catch_unwind(AssertUnwindSafe(first_use)).unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().cloned();
        let said = said.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(Unavailable::Failed {
            name: name.to_owned(),
            reason: said.unwrap_or_else(|| "cudarc panicked".into()),
        })
    })
}

fn not_started(error: &result::DriverError) -> Unavailable {
    Unavailable::NotStarted { reason: words(error) }
}

fn driver_version() -> Result<i32, Unavailable> {
    let mut version = 0;
    // SAFETY: the pointer is to an int that lives through the call.
    let answer = unsafe { sys::cuDriverGetVersion(&mut version) }.result();
    answer.map(|()| version).map_err(|error| not_started(&error))
}

fn describe(id: i32) -> Result<Card, result::DriverError> {
    use CUdevice_attribute as A;
    let handle = device::get(id)?;
    // SAFETY: the handle is the driver's own, of a moment ago; so below.
    let attribute = |which| unsafe { device::get_attribute(handle, which) };
    Ok(Card {
        id,
        name: device::get_name(handle)?,
        capability: (
            attribute(A::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?,
            attribute(A::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?,
        ),
        multiprocessors: attribute(A::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?.max(1) as usize,
        bytes: unsafe { device::total_mem(handle) }?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card(id: i32, capability: (i32, i32)) -> Card {
        Card {
            id,
            name: format!("card {id}"),
            capability,
            multiprocessors: 1,
            bytes: 1,
        }
    }

    fn ids(chosen: Result<Vec<Card>, Unavailable>) -> Vec<i32> {
        chosen.unwrap().iter().map(|card| card.id).collect()
    }

    #[test]
    fn cards_that_are_too_old_are_passed_over_unless_asked_for() {
        let found = || {
            vec![
                card(0, (6, 1)),
                card(1, (7, 5)),
                card(2, (7, 0)),
                card(3, (12, 0)),
            ]
        };
        assert_eq!(ids(choose(found(), -1)), [1, 3]);
        assert_eq!(ids(choose(found(), 3)), [3]);
        let old = choose(found(), 2).unwrap_err().to_string();
        assert!(
            old.contains("card 2") && old.contains("7.0") && old.contains("7.5"),
            "{old}"
        );
        assert!(matches!(
            choose(vec![card(0, (5, 0))], -1),
            Err(Unavailable::TooOld { .. })
        ));
    }

    #[test]
    fn a_card_that_is_not_there_is_named() {
        let text = choose(vec![card(0, (8, 6))], 4).unwrap_err().to_string();
        assert!(text.contains("cuda-device-id=4"), "{text}");
        assert_eq!(choose(Vec::new(), -1), Err(Unavailable::NoDevice));
    }

    #[test]
    fn a_panic_on_first_use_becomes_an_error() {
        let answer = fenced::<()>("the driver", || panic!("no symbol {}", "cuFoo"));
        assert!(answer.unwrap_err().to_string().contains("cuFoo"));
    }
}
