// SPDX-License-Identifier: MIT OR Apache-2.0

//! The values a state dict's pickle can build. Text is borrowed from the file, containers live in one arena, so
//! that a value is a small copy and a shared object stays one object however often it is named.

use super::super::tensor::ElementType;

/// Place of a container in [`Pickle::objects`].
pub(super) type ObjectId = usize;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    None,
    Bool(bool),
    Int(i64),
    /// A learning rate, a seed of more than 8 bytes or the like, in a checkpoint; its value is of no interest.
    Unused,
    Text(&'a str),
    Callable(Callable),
    Object(ObjectId),
}

/// The only names of Python that may occur, as classes or as functions. None of them is ever called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Callable {
    OrderedDict,
    RebuildTensor,
    RebuildTensorV2,
    RebuildParameter,
    Parameter,
    Storage(ElementType),
    /// Something that training scripts put beside the weights: a number of NumPy's, their arguments. Nothing is called;
    /// what it would make is kept as [`Object::Unused`].
    Unused,
}

#[derive(Debug)]
pub(super) enum Object<'a> {
    Tuple(Vec<Value<'a>>),
    List(Vec<Value<'a>>),
    /// In the order of writing; of equal keys the last counts.
    Dict(Vec<(Value<'a>, Value<'a>)>),
    // Boxed: a hostile pickle can make many containers of a byte each, which should stay small.
    Storage(Box<StorageRef<'a>>),
    Tensor(Box<TensorRef<'a>>),
    /// A `Parameter` of 2017, made empty and given its tensor afterwards.
    EmptyParameter,
    /// What [`Callable::Unused`] would make.
    Unused,
}

/// A run of numbers kept outside the pickle.
#[derive(Clone, Copy, Debug)]
pub(super) struct StorageRef<'a> {
    pub(super) key: &'a str,
    pub(super) element_type: ElementType,
    /// Elements of the storage that `key` names.
    pub(super) count: u64,
    /// First element and number of elements of the part that is meant; all of it unless a stream says otherwise.
    pub(super) view: (u64, u64),
}

/// A tensor laid over a storage; lengths, strides and `first` in elements, not yet checked against the storage.
#[derive(Clone, Debug)]
pub(super) struct TensorRef<'a> {
    pub(super) storage: StorageRef<'a>,
    pub(super) first: u64,
    pub(super) shape: Vec<usize>,
    pub(super) strides: Vec<usize>,
}

/// A pickle's result.
#[derive(Debug)]
pub(super) struct Pickle<'a> {
    pub(super) root: Value<'a>,
    pub(super) objects: Vec<Object<'a>>,
    /// Bytes of the pickle, up to and including its STOP.
    pub(super) length: usize,
}

impl<'a> Pickle<'a> {
    pub(super) fn dict(&self, value: Value<'a>) -> Option<&[(Value<'a>, Value<'a>)]> {
        match value {
            Value::Object(id) => match &self.objects[id] {
                Object::Dict(items) => Some(items),
                _ => None,
            },
            _ => None,
        }
    }

    pub(super) fn list(&self, value: Value<'a>) -> Option<&[Value<'a>]> {
        match value {
            Value::Object(id) => match &self.objects[id] {
                Object::List(items) => Some(items),
                _ => None,
            },
            _ => None,
        }
    }

    pub(super) fn tensor(&self, value: Value<'a>) -> Option<&TensorRef<'a>> {
        match value {
            Value::Object(id) => match &self.objects[id] {
                Object::Tensor(tensor) => Some(tensor),
                _ => None,
            },
            _ => None,
        }
    }
}
