// SPDX-License-Identifier: MIT OR Apache-2.0

//! Where one tensor lies in a file, and how its numbers become `f32`.

use std::ops::Range;

use half::{bf16, f16};

use super::error::Fault;

/// More axes than any convolution has; a bound on the work that a hostile shape can ask for.
pub(super) const MAX_RANK: usize = 16;

/// The type of the numbers of a tensor, little-endian in every format that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ElementType {
    F16,
    Bf16,
    F32,
    F64,
    /// Listed, so that a file with an integer counter in it opens, but not read.
    Other {
        name: &'static str,
        bytes: usize,
    },
}

impl ElementType {
    /// The word for it in messages.
    pub(super) fn name(self) -> &'static str {
        match self {
            ElementType::F16 => "F16",
            ElementType::Bf16 => "BF16",
            ElementType::F32 => "F32",
            ElementType::F64 => "F64",
            ElementType::Other { name, .. } => name,
        }
    }

    /// Bytes per number.
    pub(super) fn bytes(self) -> usize {
        match self {
            ElementType::F16 | ElementType::Bf16 => 2,
            ElementType::F32 => 4,
            ElementType::F64 => 8,
            ElementType::Other { bytes, .. } => bytes,
        }
    }
}

/// A tensor of a file. Every element it can name has been checked to lie inside the file.
#[derive(Debug)]
pub(super) struct StoredTensor {
    pub(super) element_type: ElementType,
    /// Axis lengths, outermost first, in elements.
    pub(super) shape: Vec<usize>,
    /// Distance between neighbours along each axis, in elements.
    strides: Vec<usize>,
    /// Byte of the file at which the element [0, 0, …] begins.
    start: usize,
    /// Product of `shape`.
    count: usize,
}

impl StoredTensor {
    /// A tensor laid over `storage`, a range of bytes of the file, `first` elements after its beginning.
    pub(super) fn new(
        name: &str,
        element_type: ElementType,
        shape: Vec<usize>,
        mut strides: Vec<usize>,
        storage: Range<usize>,
        first: usize,
    ) -> Result<Self, Fault> {
        let fault =
            |reason: String| Fault::Malformed(format!("tensor \"{name}\" of shape {shape:?} {reason}"));
        if shape.len() != strides.len() {
            return Err(fault(format!("has {} strides", strides.len())));
        }
        if shape.len() > MAX_RANK {
            return Err(Fault::Malformed(format!(
                "tensor \"{name}\" has {} axes",
                shape.len()
            )));
        }
        // Numbers of less than a byte (0 here) are never read, so their storage needs no bound.
        let stored = storage
            .len()
            .checked_div(element_type.bytes())
            .unwrap_or(usize::MAX);
        let count = shape
            .iter()
            .try_fold(1_usize, |product, &length| product.checked_mul(length));
        let count = count.ok_or_else(|| fault("has more elements than can be counted".into()))?;
        // An expanded tensor names one element many times. Refusing it keeps what we allocate below what the file
        // holds; no weight of a convolution is stored that way.
        if count > stored {
            return Err(fault(format!(
                "has {count} elements, but its storage holds {stored}"
            )));
        }
        let last = shape
            .iter()
            .zip(&strides)
            .try_fold(first, |last, (&length, &stride)| {
                length
                    .saturating_sub(1)
                    .checked_mul(stride)
                    .and_then(|reach| last.checked_add(reach))
            });
        if count > 0 && last.is_none_or(|last| last >= stored) {
            return Err(fault(format!(
                "and strides {strides:?} from element {first} on leaves its storage of {stored} elements"
            )));
        }
        // Nothing is ever a step away along an axis of length one, and PyTorch writes any number there.
        for (stride, &length) in strides.iter_mut().zip(&shape) {
            *stride = if length > 1 { *stride } else { 0 };
        }
        let start = if count > 0 {
            storage.start + first * element_type.bytes()
        } else {
            storage.start
        };
        Ok(Self {
            element_type,
            shape,
            strides,
            start,
            count,
        })
    }

    /// A tensor whose elements follow each other in row-major order and fill `storage`.
    pub(super) fn contiguous(
        name: &str,
        element_type: ElementType,
        shape: Vec<usize>,
        storage: Range<usize>,
    ) -> Result<Self, Fault> {
        let mut strides = vec![1_usize; shape.len()];
        for axis in (1..shape.len()).rev() {
            // A saturated stride belongs to an impossible shape, which `new` refuses for its element count.
            strides[axis - 1] = strides[axis].saturating_mul(shape[axis]);
        }
        Self::new(name, element_type, shape, strides, storage, 0)
    }

    /// The numbers in row-major order, or `None` if they are not floating point. `file` is the file that the
    /// tensor was checked against.
    pub(super) fn to_f32(&self, file: &[u8]) -> Option<Vec<f32>> {
        match self.element_type {
            ElementType::F16 => Some(self.elements(file, |bytes| f16::from_le_bytes(bytes).to_f32())),
            ElementType::Bf16 => Some(self.elements(file, |bytes| bf16::from_le_bytes(bytes).to_f32())),
            ElementType::F32 => Some(self.elements(file, f32::from_le_bytes)),
            ElementType::F64 => Some(self.elements(file, |bytes| f64::from_le_bytes(bytes) as f32)),
            ElementType::Other { .. } => None,
        }
    }

    fn elements<const BYTES: usize>(&self, file: &[u8], decode: impl Fn([u8; BYTES]) -> f32) -> Vec<f32> {
        if self.count == 0 {
            return Vec::new();
        }
        // `new` has checked that the elements reached from here lie inside the file.
        let (stored, _) = file[self.start..].as_chunks::<BYTES>();
        if self.is_row_major() {
            return stored[..self.count].iter().map(|&bytes| decode(bytes)).collect();
        }
        let mut numbers = Vec::with_capacity(self.count);
        let mut position = vec![0_usize; self.shape.len()];
        let mut element = 0;
        for _ in 0..self.count {
            numbers.push(decode(stored[element]));
            for axis in (0..self.shape.len()).rev() {
                position[axis] += 1;
                element += self.strides[axis];
                if position[axis] < self.shape[axis] {
                    break;
                }
                element -= self.strides[axis] * self.shape[axis];
                position[axis] = 0;
            }
        }
        numbers
    }

    fn is_row_major(&self) -> bool {
        let mut expected = 1;
        for (&length, &stride) in self.shape.iter().zip(&self.strides).rev() {
            if length != 1 && stride != expected {
                return false;
            }
            expected *= length;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes_of(numbers: &[f32]) -> Vec<u8> {
        numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
    }

    fn tensor(
        shape: &[usize],
        strides: &[usize],
        stored: usize,
        first: usize,
    ) -> Result<StoredTensor, Fault> {
        StoredTensor::new(
            "t",
            ElementType::F32,
            shape.into(),
            strides.into(),
            0..stored * 4,
            first,
        )
    }

    fn refusal(shape: &[usize], strides: &[usize], stored: usize, first: usize) -> String {
        match tensor(shape, strides, stored, first).unwrap_err() {
            Fault::Malformed(reason) => reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_transposed_tensor_is_read_in_row_major_order() {
        let file = bytes_of(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        let transposed = tensor(&[3, 2], &[1, 3], 6, 0).unwrap();
        assert_eq!(transposed.to_f32(&file).unwrap(), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
    }

    #[test]
    fn a_slice_of_a_storage_is_read_from_where_it_begins() {
        let file = bytes_of(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(
            tensor(&[2], &[2], 6, 1).unwrap().to_f32(&file).unwrap(),
            [1.0, 3.0]
        );
        assert_eq!(tensor(&[], &[], 6, 5).unwrap().to_f32(&file).unwrap(), [5.0]);
        assert_eq!(
            tensor(&[1, 2, 1], &[usize::MAX, 1, 7], 6, 4)
                .unwrap()
                .to_f32(&file)
                .unwrap(),
            [4.0, 5.0]
        );
    }

    #[test]
    fn an_axis_of_length_one_may_have_any_stride() {
        let file = bytes_of(&[0.0, 1.0, 2.0, 3.0]);
        let tensor = tensor(&[2, 1, 2], &[1, usize::MAX, 2], 4, 0).unwrap();
        assert_eq!(tensor.to_f32(&file).unwrap(), [0.0, 2.0, 1.0, 3.0]);
    }

    #[test]
    fn a_tensor_without_elements_is_empty_wherever_it_points() {
        assert!(
            tensor(&[0, 3], &[3, 1], 0, 99)
                .unwrap()
                .to_f32(&[])
                .unwrap()
                .is_empty()
        );
    }

    #[test]
    fn no_element_may_lie_outside_its_storage() {
        assert_eq!(
            refusal(&[2, 3], &[3, 1], 6, 1),
            "tensor \"t\" of shape [2, 3] and strides [3, 1] from element 1 on leaves its storage of 6 elements"
        );
        assert_eq!(
            refusal(&[7], &[1], 6, 0),
            "tensor \"t\" of shape [7] has 7 elements, but its storage holds 6"
        );
        assert!(refusal(&[2], &[usize::MAX], 6, 5).contains("leaves its storage"));
        assert!(refusal(&[1], &[1], 6, usize::MAX).contains("leaves its storage"));
        assert!(refusal(&[usize::MAX, 3], &[1, 1], 6, 0).contains("more elements than can be counted"));
        assert!(refusal(&[1 << 40], &[0], 6, 0).contains("its storage holds 6"));
        assert!(refusal(&[1; 17], &[1; 17], 6, 0).contains("has 17 axes"));
        assert!(refusal(&[1, 1], &[1], 6, 0).contains("has 1 strides"));
    }
}
