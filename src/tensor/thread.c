/* The threads' states and their scopes. */
#include "tensor/thread.h"

#include "tensor/error.h"
#include "tensor/memory.h"

#include <pleat/autograd.h>
#include <pleat/scope.h>

#include <inttypes.h>
#include <pthread.h>

/* ---- State: made at a thread's first use, freed when it ends ---- */

static _Thread_local pleat_thread *mine;
static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static atomic_uint_fast64_t threads;

static void thread_free(void *state)
{
    pleat_thread *t = state;
    pleat_temporaries_drop(t, 0);
    pleat_tape_free(&t->tape);
    pleat_free(t->temporary);
    pleat_free(t->scope);
    if (t->watch)
        pleat_free(t->watch->event);
    pleat_free(t->watch);
    pleat_free(t);
}

static void make_key(void)
{
    pthread_key_create(&key, thread_free);
}

/* A key's destructor does not run for the thread that leaves main or unloads the library. */
__attribute__((destructor)) static void leave(void)
{
    if (mine) {
        pthread_setspecific(key, NULL);
        thread_free(mine);
        mine = NULL;
    }
    pleat_memory_trim();
}

static pleat_thread *thread_new(void)
{
    pthread_once(&once, make_key);
    pleat_thread *t = pleat_alloc_zeroed(sizeof *t);
    if (!t)
        return NULL;
    if (pthread_setspecific(key, t) != 0) {
        pleat_free(t);
        pleat_fail(PLEAT_ENOMEM, "no memory for the thread's state");
        return NULL;
    }
    const uint64_t number = atomic_fetch_add(&threads, 1) + 1;
    t->grad_mode = true;
    t->next_id = t->tape.next_serial = number << 40 | 1; /* a thread would need years to leave its range */
    return mine = t;
}

pleat_thread *pleat_thread_get(void)
{
    return mine ? mine : thread_new();
}

/* ---- Temporaries ---- */

pleat_status pleat_temporaries_reserve(pleat_thread *t, int64_t n)
{
    return pleat_grow(&t->temporary, &t->temporaries_capacity, t->temporaries + n, sizeof *t->temporary);
}

void pleat_temporaries_drop(pleat_thread *t, int64_t count)
{
    while (t->temporaries > count)
        pleat_release(t->temporary[--t->temporaries]);
}

pleat_tensor *pleat_borrow(pleat_tensor *t)
{
    pleat_thread *thread = t ? pleat_thread_get() : NULL;
    if (!thread || pleat_temporaries_reserve(thread, 1) != PLEAT_OK) {
        pleat_release(t);
        return NULL;
    }
    pleat_temporaries_push(thread, t);
    return t;
}

/* ---- Scopes ---- */

pleat_scope pleat_scope_begin(void)
{
    pleat_thread *t = pleat_thread_get();
    if (!t || pleat_grow(&t->scope, &t->depth_capacity, t->depth + 1, sizeof *t->scope) != PLEAT_OK)
        return (pleat_scope){ 0, -1 };
    t->scope[t->depth] = (pleat_scope_mark){
        .id = t->next_id++,
        .temporaries = t->temporaries,
        .calls = pleat_tape_now(&t->tape),
        .grad_mode = t->grad_mode,
    };
    return (pleat_scope){ t->scope[t->depth].id, (int32_t)t->depth++ };
}

/* The mark of a scope that may be ended now; NULL with an error pending. */
static const pleat_scope_mark *mark_of(const char *name, pleat_thread *t, pleat_scope s)
{
    if (!t || s.depth < 0 || s.depth >= t->depth || t->scope[s.depth].id != s.id) {
        pleat_fail(PLEAT_ESCOPE, "%s: the scope has ended, was never begun, or is another thread's", name);
        return NULL;
    }
    if (s.depth < t->floor) {
        pleat_fail(PLEAT_ESCOPE, "%s: the scope was begun outside the call that is running", name);
        return NULL;
    }
    return &t->scope[s.depth];
}

pleat_status pleat_scope_end(pleat_scope s)
{
    pleat_thread *t = mine;
    const uint64_t failures = pleat_failures();
    const pleat_scope_mark *m = mark_of("scope_end", t, s);
    if (!m)
        return failures == pleat_failures() ? PLEAT_ESCOPE : pleat_tell(PLEAT_ESCOPE);
    t->grad_mode = m->grad_mode;
    pleat_temporaries_drop(t, m->temporaries);
    pleat_tape_drop(&t->tape, m->calls);
    t->depth = s.depth;
    return PLEAT_OK;
}

pleat_tensor *pleat_scope_return(pleat_scope s, pleat_tensor *x)
{
    pleat_thread *t = mine;
    const pleat_scope_mark *m = mark_of("scope_return", t, s);
    if (!m)
        return NULL;
    const int64_t count = m->temporaries;
    t->grad_mode = m->grad_mode;
    t->depth = s.depth;
    pleat_retain(x);
    if (x && count == t->temporaries && pleat_temporaries_reserve(t, 1) != PLEAT_OK) {
        pleat_release(x);
        return NULL;
    }
    pleat_temporaries_drop(t, count);
    if (x)
        pleat_temporaries_push(t, x);
    return x;
}

bool pleat_grad_mode(bool on)
{
    pleat_thread *t = pleat_thread_get();
    if (!t)
        return true;
    const bool before = t->grad_mode;
    t->grad_mode = on;
    return before;
}

bool pleat_grad_enabled(void)
{
    return !mine || mine->grad_mode;
}

int64_t pleat_tape_length(void)
{
    return mine ? mine->tape.length : 0;
}
