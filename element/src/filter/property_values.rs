// SPDX-License-Identifier: MIT OR Apache-2.0

//! The values of the element's properties.

use std::collections::BTreeMap;

use neuralstyle::settings::{self, Refused, Setting, Value};

/// The values of all properties.
#[derive(Clone, Debug, Default)]
pub struct PropertyValues {
    /// What the library can be set to.
    pub library: settings::Settings,
    pub post_messages: bool,
    /// What properties were last set to if that cannot be. GObject has no way to refuse it, so it is told at the start.
    refused: BTreeMap<&'static str, (Value, Refused)>,
}

impl PropertyValues {
    /// The value that a setting's property shows: what it was last set to.
    pub fn get(&self, setting: &'static Setting) -> Value {
        match self.refused.get(setting.name) {
            Some((value, _)) => value.clone(),
            None => setting.get(&self.library),
        }
    }

    /// Sets one of the library's settings.
    ///
    /// # Errors
    /// The value is not allowed. The previous value stays in use; the next start is refused by [`check`](Self::check).
    pub fn set(&mut self, setting: &'static Setting, value: Value) -> Result<(), Refused> {
        self.refused.remove(setting.name);
        let answer = setting.set(&mut self.library, value.clone());
        if let Err(refused) = &answer {
            self.refused.insert(setting.name, (value, refused.clone()));
        }
        answer
    }

    /// Refuses to start with a value that cannot be.
    pub fn check(&self) -> Result<(), Refused> {
        match self.refused.values().next() {
            Some((_, refused)) => Err(refused.clone()),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_is_shown_as_it_was_set_and_refused_until_it_is_mended() {
        let layers = settings::named("content-layers").unwrap();
        let mut settings = PropertyValues::default();
        let text = |text: &str| Value::Text(text.to_owned());
        settings.set(layers, text("relu3_1")).unwrap();
        settings.set(layers, text("relu4_1=much")).unwrap_err();
        assert_eq!(settings.get(layers), text("relu4_1=much"));
        assert_eq!(layers.get(&settings.library), text("relu3_1"));
        let error = settings.check().unwrap_err().to_string();
        assert!(
            error.contains("content-layers=relu4_1=much") && error.contains("not a number"),
            "{error}"
        );
        settings.set(layers, text("relu4_1")).unwrap();
        settings.check().unwrap();
        assert_eq!(settings.get(layers), text("relu4_1"));
    }
}
