// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Loss terms: a sum, and a gradient added to a running one. A thread adds up its items, a block its threads by a tree, and
// `finish_sum` the blocks, always in the same order: the same input gives the same bits. No run of single additions is
// longer than 64 for tensors of up to 2²⁴ numbers, so that the error of a sum stays near log₂ of its length.
//
// `_f32`: planar operands. `_f16`: blocked activations and gradients, the gradients multiplied by the loss scale.
// `count` counts numbers in memory; an item is one f32, or eight lanes of fp16.
// Launch of all: up to 1024 blocks of 256 threads; partials: one f32 for each block.

#include "primitives.cuh"

// sums[slot] = factor · Σ partials. One block.
KERNEL __launch_bounds__(BLOCK_THREADS)
    finish_sum(const float *partials, int blocks, float factor, float *sums, int slot) {
    float sum = 0.0f;
    each_partial(blocks, [&](int block) { sum += partials[block]; });
    sum = block_sum(sum);
    if (threadIdx.x == 0) {
        sums[slot] = factor * sum;
    }
}

INLINE void finish_block(float sum, float *partials) {
    sum = block_sum(sum);
    if (threadIdx.x == 0) {
        partials[blockIdx.x] = sum;
    }
}

// Σ a².
KERNEL __launch_bounds__(BLOCK_THREADS) squared_norm_f32(const float *a, int count, float *partials) {
    float sum = 0.0f;
    EACH(item, count) {
        sum += a[item] * a[item];
    }
    finish_block(sum, partials);
}

KERNEL __launch_bounds__(BLOCK_THREADS) squared_norm_f16(const half *a, int count, float *partials) {
    float sum = 0.0f;
    EACH(item, count / 8) {
        const Eight eight = load_eight(a + item * 8);
#pragma unroll
        for (int i = 0; i < 8; ++i) {
            sum += eight.values[i] * eight.values[i];
        }
    }
    finish_block(sum, partials);
}

// difference = g − target; Σ difference². For Gram matrices.
KERNEL __launch_bounds__(BLOCK_THREADS)
    difference(const float *g, const float *target, float *difference, int count, float *partials) {
    float sum = 0.0f;
    EACH(item, count) {
        const float d = g[item] - target[item];
        difference[item] = d;
        sum += d * d;
    }
    finish_block(sum, partials);
}

// With the moments G [C, C] and mean μ [C] of activations, covariance K and mean ν of a target, and w = weight[at]:
// difference = D = G − q μ μᵀ − K; offset = w/(2q) · (μ − ν) − D μ; Σ D² + w Σ (μ − ν)².
// Launch: ⌈channels/8⌉ blocks of 256 threads, a warp for each row; partials: one f32 for each block.
KERNEL __launch_bounds__(BLOCK_THREADS)
    covariance_difference(const float *gram, const float *mean, const float *covariance, const float *wanted, float q,
                          const float *weight, int at, float *difference, float *offset, int channels, float *partials) {
    const int row = blockIdx.x * (BLOCK_THREADS / 32) + threadIdx.x / 32;
    float squares = 0.0f;
    if (row < channels) {
        const float spread = q * mean[row];
        float product = 0.0f;
        for (int column = threadIdx.x % 32; column < channels; column += 32) {
            const int place = row * channels + column;
            const float d = gram[place] - spread * mean[column] - covariance[place];
            difference[place] = d;
            product += d * mean[column];
            squares += d * d;
        }
        product = warp_sum(product);
        if (threadIdx.x % 32 == 0) {
            const float error = mean[row] - wanted[row];
            offset[row] = weight[at] / (2.0f * q) * error - product;
            squares += weight[at] * error * error;
        }
    }
    finish_block(squares, partials);
}

// Σ w (a − t)²; gradient += pull · w · (a − t), where `weight` says w of an item.
template <class Weight>
INLINE void squared_error(const float *a, const float *target, float pull, float *gradient, int count, float *partials,
                          Weight weight) {
    float sum = 0.0f;
    EACH(item, count) {
        const float error = a[item] - target[item], weighed = weight(item) * error;
        gradient[item] += pull * weighed;
        sum += weighed * error;
    }
    finish_block(sum, partials);
}

template <class Weight>
INLINE void squared_error(const half *a, const half *target, float pull, half *gradient, int count, float *partials,
                          u32 *overflow, Weight weight) {
    float sum = 0.0f;
    bool overflowed = false;
    EACH(item, count / 8) {
        const Eight values = load_eight(a + item * 8), targets = load_eight(target + item * 8);
        Eight pulled = load_eight(gradient + item * 8);
        const float w = weight(item);
#pragma unroll
        for (int i = 0; i < 8; ++i) {
            const float error = values.values[i] - targets.values[i], weighed = w * error;
            pulled.values[i] += pull * weighed;
            sum += weighed * error;
        }
        overflowed |= store_eight(gradient + item * 8, pulled);
    }
    raise(overflow, overflowed);
    finish_block(sum, partials);
}

// Σ (a − t)²; gradient += coefficient[at] · factor · (a − t).
KERNEL __launch_bounds__(BLOCK_THREADS)
    squared_error_f32(const float *a, const float *target, const float *coefficient, int at, float factor, float *gradient,
                      int count, float *partials) {
    const auto one = [](int) { return 1.0f; };
    squared_error(a, target, coefficient[at] * factor, gradient, count, partials, one);
}

// The same, with gradient += coefficient[at] · factor · loss_scale · (a − t).
KERNEL __launch_bounds__(BLOCK_THREADS)
    squared_error_f16(const half *a, const half *target, const float *coefficient, int at, float factor,
                      const float *loss_scale, half *gradient, int count, float *partials, u32 *overflow) {
    const float pull = coefficient[at] * factor * scale_or_one(loss_scale);
    const auto one = [](int) { return 1.0f; };
    squared_error(a, target, pull, gradient, count, partials, overflow, one);
}

// Each pixel weighed, weight [1, H, W]: Σ w (a − t)²; gradient += coefficient[at] · factor · w · (a − t).
KERNEL __launch_bounds__(BLOCK_THREADS)
    weighted_squared_error_f32(const float *a, const float *target, const float *weight, int pixels,
                               const float *coefficient, int at, float factor, float *gradient, int count,
                               float *partials) {
    const auto of_pixel = [=](int item) { return weight[item % pixels]; };
    squared_error(a, target, coefficient[at] * factor, gradient, count, partials, of_pixel);
}

KERNEL __launch_bounds__(BLOCK_THREADS)
    weighted_squared_error_f16(const half *a, const half *target, const float *weight, int lanes, const float *coefficient,
                               int at, float factor, const float *loss_scale, half *gradient, int count, float *partials,
                               u32 *overflow) {
    const float pull = coefficient[at] * factor * scale_or_one(loss_scale);
    const auto of_pixel = [=](int item) { return weight[item / (lanes / 8)]; };
    squared_error(a, target, pull, gradient, count, partials, overflow, of_pixel);
}

// TV(x) = Σ (x[y + 1, x] − x[y, x])² + (x[y, x + 1] − x[y, x])²; gradient += coefficient[at] · factor · ∂TV/∂x. Each
// element gathers from its four neighbours.
KERNEL __launch_bounds__(BLOCK_THREADS)
    total_variation_f32(const float *x, int channels, int height, int width, const float *coefficient, int at, float factor,
                        float *gradient, float *partials) {
    const float pull = 2.0f * coefficient[at] * factor;
    float sum = 0.0f;
    EACH(item, channels * height * width) {
        const int column = item % width, row = item / width % height;
        const float here = x[item];
        const float right = column + 1 < width ? x[item + 1] - here : 0.0f;
        const float down = row + 1 < height ? x[item + width] - here : 0.0f;
        const float left = column > 0 ? here - x[item - 1] : 0.0f;
        const float up = row > 0 ? here - x[item - width] : 0.0f;
        sum += right * right + down * down;
        gradient[item] += pull * ((left - right) + (up - down));
    }
    finish_block(sum, partials);
}

KERNEL __launch_bounds__(BLOCK_THREADS)
    total_variation_f16(const half *x, int height, int width, int lanes, const float *coefficient, int at, float factor,
                        const float *loss_scale, half *gradient, float *partials, u32 *overflow) {
    const float pull = 2.0f * coefficient[at] * factor * scale_or_one(loss_scale);
    const int vectors = lanes / 8;
    float sum = 0.0f;
    bool overflowed = false;
    EACH(item, height * width * vectors) {
        const int column = item / vectors % width, row = item / vectors / width;
        const half *at_here = x + item * 8;
        const Eight here = load_eight(at_here);
        const Eight right = column + 1 < width ? load_eight(at_here + lanes) : here;
        const Eight down = row + 1 < height ? load_eight(at_here + width * lanes) : here;
        const Eight left = column > 0 ? load_eight(at_here - lanes) : here;
        const Eight up = row > 0 ? load_eight(at_here - width * lanes) : here;
        Eight pulled = load_eight(gradient + item * 8);
#pragma unroll
        for (int i = 0; i < 8; ++i) {
            const float value = here.values[i];
            const float to_right = right.values[i] - value, to_down = down.values[i] - value;
            const float from_left = value - left.values[i], from_up = value - up.values[i];
            sum += to_right * to_right + to_down * to_down;
            pulled.values[i] += pull * ((from_left - to_right) + (from_up - to_down));
        }
        overflowed |= store_eight(gradient + item * 8, pulled);
    }
    raise(overflow, overflowed);
    finish_block(sum, partials);
}
