// SPDX-License-Identifier: MIT OR Apache-2.0

//! The slow, obvious implementation in f64. Every loop is the formula of [`Backend`]'s documentation and nothing
//! else; whatever is faster is measured against it.

mod convolution;
mod flow;
mod guided;

use convolution::{Towards, convolved};

use super::resample::{Taps, catmull_rom, mirrored};
use super::{
    AdamKnobs, Backend, CancelToken, Capture, ColourMap, ColourStatistics, Error, FilterData, Interpolation,
    Mix, Pooling, Result, Scalar, Shape, Slot,
};
use crate::picture::{Picture, PictureView};

/// Values in [C, H, W] order.
#[derive(Clone, Debug, Default)]
pub struct Tensor {
    pub shape: Shape,
    pub values: Vec<f64>,
}

impl Tensor {
    fn index(&self, c: usize, y: usize, x: usize) -> usize {
        (c * self.shape.height + y) * self.shape.width + x
    }

    fn at(&self, c: usize, y: usize, x: usize) -> f64 {
        self.values[self.index(c, y, x)]
    }

    fn set(&mut self, c: usize, y: usize, x: usize, value: f64) {
        let index = self.index(c, y, x);
        self.values[index] = value;
    }
}

/// What backward needs of forward.
#[derive(Clone, Debug, Default)]
pub struct Mask {
    shape: Shape,
    /// Of a ReLU: 1 where positive.
    pub positive: Vec<u8>,
    /// Of max pooling: the winner of each window, 0..4.
    pub winners: Vec<u8>,
}

/// All (channel, row, column) of a shape, in memory order.
fn positions(shape: Shape) -> impl Iterator<Item = (usize, usize, usize)> {
    (0..shape.channels)
        .flat_map(move |c| (0..shape.height).flat_map(move |y| (0..shape.width).map(move |x| (c, y, x))))
}

/// The offset of a tap of a 3×3 kernel from its centre: (row, column).
fn taps() -> impl Iterator<Item = (usize, isize, isize)> {
    (0..9).map(|tap| (tap, tap as isize / 3 - 1, tap as isize % 3 - 1))
}

#[derive(Debug, Default)]
pub struct Reference {
    cancel: CancelToken,
    bytes: usize,
}

impl Reference {
    pub fn new(cancel: CancelToken) -> Self {
        Self { cancel, bytes: 0 }
    }

    fn poll(&self) -> Result<()> {
        if self.cancel.is_cancelled() {
            Err(Error::Cancelled)
        } else {
            Ok(())
        }
    }
}

/// The shape without its margin.
fn inside(shape: Shape, border: usize) -> Shape {
    Shape::new(
        shape.channels,
        shape.height - 2 * border,
        shape.width - 2 * border,
    )
}

/// Resamples a picture given as a function of (channel, row, column).
fn resampled(
    source: impl Fn(usize, usize, usize) -> f64,
    from: Shape,
    to: Shape,
) -> impl Fn(usize, usize, usize) -> f64 {
    let rows = Taps::new(from.height, to.height);
    let columns = Taps::new(from.width, to.width);
    move |c, y, x| {
        let (top, down) = rows.of(y);
        let (left, across) = columns.of(x);
        let mut sum = 0.0;
        for (i, a) in down.iter().enumerate() {
            for (j, b) in across.iter().enumerate() {
                sum += f64::from(*a) * f64::from(*b) * source(c, top + i, left + j);
            }
        }
        sum
    }
}

impl Backend for Reference {
    type Tensor = Tensor;
    type Filter = FilterData;
    type Mask = Mask;

    fn name(&self) -> &'static str {
        "reference"
    }

    fn device(&self) -> String {
        "one thread, f64".into()
    }

    fn bytes_in_use(&self) -> usize {
        self.bytes
    }

    fn available_bytes(&self) -> Option<usize> {
        None
    }

    fn tensor(&mut self, shape: Shape) -> Result<Tensor> {
        self.bytes += Self::tensor_bytes(shape);
        Ok(Tensor {
            shape,
            values: vec![0.0; shape.elements()],
        })
    }

    fn shape(&self, tensor: &Tensor) -> Shape {
        tensor.shape
    }

    fn reshape(&self, tensor: &mut Tensor, shape: Shape) {
        tensor.shape = shape;
        tensor.values.resize(shape.elements(), 0.0);
    }

    fn tensor_bytes(shape: Shape) -> usize {
        shape.elements() * size_of::<f64>()
    }

    fn room(&mut self, shapes: &[Shape]) -> Result<Tensor> {
        self.bytes += shapes
            .iter()
            .map(|&shape| Self::tensor_bytes(shape))
            .max()
            .unwrap_or(0);
        let mut tensor = Tensor::default();
        self.reshape(&mut tensor, shapes.first().copied().unwrap_or_default());
        Ok(tensor)
    }

    fn mask(&mut self, shape: Shape) -> Result<Mask> {
        self.bytes += Self::mask_bytes(shape);
        Ok(Mask {
            shape,
            positive: vec![0; shape.elements()],
            winners: vec![0; shape.elements()],
        })
    }

    fn mask_bytes(shape: Shape) -> usize {
        2 * shape.elements()
    }

    fn filter(&mut self, data: &FilterData) -> Result<FilterData> {
        Ok(data.clone())
    }

    fn upload(&mut self, data: &[f32], tensor: &mut Tensor) -> Result<()> {
        assert_eq!(data.len(), tensor.values.len());
        tensor.values = data.iter().map(|&value| f64::from(value)).collect();
        Ok(())
    }

    fn download(&mut self, tensor: &Tensor, data: &mut [f32]) -> Result<()> {
        assert_eq!(data.len(), tensor.values.len());
        for (to, &from) in data.iter_mut().zip(&tensor.values) {
            *to = from as f32;
        }
        Ok(())
    }

    fn copy(&mut self, from: &Tensor, to: &mut Tensor) -> Result<()> {
        to.values.copy_from_slice(&from.values);
        Ok(())
    }

    fn fill(&mut self, value: f32, tensor: &mut Tensor) -> Result<()> {
        tensor.values.fill(f64::from(value));
        Ok(())
    }

    fn import(&mut self, frame: PictureView, border: usize, picture: &mut Tensor) -> Result<()> {
        self.poll()?;
        let ((width, height), rgb) = (frame.size(), frame.rgb());
        let source = |c: usize, y: usize, x: usize| f64::from(rgb[(y * width + x) * 3 + c]) / 255.0;
        let to = inside(picture.shape, border);
        let sample = resampled(source, Shape::new(3, height, width), to);
        for (c, y, x) in positions(to) {
            picture.set(c, y + border, x + border, sample(c, y, x));
        }
        Ok(())
    }

    fn export(
        &mut self,
        picture: &Tensor,
        content: &Tensor,
        border: usize,
        mix: Mix,
        frame: PictureView,
        out: &mut Picture,
    ) -> Result<()> {
        self.poll()?;
        guided::export(picture, content, border, mix, frame, out);
        Ok(())
    }

    fn resize(&mut self, from: &Tensor, border: usize, to: &mut Tensor) -> Result<()> {
        let source = |c, y, x| from.at(c, y + border, x + border);
        let target = inside(to.shape, border);
        let sample = resampled(source, inside(from.shape, border), target);
        for (c, y, x) in positions(target) {
            to.set(c, y + border, x + border, sample(c, y, x));
        }
        Ok(())
    }

    fn mirror_border(&mut self, picture: &mut Tensor, border: usize) -> Result<()> {
        let Shape { height, width, .. } = inside(picture.shape, border);
        for (c, y, x) in positions(picture.shape) {
            let row = border + mirrored(y as isize - border as isize, height);
            let column = border + mirrored(x as isize - border as isize, width);
            let value = picture.at(c, row, column);
            picture.set(c, y, x, value);
        }
        Ok(())
    }

    fn colour_statistics(&mut self, picture: &Tensor) -> Result<ColourStatistics> {
        let pixels = picture.shape.pixels();
        let channel = |c: usize| &picture.values[c * pixels..(c + 1) * pixels];
        let mean = [0, 1, 2].map(|c| channel(c).iter().sum::<f64>() / pixels as f64);
        let covariance = [0, 1, 2].map(|a| {
            [0, 1, 2].map(|b| {
                let products = channel(a)
                    .iter()
                    .zip(channel(b))
                    .map(|(p, q)| (p - mean[a]) * (q - mean[b]));
                products.sum::<f64>() / pixels as f64
            })
        });
        Ok(ColourStatistics { mean, covariance })
    }

    fn colour_map(&mut self, from: &Tensor, map: &ColourMap, to: &mut Tensor) -> Result<()> {
        for (c, y, x) in positions(from.shape) {
            let sum: f64 = (0..3).map(|k| map.matrix[c][k] * from.at(k, y, x)).sum();
            to.set(c, y, x, sum + map.offset[c]);
        }
        Ok(())
    }

    fn blend(&mut self, other: &Tensor, share: &Tensor, to: &mut Tensor) -> Result<()> {
        for (c, y, x) in positions(to.shape) {
            let s = share.at(0, y, x);
            let value = s * to.at(c, y, x) + (1.0 - s) * other.at(c, y, x);
            to.set(c, y, x, value);
        }
        Ok(())
    }

    fn warp(
        &mut self,
        from: &Tensor,
        flow: &Tensor,
        interpolation: Interpolation,
        to: &mut Tensor,
    ) -> Result<()> {
        let reach = match interpolation {
            Interpolation::Bilinear => 1,
            Interpolation::CatmullRom => 2,
        };
        let weight = |distance: f64| match interpolation {
            Interpolation::Bilinear => (1.0 - distance.abs()).max(0.0),
            Interpolation::CatmullRom => catmull_rom(distance),
        };
        let (right, bottom) = (from.shape.width - 1, from.shape.height - 1);
        let neighbours = |place: f64| (place.floor() as isize + 1 - reach)..=(place.floor() as isize + reach);
        let inside = |at: isize, last: usize| at.clamp(0, last as isize) as usize;
        for (c, y, x) in positions(to.shape) {
            let across = (x as f64 + flow.at(0, y, x)).clamp(0.0, right as f64);
            let down = (y as f64 + flow.at(1, y, x)).clamp(0.0, bottom as f64);
            let mut sum = 0.0;
            for v in neighbours(down) {
                for u in neighbours(across) {
                    sum += weight(v as f64 - down)
                        * weight(u as f64 - across)
                        * from.at(c, inside(v, bottom), inside(u, right));
                }
            }
            to.set(c, y, x, sum);
        }
        Ok(())
    }

    fn centre(&mut self, from: &Tensor, mean: [f32; 3], to: &mut Tensor) -> Result<()> {
        for (c, y, x) in positions(from.shape) {
            to.set(c, y, x, from.at(c, y, x) - f64::from(mean[c]));
        }
        Ok(())
    }

    fn conv_relu(
        &mut self,
        from: &Tensor,
        filter: &FilterData,
        to: &mut Tensor,
        mask: &mut Mask,
    ) -> Result<()> {
        self.poll()?;
        let bias: Vec<f64> = filter.bias.iter().copied().map(f64::from).collect();
        let weight = |o, i, tap| filter.weights[(o * filter.inputs + i) * 9 + tap];
        to.values = convolved(from, &bias, weight, Towards::Outputs);
        for (value, positive) in to.values.iter_mut().zip(&mut mask.positive) {
            *positive = u8::from(*value > 0.0);
            *value = value.max(0.0);
        }
        Ok(())
    }

    fn conv_relu_backward(
        &mut self,
        to: &Tensor,
        mask: &Mask,
        filter: &FilterData,
        from: &mut Tensor,
    ) -> Result<()> {
        self.poll()?;
        let mut to = to.clone();
        for (gradient, &positive) in to.values.iter_mut().zip(&mask.positive) {
            *gradient *= f64::from(positive);
        }
        let weight = |i, o, tap| filter.weights[(o * filter.inputs + i) * 9 + tap];
        from.values = convolved(&to, &vec![0.0; filter.inputs], weight, Towards::Inputs);
        Ok(())
    }

    fn conv_relu_pool(
        &mut self,
        from: &Tensor,
        filter: &FilterData,
        kind: Pooling,
        to: &mut Tensor,
        mask: &mut Mask,
    ) -> Result<()> {
        let mut whole = Tensor::default();
        self.reshape(&mut whole, mask.shape);
        self.conv_relu(from, filter, &mut whole, mask)?;
        self.pool(&whole, kind, to, mask)
    }

    fn conv_relu_pool_backward(
        &mut self,
        to: &Tensor,
        kind: Pooling,
        mask: &Mask,
        filter: &FilterData,
        from: &mut Tensor,
    ) -> Result<()> {
        let mut whole = Tensor::default();
        self.reshape(&mut whole, mask.shape);
        self.pool_backward(to, kind, mask, &mut whole)?;
        self.conv_relu_backward(&whole, mask, filter, from)
    }

    fn pool(&mut self, from: &Tensor, kind: Pooling, to: &mut Tensor, mask: &mut Mask) -> Result<()> {
        for (c, y, x) in positions(to.shape) {
            let window = window(from, c, y, x);
            let value = match kind {
                Pooling::Average => window.iter().map(|(_, value)| value).sum::<f64>() / window.len() as f64,
                Pooling::Max => {
                    let mut best = window[0];
                    for &candidate in &window {
                        if candidate.1 > best.1 {
                            best = candidate;
                        }
                    }
                    mask.winners[to.index(c, y, x)] = best.0;
                    best.1
                }
            };
            to.set(c, y, x, value);
        }
        Ok(())
    }

    fn pool_backward(&mut self, to: &Tensor, kind: Pooling, mask: &Mask, from: &mut Tensor) -> Result<()> {
        from.values.fill(0.0);
        for (c, y, x) in positions(to.shape) {
            let window = window(from, c, y, x);
            for &(place, _) in &window {
                let share = match kind {
                    Pooling::Average => 1.0 / window.len() as f64,
                    Pooling::Max => f64::from(u8::from(mask.winners[to.index(c, y, x)] == place)),
                };
                from.set(
                    c,
                    2 * y + place as usize / 2,
                    2 * x + place as usize % 2,
                    share * to.at(c, y, x),
                );
            }
        }
        Ok(())
    }

    fn squared_norm(&mut self, a: &Tensor, sum: Slot<Tensor>) -> Result<()> {
        sum.of.values[sum.at] = a.values.iter().map(|value| value * value).sum();
        Ok(())
    }

    fn squared_error(
        &mut self,
        a: &Tensor,
        target: &Tensor,
        coefficient: Scalar<Tensor>,
        gradient: &mut Tensor,
        sum: Slot<Tensor>,
    ) -> Result<()> {
        let ones = Tensor {
            shape: a.shape.with_channels(1),
            values: vec![1.0; a.shape.pixels()],
        };
        self.weighted_squared_error(a, target, &ones, coefficient, gradient, sum)
    }

    fn weighted_squared_error(
        &mut self,
        a: &Tensor,
        target: &Tensor,
        weight: &Tensor,
        coefficient: Scalar<Tensor>,
        gradient: &mut Tensor,
        sum: Slot<Tensor>,
    ) -> Result<()> {
        let coefficient = coefficient.of.values[coefficient.at];
        let mut total = 0.0;
        for (c, y, x) in positions(a.shape) {
            let error = a.at(c, y, x) - target.at(c, y, x);
            let w = weight.at(0, y, x);
            total += w * error * error;
            let index = gradient.index(c, y, x);
            gradient.values[index] += coefficient * w * error;
        }
        sum.of.values[sum.at] = total;
        Ok(())
    }

    fn gram(&mut self, a: &Tensor, scale: f32, gram: &mut Tensor) -> Result<()> {
        self.poll()?;
        let pixels = a.shape.pixels();
        for (_, k, l) in positions(gram.shape) {
            let products = (0..pixels).map(|p| a.values[k * pixels + p] * a.values[l * pixels + p]);
            gram.set(0, k, l, f64::from(scale) * products.sum::<f64>());
        }
        Ok(())
    }

    fn difference(
        &mut self,
        g: &Tensor,
        target: &Tensor,
        difference: &mut Tensor,
        sum: Slot<Tensor>,
    ) -> Result<()> {
        let mut total = 0.0;
        for ((d, g), t) in difference.values.iter_mut().zip(&g.values).zip(&target.values) {
            *d = g - t;
            total += *d * *d;
        }
        sum.of.values[sum.at] = total;
        Ok(())
    }

    fn gram_backward(
        &mut self,
        a: &Tensor,
        difference: &Tensor,
        coefficient: Scalar<Tensor>,
        gradient: &mut Tensor,
    ) -> Result<()> {
        self.poll()?;
        let coefficient = coefficient.of.values[coefficient.at];
        for (k, y, x) in positions(a.shape) {
            let sum: f64 = (0..a.shape.channels)
                .map(|l| difference.at(0, k, l) * a.at(l, y, x))
                .sum();
            let index = gradient.index(k, y, x);
            gradient.values[index] += coefficient * sum;
        }
        Ok(())
    }

    fn total_variation(
        &mut self,
        x: &Tensor,
        coefficient: Scalar<Tensor>,
        gradient: &mut Tensor,
        sum: Slot<Tensor>,
    ) -> Result<()> {
        let coefficient = coefficient.of.values[coefficient.at];
        let mut total = 0.0;
        for (c, row, column) in positions(x.shape) {
            for (below, right) in [(row + 1, column), (row, column + 1)] {
                if below < x.shape.height && right < x.shape.width {
                    let step = x.at(c, below, right) - x.at(c, row, column);
                    total += step * step;
                    let (here, there) = (x.index(c, row, column), x.index(c, below, right));
                    gradient.values[there] += coefficient * 2.0 * step;
                    gradient.values[here] -= coefficient * 2.0 * step;
                }
            }
        }
        sum.of.values[sum.at] = total;
        Ok(())
    }

    fn square(&mut self, from: &Tensor, to: &mut Tensor) -> Result<()> {
        to.values = from.values.iter().map(|value| value * value).collect();
        Ok(())
    }

    fn blur(&mut self, from: &Tensor, to: &mut Tensor) -> Result<()> {
        let Shape { height, width, .. } = from.shape;
        let clamped = |at: isize, length: usize| at.clamp(0, length as isize - 1) as usize;
        for (c, y, x) in positions(from.shape) {
            let mut sum = 0.0;
            for (_, dy, dx) in taps() {
                let weight = [0.25, 0.5, 0.25][(dy + 1) as usize] * [0.25, 0.5, 0.25][(dx + 1) as usize];
                sum += weight
                    * from.at(
                        c,
                        clamped(y as isize + dy, height),
                        clamped(x as isize + dx, width),
                    );
            }
            to.set(c, y, x, sum);
        }
        Ok(())
    }

    fn axpy(&mut self, factor: f32, x: &Tensor, to: &mut Tensor) -> Result<()> {
        for (to, x) in to.values.iter_mut().zip(&x.values) {
            *to += f64::from(factor) * x;
        }
        Ok(())
    }

    fn adam(
        &mut self,
        x: &mut Tensor,
        gradient: &Tensor,
        squared: &Tensor,
        m: &mut Tensor,
        v: &mut Tensor,
        knobs: &Tensor,
        at: AdamKnobs,
    ) -> Result<()> {
        let knob = |index: usize| knobs.values[index];
        let (beta1, beta2) = (knob(at.beta1), knob(at.beta2));
        for i in 0..x.values.len() {
            m.values[i] = beta1 * m.values[i] + (1.0 - beta1) * gradient.values[i];
            v.values[i] = beta2 * v.values[i] + (1.0 - beta2) * squared.values[i];
            let root = v.values[i].sqrt() * knob(at.root) + knob(at.epsilon);
            x.values[i] -= knob(at.rate) * m.values[i] / root;
        }
        Ok(())
    }

    fn sgd(
        &mut self,
        x: &mut Tensor,
        gradient: &Tensor,
        velocity: &mut Tensor,
        rate: Scalar<Tensor>,
        momentum: Scalar<Tensor>,
    ) -> Result<()> {
        let (rate, momentum) = (rate.of.values[rate.at], momentum.of.values[momentum.at]);
        for i in 0..x.values.len() {
            velocity.values[i] = momentum * velocity.values[i] + gradient.values[i];
            x.values[i] -= rate * velocity.values[i];
        }
        Ok(())
    }

    fn capture<R>(&mut self, capture: &mut Capture, mut record: R) -> Result<()>
    where
        R: FnMut(&mut Self) -> Result<()> + Send,
    {
        capture.runs += 1;
        record(self)
    }
}

/// The values of a pooling window with their places 0..4 in row-major order; fewer than four where the picture has
/// only one row or column.
fn window(from: &Tensor, c: usize, y: usize, x: usize) -> Vec<(u8, f64)> {
    (0..4u8)
        .map(|place| (place, 2 * y + place as usize / 2, 2 * x + place as usize % 2))
        .filter(|&(_, row, column)| row < from.shape.height && column < from.shape.width)
        .map(|(place, row, column)| (place, from.at(c, row, column)))
        .collect()
}
