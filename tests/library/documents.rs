// SPDX-License-Identifier: MIT OR Apache-2.0

//! The documents hold together: what they link to is there, and the first of them is short.

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
