/*
 * The pool allocator of the Goo runtime, implemented with Millpond: chunks of one size, carved from blocks that the
 * parent provides.
 *
 * The same: one thread at a time; a reallocation succeeds only if the new size fits a chunk. Improved: chunks have
 * no header; chunks are carved from a new block as they are needed, not added to a list; the time of a reset does
 * not depend on the number of chunks. Goo calls a Millpond block a chunk, and a Millpond chunk a block.
 */
#ifndef MILLPOND_GOO_POOL_ALLOCATOR_H
#define MILLPOND_GOO_POOL_ALLOCATOR_H

#include "goo_allocator.h"

/* A Goo allocator as a parent for Millpond. */
typedef struct GooParent {
    mp_allocator head;
    mp_table table;
    GooAllocator *allocator;
    GooAllocator *child; /* the allocator whose reserved bytes are counted */
} GooParent;

typedef struct GooPoolAllocator {
    GooAllocator allocator; /* the pool as an allocator */
    GooAllocator *parent;
    GooParent source; /* the parent as Millpond's pool sees it */
    mp_blocks *blocks;
    size_t chunk_size; /* as asked for */
    size_t alignment;
    size_t stride; /* bytes in a chunk: its size, rounded up */
} GooPoolAllocator;

/* ---- The parent ----------------------------------------------------------------------------------------------------- */

static inline void *goo_parent_alloc(mp_allocator *self, size_t size, size_t align, mp_flags flags)
{
    GooParent *parent = (GooParent *)self;
    GooAllocOptions options = (flags & MP_ZERO) != 0 ? GOO_ALLOC_ZERO : GOO_ALLOC_DEFAULT;
    void *memory = parent->allocator->alloc(parent->allocator, size, align, options);
    if (memory == NULL)
        mp_set_error(MP_ERR_EXHAUSTED);
    else
        parent->child->stats.bytes_reserved += size;
    return memory;
}

/* Allocates the preferred size or nothing: blocks have exactly the specified number of chunks. */
static inline void *goo_parent_alloc_between(mp_allocator *self, size_t least, size_t preferred, size_t align,
                                             size_t *got)
{
    (void)least;
    *got = preferred;
    return goo_parent_alloc(self, preferred, align, 0);
}

static inline void goo_parent_free(mp_allocator *self, void *block, size_t size, size_t align)
{
    GooParent *parent = (GooParent *)self;
    parent->allocator->free(parent->allocator, block, size, align);
    parent->child->stats.bytes_reserved -= size;
}

/* Initialises a parent from an allocator, for a pool on it. */
static inline void goo_parent_init(GooParent *self, GooAllocator *allocator, GooAllocator *child)
{
    memset(self, 0, sizeof *self);
    self->table.struct_size = sizeof self->table;
    self->table.name = "goo";
    self->table.alloc = goo_parent_alloc;
    self->table.alloc_between = goo_parent_alloc_between;
    self->table.free = goo_parent_free;
    self->head.table = &self->table;
    self->allocator = allocator;
    self->child = child;
}

/* ---- The pool ------------------------------------------------------------------------------------------------------- */

static inline void *pool_alloc(GooAllocator *self, size_t size, size_t alignment, GooAllocOptions options)
{
    GooPoolAllocator *pool = (GooPoolAllocator *)self;
    int attempts = 0;
    void *chunk = NULL;
    bool fits = size <= pool->chunk_size && alignment <= pool->alignment;
    do {
        if (fits)
            chunk = mp_blocks_alloc(pool->blocks);
        else
            mp_set_error(MP_ERR_UNSUPPORTED);
    } while (chunk == NULL && goo_try_again(self, fits ? ++attempts : 2, options));
    if (chunk == NULL)
        return NULL;
    if (((int)options & GOO_ALLOC_ZERO) != 0)
        memset(chunk, 0, pool->chunk_size);
    goo_count_alloc(self, size);
    return chunk;
}

static inline void pool_free(GooAllocator *self, void *ptr, size_t size, size_t alignment)
{
    (void)alignment;
    if (ptr == NULL)
        return;
    mp_blocks_free(((GooPoolAllocator *)self)->blocks, ptr);
    goo_count_free(self, size);
}

/* Returns the same chunk if the new size fits; otherwise returns NULL, and the chunk stays live. For size 0, frees
 * the chunk. */
static inline void *pool_realloc(GooAllocator *self, void *ptr, size_t old_size, size_t new_size, size_t alignment,
                                 GooAllocOptions options)
{
    GooPoolAllocator *pool = (GooPoolAllocator *)self;
    if (ptr == NULL)
        return pool_alloc(self, new_size, alignment, options);
    if (new_size == 0) {
        pool_free(self, ptr, old_size, alignment);
        return NULL;
    }
    if (new_size > pool->chunk_size || alignment > pool->alignment)
        return NULL;
    if (new_size > old_size && ((int)options & GOO_ALLOC_ZERO) != 0)
        memset((char *)ptr + old_size, 0, new_size - old_size);
    goo_count_resize(self, old_size, new_size);
    return ptr;
}

static inline void pool_destroy(GooAllocator *self)
{
    GooPoolAllocator *pool = (GooPoolAllocator *)self;
    GooAllocator *parent = pool->parent;
    mp_destroy(&pool->blocks->allocator);
    parent->free(parent, pool, sizeof *pool, MP_DEFAULT_ALIGN);
}

/* Creates a pool and allocates its first block; returns NULL if an argument is invalid or there is no memory. */
static inline GooPoolAllocator *goo_pool_make(GooAllocator *parent, mp_blocks_options options, size_t chunk_size)
{
    GooPoolAllocator *pool;
    void *first;
    if (chunk_size == 0)
        return NULL;
    pool = (GooPoolAllocator *)parent->alloc(parent, sizeof *pool, MP_DEFAULT_ALIGN, GOO_ALLOC_ZERO);
    if (pool == NULL)
        return NULL;
    pool->parent = parent;
    goo_parent_init(&pool->source, parent, &pool->allocator);
    options.struct_size = sizeof options;
    options.parent = &pool->source.head;
    options.block_size = chunk_size;
    pool->blocks = mp_blocks_create(&options);
    first = pool->blocks == NULL ? NULL : mp_blocks_alloc(pool->blocks);
    if (first == NULL) {
        if (pool->blocks != NULL)
            mp_destroy(&pool->blocks->allocator);
        parent->free(parent, pool, sizeof *pool, MP_DEFAULT_ALIGN);
        return NULL;
    }
    mp_blocks_free(pool->blocks, first);
    pool->chunk_size = chunk_size;
    pool->alignment = pool->blocks->allocator.default_align;
    pool->stride = chunk_size < sizeof(void *) ? sizeof(void *) : chunk_size;
    pool->stride = (pool->stride + pool->alignment - 1) & ~(pool->alignment - 1);
    pool->allocator.alloc = pool_alloc;
    pool->allocator.realloc = pool_realloc;
    pool->allocator.free = pool_free;
    pool->allocator.destroy = pool_destroy;
    pool->allocator.strategy = GOO_ALLOC_STRATEGY_NULL;
    pool->allocator.track_stats = true;
    return pool;
}

/* Creates a pool whose first block has `initial_capacity` chunks (0: a page), and each further one twice as many. */
static inline GooPoolAllocator *goo_pool_allocator_create(GooAllocator *parent, size_t chunk_size, size_t alignment,
                                                          size_t initial_capacity)
{
    mp_blocks_options options;
    memset(&options, 0, sizeof options);
    options.block_align = alignment;
    options.capacity = initial_capacity;
    return parent == NULL ? NULL : goo_pool_make(parent, options, chunk_size);
}

/* Creates a pool whose blocks have exactly `chunks_per_block` chunks each. */
static inline GooPoolAllocator *goo_pool_allocator_create_sized(GooAllocator *parent, size_t chunk_size,
                                                                size_t alignment, size_t chunks_per_block)
{
    mp_blocks_options options;
    memset(&options, 0, sizeof options);
    options.block_align = alignment;
    options.blocks_per_chunk = chunks_per_block;
    return parent == NULL || chunks_per_block == 0 ? NULL : goo_pool_make(parent, options, chunk_size);
}

/* Frees all chunks and keeps the blocks. */
static inline void goo_pool_reset(GooPoolAllocator *pool)
{
    if (pool == NULL)
        return;
    mp_reset(&pool->blocks->allocator);
    pool->allocator.stats.total_frees += pool->allocator.stats.allocation_count;
    pool->allocator.stats.allocation_count = 0;
    pool->allocator.stats.bytes_allocated = 0;
}

/* Returns how many chunks are free, and how many there are. Linear in the free ones. */
static inline void goo_pool_get_stats(GooPoolAllocator *pool, size_t *free_chunks, size_t *total_chunks)
{
    mp_stats stats;
    memset(&stats, 0, sizeof stats);
    stats.struct_size = sizeof stats;
    if (pool != NULL)
        mp_get_stats(&pool->blocks->allocator, &stats);
    if (free_chunks != NULL)
        *free_chunks = pool == NULL ? 0 : stats.free / pool->stride;
    if (total_chunks != NULL)
        *total_chunks = pool == NULL ? 0 : (stats.live + stats.free) / pool->stride;
}

#endif
