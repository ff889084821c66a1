// SPDX-License-Identifier: MIT OR Apache-2.0

//! What of activations J compares, and what it divides by.

use crate::gatys::{Normalization, StyleStatistic};
use crate::settings::Options;

/// How the terms of J are formed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measure {
    pub normalization: Normalization,
    pub statistic: Statistic,
}

/// What of a layer's activations is the style.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statistic {
    Gram,
    Covariance,
}

impl From<Normalization> for Measure {
    /// With the statistic that is the default of this normalization.
    fn from(normalization: Normalization) -> Self {
        let statistic = match normalization {
            Normalization::Relative => Statistic::Covariance,
            Normalization::Gatys => Statistic::Gram,
        };
        Self {
            normalization,
            statistic,
        }
    }
}

impl From<&Options> for Measure {
    fn from(options: &Options) -> Self {
        let default = Self::from(options.normalization);
        let statistic = match options.style_statistic {
            StyleStatistic::Auto => default.statistic,
            StyleStatistic::Gram => Statistic::Gram,
            StyleStatistic::Covariance => Statistic::Covariance,
        };
        Self { statistic, ..default }
    }
}
