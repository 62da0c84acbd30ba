/* From a PNG's inflated bytes to its samples: row filters and packed bits.
 * (PNG specification, sections 9 and 7.2.)
 *
 * Input is not trusted: sizes are checked against each other before anything is touched.
 */
#include "words.h"

#include <stdlib.h>

enum { DONE = 0, NO_MEMORY = -1, BAD_SIZE = -2 };
enum { NONE, SUB, UP, AVERAGE, PAETH };

/* Bytewise sum, without carries from one byte into the next. */
static inline uint64_t add_bytes(uint64_t a, uint64_t b) {
    return ((a & ~TOP_BITS) + (b & ~TOP_BITS)) ^ ((a ^ b) & TOP_BITS);
}

static inline uint8_t paeth(int left, int above, int corner) {
    int p = above - corner, q = left - corner;
    int to_left = abs(p), to_above = abs(q), to_corner = abs(p + q);
    if (to_left <= to_above && to_left <= to_corner) return (uint8_t)left;
    return (uint8_t)(to_above <= to_corner ? above : corner);
}

static void add_above(const uint8_t *in, const uint8_t *above, uint8_t *out, int64_t n) {
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC ivdep /* out may lie behind in, see segbench_unfilter: reads stay ahead of writes */
#endif
    for (int64_t i = 0; i < n; i++) out[i] = (uint8_t)(in[i] + above[i]);
}

/* One byte a pixel: palette, grey, and all packed bits. Where the residual is zero and the pixel to
 * the left and those above are of one value, so are the next eight (Paeth: whatever the corner is).
 */

static void sub_1(const uint8_t *in, uint8_t *out, int64_t n) {
    uint8_t left = 0;
    int64_t i = 0;
    for (; n - i >= WORD; i += WORD) {
        uint64_t sums = load(in + i);
        if (sums) { /* running sums by doubling */
            sums = add_bytes(sums, sums << 8);
            sums = add_bytes(sums, sums << 16);
            sums = add_bytes(sums, sums << 32);
        }
        store(out + i, add_bytes(sums, left * EACH_BYTE));
        left = out[i + WORD - 1];
    }
    for (; i < n; i++) out[i] = left = (uint8_t)(left + in[i]);
}

static void average_1(const uint8_t *in, const uint8_t *above, uint8_t *out, int64_t n) {
    uint8_t left = 0;
    for (int64_t i = 0; i < n;) {
        uint64_t same = left * EACH_BYTE;
        if (n - i >= WORD && load(in + i) == 0 && load(above + i) == same) {
            store(out + i, same);
            i += WORD;
        } else {
            int64_t end = n - i < WORD ? n : i + WORD;
            for (; i < end; i++) out[i] = left = (uint8_t)(in[i] + (left + above[i]) / 2);
        }
    }
}

static void paeth_1(const uint8_t *in, const uint8_t *above, uint8_t *out, int64_t n) {
    uint8_t left = 0, corner = 0;
    for (int64_t i = 0; i < n;) {
        uint64_t same = left * EACH_BYTE;
        if (n - i >= WORD && load(in + i) == 0 && load(above + i) == same) {
            store(out + i, same);
            i += WORD;
            corner = left;
        } else {
            int64_t end = n - i < WORD ? n : i + WORD;
            for (; i < end; i++) {
                out[i] = left = (uint8_t)(in[i] + paeth(left, above[i], corner));
                corner = above[i];
            }
        }
    }
}

/* Several bytes a pixel; n is a multiple of them. */

static void sub_n(const uint8_t *in, uint8_t *out, int64_t n, int64_t bpp) {
    for (int64_t i = 0; i < n; i++) out[i] = (uint8_t)(in[i] + (i < bpp ? 0 : out[i - bpp]));
}

static void average_n(const uint8_t *in, const uint8_t *above, uint8_t *out, int64_t n,
                      int64_t bpp) {
    for (int64_t i = 0; i < n; i++) {
        int left = i < bpp ? 0 : out[i - bpp];
        out[i] = (uint8_t)(in[i] + (left + above[i]) / 2);
    }
}

static void paeth_n(const uint8_t *in, const uint8_t *above, uint8_t *out, int64_t n, int64_t bpp) {
    for (int64_t i = 0; i < n; i++) {
        int predicted = i < bpp ? above[i] : paeth(out[i - bpp], above[i], above[i - bpp]);
        out[i] = (uint8_t)(in[i] + predicted);
    }
}

/* Undo the filters of rows.
 *
 * in: in_size = rows * (1 + row_bytes) bytes; out: out_size = rows * row_bytes, elsewhere or `in`
 * itself: a row's result then lies at least one byte before its data, and every loop reads a byte
 * or word of the data before it writes that of the result.
 * bpp: whole bytes a pixel, 1 for packed bits; 1 to 8, and row_bytes is a multiple of it.
 * Returns DONE, NO_MEMORY, BAD_SIZE, or the number (from 1) of a row with an unknown filter.
 */
EXPORT WIDE int64_t segbench_unfilter(const uint8_t *in, int64_t in_size, uint8_t *out,
                                      int64_t out_size, int64_t rows, int64_t row_bytes, int64_t bpp) {
    if (rows < 0 || row_bytes < 0 || row_bytes == INT64_MAX || bpp < 1 || bpp > 8) return BAD_SIZE;
    if (row_bytes % bpp || rows > in_size / (row_bytes + 1)) return BAD_SIZE;
    if (in_size != rows * (row_bytes + 1) || out_size != rows * row_bytes) return BAD_SIZE;
    if (rows == 0) return DONE; /* however long */
    uint8_t *zeros = calloc(1, (size_t)row_bytes + 1);
    if (!zeros) return NO_MEMORY;
    const uint8_t *above = zeros;
    int64_t status = DONE;
    for (int64_t y = 0; y < rows && status == DONE; y++) {
        uint8_t filter = *in++;
        if (filter == NONE) memmove(out, in, (size_t)row_bytes);
        else if (filter == SUB && bpp == 1) sub_1(in, out, row_bytes);
        else if (filter == SUB) sub_n(in, out, row_bytes, bpp);
        else if (filter == UP) add_above(in, above, out, row_bytes);
        else if (filter == AVERAGE && bpp == 1) average_1(in, above, out, row_bytes);
        else if (filter == AVERAGE) average_n(in, above, out, row_bytes, bpp);
        else if (filter == PAETH && bpp == 1) paeth_1(in, above, out, row_bytes);
        else if (filter == PAETH) paeth_n(in, above, out, row_bytes, bpp);
        else status = y + 1;
        above = out;
        in += row_bytes;
        out += row_bytes;
    }
    free(zeros);
    return status;
}

/* A byte's eight bits, highest first, as bytes 0 and 1. */
static inline uint64_t spread(uint8_t byte) {
    return nonzero(byte * EACH_BYTE & UINT64_C(0x0102040810204080)) >> 7;
}

/* One byte a sample, from 1, 2 or 4 bits, the highest bits first, each row in whole bytes.
 *
 * in: in_size = rows * ceil(columns * depth / 8) bytes; out: out_size = rows * columns bytes.
 * Returns DONE or BAD_SIZE.
 */
EXPORT int64_t segbench_unpack_bits(const uint8_t *in, int64_t in_size, uint8_t *out,
                                    int64_t out_size, int64_t rows, int64_t columns, int depth) {
    if (rows < 0 || columns < 0 || (depth != 1 && depth != 2 && depth != 4)) return BAD_SIZE;
    int64_t per_byte = 8 / depth;
    int64_t row_bytes = columns / per_byte + (columns % per_byte != 0);
    if (row_bytes && rows > in_size / row_bytes) return BAD_SIZE;
    if (in_size != rows * row_bytes || (columns && rows > INT64_MAX / columns)) return BAD_SIZE;
    if (out_size != rows * columns) return BAD_SIZE;
    if (columns == 0) return DONE; /* however many rows */
    for (int64_t y = 0; y < rows; y++, in += row_bytes, out += columns) {
        int64_t x = 0;
        if (depth == 1) {
            for (; columns - x >= BLOCK; x += BLOCK) { /* a block of pixels is a word of bits */
                uint64_t word = load(in + x / 8);
                if (word == 0 || ~word == 0) memset(out + x, (int)(word & 1), BLOCK);
                else
                    for (int i = 0; i < BLOCK; i += 8) store(out + x + i, spread(in[(x + i) / 8]));
            }
            for (; columns - x >= 8; x += 8) store(out + x, spread(in[x / 8]));
        }
        for (; x < columns; x++) {
            int64_t from_right = (per_byte - 1 - x % per_byte) * depth;
            out[x] = (uint8_t)(in[x / per_byte] >> from_right & ((1 << depth) - 1));
        }
    }
    return DONE;
}
