// SPDX-License-Identifier: MIT OR Apache-2.0

//! All figures of a painting together.

use serde_json::{Map, Value};

use super::figures::high_pass::HighPass;
use super::figures::structure::Structure;
use super::figures::{Planes, grey, histogram, similarity};
use super::network::Vgg;
use crate::failure::Failure;
use crate::measure::judge::style_size;
use neuralstyle::stylizer::Frame;

/// The names of the figures, in the order of [`Verdict`].
pub const NAMES: [&str; 13] = [
    "gram",
    "covariance",
    "mean",
    "content",
    "ssim",
    "cfsd",
    "histogram",
    "hY",
    "hC",
    "weak",
    "coherence",
    "grey_mean",
    "grey_99",
];

/// The figures of a painting by [`NAMES`].
#[derive(Clone, Copy, Debug)]
pub struct Verdict([f64; NAMES.len()]);

impl Verdict {
    /// Judges a painting by a content of the same size and by a style picture that was cropped.
    pub fn of(vgg: &mut Vgg, painting: &Frame, content: &Frame, style: &Frame) -> Result<Self, Failure> {
        let (distances, style) = vgg.compare(painting, content, style, style_size(style, painting.size()))?;
        let (grey_mean, grey_99) = grey::distance(painting);
        let side = painting.width().max(painting.height());
        let (painting, content) = (Planes::of(painting), Planes::of(content));
        let (luma, luma_of_content, luma_of_style) = (painting.luma(), content.luma(), style.luma());

        let (detail, detail_of_style) = (HighPass::of(&painting), HighPass::of(&style));
        let weakest = detail_of_style.weakest_axis();
        let [structure, structure_of_content, structure_of_style] =
            [&luma, &luma_of_content, &luma_of_style].map(|luma| Structure::of(luma, side));
        Ok(Self([
            distances.gram,
            distances.covariance,
            distances.mean,
            distances.content,
            similarity::ssim(&luma, &luma_of_content),
            distances.cfsd,
            histogram::distance(&painting, &style),
            quotient(detail.luma(), detail_of_style.luma()),
            quotient(detail.chroma(), detail_of_style.chroma()),
            quotient(detail.along(weakest), detail_of_style.along(weakest)),
            quotient(
                structure.coherence_in_flats_of(&structure_of_content),
                structure_of_style.mean_coherence(),
            ),
            grey_mean,
            grey_99,
        ]))
    }

    /// The mean of each figure, over those paintings that have one.
    pub fn mean(verdicts: &[Self]) -> Self {
        let mean = |at: usize| {
            let figures = verdicts.iter().map(|verdict| verdict.0[at]);
            let (sum, count) = figures
                .filter(|figure| !figure.is_nan())
                .fold((0.0, 0.0), |(sum, count), figure| (sum + figure, count + 1.0));
            sum / count
        };
        Self(std::array::from_fn(mean))
    }

    /// By name. A quotient whose divisor is 0, as the chroma of a grey style picture, is `null`.
    pub fn document(&self) -> Map<String, Value> {
        let figures = NAMES.iter().zip(self.0);
        figures
            .map(|(name, figure)| ((*name).to_owned(), figure.into()))
            .collect()
    }

    /// The figures for people, in columns as wide as those of [`heading`].
    pub fn row(&self) -> String {
        let columns = NAMES.iter().zip(self.0).map(|(name, figure)| {
            let digits = if name.starts_with("grey") { 1 } else { 4 };
            format!(" {figure:>width$.digits$}", width = width(name))
        });
        columns.collect()
    }
}

/// A quotient, or NaN where the divisor is nothing but roundings.
fn quotient(of: f64, by: f64) -> f64 {
    const ROUNDINGS: f64 = 1e-10;
    if by > ROUNDINGS { of / by } else { f64::NAN }
}

/// The names over the columns of [`Verdict::row`].
pub fn heading() -> String {
    NAMES
        .iter()
        .map(|name| format!(" {name:>width$}", width = width(name)))
        .collect()
}

fn width(name: &str) -> usize {
    name.len().max(7)
}
