// SPDX-License-Identifier: MIT OR Apache-2.0

//! The values of the element's properties, and what follows from them for the stylizer.

use neuralstyle::gatys::LayerWeightsError;
use neuralstyle::settings::{Controls, LayerWeights, NetworkChoice, Options};
use neuralstyle::stylizer::Error;

/// The values of all properties.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// All but the layers, which are kept as they were written: a property cannot refuse what it is set to.
    pub options: Options,
    pub content_layers: Option<String>,
    pub style_layers: Option<String>,
    pub controls: Controls,
    pub style: Option<String>,
    pub post_messages: bool,
}

impl Settings {
    /// What the stylizer is to be made with.
    pub fn for_stylizer(&self) -> Result<Options, Error> {
        let mut options = self.options.clone();
        options.content_layers = layers("content-layers", self.content_layers.as_deref())?;
        options.style_layers = layers("style-layers", self.style_layers.as_deref())?;
        if options.weights.is_some() && options.network == NetworkChoice::Auto {
            options.network = NetworkChoice::File;
        }
        Ok(options)
    }
}

fn layers(property: &'static str, text: Option<&str>) -> Result<Option<LayerWeights>, Error> {
    let Some(text) = text else { return Ok(None) };
    let refused = |reason: String| Error::Setting {
        property,
        value: text.to_owned(),
        reason,
    };
    text.parse()
        .map(Some)
        .map_err(|error: LayerWeightsError| refused(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_imply_the_network_from_a_file() {
        let mut settings = Settings::default();
        settings.options.weights = Some("vgg.pth".into());
        assert_eq!(settings.for_stylizer().unwrap().network, NetworkChoice::File);
        settings.options.network = NetworkChoice::Slim;
        assert_eq!(settings.for_stylizer().unwrap().network, NetworkChoice::Slim);
    }

    #[test]
    fn layers_are_read_when_the_stylizer_is_made() {
        let mut settings = Settings {
            style_layers: Some("relu1_1=2,relu2_1".into()),
            ..Settings::default()
        };
        let expected = vec![("relu1_1".to_owned(), 2.0), ("relu2_1".to_owned(), 1.0)];
        assert_eq!(
            settings.for_stylizer().unwrap().style_layers,
            Some(LayerWeights(expected))
        );
        settings.content_layers = Some("relu4_1=much".into());
        let error = settings.for_stylizer().unwrap_err().to_string();
        assert!(
            error.contains("content-layers=relu4_1=much") && error.contains("not a number"),
            "{error}"
        );
    }
}
