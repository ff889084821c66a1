// SPDX-License-Identifier: MIT OR Apache-2.0
//
// to[p, o] = max(0, Σ_{tap, i} weights[o, i, tap] · from[p + tap, i] + bias[o]), pooled or not, and the mask of what is positive.
//
//     from  blocked [H, W, from_lanes]
//     pack  [⌈from_lanes / 32⌉, 9, to_lanes, 32], see INTERFACE.md
//     bias  float [to_lanes]
//     to    blocked [H, W, to_lanes], or [H', W', to_lanes] when `kind` says that it is pooled
//     mask  [H, W, to_lanes / 8]
//
// Launch: (tiles of pixels, tiles of results, splits); see conv.cuh for the tiles and the method.

#include "conv.cuh"
#include "rectify.cuh"

template <class T>
INLINE void conv_forward(const half *from, const half *pack, const float *bias, half *to, u8 *mask, int height, int width,
                         int from_lanes, int to_lanes, int kind) {
    __shared__ __align__(128) u8 shared[T::SHARED];
    const Corner<T> corner(width);
    const Activations<T> input(from, from_lanes, height, width, corner);
    typename T::Sums sums;
    convolve<T>(sums, input, pack, to_lanes, corner.result, 0, chunks_of(from_lanes), shared_address(shared));

    rectify_and_store<T>({to, mask, height, width, to_lanes}, corner, sums, bias, shared, kind);
}

KERNEL __launch_bounds__(Large::THREADS, Large::BLOCKS)
    conv_forward_large(const half *from, const half *pack, const float *bias, half *to, u8 *mask, int height, int width,
                       int from_lanes, int to_lanes, int kind) {
    conv_forward<Large>(from, pack, bias, to, mask, height, width, from_lanes, to_lanes, kind);
}

KERNEL __launch_bounds__(Medium::THREADS, Medium::BLOCKS)
    conv_forward_medium(const half *from, const half *pack, const float *bias, half *to, u8 *mask, int height, int width,
                        int from_lanes, int to_lanes, int kind) {
    conv_forward<Medium>(from, pack, bias, to, mask, height, width, from_lanes, to_lanes, kind);
}

KERNEL __launch_bounds__(Narrow::THREADS, Narrow::BLOCKS)
    conv_forward_narrow(const half *from, const half *pack, const float *bias, half *to, u8 *mask, int height, int width,
                        int from_lanes, int to_lanes, int kind) {
    conv_forward<Narrow>(from, pack, bias, to, mask, height, width, from_lanes, to_lanes, kind);
}

KERNEL __launch_bounds__(Small::THREADS, Small::BLOCKS)
    conv_forward_small(const half *from, const half *pack, const float *bias, half *to, u8 *mask, int height, int width,
                       int from_lanes, int to_lanes, int kind) {
    conv_forward<Small>(from, pack, bias, to, mask, height, width, from_lanes, to_lanes, kind);
}

// The chunks blockIdx.z · chunks_per_split … of the sum alone → partials[splits, H, W, to_lanes].
template <class T>
INLINE void conv_forward_split(const half *from, const half *pack, float *partials, int height, int width, int from_lanes,
                               int to_lanes, int chunks_per_split) {
    __shared__ __align__(128) u8 shared[T::NEEDED];
    const Corner<T> corner(width);
    const int first = blockIdx.z * chunks_per_split;
    const Activations<T> input(from, from_lanes, height, width, corner);
    typename T::Sums sums;
    convolve<T>(sums, input, pack, to_lanes, corner.result, first,
                min(first + chunks_per_split, chunks_of(from_lanes)), shared_address(shared));
    store_partials<T>(sums, corner, partials, height, width, to_lanes);
}

KERNEL __launch_bounds__(Medium::THREADS, Medium::BLOCKS)
    conv_forward_medium_split(const half *from, const half *pack, float *partials, int height, int width, int from_lanes,
                              int to_lanes, int chunks_per_split) {
    conv_forward_split<Medium>(from, pack, partials, height, width, from_lanes, to_lanes, chunks_per_split);
}

KERNEL __launch_bounds__(Small::THREADS, Small::BLOCKS)
    conv_forward_small_split(const half *from, const half *pack, float *partials, int height, int width, int from_lanes,
                             int to_lanes, int chunks_per_split) {
    conv_forward_split<Small>(from, pack, partials, height, width, from_lanes, to_lanes, chunks_per_split);
}

// The parts added up in order, then as above. A thread has eight channels of a pixel, or of a window.
KERNEL __launch_bounds__(BLOCK_THREADS)
    conv_forward_finish(const float *partials, int splits, const float *bias, half *to, u8 *mask, int height, int width,
                        int to_lanes, int kind) {
    const Rectified out = {to, mask, height, width, to_lanes};
    const int step = kind == NONE ? 1 : 2;
    const int down = (height + step - 1) / step, across = (width + step - 1) / step, vectors = to_lanes / 8;
    const int count = height * width * to_lanes;
    const int item = blockIdx.x * BLOCK_THREADS + threadIdx.x;
    if (item >= down * across * vectors) {
        return;
    }
    const int channel = item % vectors * 8, place = item / vectors;
    const int y = place / across * step, x = place % across * step;
    const auto value = [&](int row, int column) {
        const int at = (row * width + column) * to_lanes + channel;
        return rectified(sum_of_partials(partials, splits, at, count), bias + channel);
    };
    if (kind == NONE) {
        out.store(y, x, channel, value(y, x));
    } else {
        const bool below = y + 1 < height, beside = x + 1 < width;
        const uint4 zero = make_uint4(0, 0, 0, 0);
        const uint4 window[4] = {value(y, x), beside ? value(y, x + 1) : zero, below ? value(y + 1, x) : zero,
                                 below && beside ? value(y + 1, x + 1) : zero};
        out.store_pooled(y, x, channel, window, kind);
    }
}
