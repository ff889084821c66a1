// SPDX-License-Identifier: MIT OR Apache-2.0

//! By what powers of two the numbers of blocked tensors are multiplied where they are stored. The host keeps account.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use super::{Cuda, Tensor};

/// By what power of two a tensor's numbers are multiplied. Shared with the steps that were written down with it.
pub type Exponent = Arc<AtomicI32>;

/// The exponent of a tensor of zeros, which fits all.
pub const ANY: i32 = i32::MIN;

impl Cuda {
    /// The exponent of a tensor, [`ANY`] if it is all zeros.
    pub(super) fn exponent_or_any(&mut self, tensor: &Tensor) -> i32 {
        if let Some(recording) = &mut self.recording {
            recording.read(&tensor.exponent);
        }
        tensor.exponent.load(Ordering::Relaxed)
    }

    pub(super) fn exponent(&mut self, tensor: &Tensor) -> i32 {
        match self.exponent_or_any(tensor) {
            ANY => 0,
            exponent => exponent,
        }
    }

    pub(super) fn set_exponent(&mut self, tensor: &Tensor, exponent: i32) {
        if let Some(recording) = &mut self.recording {
            recording.wrote(&tensor.exponent);
        }
        tensor.exponent.store(exponent, Ordering::Relaxed);
    }

    /// Notes that a tensor is all zeros.
    pub(super) fn set_nothing(&mut self, tensor: &Tensor) {
        self.set_exponent(tensor, ANY);
    }

    /// That of tensors which must have the same, zeros apart.
    pub(super) fn common_exponent(&mut self, tensors: &[&Tensor]) -> i32 {
        let mut common = ANY;
        for tensor in tensors {
            match self.exponent_or_any(tensor) {
                ANY => (),
                exponent => {
                    assert!(common == ANY || common == exponent, "{common} is not {exponent}");
                    common = exponent;
                }
            }
        }
        if common == ANY { 0 } else { common }
    }

    /// For passes that have no factors to fold an exponent into.
    pub(super) fn assert_same_exponents(&mut self, tensors: &[&Tensor]) {
        let exponent = self.common_exponent(tensors);
        for tensor in tensors {
            self.set_exponent(tensor, exponent);
        }
    }

    /// For Σ (a − t)² and what it adds to the gradient: the factors that undo the exponents of `a` and `target` and
    /// bring in the gradient's. A gradient of zeros takes the one that fits `a`.
    pub(super) fn factors_of_error(&mut self, a: &Tensor, target: &Tensor, gradient: &Tensor) -> (f32, f32) {
        if !gradient.layout.blocked {
            return (1.0, 1.0);
        }
        let exponent = self.common_exponent(&[a, target]);
        let of_gradient = match self.exponent_or_any(gradient) {
            ANY => {
                self.set_exponent(gradient, -exponent);
                -exponent
            }
            other => other,
        };
        (2.0_f32.powi(-2 * exponent), 2.0_f32.powi(of_gradient - exponent))
    }
}
