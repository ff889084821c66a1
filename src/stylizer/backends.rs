// SPDX-License-Identifier: MIT OR Apache-2.0

//! Which backend paints a stream, and what it is given to do so.

use super::offline::Offline;
use super::session::{Session, WorkingSizes};
use super::{BackendChoice, Drive, Error, Fallback, Options, Stats};
use crate::backend::flow::FlowSteps;
use crate::backend::registry::{BACKENDS, BackendDefaults, CannotStart, Entry, OpenOptions, Use};
use crate::backend::{Backend, CancelToken};
use crate::gatys::{Network, NetworkChoice, Recipe};
use crate::motion::{self, Stepped, Track, Tracker};
use crate::settings::Refused;

/// Opens the backend that the options ask for, or the first that works. `painting` stops what it paints, `cancel` everything.
pub fn open(
    options: &Options,
    painting: &CancelToken,
    cancel: &CancelToken,
) -> Result<(Box<dyn Drive>, Option<Fallback>), Error> {
    if options.backend != BackendChoice::Auto {
        return Ok((named(options.backend.name(), options, painting, cancel)?, None));
    }
    let mut fallback = None;
    let automatic: Vec<&Entry> = BACKENDS.iter().filter(|entry| entry.automatic).collect();
    for (index, entry) in automatic.iter().enumerate() {
        let is_last = index + 1 == automatic.len();
        match opened(entry, options, painting, cancel) {
            Err(unavailable) if is_last => return Err(refused(entry, &unavailable)),
            Err(unavailable) => {
                fallback = Some(Fallback {
                    reason: unavailable.reason,
                    surprising: unavailable.surprising,
                });
            }
            Ok(Err(error)) if error.is_of_the_backend() && !is_last => fallback = Some(Fallback::of(&error)),
            Ok(answer) => return Ok((answer?, fallback)),
        }
    }
    Err(Error::BackendUnavailable("there is no backend".into()))
}

/// A driver on the backend that works everywhere.
pub fn on_the_cpu(options: &Options, painting: &CancelToken) -> Result<Box<dyn Drive>, Error> {
    named(BackendChoice::Cpu.name(), options, painting, painting)
}

/// A driver on a backend that is open.
pub fn on<B: Backend + 'static>(
    backend: B,
    options: &Options,
    defaults: BackendDefaults,
) -> Result<Box<dyn Drive>, Error> {
    Driver { options }.plain(backend, defaults)
}

fn named(
    name: &str,
    options: &Options,
    painting: &CancelToken,
    cancel: &CancelToken,
) -> Result<Box<dyn Drive>, Error> {
    let entry = Entry::named(name)
        .ok_or_else(|| Refused::new("backend", name, "this version has no such backend"))?;
    opened(entry, options, painting, cancel).map_err(|unavailable| refused(entry, &unavailable))?
}

fn opened(
    entry: &Entry,
    options: &Options,
    painting: &CancelToken,
    cancel: &CancelToken,
) -> Result<Result<Box<dyn Drive>, Error>, CannotStart> {
    let settings = OpenOptions {
        threads: options.threads,
        device: options.cuda_device_id,
    };
    entry.open(settings, painting.clone(), cancel.clone(), Driver { options })
}

fn refused(entry: &Entry, cause: &CannotStart) -> Error {
    let advice = match BACKENDS.iter().rfind(|entry| entry.automatic) {
        Some(last) if last.name != entry.name => {
            format!("; use backend={} or backend={}", last.name, BackendChoice::Auto)
        }
        _ => String::new(),
    };
    Error::BackendUnavailable(format!("backend={}: {cause}{advice}", entry.name))
}

/// Makes a driver of a backend.
struct Driver<'a> {
    options: &'a Options,
}

impl Use for Driver<'_> {
    type Answer = Result<Box<dyn Drive>, Error>;

    /// Motion is found on the CPU, whose memory for it is not the painter's.
    fn plain<B: Backend + 'static>(self, backend: B, defaults: BackendDefaults) -> Self::Answer {
        self.drive(backend, Box::new(Tracker::new()), Box::new(|_| 0), defaults)
    }

    fn with_flow<B: FlowSteps + 'static>(
        self,
        backend: B,
        flow: B,
        defaults: BackendDefaults,
    ) -> Self::Answer {
        let sizes = flow.sizes();
        let bytes = move |size| motion::planned_bytes(sizes.clone(), size);
        self.drive(backend, Box::new(Stepped::new(flow)), Box::new(bytes), defaults)
    }
}

impl Driver<'_> {
    /// Opens the network and drives `backend` with it. `motion_bytes` says what finding the motion takes of the painter's
    /// memory, for pictures of a width and height.
    fn drive<B: Backend + 'static>(
        self,
        backend: B,
        tracker: Box<dyn Track>,
        motion_bytes: Box<dyn Fn((usize, usize)) -> usize + Send>,
        defaults: BackendDefaults,
    ) -> Result<Box<dyn Drive>, Error> {
        let options = self.options;
        let network = network(options, defaults)?;
        let chosen = |default: usize| match options.working_size {
            0 => default,
            chosen => chosen,
        };
        let working_sizes = WorkingSizes {
            offline: chosen(defaults.working_size),
            live: chosen(defaults.live_working_size),
            tracked: defaults.live_tracked_size,
        };
        let stats = Stats {
            backend: backend.name().to_owned(),
            device: backend.device(),
            network: network.name().to_owned(),
            ..Stats::default()
        };
        let session = Session::new(
            backend,
            network,
            Recipe::from(options),
            working_sizes,
            motion_bytes,
        )?;
        Ok(Box::new(Offline::new(session, tracker, stats)))
    }
}

/// The network that the options ask for, or the one that suits the backend.
fn network(options: &Options, defaults: BackendDefaults) -> Result<Network, Error> {
    let choice = match options.network {
        _ if options.weights.is_some() => NetworkChoice::File,
        NetworkChoice::Auto => defaults.network,
        chosen => chosen,
    };
    Ok(Network::open(choice, options.weights.as_deref())?)
}
