/* The worst images of a resample: sums over the first part of a list, as far as their weights go. */
#include "words.h"

/* For each row of weights, fill its share with images in their order and sum what they are worth.
 *
 * weights: rows x n_units, how often each unit was drawn; not negative.
 * units, values: n each, the unit of every image and its value, the worst first; units < n_units.
 * share: of each row, how much weight is summed; the last image counts with the part that fills it.
 * out: the sum of each row.
 */
EXPORT int64_t segbench_tail_sums(const double *weights, int64_t rows, int64_t n_units,
                                  const int64_t *units, const double *values, int64_t n,
                                  const double *share, double *out) {
    for (int64_t row = 0; row < rows; row++) {
        const double *weight = weights + row * n_units;
        double sum = 0, before = 0;
        for (int64_t i = 0; i < n; i++) {
            double left = share[row] - before, own = weight[units[i]];
            if (left <= 0) break;
            sum += (own < left ? own : left) * values[i];
            before += own;
        }
        out[row] = sum;
    }
    return 0;
}
