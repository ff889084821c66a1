// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a user can choose.
//!
//! [`Options`] hold for a whole stream, [`Controls`] may change with every frame. Each of their fields is described once,
//! by a [`Setting`] in `table.rs`: its name, type, range, default, meaning, and when it acts. The element's properties, the
//! program's flags, docs/properties.md and the checks of values are made from these descriptions.
//!
//! ```
//! use neuralstyle::settings::{self, Settings};
//!
//! let mut chosen = Settings::default();
//! chosen.set("moment-blur", "2")?;
//! assert_eq!(chosen.options.moment_blur, 2);
//!
//! let refused = chosen.set("moment-blur", "17").unwrap_err();
//! assert_eq!(refused.to_string(), "moment-blur=17: write a whole number from 0 to 16");
//!
//! for setting in settings::all() {
//!     println!("{} = {}: {}", setting.name, setting.default(), setting.blurb);
//! }
//! # Ok::<(), settings::Refused>(())
//! ```

mod choices;
mod field;
mod layers;
mod setting;
mod table;
mod value;

pub use choices::{
    BackendChoice, Choice, ChoiceValue, Init, Mode, NetworkChoice, Normalization, OptimizerKind,
    PoolingChoice, StyleStatistic, UnknownName,
};
pub use layers::{LayerWeights, LayerWeightsError};
pub use setting::{Group, Kind, Setting, When};
pub use table::{CONTROLS, Controls, MOST_SCALES, MOST_STEPS, OPTIONS, Options, STYLE, Settings};
pub use value::{Refused, Value};

/// All settings, in the order in which they are presented within their group.
pub fn all() -> impl Iterator<Item = &'static Setting> {
    std::iter::once(&STYLE).chain(OPTIONS).chain(CONTROLS)
}

/// The settings of a group.
pub fn of(group: Group) -> impl Iterator<Item = &'static Setting> {
    all().filter(move |setting| setting.group == group)
}

/// The setting of this name.
pub fn named(name: &str) -> Option<&'static Setting> {
    all().find(|setting| setting.name == name)
}

impl Settings {
    /// Sets a setting by its name to what `text` says.
    pub fn set(&mut self, name: &str, text: &str) -> Result<(), Refused> {
        let Some(setting) = named(name) else {
            let known: Vec<&str> = all().map(|setting| setting.name).collect();
            return Err(Refused {
                setting: name.to_owned().into(),
                value: text.to_owned(),
                reason: format!("there is no such setting; there are {}", known.join(", ")),
            });
        };
        setting.set(self, setting.parse(text)?)
    }
}

impl Options {
    /// Refuses values outside their ranges.
    pub fn check(&self) -> Result<(), Refused> {
        let settings = Settings {
            options: self.clone(),
            ..Settings::default()
        };
        check_all(OPTIONS, &settings)
    }
}

impl Controls {
    /// Refuses values outside their ranges.
    pub fn check(&self) -> Result<(), Refused> {
        let settings = Settings {
            controls: *self,
            ..Settings::default()
        };
        check_all(CONTROLS, &settings)
    }
}

/// Refuses the first value outside its range.
fn check_all(described: &[Setting], settings: &Settings) -> Result<(), Refused> {
    described
        .iter()
        .try_for_each(|setting| setting.check(&setting.get(settings)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::PathBuf;

    use super::*;

    /// A value that the setting does not start with, as text.
    fn another(setting: &Setting) -> String {
        match &setting.kind {
            Kind::Uint { range } => (range.end() - 1).to_string(),
            Kind::Int { range, .. } => (range.end() - 1).to_string(),
            Kind::Double { range, .. } => (range.end() / 2.0 + 0.01).to_string(),
            Kind::Text => "relu1_1=0.5,relu2_1".to_owned(),
            Kind::Path => "somewhere/else".to_owned(),
            Kind::Choice(choice) => choice.values[1].name.to_owned(),
        }
    }

    #[test]
    fn every_setting_has_a_name_of_its_own_and_says_what_it_is() {
        let names: BTreeSet<&str> = all().map(|setting| setting.name).collect();
        assert_eq!(names.len(), all().count());
        for setting in all() {
            let word = |c: char| c.is_ascii_lowercase() || c == '-';
            assert!(setting.name.chars().all(word), "{}", setting.name);
            assert!(
                setting.blurb.len() > 8 && !setting.nick.is_empty(),
                "{}",
                setting.name
            );
            assert_eq!(named(setting.name).map(|found| found.name), Some(setting.name));
        }
        let grouped: usize = Group::ALL.iter().map(|&group| of(group).count()).sum();
        assert_eq!(grouped, all().count());
    }

    #[test]
    fn every_setting_starts_with_a_value_that_it_accepts() {
        for setting in all() {
            setting.check(&setting.default()).unwrap();
        }
        Options::default().check().unwrap();
        Controls::default().check().unwrap();
    }

    #[test]
    fn what_is_set_is_read_back_and_nothing_else_changes() {
        for setting in all() {
            let mut settings = Settings::default();
            let text = another(setting);
            settings.set(setting.name, &text).unwrap();
            assert_eq!(setting.get(&settings).to_string(), text, "{}", setting.name);
            for other in all().filter(|other| other.name != setting.name) {
                assert_eq!(other.get(&settings), other.default(), "{}", other.name);
            }
            assert_ne!(setting.get(&settings), setting.default(), "{}", setting.name);
            setting.set(&mut settings, setting.default()).unwrap();
            assert_eq!(settings, Settings::default());
        }
    }

    #[test]
    fn options_act_at_the_start_and_controls_while_playing() {
        assert!(OPTIONS.iter().all(|setting| setting.acts == When::Start));
        assert!(CONTROLS.iter().all(|setting| setting.acts != When::Start));
    }

    #[test]
    fn what_is_refused_is_named_with_what_would_work() {
        let refusal = |name: &str, text: &str| {
            let mut settings = Settings::default();
            let error = settings.set(name, text).unwrap_err().to_string();
            assert_eq!(settings, Settings::default());
            error
        };
        for (name, text, expected) in [
            ("scales", "5", "scales=5: write a whole number from 0 to 4"),
            ("scales", "-1", "scales=-1: write a whole number from 0 to 4"),
            ("scales", "many", "scales=many: write a whole number from 0 to 4"),
            (
                "overscan",
                "65",
                "overscan=65: write a whole number from 0 to 64, or -1 to leave it unset",
            ),
            ("strength", "1.5", "strength=1.5: write a number from 0 to 1"),
            ("strength", "NaN", "strength=NaN: write a number from 0 to 1"),
            (
                "init",
                "bright",
                "init=bright: write one of matched, content, noise, previous",
            ),
            (
                "style-layers",
                "relu1_1=much",
                "style-layers=relu1_1=much: ‘much’ in ‘relu1_1=much’ is not a number; write e.g. relu1_1=0.5",
            ),
        ] {
            assert_eq!(refusal(name, text), expected);
        }
        assert!(refusal("moment-blurr", "1").contains("there is no such setting"));
        let scales = named("scales").unwrap();
        let error = scales
            .set(&mut Settings::default(), Value::Double(1.0))
            .unwrap_err();
        assert_eq!(error.to_string(), "scales=1: write a whole number from 0 to 4");
    }

    #[test]
    fn a_number_stands_for_unset_where_only_numbers_can_be_written() {
        let mut settings = Settings::default();
        for (name, number) in [("overscan", "7"), ("style-weight", "0"), ("learning-rate", "0.5")] {
            settings.set(name, number).unwrap();
            assert_eq!(named(name).unwrap().get(&settings).to_string(), number);
        }
        assert_eq!(settings.controls.style_weight, Some(0.0));
        for (name, number) in [
            ("overscan", "-1"),
            ("style-weight", "-0.5"),
            ("learning-rate", "0"),
        ] {
            settings.set(name, number).unwrap();
        }
        assert_eq!(settings, Settings::default());
    }

    #[test]
    fn fields_outside_their_ranges_are_refused() {
        let options = Options {
            moment_blur: 17,
            ..Options::default()
        };
        assert_eq!(options.check().unwrap_err().setting, "moment-blur");
        let controls = Controls {
            strength: -0.1,
            ..Controls::default()
        };
        assert_eq!(controls.check().unwrap_err().setting, "strength");
        // What stands for unset where a number must be written is not what a field means by it.
        for controls in [
            Controls {
                style_weight: Some(-0.5),
                ..Controls::default()
            },
            Controls {
                learning_rate: Some(0.0),
                ..Controls::default()
            },
            Controls {
                tv_weight: f64::NAN,
                ..Controls::default()
            },
        ] {
            controls.check().unwrap_err();
        }
    }

    #[test]
    fn a_path_may_be_no_text() {
        let weights = named("weights").unwrap();
        let mut settings = Settings::default();
        weights
            .set(&mut settings, Value::Path(PathBuf::from("vgg.pth")))
            .unwrap();
        assert_eq!(settings.options.weights, Some("vgg.pth".into()));
        assert!(weights.set(&mut settings, Value::Text("vgg.pth".into())).is_err());
    }
}
