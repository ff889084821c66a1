// SPDX-License-Identifier: MIT OR Apache-2.0

//! Processes that end, or are ended.

use std::io::{ErrorKind, Read};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// Long enough for a loaded machine; a test that fails waits this long at most.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A command of the program.
pub fn command(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_neuralstyle"));
    command.args(words);
    command
}

/// What a command writes until it ends.
///
/// # Panics
/// It still runs after [`PATIENCE`]; it is killed then, and the message says what it has written.
pub fn run(command: &mut Command) -> Output {
    Running::start(command).finish(PATIENCE)
}

/// A process that is killed when it is dropped.
pub struct Running {
    child: Child,
    stdout: Written,
    stderr: Written,
    /// Disconnected when both have ended.
    ended: Receiver<()>,
}

impl Running {
    pub fn start(command: &mut Command) -> Self {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (sender, ended) = mpsc::channel();
        Self {
            stdout: Written::collect(child.stdout.take().unwrap(), sender.clone()),
            stderr: Written::collect(child.stderr.take().unwrap(), sender),
            ended,
            child,
        }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    pub fn status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Waits for its end, but no longer than `limit`.
    pub fn finish(mut self, limit: Duration) -> Output {
        if self.ended.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
            self.child.kill().unwrap();
            panic!(
                "it still runs after {limit:?} and has written\n{}\nand, as errors,\n{}",
                String::from_utf8_lossy(&self.stdout.bytes()),
                String::from_utf8_lossy(&self.stderr.bytes())
            );
        }
        Output {
            status: self.child.wait().unwrap(),
            stdout: self.stdout.bytes(),
            stderr: self.stderr.bytes(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // One that has ended cannot be killed any more.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a process has written so far.
struct Written(Arc<Mutex<Vec<u8>>>);

impl Written {
    /// Reads in a thread of its own, so that no pipe is full, and drops `ended` at the end.
    fn collect(mut pipe: impl Read + Send + 'static, ended: Sender<()>) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let shared = bytes.clone();
        thread::spawn(move || {
            let mut piece = [0; 4096];
            loop {
                match pipe.read(&mut piece) {
                    Ok(0) => break,
                    Ok(count) => shared.lock().unwrap().extend_from_slice(&piece[..count]),
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(_) => break,
                }
            }
            drop(ended);
        });
        Self(bytes)
    }

    fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap().clone()
    }
}

/// What a process has written as errors.
pub fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What it has written else.
pub fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub fn assert_refused(output: &Output, expected: &str) {
    assert_eq!(output.status.code(), Some(1), "{}", words(output));
    assert!(words(output).contains(expected), "{}", words(output));
}

#[cfg(unix)]
#[test]
#[should_panic(expected = "it still runs")]
fn what_never_ends_is_ended() {
    Running::start(Command::new("sleep").arg("600")).finish(Duration::from_millis(100));
}
