/* IDX files: plain and gzip'd ones read alike, and nothing but a whole one is taken. */
#include "support/run.h"

#include <pleat/pleat.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* uint8 (2, 3): 0 1 2 / 250 251 252; as `gzip -9n` packs it. */
static const unsigned char plain[] = { 0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 0, 1, 2, 250, 251, 252 };
#include "golden/idx_gz.h"

static char folder[64];

static void make_folder(void)
{
    strcpy(folder, "/tmp/pleat-idx-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
}

static const char *in_folder(const char *name)
{
    static char path[2][128];
    static int turn;
    snprintf(path[turn ^= 1], sizeof path[0], "%s/%s", folder, name);
    return path[turn];
}

static const char *write_file(const char *name, const void *bytes, size_t n)
{
    const char *path = in_folder(name);
    FILE *f = fopen(path, "wb");
    ck_assert(f && fwrite(bytes, 1, n, f) == n && fclose(f) == 0);
    return path;
}

static void remove_folder(void)
{
    const char *names[] = { "f", "train-images-idx3-ubyte", "train-labels-idx1-ubyte.gz", "l" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unlink(in_folder(names[i]));
    ck_assert_int_eq(rmdir(folder), 0);
}

static void refused(const void *bytes, size_t n, const char *words)
{
    ck_assert_ptr_null(pleat_read_idx(write_file("f", bytes, n)));
    ck_assert_failed(PLEAT_EIO, words);
    ck_assert_int_eq(pleat_live_tensors(), 0);
}

START_TEST(plain_files)
{
    make_folder();
    pleat_scope s = pleat_scope_begin();
    pleat_tensor *t = pleat_read_idx(write_file("f", plain, sizeof plain));
    ck_assert_msg(t != NULL, "%s", pleat_error());
    ck_assert(pleat_shape_equal(pleat_shape_of(t), PLEAT_SHAPE(2, 3)));
    ck_assert(memcmp(pleat_data_u8(t), plain + 12, 6) == 0);

    const unsigned char floats[] = { 0, 0, 0x0D, 1, 0, 0, 0, 2, 0x3f, 0x80, 0, 0, 0xc0, 0x20, 0, 0 };
    t = pleat_read_idx(write_file("f", floats, sizeof floats));
    ck_assert(pleat_data_f32(t)[0] == 1 && pleat_data_f32(t)[1] == -2.5f);
    const unsigned char doubles[] = { 0, 0, 0x0E, 1, 0, 0, 0, 1, 0x40, 0x59, 0, 0, 0, 0, 0, 0 };
    t = pleat_read_idx(write_file("f", doubles, sizeof doubles));
    ck_assert(pleat_data_f64(t)[0] == 100);
    const unsigned char empty[] = { 0, 0, 8, 2, 0, 0, 0, 0, 0, 0, 0, 3 };
    t = pleat_read_idx(write_file("f", empty, sizeof empty));
    ck_assert(pleat_shape_equal(pleat_shape_of(t), PLEAT_SHAPE(0, 3)));
    pleat_scope_end(s);
    remove_folder();
}
END_TEST

START_TEST(malformed_files_are_refused)
{
    make_folder();
    unsigned char bytes[64];
    for (size_t n = 0; n < sizeof plain; n++) /* every truncation */
        refused(plain, n, "f: ");
    memcpy(bytes, plain, sizeof plain);
    bytes[sizeof plain] = 0;
    refused(bytes, sizeof plain + 1, "goes on behind its end");

    const struct {
        unsigned char head[12];
        const char *words;
    } heads[] = {
        { { 0, 1, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3 }, "not an IDX file: it begins with 00 01 08 02" },
        { { 'P', 'N', 'G', 2, 0, 0, 0, 2, 0, 0, 0, 3 }, "not an IDX file" },
        { { 0, 0, 7, 2, 0, 0, 0, 2, 0, 0, 0, 3 }, "not an IDX file" },
        { { 0, 0, 9, 2, 0, 0, 0, 2, 0, 0, 0, 3 }, "type 0x09 is not read" },
        { { 0, 0, 8, 0, 0, 0, 0, 2, 0, 0, 0, 3 }, "0 dimensions" },
        { { 0, 0, 8, 9, 0, 0, 0, 2, 0, 0, 0, 3 }, "9 dimensions" },
        { { 0, 0, 8, 2, 0, 0, 0, 3, 0, 0, 0, 3 }, "too early" },
        { { 0, 0, 8, 2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff }, "too short for its header's" },
        { { 0, 0, 14, 2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff }, "too short for its header's" },
    };
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        memcpy(bytes, heads[i].head, 12);
        refused(bytes, sizeof plain, heads[i].words);
    }
    memset(bytes, 0xff, sizeof bytes); /* eight dimensions, each the largest there is */
    memcpy(bytes, (unsigned char[]){ 0, 0, 8, 8 }, 4);
    refused(bytes, 40, "too short");

    ck_assert_ptr_null(pleat_read_idx(in_folder("nothing")));
    ck_assert_failed(PLEAT_EIO, "No such file");
    ck_assert_ptr_null(pleat_read_idx(folder));
    ck_assert_failed(PLEAT_EIO, "not a regular file");
    ck_assert_ptr_null(pleat_read_idx(NULL));
    ck_assert_failed(PLEAT_EINVAL, "path is NULL");
    remove_folder();
}
END_TEST

START_TEST(gzipped_files)
{
    make_folder();
    const pleat_scope s = pleat_scope_begin();
    pleat_tensor *t = pleat_read_idx(write_file("f", packed, sizeof packed));
    if (!t && strstr(pleat_error(), "without zlib")) { /* that is what a build without it says */
        ck_assert_int_eq(pleat_check(), PLEAT_EIO);
        remove_folder();
        return;
    }
    ck_assert_msg(t != NULL, "%s", pleat_error());
    ck_assert(memcmp(pleat_data_u8(t), plain + 12, 6) == 0);
    t = pleat_read_idx(write_file("f", packed_zeros, sizeof packed_zeros)); /* 1000 x 1000 zeros in about 1 kB */
    ck_assert_msg(t != NULL, "%s", pleat_error());
    ck_assert_int_eq(pleat_numel(t), 1000000);
    pleat_scope_end(s);

    for (size_t n = 0; n < sizeof packed; n++)
        refused(packed, n, "f: ");
    unsigned char bytes[sizeof packed + 1];
    int accepted = 0; /* behind gzip's own header a checksum covers all but a few bits that fill up the last byte */
    for (size_t i = 10; i < sizeof packed; i++)
        for (int bit = 0; bit < 8; bit++) {
            memcpy(bytes, packed, sizeof packed);
            bytes[i] ^= (unsigned char)(1 << bit);
            const pleat_scope one = pleat_scope_begin();
            t = pleat_read_idx(write_file("f", bytes, sizeof packed));
            accepted += t != NULL;
            ck_assert(t ? memcmp(pleat_data_u8(t), plain + 12, 6) == 0 : pleat_check() == PLEAT_EIO);
            pleat_scope_end(one);
        }
    ck_assert_int_lt(accepted, 8);
    memcpy(bytes, packed, sizeof packed);
    bytes[sizeof packed] = 0;
    refused(bytes, sizeof packed + 1, "goes on behind its end");
    remove_folder();
}
END_TEST

START_TEST(mnists_files)
{
    make_folder();
    unsigned char images[16 + 8] = { 0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 2 },
                              labels[10] = { 0, 0, 8, 1, 0, 0, 0, 2, 7, 3 };
    images[16] = 255;
    ck_assert_ptr_null(pleat_mnist(folder, true));
    ck_assert_failed(PLEAT_EIO, "has neither train-images-idx3-ubyte nor train-images-idx3-ubyte.gz");
    write_file("train-images-idx3-ubyte", images, sizeof images);
    write_file("train-labels-idx1-ubyte.gz", labels, sizeof labels); /* told by the content, not by the name */
    pleat_dataset *d = pleat_mnist(folder, true);
    ck_assert_msg(d != NULL, "%s", pleat_error());
    ck_assert(pleat_shape_equal(pleat_shape_of(pleat_dataset_inputs(d)), PLEAT_SHAPE(2, 1, 2, 2)));
    ck_assert(pleat_data_u8(pleat_dataset_inputs(d))[0] == 255);
    ck_assert(pleat_data_i64(pleat_dataset_targets(d))[0] == 7 && pleat_data_i64(pleat_dataset_targets(d))[1] == 3);
    pleat_dataset_free(d);
    ck_assert_ptr_null(pleat_mnist(folder, false));
    ck_assert_failed(PLEAT_EIO, "t10k-images");
    ck_assert_ptr_null(pleat_mnist(NULL, true));
    ck_assert_failed(PLEAT_EINVAL, "directory is NULL");

    const char *i = in_folder("train-images-idx3-ubyte");
    ck_assert_ptr_null(pleat_idx_dataset(i, i));
    ck_assert_failed(PLEAT_EIO, "labels are uint8 (N)");
    labels[7] = 1;
    ck_assert_ptr_null(pleat_idx_dataset(i, write_file("l", labels, 9)));
    ck_assert_failed(PLEAT_EIO, "2 images");
    ck_assert_ptr_null(pleat_idx_dataset(write_file("l", labels, 9), i));
    ck_assert_failed(PLEAT_EIO, "images are uint8 (N, H, W)");
    ck_assert_int_eq(pleat_live_tensors(), 0);
    remove_folder();
}
END_TEST

RUN_TESTS("idx", plain_files, malformed_files_are_refused, gzipped_files, mnists_files)
