// SPDX-License-Identifier: MIT OR Apache-2.0

//! J(G) = α J_content + β J_style + tv-weight · TV + temporal-weight · J_temporal, and its gradient.
//!
//! With `a[l]` the activations [C, P] of layer l on P pixels and λ the weight of a layer, the terms are
//!
//! | term | `normalization=gatys` | `normalization=relative` |
//! | --- | --- | --- |
//! | J_content | Σ λ · ½ ‖a(G) − a(C)‖² | Σ λ · ½ ‖a(G) − a(C)‖² / ‖a(C)‖² |
//! | J_style of Gram matrices | Σ λ · ‖G(G) − G(S)‖² / (2 P C)² | Σ λ · ‖G(G) − G(S)‖² / ‖G(S)‖² |
//! | J_style of covariances | Σ λ · P² (‖K(G) − K(S)‖² + ‖μ(G) − μ(S)‖²) / (2 P C)² | Σ λ · (‖K(G) − K(S)‖² / ‖K(S)‖² + ‖μ(G) − μ(S)‖² / ‖μ(S)‖²) |
//! | TV | Σ squared steps to the right and down | the same / (3 P) |
//! | J_temporal | ½ Σ w (G − G′)² | the same / (3 P) |
//!
//! where G = a aᵀ is the Gram matrix, μ = a 1/P the mean and K = a aᵀ/P − μ μᵀ the covariance over pixels. The Gram matrix G(S) of
//! a style picture of another size is multiplied by the ratio of the pixels.
//!
//! ‖G‖² is mostly the mean's outer product, so that a relative error of the Gram matrix hardly depends on texture; that of a
//! covariance does. For ‖K(S)‖² at least 1e-4 ‖G(S)‖² is taken: a style of one colour has hardly a covariance.

use crate::backend::{self, Backend, Moments, Scalar, Shape, Slot};
use crate::gatys::measure::features::Features;
use crate::gatys::measure::style::{StyleTarget, StyleView, style_pass};
use crate::gatys::network::extractor::Extractor;
use crate::gatys::statistic::{Measure, Statistic};
use crate::gatys::{Normalization, Result};

/// The weights of the terms of J.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LossWeights {
    /// α.
    pub content: f64,
    /// β.
    pub style: f64,
    pub tv: f64,
    pub temporal: f64,
}

/// The unweighted terms of J and their weighted sum.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Losses {
    pub content: f64,
    pub style: f64,
    pub tv: f64,
    pub temporal: f64,
    pub total: f64,
}

impl Losses {
    pub fn are_finite(&self) -> bool {
        self.total.is_finite()
    }
}

/// ½ ‖a(G) − a(C)‖² at one layer.
struct ContentTerm<B: Backend> {
    node: usize,
    lambda: f64,
    target: B::Tensor,
    /// The factor of ½ ‖·‖².
    norm: f64,
}

/// How far the statistic of one layer is from the style's. Gram matrices and covariances are kept multiplied by
/// 1/(P C), which also puts style pictures of other sizes on the same footing.
struct StyleTerm<B: Backend> {
    node: usize,
    lambda: f64,
    /// 1/(P C).
    scale: f32,
    /// 1/C.
    share: f32,
    gram: B::Tensor,
    mean: B::Tensor,
    difference: B::Tensor,
    offset: B::Tensor,
    /// The style's Gram matrix or covariance, and its mean.
    target: B::Tensor,
    target_mean: B::Tensor,
    /// The factor of ‖scaled difference‖², and how much more the squared error of the mean counts.
    norm: f64,
    mean_weight: f64,
}

impl<B: Backend> StyleTerm<B> {
    /// Compares the moments with the target, for the sum and for the way back.
    fn compare(
        &mut self,
        ops: &mut B,
        statistic: Statistic,
        mean_weight: Scalar<B::Tensor>,
        sum: Slot<B::Tensor>,
    ) -> backend::Result<()> {
        match statistic {
            // The offset stays zero.
            Statistic::Gram => ops.difference(&self.gram, &self.target, &mut self.difference, sum),
            Statistic::Covariance => ops.covariance_difference(
                Moments {
                    second: &self.gram,
                    mean: &self.mean,
                },
                Moments {
                    second: &self.target,
                    mean: &self.target_mean,
                },
                self.share,
                mean_weight,
                &mut self.difference,
                &mut self.offset,
                sum,
            ),
        }
    }
}

/// J and its gradient for pictures of one size.
pub struct Objective<B: Backend> {
    measure: Measure,
    features: Features<B>,
    content: Vec<ContentTerm<B>>,
    style: Vec<StyleTerm<B>>,
    /// The picture that J_temporal pulls towards, and how much each pixel of it counts.
    anchor: B::Tensor,
    anchor_weight: B::Tensor,
    /// Coefficients of the gradients: content terms, style terms, TV, temporal; then the style terms' weights of the mean.
    knobs: B::Tensor,
    knob_values: Vec<f32>,
    /// Raw sums of the terms in the same order.
    sums: B::Tensor,
    weights: LossWeights,
}

impl<B: Backend> Objective<B> {
    /// Plans for pictures of shape `picture`. `content` and `style` are (node, λ). There is room to measure style
    /// pictures, or tiles of them, of the shape `guest`, too.
    pub fn new(
        ops: &mut B,
        extractor: &Extractor<B>,
        picture: Shape,
        content: &[(usize, f64)],
        style: &[(usize, f64)],
        measure: Measure,
        guest: Option<Shape>,
    ) -> Result<Self> {
        let kept = kept_nodes(content, style);
        let guest = guest.map(|shape| style_pass(extractor, shape, style));
        let features = Features::new(ops, extractor, picture, &kept, guest.as_ref())?;
        let mut content_terms = Vec::with_capacity(content.len());
        for &(node, lambda) in content {
            let target = ops.tensor(features.shape(node))?;
            content_terms.push(ContentTerm {
                node,
                lambda,
                target,
                norm: 1.0,
            });
        }
        let mut style_terms = Vec::with_capacity(style.len());
        for &(node, lambda) in style {
            let shape = features.shape(node);
            let (square, vector) = (Shape::square(shape.channels), Shape::vector(shape.channels));
            style_terms.push(StyleTerm {
                node,
                lambda,
                scale: 1.0 / shape.elements() as f32,
                share: 1.0 / shape.channels as f32,
                gram: ops.tensor(square)?,
                mean: ops.tensor(vector)?,
                difference: ops.tensor(square)?,
                offset: ops.tensor(vector)?,
                target: ops.tensor(square)?,
                target_mean: ops.tensor(vector)?,
                norm: 0.25,
                mean_weight: 0.0,
            });
        }
        let sums = content.len() + style.len() + 2;
        let knobs = sums + style.len();
        Ok(Self {
            measure,
            anchor: ops.tensor(picture)?,
            anchor_weight: ops.tensor(picture.with_channels(1))?,
            knobs: ops.tensor(Shape::vector(knobs))?,
            knob_values: vec![0.0; knobs],
            sums: ops.tensor(Shape::vector(sums))?,
            weights: LossWeights::default(),
            features,
            content: content_terms,
            style: style_terms,
        })
    }

    /// Measures a style picture at `layers`. If the activations of its tiles fit into the buffers that are there, as those of
    /// the shape `guest` do, this allocates no more than a tile, one mask, one layer's part of a tile and its moments at a time;
    /// otherwise two buffers as well.
    pub fn measure_style(
        &mut self,
        ops: &mut B,
        extractor: &Extractor<B>,
        layers: &[(usize, f64)],
        style: StyleView,
    ) -> Result<StyleTarget> {
        StyleTarget::by_tiles(ops, extractor, layers, style, &mut self.features)
    }

    /// Takes the activations of `picture` as the content.
    pub fn set_content(&mut self, ops: &mut B, extractor: &Extractor<B>, picture: &B::Tensor) -> Result<()> {
        self.features.forward(ops, extractor, picture)?;
        let mut sums = vec![0.0; self.terms()];
        for (slot, term) in self.content.iter_mut().enumerate() {
            ops.copy(self.features.value(term.node), &mut term.target)?;
            ops.squared_norm(
                &term.target,
                Slot {
                    of: &mut self.sums,
                    at: slot,
                },
            )?;
        }
        ops.download(&self.sums, &mut sums)?;
        if self.measure.normalization == Normalization::Relative {
            for (term, &sum) in self.content.iter_mut().zip(&sums) {
                term.norm = reciprocal(f64::from(sum));
            }
        }
        Ok(())
    }

    /// Takes what was measured at a style picture, at the same layers.
    pub fn set_style(&mut self, ops: &mut B, target: &StyleTarget) -> Result<()> {
        let Measure {
            normalization,
            statistic,
        } = self.measure;
        for (term, moments) in self.style.iter_mut().zip(target.layers()) {
            let wanted = match statistic {
                Statistic::Gram => moments.gram.clone(),
                Statistic::Covariance => moments.covariance(),
            };
            ops.upload(&wanted, &mut term.target)?;
            ops.upload(&moments.mean, &mut term.target_mean)?;
            (term.norm, term.mean_weight) = match normalization {
                // The definition divides by (2 P C)²; the matrices have been divided by P C already, the means by P.
                Normalization::Gatys => (0.25, f64::from(term.share).powi(2)),
                Normalization::Relative => {
                    // A style of one colour has hardly a covariance, and must not be all that counts.
                    let spread = squared(&wanted).max(LEAST_SPREAD * squared(&moments.gram));
                    (reciprocal(spread), spread * reciprocal(squared(&moments.mean)))
                }
            };
        }
        Ok(())
    }

    /// How many terms J has: content and style layers, TV and J_temporal.
    fn terms(&self) -> usize {
        self.content.len() + self.style.len() + 2
    }

    /// The picture [3, H, W] and weights [1, H, W] of J_temporal, to be written into.
    pub fn anchor(&mut self) -> (&mut B::Tensor, &mut B::Tensor) {
        (&mut self.anchor, &mut self.anchor_weight)
    }

    /// Makes the next evaluations use these weights.
    pub fn set_weights(&mut self, ops: &mut B, weights: LossWeights) -> Result<()> {
        self.weights = weights;
        let per_pixel = self.per_pixel_norm();
        let content = self
            .content
            .iter()
            .map(|term| weights.content * term.lambda * term.norm);
        // J = n ‖s a aᵀ − T‖² has the gradient 4 n s (s a aᵀ − T) a.
        let style = self
            .style
            .iter()
            .map(|term| weights.style * term.lambda * 4.0 * term.norm * f64::from(term.scale));
        let others = [weights.tv * per_pixel, weights.temporal * per_pixel];
        let means = self.style.iter().map(|term| term.mean_weight);
        for (knob, value) in self
            .knob_values
            .iter_mut()
            .zip(content.chain(style).chain(others).chain(means))
        {
            *knob = value as f32;
        }
        Ok(ops.upload(&self.knob_values, &mut self.knobs)?)
    }

    /// J and ∂J/∂G at `picture`; read them with [`losses`](Self::losses) and [`gradient`](Self::gradient).
    pub fn evaluate(
        &mut self,
        ops: &mut B,
        extractor: &Extractor<B>,
        picture: &B::Tensor,
    ) -> backend::Result<()> {
        self.features.forward(ops, extractor, picture)?;
        let terms = self.terms();
        let Self {
            measure,
            features,
            content,
            style,
            knobs,
            sums,
            ..
        } = self;
        let contents = content.len();
        for (index, term) in style.iter_mut().enumerate() {
            ops.moments(
                features.value(term.node),
                term.scale,
                &mut term.gram,
                &mut term.mean,
            )?;
            let slot = Slot {
                of: &mut *sums,
                at: contents + index,
            };
            let mean_weight = Scalar {
                of: &*knobs,
                at: terms + index,
            };
            term.compare(ops, measure.statistic, mean_weight, slot)?;
        }
        let gradient = features.backward(ops, extractor, |ops, node, activations, gradient| {
            for (index, term) in content.iter().enumerate().filter(|(_, term)| term.node == node) {
                let coefficient = Scalar {
                    of: &*knobs,
                    at: index,
                };
                let slot = Slot {
                    of: &mut *sums,
                    at: index,
                };
                ops.squared_error(activations, &term.target, coefficient, gradient, slot)?;
            }
            for (index, term) in style.iter().enumerate().filter(|(_, term)| term.node == node) {
                let coefficient = Scalar {
                    of: &*knobs,
                    at: contents + index,
                };
                ops.moments_backward(activations, &term.difference, &term.offset, coefficient, gradient)?;
            }
            Ok(())
        })?;
        let (tv, temporal) = (contents + style.len(), contents + style.len() + 1);
        let coefficient = Scalar { of: &*knobs, at: tv };
        ops.total_variation(
            picture,
            coefficient,
            gradient,
            Slot {
                of: &mut *sums,
                at: tv,
            },
        )?;
        let coefficient = Scalar {
            of: &*knobs,
            at: temporal,
        };
        let slot = Slot {
            of: &mut *sums,
            at: temporal,
        };
        ops.weighted_squared_error(
            picture,
            &self.anchor,
            &self.anchor_weight,
            coefficient,
            gradient,
            slot,
        )?;
        Ok(())
    }

    /// ∂J/∂G of the last evaluation, [3, H, W].
    pub fn gradient(&self) -> &B::Tensor {
        self.features.gradient()
    }

    /// The terms of the last evaluation; waits for the backend.
    pub fn losses(&mut self, ops: &mut B) -> Result<Losses> {
        let mut sums = vec![0.0; self.terms()];
        ops.download(&self.sums, &mut sums)?;
        let sums: Vec<f64> = sums.into_iter().map(f64::from).collect();
        Ok(self.losses_of(&sums))
    }

    /// The terms that belong to raw `sums`, in the order of the slots.
    pub fn losses_of(&self, sums: &[f64]) -> Losses {
        let (content_sums, rest) = sums.split_at(self.content.len());
        let (style_sums, rest) = rest.split_at(self.style.len());
        let content = self
            .content
            .iter()
            .zip(content_sums)
            .map(|(term, sum)| term.lambda * 0.5 * term.norm * sum);
        let style = self
            .style
            .iter()
            .zip(style_sums)
            .map(|(term, sum)| term.lambda * term.norm * sum);
        let (content, style) = (content.sum(), style.sum());
        let per_pixel = self.per_pixel_norm();
        let (tv, temporal) = (per_pixel * rest[0], 0.5 * per_pixel * rest[1]);
        let LossWeights {
            content: alpha,
            style: beta,
            tv: tv_weight,
            temporal: temporal_weight,
        } = self.weights;
        let total = alpha * content + beta * style + tv_weight * tv + temporal_weight * temporal;
        Losses {
            content,
            style,
            tv,
            temporal,
            total,
        }
    }

    /// Raw sums of the last evaluation, in the order of the slots that [`losses_of`](Self::losses_of) expects.
    pub fn sums(&self) -> &B::Tensor {
        &self.sums
    }

    /// What the sums over pixels are divided by.
    fn per_pixel_norm(&self) -> f64 {
        match self.measure.normalization {
            Normalization::Gatys => 1.0,
            Normalization::Relative => 1.0 / self.features.shape(0).elements() as f64,
        }
    }
}

/// Nodes whose activations are looked at.
fn kept_nodes(content: &[(usize, f64)], style: &[(usize, f64)]) -> Vec<usize> {
    content.iter().chain(style).map(|(node, _)| *node).collect()
}

/// The least part of ‖G(S)‖² by which the error of a covariance is divided.
const LEAST_SPREAD: f64 = 1e-4;

fn squared(numbers: &[f32]) -> f64 {
    numbers
        .iter()
        .map(|&number| f64::from(number) * f64::from(number))
        .sum()
}

/// 1/x, for a sum of squares that may be zero when a layer is silent.
fn reciprocal(x: f64) -> f64 {
    1.0 / x.max(1e-12)
}
