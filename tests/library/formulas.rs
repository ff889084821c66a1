// SPDX-License-Identifier: MIT OR Apache-2.0

//! Each formula of the mathematics against a tiny case that was worked out by hand, on every backend.

#[path = "formulas/network.rs"]
mod network;
#[path = "formulas/objective.rs"]
mod objective;
#[path = "formulas/optimizers.rs"]
mod optimizers;

/// One test for each formula on each backend.
macro_rules! formulas {
    ($($family:ident: [$($formula:ident),*]),*) => {
        mod cpu {
            use neuralstyle::backend::{CancelToken, cpu::Cpu};
            $($(
                #[test]
                fn $formula() {
                    super::$family::$formula(&mut Cpu::new(2, CancelToken::new()).unwrap());
                }
            )*)*
        }
        mod reference {
            use neuralstyle::backend::{CancelToken, reference::Reference};
            $($(
                #[test]
                fn $formula() {
                    super::$family::$formula(&mut Reference::new(CancelToken::new()));
                }
            )*)*
        }
    };
}

formulas!(
    network: [convolution_is_correlation, the_mean_is_taken_off_before_the_padding, max_and_average],
    objective: [
        gram_matrix, content, style, style_of_another_size, a_style_by_tiles, covariance, total_variation, temporal, relative_terms,
        weighted_sum
    ],
    optimizers: [adams_first_steps, adam_with_a_blurred_moment, sgd_with_momentum, steps_in_colours]
);
