// SPDX-License-Identifier: MIT OR Apache-2.0

//! A file's bytes as one slice: read into memory when the file is small, mapped when it is large.
//!
//! A torchvision VGG-19 is 575 MB, of which the style losses need 80 MB: mapped, the rest is never fetched from
//! the disk. Mapping has a price (see the safety note in [`MappedFile::open`]) which is not worth paying for a
//! file that is read in milliseconds, so only files of [`MAP_FROM_BYTES`] and more are mapped.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Deref;
use std::path::Path;

/// Files of at least this many bytes are mapped, smaller ones are read.
pub const MAP_FROM_BYTES: u64 = 64 << 20;

/// The whole content of a regular file, [n bytes], fixed in length from the moment it was opened.
#[derive(Debug)]
pub struct MappedFile(Content);

#[derive(Debug)]
enum Content {
    Read(Vec<u8>),
    Mapped(memmap2::Mmap),
}

impl MappedFile {
    /// Opens `path` for reading.
    ///
    /// # Errors
    /// Those of the operating system, and `InvalidInput` (or `IsADirectory`) for what is not a regular file: a
    /// pipe or a device has no content that could be looked at twice, and opening a pipe may never return.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::open_mapping_from(path, MAP_FROM_BYTES)
    }

    fn open_mapping_from(path: &Path, map_from_bytes: u64) -> io::Result<Self> {
        let found = std::fs::metadata(path)?;
        if found.is_dir() {
            return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a directory"));
        }
        if !found.is_file() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "it is not a regular file",
            ));
        }
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        if length < map_from_bytes {
            let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
            // The limit holds even if the file is growing while it is read.
            file.by_ref().take(map_from_bytes).read_to_end(&mut bytes)?;
            return Ok(Self(Content::Read(bytes)));
        }
        // SAFETY: the mapping is private to this value, read-only, unmapped when it is dropped, and as long as the
        // file was when it was mapped. What no program can promise is that nobody else writes to the file
        // meanwhile. Overwritten in place, it shows other bytes under the slice; truncated, touching the lost part
        // raises SIGBUS and ends the process. Every reader that maps files lives with that; tools that replace a
        // file by renaming a new one over it (browsers, curl -o to a new name, package managers) do no harm,
        // because the mapping keeps the old file. So that the window stays short, owners of a `MappedFile` should
        // copy out what they need and drop it.
        let mapped = unsafe { memmap2::Mmap::map(&file)? };
        Ok(Self(Content::Mapped(mapped)))
    }
}

impl Deref for MappedFile {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Content::Read(bytes) => bytes,
            Content::Mapped(mapped) => mapped,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_reads_the_same_whether_mapped_or_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("some.bytes");
        std::fs::write(&path, b"starry night").unwrap();
        let read = MappedFile::open_mapping_from(&path, 1000).unwrap();
        let mapped = MappedFile::open_mapping_from(&path, 12).unwrap();
        assert!(matches!(read.0, Content::Read(_)));
        assert!(matches!(mapped.0, Content::Mapped(_)));
        assert_eq!(&*read, b"starry night");
        assert_eq!(&*mapped, b"starry night");
    }

    #[test]
    fn a_mapped_file_survives_being_replaced_by_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("some.bytes");
        std::fs::write(&path, b"the old one").unwrap();
        let mapped = MappedFile::open_mapping_from(&path, 1).unwrap();
        let newer = folder.path().join("newer");
        std::fs::write(&newer, b"new").unwrap();
        if std::fs::rename(&newer, &path).is_ok() {
            assert_eq!(&*mapped, b"the old one");
        }
    }

    #[test]
    fn an_empty_file_has_no_bytes() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(MappedFile::open(file.path()).unwrap().is_empty());
    }

    #[test]
    fn what_is_not_a_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(
            MappedFile::open(folder.path()).unwrap_err().kind(),
            io::ErrorKind::IsADirectory
        );
        let missing = MappedFile::open(&folder.path().join("missing")).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    }

    #[cfg(unix)]
    #[test]
    fn a_device_is_refused_rather_than_read_for_ever() {
        let error = MappedFile::open(Path::new("/dev/zero")).unwrap_err();
        assert_eq!(error.to_string(), "it is not a regular file");
    }
}
