/* einsum against one loop over all letters; its gradients; what it refuses. */
#include "support/run.h"
#include "support/threads.h"
#include "support/views.h"

#include <pleat/op.h>

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define LIST(...) ((pleat_tensor *[]){ __VA_ARGS__ })

/* One loop over every combination of the letters of an explicit equation without an ellipsis. */
static void compare(const char *equation, pleat_tensor **x, int count)
{
    char term[8][16] = { "" }, letters[32] = "";
    int64_t size[128], at[128] = { 0 };
    int terms = 0;
    for (const char *c = equation; *c; c++)
        if (*c == ',')
            terms++;
        else if (*c == '>')
            terms = 7; /* the output */
        else if (isalpha((unsigned char)*c)) {
            term[terms][strlen(term[terms])] = *c;
            if (!strchr(letters, *c)) {
                letters[strlen(letters)] = *c;
                size[(int)*c] = 1;
            }
        }
    pleat_shape shape = { 0 };
    for (int i = 0; i < count; i++)
        for (int d = 0; term[i][d]; d++)
            if (pleat_size(x[i], d) != 1)
                size[(int)term[i][d]] = pleat_size(x[i], d);
    for (; term[7][shape.ndim]; shape.ndim++)
        shape.dim[shape.ndim] = size[(int)term[7][shape.ndim]];
    pleat_tensor *want = pleat_zeros(shape, PLEAT_F64), *got = pleat_einsum(equation, x, count);
    ck_assert_msg(got != NULL, "%s", pleat_error());
    ck_assert_msg(pleat_shape_equal(pleat_shape_of(got), shape), "%s: %s, not %s", equation,
                  pleat_shape_text(pleat_shape_of(got)).text, pleat_shape_text(shape).text);
    double *sum = pleat_data_mut(want);
    int64_t all = 1;
    for (const char *l = letters; *l; l++)
        all *= size[(int)*l];
    for (int64_t n = 0; n < all; n++) {
        int64_t rest = n, place = 0;
        for (const char *l = letters; *l; l++) {
            at[(int)*l] = rest % size[(int)*l];
            rest /= size[(int)*l];
        }
        double product = 1;
        for (int i = 0; i < count; i++) {
            int64_t index[PLEAT_MAX_DIMS] = { 0 };
            for (int d = 0; term[i][d]; d++)
                index[d] = pleat_size(x[i], d) == 1 ? 0 : at[(int)term[i][d]];
            product *= pleat_at(x[i], index);
        }
        for (int d = 0; d < shape.ndim; d++)
            place = place * shape.dim[d] + at[(int)term[7][d]];
        sum[place] += product;
    }
    pleat_tensor *close = pleat_cast(pleat_contiguous(got), PLEAT_F64);
    const double tolerance = pleat_dtype_of(got) == PLEAT_F32 ? 1e-4 : 1e-12;
    ck_assert_msg(pleat_allclose(close, want, tolerance, tolerance), "%s", equation);
}

static const char *const equations[] = {
    "i->",
    "i->i",
    "ij->ji",
    "ij->j",
    "ii->i",
    "ii->",
    "iij->ji",
    "ijij->ij",
    "iijj->ij",
    "iii->i",
    "i,i->",
    "i,j->ij",
    "i,j->ji",
    "ij,jk->ik",
    "ij,jk->ki",
    "ij,kj->ik",
    "ij,jk->",
    "ij,ij->ij",
    "ij,ij->i",
    "ij,ij->ji",
    "bij,bjk->bik",
    "bij,bjk->kib",
    "bip,oi->bop",
    "bip,io->bop",
    "bip,oi->obp",
    "bip,oi->pbo",
    "bpi,io->bpo",
    "nchw,oc->nohw",
    "nchw,nchw->c",
    "bhid,bhjd->bhij",
    "bhij,bhjd->bihd",
    "ij,jk,kl->il",
    "ij,jk,kl->lji",
    "i,j,k->kji",
    "ij,k->k",
    "ik,jk,lk->ijlk",
    "abcd,dcba->",
    "abcd,cdef->abef",
    "abcd,cdef->fbea",
    "abc,dbe->cade",
    "iij,jk,k->i",
    "abcdefgh,h->abcdefg",
};
enum { EQUATIONS = sizeof equations / sizeof *equations };

static int64_t size_of(char letter)
{
    return 2 + (letter * 7) % 3;
}

/* The operands, of sizes that the letters decide, as views of a kind. */
static int operands(const char *equation, pleat_dtype dtype, int kind, pleat_tensor **x)
{
    int count = 0;
    pleat_shape shape = { 0 };
    for (const char *c = equation;; c++)
        if (*c == ',' || *c == '-') {
            x[count++] = random_view(shape, dtype, kind);
            shape.ndim = 0;
            if (*c == '-')
                return count;
        } else
            shape.dim[shape.ndim++] = size_of(*c);
}

START_TEST(against_one_loop)
{
    pleat_seed(1);
    for (int i = 0; i < EQUATIONS; i++)
        for (int kind = 0; kind < VIEW_KINDS; kind++)
            for (int dtype = PLEAT_F32; dtype <= PLEAT_F64; dtype++) {
                const pleat_scope scope = pleat_scope_begin();
                pleat_tensor *x[4];
                compare(equations[i], x, operands(equations[i], (pleat_dtype)dtype, kind, x));
                pleat_scope_end(scope);
            }
    pleat_tensor *one = pleat_randn(PLEAT_SHAPE(1, 3), PLEAT_F64), *many = pleat_randn(PLEAT_SHAPE(4, 1), PLEAT_F64);
    compare("ij,ij->ij", LIST(one, many), 2); /* sizes of 1 broadcast */
    compare("ij,ij->", LIST(one, many), 2);
    compare("ij,ij,ij->j", LIST(many, one, many), 3);
    compare("ij,jk->ik", LIST(pleat_zeros(PLEAT_SHAPE(2, 0), PLEAT_F64), pleat_zeros(PLEAT_SHAPE(0, 3), PLEAT_F64)), 2);
    compare("ij,jk->ik", LIST(pleat_zeros(PLEAT_SHAPE(0, 2), PLEAT_F64), pleat_ones(PLEAT_SHAPE(2, 3), PLEAT_F64)), 2);
}
END_TEST

static pleat_tensor *checked(pleat_tensor *const *in, void *user)
{
    pleat_tensor *x[4];
    for (int i = 0; i < 4; i++)
        x[i] = in[i];
    return pleat_einsum(((const char **)user)[0], x, ((char **)user)[1][0] - '0');
}

START_TEST(gradients)
{
    pleat_seed(2);
    for (int i = 0; i < EQUATIONS - 1; i++) {
        const pleat_scope scope = pleat_scope_begin();
        pleat_tensor *x[4] = { NULL };
        const int count = operands(equations[i], PLEAT_F64, 0, x);
        for (int k = 0; k < count; k++)
            pleat_set_requires_grad(x[k], true);
        const char number[] = { (char)('0' + count), 0 }, *user[] = { equations[i], number };
        const pleat_gradcheck_opts fast = { .fast = true, .allow_zero = true };
        ck_assert_msg(pleat_gradcheck(checked, user, x, count, &fast) == PLEAT_OK, "%s: %s", equations[i],
                      pleat_error());
        ck_assert_msg(pleat_gradgradcheck(checked, user, x, count, &fast) == PLEAT_OK, "%s: %s", equations[i],
                      pleat_error());
        pleat_scope_end(scope);
    }
}
END_TEST

START_TEST(implicit_output_and_ellipsis)
{
    pleat_seed(3);
    pleat_tensor *a = pleat_randn(PLEAT_SHAPE(2, 3), PLEAT_F64), *b = pleat_randn(PLEAT_SHAPE(3, 2), PLEAT_F64);
    pleat_tensor *c = pleat_randn(PLEAT_SHAPE(4, 1, 2, 3), PLEAT_F64);
    ck_assert(pleat_equal(pleat_einsum("ba", LIST(a), 1), pleat_einsum("ba->ab", LIST(a), 1)));
    ck_assert(pleat_equal(pleat_einsum("bA", LIST(a), 1), pleat_einsum("bA->Ab", LIST(a), 1)));
    ck_assert(pleat_equal(pleat_einsum(" i j , j k ", LIST(a, b), 2), pleat_matmul(a, b)));
    ck_assert(pleat_allclose(pleat_einsum("ij,ji", LIST(a, b), 2), pleat_sum(pleat_mul(a, pleat_transpose(b, 0, 1))),
                             1e-14, 0));
    pleat_tensor *y = pleat_einsum("...ij,...jk->...ik", LIST(c, b), 2);
    ck_assert(pleat_shape_equal(pleat_shape_of(y), PLEAT_SHAPE(4, 1, 2, 2)));
    ck_assert(pleat_allclose(y, pleat_matmul(c, b), 1e-14, 0));
    y = pleat_einsum("...j,...j", LIST(c, a), 2); /* (4, 1, 2) with (2) under the ellipsis */
    ck_assert(pleat_allclose(y, pleat_sum_dims(pleat_mul(c, a), PLEAT_DIMS(-1), false), 1e-14, 0));
    ck_assert(
        pleat_allclose(pleat_einsum("...j->j", LIST(c), 1), pleat_sum_dims(c, PLEAT_DIMS(0, 1, 2), false), 1e-14, 0));
    ck_assert(pleat_allclose(pleat_einsum("i...->...", LIST(a), 1), pleat_sum_dims(a, PLEAT_DIMS(0), false), 1e-14, 0));
    ck_assert(pleat_equal(pleat_einsum("...", LIST(a), 1), a));
    ck_assert(pleat_equal(pleat_einsum("", LIST(pleat_scalar(2, PLEAT_F64)), 1), pleat_scalar(2, PLEAT_F64)));
}
END_TEST

/* The products that the name promises are views and one matmul: no copy of an operand. */
START_TEST(products_copy_nothing)
{
    pleat_tensor *x = pleat_randn(PLEAT_SHAPE(8, 16, 64), PLEAT_F32), *w = pleat_randn(PLEAT_SHAPE(24, 16), PLEAT_F32);
    const char *const same[] = { "bip,oi->bop", "oi,bip->bop" };
    for (int i = 0; i < 2; i++) {
        pleat_memory_reset_peak();
        const int64_t before = pleat_memory_stats().peak_bytes;
        pleat_tensor *y = pleat_einsum(same[i], i ? LIST(w, x) : LIST(x, w), 2);
        const int64_t own = 8 * 24 * 64 * 4;
        ck_assert(pleat_is_contiguous(y));
        ck_assert_int_lt(pleat_memory_stats().live_bytes - before, own + 8 * 1024);
    }
}
END_TEST

static pleat_tensor *product(void *user)
{
    pleat_tensor *const *x = user;
    return pleat_einsum("bip,oi->bop", x, 2);
}

START_TEST(any_threads)
{
    pleat_seed(4);
    same_for_any_threads(
        product, LIST(pleat_randn(PLEAT_SHAPE(3, 70, 90), PLEAT_F32), pleat_randn(PLEAT_SHAPE(80, 70), PLEAT_F32)));
}
END_TEST

START_TEST(refusals)
{
    pleat_tensor *a = pleat_zeros(PLEAT_SHAPE(2, 3), PLEAT_F32), *d = pleat_zeros(PLEAT_SHAPE(2, 3), PLEAT_F64);
    static const struct {
        const char *equation, *words;
        int count;
        pleat_status code;
    } bad[] = {
        { "ij,kl,mn->ik", "einsum: the equation has more terms than there are operands, 2", 2, PLEAT_EINVAL },
        { "ij->ij", "fewer terms", 2, PLEAT_EINVAL },
        { "i->i", "term 0 of the equation has 1 letters, operand 0 is (2, 3)", 1, PLEAT_ESHAPE },
        { "ijk->i", "has 3 letters", 1, PLEAT_ESHAPE },
        { "ijk...->i", "has 3 letters", 1, PLEAT_ESHAPE },
        { "ij,jk->ik", "'j' has size 2 in operand 1, (2, 3), and 3 before", 2, PLEAT_ESHAPE },
        { "ii->i", "'i' has size 3 in operand 0", 1, PLEAT_ESHAPE },
        { "...,j...->j", "... has size 3 in operand 1", 2, PLEAT_ESHAPE },
        { "ij->ik", "'k' of the output is in no operand", 1, PLEAT_EINVAL },
        { "ij->ii", "'i' of the output is there twice", 1, PLEAT_EINVAL },
        { "ij->i->j", "more than one output", 1, PLEAT_EINVAL },
        { "ij->i,j", "more than one output", 1, PLEAT_EINVAL },
        { "i1->i", "the equation has '1'", 1, PLEAT_EINVAL },
        { "ij-i", "the equation has '-'", 1, PLEAT_EINVAL },
        { "i..j", "the equation has '.'", 1, PLEAT_EINVAL },
        { "......", "the equation has '.'", 1, PLEAT_EINVAL },
        { "abcdefghijklmnopqrstuvw", "too many letters", 1, PLEAT_EINVAL },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ck_assert_msg(
            !pleat_einsum(bad[i].equation, LIST(i == 7 ? pleat_zeros(PLEAT_SHAPE(2), PLEAT_F32) : a, a), bad[i].count),
            "%s", bad[i].equation);
        ck_assert_failed(bad[i].code, bad[i].words);
    }
    ck_assert_ptr_null(pleat_einsum("ij,ij->i", LIST(a, d), 2));
    ck_assert_failed(PLEAT_EDTYPE, "einsum: operand 1 is float64, operand 0 float32");
    ck_assert_ptr_null(pleat_einsum(NULL, LIST(a), 1));
    ck_assert_failed(PLEAT_EINVAL, "einsum: the equation is NULL");
    ck_assert_ptr_null(pleat_einsum("ij", LIST(NULL), 1));
    ck_assert_failed(PLEAT_EINVAL, "einsum: input 0 is NULL");
    ck_assert_ptr_null(pleat_einsum("ij", LIST(a), 0));
    ck_assert_failed(PLEAT_EINVAL, "einsum: at least one tensor");
    pleat_tensor *deep = pleat_zeros(PLEAT_SHAPE(1, 1, 1, 1, 1), PLEAT_F32);
    ck_assert_ptr_null(pleat_einsum("abcde,fghij->abcdefghij", LIST(deep, deep), 2));
    ck_assert_failed(PLEAT_ESHAPE, "the output has more than 8 dimensions");
    ck_assert_ptr_null(pleat_einsum("abcde,fghij,abcde->fghij", LIST(deep, deep, deep), 3));
    ck_assert_failed(PLEAT_ESHAPE, "what operands 0 to 1 make has more than 8 dimensions");
}
END_TEST

RUN_TESTS("einsum", against_one_loop, gradients, implicit_output_and_ellipsis, products_copy_nothing, any_threads,
          refusals)
