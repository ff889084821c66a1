// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Elementwise passes, each for planar f32 and for blocked fp16 tensors. `count` counts the numbers in memory; an item is one
// f32, or eight lanes of fp16. Lanes that no channel uses are zero before and after.
// Launch of all: up to 1024 blocks of 256 threads, each thread taking items in turn.

#include "primitives.cuh"

// to = from².
KERNEL __launch_bounds__(BLOCK_THREADS) square_f32(const float *from, float *to, int count) {
    EACH(item, count) {
        to[item] = from[item] * from[item];
    }
}

KERNEL __launch_bounds__(BLOCK_THREADS) square_f16(const half *from, half *to, int count) {
    EACH(item, count / 8) {
        Eight eight = load_eight(from + item * 8);
#pragma unroll
        for (int i = 0; i < 8; ++i) {
            eight.values[i] *= eight.values[i];
        }
        store_eight(to + item * 8, eight);
    }
}

// to += factor · x.
KERNEL __launch_bounds__(BLOCK_THREADS) axpy_f32(float factor, const float *x, float *to, int count) {
    EACH(item, count) {
        to[item] += factor * x[item];
    }
}

KERNEL __launch_bounds__(BLOCK_THREADS) axpy_f16(float factor, const half *x, half *to, int count) {
    EACH(item, count / 8) {
        Eight sum = load_eight(to + item * 8);
        const Eight added = load_eight(x + item * 8);
#pragma unroll
        for (int i = 0; i < 8; ++i) {
            sum.values[i] += factor * added.values[i];
        }
        store_eight(to + item * 8, sum);
    }
}

// The 3×3 binomial kernel, ¼ ½ ¼ both ways, edges repeated: to[y, x] = Σ weights · from[clamp(y + dy), clamp(x + dx)].
KERNEL __launch_bounds__(BLOCK_THREADS) blur_f32(const float *from, float *to, int channels, int height, int width) {
    EACH(item, channels * height * width) {
        const int x = item % width, y = item / width % height;
        const int left = x > 0 ? -1 : 0, right = x + 1 < width ? 1 : 0;
        const int up = y > 0 ? -width : 0, down = y + 1 < height ? width : 0;
        const auto row = [&](const float *middle) {
            return 0.25f * middle[left] + 0.5f * middle[0] + 0.25f * middle[right];
        };
        const float *here = from + item;
        to[item] = 0.25f * row(here + up) + 0.5f * row(here) + 0.25f * row(here + down);
    }
}

KERNEL __launch_bounds__(BLOCK_THREADS) blur_f16(const half *from, half *to, int height, int width, int lanes) {
    const int vectors = lanes / 8;
    EACH(item, height * width * vectors) {
        const int x = item / vectors % width, y = item / vectors / width;
        Eight sum = {};
#pragma unroll
        for (int dy = -1; dy <= 1; ++dy) {
#pragma unroll
            for (int dx = -1; dx <= 1; ++dx) {
                const int row = min(max(y + dy, 0), height - 1), column = min(max(x + dx, 0), width - 1);
                const float weight = (dy == 0 ? 0.5f : 0.25f) * (dx == 0 ? 0.5f : 0.25f);
                const Eight eight = load_eight(from + ((row * width + column) * vectors + item % vectors) * 8);
#pragma unroll
                for (int i = 0; i < 8; ++i) {
                    sum.values[i] += weight * eight.values[i];
                }
            }
        }
        store_eight(to + item * 8, sum);
    }
}

// to = share · to + (1 − share) · other, with share [1, H, W]; exact where the share is 0 or 1.
KERNEL __launch_bounds__(BLOCK_THREADS)
    blend_f32(const float *other, const float *share, float *to, int pixels, int count) {
    EACH(item, count) {
        const float s = share[item % pixels];
        to[item] = s * to[item] + (1.0f - s) * other[item];
    }
}

KERNEL __launch_bounds__(BLOCK_THREADS) blend_f16(const half *other, const float *share, half *to, int lanes, int count) {
    EACH(item, count / 8) {
        const float s = share[item / (lanes / 8)];
        Eight mixed = load_eight(to + item * 8);
        const Eight added = load_eight(other + item * 8);
#pragma unroll
        for (int i = 0; i < 8; ++i) {
            mixed.values[i] = s * mixed.values[i] + (1.0f - s) * added.values[i];
        }
        store_eight(to + item * 8, mixed);
    }
}
