// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Between the two layouts of a tensor, planar f32 [C, H, W] and blocked fp16 [H, W, lanes]; filling, and cutting out a part.
// Launch of all: up to 1024 blocks of 256 threads, each thread taking items in turn.

#include "primitives.cuh"

// to[p, c] = saturate(factor · loss_scale · from[c, p]); lanes from `channels` on get 0. An item is eight channels of a
// pixel; threads that are neighbours have pixels that are, so that reading is coalesced.
KERNEL __launch_bounds__(BLOCK_THREADS)
    block_f16(const float *from, half *to, int channels, int pixels, float factor, const float *loss_scale, u32 *overflow) {
    const float scale = factor * scale_or_one(loss_scale);
    const int vectors = (channels + 7) / 8;
    bool overflowed = false;
    EACH(item, pixels * vectors) {
        const int pixel = item % pixels, vector = item / pixels;
        Eight eight;
#pragma unroll
        for (int i = 0; i < 8; ++i) {
            const int channel = vector * 8 + i;
            eight.values[i] = channel < channels ? scale * from[channel * pixels + pixel] : 0.0f;
        }
        overflowed |= store_eight(to + (pixel * vectors + vector) * 8, eight);
    }
    raise(overflow, overflowed);
}

// to[c, p] = factor · from[p, c].
KERNEL __launch_bounds__(BLOCK_THREADS)
    unblock_f32(const half *from, float *to, int channels, int pixels, float factor) {
    const int vectors = (channels + 7) / 8;
    EACH(item, pixels * vectors) {
        const int pixel = item % pixels, vector = item / pixels;
        const Eight eight = load_eight(from + (pixel * vectors + vector) * 8);
#pragma unroll
        for (int i = 0; i < 8; ++i) {
            const int channel = vector * 8 + i;
            if (channel < channels) {
                to[channel * pixels + pixel] = factor * eight.values[i];
            }
        }
    }
}

KERNEL __launch_bounds__(BLOCK_THREADS) fill_f32(float *to, float value, int count) {
    EACH(item, count) {
        to[item] = value;
    }
}

// All lanes but those from `channels` on, which get 0.
KERNEL __launch_bounds__(BLOCK_THREADS) fill_f16(half *to, float value, int pixels, int channels) {
    const int vectors = (channels + 7) / 8;
    EACH(item, pixels * vectors) {
        Eight eight;
#pragma unroll
        for (int i = 0; i < 8; ++i) {
            eight.values[i] = item % vectors * 8 + i < channels ? value : 0.0f;
        }
        store_eight(to + item * 8, eight);
    }
}

// to[c, y, x] = from[c, top + y, left + x], planar; to [C, height, width] of from [C, from_height, from_width].
KERNEL __launch_bounds__(BLOCK_THREADS)
    cut_f32(const float *from, int from_height, int from_width, int left, int top, float *to, int channels, int height,
            int width) {
    EACH(item, channels * height * width) {
        const int x = item % width, y = item / width % height, channel = item / width / height;
        to[item] = from[(channel * from_height + top + y) * from_width + left + x];
    }
}

// The same, blocked; an item is eight lanes of a pixel.
KERNEL __launch_bounds__(BLOCK_THREADS)
    cut_f16(const half *from, int from_width, int left, int top, half *to, int lanes, int height, int width) {
    const int vectors = lanes / 8;
    EACH(item, height * width * vectors) {
        const int vector = item % vectors, x = item / vectors % width, y = item / vectors / width;
        const half *there = from + (static_cast<size_t>(top + y) * from_width + left + x) * lanes + vector * 8;
        *reinterpret_cast<uint4 *>(to + static_cast<size_t>(item) * 8) = *reinterpret_cast<const uint4 *>(there);
    }
}
