// SPDX-License-Identifier: MIT OR Apache-2.0

//! The backends that there are, by name: how each is opened, and what suits it where the user chooses nothing.
//!
//! A new backend is an [`Entry`] here and its folder; no other code needs to know its type. One from another crate does not
//! stand here: [`Stylizer::on`](crate::stylizer::Stylizer::on) takes it as it is.

use super::cpu::Cpu;
use super::cuda::Cuda;
use super::flow::FlowSteps;
use super::reference::Reference;
use super::{Backend, CancelToken};
use crate::settings::NetworkChoice;

/// A backend that can be asked for by its name.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    pub name: &'static str,
    /// Whether it is tried with `backend=auto`.
    pub automatic: bool,
    pub defaults: BackendDefaults,
    kind: Kind,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Cuda,
    Cpu,
    Reference,
}

/// What suits a backend.
#[derive(Clone, Copy, Debug)]
pub struct BackendDefaults {
    /// An embedded network.
    pub network: NetworkChoice,
    /// Longer sides in pixels at which frames are painted: where each frame waits for its steps, and beside a live stream.
    /// Fast enough to watch, large enough for strokes.
    pub working_size: usize,
    pub live_working_size: usize,
    /// Live, motion is looked for in pictures whose longer side has at most so many pixels.
    pub live_tracked_size: usize,
}

const ON_THE_CPU: BackendDefaults = BackendDefaults {
    network: NetworkChoice::Slim,
    working_size: 256,
    live_working_size: 192,
    // What is shown must move thirty times a second or more, on one core that has other things to do.
    live_tracked_size: 128,
};

const ON_A_CARD: BackendDefaults = BackendDefaults {
    network: NetworkChoice::Vgg16,
    working_size: 512,
    // What is shown is moved and laid onto the frame on the CPU; its motion is found on the card.
    live_working_size: 320,
    live_tracked_size: usize::MAX,
};

/// All backends. `backend=auto` takes the first that is automatic and opens.
pub const BACKENDS: [Entry; 3] = [
    Entry {
        name: "cuda",
        automatic: true,
        defaults: ON_A_CARD,
        kind: Kind::Cuda,
    },
    Entry {
        name: "cpu",
        automatic: true,
        defaults: ON_THE_CPU,
        kind: Kind::Cpu,
    },
    Entry {
        name: "reference",
        automatic: false,
        defaults: ON_THE_CPU,
        kind: Kind::Reference,
    },
];

/// What a backend is to be opened with; each takes what it knows.
#[derive(Clone, Copy, Debug)]
pub struct OpenOptions {
    /// Threads of the CPU; 0 = one per core.
    pub threads: usize,
    /// Which card; −1 = the first that works.
    pub device: i32,
}

/// Why a backend cannot be opened on this computer.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{reason}")]
pub struct CannotStart {
    pub reason: String,
    /// Whether the user may have expected it to work: there is such a device or its driver.
    pub surprising: bool,
}

/// What is done with a backend once it is open. Which type it has is known only to the registry.
pub trait Use {
    type Answer;

    /// With one that has no operations for optical flow.
    fn plain<B: Backend + 'static>(self, backend: B, defaults: BackendDefaults) -> Self::Answer;

    /// With one that finds motion, too: `flow` is a second one on the same device, whose work does not wait for that of
    /// the first.
    fn with_flow<B: FlowSteps + 'static>(
        self,
        backend: B,
        flow: B,
        defaults: BackendDefaults,
    ) -> Self::Answer;
}

impl Entry {
    /// The backend of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        BACKENDS.iter().find(|entry| entry.name == name)
    }

    /// Opens the backend and hands it to `user`. `cancel` stops its work, `cancel_flow` that of a second one for optical flow.
    ///
    /// # Errors
    /// Says what is missing on this computer.
    pub fn open<U: Use>(
        &self,
        settings: OpenOptions,
        cancel: CancelToken,
        cancel_flow: CancelToken,
        user: U,
    ) -> Result<U::Answer, CannotStart> {
        let failed = |error: super::Error| CannotStart {
            reason: error.to_string(),
            surprising: true,
        };
        match self.kind {
            Kind::Cuda => {
                let cuda = Cuda::new(settings.device, cancel).map_err(|error| CannotStart {
                    reason: error.to_string(),
                    surprising: error.concerns_a_card(),
                })?;
                let flow = cuda.beside(cancel_flow).map_err(failed)?;
                Ok(user.with_flow(cuda, flow, self.defaults))
            }
            Kind::Cpu => {
                let cpu = Cpu::new(settings.threads, cancel).map_err(failed)?;
                Ok(user.plain(cpu, self.defaults))
            }
            Kind::Reference => Ok(user.plain(Reference::new(cancel), self.defaults)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Name;

    impl Use for Name {
        type Answer = &'static str;

        fn plain<B: Backend>(self, backend: B, _: BackendDefaults) -> &'static str {
            backend.name()
        }

        fn with_flow<B: FlowSteps>(self, backend: B, _: B, _: BackendDefaults) -> &'static str {
            backend.name()
        }
    }

    #[test]
    fn a_backend_is_found_under_the_name_that_it_has() {
        let settings = OpenOptions {
            threads: 1,
            device: -1,
        };
        for entry in &BACKENDS {
            let cancel = CancelToken::new();
            match entry.open(settings, cancel.clone(), cancel, Name) {
                Ok(name) => assert_eq!(name, entry.name),
                Err(unavailable) => assert!(entry.name == "cuda" && !unavailable.reason.is_empty()),
            }
            assert_eq!(Entry::named(entry.name).map(|found| found.name), Some(entry.name));
        }
        assert!(Entry::named("abacus").is_none());
    }

    #[test]
    fn the_last_that_is_tried_is_there_on_every_computer() {
        let last = BACKENDS.iter().rfind(|entry| entry.automatic);
        assert_eq!(last.map(|entry| entry.name), Some("cpu"));
    }
}
