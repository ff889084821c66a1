// SPDX-License-Identifier: MIT OR Apache-2.0

//! Reads style pictures on a thread of its own, so that a stream that plays never waits for one.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, Weak};
use std::thread;
use std::time::Duration;

use super::lock;
use neuralstyle::backend::CancelToken;
use neuralstyle::stylizer::{Error, StylePicture};

/// How often whoever waits for the first picture looks whether to stop waiting.
const POLL: Duration = Duration::from_millis(10);

/// Called, on the thread that reads, with the reason why a later picture cannot be had.
type Complaint = Box<dyn FnOnce(Error) + Send>;

/// A style picture and where it comes from.
#[derive(Clone, Debug)]
pub struct Style {
    pub path: String,
    pub picture: Arc<StylePicture>,
}

/// The style pictures of one run of the element, from start to stop. A picture that is being read when the last clone
/// goes is for nobody.
#[derive(Clone)]
pub struct StyleSource {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    desk: Mutex<Desk>,
    changed: Condvar,
}

#[derive(Default)]
struct Desk {
    requests: VecDeque<Request>,
    /// Whether a thread is at work on the requests.
    reading: bool,
    /// The last picture that was read, until somebody takes it.
    fresh: Option<Style>,
    /// Why the first picture cannot be had, until somebody takes it.
    failure: Option<Error>,
}

struct Request {
    path: String,
    /// `None` for the first picture: the stream cannot begin without it.
    complaint: Option<Complaint>,
}

impl StyleSource {
    /// Begins to read the first picture; whether there is one at all is known at once.
    pub fn start(path: &str) -> Result<Self, Error> {
        StylePicture::probe(Path::new(path))?;
        let source = Self {
            shared: Arc::default(),
        };
        source.shared.request(Request {
            path: path.to_owned(),
            complaint: None,
        });
        Ok(source)
    }

    /// Reads another picture. Until it is there the last one stays, and if it cannot be had that one stays for good.
    pub fn request(&self, path: &str, complaint: impl FnOnce(Error) + Send + 'static) {
        self.shared.request(Request {
            path: path.to_owned(),
            complaint: Some(Box::new(complaint)),
        });
    }

    /// The newest picture, if it is newer than what was taken last.
    pub fn take(&self) -> Option<Style> {
        lock(&self.shared.desk).fresh.take()
    }

    /// The newest picture, waiting for the first one.
    pub fn wait(&self, cancel: &CancelToken) -> Result<Style, Error> {
        let mut desk = lock(&self.shared.desk);
        loop {
            if cancel.is_cancelled() {
                return Err(Error::Cancelled);
            }
            if let Some(style) = desk.fresh.take() {
                return Ok(style);
            }
            if !desk.reading {
                return Err(desk.failure.take().unwrap_or(Error::NoStyle));
            }
            let waited = self.shared.changed.wait_timeout(desk, POLL);
            desk = waited.unwrap_or_else(std::sync::PoisonError::into_inner).0;
        }
    }
}

impl Shared {
    fn request(self: &Arc<Self>, request: Request) {
        let mut desk = lock(&self.desk);
        // Of the pictures that nobody has begun to read only the newest is wanted, but the first one is always read:
        // it is what stays if the newest is no picture.
        desk.requests.retain(|waiting| waiting.complaint.is_none());
        let path = request.path.clone();
        desk.requests.push_back(request);
        if !desk.reading {
            desk.reading = true;
            let shared = Arc::downgrade(self);
            let thread = thread::Builder::new().name("neuralstyle-style".into());
            if thread.spawn(move || read_all(&shared)).is_err() {
                desk.reading = false;
                desk.failure = Some(Error::StyleUnreadable {
                    path: PathBuf::from(path),
                    reason: "the system gives no thread to read it with".into(),
                });
            }
        }
    }

    /// The next request; after `None` the thread has to end.
    fn next(&self) -> Option<Request> {
        let mut desk = lock(&self.desk);
        let request = desk.requests.pop_front();
        if request.is_none() {
            desk.reading = false;
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
                lock(&self.desk).fresh = Some(style);
            }
            (Err(error), None) => lock(&self.desk).failure = Some(error),
            (Err(error), Some(complain)) => complain(error),
        }
        self.changed.notify_all();
    }
}

/// Works on the requests until there are none, or nobody waits for them any more.
fn read_all(shared: &Weak<Shared>) {
    while let Some(request) = shared.upgrade().and_then(|shared| shared.next()) {
        let picture = read(Path::new(&request.path));
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

    fn picture(folder: &Path, name: &str, grey: u8) -> String {
        let path = folder.join(name);
        image::GrayImage::from_pixel(4, 4, image::Luma([grey]))
            .save(&path)
            .unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// A file that begins as a picture does and has no end.
    fn half_a_picture(folder: &Path) -> String {
        let whole = fs::read(picture(folder, "whole.png", 1)).unwrap();
        let path = folder.join("half.png");
        fs::write(&path, &whole[..whole.len() - 20]).unwrap();
        path.to_str().unwrap().to_owned()
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
        source.request("/nowhere/b.png", move |error| sender.send(error).unwrap());
        assert!(matches!(complaints.recv().unwrap(), Error::StyleNotFound { .. }));
        assert!(source.take().is_none());

        source.request(&picture(folder.path(), "c.png", 9), |error| panic!("{error}"));
        assert_eq!(
            source.wait(&CancelToken::new()).unwrap().picture.frame().rgb()[0],
            9
        );
    }

    #[test]
    fn a_bad_wish_at_once_after_the_start_leaves_the_first_picture() {
        let folder = tempfile::tempdir().unwrap();
        let source = StyleSource::start(&picture(folder.path(), "a.png", 7)).unwrap();
        source.request("/nowhere/b.png", |_| ());
        assert_eq!(
            source.wait(&CancelToken::new()).unwrap().picture.frame().rgb()[0],
            7
        );
    }
}
