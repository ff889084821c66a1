// SPDX-License-Identifier: MIT OR Apache-2.0

//! The safetensors format: a u64 length, that many bytes of JSON, then the tensors' numbers without a gap.
//!
//! Source: <https://github.com/huggingface/safetensors#format>. The crate of that project checks the header; the
//! lengths are checked here, because only so can a message tell how much of a file is missing.

use std::collections::BTreeMap;

use safetensors::Dtype;
use safetensors::tensor::Metadata;

use super::error::{Fault, printable};
use super::tensor::{ElementType, StoredTensor};

const LENGTH_BYTES: usize = 8;

/// The bound which the format itself sets.
const MAX_HEADER_BYTES: u64 = 100_000_000;

/// Whether `file` begins as a safetensors file does: a believable header length and an opening brace.
pub(super) fn begins(file: &[u8]) -> bool {
    header_length(file).is_some_and(|length| length <= MAX_HEADER_BYTES)
        && file.get(LENGTH_BYTES) == Some(&b'{')
}

fn header_length(file: &[u8]) -> Option<u64> {
    file.first_chunk::<LENGTH_BYTES>()
        .map(|bytes| u64::from_le_bytes(*bytes))
}

/// What a safetensors file contains: its free-form metadata, and its tensors by name.
pub(super) type Index = (BTreeMap<String, String>, BTreeMap<String, StoredTensor>);

/// Reads the header and checks it against the length of the file.
pub(super) fn index(file: &[u8]) -> Result<Index, Fault> {
    let found = file.len() as u64;
    let truncated = |part: &str, expected: u64| Fault::Truncated {
        part: part.into(),
        expected,
        found,
    };
    let header_end = LENGTH_BYTES as u64 + header_length(file).unwrap_or(0).min(MAX_HEADER_BYTES);
    let header = usize::try_from(header_end)
        .ok()
        .and_then(|end| file.get(LENGTH_BYTES..end));
    let header = header.ok_or_else(|| truncated("the header", header_end))?;
    let header: Metadata = serde_json::from_slice(header).map_err(|error| {
        Fault::Malformed(format!(
            "its safetensors header is wrong ({})",
            printable(&error.to_string())
        ))
    })?;

    let expected = header_end.checked_add(header.data_len() as u64);
    match expected {
        Some(expected) if expected == found => {}
        Some(expected) if expected < found => {
            let surplus = found - expected;
            return Err(Fault::Malformed(format!(
                "{surplus} bytes follow the last of its tensors"
            )));
        }
        _ => return Err(truncated("the last of its tensors", expected.unwrap_or(u64::MAX))),
    }

    let mut tensors = BTreeMap::new();
    for (name, info) in header.tensors() {
        // The offsets are at most `data_len`, so that these sums are at most the length of the file.
        let data = header_end as usize + info.data_offsets.0..header_end as usize + info.data_offsets.1;
        let tensor = StoredTensor::contiguous(
            &printable(&name),
            element_type(info.dtype),
            info.shape.clone(),
            data,
        )?;
        tensors.insert(name, tensor);
    }
    let metadata = header.metadata().clone().unwrap_or_default();
    Ok((metadata.into_iter().collect(), tensors))
}

fn element_type(dtype: Dtype) -> ElementType {
    let name = match dtype {
        Dtype::F16 => return ElementType::F16,
        Dtype::BF16 => return ElementType::Bf16,
        Dtype::F32 => return ElementType::F32,
        Dtype::F64 => return ElementType::F64,
        Dtype::BOOL => "BOOL",
        Dtype::I8 => "I8",
        Dtype::U8 => "U8",
        Dtype::I16 => "I16",
        Dtype::U16 => "U16",
        Dtype::I32 => "I32",
        Dtype::U32 => "U32",
        Dtype::I64 => "I64",
        Dtype::U64 => "U64",
        _ => "4, 6 or 8 bit float",
    };
    // Numbers of less than a byte are only listed; the crate has checked their extent.
    let bytes = if dtype.bitsize() < 8 {
        0
    } else {
        dtype.bitsize() / 8
    };
    ElementType::Other { name, bytes }
}
