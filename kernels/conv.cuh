// SPDX-License-Identifier: MIT OR Apache-2.0
//
// A 3×3 convolution as a product of matrices that are never written out (implicit GEMM; Chetlur et al. 2014, "cuDNN:
// Efficient Primitives for Deep Learning", §3), for a tile of pixels and a tile of results:
//
//     sums[pixel, result] = Σ over chunks of 32 channels Σ over 9 taps Σ over the channels of a chunk
//                               from[pixel + tap, channel] · pack[chunk, tap, result, channel]
//
// Of each chunk the tile's pixels with a halo of one pixel lie in shared memory once and serve all nine taps: a tap is
// an offset that the compiler knows. Panels of weights, one for each tap, come by in a ring of three. While a chunk is
// multiplied the halo of the next one arrives.

#pragma once

#include "primitives.cuh"

constexpr int TAPS = 9;
constexpr int CHUNK = 32;
constexpr int STAGES = 3;
static_assert(TAPS % STAGES == 0, "then the place of a panel in the ring is known at compile time");

template <int ROWS_, int COLUMNS_, int RESULTS_, int WARP_ROWS_, int WARP_COLUMNS_>
struct Tile {
    // Pixels and results of the tile, and how warps divide them.
    static constexpr int ROWS = ROWS_, COLUMNS = COLUMNS_, RESULTS = RESULTS_;
    static constexpr int WARP_ROWS = WARP_ROWS_, WARP_COLUMNS = WARP_COLUMNS_;
    static constexpr int PIXELS = ROWS * COLUMNS;
    static constexpr int THREADS = 32 * WARP_ROWS * WARP_COLUMNS;
    // Of a warp: fragments of 16 pixels and of 8 results.
    static constexpr int M = PIXELS / WARP_ROWS / 16, N = RESULTS / WARP_COLUMNS / 8;
    static_assert(RESULTS * 4 % THREADS == 0 || RESULTS * 4 < THREADS, "a panel is whole vectors for each thread, or one");
    static_assert(N == 1 || N % 2 == 0, "fragments of weights are loaded by twos");
    static constexpr int HALO_WIDTH = COLUMNS + 2;
    static_assert(HALO_WIDTH % 2 == 0, "or the swizzle of the halo would not be free of conflicts");
    static constexpr int HALO_PIXELS = (ROWS + 2) * HALO_WIDTH;
    static constexpr int HALO_BYTES = HALO_PIXELS * CHUNK * 2, PANEL_BYTES = RESULTS * CHUNK * 2;
    // Vectors of 16 bytes that a thread loads of each.
    static constexpr int HALO_VECTORS = (HALO_PIXELS * 4 + THREADS - 1) / THREADS;
    static constexpr int PANEL_VECTORS = (RESULTS * 4 + THREADS - 1) / THREADS;
    static constexpr int PANELS_AT = 2 * HALO_BYTES;
    // The finished tile lies in the same memory; 16 bytes more a row, so that eight rows begin in different banks.
    static constexpr int RESULT_BYTES = RESULTS * 2 + 16;
    static constexpr int NEEDED = PANELS_AT + STAGES * PANEL_BYTES;
    static constexpr int SHARED = NEEDED > PIXELS * RESULT_BYTES ? NEEDED : PIXELS * RESULT_BYTES;
    // Registers are given out so that this many blocks share a multiprocessor. Those of Turing have shared memory for
    // one large block only.
    static constexpr int BLOCKS = RESULTS == 128 || !ASYNC ? 256 / THREADS : 3;

    using Sums = float[M][N][4];
};

// A warp of 64 × 64 loads a fragment for each four products and leaves shared memory half of its time; one of 64 × 32
// needs three for eight. Turing's multiprocessors hold one of these blocks, and want eight warps to choose from.
using Large = Tile<8, 16, 128, 2, ASYNC ? 2 : 4>;
using Medium = Tile<8, 16, 64, ASYNC ? 2 : 4, 2>;
using Narrow = Tile<8, 16, 32, 4, 1>;
using Small = Tile<8, 8, 64, 2, 2>;
// To a picture: up to 8 channels.
using Picture = Tile<8, 16, 8, 4, 1>;

// threadIdx.x and a value, of which the compiler believes that they are new each time: so it does not keep what is
// made of them through the main loop, where registers are scarce.
INLINE u32 thread() {
    u32 index;
    asm volatile("mov.u32 %0, %%tid.x;" : "=r"(index));
    return index;
}

INLINE int renewed(int value) {
    asm volatile("" : "+r"(value));
    return value;
}

INLINE int chunks_of(int lanes) {
    return (lanes + CHUNK - 1) / CHUNK;
}

// Where a tile lies.
template <class T>
struct Corner {
    int y, x, result;

    INLINE Corner(int width) {
        const int across = (width + T::COLUMNS - 1) / T::COLUMNS;
        y = blockIdx.x / across * T::ROWS;
        x = blockIdx.x % across * T::COLUMNS;
        result = blockIdx.y * T::RESULTS;
    }
};

// Vector `i` of the halo that this thread brings: a pixel of the halo and a quarter of its chunk. Worked out anew
// wherever it is needed.
template <class T>
struct HaloVector {
    int pixel, row, column, quarter;

    INLINE HaloVector(int i) {
        pixel = static_cast<int>(thread() / 4) + i * (T::THREADS / 4);
        row = pixel / T::HALO_WIDTH;
        column = pixel % T::HALO_WIDTH;
        quarter = threadIdx.x % 4;
    }

    INLINE bool exists() const {
        return T::HALO_PIXELS * 4 % T::THREADS == 0 || pixel < T::HALO_PIXELS;
    }

    // As `swizzled`, but turned by the column alone. Rows of the halo are an even number of pixels, so that this is as
    // free of conflicts, and a tap above or below is a constant further on.
    INLINE u32 place() const {
        return pixel * 64 + (quarter ^ (column >> 1 & 3)) * 16;
    }
};

// A vector of an input on its way through registers, and which of its halves count. Nothing is done with either before
// the vector is stored, so that nobody waits for them.
struct Staged {
    uint4 values;
    u32 bits;
};

// The input of the forward convolution: blocked activations, zeros beyond the frame.
template <class T>
struct Activations {
    static constexpr bool COPIED = ASYNC;

    const half *from;
    int lanes;
    // Where this thread's vectors begin, or −1 beyond the frame; found once.
    int offsets[T::HALO_VECTORS];

    INLINE Activations(const half *from_, int lanes_, int height, int width, const Corner<T> &corner)
        : from(from_), lanes(lanes_) {
#pragma unroll
        for (int i = 0; i < T::HALO_VECTORS; ++i) {
            const HaloVector<T> vector(i);
            const int row = corner.y + vector.row - 1, column = corner.x + vector.column - 1;
            const bool inside = static_cast<u32>(row) < static_cast<u32>(height) &&
                                static_cast<u32>(column) < static_cast<u32>(width) && vector.exists();
            offsets[i] = inside ? (row * width + column) * lanes + vector.quarter * 8 : -1;
        }
    }

    INLINE Staged load(int i, int chunk) const {
        const bool found = exists(i, chunk);
        return {*reinterpret_cast<const uint4 *>(from + (found ? offsets[i] + chunk * CHUNK : 0)), found ? 1u : 0u};
    }

    static INLINE uint4 filtered(const Staged &staged) {
        return staged.bits != 0 ? staged.values : make_uint4(0, 0, 0, 0);
    }

    INLINE void copy(int i, int chunk, u32 halo) const {
        const HaloVector<T> vector(i);
        if (vector.exists()) {
            const bool found = exists(i, chunk);
            copy_async(halo + vector.place(), from + (found ? offsets[i] + chunk * CHUNK : 0), found);
        }
    }

  private:
    INLINE bool exists(int i, int chunk) const {
        return renewed(offsets[i]) >= 0 && chunk * CHUNK + static_cast<int>(thread() % 4) * 8 < renewed(lanes);
    }
};

// The input of the backward convolution: a blocked gradient, of which the mask says what passes; pooled ones are read
// where their window lies. Bits must be applied on the way, so this input travels through registers everywhere.
template <class T>
struct MaskedGradient {
    static constexpr bool COPIED = false;

    const half *gradient;
    const u8 *mask;
    // Vectors of eight channels.
    int vectors, width, windows_across, pooled;
    // Row and column of this thread's vectors, 16 bits each, or −1 where nothing comes from; found once.
    int places[T::HALO_VECTORS];

    INLINE MaskedGradient(const half *gradient_, const u8 *mask_, int lanes, int height, int width_, int pooled_,
                          const Corner<T> &corner)
        : gradient(gradient_), mask(mask_), vectors(lanes / 8), width(width_), windows_across(max(width_ >> pooled_, 1)),
          pooled(pooled_) {
        const int windows_down = max(height >> pooled, 1);
#pragma unroll
        for (int i = 0; i < T::HALO_VECTORS; ++i) {
            const HaloVector<T> vector(i);
            const int row = corner.y + vector.row - 1, column = corner.x + vector.column - 1;
            const bool inside = static_cast<u32>(row) < static_cast<u32>(height) &&
                                static_cast<u32>(column) < static_cast<u32>(width) && row >> pooled < windows_down &&
                                column >> pooled < windows_across && vector.exists();
            places[i] = inside ? row << 16 | column : -1;
        }
    }

    INLINE Staged load(int i, int chunk) const {
        const int byte = chunk * (CHUNK / 8) + static_cast<int>(thread() % 4);
        const int place = renewed(places[i]);
        const bool found = place >= 0 && byte < vectors;
        const int row = place >> 16, column = place & 0xffff;
        const int at = ((row >> pooled) * windows_across + (column >> pooled)) * vectors + byte;
        return {reinterpret_cast<const uint4 *>(gradient)[found ? at : 0],
                found ? mask[(row * width + column) * vectors + byte] : 0u};
    }

    static INLINE uint4 filtered(const Staged &staged) {
        const uint4 values = staged.values;
        const u32 bits = staged.bits;
        return make_uint4(values.x & halves(bits), values.y & halves(bits >> 2), values.z & halves(bits >> 4),
                          values.w & halves(bits >> 6));
    }

    INLINE void copy(int, int, u32) const {}

  private:
    // The lowest two bits, each repeated sixteen times.
    static INLINE u32 halves(u32 bits) {
        return ((bits | bits << 15) & 0x00010001) * 0xffff;
    }
};

// The weights: panels of RESULTS × 32 channels, one after the other in memory. Where a tile has more results than there
// are, the last row stands in: what is made of it is never stored.
template <class T>
struct Panels {
    const half *pack;
    int stride;
    int next[T::PANEL_VECTORS];
    u32 to;

    INLINE Panels(const half *pack_, int lanes, int first, int chunk, u32 shared) : pack(pack_), stride(lanes * CHUNK) {
        const int row = threadIdx.x / 4, quarter = threadIdx.x % 4;
        to = shared + T::PANELS_AT + swizzled(row, quarter);
#pragma unroll
        for (int i = 0; i < T::PANEL_VECTORS; ++i) {
            const int result = min(first + row + i * (T::THREADS / 4), lanes - 1);
            next[i] = chunk * TAPS * stride + result * CHUNK + quarter * 8;
        }
    }

    // Not all threads have a vector of a panel that has fewer.
    INLINE bool fits() const {
        return T::RESULTS * 4 % T::THREADS == 0 || threadIdx.x < T::RESULTS * 4;
    }

    INLINE void copy(int stage) {
#pragma unroll
        for (int i = 0; i < T::PANEL_VECTORS; ++i) {
            if (fits()) {
                copy_async(to + stage * T::PANEL_BYTES + i * T::THREADS * 16, pack + next[i], true);
            }
            next[i] += stride;
        }
    }

    INLINE void load(uint4 (&vectors)[T::PANEL_VECTORS]) {
#pragma unroll
        for (int i = 0; i < T::PANEL_VECTORS; ++i) {
            vectors[i] = *reinterpret_cast<const uint4 *>(pack + next[i]);
            next[i] += stride;
        }
    }

    INLINE void store(const uint4 (&vectors)[T::PANEL_VECTORS], int stage) const {
#pragma unroll
        for (int i = 0; i < T::PANEL_VECTORS; ++i) {
            if (fits()) {
                store_shared(to + stage * T::PANEL_BYTES + i * T::THREADS * 16, vectors[i]);
            }
        }
    }
};
// Where a lane of a warp finds its part of the fragments: of the first 16 channels of a chunk; the others are 32 bytes
// away, in the direction that the swizzle says. All else that changes in the main loop is known at compile time, but for
// which of the two halos is read.
template <class T>
struct Fragments {
    u32 halo[3];
    u32 panel;

    INLINE Fragments(u32 shared) {
        const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
        const int first_pixel = warp / T::WARP_COLUMNS * T::M * 16 + lane % 16;
        const int row = first_pixel / T::COLUMNS, column = first_pixel % T::COLUMNS;
#pragma unroll
        for (int dx = 0; dx < 3; ++dx) {
            const int quarter = lane / 16 ^ ((column + dx) >> 1 & 3);
            halo[dx] = shared + (row * T::HALO_WIDTH + column + dx) * 64 + quarter * 16;
        }
        const int first_result = warp % T::WARP_COLUMNS * T::N * 8;
        // A single fragment of weights with all its four quarters, or two fragments with two quarters each.
        panel = shared + T::PANELS_AT +
                (T::N == 1 ? swizzled(first_result + lane % 8, lane / 8)
                           : swizzled(first_result + lane / 16 * 8 + lane % 8, lane / 8 % 2));
    }

    INLINE void turn(int bytes) {
#pragma unroll
        for (int dx = 0; dx < 3; ++dx) {
            halo[dx] += bytes;
        }
    }

    // One tap: two products of 16 channels each.
    INLINE void multiply(typename T::Sums &sums, int tap) const {
        const int dy = tap / 3, dx = tap % 3;
        const u32 panel_offset = tap % STAGES * T::PANEL_BYTES;
        u32 b[2][T::N][2];
        if (T::N == 1) {
            u32 both[4];
            load_matrices(both, panel + panel_offset);
            b[0][0][0] = both[0], b[0][0][1] = both[1], b[1][0][0] = both[2], b[1][0][1] = both[3];
        }
#pragma unroll
        for (int k = 0; k < 2; ++k) {
            u32 a[T::M][4];
#pragma unroll
            for (int m = 0; m < T::M; ++m) {
                const int rows = dy + m * (16 / T::COLUMNS);
                load_matrices(a[m], (halo[dx] ^ k * 32) + rows * T::HALO_WIDTH * 64);
            }
#pragma unroll
            for (int n = 0; n + 1 < T::N; n += 2) {
                u32 pair[4];
                load_matrices(pair, (panel ^ k * 32) + panel_offset + n * 8 * 64);
                b[k][n][0] = pair[0], b[k][n][1] = pair[1], b[k][n + 1][0] = pair[2], b[k][n + 1][1] = pair[3];
            }
#pragma unroll
            for (int m = 0; m < T::M; ++m) {
#pragma unroll
                for (int n = 0; n < T::N; ++n) {
                    multiply_add(sums[m][n], a[m], b[k][n][0], b[k][n][1]);
                }
            }
        }
    }
};

// sums = Σ over chunks first..last of `input` (see the top) · the panels of `results` rows of a pack.
template <class T, class Input>
INLINE void convolve(typename T::Sums &sums, const Input &input, const half *pack, int pack_lanes, int first_result,
                     int first, int last, u32 shared) {
#pragma unroll
    for (int m = 0; m < T::M; ++m) {
#pragma unroll
        for (int n = 0; n < T::N; ++n) {
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                sums[m][n][i] = 0.0f;
            }
        }
    }
    // How many taps an input vector is on its way through a register.
    constexpr int PATIENCE = TAPS / T::HALO_VECTORS;
    static_assert(PATIENCE >= 1, "one vector at a time");

    Panels<T> panels(pack, pack_lanes, first_result, first, shared);
    Fragments<T> fragments(shared);
#pragma unroll
    for (int i = 0; i < T::HALO_VECTORS; ++i) {
        if (Input::COPIED) {
            input.copy(i, first, shared);
        } else if (HaloVector<T>(i).exists()) {
            store_shared(shared + HaloVector<T>(i).place(), input.filtered(input.load(i, first)));
        }
    }
    panels.copy(0);
    commit_copies();
    panels.copy(1);
    commit_copies();

    u32 next_halo = shared + T::HALO_BYTES;
    int turn = T::HALO_BYTES;
    for (int chunk = first; chunk < last; ++chunk) {
        const bool more = chunk + 1 < last;
        Staged staged = {};
#pragma unroll
        for (int tap = 0; tap < TAPS; ++tap) {
            // All but the panel after this one have arrived, and nobody reads what is overwritten below any more: the
            // panel of the tap before, and at tap 0 the halo of the chunk before.
            await_copies<1>();
            __syncthreads();
            uint4 weights[T::PANEL_VECTORS];
            const bool panel_follows = tap + 2 < TAPS || more;
            if (panel_follows) {
                if (ASYNC) {
                    panels.copy((tap + 2) % STAGES);
                } else {
                    panels.load(weights);
                }
            }
            // One vector a tap; that of the last tap but one has arrived when the next chunk begins.
            static_assert(T::HALO_VECTORS < TAPS, "or the last vector would arrive late");
            if (Input::COPIED && tap < T::HALO_VECTORS && more) {
                input.copy(tap, chunk + 1, next_halo);
            }
            commit_copies();
            const int i = tap / PATIENCE;
            if (!Input::COPIED && tap % PATIENCE == 0 && i < T::HALO_VECTORS && more) {
                staged = input.load(i, chunk + 1);
            }

            fragments.multiply(sums, tap);

            if (!Input::COPIED && tap % PATIENCE == PATIENCE - 1 && i < T::HALO_VECTORS && more &&
                HaloVector<T>(i).exists()) {
                store_shared(next_halo + HaloVector<T>(i).place(), input.filtered(staged));
            }
            if (!ASYNC && panel_follows) {
                panels.store(weights, (tap + 2) % STAGES);
            }
        }
        fragments.turn(turn);
        next_halo -= turn;
        turn = -turn;
    }
    // The shared memory is about to be used for something else.
    await_copies<0>();
    __syncthreads();
}

// Calls f(m, n, pixel, result, i): sums[m][n][i] and sums[m][n][i + 1] belong to results `result` and `result` + 1 of `pixel`
// of the tile.
template <class T, class F>
INLINE void each_pair(F f) {
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const int pixel = warp / T::WARP_COLUMNS * T::M * 16 + lane / 4;
    const int result = warp % T::WARP_COLUMNS * T::N * 8 + lane % 4 * 2;
#pragma unroll
    for (int m = 0; m < T::M; ++m) {
#pragma unroll
        for (int n = 0; n < T::N; ++n) {
            f(m, n, pixel + m * 16, result + n * 8, 0);
            f(m, n, pixel + m * 16 + 8, result + n * 8, 2);
        }
    }
}

// One part of a sum that is split over the channels → partials[split, H, W, lanes].
template <class T>
INLINE void store_partials(const typename T::Sums &sums, const Corner<T> &corner, float *partials, int height, int width,
                           int lanes) {
    partials += static_cast<size_t>(blockIdx.z) * height * width * lanes;
    each_pair<T>([&](int m, int n, int pixel, int result, int i) {
        const int y = corner.y + pixel / T::COLUMNS, x = corner.x + pixel % T::COLUMNS;
        result += corner.result;
        if (y < height && x < width && result < lanes) {
            *reinterpret_cast<float2 *>(partials + ((y * width + x) * static_cast<size_t>(lanes) + result)) =
                make_float2(sums[m][n][i], sums[m][n][i + 1]);
        }
    });
}

// The parts of eight results, of which there is one for each split, added up in order; `count` results in all.
INLINE Eight sum_of_partials(const float *partials, int splits, int at, int count) {
    Eight sum = {};
    int split = 0;
#pragma unroll 2
    do {
        const float *part = partials + (static_cast<size_t>(split) * count + at);
        const float4 low = *reinterpret_cast<const float4 *>(part);
        const float4 high = *reinterpret_cast<const float4 *>(part + 4);
        const float values[8] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
#pragma unroll
        for (int i = 0; i < 8; ++i) {
            sum.values[i] += values[i];
        }
    } while (++split < splits);
    return sum;
}
