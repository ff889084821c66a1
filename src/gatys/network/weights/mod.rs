// SPDX-License-Identifier: MIT OR Apache-2.0

//! Reading weight files: tensors by name, as `f32`, out of safetensors and PyTorch files.
//!
//! | file                     | module         | read                                                        |
//! | ------------------------ | -------------- | ----------------------------------------------------------- |
//! | safetensors              | `safetensors`  | everything in it, with its metadata                         |
//! | `torch.save` since 1.6   | `torch::zip`   | a state dict, bare or nested in a dictionary                |
//! | `torch.save` 0.1 to 1.5  | `torch::legacy`| the same                                                    |
//!
//! A file is untrusted input. Nothing in it is executed: of Python's pickle only the instructions that build a
//! dictionary of tensors are understood (`torch::machine`). Nothing in it is believed: each length, offset, shape
//! and stride is checked against the bytes that are there before anything is allocated, so that opening a file
//! takes memory in proportion to its index, and reading a tensor at most twice the bytes it has in the file.
//!
//! ```no_run
//! # use neuralstyle::gatys::weights::{WeightFile, WeightsError};
//! # fn example() -> Result<(), WeightsError> {
//! let file = WeightFile::open("vgg19-dcbb9e9d.pth".as_ref())?;
//! let kernels = file.read_f32("features.0.weight")?; // [64, 3, 3, 3], row-major
//! # Ok(())
//! # }
//! ```

mod error;
mod safetensors;
mod sniff;
mod tensor;
mod torch;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use crate::backend::mapped_file::MappedFile;

use error::Fault;
pub use error::WeightsError;
pub(in crate::gatys::network) use error::printable;
use sniff::Format;
use tensor::StoredTensor;

/// An open weight file: its bytes, and where in them each tensor lies.
///
/// A large file stays mapped as long as this lives, and is best not kept longer than the reading takes.
#[derive(Debug)]
pub struct WeightFile {
    file: String,
    bytes: Bytes,
    metadata: BTreeMap<String, String>,
    tensors: BTreeMap<String, StoredTensor>,
}

#[derive(Debug)]
enum Bytes {
    File(MappedFile),
    Static(&'static [u8]),
    Owned(Vec<u8>),
}

impl Bytes {
    fn as_slice(&self) -> &[u8] {
        match self {
            Bytes::File(file) => file,
            Bytes::Static(bytes) => bytes,
            Bytes::Owned(bytes) => bytes,
        }
    }
}

impl WeightFile {
    /// Opens a weight file of any format that is read. What decides is the content, not the file's name.
    ///
    /// # Errors
    /// [`WeightsError::NotFound`] and [`WeightsError::Read`] for the file itself, any but
    /// [`WeightsError::MissingTensor`], [`WeightsError::ElementType`] and [`WeightsError::NotFinite`] for what is
    /// in it.
    pub fn open(path: &Path) -> Result<Self, WeightsError> {
        let file = path.display().to_string();
        match MappedFile::open(path) {
            Ok(mapped) => Self::index(file, Bytes::File(mapped)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(WeightsError::NotFound { file }),
            Err(source) => Err(WeightsError::Read { file, source }),
        }
    }

    /// Takes a file that is embedded in the program, without copying it. `name` stands for the path in messages.
    /// The bytes need no alignment.
    ///
    /// # Errors
    /// As [`WeightFile::open`] for what is in the file.
    pub fn from_static(name: &str, bytes: &'static [u8]) -> Result<Self, WeightsError> {
        Self::index(name.to_owned(), Bytes::Static(bytes))
    }

    /// Takes a file that is in memory already. `name` stands for the path in messages.
    ///
    /// # Errors
    /// As [`WeightFile::open`] for what is in the file.
    pub fn from_bytes(name: &str, bytes: Vec<u8>) -> Result<Self, WeightsError> {
        Self::index(name.to_owned(), Bytes::Owned(bytes))
    }

    fn index(file: String, bytes: Bytes) -> Result<Self, WeightsError> {
        match index(bytes.as_slice()) {
            Ok((metadata, tensors)) => Ok(Self {
                file,
                bytes,
                metadata,
                tensors,
            }),
            Err(fault) => Err(fault.in_file(&file)),
        }
    }

    /// The path that was opened, or the name that was given in its stead.
    pub fn name(&self) -> &str {
        &self.file
    }

    /// The free-form texts of a safetensors file's `__metadata__`; empty for PyTorch files, which have none.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// The names of all tensors, in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// The axis lengths of a tensor, outermost first ([out, in, height, width] for a convolution's kernels), or
    /// `None` if there is no such tensor.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.tensors.get(name).map(|tensor| tensor.shape.as_slice())
    }

    /// All numbers of a tensor in row-major order, whatever the order in the file. 16 bit floats of both kinds are
    /// widened, 64 bit floats are rounded.
    ///
    /// # Errors
    /// [`WeightsError::MissingTensor`]; [`WeightsError::ElementType`] for integers;
    /// [`WeightsError::NotFinite`] for the first NaN or infinity.
    pub fn read_f32(&self, name: &str) -> Result<Vec<f32>, WeightsError> {
        let tensor = self.tensors.get(name).ok_or_else(|| self.missing(name))?;
        let numbers = tensor
            .to_f32(self.bytes.as_slice())
            .ok_or_else(|| WeightsError::ElementType {
                file: self.file.clone(),
                tensor: printable(name),
                element_type: tensor.element_type.name(),
            })?;
        match numbers.iter().position(|number| !number.is_finite()) {
            None => Ok(numbers),
            Some(index) => Err(WeightsError::NotFinite {
                file: self.file.clone(),
                tensor: printable(name),
                index,
                value: numbers[index],
            }),
        }
    }

    fn missing(&self, name: &str) -> WeightsError {
        let first: Vec<String> = self.names().take(4).map(printable).collect();
        let available = match self.tensors.len() {
            0 => "none at all".into(),
            total if total > first.len() => format!("{total} tensors: {}, …", first.join(", ")),
            _ => first.join(", "),
        };
        WeightsError::MissingTensor {
            file: self.file.clone(),
            tensor: printable(name),
            available,
        }
    }
}

fn index(bytes: &[u8]) -> Result<safetensors::Index, Fault> {
    match sniff::format_of(bytes)? {
        Format::Safetensors => safetensors::index(bytes),
        Format::TorchZip => Ok((BTreeMap::new(), torch::zip::index(bytes)?)),
        Format::TorchStream => Ok((BTreeMap::new(), torch::legacy::index(bytes)?)),
    }
}
