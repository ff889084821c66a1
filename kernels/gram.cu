// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Moments: gram[k, l] = scale · Σ over pixels of a[p, k] · a[p, l], [C, C], and mean[k] = mean_scale · Σ over pixels of
// a[p, k], [C], in f32 from blocked a [pixels, lanes].
//
// The product aᵀ a is cut into tiles of 64 × 64 channels, of which those on and above the diagonal are computed, and
// into runs of pixels, so that the card is full and no sum in f32 gets long. Tiles on the diagonal see each channel of
// each pixel once, and multiply them by ones as well. A second pass adds up the runs in order, scales, and mirrors.

#include "primitives.cuh"

constexpr int SIDE = 64;
constexpr int DEPTH = 32;  // pixels of a stage
constexpr int STAGES = 4;
constexpr int THREADS = 128;
constexpr int PANEL_BYTES = DEPTH * SIDE * 2;

// Tile `index` of the triangle: rows of tiles one after the other, each from its diagonal on.
struct TriangleTile {
    int row, column;

    INLINE TriangleTile(int index, int side) {
        row = 0;
        while (index >= side - row) {
            index -= side - row;
            ++row;
        }
        column = row + index;
    }
};

// Panels lie as [32 pixels][64 channels]: rows of 128 bytes, all 32 banks, eight vectors. Vector v of pixel p is at place
// v ^ (p mod 8), so that ldmatrix, which reads the same vector of eight consecutive pixels, meets eight different groups.
INLINE u32 panel_place(int pixel, int vector) {
    return pixel * 128 + (vector ^ (pixel & 7)) * 16;
}

// partials [splits, tiles, 64, 64], then [splits, 64 T]: the products of tile blockIdx.x over the pixels of split blockIdx.y,
// and the sums of the channels.
// Launch: (T(T + 1)/2, splits) blocks of 128 threads, T = ⌈lanes/64⌉; four warps of 32 × 32 each.
KERNEL __launch_bounds__(THREADS)
    gram_partials(const half *a, int pixels, int lanes, int pixels_per_split, float *partials) {
    __shared__ __align__(128) u8 memory[STAGES * 2 * PANEL_BYTES];
    const u32 shared = shared_address(memory);
    const TriangleTile tile(blockIdx.x, (lanes + SIDE - 1) / SIDE);
    const bool diagonal = tile.row == tile.column;
    const int first = blockIdx.y * pixels_per_split, last = min(first + pixels_per_split, pixels);
    const int chunks = (last - first + DEPTH - 1) / DEPTH;

    // A thread brings a vector of 8 channels of pixels 0 and 16 of a chunk, of both panels; on the diagonal they are one.
    const int vector = threadIdx.x % 8, place = panel_place(threadIdx.x / 8, vector);
    const int channels[2] = {tile.row * SIDE + vector * 8, tile.column * SIDE + vector * 8};
    const auto copy = [&](int chunk) {
        const u32 stage = shared + chunk % STAGES * 2 * PANEL_BYTES + place;
        const int pixel = first + chunk * DEPTH + threadIdx.x / 8;
#pragma unroll
        for (int panel = 0; panel < 2; ++panel) {
            if (panel == 1 && diagonal) {
                continue;
            }
#pragma unroll
            for (int i = 0; i < DEPTH; i += THREADS / 8) {
                const bool exists = pixel + i < last && channels[panel] < lanes;
                copy_async(stage + panel * PANEL_BYTES + i * 128,
                           a + (exists ? (pixel + i) * lanes + channels[panel] : 0), exists);
            }
        }
    };

    // Both operands have their channels along rows of memory, where the product wants pixels: loaded transposed. Further
    // fragments of 16 channels are 32 bytes away in the direction that the swizzle says.
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const int j = lane / 8, i = lane % 8;
    const u32 a_at = panel_place(j / 2 * 8 + i, warp / 2 * 4 + j % 2);
    const u32 b_at = (diagonal ? 0 : PANEL_BYTES) + panel_place(j % 2 * 8 + i, warp % 2 * 4 + j / 2);
    float sums[2][4][4] = {};
    // Of the columns of a tile on the diagonal each warp adds up sixteen; all rows of these products are the same.
    const u32 ones[4] = {0x3c003c00u, 0x3c003c00u, 0x3c003c00u, 0x3c003c00u};
    float totals[2][4] = {};
#pragma unroll
    for (int chunk = 0; chunk < STAGES - 1; ++chunk) {
        if (chunk < chunks) {
            copy(chunk);
        }
        commit_copies();
    }
    for (int chunk = 0; chunk < chunks; ++chunk) {
        await_copies<STAGES - 2>();
        __syncthreads();
        if (chunk + STAGES - 1 < chunks) {
            copy(chunk + STAGES - 1);
        }
        commit_copies();
        const u32 stage = shared + chunk % STAGES * 2 * PANEL_BYTES;
#pragma unroll
        for (int k = 0; k < DEPTH / 16; ++k) {
            u32 rows[2][4], columns[2][4];
#pragma unroll
            for (int m = 0; m < 2; ++m) {
                load_matrices_transposed(rows[m], (stage + (a_at ^ m * 32)) + k * 16 * 128);
                load_matrices_transposed(columns[m], (stage + (b_at ^ m * 32)) + k * 16 * 128);
            }
#pragma unroll
            for (int m = 0; m < 2; ++m) {
#pragma unroll
                for (int n = 0; n < 4; ++n) {
                    multiply_add(sums[m][n], rows[m], columns[n / 2][n % 2 * 2], columns[n / 2][n % 2 * 2 + 1]);
                }
            }
            if (diagonal) {
#pragma unroll
                for (int n = 0; n < 2; ++n) {
                    const u32 first_rows = warp / 2 == 0 ? columns[0][n * 2] : columns[1][n * 2];
                    const u32 last_rows = warp / 2 == 0 ? columns[0][n * 2 + 1] : columns[1][n * 2 + 1];
                    multiply_add(totals[n], ones, first_rows, last_rows);
                }
            }
        }
    }
    await_copies<0>();

    const int tiles = gridDim.x;
    if (diagonal && lane < 4) {
        const int side = (lanes + SIDE - 1) / SIDE;
        float *to = partials + static_cast<size_t>(gridDim.y) * tiles * SIDE * SIDE + (blockIdx.y * side + tile.row) * SIDE;
#pragma unroll
        for (int n = 0; n < 2; ++n) {
            const int column = warp % 2 * 32 + warp / 2 * 16 + n * 8 + lane * 2;
            *reinterpret_cast<float2 *>(to + column) = make_float2(totals[n][0], totals[n][1]);
        }
    }
    float *to = partials + (static_cast<size_t>(blockIdx.y) * tiles + blockIdx.x) * SIDE * SIDE;
#pragma unroll
    for (int m = 0; m < 2; ++m) {
#pragma unroll
        for (int n = 0; n < 4; ++n) {
            const int row = warp / 2 * 32 + m * 16 + lane / 4, column = warp % 2 * 32 + n * 8 + lane % 4 * 2;
            *reinterpret_cast<float2 *>(to + row * SIDE + column) = make_float2(sums[m][n][0], sums[m][n][1]);
            *reinterpret_cast<float2 *>(to + (row + 8) * SIDE + column) = make_float2(sums[m][n][2], sums[m][n][3]);
        }
    }
}

// gram [C, C] and mean [C] from the partials. Of a tile on the diagonal only what is above it counts, so that the matrix is
// symmetric bit by bit whatever order the tensor core adds in. Launch: (T(T + 1)/2, 16) blocks of 256 threads.
KERNEL __launch_bounds__(BLOCK_THREADS)
    gram_finish(const float *partials, int splits, int channels, int lanes, float scale, float *gram, float mean_scale,
                float *mean) {
    const int side = (lanes + SIDE - 1) / SIDE;
    const TriangleTile tile(blockIdx.x, side);
    const int channel = tile.row * SIDE + threadIdx.x;
    if (blockIdx.y == 0 && tile.row == tile.column && threadIdx.x < SIDE && channel < channels) {
        const float *sums = partials + static_cast<size_t>(splits) * gridDim.x * SIDE * SIDE;
        float sum = 0.0f;
        for (int split = 0; split < splits; ++split) {
            sum += sums[split * side * SIDE + channel];
        }
        mean[channel] = mean_scale * sum;
    }
    const int element = blockIdx.y * BLOCK_THREADS + threadIdx.x;
    const int row = tile.row * SIDE + element / SIDE, column = tile.column * SIDE + element % SIDE;
    if (row > column || column >= channels) {
        return;
    }
    float sum = 0.0f;
    for (int split = 0; split < splits; ++split) {
        sum += partials[(static_cast<size_t>(split) * gridDim.x + blockIdx.x) * SIDE * SIDE + element];
    }
    sum *= scale;
    gram[row * channels + column] = sum;
    gram[column * channels + row] = sum;
}
