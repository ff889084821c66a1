// SPDX-License-Identifier: MIT OR Apache-2.0

//! What is painted stays the same to the byte: every painting's digest is compared with a recording.
//!
//! A change that is meant to alter paintings records them anew, and says so:
//! `NEURALSTYLE_RECORD=1 cargo test --test element same_bytes`.
//!
//! Kernels with fused multiply-add (AVX2, AVX-512, NEON) give the same bits; the portable ones do not, and are left
//! out.

use crate::common::*;
use crate::recordings;

use crate::recordings::{CASES, Recording, paint};

#[test]
fn the_cpu_paints_what_it_painted_before() {
    init();
    if !recordings::is_fused() {
        println!("skipped: this processor's kernels round differently from those of the recording");
        return;
    }
    let mut recording = Recording::open("cpu.txt");
    for case in CASES {
        recording.check(case.name, &paint(case, "backend=cpu"));
    }
    recording.close();
}
