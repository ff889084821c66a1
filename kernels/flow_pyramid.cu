// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Optical flow from size to size: pictures halved, the noise in them, flows enlarged. Steps of src/backend/flow.rs.
//
// Launch, but for `flow_noise`: up to 1024 blocks of 256 threads, each thread taking items in turn; an item is one number
// that is written.

#include "flow.cuh"

// to[c, y, x] = Σ (1 3 3 1)/8 · (1 3 3 1)/8 · from[c, 2y − 1 …, 2x − 1 …]; from [C, height, width], to half of it, rounded up.
KERNEL __launch_bounds__(BLOCK_THREADS) flow_halve(const float *from, float *to, int channels, int height, int width) {
    const int rows = (height + 1) / 2, columns = (width + 1) / 2;
    EACH(item, channels * rows * columns) {
        const int x = item % columns, y = item / columns % rows;
        const Plane finer = plane(from, item / columns / rows, height, width);
        float sum = 0.0f;
#pragma unroll
        for (int j = 0; j < 4; ++j) {
            const int row = 2 * y - 1 + j;
            const float outer = finer.at(row, 2 * x - 1) + finer.at(row, 2 * x + 2);
            const float inner = finer.at(row, 2 * x) + finer.at(row, 2 * x + 1);
            sum += (j == 0 || j == 3 ? 0.125f : 0.375f) * (0.125f * outer + 0.375f * inner);
        }
        to[item] = sum;
    }
}

// bends[2, ⌈height/4⌉, width] of every fourth row of pictures[2, height, width]: |1 −2 1|ᵀ · |1 −2 1| at each pixel.
// Immerkær, "Fast Noise Variance Estimation", 1996.
KERNEL __launch_bounds__(BLOCK_THREADS) flow_bends(const float *pictures, float *bends, int height, int width) {
    const int rows = (height + 3) / 4;
    EACH(item, 2 * rows * width) {
        const int x = item % width, y = item / width % rows * 4;
        const Plane picture = plane(pictures, item / width / rows, height, width);
        float bend[3];
#pragma unroll
        for (int j = 0; j < 3; ++j) {
            const int row = y + j - 1;
            bend[j] = picture.at(row, x - 1) - 2.0f * picture.at(row, x) + picture.at(row, x + 1);
        }
        bends[item] = fabsf(bend[0] - 2.0f * bend[1] + bend[2]);
    }
}

// noise[p] = (m / (6 · 0.6745))², where m is the median of bends[p, count]: that with ⌊count/2⌋ numbers before it. Numbers
// that are not negative have the order of their bits, so that eight bits of the median are found at a time, by counting.
// One block for each picture.
KERNEL __launch_bounds__(BLOCK_THREADS) flow_noise(const float *bends, int count, float *noise) {
    __shared__ u32 bins[256];
    __shared__ u32 found[2];
    const float *mine = bends + blockIdx.x * count;
    u32 median = 0, before = count / 2;
    for (int shift = 24; shift >= 0; shift -= 8) {
        bins[threadIdx.x] = 0;
        __syncthreads();
        const u32 known = shift == 24 ? 0 : 0xffffffffu << (shift + 8);
        for (int i = threadIdx.x; i < count; i += BLOCK_THREADS) {
            const u32 bits = __float_as_uint(mine[i]);
            if ((bits & known) == median) {
                atomicAdd(&bins[bits >> shift & 255], 1u);
            }
        }
        __syncthreads();
        if (threadIdx.x == 0) {
            u32 bin = 0;
            while (bin < 255 && before >= bins[bin]) {
                before -= bins[bin];
                ++bin;
            }
            found[0] = median | bin << shift;
            found[1] = before;
        }
        __syncthreads();
        median = found[0];
        before = found[1];
    }
    if (threadIdx.x == 0) {
        noise[blockIdx.x] = square(__uint_as_float(median) / (6.0f * 0.6745f));
    }
}

// to[4, height, width] = 2 · half[4, ⌈height/2⌉, ⌈width/2⌉] between its pixels: ¾ of that which covers this one, ¼ of the next.
KERNEL __launch_bounds__(BLOCK_THREADS) flow_enlarge(const float *half, float *to, int height, int width) {
    EACH(item, 4 * height * width) {
        const int x = item % width, y = item / width % height;
        const Plane coarser = plane(half, item / width / height, (height + 1) / 2, (width + 1) / 2);
        const int beside = x / 2 + (x % 2 == 0 ? -1 : 1), aside = y / 2 + (y % 2 == 0 ? -1 : 1);
        const float near = 0.75f * coarser.at(y / 2, x / 2) + 0.25f * coarser.at(y / 2, beside);
        const float far = 0.75f * coarser.at(aside, x / 2) + 0.25f * coarser.at(aside, beside);
        to[item] = 2.0f * (0.75f * near + 0.25f * far);
    }
}
