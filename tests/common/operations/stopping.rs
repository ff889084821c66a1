// SPDX-License-Identifier: MIT OR Apache-2.0

use neuralstyle::backend::{Backend, CancelToken, Error, Export, FilterData, Mix, Result, Scalar, Shape};
use neuralstyle::picture::Picture;

/// What takes long answers that it was cancelled, and works again after the wish is taken back.
pub fn cancelling<B: Backend>(ops: &mut B, cancel: &CancelToken) {
    let shape = Shape::new(3, 9, 11);
    let filter = FilterData {
        outputs: 4,
        inputs: 3,
        weights: vec![0.1; 108],
        bias: vec![0.0; 4],
    };
    let filter = ops.filter(&filter).unwrap();
    let mut mask = ops.mask(shape.with_channels(4)).unwrap();
    let mut picture = ops.tensor(shape).unwrap();
    let mut activations = ops.tensor(shape.with_channels(4)).unwrap();
    let mut gradient = ops.tensor(shape.with_channels(4)).unwrap();
    let mut gram = ops.tensor(Shape::square(4)).unwrap();
    let mut mean = ops.tensor(Shape::vector(4)).unwrap();
    let knob = ops.tensor(Shape::vector(1)).unwrap();
    let frame = Picture::from_rgb(11, 9, vec![128; 11 * 9 * 3]).unwrap();
    let mut out = frame.clone();

    for round in 0..2 {
        for (cancelled, expected) in [(false, "finished"), (true, "cancelled")] {
            if cancelled {
                cancel.cancel();
            } else {
                cancel.rearm();
            }
            let check = |what: &str, answer: Result<()>| {
                let found = match answer {
                    Ok(()) => "finished",
                    Err(Error::Cancelled) => "cancelled",
                    Err(_) => "failed",
                };
                assert_eq!(found, expected, "{what}, round {round}");
            };
            check("import", ops.import(frame.view(), 0, &mut picture));
            check(
                "conv_relu",
                ops.conv_relu(&picture, &filter, &mut activations, &mut mask),
            );
            check("moments", ops.moments(&activations, 1.0, &mut gram, &mut mean));
            let coefficient = Scalar { of: &knob, at: 0 };
            check(
                "moments_backward",
                ops.moments_backward(&activations, &gram, &mean, coefficient, &mut gradient),
            );
            check(
                "conv_relu_backward",
                ops.conv_relu_backward(&gradient, &mask, &filter, &mut picture),
            );
            check(
                "export",
                ops.export(
                    Export {
                        picture: &picture,
                        content: &picture,
                        border: 0,
                        mix: Mix {
                            strength: 1.0,
                            detail: 1.0,
                        },
                        frame: frame.view(),
                    },
                    &mut out,
                ),
            );
        }
    }
}
