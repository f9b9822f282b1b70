/*
 * Millpond: memory pools that compose. Every pool takes a parent allocator and is itself an allocator.
 *
 *     mp_blocks *pool = mp_blocks_create(MP_OPTIONS(mp_blocks_options, .block_size = sizeof(struct node)));
 *     struct node *node = mp_blocks_alloc(pool);
 *     mp_blocks_free(pool, node);
 *     mp_destroy(&pool->allocator);
 *
 * WHAT HOLDS FOR EVERYTHING HERE
 *
 * Sizes are in bytes. A size of 0 counts as 1, so that every block has an address of its own. An alignment is a power of
 * two; 0 stands for the allocator's default_align: that of the blocks in a pool of blocks, MP_NATURAL_ALIGN in mp_classes,
 * else MP_DEFAULT_ALIGN.
 *
 * A block is freed with the size and the alignment that it was allocated for, or resized to since: pools do not store what
 * their users know. Freeing NULL does nothing.
 *
 * A function that returns a pointer returns NULL when it fails, and mp_last_error() then says why, on the same thread. A
 * function that returns an mp_error sets it too, unless it is MP_OK. As with errno, a function that succeeds leaves it as it
 * was, so it is to be asked after a failure only. No function throws, and none calls longjmp: what cannot go on ends the
 * program (abort).
 *
 * What options, strings and arrays point to is read during the call only, and so are options themselves. Kept are: a parent,
 * `inner` and `other`, the memory of a buffer, and the functions to be called back with their contexts.
 *
 * "Undefined if" lists what an unchecked pool does not notice; memory is then as broken as after a double free of
 * malloc's. A pool with guards (below) or with `checked` set notices most of it, and says so.
 *
 * THREADS. "Any thread": may be called by any thread at any time. "As shared": by as many threads at once as the
 * allocator's sharing allows: one at a time if it is MP_LOCAL, any number if it is another. A guard is shared as what it
 * stands on. "Alone": while no other thread uses the allocator, whatever its sharing. A parent has to stand what its
 * children do: if two threads use two children of one parent, the parent must not be MP_LOCAL.
 *
 * LIFETIMES. A parent outlives its children: destroy children first. Destroying a pool gives its memory back to its
 * parent, so all its blocks are gone. The parent itself is not destroyed.
 */
#ifndef MILLPOND_H
#define MILLPOND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Version ---------------------------------------------------------------------------------------------------- */

#define MP_VERSION 200 /* major * 10000 + minor * 100 + patch */

/* The version of the library that the program runs with. Any thread. */
uint32_t mp_version(void);

/* ---- Errors ----------------------------------------------------------------------------------------------------- */

typedef uint32_t mp_error;

#define MP_OK 0
#define MP_ERR_EXHAUSTED 1   /* no memory left in this allocator */
#define MP_ERR_LIMIT 2       /* a limit that somebody has set is reached */
#define MP_ERR_UNSUPPORTED 3 /* this allocator never serves such a size or alignment, or never does that */
#define MP_ERR_OS 4          /* the operating system refused: see mp_last_os_error */
#define MP_ERR_INVALID 5     /* an argument makes no sense */
#define MP_ERR_BROKEN 6      /* mp_check found an invariant of the allocator broken */
#define MP_ERR_STOPPED 7     /* a visitor asked to stop */

/* A message for an error; never NULL, valid for ever. Any thread. */
const char *mp_strerror(mp_error error);

/* Why the last call of this thread that failed did so; MP_OK if none has since mp_clear_error. Any thread. */
mp_error mp_last_error(void);

/* A sentence about it, more exact than its message; never NULL, valid until this thread's next call. Any thread. */
const char *mp_last_detail(void);

/* The system's number for it (errno, or GetLastError) if it is MP_ERR_OS; else 0. Any thread. */
int32_t mp_last_os_error(void);

/* Lets this thread forget the last error. Any thread. */
void mp_clear_error(void);

/* Sets this thread's last error: for the functions of an allocator of your own. Any thread. */
void mp_set_error(mp_error error);

/* ---- The allocator interface ------------------------------------------------------------------------------------ */

typedef uint32_t mp_flags;

#define MP_ZERO 1     /* every byte of the block is zero; when a block grows, every byte that is new */
#define MP_IN_PLACE 2 /* of mp_realloc: not by moving the block */

#define MP_UNKNOWN SIZE_MAX  /* a number that the allocator does not know */
#define MP_DEFAULT_ALIGN 16  /* what an alignment of 0 stands for, unless the allocator says otherwise */

/* As a default_align: an alignment of 0 stands for the largest power of two up to 16 that divides the size, at least a word's;
 * above 128 bytes, for 16. That is enough for objects and arrays of that size, so classes of 24, 40 or 56 bytes are used for
 * them. Where a block is larger than its object, as with a flexible array member, and holds something that is aligned to
 * 16, the alignment has to be named. */
#define MP_NATURAL_ALIGN SIZE_MAX

typedef struct mp_table mp_table;
typedef struct mp_stats mp_stats;

/* An allocator: any structure that begins with these two words. Pools, guards and sources are such, and so is what you
 * write yourself (see mp_table). */
typedef struct mp_allocator {
    const mp_table *table; /* what it can do */
    size_t default_align;  /* what an alignment of 0 stands for; 0: MP_DEFAULT_ALIGN; or MP_NATURAL_ALIGN */
} mp_allocator;

typedef void *mp_alloc_fn(mp_allocator *self, size_t size, size_t align, mp_flags flags);
typedef void *mp_realloc_fn(mp_allocator *self, void *block, size_t old_size, size_t new_size, size_t align,
                            mp_flags flags);
typedef void mp_free_fn(mp_allocator *self, void *block, size_t size, size_t align);
typedef void mp_destroy_fn(mp_allocator *self);
typedef void *mp_alloc_between_fn(mp_allocator *self, size_t least, size_t preferred, size_t align, size_t *got);
typedef mp_error mp_reset_fn(mp_allocator *self);
typedef size_t mp_trim_fn(mp_allocator *self);
typedef bool mp_owns_fn(const mp_allocator *self, const void *address);
typedef size_t mp_largest_free_fn(const mp_allocator *self);
typedef mp_error mp_stats_fn(const mp_allocator *self, mp_stats *out);
typedef mp_error mp_check_fn(const mp_allocator *self);
typedef bool mp_visit_fn(void *context, void *block, size_t size);
typedef mp_error mp_each_fn(mp_allocator *self, mp_visit_fn *visit, void *context);

typedef mp_error mp_reserve_fn(mp_allocator *self, size_t size, size_t align, size_t count);
typedef mp_error mp_alloc_many_fn(mp_allocator *self, void **blocks, size_t count, size_t size, size_t align);
typedef void mp_free_many_fn(mp_allocator *self, void *const *blocks, size_t count, size_t size, size_t align);
typedef void mp_flush_fn(mp_allocator *self);
typedef void mp_impossible_fn(mp_allocator *self, void *block);
typedef bool mp_may_free_fn(mp_allocator *self, void *block, size_t size, size_t align);
typedef void *mp_damage_fn(mp_allocator *self, void *block, size_t size, size_t align);
typedef void mp_render_fn(const mp_allocator *self, void *builder);

/* What an allocator can do. An allocator of your own has a constant table of its own, with struct_size set to
 * sizeof(mp_table), `alloc` and `free`; what it cannot do is NULL. Its functions are what the functions of the same name
 * below call (mp_alloc: alloc), and keep what these promise. They can rely on it that no size is 0, every alignment is a
 * power of two, no block is NULL, and what is freed has exactly the size that it was allocated for. */
struct mp_table {
    size_t struct_size; /* sizeof(mp_table); lets the table grow */
    const char *name;   /* may be NULL */
    mp_alloc_fn *alloc;
    mp_realloc_fn *realloc; /* may be NULL: then mp_realloc allocates, copies and frees */
    mp_free_fn *free;
    mp_destroy_fn *destroy;             /* this and all that follow may be NULL */
    mp_alloc_between_fn *alloc_between; /* NULL: `alloc` is asked for less and less */
    mp_reset_fn *reset;
    mp_trim_fn *trim;
    mp_owns_fn *owns;
    mp_largest_free_fn *largest_free;
    mp_stats_fn *stats;
    mp_check_fn *check;
    mp_each_fn *each;
    mp_render_fn *render;     /* only of the library's own allocators; NULL in yours */
    mp_reserve_fn *reserve;
    mp_alloc_many_fn *alloc_many; /* NULL: mp_alloc_many calls `alloc` for each block; so for free_many */
    mp_free_many_fn *free_many;
    mp_flush_fn *flush;
    mp_impossible_fn *impossible; /* reports a free or resize with a size or alignment that no block can have */
    mp_may_free_fn *may_free;     /* NULL: every block may be freed */
    mp_damage_fn *damage; /* where a word of its own, between blocks, was overwritten that a call would follow: one that frees or
                           * resizes `block`, or that allocates if `block` is NULL; NULL: nowhere. mp_checked_create's guard asks */
};

/* Allocates a block of at least `size` bytes; with MP_ZERO, of zeros.
 * As shared. NULL: MP_ERR_EXHAUSTED, MP_ERR_LIMIT, MP_ERR_OS, MP_ERR_UNSUPPORTED (this allocator never serves such a size
 * or alignment), MP_ERR_INVALID (no allocator, or no such alignment). */
void *mp_alloc(mp_allocator *allocator, size_t size, size_t align, mp_flags flags);

/* Allocates a block for `count` objects of `size` bytes each; with MP_ZERO, as calloc does. It is freed with the product.
 * As shared. NULL: as mp_alloc; MP_ERR_UNSUPPORTED also if the product is beyond all memory. */
void *mp_alloc_array(mp_allocator *allocator, size_t count, size_t size, size_t align, mp_flags flags);

/* Gives a block another size, in its place or in another; what both sizes have is kept. For NULL it allocates. With MP_ZERO,
 * bytes beyond `old_size` are zero; with MP_IN_PLACE, the block is not moved, and no handler is asked to make room.
 * As shared. NULL: as mp_alloc, and the block is as it was. Undefined if the block is not live, or not of this allocator,
 * old_size and align. */
void *mp_realloc(mp_allocator *allocator, void *block, size_t old_size, size_t new_size, size_t align,
                 mp_flags flags);

/* Frees a block. As shared. Undefined if the block is not live, or not of this allocator, size and alignment. */
void mp_free(mp_allocator *allocator, void *block, size_t size, size_t align);

/* Whether mp_free would free a block: false if it would report misuse instead. The block is not touched, whatever its address.
 * Guards that write to freed blocks ask first, so that they may stand around those that find misuse. As shared. */
bool mp_may_free(mp_allocator *allocator, void *block, size_t size, size_t align);

/* Allocates a block of at least `least` bytes and, if it can, about `preferred`, and says how many: how a pool asks its
 * parent for a chunk. It may be freed with any size from what it would have had as asked up to `*got`. `got` may be NULL.
 * As shared. NULL: as mp_alloc for `least`. */
void *mp_alloc_between(mp_allocator *allocator, size_t least, size_t preferred, size_t align, size_t *got);

/* Destroys an allocator; NULL, and allocators without `destroy`, are left alone. Alone. Undefined if children of it
 * exist, or if anything of it is used afterwards. */
void mp_destroy(mp_allocator *allocator);

/* What the allocator is called; never NULL. Any thread. */
const char *mp_name(const mp_allocator *allocator);

/* Frees all blocks at once, and keeps the chunks for the next ones. Alone.
 * MP_ERR_UNSUPPORTED: sources, and guards around them. Undefined if a block is used afterwards, by a child
 * of this allocator for example. */
mp_error mp_reset(mp_allocator *allocator);

/* Gives chunks without live blocks back to the parent; says how many bytes that were. What other threads keep ready of a
 * pool that is MP_CACHED stays with them (mp_flush), and so do the first chunk and four bytes per block of an mp_blocks that is
 * MP_LOCK_FREE. As shared; alone for an mp_linear that is MP_LOCK_FREE, an mp_remote_free, and the guards quarantine and visible,
 * which let go of what they hold back first. */
size_t mp_trim(mp_allocator *allocator);

/* Lets a pool grow, if need be, until it can serve `count` requests of this size in a row without its parent: to be done ahead of
 * where time matters, or of a signal handler. Linear in `count`. As shared.
 * MP_ERR_UNSUPPORTED: all but mp_blocks and mp_classes; else as mp_alloc. */
mp_error mp_reserve(mp_allocator *allocator, size_t size, size_t align, size_t count);

/* Allocates `count` blocks of one size, and puts them into `blocks`; all of them or none. A pool is locked, or a list that
 * threads share is changed, once for many blocks. As shared. Errors: as mp_alloc, and MP_ERR_INVALID if `blocks` is NULL. */
mp_error mp_alloc_many(mp_allocator *allocator, void **blocks, size_t count, size_t size, size_t align);

/* Frees `count` blocks, in the same way. As shared. Undefined if one of them is NULL, not live, or not of this allocator,
 * size and alignment, or is there twice. */
void mp_free_many(mp_allocator *allocator, void *const *blocks, size_t count, size_t size, size_t align);

/* Gives the free blocks that this thread keeps ready back to a pool that is MP_CACHED, so that other threads and mp_trim
 * can have them; does nothing to others. As shared. */
void mp_flush(mp_allocator *allocator);

/* Whether an address lies in a chunk of this allocator. The address is not read. False if the allocator does not know.
 * As shared. */
bool mp_owns(const mp_allocator *allocator, const void *address);

/* The largest size that would now be served without asking the parent; MP_UNKNOWN if that is not known. As shared. */
size_t mp_largest_free(const mp_allocator *allocator);

/* What an allocator holds, and what its guards have counted; MP_UNKNOWN for what nobody knows. */
struct mp_stats {
    size_t struct_size;  /* sizeof(mp_stats), to be set before the call */
    size_t chunks;       /* chunks taken from the parent and not given back */
    size_t held;         /* bytes in these chunks */
    size_t live;         /* bytes in live blocks, rounded up to what the pool cuts */
    size_t free;         /* bytes that can be handed out without asking the parent */
    size_t largest_free; /* as mp_largest_free */
    size_t holes;        /* in how many pieces free bytes are, in pools of blocks of any size */
    size_t live_blocks;  /* with a guard that counts: blocks that are live */
    size_t live_bytes;   /* with a guard that counts bytes: what was asked for, of those that are live */
    size_t peak_blocks;  /* the most that were live at a time */
    size_t peak_bytes;
    size_t total_blocks; /* all that were ever handed out */
    size_t total_bytes;
    size_t failed;       /* requests that came to nothing */
    size_t left;         /* with a guard that limits: bytes or blocks that it still lets through */
};

/* Fills `*out`, whose struct_size is set. Linear in the free blocks. As shared.
 * MP_ERR_UNSUPPORTED: the allocator does not say; MP_ERR_INVALID: `out` is NULL or its struct_size is not set. */
mp_error mp_get_stats(const mp_allocator *allocator, mp_stats *out);

/* Verifies every invariant of the allocator's books; mp_last_detail() says which is broken. As shared.
 * MP_OK also if the allocator cannot tell; MP_ERR_BROKEN. */
mp_error mp_check(const mp_allocator *allocator);

/* Calls `visit` for every live block, until it returns false. It must not use this allocator. Alone.
 * MP_ERR_STOPPED: it returned false; MP_ERR_UNSUPPORTED: the allocator does not know its live blocks. */
mp_error mp_each(mp_allocator *allocator, mp_visit_fn *visit, void *context);

#define MP_SVG 0   /* a file of vector graphics that needs nothing else */
#define MP_TEXT 1  /* for a terminal of 80 columns, in UTF-8 */
#define MP_ASCII 2 /* the same without anything but ASCII */

/* Takes a piece of a text; false to stop. */
typedef bool mp_write_fn(void *context, const char *text, size_t length);

/* Draws what the memory of the allocator is used for, chunk by chunk, and calls `write` with the text, piece by piece. The
 * title may be NULL. Takes memory from the heap for the time of the call. As shared.
 * MP_ERR_UNSUPPORTED: the allocator does not know; MP_ERR_STOPPED: `write` returned false; MP_ERR_INVALID. */
mp_error mp_heap_map(const mp_allocator *allocator, uint32_t format, const char *title, mp_write_fn *write, void *context);

/* ---- Sources: where memory comes from --------------------------------------------------------------------------- */

/* The system's heap, malloc and free: the parent where none is named. Any thread. Never destroyed. */
mp_allocator *mp_heap(void);

/* Whole pages, straight from the operating system; fresh ones are zero. A parent for pools. Any thread. Never destroyed. */
mp_allocator *mp_pages(void);

/* A source that has nothing: the parent of a pool that must not grow further. Any thread. Never destroyed. */
mp_allocator *mp_null_allocator(void);

/* Bytes in a page. Any thread. */
size_t mp_page_size(void);

#define MP_HUGE_NONE 0
#define MP_HUGE_PREFERRED 1   /* large blocks on huge pages where the system has them */
#define MP_HUGE_REQUIRED 2 /* every block on huge pages that the administrator has set aside, or none */

#define MP_NUMA_ANY 0
#define MP_NUMA_BIND 1       /* from the nodes in numa_nodes (bit n: node n) and no other */
#define MP_NUMA_INTERLEAVE 2 /* from these nodes in turn */

typedef struct mp_pages_options {
    size_t struct_size;
    bool guarded;   /* each block lies between two pages that fault when touched */
    bool populated; /* there is memory behind a block before it is handed out */
    uint32_t huge;
    uint32_t numa;
    uint64_t numa_nodes;
} mp_pages_options;

/* Pages with wishes; NULL options are mp_pages. Any thread may use it. NULL: MP_ERR_INVALID, MP_ERR_EXHAUSTED. */
mp_allocator *mp_tuned_pages_create(const mp_pages_options *options);

/* A range of `size` bytes of addresses, reserved now; memory is put behind what is used. Chunks of one pool on it lie back
 * to back. Any thread may use it. NULL: MP_ERR_OS, MP_ERR_UNSUPPORTED (no size, or one beyond the address space). */
mp_allocator *mp_reserved_region_create(size_t size);

/* `size` bytes at `memory` as a source, which gives the last of it in one piece. Any thread may use it.
 * NULL: MP_ERR_INVALID. Undefined if somebody else uses the bytes before it is destroyed. */
mp_allocator *mp_buffer_create(void *memory, size_t size);

/* ---- Forking ----------------------------------------------------------------------------------------------------- */

/* In the child of a fork there is one thread. What others had locked stays locked there, and what they were changing stays half
 * changed. After this call, all allocators of this library that threads share, those made before and those made later, are
 * held still while the process forks (pthread_atfork), so that the child can go on with them, whatever other threads were
 * doing: allocate, free, start threads, reset, trim, destroy. It is called once, or more often, before other handlers are
 * installed that wait for whoever uses these allocators. Any thread. MP_ERR_OS, MP_ERR_EXHAUSTED, MP_ERR_UNSUPPORTED (there is
 * no fork).
 *
 *                        without this call, the child may use it           after this call, the child
 *     MP_LOCAL           if no other thread was in a function of it        the same
 *     MP_LOCKED, _FAIR   if no other thread was in a function of it        has the whole pool
 *     MP_CACHED          if none was, and does not trim it                 has the pool; lost until a reset is what other
 *                                                                          threads kept ready
 *     MP_LOCK_FREE       in any case; growing may wait for 0.1 s           has the whole pool
 *     mp_remote_free           if its owner has forked                           the same
 *     guards, sources    as what they stand on; checked, quarantine and    as what they stand on
 *                        visible: if no other thread was in a function
 *     mp_heap            as malloc, which C libraries hold for forks       the same
 *
 * Blocks that other threads had live stay live: nobody frees them in the child, and a checked pool tells them as leaks when it
 * is destroyed there. Counts of guards may be off by what was on its way. */
mp_error mp_atfork(void);

/* ---- Misuse ------------------------------------------------------------------------------------------------------- */

#define MP_DOUBLE_FREE 1        /* the block had been freed before; prevented */
#define MP_FOREIGN 2            /* no block of this pool begins there; prevented */
#define MP_INTERIOR 3           /* it is not the start of a block, which is at `detail`; prevented */
#define MP_WRONG_LAYOUT 4       /* it was allocated for another size or alignment: `detail` bytes; prevented */
#define MP_OVERFLOW 5           /* something was written behind the block or in front, first at offset `detail` (signed) */
#define MP_WRITTEN_AFTER_FREE 6 /* something was written to the freed block, first at offset `detail` */
#define MP_LEAK 7               /* `detail` blocks were still live when the pool went or was reset; this is the first */
#define MP_OVERLAP 8            /* it was about to be handed out, but overlaps the live block at `detail`; prevented */
#define MP_FORGED 9             /* it was about to be handed out, but is no block: a free one was written to; prevented */
#define MP_DAMAGED 10           /* the pool's memory was overwritten at `detail`, where the call would have read; prevented */

/* What was done to a pool that must not be done to it. Valid during the call. */
typedef struct mp_misuse {
    size_t struct_size;
    const char *pool;    /* its name */
    const void *address; /* where the block begins, or what was passed off as one */
    size_t size;         /* the size and alignment that came with it */
    size_t align;
    uint32_t kind;
    size_t detail;
    size_t more;         /* how many more were found in the same call, of which only this one is told */
    const char *text;    /* all of it in words */
} mp_misuse;

/* Called outside of every lock, by the thread that found the misuse. When it returns, the program goes on. */
typedef void mp_misuse_fn(void *context, const mp_misuse *misuse);

/* ---- Options of pools ------------------------------------------------------------------------------------------- */

/* Options, in place: MP_OPTIONS(mp_blocks_options, .block_size = 64). What is not named is zero, which means "as usual".
 * (In C++, fill a zeroed structure and set struct_size to its size.) Structures may grow in later versions: struct_size says
 * which members the program knows. A member that the library does not know is refused with MP_ERR_UNSUPPORTED. */
#ifndef __cplusplus
#define MP_OPTIONS(type, ...) (&(const type){.struct_size = sizeof(type), __VA_ARGS__})
#endif

/* Who uses a pool at once. */
#define MP_LOCAL 0       /* one thread at a time */
#define MP_LOCKED 1      /* any number, in turn, behind a lock that is not held while the parent is asked */
#define MP_CACHED 2      /* any number, each with a cache of free blocks: mp_blocks, mp_classes */
#define MP_LOCK_FREE 3   /* any number, without a lock: mp_blocks, mp_linear */
#define MP_LOCKED_TICKET 4 /* as MP_LOCKED, with a lock that serves waiters in turn: where the worst case counts */

/* What is done when memory has run out. */
#define MP_RETURN_NULL 0
#define MP_RETRY 1 /* make_room is called, and if it returns true, the request is tried again */
#define MP_ABORT 2 /* the program ends, with a message on stderr */

/* Called outside of every lock: it may free blocks of this very pool. */
typedef bool mp_make_room_fn(void *context, size_t size, size_t align);

typedef struct mp_out_of_memory {
    uint32_t action;
    mp_make_room_fn *make_room;
    void *context;
} mp_out_of_memory;

/* Every structure of options of a pool begins with these members:
 *
 *     size_t struct_size;             sizeof the structure; MP_OPTIONS sets it
 *     mp_allocator *parent;           where chunks come from; NULL: the heap
 *     uint32_t sharing;               one of the values above
 *     mp_out_of_memory out_of_memory;
 */

/* For pools without options of their own. */
typedef struct mp_pool_options {
    size_t struct_size;
    mp_allocator *parent;
    uint32_t sharing;
    mp_out_of_memory out_of_memory;
    size_t capacity; /* bytes of the first chunk; 0: a page */
} mp_pool_options;

/* ---- Blocks of one size: allocate and free in a few instructions -------------------------------------------------- */

#define MP_LIFO 0     /* a list: the last block freed is the next one handed out; no overhead */
#define MP_MAGAZINE 1 /* a small array in front of lists: for many live blocks */
#define MP_ADDRESS_ORDERED 2  /* the same over bitmaps: keeps address order, knows its live blocks (mp_each) */

typedef struct mp_blocks_options {
    size_t struct_size;
    mp_allocator *parent;
    uint32_t sharing;
    mp_out_of_memory out_of_memory;
    size_t block_size;       /* to be set; rounded up to a multiple of the alignment, and to a word */
    size_t block_align;      /* 0: the largest power of two up to 16 that divides block_size, at least a word's */
    uint32_t free_list;       /* MP_LIFO, MP_MAGAZINE or MP_ADDRESS_ORDERED */
    size_t capacity;         /* blocks in the first chunk; 0: a page */
    size_t blocks_per_chunk; /* exactly so many blocks in each chunk; 0: each has twice as many as the one before */
    bool checked;            /* each block has a bit that says whether it is live: see below; not MP_CACHED, MP_LOCK_FREE */
    const char *name;        /* of a checked pool, for reports; read during the call only */
    mp_misuse_fn *on_misuse; /* of a checked pool; NULL: a message on stderr, and the program ends */
    void *misuse_context;
} mp_blocks_options;

typedef struct mp_blocks {
    mp_allocator allocator; /* the pool as an allocator: &pool->allocator */
} mp_blocks;

/* Makes a pool; no memory is taken for blocks before the first is allocated.
 * NULL: MP_ERR_INVALID, MP_ERR_UNSUPPORTED (a combination that there is not), MP_ERR_EXHAUSTED. Any thread. */
mp_blocks *mp_blocks_create(const mp_blocks_options *options);

/* Allocates a block. As shared. NULL: as mp_alloc. Undefined if `pool` is no such pool, NULL included. */
void *mp_blocks_alloc(mp_blocks *pool);

/* Frees a block. As shared. Undefined if the block is not live or not of this pool, unless the pool is checked: then a
 * block that is not live, an address that is no block's and a size that the pool does not serve are reported, and nothing
 * happens; blocks that are never freed are reported when the pool is destroyed. */
void mp_blocks_free(mp_blocks *pool, void *block);

/* Blocks that one thread allocates and any thread gives back. */
typedef struct mp_remote_free {
    mp_allocator allocator; /* for the owner: one thread at a time */
} mp_remote_free;

/* Makes a pool of blocks of which one thread at a time is the owner. It alone uses the allocator; no atomic operation is on
 * its way as long as it has blocks. Options as for mp_blocks_create, without sharing, strategy and checked.
 * NULL: as mp_blocks_create. Any thread. */
mp_remote_free *mp_remote_free_create(const mp_blocks_options *options);

/* Gives a block back. The owner finds it when it has no other. Any thread, at any time, also while the owner is at work.
 * Undefined if the block is not live or not of this pool. */
void mp_remote_free_return(mp_remote_free *pool, void *block);

/* ---- Blocks of several sizes ------------------------------------------------------------------------------------ */

/* Larger ones, and what is aligned beyond 64, come from the parent, with a record of 32 bytes in front; a reset gives them back
 * to it, and so does mp_destroy. sharing: MP_LOCAL, MP_LOCKED, MP_LOCKED_TICKET, MP_CACHED. */
typedef struct mp_classes_options {
    size_t struct_size;
    mp_allocator *parent;
    uint32_t sharing;
    mp_out_of_memory out_of_memory;
    const size_t *sizes; /* the sizes of the classes, up to 64, each up to 32768; read during the call only */
    size_t size_count;   /* how many; 0: every 16 up to 128, then four per doubling up to 32768 */
} mp_classes_options;

typedef struct mp_classes {
    mp_allocator allocator;
} mp_classes;

/* As mp_blocks_create, mp_alloc and mp_free, by a shorter way; so are the pools that follow. */
mp_classes *mp_classes_create(const mp_classes_options *options);
void *mp_classes_alloc(mp_classes *pool, size_t size, size_t align);
void mp_classes_free(mp_classes *pool, void *block, size_t size, size_t align);

/* ---- Arenas: blocks of any size, freed together ------------------------------------------------------------------- */

typedef struct mp_linear {
    mp_allocator allocator;
} mp_linear;

/* A bump arena: freeing the last block makes room again, freeing any other does nothing; mp_reset frees all.
 * sharing: MP_LOCAL, MP_LOCKED, MP_LOCKED_TICKET, MP_LOCK_FREE. */
mp_linear *mp_linear_create(const mp_pool_options *options);
void *mp_linear_alloc(mp_linear *pool, size_t size, size_t align);
void mp_linear_free(mp_linear *pool, void *block, size_t size, size_t align);

typedef struct mp_stack {
    mp_allocator allocator;
} mp_stack;

/* A bump arena that can go back to where it stood. sharing: MP_LOCAL, MP_LOCKED, MP_LOCKED_TICKET. */
mp_stack *mp_stack_create(const mp_pool_options *options);
void *mp_stack_alloc(mp_stack *pool, size_t size, size_t align);
void mp_stack_free(mp_stack *pool, void *block, size_t size, size_t align);

/* Where a stack stood; what is in it is the stack's business. */
typedef struct mp_mark {
    size_t words[6];
} mp_mark;

/* Remembers in `*mark` where a stack stands, if it is MP_LOCAL. As shared. MP_ERR_UNSUPPORTED, MP_ERR_INVALID. */
mp_error mp_stack_mark(mp_stack *pool, mp_mark *mark);

/* Goes back to a mark: what was allocated since is free. As shared. MP_ERR_UNSUPPORTED, MP_ERR_INVALID. Undefined if the mark
 * is not this stack's, if it or an earlier one was released before, if the stack was reset or trimmed since, or if a block
 * that was allocated or resized since is used afterwards. */
mp_error mp_stack_release(mp_stack *pool, const mp_mark *mark);

/* ---- Blocks of any size, freed in any order ----------------------------------------------------------------------- */

typedef struct mp_sign_post_options {
    size_t struct_size;
    mp_allocator *parent;
    uint32_t sharing;
    mp_out_of_memory out_of_memory;
    bool best_fit; /* the smallest free block that fits, instead of the first one found */
    bool wiping;   /* freed bytes are zeroed */
} mp_sign_post_options;

typedef struct mp_sign_post {
    mp_allocator allocator;
} mp_sign_post;

/* Boundary tags and one list: little overhead, a search on allocation. sharing: MP_LOCAL, MP_LOCKED, MP_LOCKED_TICKET. */
mp_sign_post *mp_sign_post_create(const mp_sign_post_options *options);
void *mp_sign_post_alloc(mp_sign_post *pool, size_t size, size_t align);
void mp_sign_post_free(mp_sign_post *pool, void *block, size_t size, size_t align);

typedef struct mp_tlsf_options {
    size_t struct_size;
    mp_allocator *parent;
    uint32_t sharing;
    mp_out_of_memory out_of_memory;
    bool without_quick_list; /* slower, but with a better worst case */
} mp_tlsf_options;

typedef struct mp_tlsf {
    mp_allocator allocator;
} mp_tlsf;

/* Two-level segregated fit: bounded time for any size. sharing: MP_LOCAL, MP_LOCKED, MP_LOCKED_TICKET. */
mp_tlsf *mp_tlsf_create(const mp_tlsf_options *options);
void *mp_tlsf_alloc(mp_tlsf *pool, size_t size, size_t align);
void mp_tlsf_free(mp_tlsf *pool, void *block, size_t size, size_t align);

typedef struct mp_buddy_options {
    size_t struct_size;
    mp_allocator *parent;
    uint32_t sharing;
    mp_out_of_memory out_of_memory;
    size_t least;       /* bytes of the smallest block, a power of two */
    size_t largest;     /* bytes of the largest block, a power of two; both 0: as usual */
    size_t first_chunk; /* bytes of the first chunk; 0: as usual */
} mp_buddy_options;

typedef struct mp_buddy {
    mp_allocator allocator;
} mp_buddy;

/* Blocks of powers of two, split and merged in logarithmic time. sharing: MP_LOCAL, MP_LOCKED, MP_LOCKED_TICKET. */
mp_buddy *mp_buddy_create(const mp_buddy_options *options);
void *mp_buddy_alloc(mp_buddy *pool, size_t size, size_t align);
void mp_buddy_free(mp_buddy *pool, void *block, size_t size, size_t align);

/* ---- Guards: allocators around others, with one job each ------------------------------------------------------------ */

/* A guard stands on `inner` and passes everything on; guards stack in any order. What it answers (mp_get_stats, mp_owns)
 * is what `inner` answers, and what the guard has counted besides. mp_reset and mp_trim reset and trim `inner` if that can
 * be done. A guard is shared as what it stands on. Destroying it does not destroy `inner`. While there is a guard,
 * `inner` is allocated from and freed to through the guard only, unless the guard's text says otherwise.
 *
 * All of the functions that make guards return NULL for MP_ERR_INVALID, MP_ERR_UNSUPPORTED and MP_ERR_EXHAUSTED, and may be
 * called by any thread. */
typedef struct mp_guard_options {
    size_t struct_size;
    mp_allocator *inner; /* NULL: the heap */
    mp_out_of_memory out_of_memory;
    const char *name;        /* of guards that find misuse, for reports; read during the call only */
    mp_misuse_fn *on_misuse; /* of guards that find misuse; NULL: a message on stderr, and the program ends */
    void *misuse_context;
    size_t hold; /* of guards that hold back: how many bytes at most; 0: a mebibyte */
} mp_guard_options;

/* Counts live blocks: live_blocks of mp_stats. */
mp_allocator *mp_counted_create(const mp_guard_options *options);

/* Counts what is live, the peak, the total, and failures: all of mp_stats. */
mp_allocator *mp_counting_create(const mp_guard_options *options);

/* Finds and prevents double frees, foreign and interior addresses, and wrong sizes; finds leaks when it is destroyed or
 * reset. Keeps its books in the heap. */
mp_allocator *mp_checked_create(const mp_guard_options *options);

/* Finds what is written in front of a block or behind it, when the block is freed or resized. Costs 32 bytes per block, or
 * twice the alignment if that is more. */
mp_allocator *mp_canary_create(const mp_guard_options *options);

/* Holds up to 256 freed blocks back, filled, and finds what is written to them meanwhile. */
mp_allocator *mp_quarantine_create(const mp_guard_options *options);

/* Fills blocks with rubbish when they are handed out and when they are freed. */
mp_allocator *mp_poison_create(const mp_guard_options *options);

/* Fills blocks with zeros when they are freed, so that nobody reads what was in them. */
mp_allocator *mp_zeroed_create(const mp_guard_options *options);

/* Tells valgrind and AddressSanitizer, where the program runs under one, of every block: they report leaks, uses after
 * free (as long as the block is one of the 256 held back) and overflows inside of a pool as they do for malloc's. Asks
 * `inner` for some bytes more than it is asked for. */
mp_allocator *mp_tool_annotated_create(const mp_guard_options *options);

typedef struct mp_limit_options {
    size_t struct_size;
    mp_allocator *inner;
    mp_out_of_memory out_of_memory;
    size_t bytes;  /* so many bytes may be live at a time, as asked for; or */
    size_t blocks; /* so many blocks */
} mp_limit_options;

/* Refuses with MP_ERR_LIMIT what goes beyond a limit. */
mp_allocator *mp_limit_create(const mp_limit_options *options);

typedef struct mp_fail_nth_options {
    size_t struct_size;
    mp_allocator *inner;
    mp_out_of_memory out_of_memory;
    size_t only;  /* this request fails, counted from 1; or */
    size_t every; /* each so-manieth fails; or */
    size_t after; /* all fail after so many; if none of the three is set, all fail */
} mp_fail_nth_options;

/* Lets requests fail, to test what a program does then. */
mp_allocator *mp_fail_nth_create(const mp_fail_nth_options *options);

#define MP_ALLOCATED 1 /* a block was handed out */
#define MP_GREW 2      /* a pool that stands on it took a chunk */
#define MP_RESIZED 3   /* a block of old_size at `from` is now one of `size` at `address` */
#define MP_FREED 4     /* a block is about to be freed */
#define MP_FAILED 5    /* a request came to nothing, because of `error` */

/* Something that happened. Valid during the call. */
typedef struct mp_event {
    size_t struct_size;
    uint32_t kind;
    mp_error error;
    const void *address;
    const void *from;
    size_t size;
    size_t align;
    size_t old_size;
} mp_event;

/* Called outside of every lock, by the thread that did it; it may allocate, from `inner` for example. */
typedef void mp_event_fn(void *context, const mp_event *event);

typedef struct mp_observe_options {
    size_t struct_size;
    mp_allocator *inner;
    mp_out_of_memory out_of_memory;
    mp_event_fn *on_event; /* to be set */
    void *event_context;
} mp_observe_options;

/* Calls on_event for everything that happens. */
mp_allocator *mp_observe_create(const mp_observe_options *options);

typedef struct mp_pair_options {
    size_t struct_size;
    mp_allocator *inner;
    mp_out_of_memory out_of_memory;
    mp_allocator *other; /* NULL: the heap */
    size_t largest;      /* of mp_segregator_create: the largest size that is `inner`'s */
} mp_pair_options;

/* Asks `inner`, and `other` when that fails. `inner` must be able to tell its own blocks (mp_owns). Both may be used by
 * others too. */
mp_allocator *mp_fallback_create(const mp_pair_options *options);

/* Asks `inner` for blocks of up to `largest` bytes, and `other` for larger ones. Both may be used by others too. */
mp_allocator *mp_segregator_create(const mp_pair_options *options);

#ifdef __cplusplus
}
#endif

#endif
