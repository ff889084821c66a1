// SPDX-License-Identifier: MIT OR Apache-2.0

//! Any bytes at all, opened as a weight file, of which everything is read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use neuralstyle::gatys::weights::WeightFile;

fuzz_target!(|bytes: &[u8]| {
    let Ok(file) = WeightFile::from_bytes("fuzz", bytes.to_vec()) else {
        return;
    };
    for name in file.names() {
        if let (Ok(numbers), Some(shape)) = (file.read_f32(name), file.shape(name)) {
            assert_eq!(numbers.len(), shape.iter().product::<usize>());
        }
    }
});
