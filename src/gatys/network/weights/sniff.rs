// SPDX-License-Identifier: MIT OR Apache-2.0

//! What kind of file this is, told by its first bytes; names and extensions are not looked at.

use super::error::{Fault, printable};
use super::{safetensors, torch};

/// The formats that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Safetensors,
    TorchZip,
    TorchStream,
}

/// Decides the format of `file`, or says what the file is instead.
pub(super) fn format_of(file: &[u8]) -> Result<Format, Fault> {
    if torch::legacy::begins(file) {
        return Ok(Format::TorchStream);
    }
    if file.starts_with(b"PK\x03\x04") {
        return Ok(Format::TorchZip);
    }
    if safetensors::begins(file) {
        return Ok(Format::Safetensors);
    }
    Err(Fault::Unrecognised(what_it_is(file)))
}

fn what_it_is(file: &[u8]) -> String {
    let is_tar = file.get(257..262).is_some_and(|mark| mark == b"ustar");
    let text = leading_text(file);
    match file {
        [] => "it is empty".into(),
        _ if text.starts_with("version https://git-lfs") => {
            "it is a Git LFS pointer, not the file itself; fetch the content with `git lfs pull` or from the page's \
             download link"
                .into()
        }
        _ if text.starts_with('<') => {
            "it is a web page, probably an error or login page that was saved in place of the download; fetch the \
             file again"
                .into()
        }
        _ if is_tar => {
            "it is a tar archive, as PyTorch wrote until the end of 2016; load it with PyTorch and save its state \
             dict again"
                .into()
        }
        [0x80, protocol @ 0..=5, ..] => format!(
            "it is a Python pickle of protocol {protocol}, but not one that torch.save began; load it in Python and \
             write it with torch.save(state_dict, …) or as safetensors"
        ),
        [0x89, b'H', b'D', b'F', ..] => {
            "it is an HDF5 file (Keras?); convert its tensors to safetensors".into()
        }
        _ if file.len() < 10 => format!("it is only {} bytes long, {}", file.len(), first_bytes(file)),
        _ => format!("it begins with {}", first_bytes(file)),
    }
}

/// The first line or so as lower-case text without leading space or byte-order mark; empty if it is no text.
fn leading_text(file: &[u8]) -> String {
    let head = &file[..file.len().min(64)];
    let head = head
        .strip_prefix(b"\xef\xbb\xbf")
        .unwrap_or(head)
        .trim_ascii_start();
    if head.is_ascii() {
        String::from_utf8_lossy(head).to_ascii_lowercase()
    } else {
        String::new()
    }
}

fn first_bytes(file: &[u8]) -> String {
    let head = &file[..file.len().min(16)];
    if head.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ') {
        return format!("the text \"{}\"", printable(&String::from_utf8_lossy(head)));
    }
    let hex: Vec<String> = head.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("the bytes {}", hex.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(file: &[u8]) -> String {
        match format_of(file).unwrap_err() {
            Fault::Unrecognised(reason) => reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_download_that_went_wrong_is_named() {
        assert!(verdict(b"version https://git-lfs.github.com/spec/v1\noid sha256:").contains("git lfs pull"));
        assert!(verdict(b"\n<!DOCTYPE html><html>").contains("web page"));
        assert!(verdict(b"\xef\xbb\xbf<html>").contains("web page"));
        assert_eq!(verdict(b""), "it is empty");
    }

    #[test]
    fn other_formats_are_named_by_their_marks() {
        let mut tar = vec![0_u8; 512];
        tar[257..262].copy_from_slice(b"ustar");
        assert!(verdict(&tar).contains("until the end of 2016"));
        assert!(verdict(b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00").contains("pickle of protocol 4"));
        assert!(verdict(b"\x89HDF\r\n\x1a\n\x00\x00").contains("HDF5"));
        assert_eq!(
            verdict(b"Rembrandt van Rijn"),
            "it begins with the text \"Rembrandt van Ri\""
        );
        assert_eq!(
            verdict(b"\xff\xd8\xff\xe0\x00\x10JFIF\x00"),
            "it begins with the bytes ff d8 ff e0 00 10 4a 46 49 46 00"
        );
        assert_eq!(verdict(b"PK\x03"), "it is only 3 bytes long, the bytes 50 4b 03");
    }
}
