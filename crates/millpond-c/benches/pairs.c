/*
 * Measures single blocks in four patterns, from each pool behind a call; all pools take turns within one run. Prints
 * the median time of a pair (allocate, free) over all rounds, in nanoseconds, and the median of its ratios to the
 * hand-written list, computed per round. The last pattern is the lifetime of a pool: it is created, hands out 10,000
 * blocks, and is destroyed with all of them (malloc has to free each block). Chunks have 1,024 blocks, where that
 * can be configured: larger ones come from the system and are returned to it.
 *
 *     pairs [ROUNDS [HOW IT IS LINKED [FILE]]]
 *
 * If a file is given, the same results are appended to it as lines of CSV.
 */
#define _POSIX_C_SOURCE 200809L
#include <millpond.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "hand.h"

enum { SIZE = 64, BATCH = 500, TIMES = 400, MANY = 10000, LIVES = BATCH * TIMES / MANY };

static void *millpond_make(size_t size) {
    return mp_blocks_create(MP_OPTIONS(mp_blocks_options, .block_size = size, .blocks_per_chunk = 1024));
}
static void millpond_unmake(void *pool) { mp_destroy(&((mp_blocks *)pool)->allocator); }
#define millpond_destroy millpond_unmake
#define millpond_create millpond_make
#define millpond_alloc mp_blocks_alloc
#define millpond_free mp_blocks_free

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static void *blocks[MANY];
static const bool hand_frees = false, millpond_frees = false, boost_frees = false, foonathan_frees = false, libc_frees = true;

/* Allocate and free one block; allocate many and free them in reverse order; the same in the same order. */
#define MEASURE(peer)                                             \
    static double peer##_pair(void *pool) {                       \
        double start = now();                                     \
        for (int i = 0; i < BATCH * TIMES; i++)                   \
            peer##_free(pool, peer##_alloc(pool));                \
        return now() - start;                                     \
    }                                                             \
    static double peer##_lifo(void *pool) {                       \
        double start = now();                                     \
        for (int t = 0; t < TIMES; t++) {                         \
            for (int i = 0; i < BATCH; i++)                       \
                blocks[i] = peer##_alloc(pool);                   \
            for (int i = BATCH; i-- > 0;)                         \
                peer##_free(pool, blocks[i]);                     \
        }                                                         \
        return now() - start;                                     \
    }                                                             \
    static double peer##_fifo(void *pool) {                       \
        double start = now();                                     \
        for (int t = 0; t < TIMES; t++) {                         \
            for (int i = 0; i < BATCH; i++)                       \
                blocks[i] = peer##_alloc(pool);                   \
            for (int i = 0; i < BATCH; i++)                       \
                peer##_free(pool, blocks[i]);                     \
        }                                                         \
        return now() - start;                                     \
    }                                                             \
    static double peer##_life(void *unused) {                     \
        (void)unused;                                             \
        double start = now();                                     \
        for (int t = 0; t < LIVES; t++) {                         \
            void *pool = peer##_create(SIZE);                     \
            for (int i = 0; i < MANY; i++)                        \
                *(char *)(blocks[i] = peer##_alloc(pool)) = 1;    \
            for (int i = 0; peer##_frees && i < MANY; i++)        \
                peer##_free(pool, blocks[i]);                     \
            peer##_destroy(pool);                                 \
        }                                                         \
        return now() - start;                                     \
    }
PEERS(MEASURE)

#define ROW(peer) {#peer, peer##_create, {peer##_pair, peer##_lifo, peer##_fifo, peer##_life}},
enum { PATTERNS = 4 };
static const struct {
    const char *name;
    void *(*create)(size_t);
    double (*patterns[PATTERNS])(void *);
} peers[] = {PEERS(ROW)};

enum { COUNT = sizeof peers / sizeof *peers };

static const char *const titles[PATTERNS] = {"pair", "500, LIFO", "500, FIFO", "10,000, life"};

static int ascending(const void *one, const void *other) {
    double a = *(const double *)one, b = *(const double *)other;
    return (a > b) - (a < b);
}

/* Sorts the values; writes the median and the quartiles. */
static void spread(double *values, int many, double *found) {
    qsort(values, (size_t)many, sizeof *values, ascending);
    found[0] = values[many / 2];
    found[1] = values[(many - 1) / 4];
    found[2] = values[(many - 1) * 3 / 4];
}

int main(int count, char **arguments) {
    int rounds = count > 1 ? atoi(arguments[1]) : 200;
    const char *linked = count > 2 ? arguments[2] : "";
    FILE *csv = count > 3 ? fopen(arguments[3], "a") : NULL;
    void *pools[COUNT];
    double *times = rounds > 0 ? malloc(sizeof(double) * COUNT * PATTERNS * 2 * (size_t)rounds) : NULL;
    double *scratch = times ? times + COUNT * PATTERNS * rounds : NULL;
    if (!times)
        return 1;
    for (int peer = 0; peer < COUNT; peer++) {
        pools[peer] = peers[peer].create(SIZE);
        if (!pools[peer])
            return 1;
        for (int pattern = 0; pattern < PATTERNS; pattern++)
            peers[peer].patterns[pattern](pools[peer]);
    }
    for (int round = 0; round < rounds; round++)
        for (int pattern = 0; pattern < PATTERNS; pattern++)
            for (int turn = 0; turn < COUNT; turn++) {
                int peer = (turn + round) % COUNT;
                double time = peers[peer].patterns[pattern](pools[peer]);
                times[(peer * PATTERNS + pattern) * rounds + round] = time / (BATCH * TIMES);
            }
    printf("%-18s", "");
    for (int pattern = 0; pattern < PATTERNS; pattern++)
        printf(" %13s", titles[pattern]);
    for (int peer = 0; peer < COUNT; peer++) {
        const char *name = peer == 0 ? "hand-written list" : peers[peer].name;
        printf("\n%-18s", name);
        for (int pattern = 0; pattern < PATTERNS; pattern++) {
            const double *mine = times + (peer * PATTERNS + pattern) * rounds, *base = times + pattern * rounds;
            double time[3], ratio[3];
            for (int round = 0; round < rounds; round++)
                scratch[round] = mine[round] / base[round];
            spread(scratch, rounds, ratio);
            memcpy(scratch, mine, sizeof *mine * (size_t)rounds);
            spread(scratch, rounds, time);
            printf("  %5.2f %5.2fx", time[0], ratio[0]);
            if (csv)
                fprintf(csv, "c,c,\"%s, %s\",%s,time,ns,%.3f,%.3f,%.3f,%.3f,%.3f,%.3f,%d\n", linked, titles[pattern],
                        name, time[0], time[1], time[2], ratio[0], ratio[1], ratio[2], rounds);
        }
    }
    printf("\n");
    if (csv)
        fclose(csv);
    free(times);
    return 0;
}
