/* Eight bytes at a time: what the kernels share.
 *
 * A word holds eight neighbouring bytes, the first in its lowest bits on every machine. "Flags" are
 * words in which only the top bit of a byte may be set.
 */
#ifndef SEGBENCH_WORDS_H
#define SEGBENCH_WORDS_H

#include <stdint.h>
#include <string.h>

#if defined(_WIN32)
#define EXPORT __declspec(dllexport)
#elif defined(__GNUC__)
#define EXPORT __attribute__((visibility("default")))
#else
#define EXPORT
#endif

/* Before a function whose loops gain from wider vectors: GCC compiles it twice and the loader takes
 * the version that the processor has. Both do the same to the last bit: they only handle integers. */
#if defined(__x86_64__) && defined(__gnu_linux__) && defined(__GLIBC__) && defined(__GNUC__) && \
    !defined(__clang__) && !defined(__SANITIZE_ADDRESS__)
#define WIDE __attribute__((target_clones("avx2", "default"), flatten))
#else
#define WIDE
#endif

#define WORD 8   /* bytes in a word */
#define BLOCK 64 /* bytes that are looked at together */
#define LANES 16 /* bytes of a block that compilers handle in one vector */

#define EACH_BYTE UINT64_C(0x0101010101010101) /* times a byte: that byte eight times */
#define TOP_BITS UINT64_C(0x8080808080808080)

static inline uint64_t load(const uint8_t *p) {
    uint64_t word;
    memcpy(&word, p, WORD);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

static inline void store(uint8_t *p, uint64_t word) {
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    memcpy(p, &word, WORD);
}

/* Whether any of the lanes is not zero. */
static inline int any(const uint8_t lanes[LANES]) {
    return (load(lanes) | load(lanes + WORD)) != 0;
}

/* Flags of the bytes that are not zero. */
static inline uint64_t nonzero(uint64_t word) {
    return (((word & ~TOP_BITS) + ~TOP_BITS) | word) & TOP_BITS;
}

/* One bit for each byte of a block of zeros and ones, the first in the lowest bit. */
static inline uint64_t block_bits(const uint8_t *zeros_and_ones) {
    uint64_t bits = 0;
    for (int i = 0; i < BLOCK; i += WORD) /* the product gathers a word's bits in its top byte */
        bits |= (load(zeros_and_ones + i) * UINT64_C(0x0102040810204080) >> 56) << i;
    return bits;
}

/* Index of the first bit that is set; bits must not be 0. */
static inline int first_bit(uint64_t bits) {
#if defined(__GNUC__)
    return __builtin_ctzll(bits);
#else
    int i = 0;
    for (; !(bits & 1); bits >>= 1) i++;
    return i;
#endif
}

#endif
