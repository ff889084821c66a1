// SPDX-License-Identifier: MIT OR Apache-2.0

//! The card that the tests run on: a real one, or the software GPU where it stands in for the driver.
#![allow(dead_code, reason = "each test program uses its part")]

use neuralstyle::backend::CancelToken;
use neuralstyle::backend::cuda::Cuda;

/// Set where a card must be there, so that nothing is skipped by mistake.
const REQUIRED: &str = "NEURALSTYLE_TEST_CUDA";

/// The card, or `None` after saying why the test is skipped.
pub fn cuda(cancel: CancelToken) -> Option<Cuda> {
    match Cuda::new(-1, cancel) {
        Ok(cuda) => Some(cuda),
        Err(reason) if std::env::var_os(REQUIRED).is_some() => panic!("{reason}"),
        Err(reason) => {
            println!("skipped: {reason}; tests/run.sh brings a software GPU");
            None
        }
    }
}
