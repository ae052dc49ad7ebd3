/* The tape as a Graphviz digraph. */
#include "tensor/text.h"
#include "tensor/thread.h"

#include <pleat/debug.h>

#include <inttypes.h>

static void shape_label(pleat_writer *out, const pleat_spec *spec)
{
    pleat_write(out, "%s %s", pleat_dtype_name(spec->dtype), pleat_shape_text(spec->shape).text);
}

static void node(pleat_writer *out, const pleat_record *r, int64_t call)
{
    pleat_write(out, "  c%" PRId64 " [shape=box, style=rounded, label=\"%s", call, r->op->name);
    if (r->path && *r->path)
        pleat_write(out, "\\n%s", r->path);
    for (int k = 0; k < r->outputs; k++) {
        pleat_write(out, "\\n");
        shape_label(out, &r->spec[r->inputs + k]);
    }
    pleat_write(out, r->spent ? "\", color=gray];\n" : "\"];\n");
    for (int i = 0; i < r->inputs; i++) {
        const pleat_source *s = &r->source[i];
        if (s->leaf) {
            pleat_write(out, "  l%p [shape=ellipse, label=\"leaf\\n", (void *)s->leaf);
            shape_label(out, &r->spec[i]);
            pleat_write(out, "\"];\n  l%p -> c%" PRId64 ";\n", (void *)s->leaf, call);
        } else if (s->serial)
            pleat_write(out, "  c%" PRId64 " -> c%" PRId64 ";\n", s->call, call);
    }
}

int64_t pleat_tape_dot(const pleat_tensor *t, char *buffer, size_t size)
{
    pleat_writer out = { buffer, size, 0 };
    pleat_write(&out, "digraph tape {\n");
    const pleat_thread *thread = pleat_thread_get();
    const pleat_tape *tape = thread ? &thread->tape : NULL;
    const pleat_record *root = tape && t && t->serial ? pleat_tape_find(tape, t->serial, t->call) : NULL;
    const int64_t top = !tape ? -1 : t ? (root ? t->call : -1) : tape->length - 1;
    int64_t ahead = root ? 1 : 0; /* calls found and not yet written: they are marked */
    if (root)
        tape->call[top]->marked = true;
    for (int64_t i = top; i >= 0 && (!t || ahead > 0); i--) {
        pleat_record *r = tape->call[i];
        if (t && !r->marked)
            continue;
        ahead--;
        r->marked = false;
        node(&out, r, i);
        for (int k = 0; t && k < r->inputs; k++) {
            pleat_record *from =
                r->source[k].serial ? pleat_tape_find(tape, r->source[k].serial, r->source[k].call) : NULL;
            if (from && !from->marked) {
                from->marked = true;
                ahead++;
            }
        }
    }
    pleat_write(&out, "}\n");
    return out.length;
}
