// SPDX-License-Identifier: MIT OR Apache-2.0

//! The settings that are one of a few words.

/// One of the words that a choice can be set to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChoiceValue {
    pub name: &'static str,
    pub blurb: &'static str,
    /// Whether it serves tests and comparisons only, so that the element does not offer it.
    pub hidden: bool,
}

/// What a setting that is one of a few words can be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Choice {
    /// The name of the enumeration.
    pub name: &'static str,
    pub values: &'static [ChoiceValue],
}

impl Choice {
    /// The value of this name.
    pub fn value(&self, name: &str) -> Option<&'static ChoiceValue> {
        self.values.iter().find(|value| value.name == name)
    }

    /// The names of all values, as in "one, two, three".
    pub fn names(&self) -> String {
        let names: Vec<&str> = self.values.iter().map(|value| value.name).collect();
        names.join(", ")
    }
}

/// A word that is none of the values of a choice.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("‘{word}’ is not one of {known}")]
pub struct UnknownName {
    word: String,
    known: String,
}

/// Calls a macro with the values of a choice: `with_values!(Init, make, …)` is `make!(… Init { Matched = "matched",
/// "what it means"; … })`. The first value is the default; those in a second pair of braces are hidden.
///
/// The library makes its enumerations from these lists, and the element those of GObject, whose names and texts must be
/// literals.
#[macro_export]
macro_rules! with_values {
    (NetworkChoice, $make:ident $(, $with:tt)*) => {
        $make! { $($with)* NetworkChoice {
            Auto = "auto", "Slim on the CPU, vgg16 on a CUDA device, file if weights are given";
            Tiny = "tiny", "VGG-16 to conv4_1 at a quarter of its width, embedded; the fastest";
            Slim = "slim", "VGG-16 to conv4_1 at half its width, embedded";
            Vgg16 = "vgg16", "VGG-16 to conv4_2, embedded; the best and the slowest";
            File = "file", "A VGG-16 or VGG-19 from the file that the weights property names";
        } {} }
    };
    (Normalization, $make:ident $(, $with:tt)*) => {
        $make! { $($with)* Normalization {
            Relative = "relative", "Each term divided by its target's size, so that weights mean the same everywhere";
            Gatys = "gatys", "Exactly the sums and factors of Gatys et al. (2015)";
        } {} }
    };
    (StyleStatistic, $make:ident $(, $with:tt)*) => {
        $make! { $($with)* StyleStatistic {
            Auto = "auto", "Covariance, or Gram with normalization=gatys";
            Gram = "gram", "The Gram matrix of the activations, as Gatys et al. (2015)";
            Covariance = "covariance", "The activations' mean and covariance: strokes also where the frame is plain";
        } {} }
    };
    (PoolingChoice, $make:ident $(, $with:tt)*) => {
        $make! { $($with)* PoolingChoice {
            Network = "network", "As the network was made";
            Average = "average", "Smoother pictures";
            Max = "max", "As VGG was trained";
        } {} }
    };
    (OptimizerKind, $make:ident $(, $with:tt)*) => {
        $make! { $($with)* OptimizerKind {
            Adam = "adam", "Adam, after Kingma and Ba";
            Sgd = "sgd", "Gradient descent with momentum";
            Lbfgs = "lbfgs", "Not there yet: refused at the start";
        } {} }
    };
    (Init, $make:ident $(, $with:tt)*) => {
        $make! { $($with)* Init {
            Matched = "matched", "The content in the style's colours";
            Content = "content", "The content as it is";
            Noise = "noise", "Uniform noise from the seed";
            Previous = "previous", "The last result if there is one, else as matched";
        } {} }
    };
    (Mode, $make:ident $(, $with:tt)*) => {
        $make! { $($with)* Mode {
            Auto = "auto", "Live in a live pipeline, else offline";
            Offline = "offline", "Each frame waits for its steps";
            Live = "live", "Frames never wait; the newest is painted beside the stream and shown along its motion";
        } {} }
    };
    (BackendChoice, $make:ident $(, $with:tt)*) => {
        $make! { $($with)* BackendChoice {
            Auto = "auto", "CUDA if a card passes its start-up check, else the CPU";
            Cpu = "cpu", "All cores of this machine";
            Cuda = "cuda", "An NVIDIA card of compute capability 7.5 or later";
        } {
            Reference = "reference", "The slow, obvious f64 implementation that all others are measured against";
        } }
    };
}

/// Makes an enumeration from a list of [`with_values!`].
macro_rules! choice {
    (
        [$(#[$attribute:meta])*]
        $choice:ident { $first:ident = $first_name:literal, $first_blurb:literal; $($value:ident = $name:literal, $blurb:literal;)* }
        { $($hidden:ident = $hidden_name:literal, $hidden_blurb:literal;)* }
    ) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub enum $choice {
            #[default]
            #[doc = $first_blurb]
            $first,
            $(#[doc = $blurb] $value,)*
            $(#[doc = $hidden_blurb] $hidden,)*
        }

        impl $choice {
            /// All values with what they mean, in their order.
            pub const CHOICE: Choice = Choice {
                name: stringify!($choice),
                values: &[
                    ChoiceValue { name: $first_name, blurb: $first_blurb, hidden: false },
                    $(ChoiceValue { name: $name, blurb: $blurb, hidden: false },)*
                    $(ChoiceValue { name: $hidden_name, blurb: $hidden_blurb, hidden: true },)*
                ],
            };

            pub const fn name(self) -> &'static str {
                Self::CHOICE.values[self as usize].name
            }
        }

        impl std::fmt::Display for $choice {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.name())
            }
        }

        impl std::str::FromStr for $choice {
            type Err = UnknownName;

            fn from_str(word: &str) -> Result<Self, Self::Err> {
                match word {
                    $first_name => Ok(Self::$first),
                    $($name => Ok(Self::$value),)*
                    $($hidden_name => Ok(Self::$hidden),)*
                    _ => Err(UnknownName { word: word.to_owned(), known: Self::CHOICE.names() }),
                }
            }
        }

        impl super::field::Field for $choice {
            fn to_value(&self) -> super::Value {
                super::Value::Choice(self.name())
            }

            fn from_value(value: super::Value) -> Result<Self, String> {
                match value {
                    super::Value::Choice(name) => name.parse().map_err(|error: UnknownName| error.to_string()),
                    other => Err(super::field::another_type(&other)),
                }
            }
        }
    };
}

with_values!(NetworkChoice, choice, [
    /// Which feature network measures content and style.
]);
with_values!(Normalization, choice, [
    /// What the loss terms are divided by.
]);
with_values!(StyleStatistic, choice, [
    /// What of a layer's activations is the style.
]);
with_values!(PoolingChoice, choice, [
    /// How the network halves its resolution.
]);
with_values!(OptimizerKind, choice, [
    /// How the picture moves along the gradient.
]);
with_values!(Init, choice, [
    /// Where a fresh start begins.
]);
with_values!(Mode, choice, [
    /// Whether frames wait until they are painted.
]);
with_values!(BackendChoice, choice, [
    /// What performs the operations.
]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_read_by_the_name_that_it_is_written_with() {
        for value in NetworkChoice::CHOICE.values {
            let read: NetworkChoice = value.name.parse().unwrap();
            assert_eq!(read.to_string(), value.name);
        }
        let error = "bright".parse::<Init>().unwrap_err().to_string();
        assert_eq!(error, "‘bright’ is not one of matched, content, noise, previous");
    }

    #[test]
    fn the_first_value_is_the_default_and_hidden_ones_have_names_too() {
        assert_eq!(Init::default().name(), Init::CHOICE.values[0].name);
        assert_eq!("reference".parse(), Ok(BackendChoice::Reference));
        let hidden: Vec<&str> = BackendChoice::CHOICE
            .values
            .iter()
            .filter(|value| value.hidden)
            .map(|value| value.name)
            .collect();
        assert_eq!(hidden, ["reference"]);
    }
}
