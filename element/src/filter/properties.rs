// SPDX-License-Identifier: MIT OR Apache-2.0

//! The element's properties: the library's settings, and two of its own.

use std::sync::LazyLock;

use gst::glib::{self, ParamSpec};
use gst::prelude::*;

use super::description::described;
use super::enums;
use super::property_values::PropertyValues;
use neuralstyle::settings::{self, Kind, Refused, Setting, Value};

/// What GObject is told of the properties.
pub fn specs() -> &'static [ParamSpec] {
    static SPECS: LazyLock<Vec<ParamSpec>> = LazyLock::new(|| {
        let own = [
            glib::ParamSpecBoolean::builder("post-messages")
                .nick("Post messages")
                .blurb("Post an element message `neuralstyle` with the figures of `stats` per keyframe")
                .mutable_playing()
                .build(),
            glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
                .nick("Statistics")
                .blurb("Figures since the start: frames, keyframes (live: finished), iterations, losses, ms-per-step, ms-per-frame, planned-bytes, bytes-in-use, backend, device, network, working size, style")
                .read_only()
                .build(),
        ];
        settings::all().map(spec).chain(own).collect()
    });
    &SPECS
}

fn spec(setting: &Setting) -> ParamSpec {
    let name = setting.name;
    let initial = setting.default();
    match (&setting.kind, initial) {
        (Kind::Uint { range }, Value::Int(initial)) => {
            let builder = glib::ParamSpecUInt::builder(name)
                .minimum(*range.start())
                .maximum(*range.end())
                .default_value(initial as u32);
            described(builder, setting).build()
        }
        (Kind::Int { range, unset }, initial) => {
            let initial = match initial {
                Value::Int(number) => number as i32,
                _ => unset.unwrap_or(*range.start()),
            };
            let builder = glib::ParamSpecInt::builder(name)
                .minimum(unset.unwrap_or(*range.start()))
                .maximum(*range.end())
                .default_value(initial);
            described(builder, setting).build()
        }
        (Kind::Double { range, unset }, initial) => {
            let initial = match initial {
                Value::Double(number) => number,
                _ => unset.unwrap_or(*range.start()),
            };
            let builder = glib::ParamSpecDouble::builder(name)
                .minimum(unset.unwrap_or(*range.start()))
                .maximum(*range.end())
                .default_value(initial);
            described(builder, setting).build()
        }
        (Kind::Choice(choice), _) => enums::spec(choice, setting),
        (Kind::Text | Kind::Path | Kind::Uint { .. }, _) => {
            described(glib::ParamSpecString::builder(name), setting).build()
        }
    }
}

/// What a property is set to; `None` for `stats`, which only the element knows.
pub fn get(settings: &PropertyValues, spec: &ParamSpec) -> Option<glib::Value> {
    if spec.name() == "post-messages" {
        return Some(settings.post_messages.to_value());
    }
    let setting = settings::named(spec.name())?;
    let value = match settings.get(setting) {
        // Where a number must stand for that, it is the default.
        Value::Unset => spec.default_value().clone(),
        Value::Int(number) if matches!(setting.kind, Kind::Uint { .. }) => (number as u32).to_value(),
        Value::Int(number) => (number as i32).to_value(),
        Value::Double(number) => number.to_value(),
        Value::Text(text) => text.to_value(),
        Value::Path(path) => path.to_str().to_value(),
        // The hidden values are none that a property could have been set to.
        Value::Choice(name) => {
            enums::value(spec.value_type(), name).unwrap_or_else(|| spec.default_value().clone())
        }
    };
    Some(value)
}

/// Sets a property. GObject has seen to it that the value is of the property's type and in its range.
///
/// # Errors
/// See [`PropertyValues::set`].
pub fn set(settings: &mut PropertyValues, spec: &ParamSpec, value: &glib::Value) -> Result<(), Refused> {
    if spec.name() == "post-messages" {
        settings.post_messages = given(value);
        return Ok(());
    }
    let Some(setting) = settings::named(spec.name()) else {
        return Ok(());
    };
    let value = match &setting.kind {
        Kind::Uint { .. } => Value::Int(given::<u32>(value).into()),
        Kind::Int { .. } => Value::Int(given::<i32>(value).into()),
        Kind::Double { .. } => Value::Double(given(value)),
        Kind::Text => given::<Option<String>>(value).map_or(Value::Unset, Value::Text),
        Kind::Path => given::<Option<String>>(value).map_or(Value::Unset, |path| Value::Path(path.into())),
        Kind::Choice(choice) => enums::name(choice, value).map_or(Value::Unset, Value::Choice),
    };
    settings.set(setting, value)
}

/// Whether a new value has an effect before the next start.
pub fn acts_while_playing(spec: &ParamSpec) -> bool {
    spec.flags().contains(gst::PARAM_FLAG_MUTABLE_PLAYING)
}

/// The value that a property is being set to.
fn given<'a, T: glib::value::FromValue<'a>>(value: &'a glib::Value) -> T {
    value
        .get()
        .expect("cannot fail: GObject hands a setter only values of the property's own type")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writable() -> impl Iterator<Item = &'static ParamSpec> {
        gst::init().unwrap();
        specs()
            .iter()
            .filter(|spec| spec.flags().contains(glib::ParamFlags::WRITABLE))
    }

    #[test]
    fn every_property_starts_with_the_value_that_it_announces() {
        for spec in writable() {
            let value = get(&PropertyValues::default(), spec).unwrap();
            assert_eq!(
                format!("{value:?}"),
                format!("{:?}", spec.default_value()),
                "{}",
                spec.name()
            );
        }
    }

    #[test]
    fn every_property_shows_what_it_was_set_to() {
        for spec in writable() {
            let another = match spec.default_value().type_() {
                glib::Type::U32 => 3u32.to_value(),
                glib::Type::I32 => 5i32.to_value(),
                glib::Type::F64 => 0.25.to_value(),
                glib::Type::BOOL => true.to_value(),
                glib::Type::STRING => "relu1_1=0.5,relu2_1".to_value(),
                enumeration => {
                    let class = glib::EnumClass::with_type(enumeration).unwrap();
                    let last = class.values().last().unwrap();
                    enums::value(enumeration, last.nick()).unwrap()
                }
            };
            let mut settings = PropertyValues::default();
            set(&mut settings, spec, &another).unwrap();
            let value = get(&settings, spec).unwrap();
            assert_eq!(format!("{value:?}"), format!("{another:?}"), "{}", spec.name());
        }
    }

    #[test]
    fn every_property_says_what_it_is_and_when_it_may_change() {
        gst::init().unwrap();
        let changes = gst::PARAM_FLAG_MUTABLE_READY | gst::PARAM_FLAG_MUTABLE_PLAYING;
        for spec in specs() {
            assert!(
                spec.blurb().is_some_and(|blurb| blurb.len() > 8),
                "{}",
                spec.name()
            );
            let read_only = !spec.flags().contains(glib::ParamFlags::WRITABLE);
            assert!(read_only || spec.flags().intersects(changes), "{}", spec.name());
        }
    }

    #[test]
    fn what_stands_for_the_default_is_the_default() {
        let numbers = [
            ("style-weight", 0.0.to_value(), (-1.0).to_value()),
            ("learning-rate", 0.5.to_value(), 0.0.to_value()),
            ("overscan", 7.to_value(), (-1).to_value()),
        ];
        for (name, number, default) in numbers {
            let spec = writable().find(|spec| spec.name() == name).unwrap();
            let mut settings = PropertyValues::default();
            set(&mut settings, spec, &number).unwrap();
            assert_ne!(settings.library, settings::Settings::default(), "{name}");
            set(&mut settings, spec, &default).unwrap();
            assert_eq!(settings.library, settings::Settings::default(), "{name}");
        }
    }
}
