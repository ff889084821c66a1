// SPDX-License-Identifier: MIT OR Apache-2.0

//! Lists of layers, as users write them.

use std::fmt;
use std::str::FromStr;

/// Layers with their weights λ, as in `relu1_1=1,relu2_1=0.5`; a layer without a weight weighs 1.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerWeights(pub Vec<(String, f64)>);

/// Why a list of layers cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct LayerWeightsError(String);

impl FromStr for LayerWeights {
    type Err = LayerWeightsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut layers: Vec<(String, f64)> = Vec::new();
        for part in text.split(',').map(str::trim) {
            let (name, weight) = match part.split_once('=') {
                Some((name, weight)) => {
                    let value: f64 = weight.trim().parse().map_err(|_| {
                        LayerWeightsError(format!(
                            "‘{weight}’ in ‘{part}’ is not a number; write e.g. relu1_1=0.5"
                        ))
                    })?;
                    (name.trim(), value)
                }
                None => (part, 1.0),
            };
            if name.is_empty() {
                return Err(LayerWeightsError(
                    "a layer's name is missing; write e.g. relu1_1,relu2_1=0.5".into(),
                ));
            }
            if !weight.is_finite() || weight < 0.0 {
                return Err(LayerWeightsError(format!(
                    "the weight of {name} must be a number of 0 or more"
                )));
            }
            if layers.iter().any(|(known, _)| known == name) {
                return Err(LayerWeightsError(format!("{name} is named twice")));
            }
            layers.push((name.to_owned(), weight));
        }
        Ok(Self(layers))
    }
}

impl fmt::Display for LayerWeights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, weight)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{name}")?;
            if *weight != 1.0 {
                write!(f, "={weight}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_read_with_and_without_weights() {
        let read: LayerWeights = "relu1_1, relu2_1=0.5".parse().unwrap();
        assert_eq!(
            read.0,
            vec![("relu1_1".to_owned(), 1.0), ("relu2_1".to_owned(), 0.5)]
        );
        assert_eq!(read.to_string(), "relu1_1,relu2_1=0.5");
    }

    #[test]
    fn a_bad_list_of_layers_says_what_is_wrong() {
        for (text, expected) in [
            ("", "name is missing"),
            ("relu1_1,,relu2_1", "name is missing"),
            ("relu1_1=many", "not a number"),
            ("relu1_1=-1", "0 or more"),
            ("relu1_1=inf", "0 or more"),
            ("relu1_1,relu1_1=2", "twice"),
        ] {
            let error = text.parse::<LayerWeights>().unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
