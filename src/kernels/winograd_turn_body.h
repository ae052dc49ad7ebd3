/* Winograd's transforms, in one dimension and in both: between images and matrices, by way of strips and rows, and
 * between kernels and matrices. For winograd.c, in simd.h's names, after winograd_strip_body.h. */

static int64_t greater(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* ---- One dimension, of vectors. n is the tile's side; n + 2 numbers belong to it ---- */

/* B^T */
PLEAT_INLINE void turn_image(int n, const V *d, V *r)
{
    if (n == 4) {
        const V a = d[4] - 4 * d[2], b = d[3] - 4 * d[1], e = d[4] - d[2], f = 2 * (d[3] - d[1]);
        r[0] = d[4] + 4 * d[0] - 5 * d[2];
        r[1] = a + b;
        r[2] = a - b;
        r[3] = e + f;
        r[4] = e - f;
        r[5] = d[5] + 4 * d[1] - 5 * d[3];
    } else {
        r[0] = d[0] - d[2];
        r[1] = d[1] + d[2];
        r[2] = d[2] - d[1];
        r[3] = d[1] - d[3];
    }
}

/* A^T */
PLEAT_INLINE void turn_back(int n, const V *m, V *y)
{
    if (n == 4) {
        const V a = m[1] + m[2], b = m[1] - m[2], e = m[3] + m[4], f = m[3] - m[4];
        y[0] = m[0] + a + e;
        y[1] = b + 2 * f;
        y[2] = a + 4 * e;
        y[3] = b + 8 * f + m[5];
    } else {
        y[0] = m[0] + m[1] + m[2];
        y[1] = m[1] - m[2] - m[3];
    }
}

/* A */
PLEAT_INLINE void turn_gradient(int n, const V *y, V *m)
{
    if (n == 4) {
        const V a = y[0] + y[2], b = y[1] + y[3], e = y[0] + 4 * y[2], f = 2 * y[1] + 8 * y[3];
        m[0] = y[0];
        m[1] = a + b;
        m[2] = a - b;
        m[3] = e + f;
        m[4] = e - f;
        m[5] = y[3];
    } else {
        m[0] = y[0];
        m[1] = y[0] + y[1];
        m[2] = y[0] - y[1];
        m[3] = -y[1];
    }
}

/* G */
PLEAT_INLINE void turn_kernel(int n, const V *g, V *u)
{
    if (n == 4) {
        const V a = (g[0] + g[2]) * (-1.0F / 6), b = g[1] * (1.0F / 6);
        const V e = g[0] * (1.0F / 24) + g[2] * (1.0F / 6), f = g[1] * (1.0F / 12);
        u[0] = g[0] * 0.25F;
        u[1] = a - b;
        u[2] = a + b;
        u[3] = e + f;
        u[4] = e - f;
        u[5] = g[2];
    } else {
        const V a = (g[0] + g[2]) * 0.5F, b = g[1] * 0.5F;
        u[0] = g[0];
        u[1] = a + b;
        u[2] = a - b;
        u[3] = g[2];
    }
}

/* G^T */
PLEAT_INLINE void turn_kernel_back(int n, const V *u, V *g)
{
    if (n == 4) {
        const V a = u[1] + u[2], e = u[3] + u[4];
        g[0] = u[0] * 0.25F - a * (1.0F / 6) + e * (1.0F / 24);
        g[1] = (u[2] - u[1]) * (1.0F / 6) + (u[3] - u[4]) * (1.0F / 12);
        g[2] = (e - a) * (1.0F / 6) + u[5];
    } else {
        const V a = (u[1] + u[2]) * 0.5F;
        g[0] = u[0] + a;
        g[1] = (u[1] - u[2]) * 0.5F;
        g[2] = u[3] + a;
    }
}

/* ---- Both dimensions: from `from` numbers a side, column by column and then row by row, to `to` ---- */

typedef void (*turn)(int n, const V *in, V *out);

/* Element (i, j) is at in + i row + j column, and goes to out + i out_row + j out_column. */
PLEAT_INLINE void turn_both(turn fn, int n, int from, int to, const float *in, int64_t row, int64_t column, float *out,
                            int64_t out_row, int64_t out_column)
{
    V t[6][6];
    PLEAT_UNROLL(6)
    for (int j = 0; j < from; j++) {
        V a[6], b[6];
        PLEAT_UNROLL(6)
        for (int i = 0; i < from; i++)
            a[i] = FN(load)(in + i * row + j * column);
        fn(n, a, b);
        PLEAT_UNROLL(6)
        for (int i = 0; i < to; i++)
            t[i][j] = b[i];
    }
    PLEAT_UNROLL(6)
    for (int i = 0; i < to; i++) {
        V b[6];
        fn(n, t[i], b);
        PLEAT_UNROLL(6)
        for (int j = 0; j < to; j++)
            FN(store)(out + i * out_row + j * out_column, b[j]);
    }
}

/* ---- Between images and matrices ---- */

/* How many elements behind some rows the next lie: the next line's, the next channels' or the next image's. `back` rows
 * have been passed since the first line's. */
PLEAT_INLINE int64_t following(bool line, int64_t rows, int64_t back, int64_t width, int64_t c, int64_t channels,
                               int64_t plane)
{
    return line ? rows * width : least(channels - c, VL) * plane - back * width;
}

typedef struct {
    const float *x;
    int64_t plane, channels, pad;
    pleat_hw size, low; /* of the planes; what the first tile reads first, 0 or less */
    int64_t strip;      /* from one strip to the next, or 0 */
} image_side;

/* Columns of vectors: from a row to the next, and from a column. */
typedef struct {
    int64_t row, column;
} strides;

/* One dimension: `count` columns of `from` vectors to as many of `to`; add is added, and relu taken, if last. */
PLEAT_INLINE void turn_columns(turn fn, int n, int from, int to, const float *in, strides in_step, float *out,
                               strides out_step, int64_t count, const V *add, bool relu)
{
    for (int64_t k = 0; k < count; k++, in += in_step.column, out += out_step.column) {
        V a[6], b[6];
        PLEAT_UNROLL(6)
        for (int i = 0; i < from; i++) {
            a[i] = FN(load)(in + i * in_step.row);
            if (i > 0 && i <= n) /* the others are read once */
                PLEAT_HOLD(a[i]);
        }
        fn(n, a, b);
        PLEAT_UNROLL(6)
        for (int i = 0; i < to; i++) {
            if (add)
                b[i] += *add;
            FN(store)(out + i * out_step.row, relu ? FN(relu)(b[i]) : b[i]);
        }
    }
}

/* Down the columns: tiles that read `rows` rows of an image each, n rows apart. follows: the strips hold what the line
 * before read. */
PLEAT_INLINE void spread(const pleat_winograd_work *w, turn fn, int n, int rows, const image_side *x, int64_t line,
                         int64_t lines, bool follows, float *strip, float *to)
{
    const int64_t pitch = pleat_winograd_pitch(w), row = pitch * VL, left = -x->low.w, right = left + x->size.w;
    const int64_t phases = w->dilation.w, all = pleat_winograd_columns(w), columns = all / phases;
    const int64_t width = x->size.w, down = width * w->dilation.h;
    const int64_t begin = greater(0, line * n + x->low.h);
    for (int64_t c = 0; c < x->pad; c += VL, strip += x->strip) {
        for (int64_t i = 0; i < rows && !follows; i++) {
            memset(strip + i * row, 0, (size_t)(left * VL) * sizeof *strip);
            memset(strip + i * row + right * VL, 0, (size_t)(row - right * VL) * sizeof *strip);
        }
        for (int64_t i = 0; i < lines; i++) {
            const int64_t top = (line + i) * n + x->low.h, old = i || follows ? rows - n : 0;
            memcpy(strip, strip + n * row, (size_t)(old * row) * sizeof *strip);
            const int64_t first = greater(0, least(top + old, x->size.h)), last = least(top + rows, x->size.h);
            for (int64_t k = old; k < rows; k++)
                if (top + k < first || top + k >= last)
                    memset(strip + k * row + left * VL, 0, (size_t)(width * VL) * sizeof *strip);
            const int64_t next = following(i + 1 < lines, last - first, first - begin, down, c, x->channels, x->plane);
            const int64_t run = w->dilation.h == 1 ? last - first : 1; /* rows that are adjacent */
            for (int64_t k = first; k < last; k += run)
                gather(!w->ahead, x->x + c * x->plane + k * down, x->plane, x->channels - c, run, width, next, pitch,
                       strip + (k - top) * row + left * VL);
            float *out = to + (c * w->lines + i * VL) * all;
            for (int64_t k = 0; k < phases; k++, out += columns * VL)
                turn_columns(fn, n, rows, n + 2, strip + k * VL, (strides){ row, phases * VL }, out,
                             (strides){ w->stride, VL }, columns, NULL, false);
        }
    }
}

static void image(const pleat_winograd_work *w, const float *x, int64_t line, int64_t lines, bool follows, float *strip,
                  float *to)
{
    const image_side side = { x, w->x_plane, w->c, w->c_pad, w->size, w->low, w->strip };
    if (w->tile == 4)
        spread(w, turn_image, 4, 6, &side, line, lines, follows, strip, to);
    else
        spread(w, turn_image, 2, 4, &side, line, lines, follows, strip, to);
}

static void gradient(const pleat_winograd_work *w, const float *dy, int64_t line, int64_t lines, float *strip,
                     float *to)
{
    const image_side side = { dy, w->y_plane, w->o, w->o_pad, w->windows, { 0, 0 }, 0 };
    if (w->tile == 4)
        spread(w, turn_gradient, 4, 4, &side, line, lines, false, strip, to);
    else
        spread(w, turn_gradient, 2, 2, &side, line, lines, false, strip, to);
}

PLEAT_INLINE void result_of(const pleat_winograd_work *w, int n, const float *from, int64_t line, int64_t lines,
                            float *strip, const float *bias, float *y)
{
    const int64_t phases = w->dilation.w, all = pleat_winograd_columns(w), columns = all / phases;
    const int64_t width = w->windows.w, down = width * w->dilation.h;
    for (int64_t o = 0; o < w->o; o += VL) {
        V add = { 0 };
        if (bias)
            memcpy(&add, bias + o, (size_t)least(w->o - o, VL) * sizeof *bias);
        for (int64_t i = 0; i < lines; i++) {
            const float *in = from + (o * w->lines + i * VL) * all;
            for (int64_t k = 0; k < phases; k++, in += columns * VL)
                turn_columns(turn_back, n, n + 2, n, in, (strides){ w->stride, VL }, strip + k * VL,
                             (strides){ width * VL, phases * VL }, (width - k + phases - 1) / phases, &add, w->relu);
            const int64_t top = (line + i) * n;
            const int64_t rows = least(n, w->windows.h - top);
            const int64_t next = following(i + 1 < lines, rows, i * n, down, o, w->o, w->y_plane);
            const int64_t run = w->dilation.h == 1 ? rows : 1; /* rows that are adjacent */
            for (int64_t k = 0; k < rows; k += run)
                scatter(!w->ahead, strip + k * width * VL, run * width, w->o - o, w->y_plane, next,
                        y + o * w->y_plane + (top + k) * down);
        }
    }
}

static void result(const pleat_winograd_work *w, const float *from, int64_t line, int64_t lines, float *strip,
                   const float *bias, float *y)
{
    if (w->tile == 4)
        result_of(w, 4, from, line, lines, strip, bias, y);
    else
        result_of(w, 2, from, line, lines, strip, bias, y);
}

/* Along the rows: the squares of `from` numbers, n apart, become the matrices v[k][channel / VL][tile][VL]. */
PLEAT_INLINE void turn_rows(const pleat_winograd_work *w, turn fn, int n, int from, const float *rows, int64_t channels,
                            int64_t lines, float *v, int64_t matrix)
{
    const int64_t phases = w->dilation.w, tiles = w->tiles_w / phases;
    for (int64_t c = 0; c < channels; c += VL) {
        const float *in = rows + c * w->lines * pleat_winograd_columns(w);
        for (int64_t i = 0; i < lines * phases; i++, in += 2 * VL)
            for (int64_t j = 0; j < tiles; j++, in += n * VL, v += VL)
                turn_columns(fn, n, from, n + 2, in, (strides){ VL, 0 }, v, (strides){ matrix, 0 }, 1, NULL, false);
    }
}

static void image_matrices(const pleat_winograd_work *w, const float *rows, int64_t lines, float *v, int64_t matrix)
{
    if (w->tile == 4)
        turn_rows(w, turn_image, 4, 6, rows, w->c_pad, lines, v, matrix);
    else
        turn_rows(w, turn_image, 2, 4, rows, w->c_pad, lines, v, matrix);
}

/* And back, of channels `first` to `end`. */
PLEAT_INLINE void turn_rows_back(const pleat_winograd_work *w, int n, const float *m, int64_t matrix, int64_t first,
                                 int64_t end, int64_t lines, float *rows)
{
    const int64_t phases = w->dilation.w, tiles = w->tiles_w / phases;
    for (int64_t o = first; o < least(w->o, end); o += VL) {
        float *out = rows + o * w->lines * pleat_winograd_columns(w);
        for (int64_t i = 0; i < lines * phases; i++, out += 2 * VL)
            for (int64_t j = 0; j < tiles; j++, out += n * VL, m += VL)
                turn_columns(turn_back, n, n + 2, n, m, (strides){ matrix, 0 }, out, (strides){ VL, 0 }, 1, NULL,
                             false);
    }
}

/* ---- Between kernels and matrices ---- */

/* Row i of G g G^T. G's row i makes three numbers of the taps, which are then turned. */
PLEAT_INLINE void kernels_of(const pleat_winograd_work *w, int n, const float *packed, int64_t i, float *u)
{
    static const float down4[6][3] = { { 1.0F / 4, 0, 0 },
                                       { -1.0F / 6, -1.0F / 6, -1.0F / 6 },
                                       { -1.0F / 6, 1.0F / 6, -1.0F / 6 },
                                       { 1.0F / 24, 1.0F / 12, 1.0F / 6 },
                                       { 1.0F / 24, -1.0F / 12, 1.0F / 6 },
                                       { 0, 0, 1 } };
    static const float down2[4][3] = { { 1, 0, 0 }, { 0.5F, 0.5F, 0.5F }, { 0.5F, -0.5F, 0.5F }, { 0, 0, 1 } };
    const int64_t width = w->width, column = (w->flip_w ? -1 : 1) * width, matrix = w->c * width;
    const float *down = n == 4 ? down4[i] : down2[i];
    packed += w->flip_w ? 2 * width : 0;
    for (int64_t c = 0; c < w->c; c++, packed += 9 * width)
        for (int64_t half = 0; half < width; half += VL, u += VL) {
            V t[3] = { { 0 } }, r[6];
            PLEAT_UNROLL(3)
            for (int j = 0; j < 3; j++) {
                PLEAT_UNROLL(3)
                for (int k = 0; k < 3; k++)
                    t[j] += down[k] * FN(load)(packed + (w->flip_h ? 2 - k : k) * 3 * width + j * column + half);
            }
            turn_kernel(n, t, r);
            PLEAT_UNROLL(6)
            for (int k = 0; k < n + 2; k++)
                FN(store)(u + k * matrix, r[k]);
        }
}

static void kernels(const pleat_winograd_work *w, const float *packed, int64_t i, float *u)
{
    if (w->tile == 4)
        kernels_of(w, 4, packed, i, u);
    else
        kernels_of(w, 2, packed, i, u);
}

static void kernels_gradient(const pleat_winograd_work *w, const float *u, int64_t panel, int64_t row, float *dw)
{
    const int64_t width = w->width, matrix = w->o_pad * w->c_pad;
    for (int64_t c = 0; c < w->c_pad; c += VL)
        for (int64_t o = panel * width; o < least(w->o, (panel + 1) * width); o += VL) {
            float g[9 * VL * VL];
            for (int64_t k = 0; k < VL; k++) {
                const float *from = u + (panel * w->c_pad + c + k) * width + (o - panel * width);
                if (w->tile == 4)
                    turn_both(turn_kernel_back, 4, 6, 3, from, 6 * matrix, matrix, g + 9 * k * VL, 3 * VL, VL);
                else
                    turn_both(turn_kernel_back, 2, 4, 3, from, 4 * matrix, matrix, g + 9 * k * VL, 3 * VL, VL);
            }
            scatter(false, g, 9 * least(VL, w->c - c), w->o - o, row, 0, dw + o * row + 9 * c);
        }
}
