// SPDX-License-Identifier: MIT OR Apache-2.0

//! Reads style pictures on a thread of its own, so that a stream that plays never waits for one.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, Weak};
use std::thread;
use std::time::Duration;

use super::lock;
use neuralstyle::backend::CancelToken;
use neuralstyle::stylizer::{Error, StylePicture};

/// How often a caller that waits for the first picture checks whether it was cancelled.
const POLL: Duration = Duration::from_millis(10);

/// Called with the reason why a later picture cannot be read; as a rule on the thread that reads.
type Complaint = Box<dyn FnOnce(Error) + Send>;

/// A style picture and where it comes from.
#[derive(Clone, Debug)]
pub struct Style {
    pub path: PathBuf,
    pub picture: Arc<StylePicture>,
}

/// The style pictures of one run of the element, from start to stop. When the last clone is dropped, a picture that is
/// being read is discarded.
#[derive(Clone)]
pub struct StyleSource {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    requests: VecDeque<Request>,
    /// Whether a thread is reading.
    reading: bool,
    /// The last picture that was read, until it is taken.
    fresh: Option<Style>,
    /// Why the first picture cannot be read, until that is reported.
    failure: Option<Error>,
}

struct Request {
    path: PathBuf,
    /// `None` for the first picture: the stream cannot begin without it.
    complaint: Option<Complaint>,
}

impl StyleSource {
    /// Begins to read the first picture. An error says at once that there is none; whether it can be decoded turns out later.
    pub fn start(path: &Path) -> Result<Self, Error> {
        StylePicture::probe(path)?;
        let source = Self {
            shared: Arc::default(),
        };
        source.shared.request(
            Request {
                path: path.to_owned(),
                complaint: None,
            },
            spawn_reader,
        );
        Ok(source)
    }

    /// Reads another picture. Until it is read, or if it cannot be, the last one stays; `complaint` is called in that case.
    pub fn request(&self, path: &Path, complaint: impl FnOnce(Error) + Send + 'static) {
        self.shared.request(
            Request {
                path: path.to_owned(),
                complaint: Some(Box::new(complaint)),
            },
            spawn_reader,
        );
    }

    /// The newest picture, if it is newer than what was taken last.
    pub fn take(&self) -> Option<Style> {
        lock(&self.shared.state).fresh.take()
    }

    /// The newest picture, waiting for the first one.
    pub fn wait(&self, cancel: &CancelToken) -> Result<Style, Error> {
        let mut state = lock(&self.shared.state);
        loop {
            if cancel.is_cancelled() {
                return Err(Error::Cancelled);
            }
            if let Some(style) = state.fresh.take() {
                return Ok(style);
            }
            if !state.reading {
                return Err(state.failure.take().unwrap_or(Error::NoStyle));
            }
            let waited = self.shared.changed.wait_timeout(state, POLL);
            state = waited.unwrap_or_else(std::sync::PoisonError::into_inner).0;
        }
    }
}

impl Shared {
    /// `spawn` starts the thread that reads.
    fn request(self: &Arc<Self>, request: Request, spawn: fn(Weak<Self>) -> io::Result<()>) {
        let mut state = lock(&self.state);
        // Only the newest of the pictures that wait is still wanted. But the first one is always read: it is what stays if
        // the newest is no picture.
        state.requests.retain(|waiting| waiting.complaint.is_none());
        state.requests.push_back(request);
        if state.reading {
            return;
        }
        let Err(error) = spawn(Arc::downgrade(self)) else {
            state.reading = true;
            return;
        };
        let unread = std::mem::take(&mut state.requests);
        drop(state);
        for request in unread {
            let source = io::Error::new(error.kind(), error.to_string());
            let purpose = "to read a style picture with";
            self.deliver(request, Err(Error::NoThread { purpose, source }));
        }
    }

    /// The next request; after `None` the thread has to end.
    fn next(&self) -> Option<Request> {
        let mut state = lock(&self.state);
        let request = state.requests.pop_front();
        if request.is_none() {
            state.reading = false;
            self.changed.notify_all();
        }
        request
    }

    fn deliver(&self, request: Request, picture: Result<StylePicture, Error>) {
        match (picture, request.complaint) {
            (Ok(picture), _) => {
                let style = Style {
                    path: request.path,
                    picture: Arc::new(picture),
                };
                lock(&self.state).fresh = Some(style);
            }
            (Err(error), None) => lock(&self.state).failure = Some(error),
            (Err(error), Some(complain)) => complain(error),
        }
        self.changed.notify_all();
    }
}

/// Starts a thread that works on the requests.
fn spawn_reader(shared: Weak<Shared>) -> io::Result<()> {
    let thread = thread::Builder::new().name("neuralstyle-style".into());
    thread.spawn(move || read_all(&shared)).map(drop)
}

/// Works on the requests until there are none, or all clones of the source are dropped.
fn read_all(shared: &Weak<Shared>) {
    while let Some(request) = shared.upgrade().and_then(|shared| shared.next()) {
        let picture = read(&request.path);
        if let Some(shared) = shared.upgrade() {
            shared.deliver(request, picture);
        }
    }
}

/// Reads a picture; a decoder that panics over a file is an error like any other.
fn read(path: &Path) -> Result<StylePicture, Error> {
    catch_unwind(AssertUnwindSafe(|| StylePicture::load(path))).unwrap_or_else(|_| {
        Err(Error::StyleUnreadable {
            path: PathBuf::from(path),
            reason: "its decoder failed".into(),
        })
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::mpsc;

    use super::*;

    fn picture(folder: &Path, name: &str, grey: u8) -> PathBuf {
        let path = folder.join(name);
        image::GrayImage::from_pixel(4, 4, image::Luma([grey]))
            .save(&path)
            .unwrap();
        path
    }

    /// A file that begins as a picture does and has no end.
    fn half_a_picture(folder: &Path) -> PathBuf {
        let whole = fs::read(picture(folder, "whole.png", 1)).unwrap();
        let path = folder.join("half.png");
        fs::write(&path, &whole[..whole.len() - 20]).unwrap();
        path
    }

    #[test]
    fn the_first_picture_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let source = StyleSource::start(&picture(folder.path(), "a.png", 7)).unwrap();
        let style = source.wait(&CancelToken::new()).unwrap();
        assert_eq!(style.picture.frame().rgb()[0], 7);
        assert!(source.take().is_none(), "a picture is taken once");
    }

    #[test]
    fn a_first_picture_that_breaks_off_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let source = StyleSource::start(&half_a_picture(folder.path())).unwrap();
        let error = source.wait(&CancelToken::new()).unwrap_err();
        assert!(matches!(error, Error::StyleUnreadable { .. }), "{error}");
    }

    #[test]
    fn who_waits_can_be_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let source = StyleSource::start(&picture(folder.path(), "a.png", 7)).unwrap();
        let cancel = CancelToken::new();
        cancel.cancel();
        assert!(matches!(source.wait(&cancel), Err(Error::Cancelled)));
    }

    #[test]
    fn a_later_picture_replaces_the_first_and_a_bad_one_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let source = StyleSource::start(&picture(folder.path(), "a.png", 7)).unwrap();
        source.wait(&CancelToken::new()).unwrap();

        let (sender, complaints) = mpsc::channel();
        source.request(Path::new("/nowhere/b.png"), move |error| {
            sender.send(error).unwrap()
        });
        assert!(matches!(complaints.recv().unwrap(), Error::StyleNotFound { .. }));
        assert!(source.take().is_none());

        source.request(&picture(folder.path(), "c.png", 9), |error| panic!("{error}"));
        assert_eq!(
            source.wait(&CancelToken::new()).unwrap().picture.frame().rgb()[0],
            9
        );
    }

    #[test]
    fn who_gets_no_thread_to_read_with_is_told() {
        let none = |_| Err(io::Error::from(io::ErrorKind::WouldBlock));
        let folder = tempfile::tempdir().unwrap();
        let source = StyleSource::start(&picture(folder.path(), "a.png", 7)).unwrap();
        source.wait(&CancelToken::new()).unwrap();
        // The reader may still be about to notice that there is nothing left to read.
        while lock(&source.shared.state).reading {
            thread::yield_now();
        }

        let (sender, complaints) = mpsc::channel();
        let later = Request {
            path: picture(folder.path(), "b.png", 9),
            complaint: Some(Box::new(move |error| sender.send(error).unwrap())),
        };
        source.shared.request(later, none);
        assert!(matches!(complaints.recv().unwrap(), Error::NoThread { .. }));
        assert!(source.take().is_none());

        let first = Request {
            path: picture(folder.path(), "c.png", 9),
            complaint: None,
        };
        source.shared.request(first, none);
        let error = source.wait(&CancelToken::new()).unwrap_err();
        assert!(matches!(error, Error::NoThread { .. }), "{error}");
    }

    #[test]
    fn a_bad_wish_at_once_after_the_start_leaves_the_first_picture() {
        let folder = tempfile::tempdir().unwrap();
        let source = StyleSource::start(&picture(folder.path(), "a.png", 7)).unwrap();
        source.request(Path::new("/nowhere/b.png"), |_| ());
        assert_eq!(
            source.wait(&CancelToken::new()).unwrap().picture.frame().rgb()[0],
            7
        );
    }
}
