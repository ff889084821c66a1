// SPDX-License-Identifier: MIT OR Apache-2.0

//! The choices that make one picture, and how they are written as text.

use std::fmt;
use std::str::FromStr;

/// A word that is none of the values of a choice.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("‘{word}’ is not one of {known}")]
pub struct UnknownName {
    word: String,
    known: String,
}

impl UnknownName {
    pub(crate) fn new(word: &str, known: &[&str]) -> Self {
        Self {
            word: word.to_owned(),
            known: known.join(", "),
        }
    }
}

/// Gives an enumeration's values the names by which users write them.
macro_rules! names {
    ($choice:ident { $($value:ident = $name:literal),+ $(,)? }) => {
        impl $choice {
            /// All names, in the order of the values.
            pub const NAMES: &[&str] = &[$($name),+];

            pub const fn name(self) -> &'static str {
                match self { $(Self::$value => $name),+ }
            }
        }

        impl std::fmt::Display for $choice {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.name())
            }
        }

        impl std::str::FromStr for $choice {
            type Err = $crate::gatys::UnknownName;

            fn from_str(word: &str) -> Result<Self, Self::Err> {
                match word {
                    $($name => Ok(Self::$value),)+
                    _ => Err($crate::gatys::UnknownName::new(word, Self::NAMES)),
                }
            }
        }
    };
}
pub(crate) use names;

/// Which feature network measures content and style.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NetworkChoice {
    /// `slim` on the CPU, `vgg16` on a CUDA device.
    #[default]
    Auto,
    /// VGG-16 to conv4_1 at a quarter of its width, half in the last layer, embedded.
    Tiny,
    /// VGG-16 to conv4_1 at half its width, embedded.
    Slim,
    /// VGG-16 to conv4_2, embedded.
    Vgg16,
    /// A VGG-16 or VGG-19 from a file.
    File,
}

/// What the loss terms are divided by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Normalization {
    /// Content terms by ‖a(C)‖², style terms by ‖G(S)‖²_F: weights mean the same at every size and for every network.
    #[default]
    Relative,
    /// Exactly the sums and factors of Gatys et al. (2015).
    Gatys,
}

/// How the network halves its resolution.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PoolingChoice {
    /// As the network was trained or made.
    #[default]
    Network,
    Average,
    Max,
}

/// How the picture moves along the gradient.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OptimizerKind {
    #[default]
    Adam,
    Sgd,
    Lbfgs,
}

/// Where a fresh start begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Init {
    /// The content in the style's colours (mean and covariance of RGB matched).
    #[default]
    Matched,
    /// The content itself.
    Content,
    /// Uniform noise from `seed`.
    Noise,
    /// The last result if there is one, else the content in the style's colours.
    Previous,
}

names!(NetworkChoice { Auto = "auto", Tiny = "tiny", Slim = "slim", Vgg16 = "vgg16", File = "file" });
names!(Normalization { Relative = "relative", Gatys = "gatys" });
names!(PoolingChoice { Network = "network", Average = "average", Max = "max" });
names!(OptimizerKind { Adam = "adam", Sgd = "sgd", Lbfgs = "lbfgs" });
names!(Init { Matched = "matched", Content = "content", Noise = "noise", Previous = "previous" });

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
    fn a_choice_is_read_by_the_name_that_it_is_written_with() {
        for name in NetworkChoice::NAMES {
            assert_eq!(name.parse::<NetworkChoice>().unwrap().to_string(), *name);
        }
        let error = "bright".parse::<Init>().unwrap_err().to_string();
        assert_eq!(error, "‘bright’ is not one of matched, content, noise, previous");
    }

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
