// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Where optical flow from the first picture to the second can be trusted. Steps of src/backend/flow.rs.
// Ruder, Dosovitskiy and Brox, "Artistic Style Transfer for Videos", 2016, section 5.
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
        const float edge = squared_gradient(flow_u, flow_v, row, column) / (0.01f * length + EDGE);
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
