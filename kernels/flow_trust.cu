// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Where optical flow from the first picture to the second can be trusted, and how much of the first it explains. Steps of
// src/backend/flow.rs. Ruder, Dosovitskiy and Brox, "Artistic Style Transfer for Videos", 2016, section 5.
//
// Launch: up to 1024 blocks of 256 threads, each thread taking items in turn.

#include "flow.cuh"

// trust[height, width]; an item is a pixel.
KERNEL __launch_bounds__(BLOCK_THREADS) flow_consistency(const float *flow, int height, int width, float *trust) {
    const Plane flow_u = plane(flow, 0, height, width), flow_v = plane(flow, 1, height, width);
    const Plane back_u = plane(flow, 2, height, width), back_v = plane(flow, 3, height, width);
    const float right = static_cast<float>(width - 1), bottom = static_cast<float>(height - 1);
    EACH(pixel, height * width) {
        const int row = pixel / width, column = pixel % width;
        const float u = flow_u.pixels[pixel], v = flow_v.pixels[pixel];
        const float x = static_cast<float>(column) + u, y = static_cast<float>(row) + v;
        const float place_x = within(x, 0.0f, right), place_y = within(y, 0.0f, bottom);
        const float other_u = back_u.between(place_y, place_x), other_v = back_v.between(place_y, place_x);
        const float length = u * u + v * v;
        const float lost = (square(u + other_u) + square(v + other_v)) /
                           (0.01f * (length + other_u * other_u + other_v * other_v) + 0.5f);
        const float edge = slopes(flow_u, flow_v, row, column) / (0.01f * length + EDGE);
        // Half a pixel beyond the border is seen by the border's pixels.
        const bool is_inside = fabsf(x - place_x) <= 0.5f && fabsf(y - place_y) <= 0.5f;
        // From 1 to 0 on the second half of the way to Ruder's limits, so that a mask does not flicker itself.
        trust[pixel] = is_inside ? within(2.0f - 2.0f * fmaxf(lost, edge), 0.0f, 1.0f) : 0.0f;
    }
}

// The two pictures, and a flow between them.
struct Seen {
    Plane first, second, u, v;

    INLINE Seen(const float *pictures, const float *flow, int height, int width)
        : first(plane(pictures, 0, height, width)), second(plane(pictures, 1, height, width)),
          u(plane(flow, 0, height, width)), v(plane(flow, 1, height, width)) {}

    // The second picture where the flow leads from a pixel, and whether that is more than half a pixel beyond its edge.
    INLINE float there(int row, int column, bool &beyond) const {
        const int pixel = row * first.width + column;
        const float x = static_cast<float>(column) + u.pixels[pixel], y = static_cast<float>(row) + v.pixels[pixel];
        const float inside_x = within(x, 0.0f, static_cast<float>(first.width - 1));
        const float inside_y = within(y, 0.0f, static_cast<float>(first.height - 1));
        beyond = !(fabsf(x - inside_x) <= 0.5f && fabsf(y - inside_y) <= 0.5f);
        return second.between(inside_y, inside_x);
    }
};

// resemblance[height, width] = trust, or more where the 3 × 3 pixels about a place look alike; an item is a pixel.
KERNEL __launch_bounds__(BLOCK_THREADS)
    flow_resemblance(const float *pictures, const float *flow, const float *trust, int height, int width,
                     float *resemblance) {
    const Seen seen(pictures, flow, height, width);
    EACH(pixel, height * width) {
        const int y = pixel / width, x = pixel % width;
        float sum = 0.0f;
        int count = 0;
        int row = max(y - 1, 0);
#pragma unroll 1
        do {
            int column = max(x - 1, 0);
#pragma unroll 1
            do {
                bool beyond;
                const float there = seen.there(row, column, beyond);
                // Beyond the border there is nothing to be alike.
                sum += fabsf(seen.first.pixels[row * width + column] - there) + (beyond ? 255.0f : 0.0f);
                ++count;
            } while (++column <= min(x + 1, width - 1));
        } while (++row <= min(y + 1, height - 1));
        const float alike = (UNLIKE - sum / static_cast<float>(count)) / (UNLIKE - ALIKE);
        resemblance[pixel] = fmaxf(trust[pixel], within(alike, 0.0f, 1.0f));
    }
}

// What is left over of the variance, and all of it.
constexpr int VARIANCES = 2;

// partials[blocks, 2] of at most 64 blocks; an item is a cell of 8 × 8 pixels. f64, since differences of sums are taken.
KERNEL __launch_bounds__(BLOCK_THREADS)
    flow_unexplained(const float *pictures, const float *flow, int height, int width, double *partials) {
    const Seen seen(pictures, flow, height, width);
    const int columns = (width + CELL - 1) / CELL, rows = (height + CELL - 1) / CELL;
    double variances[VARIANCES] = {};
    EACH(cell, rows * columns) {
        const int top = cell / columns * CELL, left = cell % columns * CELL;
        double a = 0.0, b = 0.0, aa = 0.0, ab = 0.0, bb = 0.0;
        int count = 0;
        int row = top;
#pragma unroll 1
        do {
            int column = left;
#pragma unroll 1
            do {
                bool beyond;
                const double here = seen.first.pixels[row * width + column], there = seen.there(row, column, beyond);
                a += here;
                b += there;
                aa += here * here;
                ab += here * there;
                bb += there * there;
                ++count;
            } while (++column < min(left + CELL, width));
        } while (++row < min(top + CELL, height));
        const double share = 1.0 / count;
        const double variance = fmax((aa - a * a * share) * share - CELL_NOISE, 0.0);
        const double other = fmax((bb - b * b * share) * share, 1e-3), common = fmax((ab - a * b * share) * share, 0.0);
        variances[0] += variance - fmin(common * common / other, variance);
        variances[1] += variance;
    }
    block_sums(variances, partials + blockIdx.x * VARIANCES);
}

// sums[2] of partials[blocks, 2], one for a thread. One block.
KERNEL __launch_bounds__(BLOCK_THREADS) flow_unexplained_finish(const double *partials, int blocks, float *sums) {
    __shared__ double found[VARIANCES];
    const bool has = threadIdx.x < blocks;
    const double mine[VARIANCES] = {has ? partials[threadIdx.x * VARIANCES] : 0.0,
                                    has ? partials[threadIdx.x * VARIANCES + 1] : 0.0};
    block_sums(mine, found);
    if (threadIdx.x < VARIANCES) {
        sums[threadIdx.x] = static_cast<float>(found[threadIdx.x]);
    }
}
