// SPDX-License-Identifier: MIT OR Apache-2.0

//! Every operation of every backend does what the slow, obvious f64 reference does. There is one test body for each
//! operation; a new backend is one line like that at the end of this file.

use crate::operations::{losses, network, pictures, step, stopping, vectors};
use crate::repeating;
use neuralstyle::backend::CancelToken;
use neuralstyle::backend::cpu::{Cpu, InstructionSet};

backend!(cpu, |cancel| neuralstyle::backend::cpu::Cpu::new(3, cancel).ok());

/// What the processor is best at is tested above; others have less, and it has that too.
#[test]
fn so_do_the_kernels_for_lesser_processors() {
    for instructions in InstructionSet::available().into_iter().skip(1) {
        println!("with the {} kernels", instructions.name());
        let ops = &mut Cpu::with_instructions(3, CancelToken::new(), instructions).unwrap();
        network::convolution(ops);
        network::convolution_backward(ops);
        network::convolution_is_adjoint(ops);
        network::convolution_and_pooling(ops);
        network::the_first_of_equals_wins(ops);
        losses::moments(ops);
        losses::moments_backward(ops);
        losses::covariance_difference(ops);
    }
}

#[test]
fn kernels_with_fused_multiply_add_give_the_same_bits() {
    repeating::bits_do_not_depend_on_the_kernels();
}

#[test]
fn the_cpu_gives_the_same_bits_for_any_number_of_threads() {
    repeating::bits_do_not_depend_on_threads();
}
