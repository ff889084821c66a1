// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Steps along a gradient, and the loss scale that keeps gradients within fp16. When a gradient of the step overflowed, the
// step is skipped: picture and moments stay as they are.
// Launch: up to 1024 blocks of 256 threads, each thread taking items in turn; an item is one f32, or eight lanes of fp16.

#include "primitives.cuh"

INLINE bool skipped(const u32 *overflow) {
    return overflow != nullptr && *overflow != 0;
}

struct Adam {
    float rate, root, beta1, beta2, epsilon;

    // m := β₁ m + (1 − β₁) g;  v := β₂ v + (1 − β₂) s;  x := x − rate · m / (√v · root + ε)
    INLINE void step(float &x, float gradient, float squared, float &m, float &v) const {
        m = beta1 * m + (1.0f - beta1) * gradient;
        v = beta2 * v + (1.0f - beta2) * squared;
        x -= rate * m / (sqrtf(v) * root + epsilon);
    }
};

// Kingma and Ba 2015, algorithm 1. The numbers lie in `knobs` at the places given; the host has folded the corrections
// of bias into `rate` and `root`. All tensors have `count` numbers.
KERNEL __launch_bounds__(BLOCK_THREADS)
    adam_f32(float *x, const float *gradient, const float *squared, float *m, float *v, const float *knobs, int rate,
             int root, int beta1, int beta2, int epsilon, int count, const u32 *overflow) {
    if (skipped(overflow)) {
        return;
    }
    const Adam adam = {knobs[rate], knobs[root], knobs[beta1], knobs[beta2], knobs[epsilon]};
    EACH(item, count) {
        float new_x = x[item], new_m = m[item], new_v = v[item];
        adam.step(new_x, gradient[item], squared[item], new_m, new_v);
        x[item] = new_x;
        m[item] = new_m;
        v[item] = new_v;
    }
}

KERNEL __launch_bounds__(BLOCK_THREADS)
    adam_f16(half *x, const half *gradient, const half *squared, half *m, half *v, const float *knobs, int rate, int root,
             int beta1, int beta2, int epsilon, int count, const u32 *overflow) {
    if (skipped(overflow)) {
        return;
    }
    const Adam adam = {knobs[rate], knobs[root], knobs[beta1], knobs[beta2], knobs[epsilon]};
    EACH(item, count / 8) {
        const int at = item * 8;
        Eight new_x = load_eight(x + at), new_m = load_eight(m + at), new_v = load_eight(v + at);
        const Eight g = load_eight(gradient + at), s = load_eight(squared + at);
        // What rounds to zero in v may meet ε = 0 in lanes that no channel uses; these must stay zero.
#pragma unroll
        for (int i = 0; i < 8; ++i) {
            const float before = new_x.values[i];
            adam.step(new_x.values[i], g.values[i], s.values[i], new_m.values[i], new_v.values[i]);
            if (new_m.values[i] == 0.0f) {
                new_x.values[i] = before;
            }
        }
        store_eight(x + at, new_x);
        store_eight(m + at, new_m);
        store_eight(v + at, new_v);
    }
}

// u := momentum · u + g;  x := x − rate · u, with rate[rate_at] and momentum[momentum_at].
KERNEL __launch_bounds__(BLOCK_THREADS)
    sgd_f32(float *x, const float *gradient, float *velocity, const float *rate, int rate_at, const float *momentum,
            int momentum_at, int count, const u32 *overflow) {
    if (skipped(overflow)) {
        return;
    }
    const float step = rate[rate_at], keep = momentum[momentum_at];
    EACH(item, count) {
        const float u = keep * velocity[item] + gradient[item];
        velocity[item] = u;
        x[item] -= step * u;
    }
}

KERNEL __launch_bounds__(BLOCK_THREADS)
    sgd_f16(half *x, const half *gradient, half *velocity, const float *rate, int rate_at, const float *momentum,
            int momentum_at, int count, const u32 *overflow) {
    if (skipped(overflow)) {
        return;
    }
    const float step = rate[rate_at], keep = momentum[momentum_at];
    EACH(item, count / 8) {
        const int at = item * 8;
        Eight u = load_eight(velocity + at), moved = load_eight(x + at);
        const Eight g = load_eight(gradient + at);
#pragma unroll
        for (int i = 0; i < 8; ++i) {
            u.values[i] = keep * u.values[i] + g.values[i];
            moved.values[i] -= step * u.values[i];
        }
        store_eight(velocity + at, u);
        store_eight(x + at, moved);
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
