/* einsum: sums of products, by letters. Composed of differentiable ops: permute, reshape, slice (diagonals), sum, and
 * for each two operands one product, so that the gradients are theirs.
 *
 * Operands meet from left to right. What two of them have in common and nobody needs afterwards (K) is contracted, what
 * is still needed is a batch, and the letters of one alone are rows (M) and columns (N):
 *
 *     left [batch, Mb, 1, M, K] x right [batch, 1, Nb, K, N] -> [batch, Mb, Nb, M, N]
 *
 * Of M and N only as many letters share a dimension as lie in memory as one (the others, Mb and Nb, broadcast), and the
 * operand with the last letter of the output stands on the right: `bip,oi->bop` is one product of oi with each image,
 * and nothing is copied. */
#include "ops/enter.h"
#include "ops/ops.h"
#include "tensor/tensor.h"

#include <pleat/ops.h>

#include <inttypes.h>
#include <string.h>

/* A label is a letter, in the order of ASCII, or a dimension under the ellipsis, counted from the last. */
enum { LETTERS = 52, LABELS = LETTERS + PLEAT_MAX_DIMS, MOST_TEXT = 16 };

typedef struct {
    int count;
    int label[PLEAT_MAX_DIMS];
} labels;

typedef struct {
    pleat_tensor *t;
    labels of; /* its dimensions */
} operand;

/* What the equation says. rank orders labels: those of the output as they stand there, the others behind. */
typedef struct {
    int64_t size[LABELS]; /* -1: of a label that does not occur */
    int last[LABELS];     /* the last operand that has it */
    int rank[LABELS];
    bool in_output[LABELS];
    labels output;
    int ellipsis; /* dimensions under it */
} plan;

static int find(const labels *l, int label)
{
    for (int i = 0; i < l->count; i++)
        if (l->label[i] == label)
            return i;
    return -1;
}

/* ---- The equation ---- */

static char letter_of(int label)
{
    return (char)(label < 26 ? 'A' + label : 'a' + label - 26);
}

/* "'i'", for messages. */
static const char *name_of(int label, char text[MOST_TEXT])
{
    memcpy(text, "' '", 4);
    text[1] = letter_of(label);
    return label < LETTERS ? text : "...";
}

/* One term: its letters, and before which of them the ellipsis stands (-1: none). */
typedef struct {
    int count, ellipsis;
    int letter[2 * PLEAT_MAX_DIMS];
} term;

/* Reads a term and stops at what ends it. */
static pleat_status read_term(const char **at, term *t)
{
    *t = (term){ .ellipsis = -1 };
    for (;; ++*at) {
        const char c = **at;
        if (c == ' ')
            continue;
        if (c == '\0' || c == ',' || (c == '-' && (*at)[1] == '>'))
            return PLEAT_OK;
        if (c == '.' && (*at)[1] == '.' && (*at)[2] == '.' && t->ellipsis < 0) {
            t->ellipsis = t->count;
            *at += 2;
            continue;
        }
        const bool upper = c >= 'A' && c <= 'Z', lower = c >= 'a' && c <= 'z';
        if (!upper && !lower)
            return pleat_fail(PLEAT_EINVAL,
                              "the equation has '%c' where a letter, one \"...\", ',' or \"->\" may stand", c);
        if (t->count == 2 * PLEAT_MAX_DIMS)
            return pleat_fail(PLEAT_EINVAL, "a term of the equation has too many letters");
        t->letter[t->count++] = upper ? c - 'A' : 26 + c - 'a';
    }
}

/* The term's labels where `under` dimensions are under its ellipsis. */
static labels expanded(const term *t, int under)
{
    labels l = { 0 };
    for (int i = 0; i <= t->count; i++) {
        for (int k = under; i == t->ellipsis && k > 0; k--)
            l.label[l.count++] = LETTERS + k - 1;
        if (i < t->count)
            l.label[l.count++] = t->letter[i];
    }
    return l;
}

/* Reads operand i's term and leaves *at behind its comma. */
static pleat_status read_operand(const char **at, int i, int count, const pleat_tensor *x, labels *l)
{
    term t;
    if (read_term(at, &t) != PLEAT_OK)
        return pleat_pending();
    const int under = x->shape.ndim - t.count;
    if (under < 0 || (under > 0 && t.ellipsis < 0))
        return pleat_fail(PLEAT_ESHAPE, "term %d of the equation has %d letters, operand %d is %s", i, t.count, i,
                          pleat_shape_text(x->shape).text);
    if ((**at == ',') != (i < count - 1))
        return pleat_fail(PLEAT_EINVAL, "the equation has %s terms than there are operands, %d",
                          **at == ',' ? "more" : "fewer", count);
    *at += **at == ',';
    *l = expanded(&t, t.ellipsis < 0 ? 0 : under);
    return PLEAT_OK;
}

static pleat_status note_sizes(plan *p, int i, const labels *l, const pleat_tensor *x)
{
    char text[MOST_TEXT];
    for (int d = 0; d < l->count; d++) {
        const int label = l->label[d], first = find(l, label);
        const int64_t n = x->shape.dim[d];
        int64_t *size = &p->size[label];
        if (x->shape.dim[first] != n || (*size >= 0 && *size != 1 && n != 1 && n != *size))
            return pleat_fail(PLEAT_ESHAPE, "%s has size %" PRId64 " in operand %d, %s, and %" PRId64 " before",
                              name_of(label, text), n, i, pleat_shape_text(x->shape).text,
                              x->shape.dim[first] != n ? x->shape.dim[first] : *size);
        if (*size < 0 || *size == 1)
            *size = n;
        p->last[label] = i;
        if (label >= LETTERS && label - LETTERS >= p->ellipsis)
            p->ellipsis = label - LETTERS + 1;
    }
    return PLEAT_OK;
}

/* The output's term, or without one: the ellipsis and every letter that occurs once. */
static pleat_status read_output(const char *at, const char *equation, plan *p)
{
    char text[MOST_TEXT];
    term t = { .ellipsis = 0 };
    if (at[0] == '-') {
        at += 2;
        if (read_term(&at, &t) != PLEAT_OK)
            return pleat_pending();
        if (*at != '\0')
            return pleat_fail(PLEAT_EINVAL, "the equation %s has more than one output", equation);
    } else
        for (int label = 0; label < LETTERS; label++) {
            const char *first = strchr(equation, letter_of(label));
            if (first && !strchr(first + 1, *first) && t.count < 2 * PLEAT_MAX_DIMS)
                t.letter[t.count++] = label;
        }
    if (t.count + (t.ellipsis < 0 ? 0 : p->ellipsis) > PLEAT_MAX_DIMS)
        return pleat_fail(PLEAT_ESHAPE, "the output has more than %d dimensions", PLEAT_MAX_DIMS);
    p->output = expanded(&t, t.ellipsis < 0 ? 0 : p->ellipsis);
    for (int label = 0; label < LABELS; label++)
        p->rank[label] = PLEAT_MAX_DIMS + label;
    for (int i = 0; i < p->output.count; i++) {
        const int label = p->output.label[i];
        if (p->size[label] < 0 || p->in_output[label])
            return pleat_fail(PLEAT_EINVAL, "%s of the output %s", name_of(label, text),
                              p->in_output[label] ? "is there twice" : "is in no operand");
        p->in_output[label] = true;
        p->rank[label] = i;
    }
    return PLEAT_OK;
}

/* ---- One operand ---- */

/* The dimensions in this order, then seen as shape. */
static pleat_tensor *arranged(pleat_tensor *t, pleat_dims order, pleat_shape shape)
{
    bool same = true;
    for (int d = 0; d < order.count; d++)
        same &= order.dim[d] == d;
    if (!same)
        t = pleat_permute(t, order);
    return t && !pleat_shape_equal(t->shape, shape) ? pleat_reshape(t, shape) : t;
}

/* The elements whose indices d and e are equal: every (n + 1)st of the two dimensions as one. */
static void take_diagonal(operand *o, int d, int e)
{
    const int64_t n = o->t->shape.dim[d];
    pleat_dims order = { 0 };
    pleat_shape shape = { 0 };
    labels of = { 0 };
    for (int k = 0; k < o->of.count; k++)
        if (k != d && k != e) {
            order.dim[order.count++] = k;
            shape.dim[shape.ndim++] = o->t->shape.dim[k];
            of.label[of.count++] = o->of.label[k];
        }
    order.dim[order.count++] = d;
    order.dim[order.count++] = e;
    shape.dim[shape.ndim++] = n * n;
    of.label[of.count++] = o->of.label[d];
    o->t = pleat_slice(arranged(o->t, order, shape), -1, 0, n * n, n + 1);
    o->of = of;
}

/* No label twice, and none of size 1 where another operand has more: those broadcast. */
static void simplify(operand *o, const plan *p)
{
    for (int d = 0; o->t && d < o->of.count; d++)
        for (int e = d + 1; o->t && e < o->of.count; e++)
            if (o->of.label[d] == o->of.label[e]) {
                take_diagonal(o, d, e);
                d = -1; /* from the front again */
                break;
            }
    labels of = { 0 };
    pleat_shape shape = { 0 };
    for (int d = 0; o->t && d < o->of.count; d++)
        if (o->t->shape.dim[d] == p->size[o->of.label[d]]) {
            shape.dim[shape.ndim++] = o->t->shape.dim[d];
            of.label[of.count++] = o->of.label[d];
        }
    if (o->t && of.count < o->of.count)
        o->t = pleat_reshape(o->t, shape);
    o->of = of;
}

/* Sums over the labels that `other` (may be NULL) does not have and nobody after operand i needs. */
static void sum_unneeded(operand *o, const operand *other, const plan *p, int i)
{
    pleat_dims gone = { 0 };
    labels of = { 0 };
    for (int d = 0; d < o->of.count; d++) {
        const int label = o->of.label[d];
        if ((other && find(&other->of, label) >= 0) || p->in_output[label] || p->last[label] > i)
            of.label[of.count++] = label;
        else
            gone.dim[gone.count++] = d;
    }
    if (gone.count > 0)
        o->t = pleat_sum_dims(o->t, gone, false);
    o->of = of;
}

/* ---- Two operands ---- */

static void sort_by_rank(labels *l, const plan *p)
{
    for (int i = 1; i < l->count; i++)
        for (int k = i; k > 0 && p->rank[l->label[k - 1]] > p->rank[l->label[k]]; k--) {
            const int label = l->label[k];
            l->label[k] = l->label[k - 1];
            l->label[k - 1] = label;
        }
}

static int64_t stride_of(const operand *o, int label)
{
    return o->t->stride[find(&o->of, label)];
}

/* Leaves in *alone as many of its last labels as o walks as one; those before go to *apart. */
static void split(const operand *o, const plan *p, labels *alone, labels *apart)
{
    int first = alone->count - 1;
    while (first > 0 &&
           stride_of(o, alone->label[first - 1]) == stride_of(o, alone->label[first]) * p->size[alone->label[first]])
        first--;
    for (int i = 0; i < first; i++)
        apart->label[apart->count++] = alone->label[i];
    for (int i = first; i < alone->count && first > 0; i++)
        alone->label[i - first] = alone->label[i];
    alone->count -= first > 0 ? first : 0;
}

/* Appends a dimension for each label: of its size where o has it, else of size 1. */
static void append(const operand *o, const plan *p, const labels *l, pleat_dims *order, pleat_shape *shape)
{
    for (int i = 0; i < l->count; i++) {
        const int d = find(&o->of, l->label[i]);
        if (d >= 0)
            order->dim[order->count++] = d;
        shape->dim[shape->ndim++] = d >= 0 ? p->size[l->label[i]] : 1;
    }
}

/* The same for all of them in one dimension. */
static void append_flat(const operand *o, const plan *p, const labels *l, pleat_dims *order, pleat_shape *shape)
{
    int64_t n = 1;
    for (int i = 0; i < l->count; i++) {
        order->dim[order->count++] = find(&o->of, l->label[i]);
        n *= p->size[l->label[i]];
    }
    shape->dim[shape->ndim++] = n;
}

/* Nothing is contracted: an elementwise product, broadcast. */
static operand outer_product(const operand *a, const operand *b, const plan *p)
{
    operand y = { .of = a->of };
    for (int d = 0; d < b->of.count; d++)
        if (find(&a->of, b->of.label[d]) < 0)
            y.of.label[y.of.count++] = b->of.label[d];
    sort_by_rank(&y.of, p);
    pleat_dims order[2] = { { 0 } };
    pleat_shape shape[2] = { { 0 } };
    append(a, p, &y.of, &order[0], &shape[0]);
    append(b, p, &y.of, &order[1], &shape[1]);
    y.t = pleat_mul(arranged(a->t, order[0], shape[0]), arranged(b->t, order[1], shape[1]));
    return y;
}

static operand matrix_product(const operand *a, const operand *b, const plan *p, const labels *batch, labels k)
{
    labels m = { 0 }, n = { 0 };
    int last_m = -1, last_n = -1;
    for (int d = 0; d < a->of.count; d++)
        if (find(&b->of, a->of.label[d]) < 0) {
            m.label[m.count++] = a->of.label[d];
            last_m = p->rank[a->of.label[d]] > last_m ? p->rank[a->of.label[d]] : last_m;
        }
    for (int d = 0; d < b->of.count; d++)
        if (find(&a->of, b->of.label[d]) < 0) {
            n.label[n.count++] = b->of.label[d];
            last_n = p->rank[b->of.label[d]] > last_n ? p->rank[b->of.label[d]] : last_n;
        }
    if (last_m > last_n)
        return matrix_product(b, a, p, batch, k);

    labels mb = { 0 }, nb = { 0 };
    sort_by_rank(&m, p);
    sort_by_rank(&n, p);
    split(a, p, &m, &mb);
    split(b, p, &n, &nb);
    for (int i = 1; i < k.count; i++) /* as it lies in the larger operand */
        for (int d = i; d > 0; d--) {
            const operand *o = a->t->numel > b->t->numel ? a : b;
            const int label = k.label[d];
            if (stride_of(o, k.label[d - 1]) >= stride_of(o, label))
                break;
            k.label[d] = k.label[d - 1];
            k.label[d - 1] = label;
        }
    operand y = { 0 };
    if (batch->count + mb.count + nb.count + 2 > PLEAT_MAX_DIMS) {
        pleat_fail(PLEAT_ESHAPE, "a product of %s and %s needs more than %d dimensions",
                   pleat_shape_text(a->t->shape).text, pleat_shape_text(b->t->shape).text, PLEAT_MAX_DIMS);
        return y;
    }
    pleat_dims order[2] = { { 0 } };
    pleat_shape shape[2] = { { 0 } }, full = { 0 };
    for (int i = 0; i < 2; i++) {
        append(i ? b : a, p, batch, &order[i], &shape[i]);
        append(i ? b : a, p, &mb, &order[i], &shape[i]);
        append(i ? b : a, p, &nb, &order[i], &shape[i]);
        append_flat(i ? b : a, p, i ? &k : &m, &order[i], &shape[i]);
        append_flat(i ? b : a, p, i ? &n : &k, &order[i], &shape[i]);
    }
    const labels *const parts[] = { batch, &mb, &nb, &m, &n };
    for (int i = 0; i < 5; i++)
        for (int d = 0; d < parts[i]->count; d++) {
            y.of.label[y.of.count++] = parts[i]->label[d];
            full.dim[full.ndim++] = p->size[parts[i]->label[d]];
        }
    y.t = pleat_matmul(arranged(a->t, order[0], shape[0]), arranged(b->t, order[1], shape[1]));
    if (y.t && !pleat_shape_equal(y.t->shape, full))
        y.t = pleat_reshape(y.t, full);
    return y;
}

/* a times b, which is operand i. */
static operand contract(operand a, operand b, const plan *p, int i)
{
    sum_unneeded(&a, &b, p, i);
    sum_unneeded(&b, &a, p, i);
    labels batch = { 0 }, k = { 0 };
    int all = b.of.count;
    for (int d = 0; d < a.of.count; d++) {
        const int label = a.of.label[d];
        labels *to = p->in_output[label] || p->last[label] > i ? &batch : &k;
        if (find(&b.of, label) >= 0)
            to->label[to->count++] = label;
        else
            all++;
    }
    if (all - k.count > PLEAT_MAX_DIMS)
        pleat_fail(PLEAT_ESHAPE, "what operands 0 to %d make has more than %d dimensions", i, PLEAT_MAX_DIMS);
    if (pleat_pending() != PLEAT_OK)
        return (operand){ .t = NULL };
    sort_by_rank(&batch, p);
    return k.count == 0 ? outer_product(&a, &b, p) : matrix_product(&a, &b, p, &batch, k);
}

/* ---- The function ---- */

static pleat_tensor *einsum(const char *equation, pleat_tensor *const *x, int count)
{
    plan p = { .ellipsis = 0 };
    labels l;
    const char *at = equation;
    for (int label = 0; label < LABELS; label++)
        p.size[label] = -1;
    for (int i = 0; i < count; i++) {
        if (x[i]->dtype != x[0]->dtype)
            pleat_fail(PLEAT_EDTYPE, "operand %d is %s, operand 0 %s", i, pleat_dtype_name(x[i]->dtype),
                       pleat_dtype_name(x[0]->dtype));
        if (pleat_pending() != PLEAT_OK || read_operand(&at, i, count, x[i], &l) != PLEAT_OK ||
            note_sizes(&p, i, &l, x[i]) != PLEAT_OK)
            return NULL;
    }
    if (read_output(at, equation, &p) != PLEAT_OK)
        return NULL;
    at = equation;
    operand y = { 0 };
    for (int i = 0; i < count && (i == 0 || y.t); i++) {
        operand next = { .t = x[i] };
        read_operand(&at, i, count, x[i], &next.of);
        simplify(&next, &p);
        y = i == 0 ? next : next.t ? contract(y, next, &p, i) : next;
    }
    if (y.t)
        sum_unneeded(&y, NULL, &p, count);
    if (!y.t)
        return NULL;
    pleat_dims order = { 0 };
    pleat_shape shape = { 0 };
    append(&y, &p, &p.output, &order, &shape);
    return arranged(y.t, order, shape);
}

pleat_tensor *pleat_einsum(const char *equation, pleat_tensor *const *x, int count)
{
    const char *context;
    if (!pleat_enter_list("einsum", x, count, &context))
        return pleat_leave(context, NULL);
    if (!equation) {
        pleat_fail(PLEAT_EINVAL, "the equation is NULL");
        return pleat_leave(context, NULL);
    }
    const pleat_scope scope = pleat_scope_begin();
    return pleat_leave(context,
                       pleat_scope_return(scope, pleat_pending() == PLEAT_OK ? einsum(equation, x, count) : NULL));
}
