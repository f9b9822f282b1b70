/*
 * The allocator interface of the Goo runtime, implemented with Millpond: function pointers, options, strategies,
 * statistics, scoped allocation and the system allocator. Pools are in goo_pool_allocator.h.
 *
 * Where the interface does not specify the behaviour, the following holds here: the default strategy is to return
 * NULL; a handler is called and the request retried once; blocks are freed with the size and alignment with which
 * they were requested. The system allocator may be used by any thread if track_stats is not set; everything else by
 * one thread at a time.
 */
#ifndef MILLPOND_GOO_ALLOCATOR_H
#define MILLPOND_GOO_ALLOCATOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "millpond.h"

typedef struct GooAllocator GooAllocator;

/* Called when a request fails for lack of memory; it may free some. */
typedef void (*GooOutOfMemFn)(void);

/* Flags of a request. */
typedef enum {
    GOO_ALLOC_DEFAULT = 0,
    GOO_ALLOC_ZERO = 1 << 0,       /* all bytes are zero */
    GOO_ALLOC_ALIGNED = 1 << 1,    /* no effect: every block has the requested alignment */
    GOO_ALLOC_EXACT = 1 << 2,      /* no more than requested; a hint */
    GOO_ALLOC_PERSISTENT = 1 << 3, /* for arenas: kept when the arena is reset */
    GOO_ALLOC_PAGE = 1 << 4,       /* aligned to a page, and freed with that alignment */
    GOO_ALLOC_NO_FAIL = 1 << 5     /* ends the program if there is no memory */
} GooAllocOptions;

/* What an allocator does when a request fails for lack of memory. */
typedef enum {
    GOO_ALLOC_STRATEGY_PANIC, /* end the program */
    GOO_ALLOC_STRATEGY_NULL,  /* return NULL */
    GOO_ALLOC_STRATEGY_RETRY, /* call out_of_mem_fn and retry */
    GOO_ALLOC_STRATEGY_GC     /* collect garbage: there is no collector, so the same as NULL */
} GooAllocStrategy;

/* Statistics of an allocator, if track_stats is set. */
typedef struct GooAllocStats {
    size_t bytes_allocated;     /* live bytes */
    size_t bytes_reserved;      /* live and free bytes; only known by pools */
    size_t max_bytes_allocated; /* max live bytes */
    size_t allocation_count;    /* live blocks */
    size_t total_allocations;
    size_t total_frees;
    size_t failed_allocations;
} GooAllocStats;

struct GooAllocator {
    void *(*alloc)(GooAllocator *self, size_t size, size_t alignment, GooAllocOptions options);
    void *(*realloc)(GooAllocator *self, void *ptr, size_t old_size, size_t new_size, size_t alignment,
                     GooAllocOptions options);
    void (*free)(GooAllocator *self, void *ptr, size_t size, size_t alignment);
    void (*destroy)(GooAllocator *self);

    GooAllocStrategy strategy;
    GooOutOfMemFn out_of_mem_fn;
    void *context;
    bool track_stats;
    GooAllocStats stats;
};

/* ---- Common parts of allocators ------------------------------------------------------------------------------- */

static inline void goo_count_alloc(GooAllocator *self, size_t size)
{
    GooAllocStats *stats = &self->stats;
    if (!self->track_stats)
        return;
    stats->bytes_allocated += size;
    stats->allocation_count += 1;
    stats->total_allocations += 1;
    if (stats->bytes_allocated > stats->max_bytes_allocated)
        stats->max_bytes_allocated = stats->bytes_allocated;
}

static inline void goo_count_free(GooAllocator *self, size_t size)
{
    if (!self->track_stats)
        return;
    self->stats.bytes_allocated -= size;
    self->stats.allocation_count -= 1;
    self->stats.total_frees += 1;
}

/* Updates the statistics for a resized block. */
static inline void goo_count_resize(GooAllocator *self, size_t old_size, size_t new_size)
{
    GooAllocStats *stats = &self->stats;
    if (!self->track_stats)
        return;
    stats->bytes_allocated = stats->bytes_allocated - old_size + new_size;
    if (stats->bytes_allocated > stats->max_bytes_allocated)
        stats->max_bytes_allocated = stats->bytes_allocated;
}

/* Applies the strategy after a request has failed `attempts` times; returns true if it should be retried. */
static inline bool goo_try_again(GooAllocator *self, int attempts, GooAllocOptions options)
{
    if (self->strategy == GOO_ALLOC_STRATEGY_RETRY && self->out_of_mem_fn != NULL && attempts == 1) {
        self->out_of_mem_fn();
        return true;
    }
    if (self->track_stats)
        self->stats.failed_allocations += 1;
    if (self->strategy == GOO_ALLOC_STRATEGY_PANIC || ((int)options & GOO_ALLOC_NO_FAIL) != 0) {
        fprintf(stderr, "goo: %s\n", mp_last_detail());
        abort();
    }
    return false;
}

/* ---- The system's heap -------------------------------------------------------------------------------------------- */

static inline size_t goo_system_alignment(size_t alignment, GooAllocOptions options)
{
    return ((int)options & GOO_ALLOC_PAGE) != 0 && alignment < mp_page_size() ? mp_page_size() : alignment;
}

static inline mp_flags goo_system_flags(GooAllocOptions options)
{
    return ((int)options & GOO_ALLOC_ZERO) != 0 ? MP_ZERO : 0;
}

static inline void *goo_system_alloc(GooAllocator *self, size_t size, size_t alignment, GooAllocOptions options)
{
    int attempts = 0;
    void *block;
    do {
        block = mp_alloc(mp_heap(), size, goo_system_alignment(alignment, options), goo_system_flags(options));
    } while (block == NULL && goo_try_again(self, ++attempts, options));
    if (block != NULL)
        goo_count_alloc(self, size);
    return block;
}

static inline void *goo_system_realloc(GooAllocator *self, void *ptr, size_t old_size, size_t new_size,
                                       size_t alignment, GooAllocOptions options)
{
    int attempts = 0;
    void *block;
    if (ptr == NULL)
        return goo_system_alloc(self, new_size, alignment, options);
    do {
        block = mp_realloc(mp_heap(), ptr, old_size, new_size, goo_system_alignment(alignment, options),
                           goo_system_flags(options));
    } while (block == NULL && goo_try_again(self, ++attempts, options));
    if (block != NULL)
        goo_count_resize(self, old_size, new_size);
    return block;
}

static inline void goo_system_free(GooAllocator *self, void *ptr, size_t size, size_t alignment)
{
    if (ptr == NULL)
        return;
    mp_free(mp_heap(), ptr, size, alignment);
    goo_count_free(self, size);
}

static inline void goo_system_destroy(GooAllocator *self)
{
    mp_free(mp_heap(), self, sizeof *self, 0);
}

/* Creates an allocator on the system's heap; returns NULL if there is no memory. */
static inline GooAllocator *goo_system_allocator_create(void)
{
    GooAllocator *self = (GooAllocator *)mp_alloc(mp_heap(), sizeof *self, 0, MP_ZERO);
    if (self == NULL)
        return NULL;
    self->alloc = goo_system_alloc;
    self->realloc = goo_system_realloc;
    self->free = goo_system_free;
    self->destroy = goo_system_destroy;
    self->strategy = GOO_ALLOC_STRATEGY_NULL;
    self->track_stats = true;
    return self;
}

/* ---- The default allocator ------------------------------------------------------------------------------------------ */

/* The program's default allocator: one variable for all files that include this header. */
#if defined(__cplusplus) && __cplusplus >= 201703L
inline GooAllocator *goo_default_allocator = NULL;
#else
__attribute__((weak)) GooAllocator *goo_default_allocator = NULL;
#endif

/* Returns the default allocator: the system's heap, unless another one is set. */
static inline GooAllocator *goo_get_default_allocator(void)
{
    if (goo_default_allocator == NULL)
        goo_default_allocator = goo_system_allocator_create();
    return goo_default_allocator;
}

/* Sets the default allocator; the previous one is not destroyed. */
static inline void goo_set_default_allocator(GooAllocator *allocator)
{
    goo_default_allocator = allocator;
}

/* Initialises the default allocator; returns false if there is no memory. */
static inline bool goo_memory_init(void)
{
    return goo_get_default_allocator() != NULL;
}

/* Destroys the default allocator. */
static inline void goo_memory_cleanup(void)
{
    if (goo_default_allocator != NULL)
        goo_default_allocator->destroy(goo_default_allocator);
    goo_default_allocator = NULL;
}

/* Sets a function that the default allocator calls when a request fails for lack of memory, before it retries. */
static inline void goo_set_out_of_mem_handler(GooOutOfMemFn handler)
{
    GooAllocator *allocator = goo_get_default_allocator();
    if (allocator == NULL)
        return;
    allocator->out_of_mem_fn = handler;
    allocator->strategy = handler == NULL ? GOO_ALLOC_STRATEGY_NULL : GOO_ALLOC_STRATEGY_RETRY;
}

/* Returns the statistics of an allocator; for NULL, those of the default one. */
static inline GooAllocStats goo_get_alloc_stats(GooAllocator *allocator)
{
    GooAllocStats none;
    memset(&none, 0, sizeof none);
    if (allocator == NULL)
        allocator = goo_get_default_allocator();
    return allocator == NULL ? none : allocator->stats;
}

static inline void *goo_alloc_aligned(size_t size, size_t alignment)
{
    GooAllocator *allocator = goo_get_default_allocator();
    return allocator == NULL ? NULL : allocator->alloc(allocator, size, alignment, GOO_ALLOC_DEFAULT);
}

static inline void goo_free_aligned(void *ptr, size_t size, size_t alignment)
{
    GooAllocator *allocator = goo_get_default_allocator();
    if (allocator != NULL)
        allocator->free(allocator, ptr, size, alignment);
}

static inline void *goo_alloc(size_t size)
{
    return goo_alloc_aligned(size, MP_DEFAULT_ALIGN);
}

static inline void *goo_alloc_zero(size_t size)
{
    GooAllocator *allocator = goo_get_default_allocator();
    return allocator == NULL ? NULL : allocator->alloc(allocator, size, MP_DEFAULT_ALIGN, GOO_ALLOC_ZERO);
}

static inline void *goo_realloc(void *ptr, size_t old_size, size_t new_size)
{
    GooAllocator *allocator = goo_get_default_allocator();
    if (allocator == NULL)
        return NULL;
    return allocator->realloc(allocator, ptr, old_size, new_size, MP_DEFAULT_ALIGN, GOO_ALLOC_DEFAULT);
}

static inline void goo_free(void *ptr, size_t size)
{
    goo_free_aligned(ptr, size, MP_DEFAULT_ALIGN);
}

/* ---- Scoped allocation ---------------------------------------------------------------------------------------------- */

/* Number of bytes in front of a scoped block, which contain its size. */
enum { GOO_SCOPE_FRONT = MP_DEFAULT_ALIGN };

/* Allocates a block from the default allocator and stores its size in front of it. */
static inline void *goo_scope_alloc(size_t size)
{
    char *block = size > (size_t)-1 - GOO_SCOPE_FRONT ? NULL : (char *)goo_alloc(size + GOO_SCOPE_FRONT);
    if (block == NULL)
        return NULL;
    memcpy(block, &size, sizeof size);
    return block + GOO_SCOPE_FRONT;
}

/* Frees a scoped block; called at the end of the scope. */
static inline void goo_scope_cleanup(void **ptr)
{
    size_t size;
    char *block;
    if (*ptr == NULL)
        return;
    block = (char *)*ptr - GOO_SCOPE_FRONT;
    memcpy(&size, block, sizeof size);
    goo_free(block, size + GOO_SCOPE_FRONT);
}

/* Declares a pointer to `size` bytes, which are freed at the end of the scope. Requires gcc or clang. */
#define GOO_SCOPE_ALLOC(name, size) __attribute__((cleanup(goo_scope_cleanup))) void *name = goo_scope_alloc(size)

#endif
