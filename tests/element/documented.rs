// SPDX-License-Identifier: MIT OR Apache-2.0

//! docs/properties.md is made from what the element registers, and the README's table says the same.
//!
//! `NEURALSTYLE_RECORD=1 cargo test --test element documented` writes it anew.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use gst::glib::{self, ParamSpec};
use neuralstyle::settings::{self, Group};

use crate::properties::own_properties;

const HEADING: &str = "\
# The properties of `neuralstyle`

Made from what the element registers, by `NEURALSTYLE_RECORD=1 cargo test --test element documented`;
`gst-inspect-1.0 neuralstyle` shows the same. The program has a flag of the same name for each setting
(`--style-weight 4`), and the library a field in `settings::Options` or `settings::Controls`.

(R) takes effect with the next start, (P) may change while playing, (C) also by a GStreamer controller.
";

const ONLY_THE_ELEMENTS: &str = "Of the element alone";

/// Type, range, default, and when it may change.
fn summary(spec: &ParamSpec) -> String {
    if !spec.flags().contains(glib::ParamFlags::WRITABLE) {
        return format!("{}, read-only", spec.value_type().name());
    }
    let has = |flag| spec.flags().contains(flag);
    let changes = match (
        has(gst::PARAM_FLAG_MUTABLE_PLAYING),
        has(gst::PARAM_FLAG_CONTROLLABLE),
    ) {
        (true, true) => "(P, C)",
        (true, false) => "(P)",
        (false, _) => "(R)",
    };
    let (range, default) = if let Some(spec) = spec.downcast_ref::<glib::ParamSpecUInt>() {
        let range = format!("uint {}..{}", spec.minimum(), spec.maximum());
        (range, spec.default_value().to_string())
    } else if let Some(spec) = spec.downcast_ref::<glib::ParamSpecInt>() {
        let range = format!("int {}..{}", spec.minimum(), spec.maximum());
        (range, spec.default_value().to_string())
    } else if let Some(spec) = spec.downcast_ref::<glib::ParamSpecDouble>() {
        let number = |number: f64| match number {
            _ if number.abs() >= 1e5 => format!("{number:e}"),
            _ => number.to_string(),
        };
        let range = format!("double {}..{}", number(spec.minimum()), number(spec.maximum()));
        (range, number(spec.default_value()))
    } else if let Some(spec) = spec.downcast_ref::<glib::ParamSpecBoolean>() {
        ("bool".to_owned(), spec.default_value().to_string())
    } else if spec.value_type().is_a(glib::Type::ENUM) {
        let names: Vec<String> = choices(spec).into_iter().map(|(name, _)| name).collect();
        let (_, default) = glib::EnumValue::from_value(spec.default_value()).unwrap();
        (format!("enum {}", names.join("/")), default.nick().to_owned())
    } else {
        let default: Option<String> = spec.default_value().get().unwrap();
        ("string".to_owned(), default.unwrap_or_else(|| "unset".to_owned()))
    };
    format!("{range}, {default} {changes}")
}

/// The names and meanings of an enumeration's values.
fn choices(spec: &ParamSpec) -> Vec<(String, String)> {
    let class = glib::EnumClass::with_type(spec.value_type());
    let values = class.iter().flat_map(|class| class.values());
    values
        .map(|value| (value.nick().to_owned(), value.name().to_owned()))
        .collect()
}

fn document() -> String {
    let mut left = own_properties();
    let mut text = HEADING.to_owned();
    for group in Group::ALL {
        let specs: Vec<ParamSpec> = settings::of(group)
            .map(|setting| left.remove(setting.name).expect("every setting is a property"))
            .collect();
        section(&mut text, group.title(), &specs);
    }
    section(
        &mut text,
        ONLY_THE_ELEMENTS,
        &left.into_values().collect::<Vec<_>>(),
    );
    text
}

fn section(text: &mut String, title: &str, specs: &[ParamSpec]) {
    let _ = write!(
        text,
        "\n## {title}\n\n| property | type, range, default | meaning |\n| --- | --- | --- |\n"
    );
    for spec in specs {
        let blurb = spec.blurb().unwrap_or_default();
        let _ = writeln!(text, "| `{}` | {} | {blurb} |", spec.name(), summary(spec));
    }
    for spec in specs {
        let choices = choices(spec);
        if choices.is_empty() {
            continue;
        }
        let _ = write!(text, "\n`{}` can be\n\n", spec.name());
        for (name, blurb) in choices {
            let _ = writeln!(text, "- `{name}`: {blurb}");
        }
    }
}

fn path(name: &str) -> String {
    format!("{}/../{name}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_document_says_what_the_element_registers() {
    let made = document();
    if std::env::var_os("NEURALSTYLE_RECORD").is_some() {
        std::fs::write(path("docs/properties.md"), made).unwrap();
        return;
    }
    let found = std::fs::read_to_string(path("docs/properties.md")).unwrap();
    assert_eq!(
        found, made,
        "NEURALSTYLE_RECORD=1 cargo test --test element documented writes it anew"
    );
}

#[test]
fn the_readme_gives_the_same_types_ranges_and_defaults() {
    let properties: BTreeMap<String, ParamSpec> = own_properties();
    let readme = std::fs::read_to_string(path("README.md")).unwrap();
    let rows: Vec<Vec<&str>> = readme
        .lines()
        .skip_while(|line| !line.starts_with("| property"))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.split('|').map(str::trim).collect())
        .collect();
    assert!(!rows.is_empty(), "the README has a table of properties");
    for row in rows {
        let name = row[1].trim_matches('`');
        let spec = properties
            .get(name)
            .unwrap_or_else(|| panic!("the README names {name}, which is no property"));
        assert_eq!(row[2], summary(spec), "{name}, in the README");
    }
}
