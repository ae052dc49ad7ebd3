/* line.c's topk for one dtype T under the name FN(name). KEY is a signed integer, of which MOST is the largest: it
 * holds a place in a line, and what orders the elements; of floats that is the bits of a REAL, a float of KEY's size.
 *
 * Elements become keys, the smallest of which come first. Those that may be among the k first are collected; when there
 * is no more room they are sorted, stably, and the last of the k first says what may be among them from there on. Where
 * there is room for the line this sorts it. */

typedef KEY FN(lanes) __attribute__((vector_size(PLEAT_VECTOR_BYTES), aligned(sizeof(KEY)), may_alias));

typedef struct {
    KEY *key, *place; /* place: in the line */
} FN(list);

/* NaN is larger than all; -0 equals 0. */
PLEAT_INLINE KEY FN(key)(T v, bool largest)
{
#ifdef REAL
    const REAL positive = (REAL)v + 0; /* not -0 */
    KEY key;
    memcpy(&key, &positive, sizeof key);
    key ^= (key >> (sizeof key * 8 - 1)) & MOST;
    key = v != v ? MOST : key;
#else
    const KEY key = v;
#endif
    return key ^ -(KEY)largest;
}

/* Sorts a few: as many keys are smaller as places come before. */
static void FN(sort_few)(FN(list) from, int64_t n, FN(list) to)
{
    enum { LANES = PLEAT_VECTOR_BYTES / sizeof(KEY) };
    KEY place[SORTED_FEW + 4 * LANES], next[SORTED_FEW];
    for (int64_t i = 0; i < n; i += 4 * LANES) {
        const FN(lanes) *key = (const FN(lanes) *)(from.key + i);
        FN(lanes) *to_place = (FN(lanes) *)(place + i), smaller[4] = { 0 };
        for (int64_t j = 0; j < n; j++) {
            PLEAT_UNROLL(4)
            for (int v = 0; v < 4; v++)
                smaller[v] -= key[v] > from.key[j];
        }
        PLEAT_UNROLL(4)
        for (int v = 0; v < 4; v++)
            to_place[v] = smaller[v];
    }
    for (int64_t i = 0; i < n; i++)
        next[i] = (KEY)i;
    for (int64_t i = 0; i < n; i++) {
        const KEY at = next[place[i]]++; /* of equals the next one goes behind */
        to.key[at] = from.key[i];
        to.place[at] = from.place[i];
    }
}

/* Sorts by a digit after the other, the lowest first, but for those that are the same in all. */
static void FN(sort_many)(FN(list) * list, int64_t n, FN(list) * other)
{
    KEY next[sizeof(KEY)][256] = { 0 };
#define DIGIT(key, d) (((uint64_t)(key) >> (8 * (d)) & 255) ^ ((d) == sizeof(KEY) - 1 ? 128 : 0))
    for (int64_t i = 0; i < n; i++)
        for (size_t d = 0; d < sizeof(KEY); d++)
            next[d][DIGIT(list->key[i], d)]++;
    for (size_t d = 0; d < sizeof(KEY); d++) {
        if (next[d][DIGIT(list->key[0], d)] == n)
            continue;
        KEY *before = next[d], sum = 0;
        for (int64_t v = 0; v < 256; v++) {
            sum += before[v];
            before[v] = sum - before[v];
        }
        for (int64_t i = 0; i < n; i++) {
            const KEY key = list->key[i];
            const int64_t at = before[DIGIT(key, d)]++;
            other->key[at] = key;
            other->place[at] = list->place[i];
        }
        const FN(list) swapped = *list;
        *list = *other;
        *other = swapped;
    }
#undef DIGIT
}

static void FN(topk)(const pleat_topk_work *w, void *scratch, int64_t begin, int64_t end)
{
    const int64_t length = w->length, inner = w->inner, k = w->k;
    const int64_t room = pleat_topk_room(length, k), space = room + PLEAT_TOPK_SPARE;
    const bool largest = w->largest;
    KEY *place = scratch;
    KEY *key = place + 2 * space;
    for (int64_t l = begin; l < end; l++) {
        const T *x = (const T *)w->x + l / inner * length * inner + l % inner;
        const int64_t out = l / inner * k * inner + l % inner;
        FN(list) list = { key, place }, other = { key + space, place + space };
        KEY most = MOST; /* that may come before the last of the first */
        int64_t n = 0;
        for (int64_t i = 0, few; i < length; i += few) {
            few = length - i < SOME ? length - i : SOME;
            KEY *here = list.key + n;
            if (inner == 1)
                for (int64_t c = 0; c < few; c++)
                    here[c] = FN(key)(x[i + c], largest);
            else
                for (int64_t c = 0; c < few; c++)
                    here[c] = FN(key)(x[(i + c) * inner], largest);
            for (int64_t c = 0; c < few; c++) {
                const KEY v = here[c];
                list.key[n] = v;
                list.place[n] = (KEY)(i + c);
                n += v <= most;
            }
            if (n < room && i + few < length)
                continue;
            if (n > SORTED_FEW)
                FN(sort_many)(&list, n, &other);
            else {
                FN(sort_few)(list, n, other);
                const FN(list) swapped = list;
                list = other;
                other = swapped;
            }
            n = k;
            if (list.key[n - 1] == -MOST - 1)
                break;
            most = list.key[n - 1] - 1;
        }
        T *value = (T *)w->value + out;
        int64_t *index = w->index + out;
        for (int64_t i = 0; i < k; i++) {
            const int64_t at = list.place[i];
            value[i * inner] = x[at * inner];
            index[i * inner] = at;
        }
    }
}
