// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Pictures: planar f32 [C, H, W] from and to samples [H, W, 3] of 8 or 16 bits, resampled as src/backend/resample.rs says, first along rows
// and then along columns; margins, colours, what has changed.
//
// Tables of taps: output o is Σ weights[o, t] · input[first[o] + t] over t < taps, of which there is at least one.
// Launch of all: up to 1024 blocks of 256 threads, each thread taking items in turn; an item is one number that is written.

#include "primitives.cuh"

// The sample of the brightest light.
template <typename Sample>
constexpr float WHITE = sizeof(Sample) == 1 ? 255.0f : 65535.0f;

template <typename Sample>
INLINE void import_rows(const Sample *rgb, int width, int height, const int *first, const float *weights, int taps,
                        float *lines, int inner_width) {
    EACH(item, 3 * height * inner_width) {
        const int x = item % inner_width, line = item / inner_width;
        const int channel = line / height, y = line % height;
        const Sample *samples = rgb + (static_cast<size_t>(y) * width + first[x]) * 3 + channel;
        float sum = 0.0f;
        int tap = 0;
        do {
            sum += weights[x * taps + tap] * static_cast<float>(samples[tap * 3]);
        } while (++tap < taps);
        lines[item] = sum / WHITE<Sample>;
    }
}

// lines[c, y, x] = Σ weights · rgb[y, first + t, c] / WHITE, [3, height, inner_width] from samples [height, width, 3].
KERNEL __launch_bounds__(BLOCK_THREADS)
    import_rows_u8(const u8 *rgb, int width, int height, const int *first, const float *weights, int taps, float *lines,
                   int inner_width) {
    import_rows(rgb, width, height, first, weights, taps, lines, inner_width);
}

KERNEL __launch_bounds__(BLOCK_THREADS)
    import_rows_u16(const u16 *rgb, int width, int height, const int *first, const float *weights, int taps, float *lines,
                    int inner_width) {
    import_rows(rgb, width, height, first, weights, taps, lines, inner_width);
}

// lines[c, y, x] = Σ weights · inside of from[c, y, first + t]; from [C, height, width] with a margin of `border`,
// lines [C, height − 2 border, out_width].
KERNEL __launch_bounds__(BLOCK_THREADS)
    resample_rows(const float *from, int channels, int height, int width, int border, const int *first,
                  const float *weights, int taps, float *lines, int out_width) {
    const int inner_height = height - 2 * border;
    EACH(item, channels * inner_height * out_width) {
        const int x = item % out_width, line = item / out_width;
        const int channel = line / inner_height, y = line % inner_height;
        const float *row = from + (channel * height + y + border) * width + border + first[x];
        float sum = 0.0f;
        int tap = 0;
        do {
            sum += weights[x * taps + tap] * row[tap];
        } while (++tap < taps);
        lines[item] = sum;
    }
}

// Σ weights · lines[c, first + t, x].
INLINE float resampled_column(const float *lines, int lines_height, int width, int channel, int x, int y, const int *first,
                              const float *weights, int taps) {
    const float *column = lines + (channel * lines_height + first[y]) * width + x;
    float sum = 0.0f;
    int tap = 0;
    do {
        sum += weights[y * taps + tap] * column[tap * width];
    } while (++tap < taps);
    return sum;
}

// The inside of to[C, height, width] from lines[C, lines_height, width − 2 border]; the margin is left alone.
KERNEL __launch_bounds__(BLOCK_THREADS)
    resample_columns(const float *lines, int channels, int lines_height, const int *first, const float *weights, int taps,
                     float *to, int height, int width, int border) {
    const int inner_height = height - 2 * border, inner_width = width - 2 * border;
    EACH(item, channels * inner_height * inner_width) {
        const int x = item % inner_width, y = item / inner_width % inner_height, channel = item / inner_width / inner_height;
        to[(channel * height + y + border) * width + x + border] =
            resampled_column(lines, lines_height, inner_width, channel, x, y, first, weights, taps);
    }
}

// BT.601.
INLINE float luma(float red, float green, float blue) { return 0.299f * red + 0.587f * green + 0.114f * blue; }

// How the inside of picture[3, height, width], P, follows that of content[3, height, width], whose luma is y:
// planes[c, p] = (mean(y P) − mean(y) mean(P)) / (mean(y²) − mean(y)² + ε) and planes[3, p] = y. Means are over the 5×5 pixels
// around, weighed by (1 4 6 4 1)/16 each way; the inside's edge goes on beyond it. An item is a pixel.
// He, Sun and Tang, "Guided Image Filtering", 2013.
KERNEL __launch_bounds__(BLOCK_THREADS)
    guides(const float *picture, const float *content, int height, int width, int border, float epsilon, float *planes) {
    constexpr float WINDOW[5] = {0.0625f, 0.25f, 0.375f, 0.25f, 0.0625f};
    const int inner_height = height - 2 * border, inner_width = width - 2 * border, pixels = inner_height * inner_width;
    EACH(pixel, pixels) {
        const int y = pixel / inner_width, x = pixel % inner_width;
        float mean = 0.0f, square = 0.0f, middle = 0.0f, colours[3] = {}, products[3] = {};
#pragma unroll
        for (int down = 0; down < 5; ++down) {
            const int row = border + min(max(y + down - 2, 0), inner_height - 1);
#pragma unroll
            for (int across = 0; across < 5; ++across) {
                const int at = row * width + border + min(max(x + across - 2, 0), inner_width - 1);
                const float weight = WINDOW[down] * WINDOW[across];
                const float here = luma(content[at], content[height * width + at], content[2 * height * width + at]);
                mean += weight * here;
                square += weight * (here * here);
#pragma unroll
                for (int channel = 0; channel < 3; ++channel) {
                    const float colour = picture[channel * height * width + at];
                    colours[channel] += weight * colour;
                    products[channel] += weight * (here * colour);
                }
                if (down == 2 && across == 2) {
                    middle = here;
                }
            }
        }
        const float steady = square - mean * mean + epsilon;
#pragma unroll
        for (int channel = 0; channel < 3; ++channel) {
            planes[channel * pixels + pixel] = (products[channel] - mean * colours[channel]) / steady;
        }
        planes[3 * pixels + pixel] = middle;
    }
}

template <typename Sample>
INLINE void export_columns(const float *lines, int lines_height, const int *first, const float *weights, int taps,
                           const Sample *rgb, Sample *out, int width, int height, float strength, float detail) {
    EACH(item, 3 * height * width) {
        const int channel = item % 3, x = item / 3 % width, y = item / 3 / width;
        float painted = WHITE<Sample> * resampled_column(lines, lines_height, width, channel, x, y, first, weights, taps);
        if (detail != 0.0f) {
            const float slope = resampled_column(lines, lines_height, width, 3 + channel, x, y, first, weights, taps);
            const float coarse = resampled_column(lines, lines_height, width, 6, x, y, first, weights, taps);
            const Sample *pixel = rgb + item - channel;
            const float fine = luma(pixel[0], pixel[1], pixel[2]);
            painted += slope * (detail * (fine - WHITE<Sample> * coarse));
        }
        painted = fminf(fmaxf(painted, 0.0f), WHITE<Sample>);
        const float mixed = (1.0f - strength) * static_cast<float>(rgb[item]) + strength * painted;
        // Halves up; never negative, so that cutting off rounds down.
        out[item] = static_cast<Sample>(mixed + 0.5f);
    }
}

// out = (1 − strength) · rgb + strength · clamp(WHITE · P + detail · S · (luma(rgb) − WHITE · y)), rounded; lines[7,
// lines_height, width] are P, S and y as `guides` has them, resampled along rows and here down the columns to samples
// [height, width, 3]. With detail = 0 there are only the three lines of P.
KERNEL __launch_bounds__(BLOCK_THREADS)
    export_columns_u8(const float *lines, int lines_height, const int *first, const float *weights, int taps, const u8 *rgb,
                      u8 *out, int width, int height, float strength, float detail) {
    export_columns(lines, lines_height, first, weights, taps, rgb, out, width, height, strength, detail);
}

KERNEL __launch_bounds__(BLOCK_THREADS)
    export_columns_u16(const float *lines, int lines_height, const int *first, const float *weights, int taps,
                       const u16 *rgb, u16 *out, int width, int height, float strength, float detail) {
    export_columns(lines, lines_height, first, weights, taps, rgb, out, width, height, strength, detail);
}

// Where `index` of a mirrored continuation (… 2 1 0 1 2 …) lies in 0..length.
INLINE int mirrored(int index, int length) {
    if (length == 1) {
        return 0;
    }
    const int period = 2 * (length - 1);
    const int folded = (index % period + period) % period;
    return min(folded, period - folded);
}

// The margin of `border` pixels from the inside, mirrored at the outermost pixels. The inside is only read.
KERNEL __launch_bounds__(BLOCK_THREADS) mirror_border(float *picture, int channels, int height, int width, int border) {
    const int inner_height = height - 2 * border, inner_width = width - 2 * border;
    EACH(item, channels * height * width) {
        const int x = item % width, y = item / width % height, channel = item / width / height;
        const int row = border + mirrored(y - border, inner_height), column = border + mirrored(x - border, inner_width);
        if (row != y || column != x) {
            picture[item] = picture[(channel * height + row) * width + column];
        }
    }
}

// Σ r, g, b, rr, rg, rb, gg, gb, bb over the pixels of [3, H, W], in f64, since the host takes differences of them.
constexpr int COLOUR_SUMS = 9;

// partials [blocks, 9].
KERNEL __launch_bounds__(BLOCK_THREADS) colour_sums(const float *picture, int pixels, double *partials) {
    double sums[COLOUR_SUMS] = {};
    EACH(pixel, pixels) {
        const double r = picture[pixel], g = picture[pixels + pixel], b = picture[2 * pixels + pixel];
        const double terms[COLOUR_SUMS] = {r, g, b, r * r, r * g, r * b, g * g, g * b, b * b};
#pragma unroll
        for (int i = 0; i < COLOUR_SUMS; ++i) {
            sums[i] += terms[i];
        }
    }
    block_sums(sums, partials + blockIdx.x * COLOUR_SUMS);
}

// sums [9] of partials [blocks, 9]. One block.
KERNEL __launch_bounds__(BLOCK_THREADS) colour_sums_finish(const double *partials, int blocks, double *sums) {
    double mine[COLOUR_SUMS] = {};
    each_partial(blocks, [&](int block) {
#pragma unroll
        for (int i = 0; i < COLOUR_SUMS; ++i) {
            mine[i] += partials[block * COLOUR_SUMS + i];
        }
    });
    block_sums(mine, sums);
}

// to[:, p] = M · from[:, p] + t; an item is a pixel.
KERNEL __launch_bounds__(BLOCK_THREADS)
    colour_map(const float *from, float *to, int pixels, float m00, float m01, float m02, float m10, float m11, float m12,
               float m20, float m21, float m22, float t0, float t1, float t2) {
    EACH(pixel, pixels) {
        const float r = from[pixel], g = from[pixels + pixel], b = from[2 * pixels + pixel];
        to[pixel] = m00 * r + m01 * g + m02 * b + t0;
        to[pixels + pixel] = m10 * r + m11 * g + m12 * b + t1;
        to[2 * pixels + pixel] = m20 * r + m21 * g + m22 * b + t2;
    }
}

// The N pixels of a line about a place between them, and what each counts.
template <int N>
struct Neighbours {
    int pixels[N];
    float weights[N];

    // Places beyond the line are moved onto its ends; what is no number is 0. Pixels beyond the ends are the outermost.
    INLINE Neighbours(float place, int length) {
        place = fminf(fmaxf(place, 0.0f), static_cast<float>(length - 1));
        const float before = floorf(place), t = place - before;
#pragma unroll
        for (int i = 0; i < N; ++i) {
            pixels[i] = min(max(static_cast<int>(before) + 1 - N / 2 + i, 0), length - 1);
        }
        if (N == 2) {
            weights[0] = 1.0f - t;
            weights[1] = t;
        } else {
            weights[0] = ((-0.5f * t + 1.0f) * t - 0.5f) * t;
            weights[1] = (1.5f * t - 2.5f) * t * t + 1.0f;
            weights[N - 2] = ((-1.5f * t + 2.0f) * t + 0.5f) * t;
            weights[N - 1] = (0.5f * t - 0.5f) * t * t;
        }
    }
};

template <int N>
INLINE void warp(const float *from, const float *flow, float *to, int channels, int height, int width) {
    static_assert(N == 2 || N == 4, "bilinear or cubic");
    const int pixels = height * width;
    EACH(pixel, pixels) {
        const Neighbours<N> across(static_cast<float>(pixel % width) + flow[pixel], width);
        const Neighbours<N> down(static_cast<float>(pixel / width) + flow[pixels + pixel], height);
        int channel = 0;
#pragma unroll 1
        do {
            const float *plane = from + channel * pixels;
            float sum = 0.0f;
#pragma unroll
            for (int row = 0; row < N; ++row) {
                const float *line = plane + down.pixels[row] * width;
                float part = 0.0f;
#pragma unroll
                for (int column = 0; column < N; ++column) {
                    part += across.weights[column] * line[across.pixels[column]];
                }
                sum += down.weights[row] * part;
            }
            to[channel * pixels + pixel] = sum;
        } while (++channel < channels);
    }
}

// to[c, y, x] = from[c] at (y + flow[1, y, x], x + flow[0, y, x]), flow [2, H, W] in pixels. Between pixels by the two about
// the place each way, or by the four of Catmull and Rom's cubic (Keys 1981, a = −½). An item is a pixel of all channels.
KERNEL __launch_bounds__(BLOCK_THREADS)
    warp_bilinear(const float *from, const float *flow, float *to, int channels, int height, int width) {
    warp<2>(from, flow, to, channels, height, width);
}

KERNEL __launch_bounds__(BLOCK_THREADS)
    warp_cubic(const float *from, const float *flow, float *to, int channels, int height, int width) {
    warp<4>(from, flow, to, channels, height, width);
}

// to = from − mean of its channel; an item is a pixel.
KERNEL __launch_bounds__(BLOCK_THREADS)
    centre(const float *from, float *to, int pixels, float mean_0, float mean_1, float mean_2) {
    EACH(pixel, pixels) {
        to[pixel] = from[pixel] - mean_0;
        to[pixels + pixel] = from[pixels + pixel] - mean_1;
        to[2 * pixels + pixel] = from[2 * pixels + pixel] - mean_2;
    }
}
