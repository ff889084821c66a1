// SPDX-License-Identifier: MIT OR Apache-2.0

//! The tests of tests/validate, in the format of gst-validate: what flows out of the element while a pipeline is driven.
//!
//! Debian has no package with gst-validate-1.0, so a runner of few lines stands in for it here, for the few actions that these
//! tests use; where the tool is installed, it runs them as well. `NEURALSTYLE_RECORD=1 cargo test --test element validate`
//! writes what is expected anew.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;
use std::sync::{Arc, Mutex};

use gst::prelude::*;

use crate::common::*;

fn folder() -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/validate"))
        .canonicalize()
        .unwrap()
}

/// All tests, by their files.
fn tests() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder()).unwrap();
    let mut tests: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|kind| kind == "validatetest"))
        .collect();
    tests.sort();
    assert!(tests.len() >= 3, "tests are found");
    tests
}

/// The structures of a file. One goes on over the lines inside its braces and behind a comma.
fn structures(text: &str) -> Vec<gst::Structure> {
    let mut structures = Vec::new();
    let mut statement = String::new();
    for line in text.lines().map(str::trim) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        statement += line;
        let open = statement.matches('{').count() > statement.matches('}').count();
        if !open && !line.ends_with(',') {
            // A comma before a closing brace is allowed there, and not in a structure.
            let plain = statement.replace(",}", "}");
            structures.push(gst::Structure::from_str(&plain).unwrap_or_else(|_| panic!("{plain}")));
            statement.clear();
        }
    }
    structures
}

fn strings(structure: &gst::StructureRef, field: &str) -> Vec<String> {
    let list = structure.get::<gst::List>(field);
    let values = list.iter().flat_map(|list| list.iter());
    values.map(|value| value.get().unwrap()).collect()
}

/// What of a pad is written down.
struct Flow {
    pad: String,
    /// The types of events.
    events: Vec<String>,
    /// For each kind of event and for buffers the fields; all where it is not named.
    fields: gst::Structure,
}

impl Flow {
    fn new(config: &str) -> Self {
        let config = gst::Structure::from_str(config).unwrap();
        let fields: String = config.get("logged-fields").unwrap();
        Self {
            pad: config.get("pad").unwrap(),
            events: strings(&config, "logged-event-types"),
            fields: gst::Structure::from_str(&format!("fields, {fields}")).unwrap(),
        }
    }

    fn has(&self, kind: &str, field: &str) -> bool {
        match self.fields.has_field(kind) {
            // A list of one is that one.
            true => match self.fields.get::<String>(kind) {
                Ok(only) => only == field,
                Err(_) => strings(&self.fields, kind).iter().any(|named| named == field),
            },
            false => true,
        }
    }

    fn event(&self, event: &gst::EventRef) -> Option<String> {
        let kind = event.type_().name();
        if !self.events.iter().any(|logged| logged == kind) {
            return None;
        }
        let content = match event.view() {
            gst::EventView::Segment(segment) => self.segment(segment.segment()),
            gst::EventView::Caps(caps) => self.structure(kind, caps.caps().structure(0).unwrap()),
            _ => match event.structure() {
                Some(structure) => self.structure(kind, structure),
                None => "(no structure)".to_owned(),
            },
        };
        Some(format!("event {kind}: {content}"))
    }

    /// A structure with only the fields that are asked for, in alphabetic order.
    fn structure(&self, kind: &str, structure: &gst::StructureRef) -> String {
        let mut names: Vec<_> = structure.fields().map(|name| name.as_str()).collect();
        names.retain(|name| self.has(kind, name));
        names.sort_by_key(|name| name.to_ascii_lowercase());
        let mut kept = gst::Structure::new_empty(structure.name());
        for name in names {
            kept.set_value(name, structure.value(name).unwrap().clone());
        }
        kept.to_string()
    }

    fn segment(&self, segment: &gst::Segment) -> String {
        let segment = segment.downcast_ref::<gst::ClockTime>().unwrap();
        let time = |time: Option<gst::ClockTime>| time.map_or("none".to_owned(), |time| time.to_string());
        let mut parts = vec![
            ("format", "TIME".to_owned()),
            ("start", time(segment.start())),
            ("offset", time(segment.offset())),
            ("stop", time(segment.stop())),
        ];
        let flags = segment.flags().bits();
        if flags != 0 {
            parts.push(("flags", format!("0x{flags:02x}")));
        }
        parts.extend([
            ("time", time(segment.time())),
            ("base", time(segment.base())),
            ("position", time(segment.position())),
        ]);
        if segment.duration().is_some() {
            parts.push(("duration", time(segment.duration())));
        }
        self.join("segment", parts)
    }

    fn buffer(&self, buffer: &gst::BufferRef) -> String {
        let mut parts = Vec::new();
        let times = [
            ("dts", buffer.dts()),
            ("pts", buffer.pts()),
            ("dur", buffer.duration()),
        ];
        parts.extend(
            times
                .into_iter()
                .filter_map(|(name, time)| Some((name, time?.to_string()))),
        );
        let class = gst::glib::FlagsClass::with_type(gst::BufferFlags::static_type()).unwrap();
        let flags = class.values().iter();
        let set = flags.filter(|flag| flag.value() & buffer.flags().bits() == flag.value());
        let nicks: Vec<&str> = set.map(|flag| flag.nick()).collect();
        if !nicks.is_empty() {
            parts.push(("flags", nicks.join(" ")));
        }
        format!("buffer: {}", self.join("buffer", parts))
    }

    fn join(&self, kind: &str, parts: Vec<(&str, String)>) -> String {
        let kept = parts.into_iter().filter(|(name, _)| self.has(kind, name));
        let written: Vec<String> = kept.map(|(name, value)| format!("{name}={value}")).collect();
        written.join(", ")
    }
}

/// Drives a test's pipeline, and gives where its flow is expected and what it was.
fn run(test: &Path) -> (PathBuf, String) {
    let text = std::fs::read_to_string(test)
        .unwrap()
        .replace("$(test_dir)", folder().to_str().unwrap())
        .replace("$(validateflow)", "validateflow");
    let structures = structures(&text);
    let (meta, actions) = structures.split_first().unwrap();
    let pipeline = gst::parse::launch(&strings(meta, "args").join(" ")).unwrap();
    let pipeline = pipeline.downcast::<gst::Pipeline>().unwrap();
    let flow = Flow::new(&strings(meta, "configs").concat());
    let name = format!("log-{}-expected", flow.pad.replace(':', "-"));
    let expected = test.with_extension("").join("flow-expectations").join(name);

    let (element, pad) = flow.pad.split_once(':').unwrap();
    let pad = pipeline.by_name(element).unwrap().static_pad(pad).unwrap();
    let log = Arc::new(Mutex::new(String::new()));
    let writer = log.clone();
    let kinds = gst::PadProbeType::DATA_DOWNSTREAM | gst::PadProbeType::EVENT_FLUSH;
    pad.add_probe(kinds, move |_, info| {
        let line = match &info.data {
            Some(gst::PadProbeData::Buffer(buffer)) => Some(flow.buffer(buffer)),
            Some(gst::PadProbeData::Event(event)) => flow.event(event),
            _ => None,
        };
        if let Some(line) = line {
            writeln!(writer.lock().unwrap(), "{line}").unwrap();
        }
        gst::PadProbeReturn::Ok
    });
    for action in actions {
        act(&pipeline, action);
    }
    let log = std::mem::take(&mut *log.lock().unwrap());
    (expected, log)
}

fn act(pipeline: &gst::Pipeline, action: &gst::StructureRef) {
    let seconds = |field| {
        let seconds = action.get::<f64>(field).ok()?;
        Some(gst::ClockTime::from_seconds_f64(seconds))
    };
    if let Ok(kind) = action.get::<&str>("on-message") {
        assert_eq!(kind, "eos");
        let ends = [gst::MessageType::Eos, gst::MessageType::Error];
        let end = pipeline.bus().unwrap().timed_pop_filtered(PATIENCE, &ends);
        assert_eq!(end.expect("it ends").type_(), gst::MessageType::Eos);
    }
    match action.name().as_str() {
        "play" => drop(pipeline.set_state(gst::State::Playing).unwrap()),
        "pause" => drop(pipeline.set_state(gst::State::Paused).unwrap()),
        "stop" => drop(pipeline.set_state(gst::State::Null).unwrap()),
        "seek" => {
            assert_eq!(action.get::<&str>("flags"), Ok("accurate+flush"));
            let flags = gst::SeekFlags::ACCURATE | gst::SeekFlags::FLUSH;
            let set = gst::SeekType::Set;
            pipeline
                .seek(1.0, flags, set, seconds("start"), set, seconds("stop"))
                .unwrap();
        }
        unknown => panic!("these tests use no {unknown}"),
    }
    let (result, _, _) = pipeline.state(PATIENCE);
    result.unwrap();
}

#[test]
fn what_flows_is_what_is_expected() {
    init();
    for test in tests() {
        let (expected, flow) = run(&test);
        if std::env::var_os("NEURALSTYLE_RECORD").is_some() {
            std::fs::create_dir_all(expected.parent().unwrap()).unwrap();
            std::fs::write(&expected, flow).unwrap();
            continue;
        }
        assert_eq!(
            std::fs::read_to_string(&expected).unwrap(),
            flow,
            "{}",
            test.display()
        );
    }
}

#[cfg(target_os = "linux")]
#[test]
fn gst_validate_agrees() {
    let tool = "gst-validate-1.0";
    if Command::new(tool).arg("--version").output().is_err() {
        println!("skipped: {tool} of GStreamer's gst-devtools is not here");
        return;
    }
    let plugin = plugin_folder();
    for test in tests() {
        let output = Command::new(tool)
            .arg("--set-test-file")
            .arg(&test)
            .env("GST_PLUGIN_PATH", plugin.path())
            .env_remove("GST_PLUGIN_PATH_1_0")
            .env("GST_REGISTRY", plugin.path().join("registry.bin"))
            .env_remove("G_DEBUG")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{}: {said}", test.display());
    }
}
