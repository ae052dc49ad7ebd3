/* Digits that the library draws itself, so that there is something to learn where there are no files.
 *
 * A glyph is a few strokes through control points on a 100 x 100 sheet. Drawing one jitters the points, lays a
 * Catmull-Rom spline through them, moves the sheet onto the image (scale, slant, rotation, shift), and gives each pixel
 * the ink of its distance from the strokes; stray marks and noise come on top. Every random number comes from Philox
 * blocks of the stream (seed, element), so an element is the same whoever draws it. */
#include "data/dataset.h"

#include "tensor/error.h"

#include <pleat/parallel.h>
#include <pleat/random.h>
#include <pleat/scope.h>

#include <math.h>

#define SIDE 28
#define PIXELS (SIDE * SIDE)
#define STEPS 6 /* straight pieces between two control points */

/* ---- Glyphs ---- */

typedef enum { END, START, SMOOTH, CORNER } point_kind; /* a corner ends one spline and begins the next */

typedef struct {
    unsigned char kind, x, y;
} point;

#define A(x, y)                                                                                                        \
    {                                                                                                                  \
        START, x, y                                                                                                    \
    }
#define S(x, y)                                                                                                        \
    {                                                                                                                  \
        SMOOTH, x, y                                                                                                   \
    }
#define C(x, y)                                                                                                        \
    {                                                                                                                  \
        CORNER, x, y                                                                                                   \
    }
#define MAX_POINTS 16

typedef struct {
    point points[MAX_POINTS];
} glyph;

/* Two hands for every digit. */
static const glyph glyphs[10][2] = {
    { { { A(52, 5), S(76, 20), S(82, 50), S(74, 82), S(50, 95), S(26, 82), S(18, 50), S(26, 18), S(50, 5) } },
      { { A(60, 6), S(34, 12), S(20, 42), S(24, 78), S(46, 95), S(72, 84), S(81, 52), S(74, 18), S(54, 7) } } },
    { { { A(51, 5), S(50, 50), S(50, 95) } }, { { A(30, 26), S(42, 17), C(55, 5), C(55, 95), A(33, 95), S(78, 95) } } },
    { { { A(20, 28), S(30, 10), S(52, 4), S(76, 15), S(77, 34), S(60, 58), C(18, 95), S(84, 95) } },
      { { A(24, 22), S(46, 5), S(74, 14), S(72, 40), S(44, 74), S(24, 92), S(18, 80), S(36, 76), S(60, 92),
          S(86, 88) } } },
    { { { A(22, 14), S(46, 4), S(72, 11), S(75, 29), S(62, 43), C(42, 47), S(68, 53), S(81, 71), S(70, 90), S(44, 96),
          S(17, 85) } },
      { { A(22, 6), C(77, 6), C(45, 42), S(72, 50), S(81, 70), S(68, 91), S(42, 96), S(17, 86) } } },
    { { { A(30, 6), S(25, 35), C(19, 60), S(84, 60), A(66, 24), S(64, 95) } },
      { { A(64, 95), C(64, 5), C(16, 68), S(86, 68) } } },
    { { { A(76, 6), C(29, 6), C(24, 45), S(50, 38), S(75, 48), S(80, 69), S(67, 90), S(41, 96), S(18, 86) } },
      { { A(80, 5), S(52, 8), C(32, 10), C(30, 42), S(58, 42), S(76, 60), S(70, 84), S(46, 95), S(20, 90) } } },
    { { { A(68, 6), S(42, 26), S(23, 56), S(23, 82), S(46, 96), S(74, 86), S(78, 66), S(58, 52), S(34, 60),
          S(23, 76) } },
      { { A(46, 4), S(28, 36), S(20, 68), S(28, 90), S(50, 96), S(72, 86), S(74, 66), S(54, 54), S(32, 62) } } },
    { { { A(18, 7), C(82, 7), S(60, 44), S(42, 95) } },
      { { A(18, 12), S(20, 6), C(80, 8), S(56, 50), S(46, 95), A(34, 50), S(76, 48) } } },
    { { { A(72, 18), S(50, 4), S(28, 16), S(34, 37), S(62, 55), S(80, 74), S(66, 93), S(36, 94), S(21, 76), S(38, 54),
          S(66, 37), S(73, 20) } },
      { { A(50, 47), S(27, 32), S(30, 11), S(50, 4), S(70, 11), S(73, 32), S(50, 47), S(22, 64), S(24, 86), S(50, 96),
          S(76, 86), S(78, 64), S(51, 48) } } },
    { { { A(74, 30), S(60, 46), S(36, 45), S(24, 28), S(34, 9), S(56, 5), S(74, 18), S(77, 44), S(70, 72),
          S(48, 95) } },
      { { A(72, 14), S(48, 5), S(26, 18), S(28, 40), S(50, 48), S(70, 36), C(74, 12), S(72, 52), S(70, 95) } } },
};

/* ---- Random numbers of one element ---- */

typedef struct {
    uint64_t seed, element, counter;
    uint32_t word[4];
    int left;
} stream;

static uint32_t next_word(stream *s)
{
    if (s->left == 0) {
        pleat_philox(s->seed, s->element, s->counter++, s->word);
        s->left = 4;
    }
    return s->word[--s->left];
}

static float uniform(stream *s, float low, float high)
{
    return low + (high - low) * ((float)(next_word(s) >> 8) * 0x1p-24f);
}

/* About normal, variance 1: the sum of a word's four bytes, whose variance is 4 (256^2 - 1) / 12. */
static float bell(stream *s)
{
    const uint32_t w = next_word(s);
    const uint32_t sum = (w & 255) + (w >> 8 & 255) + (w >> 16 & 255) + (w >> 24);
    return ((float)sum - 510.0f) / 147.8f;
}

/* ---- Drawing ---- */

typedef struct {
    float x, y;
} place;

typedef struct {
    float distance2[PIXELS]; /* of each pixel's centre from the ink so far */
    float reach;             /* distances beyond it do not matter */
} sheet;

static void draw_segment(sheet *c, place a, place b)
{
    const float dx = b.x - a.x, dy = b.y - a.y, length2 = dx * dx + dy * dy, r = c->reach;
    const int left = (int)fmaxf(0, floorf(fminf(a.x, b.x) - r)),
              right = (int)fminf(SIDE - 1, ceilf(fmaxf(a.x, b.x) + r));
    const int top = (int)fmaxf(0, floorf(fminf(a.y, b.y) - r)),
              bottom = (int)fminf(SIDE - 1, ceilf(fmaxf(a.y, b.y) + r));
    for (int y = top; y <= bottom; y++)
        for (int x = left; x <= right; x++) {
            const float px = (float)x - a.x, py = (float)y - a.y;
            const float along = length2 > 0 ? fminf(1, fmaxf(0, (px * dx + py * dy) / length2)) : 0;
            const float ex = px - along * dx, ey = py - along * dy, d = ex * ex + ey * ey;
            if (d < c->distance2[y * SIDE + x])
                c->distance2[y * SIDE + x] = d;
        }
}

/* The spline through b and c at t, with its neighbours a and d. */
static float catmull_rom(float a, float b, float c, float d, float t)
{
    return b + 0.5f * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)));
}

static void draw_spline(sheet *c, const place *p, int count)
{
    place from = p[0];
    for (int i = 0; i + 1 < count; i++) {
        const place before = p[i > 0 ? i - 1 : 0], after = p[i + 2 < count ? i + 2 : i + 1];
        for (int s = 1; s <= STEPS; s++) {
            const float t = (float)s / STEPS;
            const place to = { catmull_rom(before.x, p[i].x, p[i + 1].x, after.x, t),
                               catmull_rom(before.y, p[i].y, p[i + 1].y, after.y, t) };
            draw_segment(c, from, to);
            from = to;
        }
    }
}

static void draw_glyph(sheet *c, const glyph *g, stream *s)
{
    /* the sheet's place on the image; the rotation by the tangent of half its angle, for its exact sine and cosine */
    const float scale = uniform(s, 0.18f, 0.24f), aspect = uniform(s, 0.75f, 1.1f);
    const float slant = uniform(s, -0.3f, 0.3f), half = uniform(s, -0.13f, 0.13f);
    const float cosine = (1 - half * half) / (1 + half * half), sine = 2 * half / (1 + half * half);
    const float shift_x = uniform(s, -2.6f, 2.6f), shift_y = uniform(s, -2.4f, 2.4f);

    place p[MAX_POINTS];
    int count = 0;
    for (const point *q = g->points; q < g->points + MAX_POINTS && q->kind != END; q++) {
        const float x = ((float)q->x - 50 + 2.6f * bell(s)) * aspect, y = (float)q->y - 50 + 2.6f * bell(s);
        const float u = (x - slant * y) * scale, v = y * scale;
        const place here = { 13.5f + cosine * u - sine * v + shift_x, 13.5f + sine * u + cosine * v + shift_y };
        if (q->kind == START && count > 0) {
            draw_spline(c, p, count);
            count = 0;
        }
        p[count++] = here;
        if (q->kind == CORNER) {
            draw_spline(c, p, count);
            p[0] = here;
            count = 1;
        }
    }
    draw_spline(c, p, count);
}

/* One element: label, then image. */
static int64_t draw(float *pixels, uint64_t seed, uint64_t element)
{
    stream s = { .seed = seed, .element = element };
    const uint32_t label = next_word(&s) % 10, hand = next_word(&s) & 1;
    const float radius = uniform(&s, 0.6f, 1.5f), ink = uniform(&s, 0.7f, 1), noise = uniform(&s, 0.03f, 0.1f);

    sheet c = { .reach = radius + 1 };
    for (int i = 0; i < PIXELS; i++)
        c.distance2[i] = 1e9f;
    draw_glyph(&c, &glyphs[label][hand], &s);
    for (uint32_t marks = next_word(&s) % 3; marks > 0; marks--) { /* short strays, as dirt on the paper */
        const place a = { uniform(&s, 0, SIDE), uniform(&s, 0, SIDE) };
        const place b = { a.x + uniform(&s, -3, 3), a.y + uniform(&s, -3, 3) };
        draw_segment(&c, a, b);
    }
    for (int i = 0; i < PIXELS; i++) {
        const float cover = fminf(1, fmaxf(0, radius + 0.5f - sqrtf(c.distance2[i])));
        pixels[i] = fminf(1, fmaxf(0, ink * cover + noise * bell(&s)));
    }
    return label;
}

/* ---- The data set ---- */

typedef struct {
    float *pixels;
    int64_t *labels;
    uint64_t seed;
} digits_work;

static void draw_range(int64_t begin, int64_t end, void *ctx)
{
    const digits_work *w = ctx;
    for (int64_t i = begin; i < end; i++)
        w->labels[i] = draw(w->pixels + i * PIXELS, w->seed, (uint64_t)i);
}

pleat_dataset *pleat_digits(int64_t n, uint64_t seed)
{
    if (pleat_pending() != PLEAT_OK)
        return NULL;
    if (n < 0) {
        pleat_fail(PLEAT_EINVAL, "digits: the number must not be negative, as %lld is", (long long)n);
        return NULL;
    }
    const pleat_scope scope = pleat_scope_begin();
    pleat_tensor *inputs = pleat_empty(PLEAT_SHAPE(n, 1, SIDE, SIDE), PLEAT_F32);
    pleat_tensor *targets = pleat_empty(PLEAT_SHAPE(n), PLEAT_I64);
    pleat_dataset *d = pleat_dataset_of(inputs, targets);
    if (d) {
        digits_work work = { pleat_data_mut(inputs), pleat_data_mut(targets), seed };
        pleat_parallel_for(n, 16, draw_range, &work);
    }
    pleat_scope_end(scope);
    return d;
}
