// SPDX-License-Identifier: MIT OR Apache-2.0

use super::Reference;
use crate::backend::{Capture, Control, Result};

impl Control for Reference {
    fn name(&self) -> &'static str {
        "reference"
    }

    fn device(&self) -> String {
        "one thread, f64".into()
    }

    fn capture<R>(&mut self, capture: &mut Capture, mut record: R) -> Result<()>
    where
        R: FnMut(&mut Self) -> Result<()> + Send,
    {
        capture.runs += 1;
        record(self)
    }
}
