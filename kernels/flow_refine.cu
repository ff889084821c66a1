// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Optical flow refined: the pixels' equations, and what solves them. Steps of src/backend/flow.rs.
// Brox, Bruhn, Papenberg and Weickert, "High Accuracy Optical Flow Estimation Based on a Theory for Warping", 2004;
// Zimmer, Bruhn and Weickert, "Optic Flow in Harmony", 2011.
//
// Launch, but for `flow_light`: grid = (up to 1024 blocks, 2), blocks of 256 threads, each thread taking items in turn; an
// item is a pixel.

#include "flow.cuh"

// Σ of a, b, a² and b² of a picture, a, and of the other where the flow leads, b.
constexpr int LIGHT_SUMS = 4;

// there[way, y, x] = the other picture at (x, y) + flow, at most `REACH` beyond its edge. partials[2, blocks, 4], f64 since
// differences of them are taken.
KERNEL __launch_bounds__(BLOCK_THREADS)
    flow_there(const float *pictures, const float *flow, float *there, int height, int width, double *partials) {
    const int way = blockIdx.y, pixels = height * width;
    const Plane other = plane(pictures, 1 - way, height, width);
    const float reach = REACH;
    double sums[LIGHT_SUMS] = {};
    EACH(pixel, pixels) {
        const int row = pixel / width, column = pixel % width;
        const float x = static_cast<float>(column) + flow[2 * way * pixels + pixel];
        const float y = static_cast<float>(row) + flow[(2 * way + 1) * pixels + pixel];
        const float looked_at = other.between(within(y, -reach, static_cast<float>(height - 1) + reach),
                                              within(x, -reach, static_cast<float>(width - 1) + reach));
        there[way * pixels + pixel] = looked_at;
        const double a = pictures[way * pixels + pixel], b = looked_at;
        sums[0] += a;
        sums[1] += b;
        sums[2] += a * a;
        sums[3] += b * b;
    }
    block_sums(sums, partials + (way * gridDim.x + blockIdx.x) * LIGHT_SUMS);
}

// light[way] = gain and lift that give b, see above, the mean and the spread of a: the ratio of the spreads and not the
// slope of b against a, which a flow that is not right yet would make too small. partials[2, blocks, 4]; two blocks.
KERNEL __launch_bounds__(BLOCK_THREADS) flow_light(const double *partials, int blocks, int pixels, float *light) {
    __shared__ double found[LIGHT_SUMS];
    double mine[LIGHT_SUMS] = {};
    each_partial(blocks, [&](int block) {
#pragma unroll
        for (int i = 0; i < LIGHT_SUMS; ++i) {
            mine[i] += partials[(blockIdx.x * blocks + block) * LIGHT_SUMS + i];
        }
    });
    block_sums(mine, found);
    if (threadIdx.x == 0) {
        const double count = pixels, a = found[0] / count, b = found[1] / count;
        const double spread = fmax(found[2] / count - a * a, 1.0), other_spread = fmax(found[3] / count - b * b, 1.0);
        const float gain = within(sqrtf(static_cast<float>(spread / other_spread)), 1.0f / MOST_GAIN, MOST_GAIN);
        light[2 * blockIdx.x] = gain;
        light[2 * blockIdx.x + 1] = static_cast<float>(a - static_cast<double>(gain) * b);
    }
}

// A picture beside the other one where the flow leads, which is given its light.
struct Pair {
    Plane here, there;
    float gain, lift;

    INLINE float lit(int y, int x) const { return gain * there.at(y, x) + lift; }
    INLINE float mean(int y, int x) const { return 0.5f * (here.at(y, x) + lit(y, x)); }
    INLINE float change(int y, int x) const { return lit(y, x) - here.at(y, x); }

    // Derivatives of the mean; beyond the edge the outermost go on.
    INLINE float dx(int y, int x) const {
        y = inside(y, here.height);
        x = inside(x, here.width);
        return 0.5f * (mean(y, x + 1) - mean(y, x - 1));
    }

    INLINE float dy(int y, int x) const {
        y = inside(y, here.height);
        x = inside(x, here.width);
        return 0.5f * (mean(y + 1, x) - mean(y - 1, x));
    }
};

// What the flow of a direction gains from a pixel to the next one where the picture moves as a whole.
struct Slope {
    float u_right, u_down, v_right, v_down;
};

INLINE Slope slope_of(const float *slopes, int way) {
    return {slopes[4 * way], slopes[4 * way + 1], slopes[4 * way + 2], slopes[4 * way + 3]};
}

// For each pixel xx u + xy v = x and xy u + yy v = y, what the pictures say about the flow, linearised about what it is, and
// how strongly the pixel is tied to its neighbours, ties = α / √(|∇u − s|² + |∇v − t|² + ε²). All [2, height, width], but for
// slopes[2, 4]: s and t of each direction.
KERNEL __launch_bounds__(BLOCK_THREADS)
    flow_equations(const float *pictures, const float *flow, const float *there, const float *light, const float *slopes,
                   int height, int width, float *xx, float *xy, float *yy, float *x, float *y, float *ties) {
    const int way = blockIdx.y, pixels = height * width;
    const Pair pair{plane(pictures, way, height, width), plane(there, way, height, width), light[2 * way],
                    light[2 * way + 1]};
    const Plane flow_u = plane(flow, 2 * way, height, width), flow_v = plane(flow, 2 * way + 1, height, width);
    const Slope slope = slope_of(slopes, way);
    EACH(pixel, pixels) {
        const int row = pixel / width, column = pixel % width, to = way * pixels + pixel;
        const float ix = pair.dx(row, column), iy = pair.dy(row, column), it = pair.change(row, column);
        const float ixx = 0.5f * (pair.dx(row, column + 1) - pair.dx(row, column - 1));
        const float ixy = 0.5f * (pair.dx(row + 1, column) - pair.dx(row - 1, column));
        const float iyy = 0.5f * (pair.dy(row + 1, column) - pair.dy(row - 1, column));
        const float ixt = 0.5f * (pair.change(row, column + 1) - pair.change(row, column - 1));
        const float iyt = 0.5f * (pair.change(row + 1, column) - pair.change(row - 1, column));
        const float brightness = 1.0f / (ix * ix + iy * iy + FLAT);
        const float sideways = 1.0f / (ixx * ixx + ixy * ixy + FLAT), upright = 1.0f / (ixy * ixy + iyy * iyy + FLAT);
        const float b = BRIGHTNESS * brightness / sqrtf(it * it * brightness + ROUND);
        const float robust = DERIVATIVES / sqrtf(ixt * ixt * sideways + iyt * iyt * upright + ROUND);
        const float c = robust * sideways, d = robust * upright;
        const float a11 = b * ix * ix + c * ixx * ixx + d * ixy * ixy;
        const float a12 = b * ix * iy + c * ixx * ixy + d * ixy * iyy;
        const float a22 = b * iy * iy + c * ixy * ixy + d * iyy * iyy;
        const float u = flow_u.pixels[pixel], v = flow_v.pixels[pixel];
        xx[to] = a11;
        xy[to] = a12;
        yy[to] = a22;
        x[to] = a11 * u + a12 * v - (b * ix * it + c * ixx * ixt + d * ixy * iyt);
        y[to] = a12 * u + a22 * v - (b * iy * it + c * ixy * ixt + d * iyy * iyt);
        const float u_right = flow_u.across(row, column) - slope.u_right, u_down = flow_u.down(row, column) - slope.u_down;
        const float v_right = flow_v.across(row, column) - slope.v_right, v_down = flow_v.down(row, column) - slope.v_down;
        ties[to] = SMOOTHNESS / sqrtf(square(u_right) + square(u_down) + square(v_right) + square(v_down) + ROUND);
    }
}

// Solves the equations of the pixels whose x + y is `odd` modulo 2, with what is known of their neighbours less what the
// `slopes` gain on the way from them, and goes `OVER_RELAXATION` as far. All neighbours of such a pixel are of the other
// kind, so that none changes meanwhile.
// grid = (blocks for height · ⌈width/2⌉, 2).
KERNEL __launch_bounds__(BLOCK_THREADS)
    flow_relax(const float *xx, const float *xy, const float *yy, const float *x, const float *y, const float *ties,
               const float *slopes, float *flow, int height, int width, int odd) {
    const int way = blockIdx.y, pixels = height * width, half = (width + 1) / 2;
    float *flow_u = flow + 2 * way * pixels, *flow_v = flow_u + pixels;
    const float *my_ties = ties + way * pixels;
    const Slope slope = slope_of(slopes, way);
    EACH(item, height * half) {
        const int row = item / half, column = item % half * 2 + (row + odd & 1);
        if (column >= width) {
            continue;
        }
        const int at = row * width + column, of = way * pixels + at;
        const float tie = my_ties[at];
        float all = 0.0f, around_u = 0.0f, around_v = 0.0f;
        const auto tied = [&](bool exists, int neighbour, float gained_u, float gained_v) {
            if (exists) {
                const float strength = 0.5f * (tie + my_ties[neighbour]);
                all += strength;
                around_u += strength * (flow_u[neighbour] + gained_u);
                around_v += strength * (flow_v[neighbour] + gained_v);
            }
        };
        tied(column > 0, at - 1, slope.u_right, slope.v_right);
        tied(column + 1 < width, at + 1, -slope.u_right, -slope.v_right);
        tied(row > 0, at - width, slope.u_down, slope.v_down);
        tied(row + 1 < height, at + width, -slope.u_down, -slope.v_down);
        // A pixel without neighbours and data stays finite, and stands still.
        const float a = xx[of] + all + 1e-6f, b = xy[of], c = yy[of] + all + 1e-6f;
        const float right = x[of] + around_u, below = y[of] + around_v, determinant = 1.0f / (a * c - b * b);
        const float u = flow_u[at], v = flow_v[at];
        flow_u[at] = u + OVER_RELAXATION * ((c * right - b * below) * determinant - u);
        flow_v[at] = v + OVER_RELAXATION * ((a * below - b * right) * determinant - v);
    }
}
