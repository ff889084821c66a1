// SPDX-License-Identifier: MIT OR Apache-2.0

//! The zip archive that `torch.save` writes since version 1.6: NAME/data.pkl and one NAME/data/KEY per storage.
//!
//! PyTorch stores its entries uncompressed, so a storage can be used where it lies in the file. The directory is
//! read by `rawzip`, because it works on a slice, tells where an entry's data lies, needs no other crate and has
//! no unsafe code; the more common `zip` crate wants a seekable stream and brings an index of its own.

use std::collections::BTreeMap;
use std::ops::Range;

use rawzip::{CompressionMethod, ErrorKind, ZipArchive};

use super::super::error::{Fault, printable};
use super::super::tensor::StoredTensor;
use super::{machine, state_dict};

const PICKLE: &str = "data.pkl";

/// Where an entry's bytes lie, or `None` if they are compressed or encrypted.
type Entries = BTreeMap<String, Option<Range<usize>>>;

/// The tensors of the state dict in the archive `file`.
pub(in super::super) fn index(file: &[u8]) -> Result<BTreeMap<String, StoredTensor>, Fault> {
    let entries = entries(file)?;
    let folder = folder_of_pickle(&entries)?;
    let read = |name: &str| match entries.get(name) {
        Some(Some(range)) => Ok(range.clone()),
        Some(None) => Err(Fault::Unsupported(format!(
            "its entry {} is compressed or encrypted, which torch.save never does; unpack the archive and pack it \
             with `zip -0`, or load and save it with PyTorch",
            printable(name)
        ))),
        None => Err(Fault::Malformed(format!(
            "its entry {} is missing",
            printable(name)
        ))),
    };

    let byte_order = format!("{folder}byteorder");
    if entries.contains_key(byte_order.as_str()) && &file[read(&byte_order)?] != b"little" {
        return Err(Fault::Unsupported(
            "its numbers are not in little-endian order; save it again on a little-endian machine".into(),
        ));
    }
    let pickle = machine::run(&file[read(&format!("{folder}{PICKLE}"))?], PICKLE)?;
    state_dict::tensors(&pickle, |storage| {
        let available = read(&format!("{folder}data/{}", storage.key))?;
        state_dict::extent(storage, available)
    })
}

fn entries(file: &[u8]) -> Result<Entries, Fault> {
    let wrong = |error: rawzip::Error| {
        Fault::Malformed(format!(
            "its zip directory is wrong ({})",
            printable(&error.to_string())
        ))
    };
    let archive = ZipArchive::from_slice(file).map_err(|error| match error.kind() {
        ErrorKind::MissingEndOfCentralDirectory | ErrorKind::Eof => Fault::EndMissing {
            found: file.len() as u64,
        },
        _ => wrong(error),
    })?;
    let mut entries = Entries::new();
    // Each entry takes at least 46 bytes of the directory, so that their number is bounded by the file.
    for record in archive.entries() {
        let record = record.map_err(wrong)?;
        let (start, end) = archive
            .get_entry(record.wayfinder())
            .map_err(wrong)?
            .compressed_data_range();
        let range = usize::try_from(start).ok().zip(usize::try_from(end).ok());
        let range = range
            .map(|(start, end)| start..end)
            .filter(|range| file.get(range.clone()).is_some());
        let range = range.ok_or_else(|| Fault::Malformed("an entry of its directory lies outside".into()))?;
        let is_plain = record.compression_method() == CompressionMethod::STORE
            && record.uncompressed_size_hint() == range.len() as u64
            && !record.flags().is_encrypted();
        let name = std::str::from_utf8(record.file_path().as_bytes()).map(str::to_owned);
        let name = name.map_err(|_| Fault::Malformed("the name of an entry is not UTF-8".into()))?;
        if entries.contains_key(&name) {
            return Err(Fault::Malformed(format!(
                "its entry {} is there twice",
                printable(&name)
            )));
        }
        entries.insert(name, is_plain.then_some(range));
    }
    Ok(entries)
}

/// The archive's one top folder, with its slash; it is named after the file that was saved.
fn folder_of_pickle(entries: &Entries) -> Result<&str, Fault> {
    let top = |file_name: &str| {
        entries.keys().find_map(|name| {
            let folder = name.strip_suffix(file_name)?;
            let is_top = folder
                .strip_suffix('/')
                .is_some_and(|folder| !folder.contains('/'));
            (is_top || folder.is_empty()).then_some(folder)
        })
    };
    if top("constants.pkl").is_some() {
        return Err(Fault::Unsupported(
            "it is a TorchScript program; load it with torch.jit.load and write torch.save(model.state_dict(), …)"
                .into(),
        ));
    }
    top(PICKLE).ok_or_else(|| {
        Fault::Unrecognised(
            "it is a zip archive, but without the data.pkl that torch.save puts into one".into(),
        )
    })
}
