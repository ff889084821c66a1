// SPDX-License-Identifier: MIT OR Apache-2.0

//! The stream that `torch.save` wrote until version 1.5, in which torchvision's VGG files are kept to this day.
//!
//! Five pickles follow each other: a magic number, the protocol's number, facts about the machine, the object, and
//! the keys of the storages. Then for each key a u64 count of elements and the elements, little-endian.
//!
//! Source: `_legacy_save` in PyTorch's `torch/serialization.py`.

use std::collections::BTreeMap;
use std::ops::Range;

use super::super::error::{Fault, printable};
use super::super::tensor::StoredTensor;
use super::machine;
use super::state_dict;
use super::value::{Object, Pickle, StorageRef, Value};

/// The pickled integer 0x1950a86a20f9469cfc6c.
const MAGIC: [u8; 15] = [
    0x80, 0x02, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, 0x2e,
];

const PROTOCOL: i64 = 1001;

/// Whether `file` begins, as far as it goes, with the magic number.
pub(in super::super) fn begins(file: &[u8]) -> bool {
    file.len() >= 4 && (file.starts_with(&MAGIC) || MAGIC.starts_with(file))
}

/// The tensors of the state dict in the stream `file`. What follows the last storage is left alone, since more
/// than one object may be saved into a stream.
pub(in super::super) fn index(file: &[u8]) -> Result<BTreeMap<String, StoredTensor>, Fault> {
    let mut stream = Stream {
        file,
        at: MAGIC.len(),
    };
    if file.len() < stream.at {
        return Err(stream.truncated("the magic number", stream.at as u64));
    }
    let protocol = stream.pickle("the protocol number")?.root;
    if protocol != Value::Int(PROTOCOL) {
        return Err(Fault::Unsupported(format!(
            "its protocol is {protocol:?}; only {PROTOCOL} is read"
        )));
    }
    let machine = stream.pickle("the machine's description")?;
    if !is_little_endian(&machine)? {
        return Err(Fault::Unsupported(
            "its numbers are in big-endian order; save it again on a little-endian machine".into(),
        ));
    }
    let object = stream.pickle("the pickled object")?;
    let keys = stream.pickle("the list of storage keys")?;
    let places = stream.storages(&object, &keys)?;
    state_dict::tensors(&object, |storage| match places.get(storage.key) {
        Some(place) => state_dict::extent(storage, place.clone()),
        None => Err(Fault::Malformed(format!(
            "storage \"{}\" is not in it",
            printable(storage.key)
        ))),
    })
}

fn is_little_endian(machine: &Pickle) -> Result<bool, Fault> {
    let facts = machine.dict(machine.root).unwrap_or_default();
    match facts.iter().find(|(key, _)| *key == Value::Text("little_endian")) {
        Some((_, Value::Bool(is_little))) => Ok(*is_little),
        _ => Err(Fault::Malformed(
            "its description of the machine does not tell the byte order".into(),
        )),
    }
}

struct Stream<'a> {
    file: &'a [u8],
    at: usize,
}

impl<'a> Stream<'a> {
    fn pickle(&mut self, part: &'static str) -> Result<Pickle<'a>, Fault> {
        let pickle = machine::run(&self.file[self.at..], part).map_err(|fault| match fault {
            // The machine counts from the pickle's beginning; a cut is told in bytes of the file.
            Fault::Truncated { expected, .. } => {
                self.truncated(part, (self.at as u64).saturating_add(expected))
            }
            other => other,
        })?;
        self.at += pickle.length;
        Ok(pickle)
    }

    /// Where the elements of each storage lie.
    fn storages(
        &mut self,
        object: &Pickle<'a>,
        keys: &Pickle<'a>,
    ) -> Result<BTreeMap<&'a str, Range<usize>>, Fault> {
        let mut described: BTreeMap<&str, &StorageRef> = BTreeMap::new();
        for object in &object.objects {
            if let Object::Storage(storage) = object {
                described.insert(storage.key, storage);
            }
        }
        let keys = keys.list(keys.root);
        let keys = keys.ok_or_else(|| Fault::Malformed("its storage keys are not a list".into()))?;
        let mut places = BTreeMap::new();
        for key in keys {
            let Value::Text(key) = *key else {
                return Err(Fault::Malformed("a storage key is not a text".into()));
            };
            let storage = described.get(key).ok_or_else(|| {
                Fault::Malformed(format!("storage \"{}\" belongs to no tensor", printable(key)))
            })?;
            if places.insert(key, self.storage(storage)?).is_some() {
                return Err(Fault::Malformed(format!(
                    "storage \"{}\" is there twice",
                    printable(key)
                )));
            }
        }
        Ok(places)
    }

    fn storage(&mut self, storage: &StorageRef) -> Result<Range<usize>, Fault> {
        let part = format!("storage \"{}\"", printable(storage.key));
        let rest = &self.file[self.at..];
        let Some(count) = rest.first_chunk::<8>() else {
            return Err(self.truncated(&part, self.at as u64 + 8));
        };
        let count = u64::from_le_bytes(*count);
        if count != storage.count {
            let described = storage.count;
            return Err(Fault::Malformed(format!(
                "{part} counts {count} elements, but is described as {described}"
            )));
        }
        let start = self.at + 8;
        let end = count
            .saturating_mul(storage.element_type.bytes() as u64)
            .saturating_add(start as u64);
        match usize::try_from(end) {
            Ok(end) if end <= self.file.len() => {
                self.at = end;
                Ok(start..end)
            }
            _ => Err(self.truncated(&part, end)),
        }
    }

    fn truncated(&self, part: &str, expected: u64) -> Fault {
        Fault::Truncated {
            part: part.into(),
            expected,
            found: self.file.len() as u64,
        }
    }
}
