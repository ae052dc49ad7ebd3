/* move.c's functions for one dtype: T, with its name in FN(name). */

typedef T FN(lanes) __attribute__((vector_size(PLEAT_VECTOR_BYTES), aligned(sizeof(T)), may_alias));

/* By whole vectors, of which the last may write behind the n elements, up to `stop`: what is there comes later. */
PLEAT_INLINE void FN(fill_row)(T *to, T value, int64_t n, const T *stop)
{
    const int64_t lanes = PLEAT_VECTOR_BYTES / (int64_t)sizeof(T);
    const FN(lanes) v = value - (FN(lanes)){ 0 };
    int64_t i = 0;
    for (; i < n && stop - (to + i) >= lanes; i += lanes)
        *(FN(lanes) *)(to + i) = v;
    for (; i < n; i++)
        to[i] = value;
}

static void FN(copy_row)(T *to, int64_t to_step, const T *from, int64_t from_step, int64_t n)
{
    if (to_step == 1 && from_step == 1)
        copy_bytes((char *)to, (const char *)from, n * (int64_t)sizeof(T));
    else
        for (int64_t i = 0; i < n; i++)
            to[i * to_step] = from[i * from_step];
}

static void FN(add_row)(T *to, int64_t to_step, const T *from, int64_t from_step, int64_t n)
{
    if (to_step == 1 && from_step == 1)
        for (int64_t i = 0; i < n; i++)
            to[i] = (T)(to[i] + from[i]);
    else
        for (int64_t i = 0; i < n; i++)
            to[i * to_step] = (T)(to[i * to_step] + from[i * from_step]);
}

/* Rows that lie at map's places along the dimension before the last. A function of its own for the sake of its
 * registers. */
static __attribute__((noinline)) void FN(map_rows)(const pleat_map_places *w, const T *read, const int64_t *map,
                                                   int64_t rows, T *to, const T *stop)
{
    const int last = w->ndim - 1;
    const int64_t columns = w->to_dim[last], stride = w->stride[last - 1], step = w->stride[last];
    const T value = (T)w->value;
    const pleat_run *const first = w->run, *const end = first + w->runs;
    for (int64_t i = 0; i < rows; i++, to += columns) {
        if (map[i] < 0) {
            FN(fill_row)(to, value, columns, stop);
            continue;
        }
        const T *from = read + map[i] * stride;
        for (const pleat_run *r = first; r < end; r++)
            if (r->from < 0)
                FN(fill_row)(to + r->to, value, r->n, stop);
            else
                FN(copy_row)(to + r->to, 1, from + r->from * step, r->step * step, r->n);
    }
}

static void FN(map)(const pleat_map_places *w, int64_t begin, int64_t end)
{
    const int last = w->ndim - 1;
    const int64_t columns = w->to_dim[last], height = w->to_dim[last - 1];
    T *const to = w->write, *const stop = to + end * columns;
    int64_t place[PLEAT_MAX_DIMS], *row = &place[last - 1];
    start(w->to_dim, last, begin, place);
    for (int64_t rows; begin < end; begin += rows, *row += rows - 1, step(w->to_dim, last, place)) {
        int64_t at = 0;
        bool there = true;
        for (int d = 0; d < last - 1; d++) {
            const int64_t p = w->map[d][place[d]];
            at += p * w->stride[d];
            there &= p >= 0;
        }
        rows = height - *row < end - begin ? height - *row : end - begin;
        if (there)
            FN(map_rows)(w, (const T *)w->read + at, w->map[last - 1] + *row, rows, to + begin * columns, stop);
        else
            FN(fill_row)(to + begin * columns, (T)w->value, rows * columns, stop);
    }
}

static void FN(map_sum)(const pleat_map_places *w, int64_t begin, int64_t end)
{
    const int last = w->ndim - 1;
    const T *read = w->read;
    int64_t place[PLEAT_MAX_DIMS];
    start(w->from_dim, last, begin, place);
    for (int64_t row = begin; row < end; row++, step(w->from_dim, last, place)) {
        T *to = (T *)w->write + row * w->from_dim[last];
        FN(fill_row)(to, 0, w->from_dim[last], to + w->from_dim[last]);
        /* every combination of the places that read this row, the last dimension's fastest */
        int64_t first[PLEAT_MAX_DIMS], stop[PLEAT_MAX_DIMS], k[PLEAT_MAX_DIMS];
        bool any = true;
        for (int d = 0; d < last; d++) {
            k[d] = first[d] = w->first[d][place[d]];
            stop[d] = w->first[d][place[d] + 1];
            any &= first[d] < stop[d];
        }
        while (any) {
            int64_t at = 0;
            for (int d = 0; d < last; d++)
                at += w->list[d][k[d]] * w->stride[d];
            for (const pleat_run *r = w->run; r < w->run + w->runs; r++)
                if (r->from >= 0)
                    FN(add_row)(to + r->from, r->step, read + at + r->to * w->stride[last], w->stride[last], r->n);
            int d = last - 1;
            while (d >= 0 && ++k[d] == stop[d]) {
                k[d] = first[d];
                d--;
            }
            any = d >= 0;
        }
    }
}

/* n lines that follow each other along the last of their dimensions. MOVE(h, t) moves between elements of here and
 * there, MOVE_ROW the same for n with strides. The loop that takes the smaller steps is the inner one; either way k
 * goes up for every line. */
#define INDEXED(name, MOVE, MOVE_ROW)                                                                                  \
    static void FN(name##_run)(const pleat_index_work *w, const int64_t *index, T *here, T *there, int64_t n)          \
    {                                                                                                                  \
        const int last = w->ndim - 1;                                                                                  \
        const int64_t is = w->index_stride[last], hs = w->here_stride[last], ts = w->there_stride[last];               \
        if (is == 0)                                                                                                   \
            for (int64_t k = 0; k < w->length; k++)                                                                    \
                MOVE_ROW(here + k * w->here_step, hs, there + index[k * w->index_step] * w->there_step, ts, n);        \
        else if (is >= w->index_step)                                                                                  \
            for (int64_t i = 0; i < n; i++)                                                                            \
                for (int64_t k = 0; k < w->length; k++)                                                                \
                    MOVE(here[i * hs + k * w->here_step],                                                              \
                         there[i * ts + index[i * is + k * w->index_step] * w->there_step]);                           \
        else                                                                                                           \
            for (int64_t k = 0; k < w->length; k++)                                                                    \
                for (int64_t i = 0; i < n; i++)                                                                        \
                    MOVE(here[i * hs + k * w->here_step],                                                              \
                         there[i * ts + index[i * is + k * w->index_step] * w->there_step]);                           \
    }                                                                                                                  \
    static void FN(name)(const pleat_index_work *w, int64_t begin, int64_t end)                                        \
    {                                                                                                                  \
        const int last = w->ndim - 1;                                                                                  \
        while (begin < end) {                                                                                          \
            int64_t rest = begin, index = 0, here = 0, there = 0;                                                      \
            const int64_t left = w->dim[last] - begin % w->dim[last], n = left < end - begin ? left : end - begin;     \
            for (int d = last; d >= 0; d--) {                                                                          \
                const int64_t i = rest % w->dim[d];                                                                    \
                rest /= w->dim[d];                                                                                     \
                index += i * w->index_stride[d];                                                                       \
                here += i * w->here_stride[d];                                                                         \
                there += i * w->there_stride[d];                                                                       \
            }                                                                                                          \
            FN(name##_run)(w, w->index + index, (T *)w->here + here, (T *)w->there + there, n);                        \
            begin += n;                                                                                                \
        }                                                                                                              \
    }

#define TAKE(h, t) h = t
#define TAKE_ROW(h, hs, t, ts, n) FN(copy_row)(h, hs, t, ts, n)
#define PUT(h, t) t = h
#define PUT_ROW(h, hs, t, ts, n) FN(copy_row)(t, ts, h, hs, n)
#define ADD(h, t) t = (T)(t + h)
#define ADD_ROW(h, hs, t, ts, n) FN(add_row)(t, ts, h, hs, n)
INDEXED(gather, TAKE, TAKE_ROW)
INDEXED(scatter, PUT, PUT_ROW)
INDEXED(scatter_add, ADD, ADD_ROW)
#undef INDEXED
#undef TAKE
#undef TAKE_ROW
#undef PUT
#undef PUT_ROW
#undef ADD
#undef ADD_ROW

/* x may be one element for all, as zeros are. */
static void FN(sum_row)(T *to, const T *x, int64_t x_step, const T *from, int64_t from_step, int64_t n)
{
    if (x_step == 1 && from_step == 1)
        for (int64_t i = 0; i < n; i++)
            to[i] = (T)(x[i] + from[i]);
    else if (x_step == 0 && from_step == 1) {
        const T value = *x;
        for (int64_t i = 0; i < n; i++)
            to[i] = (T)(value + from[i]);
    } else
        for (int64_t i = 0; i < n; i++)
            to[i] = (T)(x[i * x_step] + from[i * from_step]);
}

static void FN(add_rows)(const pleat_row_work *w, int64_t begin, int64_t end)
{
    const int64_t *xs = w->x_stride, *fs = w->from_stride;
    for (int64_t n; begin < end; begin += n) {
        const int64_t row = begin / w->columns, column = begin % w->columns, outer = row / w->places;
        const int64_t place = row % w->places, left = w->columns - column;
        n = left < end - begin ? left : end - begin;
        const T *x = (const T *)w->x + outer * xs[0] + place * xs[1] + column * xs[2];
        const T *from = (const T *)w->from + outer * fs[0] + column * fs[2];
        T *to = (T *)w->to + begin;
        const int64_t *k = w->list + w->first[place], *const stop = w->list + w->first[place + 1];
        if (k < stop)
            FN(sum_row)(to, x, xs[2], from + *k++ * fs[1], fs[2], n);
        else if (xs[2] == 0)
            FN(fill_row)(to, *x, n, to + n);
        else
            FN(copy_row)(to, 1, x, xs[2], n);
        for (; k < stop; k++)
            FN(add_row)(to, 1, from + *k * fs[1], fs[2], n);
    }
}
