// SPDX-License-Identifier: MIT OR Apache-2.0
//
// The first layer, whose one side is a planar picture of at most four channels in f32: forward from it, backward to it.

#include "conv.cuh"
#include "rectify.cuh"

// Forward, the tile as it leaves: 8 × 16 pixels, 64 results, four warps of 32 pixels each.
using First = Tile<8, 16, 64, 4, 1>;
// A row of products has 9 · 4 = 36 terms, filled up to three times 16; rows of 112 bytes, an odd number of vectors, so
// that eight of them begin in different groups of four banks.
constexpr int FIRST_TERMS = 48;
constexpr int FIRST_ROW = FIRST_TERMS * 2 + 16;
constexpr int FIRST_WEIGHTS_AT = First::PIXELS * FIRST_ROW;
constexpr int FIRST_HALO_AT = FIRST_WEIGHTS_AT + First::RESULTS * FIRST_ROW;
constexpr int FIRST_SHARED = FIRST_HALO_AT + First::HALO_PIXELS * 8;
static_assert(FIRST_SHARED >= First::PIXELS * First::RESULT_BYTES, "the finished tile lies in the same memory");

// to[p, o] = max(0, Σ_{tap, i} weights[o, i, tap] · picture[i, p + tap] + bias[o]), pooled or not.
//
//     picture  planar f32 [channels, H, W], less its mean: beyond the frame there are zeros
//     pack     [to_lanes, 48]: weights[o, i, tap] at 4 · tap + i
//     bias, to, mask as conv_forward has them
//
// Launch: (⌈H/8⌉ · ⌈W/16⌉, ⌈to_lanes/64⌉) blocks of 128 threads. The halo is rounded to fp16 once, with four channels
// to a pixel; each thread then lays out the 36 terms of its pixel, and the rest is one short product.
KERNEL __launch_bounds__(First::THREADS)
    conv_forward_picture(const float *picture, const half *pack, const float *bias, half *to, u8 *mask, int height,
                         int width, int channels, int to_lanes, int kind) {
    __shared__ __align__(128) u8 shared[FIRST_SHARED];
    const Corner<First> corner(width);
    const int pixels = height * width;
    uint2 *halo = reinterpret_cast<uint2 *>(shared + FIRST_HALO_AT);
#pragma unroll
    for (int turn = 0; turn < First::HALO_PIXELS; turn += First::THREADS) {
        const int place = turn + threadIdx.x;
        if (place >= First::HALO_PIXELS) {
            break;
        }
        const int y = corner.y + place / First::HALO_WIDTH - 1, x = corner.x + place % First::HALO_WIDTH - 1;
        const bool inside = static_cast<u32>(y) < static_cast<u32>(height) && static_cast<u32>(x) < static_cast<u32>(width);
        float values[4];
#pragma unroll
        for (int channel = 0; channel < 4; ++channel) {
            const bool exists = inside && channel < channels;
            values[channel] = exists ? saturated(picture[channel * pixels + y * width + x]) : 0.0f;
        }
        halo[place] = make_uint2(to_half2(values[0], values[1]), to_half2(values[2], values[3]));
    }
    constexpr int VECTORS = FIRST_TERMS / 8;
    static_assert(First::RESULTS * VECTORS % First::THREADS == 0, "as many for each thread");
#pragma unroll
    for (int turn = 0; turn < First::RESULTS * VECTORS; turn += First::THREADS) {
        const int place = turn + threadIdx.x;
        const int row = place / VECTORS, vector = place % VECTORS, result = corner.result + row;
        const uint4 zero = make_uint4(0, 0, 0, 0);
        *reinterpret_cast<uint4 *>(shared + FIRST_WEIGHTS_AT + row * FIRST_ROW + vector * 16) =
            result < to_lanes ? *reinterpret_cast<const uint4 *>(pack + (result * FIRST_TERMS + vector * 8)) : zero;
    }
    __syncthreads();
    {
        static_assert(First::PIXELS == First::THREADS, "one pixel each");
        const int row = threadIdx.x / First::COLUMNS, column = threadIdx.x % First::COLUMNS;
        uint2 *terms = reinterpret_cast<uint2 *>(shared + threadIdx.x * FIRST_ROW);
#pragma unroll
        for (int tap = 0; tap < FIRST_TERMS / 4; ++tap) {
            terms[tap] = tap < TAPS ? halo[(row + tap / 3) * First::HALO_WIDTH + column + tap % 3] : make_uint2(0, 0);
        }
    }
    __syncthreads();

    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const u32 a_at = shared_address(shared) + (warp * First::M * 16 + lane % 16) * FIRST_ROW + lane / 16 * 16;
    const u32 b_at = shared_address(shared) + FIRST_WEIGHTS_AT + (lane / 16 * 8 + lane % 8) * FIRST_ROW + lane / 8 % 2 * 16;
    First::Sums sums = {};
#pragma unroll
    for (int k = 0; k < FIRST_TERMS / 16; ++k) {
        u32 a[First::M][4];
#pragma unroll
        for (int m = 0; m < First::M; ++m) {
            load_matrices(a[m], a_at + m * 16 * FIRST_ROW + k * 32);
        }
#pragma unroll
        for (int n = 0; n < First::N; n += 2) {
            u32 b[4];
            load_matrices(b, b_at + n * 8 * FIRST_ROW + k * 32);
#pragma unroll
            for (int m = 0; m < First::M; ++m) {
                multiply_add(sums[m][n], a[m], b[0], b[1]);
                multiply_add(sums[m][n + 1], a[m], b[2], b[3]);
            }
        }
    }
    __syncthreads();
    rectify_and_store<First>({to, mask, height, width, to_lanes}, corner, sums, bias, shared, kind);
}

// picture[i, p] = factor / loss_scale · Σ_{tap, o} weights[o, i, −tap] · (mask · gradient)[p + tap, o]: conv_backward's formula
// and operands, but for the result, which is planar f32 [channels, H, W] and no longer multiplied by the loss scale. No flag is
// raised: its terms are far from f32's end, and what an outlandish `factor` makes of them no other loss scale would save.
//
// Launch: ⌈H/8⌉ · ⌈W/16⌉ blocks of 128 threads.
KERNEL __launch_bounds__(Picture::THREADS, Picture::BLOCKS)
    conv_backward_picture(const half *gradient, const u8 *mask, const half *pack, float *picture, int height, int width,
                          int gradient_lanes, int channels, int pooled, float factor, const float *loss_scale) {
    __shared__ __align__(128) u8 shared[Picture::SHARED];
    const Corner<Picture> corner(width);
    const MaskedGradient<Picture> input(gradient, mask, gradient_lanes, height, width, pooled, corner);
    Picture::Sums sums;
    convolve<Picture>(sums, input, pack, Picture::RESULTS, 0, 0, (gradient_lanes + CHUNK - 1) / CHUNK,
                      shared_address(shared));

    const float scale = factor / scale_or_one(loss_scale);
    const int pixels = height * width;
    each_pair<Picture>([&](int m, int n, int pixel, int result, int i) {
        const int y = corner.y + pixel / Picture::COLUMNS, x = corner.x + pixel % Picture::COLUMNS;
#pragma unroll
        for (int next = 0; next < 2; ++next) {
            if (y < height && x < width && result + next < channels) {
                picture[(result + next) * pixels + y * width + x] = scale * sums[m][n][i + next];
            }
        }
    });
}
