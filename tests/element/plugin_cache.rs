// SPDX-License-Identifier: MIT OR Apache-2.0

//! docs/gst_plugins_cache.json, from which hotdoc makes the pages of plugins on GStreamer's site without having them.
//!
//! It is what GStreamer's scanner for hotdoc would write, which no package of Debian's has, without what differs between machines:
//! paths, versions and dates. `NEURALSTYLE_RECORD=1 cargo test --test element plugin_cache` writes it anew.

use gst::glib::{self, ParamSpec};
use gst::prelude::*;
use serde_json::{Map, Value, json};

use crate::common::init;
use crate::properties::own_properties;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/gst_plugins_cache.json");

fn plugin() -> Value {
    init();
    let plugin = gst::Registry::get().find_plugin("neuralstyle").unwrap();
    json!({
        "neuralstyle": {
            "description": plugin.description().as_str(),
            "elements": { "neuralstyle": element() },
            "filename": "gstneuralstyle",
            "license": plugin.license().as_str(),
            "other-types": enumerations(),
            "package": plugin.package().as_str(),
            "source": plugin.source().as_str(),
            "tracers": {},
            "url": plugin.origin().as_str(),
        }
    })
}

fn element() -> Value {
    let factory = gst::ElementFactory::find("neuralstyle").unwrap();
    let element = factory.create().build().unwrap();
    let hierarchy: Vec<&str> = std::iter::successors(Some(element.type_()), |kind| kind.parent())
        .map(|ancestor| ancestor.name())
        .collect();
    let interfaces: Vec<&str> = element
        .type_()
        .interfaces()
        .iter()
        .map(|kind| kind.name())
        .collect();
    let pads: Map<String, Value> = factory
        .static_pad_templates()
        .iter()
        .map(|template| {
            let direction = match template.direction() {
                gst::PadDirection::Src => "src",
                _ => "sink",
            };
            assert_eq!(template.presence(), gst::PadPresence::Always);
            let pad = json!({ "caps": caps(&template.caps()), "direction": direction, "presence": "always" });
            (template.name_template().to_owned(), pad)
        })
        .collect();
    let properties: Map<String, Value> = own_properties()
        .into_iter()
        .map(|(name, spec)| (name, property(&element, &spec)))
        .collect();
    json!({
        "author": factory.metadata("author"),
        "description": factory.metadata("description"),
        "hierarchy": hierarchy,
        "interfaces": interfaces,
        "klass": factory.metadata("klass"),
        "long-name": factory.metadata("long-name"),
        "pad-templates": pads,
        "properties": properties,
        "rank": "none",
    })
}

/// One line per field, its name to the right.
fn caps(caps: &gst::CapsRef) -> String {
    let mut text = String::new();
    for structure in caps.iter() {
        text += &format!("{}:\n", structure.name());
        for (name, value) in structure.iter() {
            let value = match name.as_str() {
                "format" => format!("{{ {} }}", formats(value).join(", ")),
                _ => value.serialize().unwrap().to_string(),
            };
            text += &format!("{:>15}: {value}\n", name.as_str());
        }
    }
    text
}

/// The formats by their names, for their order depends on the processor. Those of later versions than GStreamer 1.22 are
/// written down with the first version that needs them.
fn formats(value: &glib::SendValue) -> Vec<String> {
    let written = std::fs::read_to_string(PATH).unwrap_or_default();
    let is_of_later_version = |name: &String| {
        gst::version() >= (1, 23, 0, 0)
            && !written.contains(&format!(" {name},"))
            && !written.contains(&format!(" {name} }}"))
    };
    let list = value.get::<gst::List>().unwrap();
    let mut names: Vec<String> = list.iter().map(|value| value.get().unwrap()).collect();
    names.retain(|name| !is_of_later_version(name));
    names.sort();
    names
}

fn property(element: &gst::Element, spec: &ParamSpec) -> Value {
    let flags = spec.flags();
    let has = |flag| flags.contains(flag);
    let mutable = match () {
        () if has(gst::PARAM_FLAG_MUTABLE_PLAYING) => "playing",
        () if has(gst::PARAM_FLAG_MUTABLE_PAUSED) => "paused",
        () if has(gst::PARAM_FLAG_MUTABLE_READY) => "ready",
        () => "null",
    };
    let mut property = json!({
        "blurb": spec.blurb(),
        "conditionally-available": has(gst::PARAM_FLAG_CONDITIONALLY_AVAILABLE),
        "construct": has(glib::ParamFlags::CONSTRUCT),
        "construct-only": has(glib::ParamFlags::CONSTRUCT_ONLY),
        "controllable": has(gst::PARAM_FLAG_CONTROLLABLE),
        "default": default(element, spec),
        "mutable": mutable,
        "readable": has(glib::ParamFlags::READABLE),
        "type": spec.value_type().name(),
        "writable": has(glib::ParamFlags::WRITABLE),
    });
    let range = if let Some(spec) = spec.downcast_ref::<glib::ParamSpecUInt>() {
        Some((spec.minimum().to_string(), spec.maximum().to_string()))
    } else if let Some(spec) = spec.downcast_ref::<glib::ParamSpecInt>() {
        Some((spec.minimum().to_string(), spec.maximum().to_string()))
    } else {
        let spec = spec.downcast_ref::<glib::ParamSpecDouble>();
        spec.map(|spec| (spec.minimum().to_string(), spec.maximum().to_string()))
    };
    if let Some((minimum, maximum)) = range {
        property["min"] = minimum.into();
        property["max"] = maximum.into();
    }
    property
}

fn default(element: &gst::Element, spec: &ParamSpec) -> String {
    let value = element.property_value(spec.name());
    if let Some((_, choice)) = glib::EnumValue::from_value(&value) {
        return format!("{} ({})", choice.nick(), choice.value());
    }
    if let Ok(text) = value.get::<Option<String>>() {
        return text.unwrap_or_else(|| "NULL".to_owned());
    }
    if let Ok(structure) = value.get::<gst::Structure>() {
        return structure.to_string();
    }
    match value.get::<f64>() {
        Ok(number) => number.to_string(),
        Err(_) => value.serialize().unwrap().to_string(),
    }
}

/// The types of properties that only this plugin has.
fn enumerations() -> Map<String, Value> {
    own_properties()
        .values()
        .filter_map(|spec| glib::EnumClass::with_type(spec.value_type()))
        .map(|class| {
            let values: Vec<Value> = class
                .values()
                .iter()
                .map(|value| json!({ "desc": value.name(), "name": value.nick(), "value": value.value().to_string() }))
                .collect();
            (class.type_().name().to_owned(), json!({ "kind": "enum", "values": values }))
        })
        .collect()
}

#[test]
fn the_cache_says_what_the_plugin_registers() {
    let made = serde_json::to_string_pretty(&plugin()).unwrap() + "\n";
    if std::env::var_os("NEURALSTYLE_RECORD").is_some() {
        std::fs::write(PATH, made).unwrap();
        return;
    }
    assert_eq!(
        std::fs::read_to_string(PATH).unwrap(),
        made,
        "NEURALSTYLE_RECORD=1 cargo test --test element plugin_cache writes it anew"
    );
}
