// SPDX-License-Identifier: MIT OR Apache-2.0
//
// The way back through moments: gradient[p, k] += coefficient · (Σ_l D[k, l] · a[p, l] + offset[k]), with D [C, C] symmetric
// and f32.
//
// The tensor core wants D in fp16, and its entries may be of any size (they are differences of Gram matrices divided by
// C · H · W). So D is multiplied by the power of two that brings its greatest entry to 2¹⁴..2¹⁵: no entry overflows, entries
// down to 2⁻²⁸ of the greatest keep all 11 bits, smaller ones lose bits that are beyond f32's sight of the sum. The sum
// is f32, and the power of two is taken off there.

#include "primitives.cuh"

constexpr int CHUNK = 32;

// partials[block] = the greatest magnitude among its items. Up to 1024 blocks of 256 threads.
KERNEL __launch_bounds__(BLOCK_THREADS) matrix_peak(const float *matrix, int count, float *partials) {
    float greatest = 0.0f;
    EACH(item, count) {
        greatest = fmaxf(greatest, fabsf(matrix[item]));
    }
    greatest = block_greatest(greatest);
    if (threadIdx.x == 0) {
        partials[blockIdx.x] = greatest;
    }
}

// The power of two that brings `peak` to 2¹⁴..2¹⁵, or 1 for 0. Made of exponent bits; clamped to where it and its
// reciprocal are normal numbers.
INLINE float normalising(float peak) {
    const int exponent = static_cast<int>(__float_as_uint(peak) >> 23);
    return peak > 0.0f ? __uint_as_float(static_cast<u32>(min(max(127 + 14 + 127 - exponent, 2), 252)) << 23) : 1.0f;
}

// pack [⌈lanes/32⌉, lanes, 32]: pack[l / 32, k, l % 32] = scale · D[k, l], zero where there is no channel. `partials` are those
// of matrix_peak. Up to 1024 blocks of 256 threads; an item is eight entries.
KERNEL __launch_bounds__(BLOCK_THREADS)
    matrix_pack(const float *matrix, int channels, int lanes, const float *partials, int blocks, half *pack, float *scale) {
    float peak = 0.0f;
    each_partial(blocks, [&](int block) { peak = fmaxf(peak, partials[block]); });
    const float factor = normalising(block_greatest(peak));
    if (blockIdx.x == 0 && threadIdx.x == 0) {
        *scale = factor;
    }
    EACH(item, (lanes + CHUNK - 1) / CHUNK * lanes * (CHUNK / 8)) {
        const int k = item / (CHUNK / 8) % lanes;
        const int l = item / (CHUNK / 8) / lanes * CHUNK + item % (CHUNK / 8) * 8;
        Eight eight;
#pragma unroll
        for (int i = 0; i < 8; ++i) {
            eight.values[i] = k < channels && l + i < channels ? factor * matrix[k * channels + l + i] : 0.0f;
        }
        // Not saturated: what is infinite or no number must be noticed where it arrives.
        *reinterpret_cast<uint4 *>(pack + item * 8) = packed(eight);
    }
}

constexpr int PIXELS = 128, RESULTS = 64, THREADS = 256, STAGES = 3;
constexpr int A_BYTES = PIXELS * CHUNK * 2, B_BYTES = RESULTS * CHUNK * 2, STAGE_BYTES = A_BYTES + B_BYTES;
// The finished tile in f32; 16 bytes more a row, so that eight rows begin in different banks.
constexpr int RESULT_BYTES = RESULTS * 4 + 16;

// gradient += coefficient[at] · factor · loss_scale · (a packᵀ / scale + a_scale · offset), in place; gradient and a blocked
// [pixels, lanes], offset [channels] in f32. `a_scale` is what a is stored multiplied by.
// Launch: (⌈pixels/128⌉, ⌈lanes/64⌉) blocks of 256 threads; eight warps of 32 pixels × 32 channels, three stages of 32 channels.
KERNEL __launch_bounds__(THREADS, 2)
    gram_backward(const half *a, const half *pack, const float *scale, const float *offset, float a_scale, int channels,
                  const float *coefficient, int at, float factor, const float *loss_scale, half *gradient, int pixels,
                  int lanes, u32 *overflow) {
    __shared__ __align__(128) u8 memory[STAGES * STAGE_BYTES];
    static_assert(PIXELS * RESULT_BYTES <= STAGES * STAGE_BYTES, "the finished tile lies in the same memory");
    const u32 shared = shared_address(memory);
    const int first_pixel = blockIdx.x * PIXELS, first_result = blockIdx.y * RESULTS;
    const int chunks = (lanes + CHUNK - 1) / CHUNK;

    // A thread brings a vector of pixels 0 and 64, and one of the pack. Beyond the last result the last row of the pack
    // stands in; what is made of it is not stored.
    const int row = threadIdx.x / 4, quarter = threadIdx.x % 4;
    const int pack_row = min(first_result + row, lanes - 1) * CHUNK + quarter * 8;
    const auto copy = [&](int chunk, u32 stage) {
        const int channel = chunk * CHUNK + quarter * 8;
#pragma unroll
        for (int i = 0; i < PIXELS; i += THREADS / 4) {
            const int pixel = first_pixel + row + i;
            const bool exists = pixel < pixels && channel < lanes;
            copy_async(stage + swizzled(row + i, quarter), a + (exists ? pixel * lanes + channel : 0), exists);
        }
        copy_async(stage + A_BYTES + swizzled(row, quarter), pack + (chunk * lanes * CHUNK + pack_row), true);
    };

    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const u32 a_at = swizzled(warp / 2 * 32 + lane % 16, lane / 16);
    const u32 b_at = A_BYTES + swizzled(warp % 2 * 32 + lane / 16 * 8 + lane % 8, lane / 8 % 2);
    float sums[2][4][4] = {};
    copy(0, shared);
    commit_copies();
    if (chunks > 1) {
        copy(1, shared + STAGE_BYTES);
    }
    commit_copies();
    for (int chunk = 0; chunk < chunks; ++chunk) {
        await_copies<1>();
        __syncthreads();
        if (chunk + 2 < chunks) {
            copy(chunk + 2, shared + (chunk + 2) % STAGES * STAGE_BYTES);
        }
        commit_copies();
        const u32 stage = shared + chunk % STAGES * STAGE_BYTES;
#pragma unroll
        for (int k = 0; k < 2; ++k) {
            u32 rows[2][4], columns[2][4];
#pragma unroll
            for (int m = 0; m < 2; ++m) {
                load_matrices(rows[m], stage + (a_at ^ k * 32) + m * 16 * 64);
                load_matrices(columns[m], stage + (b_at ^ k * 32) + m * 16 * 64);
            }
#pragma unroll
            for (int m = 0; m < 2; ++m) {
#pragma unroll
                for (int n = 0; n < 4; ++n) {
                    multiply_add(sums[m][n], rows[m], columns[n / 2][n % 2 * 2], columns[n / 2][n % 2 * 2 + 1]);
                }
            }
        }
    }
    await_copies<0>();
    __syncthreads();

    // By way of shared memory, so that the gradient is read and written by whole vectors, and its sum rounded once.
#pragma unroll
    for (int m = 0; m < 2; ++m) {
#pragma unroll
        for (int n = 0; n < 4; ++n) {
            const int pixel = warp / 2 * 32 + m * 16 + lane / 4, result = warp % 2 * 32 + n * 8 + lane % 4 * 2;
            u8 *to = memory + pixel * RESULT_BYTES + result * 4;
            *reinterpret_cast<float2 *>(to) = make_float2(sums[m][n][0], sums[m][n][1]);
            *reinterpret_cast<float2 *>(to + 8 * RESULT_BYTES) = make_float2(sums[m][n][2], sums[m][n][3]);
        }
    }
    __syncthreads();
    const float unscaled = 1.0f / *scale;
    const float pull = coefficient[at] * factor * scale_or_one(loss_scale);
    bool overflowed = false;
    for (int item = threadIdx.x; item < PIXELS * RESULTS / 8; item += THREADS) {
        const int vector = item % (RESULTS / 8), row = item / (RESULTS / 8);
        const int pixel = first_pixel + row, channel = first_result + vector * 8;
        if (pixel < pixels && channel < lanes) {
            const float *products = reinterpret_cast<const float *>(memory + row * RESULT_BYTES + vector * 32);
            half *to = gradient + (pixel * lanes + channel);
            Eight sum = load_eight(to);
#pragma unroll
            for (int i = 0; i < 8; ++i) {
                const float constant = channel + i < channels ? a_scale * offset[channel + i] : 0.0f;
                sum.values[i] += pull * (unscaled * products[i] + constant);
            }
            overflowed |= store_eight(to, sum);
        }
    }
    raise(overflow, overflowed);
}

// The same for planar tensors of up to four channels: gradient[k, p] += coefficient[at] · factor · (Σ_l D[k, l] · a[l, p] +
// offset[k]). Up to 1024 blocks of 256 threads; an item is a pixel.
KERNEL __launch_bounds__(BLOCK_THREADS)
    gram_backward_f32(const float *a, const float *matrix, const float *offset, const float *coefficient, int at,
                      float factor, float *gradient, int channels, int pixels) {
    const float pull = coefficient[at] * factor;
    EACH(pixel, pixels) {
        int k = 0;
#pragma unroll 1
        do {
            float sum = 0.0f;
            int l = 0;
#pragma unroll 1
            do {
                sum += matrix[k * channels + l] * a[l * pixels + pixel];
            } while (++l < channels);
            gradient[k * pixels + pixel] += pull * (sum + offset[k]);
        } while (++k < channels);
    }
}
