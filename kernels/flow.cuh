// SPDX-License-Identifier: MIT OR Apache-2.0
//
// What the kernels of optical flow share. The numbers are those of src/backend/flow.rs, and a test compares them.
//
// Two pictures, [2, height, width], brightness in steps of a byte. A flow is [4, height, width]: u and v from the first
// picture to the second, then from the second to the first. blockIdx.y, where there is one, is the picture from which a flow
// leads.

#pragma once

#include "primitives.cuh"

constexpr int SIDE = 8;
constexpr int STEP = 4;
constexpr int STEPS = 8;
constexpr float STILL = 0.02f;
constexpr float SAME = 0.25f;
constexpr int REACH = 15;
constexpr float WAY_PER_NOISE = 80.0f;
constexpr float WAY = 2.0f;

constexpr float BRIGHTNESS = 2.5f;
constexpr float DERIVATIVES = 10.0f;
constexpr float SMOOTHNESS = 14.0f;
constexpr float ROUND = 1e-4f;
constexpr float FLAT = 4.0f;
constexpr float MOST_GAIN = 3.0f;
constexpr float OVER_RELAXATION = 1.8f;

constexpr float EDGE = 0.002f;
constexpr float ALIKE = 2.0f;
constexpr float UNLIKE = 6.0f;

INLINE float square(float value) { return value * value; }

// Where `at` lies on a line of `length` pixels, or the end that is nearest.
INLINE int inside(int at, int length) { return min(max(at, 0), length - 1); }

// What is no number is `least`.
INLINE float within(float value, float least, float most) { return fminf(fmaxf(value, least), most); }

// A plane [height, width]. Beyond its edge the outermost pixels go on.
struct Plane {
    const float *pixels;
    int height, width;

    INLINE float at(int y, int x) const { return pixels[inside(y, height) * width + inside(x, width)]; }

    // Half the difference of the pixels beside one; beyond the edge the outermost differences go on.
    INLINE float across(int y, int x) const {
        x = inside(x, width);
        return 0.5f * (at(y, x + 1) - at(y, x - 1));
    }

    INLINE float down(int y, int x) const {
        y = inside(y, height);
        return 0.5f * (at(y + 1, x) - at(y - 1, x));
    }

    // Between four pixels.
    INLINE float between(float y, float x) const {
        const float row = floorf(y), column = floorf(x), down = y - row, right = x - column;
        const int top = static_cast<int>(row), left = static_cast<int>(column);
        const float above = at(top, left), below = at(top + 1, left);
        const float upper = above + right * (at(top, left + 1) - above);
        const float lower = below + right * (at(top + 1, left + 1) - below);
        return upper + down * (lower - upper);
    }
};

INLINE Plane plane(const float *planes, int index, int height, int width) {
    return {planes + index * height * width, height, width};
}

// |∇u|² + |∇v|².
INLINE float squared_gradient(const Plane &u, const Plane &v, int y, int x) {
    return square(u.across(y, x)) + square(u.down(y, x)) + square(v.across(y, x)) + square(v.down(y, x));
}

// Where the patch of a row or a column begins.
INLINE int begins(int index, int length) { return min(index * STEP, length - SIDE); }
