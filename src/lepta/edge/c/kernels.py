"""Functions in C that the written programs call. ``@NAME@`` and types are filled in."""

KERNELS: dict[str, str] = {}

KERNELS["clamp"] = """
static float @NAME@(float x, float low, float high)
{
    return x < low ? low : x > high ? high : x;
}
"""

KERNELS["quantise"] = """
static @Y@ @NAME@(float x, float scale, int32_t zero)
{
    const float y = rintf(x / scale) + (float)zero;
    return (@Y@)(y < @LOW@ ? @LOW@ : y > @LOW@ + 255.0f ? @LOW@ + 255.0f : y);
}
"""

KERNELS["find"] = """
/* Position of a text among n keys, or -1. */
static int32_t @NAME@(const char *const *keys, int32_t n, const char *text)
{
    for (int32_t i = 0; i < n; ++i)
        if (strcmp(keys[i], text ? text : "") == 0)
            return i;
    return -1;
}
"""

KERNELS["find_number"] = """
static int32_t @NAME@(const @X@ *keys, int32_t n, @X@ value)
{
    for (int32_t i = 0; i < n; ++i)
        if (keys[i] == value)
            return i;
    return -1;
}
"""

KERNELS["trees"] = """
/* Walk each tree. ask = 4 * column + 2 * (is a member of a set) + (missing goes left); a child is a
 * node, or ~leaf. The members of a node begin at its threshold, and end with a NaN. */
static void @NAME@(const float *x, float *y, const int32_t *roots, int32_t trees,
                   const @A@ *ask, const float *threshold, const float *members,
                   const @L@ *left, const @R@ *right, const float *leaf, const @T@ *target)
{
    for (int32_t t = 0; t < trees; ++t) {
        int32_t node = roots[t];
        do {
            const uint32_t question = (uint32_t)ask[node];
            const float value = x[question >> 2];
            int yes;
            if (isnan(value)) {
                yes = (int)(question & 1u);
            } else if (question & 2u) {
                const float *member = members + (int32_t)threshold[node];
                while (!isnan(*member) && *member != value)
                    ++member;
                yes = !isnan(*member);
            } else {
                yes = value <= threshold[node];
            }
            node = yes ? (int32_t)left[node] : (int32_t)right[node];
        } while (node >= 0);
        y[target[~node]] += leaf[~node];
    }
}
"""

KERNELS["softmax"] = """
/* Along the middle of three axes. */
static void @NAME@(const float *x, float *y, int32_t outer, int32_t n, int32_t inner, int logarithm)
{
    for (int32_t o = 0; o < outer; ++o)
        for (int32_t i = 0; i < inner; ++i) {
            const int32_t at = o * n * inner + i;
            float most = x[at];
            float sum = 0.0f;
            for (int32_t k = 1; k < n; ++k)
                if (x[at + k * inner] > most)
                    most = x[at + k * inner];
            for (int32_t k = 0; k < n; ++k)
                sum += expf(x[at + k * inner] - most);
            for (int32_t k = 0; k < n; ++k) {
                const float shifted = x[at + k * inner] - most;
                y[at + k * inner] = logarithm ? shifted - logf(sum) : expf(shifted) / sum;
            }
        }
}
"""

KERNELS["normalise"] = """
/* Mean 0 and variance 1 along n values, then scale and shift. */
static void @NAME@(const float *x, float *y, int32_t rows, int32_t n, float epsilon,
                   const float *scale, const float *shift)
{
    for (int32_t r = 0; r < rows; ++r) {
        float mean = 0.0f;
        float spread = 0.0f;
        for (int32_t i = 0; i < n; ++i)
            mean += x[r * n + i];
        mean /= (float)n;
        for (int32_t i = 0; i < n; ++i)
            spread += (x[r * n + i] - mean) * (x[r * n + i] - mean);
        spread = 1.0f / sqrtf(spread / (float)n + epsilon);
        for (int32_t i = 0; i < n; ++i)
            y[r * n + i] = (x[r * n + i] - mean) * spread * scale[i] + (shift ? shift[i] : 0.0f);
    }
}
"""

KERNELS["top"] = """
/* The k largest (sign 1) or smallest (sign -1) of n values, in order; earlier ones first. */
static void @NAME@(const float *x, float *y, int32_t *index, int32_t rows, int32_t n, int32_t k,
                   float sign)
{
    for (int32_t r = 0; r < rows; ++r) {
        int32_t held = 0;
        for (int32_t i = 0; i < n; ++i) {
            const float value = x[r * n + i];
            int32_t at = held < k ? held++ : k;
            while (at > 0 && sign * value > sign * y[r * k + at - 1]) {
                if (at < k) {
                    y[r * k + at] = y[r * k + at - 1];
                    index[r * k + at] = index[r * k + at - 1];
                }
                --at;
            }
            if (at < k) {
                y[r * k + at] = value;
                index[r * k + at] = i;
            }
        }
    }
}
"""

KERNELS["dense"] = """
/* y[m, n] = limit(scale[n] * sum over k of (a[m, k] - za) * (b[n, k] - zb) + bias[m, n]).
 * p: M, N, K, strides of a, strides of b, strides of bias, stride of scale, za, zb. */
static void @NAME@(const @A@ *a, const @B@ *b, const float *scale, const float *bias, @Y@ *y,
                   const int32_t *p, float low, float high, float step, int32_t zero)
{
    (void)step, (void)zero;
    for (int32_t m = 0; m < p[0]; ++m)
        for (int32_t n = 0; n < p[1]; ++n) {
            const @A@ *left = a + m * p[3];
            const @B@ *right = b + n * p[5];
            @S@ sum = 0;
            float value;
            for (int32_t k = 0; k < p[2]; ++k)
                sum += @LEFT@ * @RIGHT@;
            value = (float)sum * scale[n * p[9]] + (bias ? bias[m * p[7] + n * p[8]] : 0.0f);
            value = value < low ? low : value > high ? high : value;
            y[m * p[1] + n] = @OUT@;
        }
}
"""

KERNELS["conv"] = """
/* p: groups, channels in and out of one, height and width in and out, of the kernel, strides,
 * padding before, dilations, za, zb, stride of scale. A row of sums is kept. */
static void @NAME@(const @A@ *x, const @B@ *w, const float *scale, const float *bias, @Y@ *y,
                   @S@ *sum, const int32_t *p, float low, float high, float step, int32_t zero)
{
    const int32_t in = p[1], out = p[2], H = p[3], W = p[4], OH = p[5], OW = p[6];
    const int32_t KH = p[7], KW = p[8], za = p[15], zb = p[16];
    (void)step, (void)zero, (void)za, (void)zb;
    for (int32_t c = 0; c < p[0] * out; ++c)
        for (int32_t oy = 0; oy < OH; ++oy) {
            const @B@ *filter = w + c * in * KH * KW;
            for (int32_t i = 0; i < OW; ++i)
                sum[i] = 0;
            for (int32_t k = 0; k < in; ++k)
                for (int32_t ky = 0; ky < KH; ++ky) {
                    const int32_t iy = oy * p[9] - p[11] + ky * p[13];
                    const @A@ *row;
                    if (iy < 0 || iy >= H)
                        continue;
                    row = x + ((c / out * in + k) * H + iy) * W;
                    for (int32_t kx = 0; kx < KW; ++kx) {
                        const int32_t shift = kx * p[14] - p[12];
                        const @S@ weight = @WEIGHT@;
                        int32_t from = shift < 0 ? (-shift + p[10] - 1) / p[10] : 0;
                        int32_t to = W - 1 - shift < 0 ? 0 : (W - 1 - shift) / p[10] + 1;
                        if (to > OW)
                            to = OW;
                        for (; from < to; ++from)
                            sum[from] += weight * @PIXEL@;
                    }
                }
            for (int32_t i = 0; i < OW; ++i) {
                float value = (float)sum[i] * scale[c * p[17]] + (bias ? bias[c] : 0.0f);
                value = value < low ? low : value > high ? high : value;
                y[(c * OH + oy) * OW + i] = @OUT@;
            }
        }
}
"""

KERNELS["pool_max"] = """
/* p: channels, height and width in and out, of the window, strides, padding before, dilations. */
static void @NAME@(const @X@ *x, @X@ *y, const int32_t *p)
{
    for (int32_t c = 0; c < p[0]; ++c)
        for (int32_t oy = 0; oy < p[3]; ++oy)
            for (int32_t ox = 0; ox < p[4]; ++ox) {
                @X@ most = 0;
                int some = 0;
                for (int32_t ky = 0; ky < p[5]; ++ky)
                    for (int32_t kx = 0; kx < p[6]; ++kx) {
                        const int32_t iy = oy * p[7] - p[9] + ky * p[11];
                        const int32_t ix = ox * p[8] - p[10] + kx * p[12];
                        if (iy < 0 || iy >= p[1] || ix < 0 || ix >= p[2])
                            continue;
                        if (!some || x[(c * p[1] + iy) * p[2] + ix] > most)
                            most = x[(c * p[1] + iy) * p[2] + ix];
                        some = 1;
                    }
                y[(c * p[3] + oy) * p[4] + ox] = most;
            }
}
"""

KERNELS["pool_mean"] = """
/* p: as of the pool of maxima, then padding after, and whether padding counts. */
static void @NAME@(const float *x, float *y, const int32_t *p)
{
    for (int32_t c = 0; c < p[0]; ++c)
        for (int32_t oy = 0; oy < p[3]; ++oy)
            for (int32_t ox = 0; ox < p[4]; ++ox) {
                float sum = 0.0f;
                int32_t count = 0;
                for (int32_t ky = 0; ky < p[5]; ++ky)
                    for (int32_t kx = 0; kx < p[6]; ++kx) {
                        const int32_t iy = oy * p[7] - p[9] + ky * p[11];
                        const int32_t ix = ox * p[8] - p[10] + kx * p[12];
                        const int inside = iy >= 0 && iy < p[1] && ix >= 0 && ix < p[2];
                        if (inside)
                            sum += x[(c * p[1] + iy) * p[2] + ix];
                        if (inside || (p[15] && iy < p[1] + p[13] && ix < p[2] + p[14]))
                            ++count;
                    }
                y[(c * p[3] + oy) * p[4] + ox] = sum / (float)count;
            }
}
"""

KERNELS["resample"] = """
/* Along the middle of three axes: each of m results is a weighted sum of `taps` of n values. */
static void @NAME@(const @X@ *x, float *y, int32_t outer, int32_t n, int32_t m, int32_t inner,
                   int32_t taps, const int32_t *first, const float *weight)
{
    for (int32_t o = 0; o < outer; ++o)
        for (int32_t j = 0; j < m; ++j)
            for (int32_t i = 0; i < inner; ++i) {
                float sum = 0.0f;
                for (int32_t t = 0; t < taps; ++t)
                    sum += weight[j * taps + t] * (float)x[(o * n + first[j] + t) * inner + i];
                y[(o * m + j) * inner + i] = sum;
            }
}
"""
