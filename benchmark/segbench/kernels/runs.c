/* A label map from its runs. */
#include "words.h"

enum { DONE = 0, BAD_SIZE = -2 };

/* Write each value up to (not with) its end.
 *
 * values, ends: n_runs each; the ends must rise from above 0 to n, or nothing more is written.
 * out: n bytes. Returns DONE or BAD_SIZE.
 */
EXPORT int64_t segbench_fill_runs(const uint8_t *values, const uint32_t *ends, int64_t n_runs,
                                  uint8_t *out, int64_t n) {
    int64_t start = 0;
    for (int64_t i = 0; i < n_runs; i++) {
        int64_t end = ends[i];
        if (end <= start || end > n) return BAD_SIZE;
        memset(out + start, values[i], (size_t)(end - start));
        start = end;
    }
    return start == n ? DONE : BAD_SIZE;
}
