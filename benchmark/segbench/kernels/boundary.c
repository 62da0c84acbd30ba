/* Exact Euclidean distances between the points of two maps, without a distance map.
 *
 * The points of each map are listed row by row. Sweeping down the rows, two rows are known for
 * each column: that of the nearest site above (or here) and that of the nearest site below (or
 * here). They change only where there is a site, so the sweep costs no more than the sites. The
 * squared distance of a query at (y, x) is then the least over the columns j of
 *
 *     ((j - x) * column_spacing)^2 + (rows to the nearer of the two in column j * row_spacing)^2
 *
 * searched outward from x until the first term alone is too much. The best column only moves right
 * from left to right along a row (for columns j < k, cost(j) - cost(k) grows with x), so the middle
 * query of a row is answered first and bounds the search for those on either side. The cost is
 * O(points * distance), and never more than O(height * width * log(width)), however far apart.
 *
 * float64 holds every integer up to 2^53: with unit spacing, squared distances are exact.
 */
#include "words.h"

#include <math.h>
#include <stdlib.h>

enum { DONE = 0, NO_ROOM = 1, NO_MEMORY = -1, BAD_ARGUMENT = -2 };

typedef struct {
    int64_t height, width;
    double row_spacing, column_spacing;
} Grid;

/* The points of a map in row-major order. */
typedef struct {
    int64_t *row_start; /* height + 1 offsets into column */
    int64_t *column;
    int64_t count, room;
} Points;

static int append(Points *points, int64_t column) {
    if (points->count == points->room) {
        int64_t room = 2 * points->room + 1024;
        int64_t *grown = realloc(points->column, (size_t)room * sizeof *grown);
        if (!grown) return NO_MEMORY;
        points->column = grown;
        points->room = room;
    }
    points->column[points->count++] = column;
    return DONE;
}

static void release(Points *points) {
    free(points->row_start);
    free(points->column);
}

/* A block of pixels and its surroundings; rows are padded, so that every pixel has neighbours. */
typedef struct {
    const uint8_t *above, *here, *below;
} Rows;

/* Whether a block surely holds no boundary pixel: all background, or all like its surroundings. */
static inline int is_uniform(Rows r) {
    uint8_t set[LANES] = {0}, different[LANES] = {0};
    for (int i = 0; i < BLOCK; i += LANES)
        for (int j = 0; j < LANES; j++) set[j] |= r.here[i + j];
    if (!any(set)) return 1;
    for (int i = 0; i < BLOCK; i += LANES)
        for (int j = 0; j < LANES; j++) {
            uint8_t here = r.here[i + j];
            different[j] |= (uint8_t)((here ^ r.above[i + j]) | (here ^ r.below[i + j]));
            different[j] |= (uint8_t)((here ^ r.here[i + j - 1]) | (here ^ r.here[i + j + 1]));
        }
    return !any(different);
}

static inline uint64_t foreground(Rows r) {
    uint8_t marked[BLOCK];
    for (int i = 0; i < BLOCK; i++) marked[i] = r.here[i] != 0;
    return block_bits(marked);
}

/* Foreground pixels that have a background pixel among their four neighbours. */
static inline uint64_t inner_boundary(Rows r) {
    uint8_t marked[BLOCK];
    for (int i = 0; i < BLOCK; i++) {
        int surrounded = (r.above[i] != 0) & (r.below[i] != 0);
        surrounded &= (r.here[i - 1] != 0) & (r.here[i + 1] != 0);
        marked[i] = (uint8_t)((r.here[i] != 0) & !surrounded);
    }
    return block_bits(marked);
}

static int find_points_of_row(Rows row, int64_t width, int boundary_only, Points *points) {
    for (int64_t x = 0; x < width; x += BLOCK) {
        Rows block = {row.above + x, row.here + x, row.below + x};
        if (boundary_only && is_uniform(block)) continue;
        uint64_t bits = boundary_only ? inner_boundary(block) : foreground(block);
        for (; bits; bits &= bits - 1)
            if (append(points, x + first_bit(bits)) != DONE) return NO_MEMORY;
    }
    return DONE;
}

/* List the pixels of a map that are not zero, or of these only the inner boundary. */
static int find_points(const uint8_t *map, const Grid *grid, int boundary_only, Points *points) {
    int64_t height = grid->height, width = grid->width;
    int64_t stride = (width + BLOCK - 1) / BLOCK * BLOCK + 2 * BLOCK;
    uint8_t *padded = calloc(3, (size_t)stride); /* row y is at y % 3, between zeros */
    points->row_start = calloc((size_t)height + 1, sizeof *points->row_start);
    int status = padded && points->row_start ? DONE : NO_MEMORY;
    if (status == DONE && height > 0) memcpy(padded + BLOCK, map, (size_t)width);
    for (int64_t y = 0; y < height && status == DONE; y++) {
        uint8_t *above = padded + (y + 2) % 3 * stride + BLOCK; /* still zero for the first row */
        uint8_t *here = padded + y % 3 * stride + BLOCK;
        uint8_t *below = padded + (y + 1) % 3 * stride + BLOCK;
        if (y + 1 < height)
            memcpy(below, map + (y + 1) * width, (size_t)width);
        else
            memset(below, 0, (size_t)width);
        status = find_points_of_row((Rows){above, here, below}, width, boundary_only, points);
        points->row_start[y + 1] = points->count;
    }
    free(padded);
    return status;
}

#define NOWHERE (INT64_MAX / 4) /* the row of a site that does not exist; its square is finite */

/* What is known of the sites while the sweep is at row y. */
typedef struct {
    int64_t y;
    int64_t *above, *below; /* for each column, row of the nearest site up and down from y */
    double row_weight, column_weight; /* squared spacings */
} Sweep;

/* The best column so far for a query, and its squared distance. */
typedef struct {
    double squared;
    int64_t column;
} Best;

/* Try a column that is `offset` columns away; 0 if no column so far away can be better. */
static inline int try_column(const Sweep *s, int64_t column, int64_t offset, Best *best) {
    double across = s->column_weight * ((double)offset * (double)offset);
    if (!(across < best->squared)) return 0;
    int64_t up = s->y - s->above[column], down = s->below[column] - s->y;
    double rows = (double)(up < down ? up : down);
    double squared = across + s->row_weight * (rows * rows);
    if (squared < best->squared) *best = (Best){squared, column};
    return 1;
}

/* The nearest site to column x of the sweep's row, of those in the columns lo to hi. */
static Best nearest(const Sweep *s, int64_t x, int64_t lo, int64_t hi) {
    Best best = {INFINITY, lo};
    int64_t right = x < lo ? lo : x;
    int64_t left = x > hi ? hi : x - 1;
    int more_right, more_left;
    do {
        more_right = right <= hi && try_column(s, right, right - x, &best);
        more_left = left >= lo && try_column(s, left, x - left, &best);
        right += more_right;
        left -= more_left;
    } while (more_right || more_left);
    return best;
}

/* Distances of the n queries of one row, whose best columns are known to lie from lo to hi. */
static void answer(const Sweep *s, const int64_t *x, int64_t n, int64_t lo, int64_t hi,
                   double *out) {
    while (n > 0) {
        int64_t middle = n / 2;
        Best best = nearest(s, x[middle], lo, hi);
        out[middle] = sqrt(best.squared);
        answer(s, x, middle, lo, best.column, out);
        x += middle + 1;
        out += middle + 1;
        n -= middle + 1;
        lo = best.column;
    }
}

/* Distance from each query to the nearest site; infinity where there is none. */
static int distances(const Points *queries, const Points *sites, const Grid *grid, double *out) {
    if (sites->count == 0) {
        for (int64_t i = 0; i < queries->count; i++) out[i] = INFINITY;
        return DONE;
    }
    int64_t width = grid->width;
    int64_t *scratch = malloc((size_t)(2 * width + sites->count) * sizeof *scratch);
    if (!scratch) return NO_MEMORY;
    Sweep s = {
        .above = scratch,
        .below = scratch + width,
        .row_weight = grid->row_spacing * grid->row_spacing,
        .column_weight = grid->column_spacing * grid->column_spacing,
    };
    int64_t *after = scratch + 2 * width; /* for each site, row of the next one in its column */
    int64_t lo = width, hi = -1;          /* the columns that have sites */
    for (int64_t x = 0; x < width; x++) s.above[x] = -NOWHERE, s.below[x] = NOWHERE;
    for (int64_t y = grid->height - 1; y >= 0; y--)
        for (int64_t i = sites->row_start[y]; i < sites->row_start[y + 1]; i++) {
            int64_t x = sites->column[i];
            after[i] = s.below[x];
            s.below[x] = y;
            if (x < lo) lo = x;
            if (x > hi) hi = x;
        }
    for (s.y = 0; s.y < grid->height; s.y++) {
        int64_t first = sites->row_start[s.y], end = sites->row_start[s.y + 1];
        for (int64_t i = first; i < end; i++) s.above[sites->column[i]] = s.y;
        int64_t query = queries->row_start[s.y], n = queries->row_start[s.y + 1] - query;
        answer(&s, queries->column + query, n, lo, hi, out + query);
        for (int64_t i = first; i < end; i++) s.below[sites->column[i]] = after[i];
    }
    free(scratch);
    return DONE;
}

/* Distance from each point of one map to the nearest point of the other, both ways.
 *
 * a, b: height x width, zero is background. Points are the foreground pixels, or (boundary_only)
 * those with a background pixel among their four neighbours; outside of the map is background.
 * from_a, from_b: room for `room` distances each, in row-major order of the points; infinity where
 * the other map has no point. n_a, n_b: the number of points, also if there is no room for them.
 * Returns DONE, NO_ROOM, NO_MEMORY or BAD_ARGUMENT.
 */
EXPORT int64_t segbench_distances(const uint8_t *a, const uint8_t *b, int64_t height, int64_t width,
                                  int boundary_only, double row_spacing, double column_spacing,
                                  double *from_a, double *from_b, int64_t room, int64_t *n_a,
                                  int64_t *n_b) {
    if (height < 0 || width < 0 || !(row_spacing > 0) || !(column_spacing > 0)) return BAD_ARGUMENT;
    Grid grid = {height, width, row_spacing, column_spacing};
    Points in_a = {0}, in_b = {0};
    int status = find_points(a, &grid, boundary_only, &in_a);
    if (status == DONE) status = find_points(b, &grid, boundary_only, &in_b);
    *n_a = in_a.count;
    *n_b = in_b.count;
    if (status == DONE && (in_a.count > room || in_b.count > room)) status = NO_ROOM;
    if (status == DONE) status = distances(&in_a, &in_b, &grid, from_a);
    if (status == DONE) status = distances(&in_b, &in_a, &grid, from_b);
    release(&in_a);
    release(&in_b);
    return status;
}
