/* interpolate and its adjoint: an image at another size.
 *
 * Separable: place i of a dimension of the result is a weighted sum of one (nearest), two (bilinear) or four (bicubic)
 * places of the input's, the taps. They are worked out once per call and dimension; the kernel then makes rows. The
 * adjoint runs the same kernel on the transposed lists, so that it gathers too. Where the taps lie and what they weigh
 * is PyTorch's rule to the letter: half-pixel centres unless align_corners is set, bicubic with a = -0.75 (Keys: Cubic
 * Convolution Interpolation for Digital Image Processing, IEEE TASSP 1981) and clamped at the edges. */
#include "kernels/resample.h"
#include "ops/enter.h"
#include "ops/ops.h"
#include "ops/reals.h"
#include "tensor/memory.h"
#include "tensor/tensor.h"

#include <pleat/ops.h>

#include <inttypes.h>
#include <math.h>

enum { GRAIN = 1 << 14, MOST_TAPS = 4 };

typedef struct {
    pleat_interpolation mode;
    bool align_corners;
    pleat_hw from, to;
    double step_h, step_w; /* places of the input from one of the result to the next */
} interpolate_params;

/* ---- Taps ---- */

typedef struct {
    pleat_interpolation mode;
    bool align_corners;
    int64_t from, to;
    double step;
} axis;

/* The taps of place i; how many. */
static int taps_at(const axis *a, int64_t i, int64_t *place, double *weight)
{
    const double at = a->align_corners ? a->step * (double)i : a->step * ((double)i + 0.5) - 0.5;
    if (a->mode == PLEAT_NEAREST) {
        /* the other systems compute this in float32 */
        const float near = floorf((float)i * (float)a->step);
        place[0] = a->from == a->to ? i : a->to == 2 * a->from ? i / 2 : (int64_t)near;
        place[0] = place[0] < a->from ? place[0] : a->from - 1;
        weight[0] = 1;
        return 1;
    }
    const double inside = a->mode == PLEAT_BILINEAR && at < 0 ? 0 : at, below = floor(inside);
    const int64_t p = below < (double)(a->from - 1) ? (int64_t)below : a->from - 1;
    const double t = fmin(inside - (double)p, 1), s = 1 - t;
    if (a->mode == PLEAT_BILINEAR) {
        const bool both = p + 1 < a->from && t > 0;
        place[0] = p;
        place[1] = p + 1;
        weight[0] = both ? s : 1;
        weight[1] = t;
        return both ? 2 : 1;
    }
    const double c = -0.75;
    weight[0] = ((c * (t + 1) - 5 * c) * (t + 1) + 8 * c) * (t + 1) - 4 * c;
    weight[1] = ((c + 2) * t - (c + 3)) * t * t + 1;
    weight[2] = ((c + 2) * s - (c + 3)) * s * s + 1;
    weight[3] = ((c * (s + 1) - 5 * c) * (s + 1) + 8 * c) * (s + 1) - 4 * c;
    for (int k = 0; k < 4; k++) {
        const int64_t q = p - 1 + k;
        place[k] = q < 0 ? 0 : q < a->from ? q : a->from - 1;
    }
    return 4;
}

/* Lists the taps of each place; transposed, of each place of the input those that tap it. The memory, to be freed, is
 * returned. */
static void *list_taps(const axis *a, pleat_dtype dtype, bool transposed, pleat_taps *list)
{
    const int64_t n = transposed ? a->from : a->to;
    int64_t *first =
        pleat_alloc((size_t)(n + 1) * sizeof *first + (size_t)(a->to * MOST_TAPS) * (sizeof *first + sizeof(double)));
    if (!first)
        return NULL;
    int64_t *place = first + n + 1;
    void *weight = place + a->to * MOST_TAPS;
    for (int64_t i = 0; i <= n; i++)
        first[i] = 0;
    int64_t p[MOST_TAPS];
    double w[MOST_TAPS];
    for (int64_t i = 0; i < a->to; i++) {
        const int taps = taps_at(a, i, p, w);
        for (int k = 0; k < taps; k++)
            first[(transposed ? p[k] : i) + 1]++;
    }
    for (int64_t i = 0; i < n; i++)
        first[i + 1] += first[i];
    for (int64_t i = 0; i < a->to; i++) { /* this moves each first to the next one's */
        const int taps = taps_at(a, i, p, w);
        for (int k = 0; k < taps; k++) {
            const int64_t slot = first[transposed ? p[k] : i]++;
            place[slot] = transposed ? i : p[k];
            set_real(weight, dtype, slot, w[k]);
        }
    }
    for (int64_t i = n; i > 0; i--)
        first[i] = first[i - 1];
    first[0] = 0;
    *list = (pleat_taps){ first, place, weight };
    return first;
}

/* ---- Running the kernel ---- */

typedef struct {
    pleat_resample_work work;
    char *scratch;
    int64_t row; /* bytes of each worker's */
} job;

static void rows(int64_t begin, int64_t end, void *ctx)
{
    const job *j = ctx;
    pleat_kernels_get()->resample->resample(&j->work, j->scratch + pleat_worker() * j->row, begin, end);
}

static pleat_status run(const interpolate_params *p, const pleat_tensor *x, pleat_tensor *y, bool adjoint)
{
    if (y->numel == 0)
        return PLEAT_OK;
    job j = { .work = { .dtype = x->dtype,
                        .from = adjoint ? p->to : p->from,
                        .to = adjoint ? p->from : p->to,
                        .x = pleat_tensor_address(x),
                        .y = pleat_tensor_address(y) } };
    const axis h = { p->mode, p->align_corners, p->from.h, p->to.h, p->step_h },
               w = { p->mode, p->align_corners, p->from.w, p->to.w, p->step_w };
    j.row = j.work.from.w * 64;
    void *h_memory = list_taps(&h, x->dtype, adjoint, &j.work.rows);
    void *w_memory = list_taps(&w, x->dtype, adjoint, &j.work.columns);
    j.scratch = pleat_alloc((size_t)(pleat_threads() * j.row));
    if (h_memory && w_memory && j.scratch)
        pleat_parallel_for(y->numel / j.work.to.w, GRAIN / (j.work.to.w + j.work.from.w), rows, &j);
    pleat_free(h_memory);
    pleat_free(w_memory);
    pleat_free(j.scratch);
    return pleat_pending();
}

/* ---- The ops ---- */

/* An image (N, C, H, W), or (N, C, W) as one of height 1. */
static pleat_hw image_of(pleat_shape x)
{
    return (pleat_hw){ x.ndim == 4 ? x.dim[2] : 1, x.dim[x.ndim - 1] };
}

static pleat_shape with_image(pleat_shape x, pleat_hw image)
{
    if (x.ndim == 4)
        x.dim[2] = image.h;
    x.dim[x.ndim - 1] = image.w;
    return x;
}

static pleat_status infer(const pleat_call *call, pleat_hw from, pleat_hw to, pleat_spec *out)
{
    const pleat_shape x = call->in_spec[0].shape;
    if (x.ndim != 3 && x.ndim != 4)
        return pleat_fail(PLEAT_ESHAPE, "input %s must be (N, C, H, W) or (N, C, W)%s", pleat_shape_text(x).text,
                          x.ndim == 5 ? ": there are no volumes" : "");
    const pleat_hw image = image_of(x);
    if (image.h != from.h || image.w != from.w)
        return pleat_fail(PLEAT_ESHAPE, "input %s must have an image of %" PRId64 " x %" PRId64,
                          pleat_shape_text(x).text, from.h, from.w);
    if (from.h < 1 || from.w < 1 || to.h < 1 || to.w < 1 || to.h > INT64_MAX / 128 || to.w > INT64_MAX / 128)
        return pleat_fail(PLEAT_ESHAPE,
                          "images of %" PRId64 " x %" PRId64 " and %" PRId64 " x %" PRId64
                          ": sizes must be at least 1, and not too large",
                          from.h, from.w, to.h, to.w);
    out[0] = (pleat_spec){ .dtype = call->in_spec[0].dtype, .shape = with_image(x, to) };
    return PLEAT_OK;
}

static pleat_status interpolate_infer(const pleat_call *call, pleat_spec *out)
{
    const interpolate_params *p = call->params;
    return infer(call, p->from, p->to, out);
}

static pleat_status interpolate_forward(pleat_call *call)
{
    return run(call->params, call->in[0], call->out[0], false);
}

static pleat_status interpolate_backward(pleat_call *call)
{
    call->grad_in[0] = pleat_apply(&pleat_op_interpolate_adjoint, call->grad_out, 1, call->params);
    return PLEAT_OK;
}

static pleat_status interpolate_adjoint_infer(const pleat_call *call, pleat_spec *out)
{
    const interpolate_params *p = call->params;
    return infer(call, p->to, p->from, out);
}

static pleat_status interpolate_adjoint_forward(pleat_call *call)
{
    return run(call->params, call->in[0], call->out[0], true);
}

static pleat_status interpolate_adjoint_backward(pleat_call *call)
{
    call->grad_in[0] = pleat_apply(&pleat_op_interpolate, call->grad_out, 1, call->params);
    return PLEAT_OK;
}

#define INTERPOLATE(op)                                                                                                \
    .name = #op, .inputs = 1, .outputs = 1, .params_size = sizeof(interpolate_params), .infer = op##_infer,            \
    .forward = op##_forward, .backward = op##_backward

const pleat_op pleat_op_interpolate = { INTERPOLATE(interpolate) };
const pleat_op pleat_op_interpolate_adjoint = { INTERPOLATE(interpolate_adjoint) };

/* ---- The function ---- */

/* One dimension's size and step, from what was asked for: a size, or a scale. */
static bool resolve(const pleat_interpolate_opts *o, int64_t from, int64_t size, double scale, int64_t *to,
                    double *step)
{
    *to = size;
    if (scale != 0) {
        const double scaled = floor((double)from * scale);
        if (size != 0 || !(scaled >= 1 && scaled < 0x1p56))
            return false;
        *to = (int64_t)scaled;
    }
    if (*to < 1)
        return false;
    if (o->align_corners)
        *step = *to > 1 ? (double)(from - 1) / (double)(*to - 1) : 0;
    else
        *step = scale != 0 ? 1 / scale : (double)from / (double)*to;
    return true;
}

/* Averages over boxes of the size are a pooling. */
static pleat_tensor *area(pleat_tensor *x, pleat_hw size)
{
    if (x->shape.ndim == 4)
        return pleat_adaptive_avg_pool2d(x, size);
    const pleat_scope scope = pleat_scope_begin();
    pleat_tensor *y = pleat_adaptive_avg_pool2d(pleat_unsqueeze(x, -2), size);
    return pleat_scope_return(scope, y ? pleat_squeeze(y, -2) : NULL);
}

pleat_tensor *pleat_interpolate(pleat_tensor *x, const pleat_interpolate_opts *opts)
{
    const char *context;
    if (!pleat_enter("interpolate", x, &context))
        return pleat_leave(context, NULL);
    const pleat_interpolate_opts o = opts ? *opts : (pleat_interpolate_opts){ .mode = PLEAT_NEAREST };
    interpolate_params p = { .mode = o.mode, .align_corners = o.align_corners };
    if ((unsigned)o.mode > PLEAT_AREA)
        pleat_fail(PLEAT_EINVAL, "%d is no mode", (int)o.mode);
    else if (o.align_corners && o.mode != PLEAT_BILINEAR && o.mode != PLEAT_BICUBIC)
        pleat_fail(PLEAT_EINVAL, "align_corners is for bilinear and bicubic, not for mode %d", (int)o.mode);
    else if (x->shape.ndim == 3 && o.mode == PLEAT_BICUBIC)
        pleat_fail(PLEAT_ESHAPE, "bicubic is for images: input %s must be (N, C, H, W)",
                   pleat_shape_text(x->shape).text);
    else if (x->shape.ndim == 3 || x->shape.ndim == 4) {
        const bool flat = x->shape.ndim == 3;
        p.from = image_of(x->shape);
        if (!(flat ? o.size.h == 0 && o.scale.h == 0 && resolve(&o, 1, 1, 0, &p.to.h, &p.step_h)
                   : resolve(&o, p.from.h, o.size.h, o.scale.h, &p.to.h, &p.step_h)) ||
            !resolve(&o, p.from.w, o.size.w, o.scale.w, &p.to.w, &p.step_w))
            pleat_fail(PLEAT_EINVAL,
                       "size (%" PRId64 ", %" PRId64
                       ") and scale (%g, %g) for input %s: either gives each dimension of "
                       "the image at least one place, the other is 0",
                       o.size.h, o.size.w, o.scale.h, o.scale.w, pleat_shape_text(x->shape).text);
    }
    if (pleat_pending() == PLEAT_OK && o.mode == PLEAT_AREA && (x->shape.ndim == 3 || x->shape.ndim == 4))
        return pleat_leave(context, area(x, p.to));
    return pleat_leave(context, pleat_apply(&pleat_op_interpolate, &x, 1, &p));
}
