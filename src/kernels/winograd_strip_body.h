/* Winograd's strips: the rows of pixels of one line of tiles, of one vector of channels, as pixel[row][column][VL].
 * They are made of planes of pixels, and become planes again. For winograd.c, in simd.h's names. */

/* Calls are rare, and the code is large. */
#define PLEAT_APART static __attribute__((noinline))

/* A walk along the pixels of a strip, VL at a time, as they follow one another in the planes: they may begin in one row
 * and end in another. The last of them overlap those before. */
typedef struct {
    int64_t run, width, pitch; /* pixels; of a row, in the planes and in the strip */
    int64_t p, n;              /* the first of these pixels, and how many */
    int64_t at, offset;        /* its column, and where it is in the strip */
} walk;

PLEAT_INLINE bool more(walk *s)
{
    if (s->p >= s->run)
        return false;
    if (s->p + s->n > s->run) {
        s->p = s->run - s->n;
        s->at = s->p % s->width;
        s->offset = (s->p / s->width * s->pitch + s->at) * VL;
    }
    return true;
}

/* The first n elements, and zeros. */
PLEAT_APART V some(const float *from, int64_t n)
{
    V v = { 0 };
    memcpy(&v, from, (size_t)n * sizeof(float));
    return v;
}

/* On by so many pixels of a row. */
PLEAT_INLINE void step(walk *s, int64_t pixels)
{
    s->offset += pixels * VL;
    s->at += pixels;
    if (s->at == s->width) {
        s->at = 0;
        s->offset += (s->pitch - s->width) * VL;
    }
}

/* Whole rows of planes, into a strip; whole: there are vectors' worth of planes and of pixels. What will be read next
 * lies `next` elements on, and may be sent for: the rows of so many planes are too short for the processor to see what
 * follows. */
PLEAT_INLINE void gather_of(bool whole, bool send, const float *from, int64_t plane, int64_t planes, int64_t rows,
                            int64_t width, int64_t next, int64_t pitch, float *strip)
{
    const int64_t run = rows * width;
    for (walk s = { run, width, pitch, .n = least(run, VL) }; more(&s); s.p += VL) {
        V r[VL];
        PLEAT_UNROLL(16)
        for (int k = 0; k < VL; k++)
            if (whole) {
                r[k] = FN(load)(from + k * plane + s.p);
                if (send)
                    __builtin_prefetch(from + k * plane + s.p + next, 0, 2);
            } else
                r[k] = k < planes ? some(from + k * plane + s.p, s.n) : (V){ 0 };
        FN(transpose)(r);
        if (whole && s.at + VL <= width) {
            PLEAT_UNROLL(16)
            for (int k = 0; k < VL; k++)
                FN(store)(strip + s.offset + k * VL, r[k]);
            step(&s, VL);
        } else {
            PLEAT_UNROLL(16)
            for (int k = 0; k < VL; k++)
                if (whole || k < s.n) {
                    FN(store)(strip + s.offset, r[k]);
                    step(&s, 1);
                }
        }
    }
}

PLEAT_APART void gather_edge(const float *from, int64_t plane, int64_t planes, int64_t rows, int64_t width,
                             int64_t pitch, float *strip)
{
    gather_of(false, false, from, plane, planes, rows, width, 0, pitch, strip);
}

/* The other way: pixels that follow one another in the strip as in the planes. */
PLEAT_INLINE void scatter_of(bool whole, bool send, const float *strip, int64_t pixels, int64_t planes, int64_t plane,
                             int64_t next, float *to)
{
    const int64_t n = least(pixels, VL);
    for (int64_t p = 0; p < pixels; p += n) {
        p = least(p, pixels - n);
        V r[VL];
        PLEAT_UNROLL(16)
        for (int k = 0; k < VL; k++)
            r[k] = whole || k < n ? FN(load)(strip + (p + k) * VL) : (V){ 0 };
        FN(transpose)(r);
        PLEAT_UNROLL(16)
        for (int k = 0; k < VL; k++)
            if (whole) {
                FN(store)(to + k * plane + p, r[k]);
                if (send)
                    __builtin_prefetch(to + k * plane + p + next, 1, 2);
            } else if (k < planes)
                memcpy(to + k * plane + p, &r[k], (size_t)n * sizeof(float));
    }
}

PLEAT_APART void scatter_edge(const float *strip, int64_t pixels, int64_t planes, int64_t plane, float *to)
{
    scatter_of(false, false, strip, pixels, planes, plane, 0, to);
}

PLEAT_INLINE void gather(bool send, const float *from, int64_t plane, int64_t planes, int64_t rows, int64_t width,
                         int64_t next, int64_t pitch, float *strip)
{
    if (planes < VL || rows * width < VL)
        gather_edge(from, plane, planes, rows, width, pitch, strip);
    else if (send)
        gather_of(true, true, from, plane, planes, rows, width, next, pitch, strip);
    else
        gather_of(true, false, from, plane, planes, rows, width, next, pitch, strip);
}

PLEAT_INLINE void scatter(bool send, const float *strip, int64_t pixels, int64_t planes, int64_t plane, int64_t next,
                          float *to)
{
    if (planes < VL || pixels < VL)
        scatter_edge(strip, pixels, planes, plane, to);
    else if (send)
        scatter_of(true, true, strip, pixels, planes, plane, next, to);
    else
        scatter_of(true, false, strip, pixels, planes, plane, next, to);
}
