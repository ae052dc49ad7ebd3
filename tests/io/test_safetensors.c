/* Safetensors: a file of PyTorch's, the round trip, and every way a file can be wrong. */
#include "support/run.h"

#include "io/safetensors.h"
#include "tensor/error.h"

#include <pleat/pleat.h>

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define GOLDEN PLEAT_TEST_DIR "/golden/net.safetensors"

static char folder[64], path[96];

/* A folder to work in; false where the library was built without cJSON, and says so. */
static bool setup(void)
{
    pleat_safetensors file;
    if (pleat_safetensors_read(&file, GOLDEN) != PLEAT_OK) {
        ck_assert_failed(PLEAT_EIO, "built with cJSON");
        return false;
    }
    pleat_safetensors_free(&file);
    strcpy(folder, "/tmp/pleat-io-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/f.safetensors", folder);
    return true;
}

static int files_in_folder(void)
{
    DIR *d = opendir(folder);
    int n = 0;
    for (const struct dirent *e; (e = readdir(d)) != NULL;)
        n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

static void cleanup(void)
{
    unlink(path);
    ck_assert_int_eq(rmdir(folder), 0); /* no temporary file is left */
}

static pleat_tensor *same(pleat_module *self, pleat_tensor *x)
{
    (void)self;
    return x;
}

static const pleat_module_class holder_class = { .name = "holder", .forward = same };

static pleat_module *small(pleat_shape w, pleat_dtype dtype)
{
    const pleat_scope s = pleat_scope_begin();
    pleat_module *m = pleat_module_new(&holder_class), *child = pleat_module_new(&holder_class);
    pleat_module_add_parameter(m, "w", pleat_full(w, 0.5, dtype));
    pleat_module_add_child(m, "child", child);
    pleat_module_add_buffer(child, "n", pleat_full(PLEAT_SHAPE(), -3, PLEAT_I64));
    pleat_module_add_buffer(child, "u", pleat_full(PLEAT_SHAPE(3), 200, PLEAT_U8));
    pleat_module_add_parameter(child, "d", pleat_full(PLEAT_SHAPE(2, 1), 1e300, PLEAT_F64));
    pleat_module_add_buffer(child, "none", pleat_zeros(PLEAT_SHAPE(0, 4), PLEAT_F32));
    pleat_scope_end(s);
    ck_assert_msg(pleat_check() == PLEAT_OK, "%s", pleat_error());
    return m;
}

static size_t read_file(const char *from, unsigned char *bytes, size_t most)
{
    FILE *f = fopen(from, "rb");
    ck_assert_ptr_nonnull(f);
    const size_t n = fread(bytes, 1, most, f);
    fclose(f);
    return n;
}

static void write_file(const void *bytes, size_t n)
{
    FILE *f = fopen(path, "wb");
    ck_assert(f && fwrite(bytes, 1, n, f) == n && fclose(f) == 0);
}

/* A file of this header and so many bytes of data. */
static void write_header(const char *header, size_t data)
{
    static unsigned char bytes[8192];
    const size_t n = strlen(header);
    memset(bytes, 0, sizeof bytes);
    for (int i = 0; i < 8; i++)
        bytes[i] = (unsigned char)((uint64_t)n >> (8 * i));
    memcpy(bytes + 8, header, n);
    write_file(bytes, 8 + n + data);
}

/* ---- Load and save ---- */

static pleat_module *golden_net(void)
{
    return pleat_sequential(
        pleat_nn_conv2d(2, 3, (pleat_hw){ 3, 2 }, NULL), pleat_nn_batch_norm2d(3), pleat_nn_relu(),
        pleat_sequential(pleat_nn_conv2d(3, 3, (pleat_hw){ 1, 1 }, &(pleat_conv2d_opts){ .no_bias = true }),
                         pleat_nn_conv_transpose2d(3, 2, (pleat_hw){ 2, 2 }, NULL)),
        pleat_nn_flatten(), pleat_nn_linear(24, 4));
}

static pleat_status check_golden(const pleat_named_tensor *item, void *user)
{
    int *number = user;
    const pleat_scope s = pleat_scope_begin();
    pleat_tensor *flat = pleat_reshape(item->tensor, PLEAT_SHAPE(-1));
    const bool whole = pleat_dtype_of(flat) == PLEAT_I64, var = strstr(item->name, "running_var") != NULL;
    for (int64_t i = 0; i < pleat_numel(flat); i++) {
        const double value = (double)((7 * i + 13 * *number) % 17), want = whole ? value : (value + (var ? 1 : -8)) / 8;
        ck_assert_msg(pleat_at(flat, &i) == want, "%s[%d] is %g, not %g", item->name, (int)i, pleat_at(flat, &i), want);
    }
    ++*number;
    return pleat_scope_end(s);
}

START_TEST(pytorchs_file_loads_strictly_and_comes_back)
{
    if (!setup())
        return;
    pleat_module *net = golden_net();
    ck_assert_ok(pleat_load(net, GOLDEN));
    int number = 0;
    ck_assert_ok(pleat_module_visit(net, check_golden, &number));
    ck_assert_int_eq(number, 12);
    ck_assert_ok(pleat_save(net, path));
    pleat_module_free(net);
    net = golden_net();
    ck_assert_ok(pleat_load(net, path));
    number = 0;
    ck_assert_ok(pleat_module_visit(net, check_golden, &number));
    pleat_module_free(net);
    ck_assert_int_eq(pleat_live_tensors(), 0);
    cleanup();
}
END_TEST

START_TEST(every_dtype_makes_the_round_trip)
{
    if (!setup())
        return;
    pleat_module *m = small(PLEAT_SHAPE(3, 5), PLEAT_F32), *n = small(PLEAT_SHAPE(3, 5), PLEAT_F32);
    ck_assert_ok(pleat_save(m, path));
    const bool recording = pleat_grad_mode(false);
    pleat_zero_(pleat_module_parameter(n, "w"));
    pleat_zero_(pleat_module_buffer(n, "child.n"));
    pleat_zero_(pleat_module_buffer(n, "child.u"));
    pleat_zero_(pleat_module_parameter(n, "child.d"));
    pleat_grad_mode(recording);
    ck_assert_ok(pleat_load(n, path));
    ck_assert(pleat_equal(pleat_module_parameter(m, "w"), pleat_module_parameter(n, "w")));
    ck_assert(pleat_item(pleat_module_buffer(n, "child.n")) == -3);
    ck_assert(pleat_data_u8(pleat_module_buffer(n, "child.u"))[2] == 200);
    ck_assert(pleat_data_f64(pleat_module_parameter(n, "child.d"))[1] == 1e300);

    unsigned char first[4096], second[4096];
    const size_t size = read_file(path, first, sizeof first);
    ck_assert_ok(pleat_save(n, path)); /* over what is there */
    ck_assert_int_eq((int)read_file(path, second, sizeof second), (int)size);
    ck_assert(memcmp(first, second, size) == 0);
    ck_assert_int_eq(first[0] % 8, 0);

    pleat_safetensors file; /* each tensor aligned for its elements */
    ck_assert_ok(pleat_safetensors_read(&file, path));
    ck_assert_int_eq((int)file.count, 5);
    for (int64_t i = 0; i < file.count; i++)
        ck_assert_int_eq(((const unsigned char *)file.tensor[i].data - file.data) %
                             (int64_t)pleat_dtype_size(file.tensor[i].dtype),
                         0);
    ck_assert_ptr_null(pleat_safetensors_find(&file, "child"));
    ck_assert(pleat_safetensors_find(&file, "child.none")->size == 0);
    pleat_safetensors_free(&file);
    pleat_module_free(m);
    pleat_module_free(n);
    cleanup();
}
END_TEST

START_TEST(what_does_not_fit_is_refused)
{
    if (!setup())
        return;
    pleat_module *m = small(PLEAT_SHAPE(3), PLEAT_F32), *other;
    ck_assert_ok(pleat_save(m, path));
    const struct {
        pleat_shape shape;
        pleat_dtype dtype;
    } wrong[] = { { PLEAT_SHAPE(4), PLEAT_F32 }, { PLEAT_SHAPE(3, 1), PLEAT_F32 }, { PLEAT_SHAPE(3), PLEAT_F64 } };
    for (int i = 0; i < 3; i++) {
        other = small(wrong[i].shape, wrong[i].dtype);
        const bool recording = pleat_grad_mode(false);
        pleat_zero_(pleat_module_parameter(other, "child.d"));
        pleat_grad_mode(recording);
        ck_assert_int_eq(pleat_load(other, path), PLEAT_EIO);
        ck_assert_failed(PLEAT_EIO, "'w' is (3,) of float32, in the module");
        ck_assert(pleat_data_f64(pleat_module_parameter(other, "child.d"))[0] == 0); /* all or nothing */
        pleat_module_free(other);
    }
    other = small(PLEAT_SHAPE(3), PLEAT_F32);
    const pleat_scope s = pleat_scope_begin();
    pleat_module_add_buffer(other, "more", pleat_zeros(PLEAT_SHAPE(1), PLEAT_F32));
    pleat_scope_end(s);
    ck_assert_int_eq(pleat_load(other, path), PLEAT_EIO);
    ck_assert_failed(PLEAT_EIO, "lacks 'more'");
    ck_assert_ok(pleat_save(other, path));
    ck_assert_int_eq(pleat_load(m, path), PLEAT_EIO);
    ck_assert_failed(PLEAT_EIO, "f.safetensors: it has 'more'");
    pleat_module_free(other);

    ck_assert_int_eq(pleat_load(NULL, path), PLEAT_EINVAL);
    ck_assert_failed(PLEAT_EINVAL, "load: the module");
    ck_assert_int_eq(pleat_save(m, NULL), PLEAT_EINVAL);
    ck_assert_failed(PLEAT_EINVAL, "save: the path");
    ck_assert_int_eq(pleat_load(m, folder), PLEAT_EIO);
    ck_assert_failed(PLEAT_EIO, "not a regular file");
    ck_assert_int_eq(pleat_load(m, "/nowhere/f"), PLEAT_EIO);
    ck_assert_failed(PLEAT_EIO, "/nowhere/f: No such file");
    ck_assert_int_eq(pleat_save(m, "/nowhere/f"), PLEAT_EIO);
    ck_assert_failed(PLEAT_EIO, "No such file");
    ck_assert_int_eq(pleat_save(m, folder), PLEAT_EIO); /* a directory is in the place */
    pleat_error_clear();
    ck_assert_int_eq(files_in_folder(), 1);
    pleat_module_free(m);
    cleanup();
}
END_TEST

START_TEST(a_full_disk_leaves_the_file_as_it_was)
{
    if (!setup())
        return;
    pleat_module *m = small(PLEAT_SHAPE(3), PLEAT_F32), *large = small(PLEAT_SHAPE(100000), PLEAT_F32);
    ck_assert_ok(pleat_save(m, path));
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit limit;
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = 65536;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    ck_assert_int_eq(pleat_save(large, path), PLEAT_EIO);
    ck_assert_failed(PLEAT_EIO, "File too large");
    ck_assert_int_eq(files_in_folder(), 1);
    ck_assert_ok(pleat_load(m, path));
    pleat_module_free(m);
    pleat_module_free(large);
    cleanup();
}
END_TEST

START_TEST(no_memory)
{
    if (!setup())
        return;
    for (int load = 0; load < 2; load++)
        for (int64_t n = 1;; n++) {
            pleat_module *m = small(PLEAT_SHAPE(3), PLEAT_F32);
            pleat_memory_fail_after(n);
            const pleat_status status = load ? pleat_load(m, path) : pleat_save(m, path);
            const bool done = pleat_memory_fail_after(0) > 0;
            ck_assert_int_eq(status, done ? PLEAT_OK : PLEAT_ENOMEM);
            ck_assert_int_eq(files_in_folder(), load || done);
            pleat_module_free(m);
            ck_assert_int_eq(pleat_live_tensors(), 0);
            if (done)
                break;
        }
    cleanup();
}
END_TEST

/* ---- The reader ---- */

static void refused(const char *words)
{
    pleat_safetensors file;
    ck_assert_int_ne(pleat_safetensors_read(&file, path), PLEAT_OK);
    ck_assert_failed(PLEAT_EIO, words);
    ck_assert_ptr_null(file.tensor);
    ck_assert_ptr_null(file.data);
}

#define TENSOR(name, dtype, shape, offsets)                                                                            \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"

START_TEST(headers_are_checked)
{
    if (!setup())
        return;
    pleat_safetensors file;
    const char *good[] = {
        "{}",
        "{}      ",
        "{" TENSOR("a", "F32", "[2]", "[0,8]") "}",
        "{" TENSOR("b", "F32", "[]", "[4,8]") "," TENSOR("a", "U8", "[2,2]", "[0,4]") "}",
        "{" TENSOR("z", "F32", "[0,9]", "[8,8]") "," TENSOR("y", "I64", "[0]", "[0,0]") "," TENSOR("a", "F64", "[1]",
                                                                                                   "[0,8]") "}",
        "{\"__metadata__\":{\"format\":\"pt\"}," TENSOR("a", "I64", "[1]", "[0,8]") "}",
        "{\"a\":{\"shape\":[8],\"data_offsets\":[0,8],\"dtype\":\"U8\"}}",
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        write_header(good[i], i < 2 ? 0 : 8);
        ck_assert_msg(pleat_safetensors_read(&file, path) == PLEAT_OK, "%s: %s", good[i], pleat_error());
        pleat_safetensors_free(&file);
    }

    const struct {
        const char *header, *words;
    } bad[] = {
        { "[]", "not the JSON" },
        { " {}", "not the JSON" },
        { "{ ", "not the JSON" },
        { "{}x", "not the JSON" },
        { "{\"a\\u0000b\":1}", "not the JSON" },
        { "{\"a\":1}", "'a' must have" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", "'a' must have" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8],\"dtype\":\"F32\"}}", "'a' must have" },
        { "{" TENSOR("a", "F16", "[4]", "[0,8]") "}", "'a' is of dtype F16" },
        { "{" TENSOR("a", "f32", "[2]", "[0,8]") "}", "'a' is of dtype f32" },
        { "{" TENSOR("a", "F32", "[3]", "[0,8]") "}", "'a' is (3,) of float32 and has 8 bytes" },
        { "{" TENSOR("a", "F32", "[2]", "[0,7]") "}", "'a' is (2,) of float32 and has 7 bytes" },
        { "{" TENSOR("a", "F32", "[-2]", "[0,8]") "}", "whole number" },
        { "{" TENSOR("a", "F32", "[2.5]", "[0,8]") "}", "whole number" },
        { "{" TENSOR("a", "F32", "[1e300]", "[0,8]") "}", "whole number" },
        { "{" TENSOR("a", "F32", "[\"2\"]", "[0,8]") "}", "whole number" },
        { "{" TENSOR("a", "F32", "[1,1,1,1,1,1,1,1,2]", "[0,8]") "}", "more than 8 dimensions" },
        { "{" TENSOR("a", "F32", "[4294967296,4294967296]", "[0,8]") "}", "'a' is" },
        { "{" TENSOR("a", "F32", "[4611686018427387904]", "[0,8]") "}", "whole number" },
        { "{" TENSOR("a", "F32", "[2]", "[8,0]") "}", "do not lie in" },
        { "{" TENSOR("a", "F32", "[2]", "[0,16]") "}", "do not lie in the file's 8 bytes" },
        { "{" TENSOR("a", "F32", "[2]", "[0,8,8]") "}", "do not lie in" },
        { "{" TENSOR("a", "F32", "[2]", "[-8,0]") "}", "do not lie in" },
        { "{" TENSOR("a", "F32", "[1]", "[0,4]") "}", "4 bytes of data belong to no tensor" },
        { "{" TENSOR("a", "F32", "[1]", "[4,8]") "}", "'a' leaves a gap" },
        { "{" TENSOR("a", "F32", "[2]", "[0,8]") "," TENSOR("b", "F32", "[1]", "[4,8]") "}", "'b' overlaps" },
        { "{" TENSOR("a", "F32", "[2]", "[0,8]") "," TENSOR("b", "F32", "[2]", "[0,8]") "}", "overlaps" },
        { "{" TENSOR("a", "F32", "[1]", "[0,4]") "," TENSOR("a", "F32", "[1]", "[4,8]") "}", "'a' is there twice" },
        { "{\"__metadata__\":3," TENSOR("a", "F32", "[2]", "[0,8]") "}", "__metadata__" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        write_header(bad[i].header, 8);
        refused(bad[i].words);
    }
    write_file("\x02\0\0\0\0\0\0", 7);
    refused("7 bytes are too short");
    write_file("\xff\xff\xff\xff\xff\xff\xff\xff{}", 10);
    refused("a header of 18446744073709551615 bytes");
    write_file("\x03\0\0\0\0\0\0\0{}", 10);
    refused("a header of 3 bytes; the file has 10");
    write_file("\0\0\0\0\0\0\0\0", 8);
    refused("a header of 0 bytes");
    unlink(path);
    refused("No such file");
    cleanup();
}
END_TEST

/* Every truncation is refused. A flipped bit may give another good file, but never a crash. */
START_TEST(damaged_files)
{
    if (!setup())
        return;
    unsigned char bytes[4096];
    const size_t size = read_file(GOLDEN, bytes, sizeof bytes);
    pleat_safetensors file;
    for (size_t n = 0; n < size; n++) {
        write_file(bytes, n);
        refused("f.safetensors: ");
    }
    size_t header = 0;
    for (int i = 0; i < 8; i++)
        header |= (size_t)bytes[i] << (8 * i);
    int accepted = 0;
    for (size_t i = 0; i < 8 + header; i++) {
        const unsigned char flip = (unsigned char)(1 << i % 8);
        bytes[i] ^= flip;
        write_file(bytes, size);
        if (pleat_safetensors_read(&file, path) == PLEAT_OK) {
            accepted++;
            pleat_safetensors_free(&file);
        } else
            ck_assert_failed(PLEAT_EIO, "f.safetensors: ");
        bytes[i] ^= flip;
    }
    ck_assert_int_gt(accepted, 0); /* letters of names */
    cleanup();
}
END_TEST

RUN_TESTS("safetensors", pytorchs_file_loads_strictly_and_comes_back, every_dtype_makes_the_round_trip,
          what_does_not_fit_is_refused, a_full_disk_leaves_the_file_as_it_was, no_memory, headers_are_checked,
          damaged_files)
