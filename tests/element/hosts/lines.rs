// SPDX-License-Identifier: MIT OR Apache-2.0

//! The launch lines of the documents: everything in them is there, and can be linked.

use std::path::Path;
use std::process::Command;

use crate::common::init;

use super::file;

/// Elements that are not in the packages which the tests install, and where they come from.
const FROM_ELSEWHERE: [(&str, &str); 9] = [
    ("avenc_aac", "GStreamer's package libav"),
    ("flvmux", "GStreamer's plugins good"),
    ("mpegtsmux", "GStreamer's plugins bad"),
    ("ndisink", "gst-plugins-rs"),
    ("rtmp2sink", "GStreamer's plugins bad"),
    ("srtsink", "GStreamer's plugins bad"),
    ("v4l2sink", "GStreamer's plugins good, on Linux"),
    ("webrtcsink", "gst-plugins-rs"),
    ("x264enc", "GStreamer's plugins ugly"),
];

/// A line that a document gives.
pub struct Line {
    document: &'static str,
    /// As a shell hands them on.
    pub words: Vec<String>,
}

impl Line {
    pub fn iter(&self) -> impl Iterator<Item = &String> {
        self.words.iter()
    }

    fn parse(&self) -> Result<gst::Element, String> {
        let words: Vec<&str> = self.words.iter().map(String::as_str).collect();
        let mut context = gst::ParseContext::new();
        gst::parse::launchv_full(&words, Some(&mut context), gst::ParseFlags::FATAL_ERRORS).map_err(|error| {
            let missing = context.missing_elements();
            let elsewhere = missing
                .iter()
                .map(|name| FROM_ELSEWHERE.iter().find(|(known, _)| known == name))
                .collect::<Option<Vec<_>>>();
            match elsewhere.as_deref() {
                Some([(name, place), ..]) => format!("skipped: {name} comes with {place}"),
                _ => error.to_string(),
            }
        })
    }
}

/// The launch lines, and the elements alone that are pasted into a field of another program.
pub fn documented() -> Vec<Line> {
    ["README.md", "docs/hosts.md", "docs/look.md", "docs/method.md"]
        .into_iter()
        .flat_map(|document| {
            let text = std::fs::read_to_string(file(document)).unwrap();
            commands(&text)
                .into_iter()
                .filter_map(|command| split(&command))
                .map(move |words| Line { document, words })
                .collect::<Vec<_>>()
        })
        .collect()
}

/// The commands in the indented blocks of a document, each with the lines by which it goes on.
fn commands(text: &str) -> Vec<String> {
    let code = text.lines().filter_map(|line| line.strip_prefix("    "));
    let mut commands: Vec<String> = Vec::new();
    let mut goes_on = false;
    for line in code {
        match commands.last_mut() {
            Some(command) if goes_on => *command += line,
            _ => commands.push(line.to_owned()),
        }
        let command = commands.last_mut().expect("one was pushed");
        goes_on = command.ends_with('\\');
        if goes_on {
            command.pop();
        }
    }
    commands
}

/// What a shell makes of a launch line or an element; `None` for any other command.
fn split(command: &str) -> Option<Vec<String>> {
    const TOOL: &str = "gst-launch-1.0 ";
    let line = match command.find(TOOL) {
        Some(place) => &command[place + TOOL.len()..],
        None if command.starts_with("neuralstyle style=") => command,
        None => return None,
    };
    let script = format!("printf '%s\\0' {line}");
    let output = Command::new("bash").args(["-c", &script]).output().unwrap();
    assert!(output.status.success(), "bash understands {line}");
    let words = String::from_utf8(output.stdout).unwrap();
    let words = words.split_terminator('\0').map(str::to_owned);
    // Options of the tool itself.
    Some(words.skip_while(|word| word.starts_with('-')).collect())
}

#[test]
fn every_launch_line_of_the_documents_can_be_built() {
    init();
    let lines = documented();
    let of = |document: &str| lines.iter().filter(|line| line.document == document).count();
    assert!(
        of("README.md") >= 1 && of("docs/hosts.md") >= 10,
        "lines are found"
    );
    for line in &lines {
        match line.parse() {
            Ok(_) => (),
            Err(reason) if reason.starts_with("skipped") => println!("{reason}: {}", line.words.join(" ")),
            Err(reason) => panic!("{}: {reason}: {}", line.document, line.words.join(" ")),
        }
    }
}

/// In a live pipeline nothing may wait for the painting: what comes from a camera goes through a queue that leaks.
#[test]
fn every_camera_of_the_documents_has_a_queue_that_leaks() {
    for line in documented() {
        let words = line.words.join(" ");
        let Some((before, _)) = words.split_once(" ! neuralstyle ") else {
            continue;
        };
        let live = before.starts_with("v4l2src");
        assert!(
            !live || before.ends_with("! queue leaky=downstream max-size-buffers=1"),
            "{words}"
        );
    }
}

#[test]
fn every_picture_of_the_documented_lines_is_there() {
    for line in documented() {
        for word in line.iter() {
            if let Some(path) = word.strip_prefix("style=")
                && Path::new(path).is_relative()
            {
                assert!(file(path).exists(), "{path}, in {}", line.document);
            }
        }
    }
}
