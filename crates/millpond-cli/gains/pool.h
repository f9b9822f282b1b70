/* A pool for a whole program, whose block sizes are SIZES, if the environment variable ALLOCATOR is "pool". If it is "sized",
   the functions below take blocks from malloc, with their sizes in front as in the pool. */
#ifndef POOL_H
#define POOL_H

#include <millpond.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is in front of each block if the program does not say the size when it frees one. */
#ifndef HEADER
#define HEADER 0
#endif

static mp_classes *pool;
/* Whether the functions below are used. */
static int is_changed;

/* Makes the pool if it was chosen. */
static void choose(void) {
    static const size_t sizes[] = {SIZES};
    const char *allocator = getenv("ALLOCATOR");
    is_changed = allocator && (!strcmp(allocator, "pool") || (HEADER && !strcmp(allocator, "sized")));
    if (!is_changed || !strcmp(allocator, "sized"))
        return;
    pool = mp_classes_create(MP_OPTIONS(mp_classes_options, .sizes = sizes, .size_count = sizeof sizes / sizeof *sizes));
    if (!pool) {
        fprintf(stderr, "%s\n", mp_last_detail());
        exit(1);
    }
}

#if HEADER

static inline void *pool_malloc(size_t size) {
    char *block = pool ? mp_classes_alloc(pool, size + HEADER, 8) : malloc(size + HEADER);
    if (!block)
        return NULL;
    memcpy(block, &size, sizeof size);
    return block + HEADER;
}

static inline size_t pool_size(void *block) {
    size_t size;
    memcpy(&size, (char *)block - HEADER, sizeof size);
    return size;
}

static inline void pool_free(void *block) {
    if (!block)
        return;
    if (pool)
        mp_classes_free(pool, (char *)block - HEADER, pool_size(block) + HEADER, 8);
    else
        free((char *)block - HEADER);
}

static inline void *pool_realloc(void *block, size_t size) {
    if (!block)
        return pool_malloc(size);
    char *start = (char *)block - HEADER;
    char *moved = pool ? mp_realloc(&pool->allocator, start, pool_size(block) + HEADER, size + HEADER, 8, 0)
                       : realloc(start, size + HEADER);
    if (!moved)
        return NULL;
    memcpy(moved, &size, sizeof size);
    return moved + HEADER;
}

static inline void *pool_calloc(size_t count, size_t size) {
    if (size && count > SIZE_MAX / 2 / size)
        return NULL;
    void *block = pool_malloc(count * size);
    return block ? memset(block, 0, count * size) : NULL;
}

#endif
#endif
