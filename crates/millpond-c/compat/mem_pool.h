/*
 * A region of 1024 bytes for values of all types: the interface of a small study of memory pools, implemented with
 * Millpond.
 *
 * The same: all functions return at once, nothing is printed, and -1 means that there is no space or that an
 * argument is invalid. Improved: freed bytes are reused in whatever order they are freed, free neighbours are
 * merged, and every block is aligned for any type. One thread at a time.
 */
#ifndef MILLPOND_MEM_POOL_H
#define MILLPOND_MEM_POOL_H

#include <stddef.h>
#include <string.h>

#include "millpond.h"

/* The type of the values in a block. */
enum m_pool_type { i8, i16, i32, i64, u8, u16, u32, u64, f32, f64, s /* a string */, ud /* a user-defined type */ };

/* Bytes that one pool hands out: payload only; the pool's bookkeeping is separate. */
enum { M_POOL_SIZE = 1024 };

/* A pool: all zeros, or initialised by pool_init. */
struct m_pool {
    mp_sign_post *blocks;
    size_t left; /* bytes that are not handed out */
};

/* A free block contains two links at its start and its size at its end. Space for them is added, so that they never
 * overwrite the user's bytes, which stay zero. */
enum { M_POOL_FRONT = 16, M_POOL_BACK = 8 };

/* Initialises a pool. Returns 0, or -1 if there is no memory. */
static inline int pool_init(struct m_pool *pool)
{
    mp_sign_post_options options;
    if (pool == NULL)
        return -1;
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    options.wiping = true;
    pool->blocks = mp_sign_post_create(&options);
    pool->left = pool->blocks == NULL ? 0 : (size_t)M_POOL_SIZE;
    return pool->blocks == NULL ? -1 : 0;
}

/* Allocates `size` zeroed bytes and stores their address in *block. Returns 0; on failure, returns -1 and leaves
 * *block unchanged. */
static inline int pool_alloc(struct m_pool *pool, void **block, size_t size, enum m_pool_type type)
{
    char *start;
    if (pool == NULL || pool->blocks == NULL || block == NULL || type > ud || size == 0 || size > pool->left)
        return -1;
    start = (char *)mp_sign_post_alloc(pool->blocks, M_POOL_FRONT + size + M_POOL_BACK, 0);
    if (start == NULL)
        return -1;
    pool->left -= size;
    *block = start + M_POOL_FRONT;
    return 0;
}

/* Zeroes and frees a block of `size` bytes, and sets *block to NULL. */
static inline void pool_free(void **block, size_t size, struct m_pool *pool)
{
    if (pool == NULL || pool->blocks == NULL || block == NULL || *block == NULL)
        return;
    mp_sign_post_free(pool->blocks, (char *)*block - M_POOL_FRONT, M_POOL_FRONT + size + M_POOL_BACK, 0);
    pool->left += size;
    *block = NULL;
}

/* Releases all memory. The pool may be initialised again. */
static inline void pool_destroy(struct m_pool *pool)
{
    if (pool == NULL || pool->blocks == NULL)
        return;
    mp_destroy(&pool->blocks->allocator);
    pool->blocks = NULL;
    pool->left = 0;
}

#endif
