// SPDX-License-Identifier: MIT OR Apache-2.0

//! From a pickle's result to tensors by name: which dictionary is meant, and where its storages lie.

use std::collections::BTreeMap;
use std::ops::Range;

use super::super::error::{Fault, printable};
use super::super::tensor::StoredTensor;
use super::value::{Object, ObjectId, Pickle, StorageRef, Value};

/// Checkpoints keep the weights one or two levels down, beside the optimiser's state and the like.
const MAX_DEPTH: usize = 3;

/// What training scripts call the dictionary of weights; the first that is there is taken.
const USUAL_NAMES: [&str; 5] = ["state_dict", "model_state_dict", "model", "net", "params"];

type Items<'p, 'a> = &'p [(Value<'a>, Value<'a>)];

/// The tensors of the state dict in `pickle`. `locate` tells the bytes of the file that hold the `count` elements
/// of a storage.
///
/// A state dict is a dictionary that has tensors in it, and its names are taken as they are. Checkpoints have some more of
/// those: an accuracy beside the weights, the state of the optimiser. What is meant is the outermost dictionary with the
/// kernels of a convolution, or if none has any, the outermost one. Of several beside each other the one with a usual name
/// is meant; else it is for the user to say.
pub(super) fn tensors(
    pickle: &Pickle,
    locate: impl Fn(&StorageRef) -> Result<Range<usize>, Fault>,
) -> Result<BTreeMap<String, StoredTensor>, Fault> {
    let mut tensors = BTreeMap::new();
    for (key, value) in find(pickle)? {
        let (Value::Text(name), Some(tensor)) = (*key, pickle.tensor(*value)) else {
            continue;
        };
        let storage = &tensor.storage;
        let all = locate(storage)?;
        // The view was checked against the storage's count when it was read, the count by `locate`: no overflow.
        let bytes = storage.element_type.bytes();
        let (skipped, count) = (storage.view.0 as usize, storage.view.1 as usize);
        let start = all.start + skipped * bytes;
        let placed = StoredTensor::new(
            &printable(name),
            storage.element_type,
            tensor.shape.clone(),
            tensor.strides.clone(),
            start..start + count * bytes,
            usize::try_from(tensor.first).unwrap_or(usize::MAX),
        )?;
        tensors.insert(name.to_owned(), placed);
    }
    Ok(tensors)
}

/// The range of `count` elements at the beginning of `available`, the bytes that a container has for a storage.
pub(super) fn extent(storage: &StorageRef, available: Range<usize>) -> Result<Range<usize>, Fault> {
    let needed = usize::try_from(storage.count)
        .ok()
        .and_then(|n| n.checked_mul(storage.element_type.bytes()));
    match needed {
        Some(needed) if needed <= available.len() => Ok(available.start..available.start + needed),
        _ => Err(Fault::Malformed(format!(
            "storage \"{}\" has {} bytes, too few for {} numbers of type {}",
            printable(storage.key),
            available.len(),
            storage.count,
            storage.element_type.name()
        ))),
    }
}

fn find<'p, 'a>(pickle: &'p Pickle<'a>) -> Result<Items<'p, 'a>, Fault> {
    if pickle.tensor(pickle.root).is_some() {
        return Err(Fault::Unsupported(
            "it holds a single tensor instead of a state dict".into(),
        ));
    }
    let mut search = Search {
        pickle,
        seen: vec![false; pickle.objects.len()],
        found: Vec::new(),
    };
    search.descend("", pickle.root, 0);
    let with_kernels: Vec<&Found> = search.found.iter().filter(|found| found.has_kernels).collect();
    let mut candidates = match with_kernels.as_slice() {
        [] => search.found.iter().collect(),
        _ => with_kernels,
    };
    let outermost = candidates.iter().map(|found| found.depth).min();
    candidates.retain(|found| Some(found.depth) == outermost);
    let usual = USUAL_NAMES
        .iter()
        .find_map(|usual| candidates.iter().find(|found| found.name == *usual));
    match (candidates.as_slice(), usual) {
        ([], _) => Err(Fault::Unsupported(
            "it holds no dictionary of tensors, so no state dict".into(),
        )),
        ([only], _) => Ok(only.items),
        (_, Some(usual)) => Ok(usual.items),
        (several, None) => {
            let names: Vec<String> = several
                .iter()
                .take(4)
                .map(|found| printable(found.name))
                .collect();
            Err(Fault::Unsupported(format!(
                "it holds {} state dicts ({}, …); save the one that is meant by itself",
                several.len(),
                names.join(", ")
            )))
        }
    }
}

/// A dictionary with tensors in it.
struct Found<'p, 'a> {
    /// Its key in the dictionary around it.
    name: &'a str,
    items: Items<'p, 'a>,
    /// How many dictionaries are around it.
    depth: usize,
    /// Whether a tensor of four axes is in it, as the kernels of a convolution are.
    has_kernels: bool,
}

struct Search<'p, 'a> {
    pickle: &'p Pickle<'a>,
    /// A dictionary is looked at once, however often a file names it: the work is bounded and cycles end.
    seen: Vec<bool>,
    found: Vec<Found<'p, 'a>>,
}

impl<'p, 'a> Search<'p, 'a> {
    fn descend(&mut self, name: &'a str, value: Value<'a>, depth: usize) {
        let Some((id, items)) = dict(self.pickle, value) else {
            return;
        };
        if std::mem::replace(&mut self.seen[id], true) {
            return;
        }
        let tensors = || {
            items
                .iter()
                .filter(|(key, _)| matches!(key, Value::Text(_)))
                .filter_map(|(_, value)| self.pickle.tensor(*value))
        };
        if tensors().next().is_some() {
            let has_kernels = tensors().any(|tensor| tensor.shape.len() == 4);
            self.found.push(Found {
                name,
                items,
                depth,
                has_kernels,
            });
        }
        if depth < MAX_DEPTH {
            for (key, value) in items {
                if let Value::Text(name) = key {
                    self.descend(name, *value, depth + 1);
                }
            }
        }
    }
}

fn dict<'p, 'a>(pickle: &'p Pickle<'a>, value: Value<'a>) -> Option<(ObjectId, Items<'p, 'a>)> {
    match value {
        Value::Object(id) => match &pickle.objects[id] {
            Object::Dict(items) => Some((id, items)),
            _ => None,
        },
        _ => None,
    }
}
