/* The library's differentiable ops. Where nothing else is said they take float32 or float64, any strides, empty and
 * zero-dimensional tensors, and can be differentiated as often as wanted; results are borrowed from the innermost
 * scope, NULL is an error. Binary ops broadcast as NumPy does; dtypes are never promoted, mixing them is an error. */
#ifndef PLEAT_OPS_H
#define PLEAT_OPS_H

#include <pleat/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Elementwise ---- */

PLEAT_API pleat_tensor *pleat_add(pleat_tensor *a, pleat_tensor *b);
PLEAT_API pleat_tensor *pleat_sub(pleat_tensor *a, pleat_tensor *b);
PLEAT_API pleat_tensor *pleat_mul(pleat_tensor *a, pleat_tensor *b);
PLEAT_API pleat_tensor *pleat_div(pleat_tensor *a, pleat_tensor *b);
PLEAT_API pleat_tensor *pleat_affine(pleat_tensor *x, double scale, double shift); /* scale * x + shift */
PLEAT_API pleat_tensor *pleat_add_scalar(pleat_tensor *x, double value);           /* affine(x, 1, value) */
PLEAT_API pleat_tensor *pleat_mul_scalar(pleat_tensor *x, double value);           /* affine(x, value, 0) */
PLEAT_API pleat_tensor *pleat_neg(pleat_tensor *x);
PLEAT_API pleat_tensor *pleat_exp(pleat_tensor *x);
PLEAT_API pleat_tensor *pleat_log(pleat_tensor *x);
PLEAT_API pleat_tensor *pleat_sqrt(pleat_tensor *x);
PLEAT_API pleat_tensor *pleat_pow(pleat_tensor *x, double exponent); /* the gradient at exponent 0 is 0 everywhere */
/* min(max(x, low), high); gradient 1 where low < x < high, else 0. Infinities are bounds like any. low <= high. */
PLEAT_API pleat_tensor *pleat_clamp(pleat_tensor *x, double low, double high);
PLEAT_API pleat_tensor *pleat_relu(pleat_tensor *x); /* gradient 0 at 0 */
/* relu(a + b) in one pass over memory, forward and backward: what a residual block ends with. */
PLEAT_API pleat_tensor *pleat_add_relu(pleat_tensor *a, pleat_tensor *b);

PLEAT_API pleat_tensor *pleat_square(pleat_tensor *x);     /* pow(x, 2) */
PLEAT_API pleat_tensor *pleat_reciprocal(pleat_tensor *x); /* pow(x, -1) */
PLEAT_API pleat_tensor *pleat_rsqrt(pleat_tensor *x);      /* 1 / sqrt(x) */
PLEAT_API pleat_tensor *pleat_abs(pleat_tensor *x);        /* gradient 0 at 0 */
PLEAT_API pleat_tensor *pleat_sign(pleat_tensor *x);       /* -1, 0 or 1; of NaN 0. Gradient 0, as of the next two */
PLEAT_API pleat_tensor *pleat_floor(pleat_tensor *x);
PLEAT_API pleat_tensor *pleat_round(pleat_tensor *x); /* half to even */
PLEAT_API pleat_tensor *pleat_sin(pleat_tensor *x);
PLEAT_API pleat_tensor *pleat_cos(pleat_tensor *x);
PLEAT_API pleat_tensor *pleat_erf(pleat_tensor *x);
/* The larger, the smaller of the two; NaN where one is NaN. Where they are equal each gets half of the gradient. */
PLEAT_API pleat_tensor *pleat_maximum(pleat_tensor *a, pleat_tensor *b);
PLEAT_API pleat_tensor *pleat_minimum(pleat_tensor *a, pleat_tensor *b);

/* Comparisons, broadcast: uint8, 1 where true. Any dtype, the same for both; no gradient. NaN equals nothing. */
PLEAT_API pleat_tensor *pleat_eq(pleat_tensor *a, pleat_tensor *b);
PLEAT_API pleat_tensor *pleat_ne(pleat_tensor *a, pleat_tensor *b);
PLEAT_API pleat_tensor *pleat_lt(pleat_tensor *a, pleat_tensor *b);
PLEAT_API pleat_tensor *pleat_le(pleat_tensor *a, pleat_tensor *b);
PLEAT_API pleat_tensor *pleat_gt(pleat_tensor *a, pleat_tensor *b);
PLEAT_API pleat_tensor *pleat_ge(pleat_tensor *a, pleat_tensor *b);
/* a where condition, uint8, is not 0, else b; all three broadcast. a and b of any dtype, the same for both. */
PLEAT_API pleat_tensor *pleat_where(pleat_tensor *condition, pleat_tensor *a, pleat_tensor *b);

/* ---- Activations, as PyTorch defines them ---- */

PLEAT_API pleat_tensor *pleat_leaky_relu(pleat_tensor *x, double slope); /* x where x > 0, else slope x */
/* x where x > 0, else weight x: weight of one element, or (C) for x (N, C, ...). */
PLEAT_API pleat_tensor *pleat_prelu(pleat_tensor *x, pleat_tensor *weight);
PLEAT_API pleat_tensor *pleat_elu(pleat_tensor *x, double alpha); /* x where x > 0, else alpha (exp(x) - 1) */
/* 1.0507 elu(x, 1.6733), the constants to all their digits. Klambauer et al.: Self-normalizing networks, 2017. */
PLEAT_API pleat_tensor *pleat_selu(pleat_tensor *x);
PLEAT_API pleat_tensor *pleat_sigmoid(pleat_tensor *x); /* 1 / (1 + exp(-x)) */
PLEAT_API pleat_tensor *pleat_tanh(pleat_tensor *x);
PLEAT_API pleat_tensor *pleat_silu(pleat_tensor *x); /* x sigmoid(x), also known as swish */
/* x P(X <= x) of a normal X. Hendrycks, Gimpel: Gaussian error linear units, 2016; gelu_tanh is their approximation,
 * x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))). */
PLEAT_API pleat_tensor *pleat_gelu(pleat_tensor *x);
PLEAT_API pleat_tensor *pleat_gelu_tanh(pleat_tensor *x);
PLEAT_API pleat_tensor *pleat_mish(pleat_tensor *x); /* x tanh(softplus(x)). Misra: Mish, 2019 */

typedef struct {
    double beta;      /* 0: 1 */
    double threshold; /* 0: 20 */
} pleat_softplus_opts;

/* log(1 + exp(beta x)) / beta; x itself where beta x > threshold. */
PLEAT_API pleat_tensor *pleat_softplus(pleat_tensor *x, const pleat_softplus_opts *opts);
PLEAT_API pleat_tensor *pleat_logsigmoid(pleat_tensor *x);                        /* log(sigmoid(x)) */
PLEAT_API pleat_tensor *pleat_softsign(pleat_tensor *x);                          /* x / (1 + |x|) */
PLEAT_API pleat_tensor *pleat_hardtanh(pleat_tensor *x, double low, double high); /* clamp, but gradient 1 at NaN */
PLEAT_API pleat_tensor *pleat_hardsigmoid(pleat_tensor *x);                       /* clamp(x + 3, 0, 6) / 6 */
PLEAT_API pleat_tensor *pleat_hardswish(pleat_tensor *x);                         /* x hardsigmoid(x) */

/* ---- Conversions and copies ---- */

/* x in another dtype; differentiable between the floating types. Returns x itself where it has the dtype. */
PLEAT_API pleat_tensor *pleat_cast(pleat_tensor *x, pleat_dtype dtype);
/* A contiguous copy, with its history. */
PLEAT_API pleat_tensor *pleat_clone(pleat_tensor *x);
/* x itself where it is contiguous, else a clone. */
PLEAT_API pleat_tensor *pleat_contiguous(pleat_tensor *x);

/* ---- Views: results share x's storage (reshape and flatten copy where the strides allow no view). Any dtype. ---- */

PLEAT_API pleat_tensor *pleat_reshape(pleat_tensor *x, pleat_shape shape); /* one size may be -1: what is left */
PLEAT_API pleat_tensor *pleat_permute(pleat_tensor *x, pleat_dims order);
PLEAT_API pleat_tensor *pleat_transpose(pleat_tensor *x, int a, int b);
PLEAT_API pleat_tensor *pleat_narrow(pleat_tensor *x, int dim, int64_t start, int64_t length);
/* x[start:stop:step] along dim, step above 0; negative start and stop count from the end, and both are clipped. */
PLEAT_API pleat_tensor *pleat_slice(pleat_tensor *x, int dim, int64_t start, int64_t stop, int64_t step);
PLEAT_API pleat_tensor *pleat_select(pleat_tensor *x, int dim, int64_t index); /* the dimension goes */
PLEAT_API pleat_tensor *pleat_squeeze(pleat_tensor *x, int dim);               /* drops dim where its size is 1 */
PLEAT_API pleat_tensor *pleat_squeeze_all(pleat_tensor *x);                    /* drops every dimension of size 1 */
PLEAT_API pleat_tensor *pleat_unsqueeze(pleat_tensor *x, int dim); /* a dimension of size 1 before dim; 0 .. ndim */
PLEAT_API pleat_tensor *pleat_flatten(pleat_tensor *x, int first, int last);
PLEAT_API pleat_tensor *pleat_expand(pleat_tensor *x, pleat_shape shape); /* -1 keeps a size; stride 0 where it grows */

/* ---- Move: elements to other places. Any dtype where nothing else is said; indices are int64. ---- */

/* The inputs one after the other along dim, copied. Their shapes are equal but for dim; one of shape (0,) fits anywhere
 * and adds nothing. At least one input; none without a dimension. torch.cat. */
PLEAT_API pleat_tensor *pleat_cat(pleat_tensor *const *x, int count, int dim);
/* The inputs, all of one shape, along a new dimension before dim (0 to ndim). */
PLEAT_API pleat_tensor *pleat_stack(pleat_tensor *const *x, int count, int dim);
/* Views of x, parts[i] with sizes[i] places of dim, in order; the sizes add up to the dimension. */
PLEAT_API pleat_status pleat_split(pleat_tensor *x, const int64_t *sizes, int count, int dim, pleat_tensor **parts);
/* Views with ceil(size / chunks) places of dim each, the last with what is left. Returns how many there are: chunks, or
 * fewer where that is enough; 0 is an error. torch.chunk. */
PLEAT_API int pleat_chunk(pleat_tensor *x, int chunks, int dim, pleat_tensor **parts);

typedef enum {
    PLEAT_PAD_CONSTANT,
    PLEAT_PAD_REFLECT,   /* d c b | a b c d | c b a: by less than the size */
    PLEAT_PAD_REPLICATE, /* a a a | a b c d | d d d */
    PLEAT_PAD_CIRCULAR   /* b c d | a b c d | a b c: by the size at most */
} pleat_pad_mode;

typedef struct {
    pleat_pad_mode mode;
    double value; /* with PLEAT_PAD_CONSTANT */
} pleat_pad_opts;

/* More places around x, or with negative numbers fewer. pads: before and behind the last dimension, then the one before
 * it, and so on; count of them, twice the number of dimensions at most. torch.nn.functional.pad, for any number of
 * dimensions in every mode. opts may be NULL. */
PLEAT_API pleat_tensor *pleat_pad(pleat_tensor *x, const int64_t *pads, int count, const pleat_pad_opts *opts);
/* x times[d] times along each dimension d; with more times than dimensions they begin before the first. numpy.tile. */
PLEAT_API pleat_tensor *pleat_repeat(pleat_tensor *x, pleat_shape times);
/* Reverse order along dims; PLEAT_DIMS() is all of them. */
PLEAT_API pleat_tensor *pleat_flip(pleat_tensor *x, pleat_dims dims);
/* y[i + shift] = x[i] along each of dims, what leaves at the end coming back at the front. A shift for each dimension;
 * with PLEAT_DIMS() one, and x is rolled as if it were flat. */
PLEAT_API pleat_tensor *pleat_roll(pleat_tensor *x, pleat_shape shifts, pleat_dims dims);

/* y[i][j][k] = x[i][index[i][j][k]][k], here for dim = 1. index has as many dimensions as x and, but for dim, is
 * nowhere larger; y has its shape. Every index is in [0, size of dim): an error names the first that is not.
 * torch.gather. */
PLEAT_API pleat_tensor *pleat_gather(pleat_tensor *x, int dim, pleat_tensor *index);
/* A copy of x with y[i][index[i][j][k]][k] = src[i][j][k] (dim = 1). Where an index occurs twice the later element is
 * the one that stays, and the one that has a gradient. index is nowhere larger than src, and but for dim than x. */
PLEAT_API pleat_tensor *pleat_scatter(pleat_tensor *x, int dim, pleat_tensor *index, pleat_tensor *src);
/* The same with +=, in the order of index: gather's adjoint. The same bits for any number of threads. */
PLEAT_API pleat_tensor *pleat_scatter_add(pleat_tensor *x, int dim, pleat_tensor *index, pleat_tensor *src);
/* The same with *=: each place of x times all the elements that index sends there. float32 or float64; a zero among the
 * factors has its right gradient. */
PLEAT_API pleat_tensor *pleat_scatter_multiply(pleat_tensor *x, int dim, pleat_tensor *index, pleat_tensor *src);
/* The places of dim that index (one dimension, or none) names, in its order. */
PLEAT_API pleat_tensor *pleat_index_select(pleat_tensor *x, int dim, pleat_tensor *index);
/* A copy of x, to whose places of dim that index names src's are added in order: index_select's adjoint. */
PLEAT_API pleat_tensor *pleat_index_add(pleat_tensor *x, int dim, pleat_tensor *index, pleat_tensor *src);
typedef struct {
    bool padding;          /* the row padding_index stands for padding: it gets no gradient */
    int64_t padding_index; /* negative from the end */
} pleat_embedding_opts;

/* The rows of weight (rows, features) that index (...) names: (..., features). opts may be NULL.
 * torch.nn.functional.embedding. */
PLEAT_API pleat_tensor *pleat_embedding(pleat_tensor *index, pleat_tensor *weight, const pleat_embedding_opts *opts);
/* index (...) -> (..., classes) of dtype: 1 at the class, else 0. */
PLEAT_API pleat_tensor *pleat_one_hot(pleat_tensor *index, int64_t classes, pleat_dtype dtype);

/* The k largest (or smallest) elements along dim, in order, and their places (int64); either pointer may be NULL. Equal
 * elements come in the order of their places; NaN is larger than all. Differentiable in the values. */
PLEAT_API pleat_status pleat_topk(pleat_tensor *x, int64_t k, int dim, bool largest, pleat_tensor **values,
                                  pleat_tensor **indices);
/* All of them, in order: stable. */
PLEAT_API pleat_status pleat_sort(pleat_tensor *x, int dim, bool descending, pleat_tensor **values,
                                  pleat_tensor **indices);
/* y[i] = x[0] + ... + x[i] along dim; not uint8. float32 is summed in float64. */
PLEAT_API pleat_tensor *pleat_cumsum(pleat_tensor *x, int dim);

typedef enum {
    PLEAT_NEAREST,
    PLEAT_BILINEAR,
    PLEAT_BICUBIC,
    PLEAT_AREA /* averages of boxes: adaptive_avg_pool2d */
} pleat_interpolation;

typedef struct {
    pleat_interpolation mode;
    pleat_hw size; /* of the result; or, where it is {0, 0}, by: */
    struct {
        double h, w;
    } scale;            /* size = floor(scale * size of x); steps between places are then 1 / scale */
    bool align_corners; /* the corners' centres stay where they are, not the corners; for bilinear and bicubic */
} pleat_interpolate_opts;

/* The image at another size: x (N, C, H, W), float32 or float64; or (N, C, W), with only the w of size and scale, and
 * not bicubic. torch.nn.functional.interpolate, without antialiasing; volumes (N, C, D, H, W) are not for this library.
 */
PLEAT_API pleat_tensor *pleat_interpolate(pleat_tensor *x, const pleat_interpolate_opts *opts);

/* (..., C r r, H, W) -> (..., C, H r, W r): y[c, h r + i, w r + j] = x[(c r + i) r + j, h, w]. Shi and others:
 * Real-Time Single Image and Video Super-Resolution, CVPR 2016. */
PLEAT_API pleat_tensor *pleat_pixel_shuffle(pleat_tensor *x, int64_t factor);
PLEAT_API pleat_tensor *pleat_pixel_unshuffle(pleat_tensor *x, int64_t factor); /* the way back */

/* ---- Reductions ---- */

PLEAT_API pleat_tensor *pleat_sum(pleat_tensor *x);  /* over everything; no dimension left */
PLEAT_API pleat_tensor *pleat_mean(pleat_tensor *x); /* of nothing: NaN */
PLEAT_API pleat_tensor *pleat_sum_dims(pleat_tensor *x, pleat_dims dims, bool keepdim);
PLEAT_API pleat_tensor *pleat_mean_dims(pleat_tensor *x, pleat_dims dims, bool keepdim);
/* The largest, the smallest over dims (float32, float64, int64); NaN where there is one; equal ones share the gradient.
 * Of no element there is none: an error. torch.amax. */
PLEAT_API pleat_tensor *pleat_amax(pleat_tensor *x, pleat_dims dims, bool keepdim);
PLEAT_API pleat_tensor *pleat_amin(pleat_tensor *x, pleat_dims dims, bool keepdim);
/* Where along dim, or in x read row by row, the first of the largest (smallest) is: int64. */
PLEAT_API pleat_tensor *pleat_argmax(pleat_tensor *x, int dim, bool keepdim);
PLEAT_API pleat_tensor *pleat_argmin(pleat_tensor *x, int dim, bool keepdim);
PLEAT_API pleat_tensor *pleat_argmax_all(pleat_tensor *x);
PLEAT_API pleat_tensor *pleat_argmin_all(pleat_tensor *x);
/* Both along dim; either pointer may be NULL. The first of equals has the gradient. torch.max(x, dim). */
PLEAT_API pleat_status pleat_max(pleat_tensor *x, int dim, bool keepdim, pleat_tensor **values, pleat_tensor **indices);
PLEAT_API pleat_status pleat_min(pleat_tensor *x, int dim, bool keepdim, pleat_tensor **values, pleat_tensor **indices);
/* The product (float32, float64, int64); of nothing 1. Zeros have their right gradient. */
PLEAT_API pleat_tensor *pleat_prod(pleat_tensor *x, pleat_dims dims, bool keepdim);
/* sum (x - mean)^2 / (n - correction): correction 1 is the unbiased one, PyTorch's default; and its root. n -
 * correction of 0 or less divides by 0. */
PLEAT_API pleat_tensor *pleat_var(pleat_tensor *x, pleat_dims dims, double correction, bool keepdim);
PLEAT_API pleat_tensor *pleat_std(pleat_tensor *x, pleat_dims dims, double correction, bool keepdim);
/* (sum |x|^p)^(1/p); p infinite: the largest |x|, -infinite: the smallest, 0: how many are not 0. The gradient where
 * the norm is 0 is 0. */
PLEAT_API pleat_tensor *pleat_norm(pleat_tensor *x, double p, pleat_dims dims, bool keepdim);
/* log(sum exp(x)), without overflow; of nothing -infinity. */
PLEAT_API pleat_tensor *pleat_logsumexp(pleat_tensor *x, pleat_dims dims, bool keepdim);
/* The adjoint of broadcasting: sums x to shape, which must broadcast to x's. */
PLEAT_API pleat_tensor *pleat_sum_to(pleat_tensor *x, pleat_shape shape);

/* ---- Products ---- */

/* NumPy's and PyTorch's matmul: 1-D to N-D, leading dimensions broadcast, transposed views without copies. */
PLEAT_API pleat_tensor *pleat_matmul(pleat_tensor *a, pleat_tensor *b);
/* Sums of products by letters: einsum("bij,bjk->bik", x, 2) is a batch of matrix products. The equation has a term for
 * each tensor, with a letter for each of its dimensions; "..." stands for those that remain, and they broadcast, as do
 * sizes of 1. Without "->" the output has "..." and the letters that occur once, in the order of ASCII; letters that it
 * does not have are summed over. A letter twice in a term means the diagonal. Blanks do not count. The tensors are
 * multiplied from left to right, by pleat_matmul wherever something is summed. The result may be a view. */
PLEAT_API pleat_tensor *pleat_einsum(const char *equation, pleat_tensor *const *x, int count);
/* x W^T + b: x (..., in), weight (out, in), bias (out) or NULL. */
PLEAT_API pleat_tensor *pleat_linear(pleat_tensor *x, pleat_tensor *weight, pleat_tensor *bias);
/* relu of that, as it is written. */
PLEAT_API pleat_tensor *pleat_linear_relu(pleat_tensor *x, pleat_tensor *weight, pleat_tensor *bias);

/* ---- Windows ----
 * A window slides over an image: output size = floor((size + 2 padding - dilation (kernel - 1) - 1) / stride) + 1. */

typedef struct {
    pleat_hw kernel;
    pleat_hw stride; /* {0, 0}: {1, 1}; for pooling: the kernel */
    pleat_hw padding;
    pleat_hw dilation; /* {0, 0}: {1, 1} */
} pleat_window;

/* The size above, for both dimensions; {-1, -1} with an error where the window is invalid or does not fit. */
PLEAT_API pleat_hw pleat_window_output_size(pleat_hw image, const pleat_window *window);

/* Patches as columns. x (N, C, H, W) -> (N, C KH KW, L), or x (C, H, W) -> (C KH KW, L); L the number of places, row by
 * row: out[n, (c KH + i) KW + j, l] = x[n, c, y SH + i DH - PH, x SW + j DW - PW], zero outside. torch.nn.Unfold. */
PLEAT_API pleat_tensor *pleat_unfold(pleat_tensor *x, const pleat_window *window);
/* Its adjoint (not its inverse: what overlaps is summed). columns (N, C KH KW, L) or (C KH KW, L) -> an image of the
 * given size. torch.nn.Fold. */
PLEAT_API pleat_tensor *pleat_fold(pleat_tensor *columns, pleat_hw size, const pleat_window *window);

/* ---- Convolution (cross-correlation, as in PyTorch) ---- */

typedef struct {
    pleat_hw stride; /* {0, 0}: {1, 1} */
    pleat_hw padding;
    pleat_hw dilation; /* {0, 0}: {1, 1} */
    int64_t groups;    /* 0: 1 */
    bool no_bias;      /* for the module: it has no bias */
    bool same;     /* as much padding as keeps the image's size, an odd one more behind; stride {1, 1}, no padding */
    pleat_hw more; /* padding behind, in addition */
    pleat_pad_mode mode; /* what the padding is: zeros, or the image reflected, replicated, wrapped around */
    bool relu;           /* relu of the result, as it is written. Nothing to conv2d_weight */
} pleat_conv2d_opts;

/* x (N, C, H, W) or (C, H, W); weight (O, C/groups, KH, KW); bias (O) or NULL -> (N, O, OH, OW) or (O, OH, OW):
 * y[n, o, p, q] = b[o] + sum over c, i, j of w[o, c, i, j] x[n, g C/groups + c, p SH + i DH - PH, q SW + j DW - PW]. */
PLEAT_API pleat_tensor *pleat_conv2d(pleat_tensor *x, pleat_tensor *weight, pleat_tensor *bias,
                                     const pleat_conv2d_opts *opts);

typedef struct {
    pleat_hw stride; /* {0, 0}: {1, 1} */
    pleat_hw padding;
    pleat_hw output_padding; /* added to the size on the lower right; below stride or dilation */
    pleat_hw dilation;       /* {0, 0}: {1, 1} */
    int64_t groups;          /* 0: 1 */
    bool no_bias;            /* for the module */
    pleat_hw output_size;    /* where not {0, 0}: the result's, instead of by output_padding */
    bool relu;               /* relu of the result, as it is written */
} pleat_conv_transpose2d_opts;

/* The adjoint of conv2d in its input. x (N, C, H, W) or (C, H, W); weight (C, O/groups, KH, KW); bias (O) or NULL ->
 * (N, O, OH, OW), OH = (H - 1) SH - 2 PH + DH (KH - 1) + output_padding + 1. An output_size is one that conv2d makes
 * x's size of: from that with no output_padding to stride - 1 more; any other is refused with this range. */
PLEAT_API pleat_tensor *pleat_conv_transpose2d(pleat_tensor *x, pleat_tensor *weight, pleat_tensor *bias,
                                               const pleat_conv_transpose2d_opts *opts);

/* The gradient of conv2d by its weight, the third of the triad. x (N, C, H, W), grad (N, O, OH, OW) as conv2d of x with
 * a kernel of this size would give, or as conv_transpose2d would make x from -> (O, C/groups, KH, KW). Both batched or
 * both unbatched. */
PLEAT_API pleat_tensor *pleat_conv2d_weight(pleat_tensor *x, pleat_tensor *grad, pleat_hw kernel,
                                            const pleat_conv2d_opts *opts);

/* The spatial size of the result; {-1, -1} with an error where there is none. */
PLEAT_API pleat_hw pleat_conv2d_output_size(pleat_hw image, pleat_hw kernel, const pleat_conv2d_opts *opts);
PLEAT_API pleat_hw pleat_conv_transpose2d_output_size(pleat_hw image, pleat_hw kernel,
                                                      const pleat_conv_transpose2d_opts *opts);

/* In one dimension: x (N, C, L) or (C, L), weight (O, C/groups, K), or (C, O/groups, K) for the transpose. The same
 * core, and options that mean the same. */
typedef struct {
    int64_t stride, padding, dilation, groups; /* stride, dilation, groups 0: 1 */
    bool no_bias;
    bool same;
    int64_t more;
    pleat_pad_mode mode;
    bool relu;
} pleat_conv1d_opts;
typedef struct {
    int64_t stride, padding, output_padding, dilation, groups;
    bool no_bias;
    int64_t output_size; /* where not 0 */
    bool relu;
} pleat_conv_transpose1d_opts;
PLEAT_API pleat_tensor *pleat_conv1d(pleat_tensor *x, pleat_tensor *weight, pleat_tensor *bias,
                                     const pleat_conv1d_opts *opts);
PLEAT_API pleat_tensor *pleat_conv_transpose1d(pleat_tensor *x, pleat_tensor *weight, pleat_tensor *bias,
                                               const pleat_conv_transpose1d_opts *opts);

/* Exact mode: without the fastest way of convolving with 3 x 3 kernels, whose rounding errors are six to eight times
 * those of a plain sum, and without the FFT, whose errors are even in a tile (docs/numerics.md). Process-wide; off,
 * unless PLEAT_CONV_EXACT=1 stands in the environment. */
PLEAT_API void pleat_conv_set_exact(bool exact);
PLEAT_API bool pleat_conv_exact(void);

/* Locally connected: conv2d with other weights at each place. x (N, C, H, W) or (C, H, W), weight (OH, OW, O, C/groups,
 * KH, KW), bias (O), or (O, OH, OW) where each place has its own, or NULL -> (N, O, OH, OW):
 * y[n, o, p, q] = b + sum over c, i, j of
 *     w[p, q, o, c, i, j] x[n, g C/groups + c, p SH + i DH - PH, q SW + j DW - PW]. */
PLEAT_API pleat_tensor *pleat_local_conv2d(pleat_tensor *x, pleat_tensor *weight, pleat_tensor *bias,
                                           const pleat_conv2d_opts *opts);
/* Its transpose: conv_transpose2d with other weights at each place of x. Weight (H, W, C, O/groups, KH, KW), bias (O),
 * or one for each place of the result, or NULL. */
PLEAT_API pleat_tensor *pleat_local_conv_transpose2d(pleat_tensor *x, pleat_tensor *weight, pleat_tensor *bias,
                                                     const pleat_conv_transpose2d_opts *opts);

/* ---- Pooling ---- */

/* The largest element under the window, (N, C, H, W) or (C, H, W). Padding counts as -infinity and is at most half of
 * what the kernel covers; the first of equals wins and gets the gradient; NaN wins over all. stride {0, 0}: kernel. */
PLEAT_API pleat_tensor *pleat_max_pool2d(pleat_tensor *x, const pleat_window *window);

typedef struct {
    bool ceil_mode;       /* the number of windows is rounded up, unless the last began in the padding at the far end */
    bool exclude_padding; /* for averages: of the image's own pixels alone */
    int64_t divisor;      /* for averages: of the sum; 0: the number of what is averaged */
} pleat_pool_opts;

/* The same with options. indices, where not NULL, is set to the places in the image (row W + column; -1 where there is
 * nothing under a window but padding): int64, of the result's shape, borrowed as the result is. */
PLEAT_API pleat_tensor *pleat_max_pool2d_with(pleat_tensor *x, const pleat_window *window, const pleat_pool_opts *opts,
                                              pleat_tensor **indices);

/* Zeros of the given size with x's elements put back at the places that max_pool2d said. Where several have one place
 * the last is put there, and gets the gradient. */
PLEAT_API pleat_tensor *pleat_max_unpool2d(pleat_tensor *x, pleat_tensor *indices, pleat_hw size);

/* Averages under the window; padding counts as zeros, and in the number, unless excluded. No dilation. */
PLEAT_API pleat_tensor *pleat_avg_pool2d(pleat_tensor *x, const pleat_window *window, const pleat_pool_opts *opts);

/* Averages, largest elements, of boxes that make a result of the given size: rows floor(o H / OH) to
 * ceil((o + 1) H / OH) - 1, columns likewise. -1 is the image's size. indices as above. */
PLEAT_API pleat_tensor *pleat_adaptive_avg_pool2d(pleat_tensor *x, pleat_hw size);
PLEAT_API pleat_tensor *pleat_adaptive_max_pool2d(pleat_tensor *x, pleat_hw size, pleat_tensor **indices);

/* (sum of x^p under the window)^(1/p). No padding; the gradient is not finite where the sum is 0. */
PLEAT_API pleat_tensor *pleat_lp_pool2d(pleat_tensor *x, double p, const pleat_window *window,
                                        const pleat_pool_opts *opts);

/* ---- Normalise ---- */

typedef struct {
    double eps;      /* 0: 1e-5 */
    double momentum; /* of the running statistics; 0: 0.1 */
    bool cumulative; /* the running statistics are plain averages instead: momentum is 1 / batches */
    int64_t batches; /* with cumulative: how many batches there were, this one included */
    bool relu;       /* relu of the result, in the same passes over memory, forward and backward */
} pleat_batch_norm_opts;

/* y = (x - mean) / sqrt(var + eps) * weight + bias per channel, x (N, C, ...). training: with the batch's own mean and
 * biased variance, and running_mean, running_var (NULL: none) are moved, the variance unbiased, in place and off the
 * tape: running = (1 - momentum) running + momentum batch. Otherwise with the running ones. weight, bias (C) or NULL.
 * Ioffe, Szegedy: Batch Normalization, ICML 2015. Training needs more than one value per channel. */
PLEAT_API pleat_tensor *pleat_batch_norm(pleat_tensor *x, pleat_tensor *weight, pleat_tensor *bias,
                                         pleat_tensor *running_mean, pleat_tensor *running_var, bool training,
                                         const pleat_batch_norm_opts *opts);

/* The same within each image: over its last dimensions, which are `normalized`, weight and bias of that shape; over
 * each of `groups` groups of channels, weight and bias (C); over each channel, weight and bias (C), where the running
 * statistics, if there are any, move by the images' average, and serve in their place where training is false. eps 0:
 * 1e-5. Ba, Kiros, Hinton: Layer Normalization, 2016; Wu, He: Group Normalization, ECCV 2018; Ulyanov, Vedaldi,
 * Lempitsky: Instance Normalization, 2016. */
PLEAT_API pleat_tensor *pleat_layer_norm(pleat_tensor *x, pleat_shape normalized, pleat_tensor *weight,
                                         pleat_tensor *bias, double eps);
PLEAT_API pleat_tensor *pleat_group_norm(pleat_tensor *x, int64_t groups, pleat_tensor *weight, pleat_tensor *bias,
                                         double eps);
PLEAT_API pleat_tensor *pleat_instance_norm(pleat_tensor *x, pleat_tensor *weight, pleat_tensor *bias,
                                            pleat_tensor *running_mean, pleat_tensor *running_var, bool training,
                                            const pleat_batch_norm_opts *opts);

typedef struct {
    double alpha, beta, k; /* 0: 1e-4, 0.75, 1 */
} pleat_local_response_norm_opts;

/* x / (k + alpha a)^beta, a the average of x^2 over `size` neighbouring channels, zeros beyond the ends. x (N, C, ...),
 * three dimensions or more. Krizhevsky, Sutskever, Hinton: ImageNet classification, NIPS 2012. */
PLEAT_API pleat_tensor *pleat_local_response_norm(pleat_tensor *x, int64_t size,
                                                  const pleat_local_response_norm_opts *opts);

PLEAT_API pleat_tensor *pleat_softmax(pleat_tensor *x, int dim);     /* exp(x) / sum(exp(x)) along dim */
PLEAT_API pleat_tensor *pleat_log_softmax(pleat_tensor *x, int dim); /* its logarithm, without overflow */

/* ---- Losses ---- */

typedef enum { PLEAT_REDUCE_MEAN, PLEAT_REDUCE_SUM, PLEAT_REDUCE_NONE } pleat_loss_reduction;

/* Mean over n of -log_softmax(x)[n, target[n]]. x (N, C), target (N) int64 in [0, C); or x (C) and a target of no
 * dimension; or x (N, C, d1, ...) and target (N, d1, ...). */
PLEAT_API pleat_tensor *pleat_cross_entropy(pleat_tensor *x, pleat_tensor *target);

typedef struct {
    pleat_tensor *weight; /* (C), of x's dtype, or NULL: of the classes. The mean divides by the targets' weights */
    bool ignore;          /* targets that are ignore_index count for nothing */
    int64_t ignore_index;
    double label_smoothing; /* the target is 1 - label_smoothing of itself, and label_smoothing / C of every class */
    pleat_loss_reduction reduction;
} pleat_cross_entropy_opts;

/* The same with options (NULL: none); or with a target of x's shape and dtype, the classes' probabilities:
 * -sum over c of weight[c] target[c] log_softmax(x)[c], whose mean is over n, whatever the weights. With class indices
 * there is no gradient by the weights. torch.nn.functional.cross_entropy. */
PLEAT_API pleat_tensor *pleat_cross_entropy_with(pleat_tensor *x, pleat_tensor *target,
                                                 const pleat_cross_entropy_opts *opts);

/* The same of x that is log_softmax's result already; no label_smoothing. */
PLEAT_API pleat_tensor *pleat_nll_loss(pleat_tensor *x, pleat_tensor *target, const pleat_cross_entropy_opts *opts);

typedef struct {
    pleat_tensor
        *weight; /* of each element, broadcast, or NULL. The mean divides by the number of elements all the same */
    pleat_loss_reduction reduction;
} pleat_loss_opts;

/* Losses of x against a target of its shape and dtype, d = x - target; opts NULL: the mean. Differentiable by both. */
PLEAT_API pleat_tensor *pleat_mse_loss(pleat_tensor *x, pleat_tensor *target, const pleat_loss_opts *opts); /* d^2 */
PLEAT_API pleat_tensor *pleat_l1_loss(pleat_tensor *x, pleat_tensor *target, const pleat_loss_opts *opts);  /* |d| */
/* d^2 / 2 where |d| <= delta, else delta (|d| - delta / 2); smooth_l1 is it over beta, l1 where beta is 0. */
PLEAT_API pleat_tensor *pleat_huber_loss(pleat_tensor *x, pleat_tensor *target, double delta,
                                         const pleat_loss_opts *opts);
PLEAT_API pleat_tensor *pleat_smooth_l1_loss(pleat_tensor *x, pleat_tensor *target, double beta,
                                             const pleat_loss_opts *opts);
/* -target log(x) - (1 - target) log(1 - x), x from 0 to 1; logarithms are at least -100. */
PLEAT_API pleat_tensor *pleat_binary_cross_entropy(pleat_tensor *x, pleat_tensor *target, const pleat_loss_opts *opts);
/* The same of sigmoid(x), without overflow; pos_weight, broadcast, or NULL, multiplies target log(sigmoid(x)). */
PLEAT_API pleat_tensor *pleat_binary_cross_entropy_with_logits(pleat_tensor *x, pleat_tensor *target,
                                                               pleat_tensor *pos_weight, const pleat_loss_opts *opts);
/* target (log(target) - x), x being logarithms; with log_target the target too: exp(target) (target - x). */
PLEAT_API pleat_tensor *pleat_kl_div(pleat_tensor *x, pleat_tensor *target, bool log_target,
                                     const pleat_loss_opts *opts);

typedef struct {
    bool rates; /* x is the rates themselves, not their logarithms: x - target log(x + eps) */
    bool full;  /* with Stirling's approximation of log(target!) where target > 1 */
    double eps; /* 0: 1e-8 */
} pleat_poisson_nll_opts;

/* exp(x) - target x. poisson NULL: as it stands. */
PLEAT_API pleat_tensor *pleat_poisson_nll_loss(pleat_tensor *x, pleat_tensor *target,
                                               const pleat_poisson_nll_opts *poisson, const pleat_loss_opts *opts);

/* ---- Random ---- */

/* Each element dropped with probability p, the others scaled by 1 / (1 - p). One draw of the thread's sequence. p = 0
 * returns x. For training only: the module switches it off in eval. 0 <= p <= 1. */
PLEAT_API pleat_tensor *pleat_dropout(pleat_tensor *x, double p);

#ifdef __cplusplus
}
#endif
#endif
