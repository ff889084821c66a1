// SPDX-License-Identifier: MIT OR Apache-2.0
//
// 2×2 pooling with stride 2 where it is not part of a convolution. A picture of one row or column has windows of one;
// rows and columns that are left over belong to no window. H', W' are the sides after pooling. `winners` says of each
// pooled unit the place 0..4 of its greatest value, two bits each: [H', W', lanes / 8] words of eight channels, or
// [H', W'] words of up to four planar channels. In a tie the first in row-major order wins.
// Launch of all: up to 1024 blocks of 256 threads, each thread taking items in turn.

#include "primitives.cuh"

enum Pooling { AVERAGE = 1, MAX = 2 };

struct Windows {
    int height, width, down, across;

    INLINE Windows(int height_, int width_)
        : height(height_), width(width_), down(max(height_ / 2, 1)), across(max(width_ / 2, 1)) {}

    // Whether place 0..4 of a window exists: of all or of none.
    INLINE bool has(int place) const {
        return (place < 2 || height > 1) && (place % 2 == 0 || width > 1);
    }

    INLINE int pixel(int window, int place) const {
        return (window / across * 2 + place / 2) * width + window % across * 2 + place % 2;
    }

    // The window of a pixel, or −1.
    INLINE int window(int pixel) const {
        const int y = pixel / width / 2, x = pixel % width / 2;
        return y < down && x < across ? y * across + x : -1;
    }

    INLINE int place(int pixel) const {
        return pixel / width % 2 * 2 + pixel % width % 2;
    }

    INLINE float share() const {
        return (height > 1 ? 0.5f : 1.0f) * (width > 1 ? 0.5f : 1.0f);
    }
};

// The pooled value; `winner` is set for max pooling.
INLINE float pooled(const float (&values)[4], const Windows &windows, int kind, u32 &winner) {
    if (kind == AVERAGE) {
        return windows.share() * ((values[0] + values[1]) + (values[2] + values[3]));
    }
    float best = values[0];
    winner = 0;
#pragma unroll
    for (int place = 1; place < 4; ++place) {
        if (windows.has(place) && values[place] > best) {
            best = values[place];
            winner = place;
        }
    }
    return best;
}

// What of a window's gradient goes to a place of it.
INLINE float passed(float gradient, u32 winner, u32 place, const Windows &windows, int kind) {
    return kind == AVERAGE ? windows.share() * gradient : (winner == place ? gradient : 0.0f);
}

// from blocked [H, W, lanes] → to [H', W', lanes]. An item is eight channels of a window.
KERNEL __launch_bounds__(BLOCK_THREADS)
    pool_f16(const half *from, half *to, u16 *winners, int height, int width, int lanes, int kind) {
    const Windows windows(height, width);
    const int vectors = lanes / 8;
    EACH(item, windows.down * windows.across * vectors) {
        const int window = item / vectors, channel = item % vectors * 8;
        Eight parts[4];
#pragma unroll
        for (int place = 0; place < 4; ++place) {
            parts[place] = windows.has(place) ? load_eight(from + windows.pixel(window, place) * lanes + channel) : Eight();
        }
        Eight result;
        u32 word = 0;
#pragma unroll
        for (int i = 0; i < 8; ++i) {
            const float values[4] = {parts[0].values[i], parts[1].values[i], parts[2].values[i], parts[3].values[i]};
            u32 winner = 0;
            result.values[i] = pooled(values, windows, kind, winner);
            word |= winner << 2 * i;
        }
        store_eight(to + item * 8, result);
        if (kind == MAX) {
            winners[item] = static_cast<u16>(word);
        }
    }
}

// The adjoint; `from` is the gradient before pooling and gets 0 where no window is. An item is eight channels of a pixel.
KERNEL __launch_bounds__(BLOCK_THREADS)
    pool_backward_f16(const half *to, const u16 *winners, half *from, int height, int width, int lanes, int kind) {
    const Windows windows(height, width);
    const int vectors = lanes / 8;
    EACH(item, height * width * vectors) {
        const int pixel = item / vectors, window = windows.window(pixel);
        const u32 place = windows.place(pixel);
        Eight gradient = {};
        if (window >= 0) {
            const int at = window * vectors + item % vectors;
            gradient = load_eight(to + at * 8);
            const u32 word = kind == MAX ? winners[at] : 0;
#pragma unroll
            for (int i = 0; i < 8; ++i) {
                const float value = gradient.values[i];
                gradient.values[i] = passed(value, word >> 2 * i & 3, place, windows, kind);
            }
        }
        store_eight(from + item * 8, gradient);
    }
}

// from planar [C, H, W] → to [C, H', W']. An item is a window of all channels.
KERNEL __launch_bounds__(BLOCK_THREADS)
    pool_f32(const float *from, float *to, u16 *winners, int height, int width, int channels, int kind) {
    const Windows windows(height, width);
    const int count = windows.down * windows.across;
    EACH(window, count) {
        u32 word = 0;
        int channel = 0;
#pragma unroll 1
        do {
            float values[4];
#pragma unroll
            for (int place = 0; place < 4; ++place) {
                values[place] = windows.has(place) ? from[channel * height * width + windows.pixel(window, place)] : 0.0f;
            }
            u32 winner = 0;
            to[channel * count + window] = pooled(values, windows, kind, winner);
            word |= winner << 2 * channel;
        } while (++channel < channels);
        if (kind == MAX) {
            winners[window] = static_cast<u16>(word);
        }
    }
}

// The adjoint. An item is a pixel of all channels.
KERNEL __launch_bounds__(BLOCK_THREADS)
    pool_backward_f32(const float *to, const u16 *winners, float *from, int height, int width, int channels, int kind) {
    const Windows windows(height, width);
    const int count = windows.down * windows.across;
    const float share = kind == AVERAGE ? windows.share() : 1.0f;
    EACH(pixel, height * width) {
        const int window = windows.window(pixel);
        // Two bits for each channel, which are zero where the gradient comes this way.
        u32 lost = window < 0 ? ~0u : 0u;
        if (kind == MAX && window >= 0) {
            lost = winners[window] ^ windows.place(pixel) * 0x55;
        }
        int channel = 0;
#pragma unroll 1
        do {
            const bool comes = (lost >> 2 * channel & 3) == 0;
            from[channel * height * width + pixel] = comes ? share * to[channel * count + window] : 0.0f;
        } while (++channel < channels);
    }
}
