/* line.c's topk for one dtype: T, its name in FN(name), NANS where it has NaN. The k best so far are a heap, the worst
 * of them on top, which each better element replaces; taking the top off k times sorts them. */

#ifdef NANS
#define IS_NAN(v) ((v) != (v))
#else
#define IS_NAN(v) 0
#endif

/* Whether a comes before b. */
static inline bool FN(before)(T a, int64_t ia, T b, int64_t ib, bool largest)
{
    const bool more = a > b || (IS_NAN(a) && !IS_NAN(b)), less = a < b || (IS_NAN(b) && !IS_NAN(a));
    if (more || less)
        return more == largest;
    return ia < ib;
}

/* Lets an element sink into the heap of n from place i, to where all below it come before it. */
static inline void FN(sink)(T *value, int64_t *index, int64_t n, int64_t i, T v, int64_t at, bool largest)
{
    for (;;) {
        int64_t child = 2 * i + 1;
        if (child >= n)
            break;
        if (child + 1 < n && FN(before)(value[child], index[child], value[child + 1], index[child + 1], largest))
            child++;
        if (!FN(before)(v, at, value[child], index[child], largest))
            break;
        value[i] = value[child];
        index[i] = index[child];
        i = child;
    }
    value[i] = v;
    index[i] = at;
}

static void FN(topk)(const pleat_topk_work *w, void *heap, int64_t begin, int64_t end)
{
    int64_t *index = heap;
    T *value = (T *)(void *)(index + w->k);
    for (int64_t l = begin; l < end; l++) {
        const T *x = (const T *)w->x + l / w->inner * w->length * w->inner + l % w->inner;
        const int64_t out = l / w->inner * w->k * w->inner + l % w->inner;
        for (int64_t i = 0; i < w->k; i++) {
            value[i] = x[i * w->inner];
            index[i] = i;
        }
        for (int64_t i = w->k / 2 - 1; i >= 0; i--)
            FN(sink)(value, index, w->k, i, value[i], index[i], w->largest);
        for (int64_t i = w->k; i < w->length; i++) {
            const T v = x[i * w->inner];
            if (FN(before)(v, i, value[0], index[0], w->largest))
                FN(sink)(value, index, w->k, 0, v, i, w->largest);
        }
        for (int64_t n = w->k - 1; n >= 0; n--) {
            ((T *)w->value)[out + n * w->inner] = value[0];
            w->index[out + n * w->inner] = index[0];
            FN(sink)(value, index, n, 0, value[n], index[n], w->largest);
        }
    }
}
#undef IS_NAN
