// SPDX-License-Identifier: MIT OR Apache-2.0

//! A file as decoders read it, which notes what they look for beyond its end.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::rc::Rc;

/// Whether something was looked for beyond the end of the file. Stays with whoever opened it; decoders keep the file.
#[derive(Clone, Debug, Default)]
pub(super) struct EndReached(Rc<Cell<bool>>);

impl EndReached {
    pub(super) fn get(&self) -> bool {
        self.0.get()
    }
}

/// An open file.
#[derive(Debug)]
pub(super) struct Source {
    file: File,
    /// The byte to be read next.
    at: u64,
    end: EndReached,
    /// A place whose bytes are read as others.
    patch: Option<(u64, [u8; 2])>,
}

impl Source {
    pub(super) fn open(path: &Path) -> io::Result<(BufReader<Self>, EndReached)> {
        Self::open_patched(path, None)
    }

    /// The file as if the two bytes at a place were others.
    pub(super) fn open_patched(
        path: &Path,
        patch: Option<(u64, [u8; 2])>,
    ) -> io::Result<(BufReader<Self>, EndReached)> {
        let end = EndReached::default();
        let source = Self {
            file: File::open(path)?,
            at: 0,
            end: end.clone(),
            patch,
        };
        Ok((BufReader::new(source), end))
    }
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        if read == 0 && !buffer.is_empty() {
            self.end.0.set(true);
        }
        if let Some((place, bytes)) = self.patch {
            for (at, byte) in (place..).zip(bytes) {
                let inside = at.checked_sub(self.at).and_then(|at| usize::try_from(at).ok());
                if let Some(patched) = inside.and_then(|at| buffer[..read].get_mut(at)) {
                    *patched = byte;
                }
            }
        }
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for Source {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.at = self.file.seek(to)?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_bytes_are_read_as_others_however_the_reads_are_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, [0, 1, 2, 3, 4, 5]).unwrap();
        for step in 1..=6 {
            let (mut source, end) = Source::open_patched(&path, Some((2, [20, 30]))).unwrap();
            let source = source.get_mut();
            let mut read = Vec::<u8>::new();
            for _ in 0..6_usize.div_ceil(step) {
                let mut buffer = vec![0; step];
                let count = source.read(&mut buffer).unwrap();
                read.extend(&buffer[..count]);
            }
            assert_eq!(read, [0, 1, 20, 30, 4, 5]);
            assert!(!end.get());
            assert_eq!(source.read(&mut [0]).unwrap(), 0);
            assert!(end.get());
        }
    }
}
