// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Steps along a gradient, and the loss scale that keeps gradients within fp16. When a gradient of the step overflowed, the
// step is skipped: it is zero, and moments stay as they are.
// Launch: blocks of 256 threads, as many as there are items: one f32, or a pixel.

#include "primitives.cuh"

// Whether a number of the gradient moves anything. The step of one that does not is zero.
INLINE bool moves(int item, int count, const u32 *overflow, float *step) {
    if (item >= count) {
        return false;
    }
    const bool is_skipped = overflow != nullptr && *overflow != 0;
    if (is_skipped) {
        step[item] = 0.0f;
    }
    return !is_skipped;
}

// Kingma and Ba 2015, algorithm 1: m := β₁ m + (1 − β₁) g; v := β₂ v + (1 − β₂) s; step = rate · m / (√v · root + ε). The
// numbers lie in `knobs` at the places given; the host has folded the corrections of bias into `rate` and `root`. All tensors
// are planar and have `count` numbers.
KERNEL __launch_bounds__(BLOCK_THREADS)
    adam(const float *gradient, const float *squared, float *m, float *v, const float *knobs, int rate, int root, int beta1,
         int beta2, int epsilon, float *step, int count, const u32 *overflow) {
    const int item = blockIdx.x * BLOCK_THREADS + threadIdx.x;
    if (!moves(item, count, overflow, step)) {
        return;
    }
    const float new_m = knobs[beta1] * m[item] + (1.0f - knobs[beta1]) * gradient[item];
    const float new_v = knobs[beta2] * v[item] + (1.0f - knobs[beta2]) * squared[item];
    step[item] = knobs[rate] * new_m / (sqrtf(new_v) * knobs[root] + knobs[epsilon]);
    m[item] = new_m;
    v[item] = new_v;
}

// u := momentum · u + g; step = rate · u, with rate[rate_at] and momentum[momentum_at].
KERNEL __launch_bounds__(BLOCK_THREADS)
    sgd(const float *gradient, float *velocity, const float *rate, int rate_at, const float *momentum, int momentum_at,
        float *step, int count, const u32 *overflow) {
    const int item = blockIdx.x * BLOCK_THREADS + threadIdx.x;
    if (!moves(item, count, overflow, step)) {
        return;
    }
    const float u = momentum[momentum_at] * velocity[item] + gradient[item];
    velocity[item] = u;
    step[item] = rate[rate_at] * u;
}

// x := x − A (s̄ + b − b̄) for planar pictures [3, pixels]: s is the step, b the same blurred, a bar the mean of a pixel's three
// numbers, and `axes` the rows of A. An item is a pixel.
KERNEL __launch_bounds__(BLOCK_THREADS)
    descend(float *x, const float *step, const float *blurred, const float *axes, int pixels) {
    const int pixel = blockIdx.x * BLOCK_THREADS + threadIdx.x;
    if (pixel >= pixels) {
        return;
    }
    const float r = blurred[pixel], g = blurred[pixels + pixel], b = blurred[2 * pixels + pixel];
    const float grey = (step[pixel] + step[pixels + pixel] + step[2 * pixels + pixel]) / 3.0f;
    const float coloured = (r + g + b) / 3.0f;
    const float moved[3] = {grey + (r - coloured), grey + (g - coloured), grey + (b - coloured)};
#pragma unroll
    for (int channel = 0; channel < 3; ++channel) {
        const float *axis = axes + 3 * channel;
        x[channel * pixels + pixel] -= axis[0] * moved[0] + axis[1] * moved[1] + axis[2] * moved[2];
    }
}

// Clean steps in a row after which a larger scale is tried.
constexpr u32 PATIENCE = 200;

// At the end of a step, one thread (Micikevicius et al. 2018, "Mixed Precision Training", §3.2, with the dynamic scale
// of their footnote): after an overflow half the scale, after 200 clean steps twice; `clean` counts those in a row.
KERNEL __launch_bounds__(32)
    loss_scale_update(float *loss_scale, u32 *overflow, u32 *clean, float least, float greatest) {
    if (threadIdx.x != 0) {
        return;
    }
    if (*overflow != 0) {
        *loss_scale = fmaxf(*loss_scale * 0.5f, least);
        *clean = 0;
        *overflow = 0;
    } else if (++*clean == PATIENCE) {
        *loss_scale = fminf(*loss_scale * 2.0f, greatest);
        *clean = 0;
    }
}
