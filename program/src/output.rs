// SPDX-License-Identifier: MIT OR Apache-2.0

//! Files that appear under their name only when they are whole.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use image::ImageFormat;
use tempfile::NamedTempFile;

use crate::failure::Failure;

/// A file to be. Its contents go into a hidden file beside it, so that a failure leaves what was there before, and a
/// place where nothing can be written is found out before hours of work.
pub struct Output {
    path: PathBuf,
    neighbour: NamedTempFile,
}

impl Output {
    /// Makes sure that `path` can be written.
    pub fn prepare(path: &Path) -> Result<Self, Failure> {
        let cannot =
            |reason: String| -> Failure { format!("cannot write {}: {reason}", path.display()).into() };
        match fs::metadata(path) {
            Ok(found) if found.is_dir() => return Err(cannot("it is a directory".into())),
            Ok(found) if !found.is_file() => return Err(cannot("it is not a regular file".into())),
            Ok(found) if found.permissions().readonly() => {
                return Err(cannot("it is write-protected".into()));
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(cannot(error.to_string())),
        }
        // A link stays a link, to the new file.
        let path = &followed(path);
        let folder = folder_of(path);
        if !folder.is_dir() {
            return Err(cannot(format!("there is no directory {}", folder.display())));
        }
        let mut builder = tempfile::Builder::new();
        builder.prefix(".neuralstyle-");
        // A temporary file is private; this one becomes an ordinary file, as far as the user's mask allows.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let neighbour = builder
            .tempfile_in(folder)
            .map_err(|error| cannot(error.to_string()))?;
        // What was private stays so, and what was for everybody, too.
        if let Ok(found) = fs::metadata(path) {
            neighbour
                .as_file()
                .set_permissions(found.permissions())
                .map_err(|error| cannot(error.to_string()))?;
        }
        Ok(Self {
            path: path.to_owned(),
            neighbour,
        })
    }

    /// Where to write until the file is whole.
    pub fn path(&self) -> &Path {
        self.neighbour.path()
    }

    /// Another file beside it, which goes when it is dropped.
    pub fn scratch(&self) -> Result<NamedTempFile, Failure> {
        let mut builder = tempfile::Builder::new();
        let scratch = builder.prefix(".neuralstyle-").tempfile_in(folder_of(&self.path));
        scratch.map_err(|error| format!("cannot write beside {}: {error}", self.path.display()).into())
    }

    /// Puts the file in its place.
    pub fn finish(self) -> Result<(), Failure> {
        match self.neighbour.persist(&self.path) {
            Ok(_) => Ok(()),
            Err(failure) => Err(format!("cannot write {}: {}", self.path.display(), failure.error).into()),
        }
    }
}

/// The format of a picture by its file's name.
pub fn picture_format(path: &Path) -> Result<ImageFormat, Failure> {
    ImageFormat::from_path(path)
        .ok()
        .filter(ImageFormat::writing_enabled)
        // It holds linear light, and paintings are encoded colours.
        .filter(|format| *format != ImageFormat::Hdr)
        .ok_or_else(|| {
            let path = path.display();
            format!(
                "cannot write {path}: the name must end in .png, .jpg, .webp, .tiff or another picture format"
            )
            .into()
        })
}

/// Whether two paths lead to the same file, or would if the second were written.
pub fn same_file(one: &Path, other: &Path) -> bool {
    match (place(one), place(other)) {
        (Some(one), Some(other)) => one == other,
        _ => one == other,
    }
}

/// Where a path leads; the file itself need not exist.
fn place(path: &Path) -> Option<PathBuf> {
    if let Ok(found) = path.canonicalize() {
        return Some(found);
    }
    Some(folder_of(path).canonicalize().ok()?.join(path.file_name()?))
}

/// Where links lead, also one to a file that is not there yet.
fn followed(path: &Path) -> PathBuf {
    let mut path = path.to_owned();
    // As many as the system follows.
    for _ in 0..40 {
        let Ok(target) = fs::read_link(&path) else {
            break;
        };
        path = folder_of(&path).join(target);
    }
    path.canonicalize().unwrap_or(path)
}

/// The folder of a file, which for a bare name is the one that the program runs in.
pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}
