// SPDX-License-Identifier: MIT OR Apache-2.0
//
// What follows a convolution: bias, ReLU, the mask, and the pooling of 2×2 windows with stride 2. Everything after the ReLU
// sees values that are already rounded to fp16, so that a convolution with pooling gives bit by bit what a convolution
// and then pooling gives, the winners of ties included.

#pragma once

#include "conv.cuh"

enum Pooling { NONE = 0, AVERAGE = 1, MAX = 2 };

// max(0, sum + bias), small enough for fp16.
INLINE float rectified(float sum, float bias) {
    return fminf(fmaxf(sum + bias, 0.0f), GREATEST_HALF);
}

INLINE uint4 rectified(const Eight &sums, const float *bias) {
    Eight values;
#pragma unroll
    for (int i = 0; i < 8; ++i) {
        values.values[i] = rectified(sums.values[i], bias[i]);
    }
    return packed(values);
}

INLINE u32 half_of(const uint4 &vector, int i) {
    const u32 words[4] = {vector.x, vector.y, vector.z, vector.w};
    return words[i / 2] >> i % 2 * 16 & 0xffff;
}

// What a ReLU let through is never negative, so it is positive where any bit is set.
INLINE u32 positive(const uint4 &vector) {
    u32 bits = 0;
#pragma unroll
    for (int i = 0; i < 8; ++i) {
        bits |= (half_of(vector, i) != 0 ? 1u : 0u) << i;
    }
    return bits;
}

// The frame before pooling, the blocked tensor and the mask that are written.
struct Rectified {
    half *to;
    u8 *mask;
    int height, width, lanes;

    INLINE void store(int y, int x, int channel, const uint4 &values) const {
        const int at = (y * width + x) * lanes + channel;
        *reinterpret_cast<uint4 *>(to + at) = values;
        mask[at / 8] = static_cast<u8>(positive(values));
    }

    // A window whose first pixel (y, x) lies in the frame; of pixels beyond the frame the values are zeros.
    INLINE void store_pooled(int y, int x, int channel, const uint4 (&window)[4], int kind) const {
        const bool below = y + 1 < height, beside = x + 1 < width;
        // Rows and columns that are left over have no window; a frame of one row or column has windows of one.
        const bool covered = (below || height == 1) && (beside || width == 1);
        u32 passes[4] = {0, 0, 0, 0};
        if (covered) {
            const uint4 value = kind == AVERAGE ? average(window, passes) : greatest(window, passes);
            const int windows_across = max(width / 2, 1);
            *reinterpret_cast<uint4 *>(to + (((y / 2) * windows_across + x / 2) * lanes + channel)) = value;
        }
        const int at = ((y * width + x) * lanes + channel) / 8;
        const int right = lanes / 8, down = width * right;
        mask[at] = static_cast<u8>(passes[0]);
        if (beside) {
            mask[at + right] = static_cast<u8>(passes[1]);
        }
        if (below) {
            mask[at + down] = static_cast<u8>(passes[2]);
        }
        if (below && beside) {
            mask[at + down + right] = static_cast<u8>(passes[3]);
        }
    }

  private:
    INLINE uint4 average(const uint4 (&window)[4], u32 (&passes)[4]) const {
        const float share = (height == 1 ? 1.0f : 0.5f) * (width == 1 ? 1.0f : 0.5f);
        const Eight parts[4] = {unpacked(window[0]), unpacked(window[1]), unpacked(window[2]), unpacked(window[3])};
        Eight mean;
#pragma unroll
        for (int i = 0; i < 8; ++i) {
            mean.values[i] = share * ((parts[0].values[i] + parts[1].values[i]) + (parts[2].values[i] + parts[3].values[i]));
        }
#pragma unroll
        for (int place = 0; place < 4; ++place) {
            passes[place] = positive(window[place]);
        }
        return packed(mean);
    }

    // In a tie the first wins; a window of zeros has no winner that a gradient could pass. Halves that are not negative
    // are ordered as their bits are.
    INLINE uint4 greatest(const uint4 (&window)[4], u32 (&passes)[4]) const {
        u32 best[8];
#pragma unroll
        for (int i = 0; i < 8; ++i) {
            best[i] = max(max(half_of(window[0], i), half_of(window[1], i)),
                          max(half_of(window[2], i), half_of(window[3], i)));
            bool open = best[i] != 0;
#pragma unroll
            for (int place = 0; place < 4; ++place) {
                const bool wins = open && half_of(window[place], i) == best[i];
                passes[place] |= (wins ? 1u : 0u) << i;
                open = open && !wins;
            }
        }
        return make_uint4(best[0] | best[1] << 16, best[2] | best[3] << 16, best[4] | best[5] << 16,
                          best[6] | best[7] << 16);
    }
};

// A finished tile in shared memory, rows of T::RESULT_BYTES for its pixels → memory.
template <class T>
INLINE void store_tile(const Rectified &out, const Corner<T> &corner, const u8 *shared, int kind) {
    constexpr int VECTORS = T::RESULTS / 8;
    const auto value = [&](int row, int column, int vector) {
        const int pixel = row * T::COLUMNS + column;
        return *reinterpret_cast<const uint4 *>(shared + pixel * T::RESULT_BYTES + vector * 16);
    };
    if (kind == NONE) {
        static_assert(T::PIXELS * VECTORS % T::THREADS == 0, "as many for each thread");
#pragma unroll 4
        for (int turn = 0; turn < T::PIXELS * VECTORS; turn += T::THREADS) {
            const int item = turn + threadIdx.x, vector = item % VECTORS, pixel = item / VECTORS;
            const int row = pixel / T::COLUMNS, column = pixel % T::COLUMNS;
            const int y = corner.y + row, x = corner.x + column, channel = corner.result + vector * 8;
            if (y < out.height && x < out.width && channel < out.lanes) {
                out.store(y, x, channel, value(row, column, vector));
            }
        }
        return;
    }
    // Tiles begin at even pixels, so that no window lies in two.
    static_assert(T::PIXELS / 4 * VECTORS % T::THREADS == 0, "as many for each thread");
#pragma unroll 1
    for (int turn = 0; turn < T::PIXELS / 4 * VECTORS; turn += T::THREADS) {
        const int item = turn + threadIdx.x, vector = item % VECTORS, window = item / VECTORS;
        const int row = window / (T::COLUMNS / 2) * 2, column = window % (T::COLUMNS / 2) * 2;
        const int y = corner.y + row, x = corner.x + column, channel = corner.result + vector * 8;
        if (y < out.height && x < out.width && channel < out.lanes) {
            const bool below = y + 1 < out.height, beside = x + 1 < out.width;
            const uint4 zero = make_uint4(0, 0, 0, 0);
            const uint4 values[4] = {value(row, column, vector), beside ? value(row, column + 1, vector) : zero,
                                     below ? value(row + 1, column, vector) : zero,
                                     below && beside ? value(row + 1, column + 1, vector) : zero};
            out.store_pooled(y, x, channel, values, kind);
        }
    }
}

// The finished sums of a tile, which nobody needs in shared memory any more, by way of that → memory.
template <class T>
INLINE void rectify_and_store(const Rectified &out, const Corner<T> &corner, const typename T::Sums &sums,
                              const float *bias, u8 *shared, int kind) {
    each_pair<T>([&](int m, int n, int pixel, int result, int i) {
        const int channel = corner.result + result;
        if (channel < out.lanes) {
            const float2 biases = *reinterpret_cast<const float2 *>(bias + channel);
            *reinterpret_cast<u32 *>(shared + pixel * T::RESULT_BYTES + result * 2) =
                to_half2(rectified(sums[m][n][i], biases.x), rectified(sums[m][n][i + 1], biases.y));
        }
    });
    __syncthreads();
    store_tile<T>(out, corner, shared, kind);
}
