// SPDX-License-Identifier: MIT OR Apache-2.0

/// One test for each operation on the backend that `$start` makes of a [`CancelToken`], if it is there.
macro_rules! backend {
    ($name:ident, $start:expr) => {
        backend!(@each $name, $start,
            vectors: [memory, reshaping, squaring, adding, blurring, adam, sgd, descending, capturing],
            network: [
                convolution, convolution_backward, convolution_is_adjoint, convolution_and_pooling,
                the_first_of_equals_wins, centring, pooling, cutting
            ],
            step: [backward],
            losses: [
                squared_norm, squared_error, weighted_squared_error, difference, moments,
                covariance_difference, moments_backward, total_variation
            ],
            pictures: [
                importing, importing_a_part, resizing, exporting, guiding, samples_survive, mirroring, colour_statistics, colour_map,
                blending, warping
            ]
        );
    };
    (@each $name:ident, $start:expr, $($family:ident: [$($operation:ident),*]),*) => {
        mod $name {
            $($(
                #[test]
                fn $operation() {
                    let start = $start;
                    if let Some(mut ops) = start(super::CancelToken::new()) {
                        super::$family::$operation(&mut ops);
                    }
                }
            )*)*

            #[test]
            fn cancelling() {
                let (start, cancel) = ($start, super::CancelToken::new());
                if let Some(mut ops) = start(cancel.clone()) {
                    super::stopping::cancelling(&mut ops, &cancel);
                }
            }
        }
    };
}

/// One test for each step of optical flow on the backend that `$start` makes of a [`CancelToken`], if it is there.
#[allow(unused_macros, reason = "the CPU follows motion by means of its own")]
macro_rules! flow_steps {
    ($name:ident, $start:expr) => {
        flow_steps!(@each $name, $start, [
            halving, noise, enlarging_a_flow, searching, densifying, linearising, relaxing, consistency, resemblance
        ]);
    };
    (@each $name:ident, $start:expr, [$($step:ident),*]) => {
        mod $name {
            $(
                #[test]
                fn $step() {
                    let start = $start;
                    if let Some(mut ops) = start(super::CancelToken::new()) {
                        super::flow::$step(&mut ops);
                    }
                }
            )*
        }
    };
}
