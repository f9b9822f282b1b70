/* What all planted programs share: a seed and a number from the command line, and random numbers. */
#ifndef PLANTED_H
#define PLANTED_H
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define SITE __attribute__((noinline))

static uint64_t state = 1;
static int amount = 20000;

static inline void start(int count, char **arguments) {
    if (count > 1)
        state = 0x9E3779B97F4A7C15u * (uint64_t)(atoi(arguments[1]) + 1);
    if (count > 2)
        amount = atoi(arguments[2]);
}

/* The generator of Marsaglia (xorshift), below a limit. */
static inline int below(int limit) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (int)(state % (uint64_t)limit);
}

/* Writes to a block, so that no compiler leaves it out. */
static inline void *touch(void *block, size_t size) {
    ((volatile char *)block)[0] = 1;
    ((volatile char *)block)[size - 1] = 1;
    return block;
}

/* Blocks that are replaced in random order. */
struct table {
    void **slots;
    int count;
};

static inline struct table table_of(int count) {
    struct table table = {(void **)calloc((size_t)count, sizeof(void *)), count};
    return table;
}

static inline void clear(struct table *table) {
    for (int at = 0; at < table->count; at++)
        free(table->slots[at]);
    free(table->slots);
}
#endif
