// SPDX-License-Identifier: MIT OR Apache-2.0
//
// The adjoint of conv_forward, with the kernel turned by 180° in the pack, and so a convolution too:
//
//     from[p, i] = factor · Σ_{tap, o} weights[o, i, −tap] · (mask · gradient)[p + tap, o]
//
//     gradient  blocked [H, W, gradient_lanes] or, `pooled`, [H', W', gradient_lanes]: each window's goes to all its pixels
//               that the mask lets it through to (the share of average pooling is part of `factor`)
//     mask      [H, W, gradient_lanes / 8]
//     pack      [⌈gradient_lanes / 32⌉, 9, from_lanes, 32], see INTERFACE.md
//     from      blocked [H, W, from_lanes]
//
// Launch: (tiles of pixels, tiles of results, splits); see conv.cuh for the tiles and the method.

#include "conv.cuh"

template <class T>
INLINE void conv_backward(const half *gradient, const u8 *mask, const half *pack, half *from, int height, int width,
                          int gradient_lanes, int from_lanes, int pooled, float factor, u32 *overflow) {
    __shared__ __align__(128) u8 shared[T::SHARED];
    const Corner<T> corner(width);
    const MaskedGradient<T> input(gradient, mask, gradient_lanes, height, width, pooled, corner);
    typename T::Sums sums;
    convolve<T>(sums, input, pack, from_lanes, corner.result, 0, chunks_of(gradient_lanes), shared_address(shared));

    // What does not fit becomes ±∞ here, and is found below.
    each_pair<T>([&](int m, int n, int pixel, int result, int i) {
        *reinterpret_cast<u32 *>(shared + pixel * T::RESULT_BYTES + result * 2) =
            to_half2(factor * sums[m][n][i], factor * sums[m][n][i + 1]);
    });
    __syncthreads();
    constexpr int VECTORS = T::RESULTS / 8;
    bool overflowed = false;
    for (int item = threadIdx.x; item < T::PIXELS * VECTORS; item += T::THREADS) {
        const int vector = item % VECTORS, pixel = item / VECTORS;
        const int y = corner.y + pixel / T::COLUMNS, x = corner.x + pixel % T::COLUMNS;
        const int channel = corner.result + vector * 8;
        if (y < height && x < width && channel < from_lanes) {
            const half *values = reinterpret_cast<const half *>(shared + pixel * T::RESULT_BYTES + vector * 16);
            overflowed |= store_eight(from + ((y * width + x) * from_lanes + channel), load_eight(values));
        }
    }
    raise(overflow, overflowed);
}

KERNEL __launch_bounds__(Large::THREADS, Large::BLOCKS)
    conv_backward_large(const half *gradient, const u8 *mask, const half *pack, half *from, int height, int width,
                        int gradient_lanes, int from_lanes, int pooled, float factor, u32 *overflow) {
    conv_backward<Large>(gradient, mask, pack, from, height, width, gradient_lanes, from_lanes, pooled, factor, overflow);
}

KERNEL __launch_bounds__(Medium::THREADS, Medium::BLOCKS)
    conv_backward_medium(const half *gradient, const u8 *mask, const half *pack, half *from, int height, int width,
                         int gradient_lanes, int from_lanes, int pooled, float factor, u32 *overflow) {
    conv_backward<Medium>(gradient, mask, pack, from, height, width, gradient_lanes, from_lanes, pooled, factor, overflow);
}

KERNEL __launch_bounds__(Narrow::THREADS, Narrow::BLOCKS)
    conv_backward_narrow(const half *gradient, const u8 *mask, const half *pack, half *from, int height, int width,
                         int gradient_lanes, int from_lanes, int pooled, float factor, u32 *overflow) {
    conv_backward<Narrow>(gradient, mask, pack, from, height, width, gradient_lanes, from_lanes, pooled, factor, overflow);
}

KERNEL __launch_bounds__(Small::THREADS, Small::BLOCKS)
    conv_backward_small(const half *gradient, const u8 *mask, const half *pack, half *from, int height, int width,
                        int gradient_lanes, int from_lanes, int pooled, float factor, u32 *overflow) {
    conv_backward<Small>(gradient, mask, pack, from, height, width, gradient_lanes, from_lanes, pooled, factor, overflow);
}

// The chunks blockIdx.z · chunks_per_split … of the sum alone → partials[splits, H, W, from_lanes].
template <class T>
INLINE void conv_backward_split(const half *gradient, const u8 *mask, const half *pack, float *partials, int height,
                                int width, int gradient_lanes, int from_lanes, int pooled, int chunks_per_split) {
    __shared__ __align__(128) u8 shared[T::NEEDED];
    const Corner<T> corner(width);
    const int first = blockIdx.z * chunks_per_split;
    const MaskedGradient<T> input(gradient, mask, gradient_lanes, height, width, pooled, corner);
    typename T::Sums sums;
    convolve<T>(sums, input, pack, from_lanes, corner.result, first,
                min(first + chunks_per_split, chunks_of(gradient_lanes)), shared_address(shared));
    store_partials<T>(sums, corner, partials, height, width, from_lanes);
}

KERNEL __launch_bounds__(Medium::THREADS, Medium::BLOCKS)
    conv_backward_medium_split(const half *gradient, const u8 *mask, const half *pack, float *partials, int height,
                               int width, int gradient_lanes, int from_lanes, int pooled, int chunks_per_split) {
    conv_backward_split<Medium>(gradient, mask, pack, partials, height, width, gradient_lanes, from_lanes, pooled,
                               chunks_per_split);
}

KERNEL __launch_bounds__(Small::THREADS, Small::BLOCKS)
    conv_backward_small_split(const half *gradient, const u8 *mask, const half *pack, float *partials, int height,
                              int width, int gradient_lanes, int from_lanes, int pooled, int chunks_per_split) {
    conv_backward_split<Small>(gradient, mask, pack, partials, height, width, gradient_lanes, from_lanes, pooled,
                               chunks_per_split);
}

// The parts added up in order, times `factor`. A thread has eight channels of a pixel.
KERNEL __launch_bounds__(BLOCK_THREADS)
    conv_backward_finish(const float *partials, int splits, half *from, int count, float factor, u32 *overflow) {
    const int item = blockIdx.x * BLOCK_THREADS + threadIdx.x;
    if (item >= count / 8) {
        return;
    }
    Eight sums = sum_of_partials(partials, splits, item * 8, count);
#pragma unroll
    for (int i = 0; i < 8; ++i) {
        sums.values[i] *= factor;
    }
    raise(overflow, store_eight(from + item * 8, sums));
}
