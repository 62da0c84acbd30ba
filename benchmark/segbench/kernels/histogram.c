/* Joint histogram of two label maps, by runs; or of one that is given as runs and another.
 *
 * Masks are long runs of one pair of values. Only where either map changes is anything counted, so
 * the cost is that of reading the two maps once, plus a little for each change.
 */
#include "words.h"

#include <stdlib.h>

typedef struct {
    int64_t *table; /* 65536 counts, indexed by reference << 8 | prediction */
    int64_t *pairs; /* the pairs met, in order of appearance */
    int64_t n_pairs;
} Histogram;

static inline void add(Histogram *h, uint8_t reference, uint8_t prediction, int64_t pixels) {
    int pair = reference << 8 | prediction;
    if (h->table[pair] == 0) h->pairs[h->n_pairs++] = pair;
    h->table[pair] += pixels;
}

static int by_value(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Whether a block of both maps holds nothing but these two values. */
static inline int is_all(const uint8_t *a, const uint8_t *b, uint8_t value_a, uint8_t value_b) {
    uint8_t different[LANES] = {0};
    for (int i = 0; i < BLOCK; i += LANES)
        for (int j = 0; j < LANES; j++)
            different[j] |= (uint8_t)((a[i + j] ^ value_a) | (b[i + j] ^ value_b));
    return !any(different);
}

/* Bits of the pixels of a block that differ from the pixel before them, in either map. */
static inline uint64_t changes(const uint8_t *a, const uint8_t *b) {
    uint8_t changed[BLOCK];
    for (int i = 0; i < BLOCK; i++) changed[i] = (a[i] != a[i - 1]) | (b[i] != b[i - 1]);
    return block_bits(changed);
}

/* Fill pairs (rising) and pixels; make the table zero again. Returns how many pairs there are. */
static int64_t gather(Histogram *h, int64_t *pixels) {
    qsort(h->pairs, (size_t)h->n_pairs, sizeof *h->pairs, by_value);
    for (int64_t k = 0; k < h->n_pairs; k++) {
        pixels[k] = h->table[h->pairs[k]];
        h->table[h->pairs[k]] = 0;
    }
    return h->n_pairs;
}

/* Count the pairs (a[i], b[i]), i < n.
 *
 * table: 65536 zeros, and zeros again on return: scratch that can be used for the next call.
 * pairs, pixels: room for 65536 each; the pairs a << 8 | b that occur, rising, and how often.
 * Returns how many pairs occur.
 */
EXPORT WIDE int64_t segbench_joint_pairs(const uint8_t *a, const uint8_t *b, int64_t n,
                                         int64_t *table, int64_t *pairs, int64_t *pixels) {
    if (n <= 0) return 0;
    Histogram h = {table, pairs, 0};
    int64_t start = 0; /* of the current run */
    int64_t i = 1;
    while (n - i >= BLOCK) {
        uint8_t value_a = a[start], value_b = b[start];
        while (n - i >= BLOCK && is_all(a + i, b + i, value_a, value_b)) i += BLOCK;
        if (n - i < BLOCK) break;
        for (uint64_t bits = changes(a + i, b + i); bits; bits &= bits - 1) {
            int64_t end = i + first_bit(bits);
            add(&h, a[start], b[start], end - start);
            start = end;
        }
        i += BLOCK;
    }
    for (; i < n; i++) {
        if (a[i] == a[start] && b[i] == b[start]) continue;
        add(&h, a[start], b[start], i - start);
        start = i;
    }
    add(&h, a[start], b[start], n - start);
    return gather(&h, pixels);
}

typedef struct {
    const uint8_t *values;
    const uint32_t *ends;
    int64_t n, next; /* how many, and the first that is not yet used up */
    int64_t start;   /* the first pixel that is not yet counted */
} Runs;

/* Count the pixels up to stop, where the other map has one value. */
static inline void add_until(Histogram *h, Runs *a, int64_t stop, uint8_t value_b) {
    for (; a->next < a->n && a->ends[a->next] <= stop; a->start = a->ends[a->next++])
        add(h, a->values[a->next], value_b, a->ends[a->next] - a->start);
    if (a->start < stop) add(h, a->values[a->next], value_b, stop - a->start);
    a->start = stop;
}

static inline int is_one(const uint8_t *b, uint8_t value) {
    uint8_t different[LANES] = {0};
    for (int i = 0; i < BLOCK; i += LANES)
        for (int j = 0; j < LANES; j++) different[j] |= (uint8_t)(b[i + j] ^ value);
    return !any(different);
}

/* As segbench_joint_pairs, with the first map as runs: only the second is read pixel by pixel.
 *
 * values, ends: n_runs each; the ends must rise from above 0 to n, or BAD_RUNS is returned.
 */
EXPORT WIDE int64_t segbench_joint_pairs_of_runs(const uint8_t *values, const uint32_t *ends,
                                                 int64_t n_runs, const uint8_t *b, int64_t n,
                                                 int64_t *table, int64_t *pairs, int64_t *pixels) {
    enum { BAD_RUNS = -2 };
    int64_t end = 0;
    for (int64_t k = 0; k < n_runs; end = ends[k++])
        if (ends[k] <= end) return BAD_RUNS;
    if (end != n) return BAD_RUNS;
    if (n == 0) return 0;
    Histogram h = {table, pairs, 0};
    Runs a = {values, ends, n_runs, 0, 0};
    int64_t i = 1;
    uint8_t value = b[0]; /* of the current run of b */
    while (n - i >= BLOCK) {
        while (n - i >= BLOCK && is_one(b + i, value)) i += BLOCK;
        if (n - i < BLOCK) break;
        uint8_t changed[BLOCK];
        for (int j = 0; j < BLOCK; j++) changed[j] = b[i + j] != b[i + j - 1];
        for (uint64_t bits = block_bits(changed); bits; bits &= bits - 1) {
            int64_t stop = i + first_bit(bits);
            add_until(&h, &a, stop, value);
            value = b[stop];
        }
        i += BLOCK;
    }
    for (; i < n; i++) {
        if (b[i] == value) continue;
        add_until(&h, &a, i, value);
        value = b[i];
    }
    add_until(&h, &a, n, value);
    return gather(&h, pixels);
}
