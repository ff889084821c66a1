// SPDX-License-Identifier: MIT OR Apache-2.0

//! The Python callables of a state dict, as the data they stand for. Reasons complete "the instruction at …".
//!
//! Source: the signatures in PyTorch's `torch/_utils.py`, `torch/_tensor.py` and `torch/serialization.py`, and for
//! the files of 2017 `torch/autograd/variable.py` of version 0.2.

use super::super::error::printable;
use super::super::tensor::{ElementType, MAX_RANK};
use super::value::{Callable, Object, StorageRef, TensorRef, Value};

/// What a call yields: a new object, or a value that was there before.
pub(super) enum Made<'a> {
    New(Object<'a>),
    Same(Value<'a>),
}

/// The callable of that name, if it is one of the few that a state dict needs.
pub(super) fn callable(module: &str, name: &str) -> Option<Callable> {
    match (module, name) {
        ("collections", "OrderedDict") => Some(Callable::OrderedDict),
        ("torch._utils", "_rebuild_tensor") => Some(Callable::RebuildTensor),
        ("torch._utils", "_rebuild_tensor_v2") => Some(Callable::RebuildTensorV2),
        ("torch._utils", "_rebuild_parameter") => Some(Callable::RebuildParameter),
        ("torch.nn.parameter", "Parameter") => Some(Callable::Parameter),
        ("numpy.core.multiarray" | "numpy._core.multiarray", "scalar")
        | ("numpy", "dtype")
        | ("_codecs", "encode")
        | ("argparse", "Namespace")
        | ("torch", "Size" | "device") => Some(Callable::Unused),
        ("torch" | "torch.cuda", _) => storage_class(name).map(Callable::Storage),
        _ => None,
    }
}

fn storage_class(name: &str) -> Option<ElementType> {
    let other = |name, bytes| Some(ElementType::Other { name, bytes });
    match name {
        "HalfStorage" => Some(ElementType::F16),
        "BFloat16Storage" => Some(ElementType::Bf16),
        "FloatStorage" => Some(ElementType::F32),
        "DoubleStorage" => Some(ElementType::F64),
        "LongStorage" => other("64 bit integer", 8),
        "IntStorage" => other("32 bit integer", 4),
        "ShortStorage" => other("16 bit integer", 2),
        "CharStorage" => other("8 bit integer", 1),
        "ByteStorage" => other("unsigned 8 bit integer", 1),
        "BoolStorage" => other("boolean", 1),
        _ => None,
    }
}

/// The storage that a persistent id names: ("storage", class, key, location, count), where a stream adds
/// `None` or (key of the view, first, count).
pub(super) fn storage<'a>(objects: &[Object<'a>], id: &[Value<'a>]) -> Result<StorageRef<'a>, String> {
    let (class, key, count, view) = match *id {
        [Value::Text("storage"), class, key, Value::Text(_), count] => (class, key, count, Value::None),
        [Value::Text("storage"), class, key, Value::Text(_), count, view] => (class, key, count, view),
        [Value::Text(kind), ..] => {
            let hint = if kind == "module" {
                ", so the file holds a whole model; save its state_dict()"
            } else {
                ""
            };
            return Err(format!(
                "refers to a {} instead of a storage{hint}",
                printable(kind)
            ));
        }
        _ => return Err("refers to a storage in an unknown way".into()),
    };
    let (Value::Callable(Callable::Storage(element_type)), Value::Text(key), Some(count)) =
        (class, key, natural(count))
    else {
        return Err("refers to a storage in an unknown way".into());
    };
    let view = match view {
        Value::None => Some((0, count)),
        view => match *tuple(objects, view).unwrap_or_default() {
            [_, first, length] => natural(first).zip(natural(length)),
            _ => None,
        },
    };
    let view = view.filter(|(first, length)| first.checked_add(*length).is_some_and(|end| end <= count));
    let view =
        view.ok_or_else(|| format!("views a part that its storage of {count} elements does not have"))?;
    Ok(StorageRef {
        key,
        element_type,
        count,
        view,
    })
}

/// Calls `callable`, as REDUCE and NEWOBJ do.
pub(super) fn call<'a>(
    callable: Callable,
    arguments: &[Value<'a>],
    objects: &[Object<'a>],
) -> Result<Made<'a>, String> {
    let is_tensor =
        |value: &Value| matches!(value, Value::Object(id) if matches!(objects[*id], Object::Tensor(_)));
    match (callable, arguments) {
        (Callable::OrderedDict, []) => Ok(Made::New(Object::Dict(Vec::new()))),
        (Callable::OrderedDict, [items]) => ordered_dict(objects, *items).map(Made::New),
        (Callable::RebuildTensor, [storage, first, shape, strides]) => {
            tensor(objects, [*storage, *first, *shape, *strides])
        }
        (Callable::RebuildTensorV2, [storage, first, shape, strides, _grad, _hooks, more @ ..]) => {
            if !more.iter().all(|metadata| is_empty(objects, *metadata)) {
                return Err(
                    "makes a tensor with metadata (a negated or conjugated view?); save tensor.clone()"
                        .into(),
                );
            }
            tensor(objects, [*storage, *first, *shape, *strides])
        }
        (Callable::RebuildParameter, [data, _grad, _hooks]) if is_tensor(data) => Ok(Made::Same(*data)),
        (Callable::Unused, _) => Ok(Made::New(Object::Unused)),
        (Callable::Parameter, []) => Ok(Made::New(Object::EmptyParameter)),
        (Callable::Parameter, [data, ..]) if is_tensor(data) => Ok(Made::Same(*data)),
        _ => Err(format!("calls {callable:?} with arguments that it does not have")),
    }
}

/// Gives `object` its state, as BUILD does; the object that replaces it, if it changes.
pub(super) fn build<'a>(
    object: &Object<'a>,
    state: Value<'a>,
    objects: &[Object<'a>],
) -> Result<Option<Object<'a>>, String> {
    match object {
        // The attribute `_metadata`, with the versions of the layers.
        Object::Dict(_) => Ok(None),
        // (requires_grad, volatile, hooks) of a Parameter that was made with its tensor.
        Object::Tensor(_) | Object::Unused => Ok(None),
        // (tensor, grad, hooks, requires_grad, volatile), the form of early 2017.
        Object::EmptyParameter => match tuple(objects, state) {
            Some([Value::Object(data), _, _, _, _]) => match &objects[*data] {
                Object::Tensor(tensor) => Ok(Some(Object::Tensor(tensor.clone()))),
                _ => Err("gives a parameter something else than a tensor".into()),
            },
            _ => Err("gives a parameter a state of unknown form".into()),
        },
        _ => Err("gives a state to what has none".into()),
    }
}

/// Python 2 wrote an ordered dictionary as a list of [key, value].
fn ordered_dict<'a>(objects: &[Object<'a>], items: Value<'a>) -> Result<Object<'a>, String> {
    let pair = |item: &Value<'a>| match list(objects, *item).or_else(|| tuple(objects, *item)) {
        Some([key, value]) => Some((*key, *value)),
        _ => None,
    };
    let pairs: Option<Vec<_>> = list(objects, items).and_then(|items| items.iter().map(pair).collect());
    pairs
        .map(Object::Dict)
        .ok_or_else(|| "makes an OrderedDict of what are not pairs".into())
}

fn tensor<'a>(objects: &[Object<'a>], arguments: [Value<'a>; 4]) -> Result<Made<'a>, String> {
    let [storage, first, shape, strides] = arguments;
    let storage = match storage {
        Value::Object(id) => match &objects[id] {
            Object::Storage(storage) => Some(**storage),
            _ => None,
        },
        _ => None,
    };
    let storage = storage.ok_or("makes a tensor without a storage")?;
    let first = natural(first).ok_or("makes a tensor that begins at no valid element")?;
    let lengths = |value| -> Option<Vec<usize>> {
        let items = tuple(objects, value).filter(|items| items.len() <= MAX_RANK)?;
        items
            .iter()
            .map(|&item| natural(item).and_then(|n| usize::try_from(n).ok()))
            .collect()
    };
    let invalid =
        || format!("makes a tensor whose shape or strides are not at most {MAX_RANK} natural numbers");
    let shape = lengths(shape).ok_or_else(invalid)?;
    let strides = lengths(strides).ok_or_else(invalid)?;
    Ok(Made::New(Object::Tensor(Box::new(TensorRef {
        storage,
        first,
        shape,
        strides,
    }))))
}

fn natural(value: Value) -> Option<u64> {
    match value {
        Value::Int(number) => u64::try_from(number).ok(),
        _ => None,
    }
}

fn tuple<'o, 'a>(objects: &'o [Object<'a>], value: Value<'a>) -> Option<&'o [Value<'a>]> {
    match value {
        Value::Object(id) => match &objects[id] {
            Object::Tuple(items) => Some(items),
            _ => None,
        },
        _ => None,
    }
}

fn list<'o, 'a>(objects: &'o [Object<'a>], value: Value<'a>) -> Option<&'o [Value<'a>]> {
    match value {
        Value::Object(id) => match &objects[id] {
            Object::List(items) => Some(items),
            _ => None,
        },
        _ => None,
    }
}

fn is_empty(objects: &[Object], value: Value) -> bool {
    match value {
        Value::None => true,
        Value::Object(id) => matches!(&objects[id], Object::Dict(items) if items.is_empty()),
        _ => false,
    }
}
