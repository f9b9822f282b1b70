/*
 * A region of 1024 bytes for values of all types: the interface of a small study of memory pools, over Millpond.
 *
 * As before: all functions return at once, nothing is printed, and -1 says that there is no room or that an argument makes
 * no sense. Gained: bytes that are freed are used again whatever the order they are freed in, free neighbours become one
 * piece, and every block is aligned for any type. One thread at a time.
 */
#ifndef MILLPOND_MEM_POOL_H
#define MILLPOND_MEM_POOL_H

#include <stddef.h>
#include <string.h>

#include "millpond.h"

/* What a block is for. */
enum m_pool_type { i8, i16, i32, i64, u8, u16, u32, u64, f32, f64, s /* a string */, ud /* a type of the user's */ };

/* The bytes that one pool hands out: payload alone, the pool's own books lie beside them. */
enum { M_POOL_SIZE = 1024 };

/* Zeros, or what pool_init has made of it. */
struct m_pool {
    mp_sign_post *blocks;
    size_t left; /* bytes that are not handed out */
};

/* A free block holds two links in front and its size behind. Room for them is added, so that they never lie where the
 * user's bytes were: these stay zero. */
enum { M_POOL_FRONT = 16, M_POOL_BACK = 8 };

/* Makes a pool. 0, or -1 if there is no memory. */
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

/* Lets *block point to `size` bytes, all of them zero. 0, or -1 and *block is as it was. */
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

/* Zeroes a block of `size` bytes, lets it be used again, and sets *block to NULL. */
static inline void pool_free(void **block, size_t size, struct m_pool *pool)
{
    if (pool == NULL || pool->blocks == NULL || block == NULL || *block == NULL)
        return;
    mp_sign_post_free(pool->blocks, (char *)*block - M_POOL_FRONT, M_POOL_FRONT + size + M_POOL_BACK, 0);
    pool->left += size;
    *block = NULL;
}

/* Gives all memory back. The pool may be made again. */
static inline void pool_destroy(struct m_pool *pool)
{
    if (pool == NULL || pool->blocks == NULL)
        return;
    mp_destroy(&pool->blocks->allocator);
    pool->blocks = NULL;
    pool->left = 0;
}

#endif
