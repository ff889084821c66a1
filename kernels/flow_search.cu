// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Optical flow by patches: inverse search and the dense flow that they vote for. Steps of src/backend/flow.rs.
// Kroeger, Timofte, Dai and Van Gool, "Fast Optical Flow using Dense Inverse Search", 2016, sections 2.1 and 2.2.

#include "flow.cuh"

// A patch is looked for by eight lanes of a warp, each of which holds one of its columns; what they decide is the same in
// all of them.
constexpr int LANES = SIDE;
constexpr float PIXELS = SIDE * SIDE;

// The sum over the lanes of a patch, in all of them.
INLINE float patch_sum(u32 lanes, float value) {
#pragma unroll
    for (int distance = LANES / 2; distance > 0; distance /= 2) {
        value += __shfl_xor_sync(lanes, value, distance);
    }
    return value;
}

// A place of a patch, and how it looks there.
struct Found {
    float u, v;
    // Σ(d − mean)² + way · |flow − start|², and half its derivatives.
    float error, slope_x, slope_y;
    float mean;
};

struct Patch {
    Plane other;
    // The lanes that hold it.
    u32 lanes;
    int lane, left, top;
    // Of the lane's column. The derivatives have mean zero over the patch, so that a difference that is the same
    // everywhere moves nothing.
    float pixels[SIDE], dx[SIDE], dy[SIDE];
    float start_u, start_v, way;
    // The inverse of the error's second derivatives, halved.
    float xx, xy, yy;

    INLINE Patch(const Plane &from, const Plane &to, int row, int column)
        : other(to), lanes(0xffu << (threadIdx.x & 24)), lane(threadIdx.x % LANES), left(begins(column, from.width)),
          top(begins(row, from.height)) {
        float sum_x = 0.0f, sum_y = 0.0f;
        const int x = left + lane;
#pragma unroll
        for (int j = 0; j < SIDE; ++j) {
            pixels[j] = from.at(top + j, x);
            dx[j] = from.across(top + j, x);
            dy[j] = from.down(top + j, x);
            sum_x += dx[j];
            sum_y += dy[j];
        }
        const float mean_x = patch_sum(lanes, sum_x) / PIXELS, mean_y = patch_sum(lanes, sum_y) / PIXELS;
#pragma unroll
        for (int j = 0; j < SIDE; ++j) {
            dx[j] -= mean_x;
            dy[j] -= mean_y;
        }
    }

    // `price` is that of a pixel of way from the start, squared.
    INLINE void begin(float u, float v, float price) {
        start_u = kept_in(u, left, other.width);
        start_v = kept_in(v, top, other.height);
        way = price;
        float sum_xx = 0.0f, sum_xy = 0.0f, sum_yy = 0.0f;
#pragma unroll
        for (int j = 0; j < SIDE; ++j) {
            sum_xx += dx[j] * dx[j];
            sum_xy += dx[j] * dy[j];
            sum_yy += dy[j] * dy[j];
        }
        const float a = patch_sum(lanes, sum_xx) + way, c = patch_sum(lanes, sum_yy) + way;
        const float b = patch_sum(lanes, sum_xy);
        const float determinant = a * c - b * b;
        xx = c / determinant;
        xy = -b / determinant;
        yy = a / determinant;
    }

    // A way that leads no further than `REACH` beyond the picture.
    static INLINE float kept_in(float by, int at, int length) {
        const float from = static_cast<float>(at), reach = REACH;
        return within(from + by, -reach, static_cast<float>(length - SIDE) + reach) - from;
    }

    INLINE Found at(float u, float v) const {
        Found found;
        found.u = kept_in(u, left, other.width);
        found.v = kept_in(v, top, other.height);
        const float x = static_cast<float>(left) + found.u, y = static_cast<float>(top) + found.v;
        const float column = floorf(x), row = floorf(y), right = x - column, down = y - row;
        const int first = static_cast<int>(row), here = static_cast<int>(column) + lane;
        const float *near = other.pixels + inside(here, other.width), *far = other.pixels + inside(here + 1, other.width);
        float differences[SIDE], sum = 0.0f, above = 0.0f;
#pragma unroll
        for (int j = 0; j <= SIDE; ++j) {
            const int at = inside(first + j, other.height) * other.width;
            const float beside = near[at];
            const float below = beside + right * (far[at] - beside);
            if (j > 0) {
                differences[j - 1] = above + down * (below - above) - pixels[j - 1];
                sum += differences[j - 1];
            }
            above = below;
        }
        found.mean = patch_sum(lanes, sum) / PIXELS;
        float error = 0.0f, slope_x = 0.0f, slope_y = 0.0f;
#pragma unroll
        for (int j = 0; j < SIDE; ++j) {
            const float difference = differences[j] - found.mean;
            error += difference * difference;
            slope_x += difference * dx[j];
            slope_y += difference * dy[j];
        }
        const float way_u = found.u - start_u, way_v = found.v - start_v;
        found.error = patch_sum(lanes, error) + way * (way_u * way_u + way_v * way_v);
        found.slope_x = patch_sum(lanes, slope_x) + way * way_u;
        found.slope_y = patch_sum(lanes, slope_y) + way * way_v;
        return found;
    }

    // The best of the candidates, of which lane i holds the i-th. The first is the start.
    INLINE Found best_of(float u, float v) const {
        Found best = at(start_u, start_v);
#pragma unroll 1
        for (int i = 1; i < LANES; ++i) {
            const float candidate_u = __shfl_sync(lanes, u, i, LANES), candidate_v = __shfl_sync(lanes, v, i, LANES);
            const bool tried = lane < i && square(u - candidate_u) + square(v - candidate_v) <= SAME * SAME;
            if ((__ballot_sync(lanes, tried) & lanes) == 0) {
                const Found found = at(candidate_u, candidate_v);
                if (found.error < best.error) {
                    best = found;
                }
            }
        }
        return best;
    }

    // Gauss and Newton's steps.
    INLINE Found descend(const Found &from) const {
        Found best = from;
#pragma unroll 1
        for (int i = 0; i < STEPS; ++i) {
            const float step_u = xx * best.slope_x + xy * best.slope_y, step_v = xy * best.slope_x + yy * best.slope_y;
            const Found next = at(best.u - step_u, best.v - step_v);
            // Written so that what is no number ends the search too.
            if (!(next.error < best.error)) {
                break;
            }
            best = next;
            if (step_u * step_u + step_v * step_v < STILL * STILL) {
                break;
            }
        }
        return square(best.u - from.u) + square(best.v - from.v) > PIXELS ? from : best;
    }
};

// Flow of the patches, patches[4, rows, columns], and the mean of their differences there, means[2, rows, columns]. `around`
// [4, rows, columns], what was found before, and `guess` [4, guess_height, guess_width], a flow of pictures 2^halvings as
// large, may be null. noise[2], see `flow_noise`.
//
// Eight lanes are a patch, 256 threads 32 of them: grid = (⌈rows · columns / 32⌉, 2).
KERNEL __launch_bounds__(BLOCK_THREADS)
    flow_search(const float *pictures, int height, int width, const float *noise, float noise_share, const float *flow,
                const float *guess, int guess_height, int guess_width, int halvings, const float *around, int rows,
                int columns, float *patches, float *means) {
    const int way = blockIdx.y, count = rows * columns, index = (blockIdx.x * BLOCK_THREADS + threadIdx.x) / LANES;
    // Lanes beyond the last patch look for it too, so that no lane is missing.
    const int at = min(index, count - 1), row = at / columns, column = at % columns;
    Patch patch(plane(pictures, way, height, width), plane(pictures, 1 - way, height, width), row, column);
    const int x = patch.left + SIDE / 2, y = patch.top + SIDE / 2;
    const float *begin = flow + 2 * way * height * width + y * width + x;
    patch.begin(begin[0], begin[height * width], WAY + WAY_PER_NOISE * noise_share * fmaxf(noise[0], noise[1]));
    float u = patch.start_u, v = patch.start_v;
    // Lanes 1 to 5 have the patch itself and those left, right, above and below, lane 6 the guess.
    if (around != nullptr && patch.lane >= 1 && patch.lane <= 5) {
        const int beside = column + (patch.lane == 2 ? -1 : patch.lane == 3 ? 1 : 0);
        const int aside = row + (patch.lane == 4 ? -1 : patch.lane == 5 ? 1 : 0);
        if (beside >= 0 && beside < columns && aside >= 0 && aside < rows) {
            u = around[2 * way * count + aside * columns + beside];
            v = around[(2 * way + 1) * count + aside * columns + beside];
        }
    }
    if (guess != nullptr && patch.lane == 6) {
        const int pixels = guess_height * guess_width;
        const float *there = guess + 2 * way * pixels + min(y << halvings, guess_height - 1) * guess_width +
                             min(x << halvings, guess_width - 1);
        const float finer = static_cast<float>(1 << halvings);
        u = there[0] / finer;
        v = there[pixels] / finer;
    }
    __syncwarp();
    const Found found = patch.descend(patch.best_of(u, v));
    if (patch.lane == 0 && index < count) {
        patches[2 * way * count + index] = found.u;
        patches[(2 * way + 1) * count + index] = found.v;
        means[way * count + index] = found.mean;
    }
}

// flow[4, height, width] at each pixel: the mean over the patches that cover it, each weighed by 1 / max(1, |d − mean(d)|).
// grid = (blocks for height · width, 2); an item is a pixel.
KERNEL __launch_bounds__(BLOCK_THREADS)
    flow_densify(const float *pictures, int height, int width, const float *patches, const float *means, int rows,
                 int columns, float *flow) {
    const int way = blockIdx.y, count = rows * columns, pixels = height * width;
    const Plane other = plane(pictures, 1 - way, height, width);
    const float *patches_u = patches + 2 * way * count, *patches_v = patches_u + count;
    EACH(pixel, pixels) {
        const int x = pixel % width, y = pixel / width;
        const float here = pictures[way * pixels + pixel];
        float sum_u = 0.0f, sum_v = 0.0f, weights = 0.0f;
        // From the first that has not ended, to the last that has begun.
        for (int row = max(y - STEP, 0) / STEP; row < rows && begins(row, height) <= y; ++row) {
            for (int column = max(x - STEP, 0) / STEP; column < columns && begins(column, width) <= x; ++column) {
                const int at = row * columns + column;
                const float u = patches_u[at], v = patches_v[at];
                const float there = other.between(static_cast<float>(y) + v, static_cast<float>(x) + u);
                const float weight = 1.0f / fmaxf(fabsf(there - here - means[way * count + at]), 1.0f);
                sum_u += weight * u;
                sum_v += weight * v;
                weights += weight;
            }
        }
        flow[2 * way * pixels + pixel] = sum_u / weights;
        flow[(2 * way + 1) * pixels + pixel] = sum_v / weights;
    }
}
