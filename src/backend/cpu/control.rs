// SPDX-License-Identifier: MIT OR Apache-2.0

use super::Cpu;
use crate::backend::{Capture, Control, Result};

impl Control for Cpu {
    fn name(&self) -> &'static str {
        "cpu"
    }

    fn device(&self) -> String {
        let threads = match self.workers.threads() {
            1 => "1 thread".to_owned(),
            threads => format!("{threads} threads"),
        };
        format!("{threads}, {}", self.instructions.name())
    }

    fn lower_priority(&mut self) -> Result<()> {
        self.set_workers(self.workers.with_lower_priority()?)
    }

    /// The whole step is one piece of work for the threads, so that none has to be woken for each operation.
    fn capture<R>(&mut self, capture: &mut Capture, mut record: R) -> Result<()>
    where
        R: FnMut(&mut Self) -> Result<()> + Send,
    {
        self.finished()?;
        capture.runs += 1;
        let (workers, cancel) = (self.workers.clone(), self.cancel.clone());
        workers.run(&cancel, || record(self))?
    }
}
