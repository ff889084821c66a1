// SPDX-License-Identifier: MIT OR Apache-2.0

//! The documents hold together: what they link to and the paths that they name are there, and the first of them is short.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All Markdown files below a folder that belong to the project.
fn documents(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if name != "target" && name != "out" && !name.starts_with('.') {
                documents(&path, found);
            }
        } else if name.ends_with(".md") {
            found.push(path);
        }
    }
}

/// Where the links of a document lead, but for those to other sites.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let targets = text.split("](").skip(1);
    let targets = targets.filter_map(|rest| rest.split_once(')').map(|(target, _)| target));
    targets.filter(|target| !target.contains("://"))
}

/// Folders of the project whose files documents name.
const FOLDERS: [&str; 11] = [
    "src/",
    "tests/",
    "docs/",
    "kernels/",
    "element/",
    "program/",
    "pipelines/",
    "benches/",
    "models/",
    "media/",
    "examples/",
];

/// The paths in backticks, alone or as the first word of a command, but for patterns such as `src/*.rs`.
fn paths(text: &str) -> impl Iterator<Item = &str> {
    let quoted = text.split('`').skip(1).step_by(2);
    let first_words = quoted.filter_map(|quoted| quoted.split_whitespace().next());
    first_words.filter(|word| {
        let placeholder = word.contains(['*', '<', '{', '$', '…']) || word.contains("...");
        FOLDERS.iter().any(|folder| word.starts_with(folder)) && !placeholder
    })
}

/// The name by which a heading can be linked to, as GitHub makes it.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().chars().filter_map(|character| match character {
        ' ' => Some('-'),
        '-' | '_' => Some(character),
        _ => character.is_alphanumeric().then_some(character),
    });
    kept.flat_map(char::to_lowercase).collect()
}

#[test]
fn the_readme_is_read_in_minutes() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let lines = readme.lines().count();
    assert!(lines <= 150, "{lines} lines: what belongs into docs/ goes there");
}

#[test]
fn every_link_of_a_document_leads_somewhere() {
    let mut found = Vec::new();
    documents(root(), &mut found);
    let mut broken = Vec::new();
    let mut count = 0;
    for document in &found {
        let text = fs::read_to_string(document).unwrap();
        for link in links(&text) {
            count += 1;
            let (path, place) = link.split_once('#').unwrap_or((link, ""));
            let target = match path {
                "" => document.clone(),
                _ => document.parent().unwrap().join(path),
            };
            let named = |text: String| {
                let headings = text.lines().filter(|line| line.starts_with('#'));
                headings
                    .map(|line| anchor(line.trim_start_matches('#')))
                    .any(|name| name == place)
            };
            if !target.exists() || !place.is_empty() && !fs::read_to_string(&target).is_ok_and(named) {
                broken.push(format!("{}: {link}", document.display()));
            }
        }
    }
    assert!(count > 20, "links are found at all: {count}");
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn every_path_that_a_document_names_is_there() {
    let mut found = Vec::new();
    documents(root(), &mut found);
    // What is made on the way, such as caches, is not there yet.
    let ignored = fs::read_to_string(root().join(".gitignore")).unwrap();
    let mut broken = Vec::new();
    let mut count = 0;
    for document in &found {
        // A changelog also names what was there once.
        if document.ends_with("CHANGELOG.md") {
            continue;
        }
        let text = fs::read_to_string(document).unwrap();
        for path in paths(&text).filter(|path| !ignored.lines().any(|line| line == *path)) {
            count += 1;
            // From the root, or within a crate of the workspace from its own folder.
            let places = [root(), document.parent().unwrap()];
            if !places.iter().any(|place| place.join(path).exists()) {
                broken.push(format!("{}: {path}", document.display()));
            }
        }
    }
    assert!(count > 20, "paths are found at all: {count}");
    assert!(broken.is_empty(), "{broken:#?}");
}
