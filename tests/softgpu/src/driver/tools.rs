// SPDX-License-Identifier: MIT OR Apache-2.0

//! For tools that change kernels and see who notices: other text for modules, and who was launched.

use std::borrow::Cow;
use std::fs::File;
use std::io::Write;
use std::path::Path;

/// What is loaded for a module: FOLDER/NAME.sm_NN.ptx where there is such a file and the first file that `text` names is
/// NAME.cu and its target sm_NN, or else the text itself.
pub fn replaced<'a>(text: &'a str, folder: Option<&Path>) -> Cow<'a, str> {
    let other = || {
        let target = text
            .lines()
            .find_map(|line| line.trim().strip_prefix(".target "))?;
        let file = text.lines().find(|line| line.trim_start().starts_with(".file"))?;
        let name = file.trim_end().strip_suffix(".cu\"")?.rsplit(['"', '/']).next()?;
        let target = target.split(',').next()?.trim();
        std::fs::read_to_string(folder?.join(format!("{name}.{target}.ptx"))).ok()
    };
    other().map_or(Cow::Borrowed(text), Cow::Owned)
}

/// Adds the name of a kernel that runs to the file at `path`. Several processes may write to the same file.
pub fn note_launch(path: Option<&Path>, kernel: &str) {
    let Some(path) = path else { return };
    let written = File::options()
        .append(true)
        .create(true)
        .open(path)
        .and_then(|mut file| file.write_all(format!("{kernel}\n").as_bytes()));
    if let Err(error) = written {
        eprintln!("softgpu: {}: {error}", path.display());
    }
}
