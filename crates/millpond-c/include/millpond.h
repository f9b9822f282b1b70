/*
 * Millpond: memory pools that compose. Every pool takes a parent allocator and is itself an allocator.
 *
 *     mp_blocks *pool = mp_blocks_create(MP_OPTIONS(mp_blocks_options, .block_size = sizeof(struct node)));
 *     struct node *node = mp_blocks_alloc(pool);
 *     mp_blocks_free(pool, node);
 *     mp_destroy(&pool->allocator);
 *
 * GENERAL RULES
 *
 * Sizes are in bytes. A size of 0 counts as 1, so every block has an address of its own. An alignment is a power of
 * two; 0 stands for the allocator's default_align: that of the blocks in a pool of blocks, MP_NATURAL_ALIGN in
 * mp_classes, MP_DEFAULT_ALIGN in all others.
 *
 * A block is freed with the size and alignment with which it was allocated or last resized, because pools do not
 * store them. Freeing NULL does nothing.
 *
 * A function that returns a pointer returns NULL when it fails, and mp_last_error() then says why, on the same
 * thread. A function that returns an mp_error sets it too, unless it is MP_OK. As with errno, a function that
 * succeeds leaves it unchanged, so read it only after a failure. No function throws or calls longjmp; an
 * unrecoverable error ends the program (abort).
 *
 * Options, and the strings and arrays that they point to, are read during the call only. The library keeps: a
 * parent, `inner` and `other`, the memory of a buffer, and callbacks with their contexts.
 *
 * "Undefined if" lists errors that an unchecked pool does not detect; the consequences are those of a double free
 * with malloc. A pool with guards (below) or with `checked` set detects and reports most of them.
 *
 * THREADS. "Any thread": may be called by any thread at any time. "As shared": may be called by as many threads at
 * once as the allocator's sharing allows: one at a time for MP_LOCAL, any number otherwise. A guard has the sharing
 * of its inner allocator. "Alone": may be called only while no other thread uses the allocator, whatever its
 * sharing. A parent must allow everything that its children do: if two threads use two children of one parent, the
 * parent must not be MP_LOCAL.
 *
 * LIFETIMES. A parent outlives its children: destroy children first. Destroying a pool returns its memory to its
 * parent, which invalidates all its blocks. The parent itself is not destroyed.
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

/* Returns the version of the library that the program is running with. Any thread. */
uint32_t mp_version(void);

/* ---- Errors ----------------------------------------------------------------------------------------------------- */

typedef uint32_t mp_error;

#define MP_OK 0
#define MP_ERR_EXHAUSTED 1   /* no memory left in this allocator */
#define MP_ERR_LIMIT 2       /* a configured limit was reached */
#define MP_ERR_UNSUPPORTED 3 /* this allocator never serves this size or alignment, or does not support the operation */
#define MP_ERR_OS 4          /* the operating system refused: see mp_last_os_error */
#define MP_ERR_INVALID 5     /* an argument is invalid */
#define MP_ERR_BROKEN 6      /* mp_check found a violated invariant */
#define MP_ERR_STOPPED 7     /* a callback asked to stop */

/* Returns the message for an error; never NULL, valid until the program ends. Any thread. */
const char *mp_strerror(mp_error error);

/* Returns the error of the last failed call on this thread; MP_OK if no call has failed since mp_clear_error. Any
 * thread. */
mp_error mp_last_error(void);

/* Returns a sentence about the last error, which is more specific than its message and says what to do; never NULL,
 * valid until this thread's next call. Any thread. */
const char *mp_last_detail(void);

/* Returns the operating system's error number (errno or GetLastError) if the last error is MP_ERR_OS; otherwise 0.
 * Any thread. */
int32_t mp_last_os_error(void);

/* Clears this thread's last error. Any thread. */
void mp_clear_error(void);

/* Sets this thread's last error. Meant for the functions of a custom allocator. Any thread. */
void mp_set_error(mp_error error);

/* ---- The allocator interface ------------------------------------------------------------------------------------ */

typedef uint32_t mp_flags;

#define MP_ZERO 1     /* zeroes every byte of the block; when a block grows, every new byte */
#define MP_IN_PLACE 2 /* mp_realloc: does not move the block */

#define MP_UNKNOWN SIZE_MAX  /* a value that the allocator does not know */
#define MP_DEFAULT_ALIGN 16  /* the alignment that 0 stands for, unless the allocator specifies another */

/* As a default_align: an alignment of 0 stands for the largest power of two up to 16 that divides the size, at least
 * that of a word; above 128 bytes, it stands for 16. That is enough for objects and arrays of that size, so they can
 * use classes of 24, 40 or 56 bytes. If a block is larger than its object, as with a flexible array member, and
 * contains data aligned to 16, pass the alignment explicitly. */
#define MP_NATURAL_ALIGN SIZE_MAX

typedef struct mp_table mp_table;
typedef struct mp_stats mp_stats;

/* An allocator: any structure that begins with these two words. Pools, guards and sources are allocators, and so are
 * custom ones (see mp_table). */
typedef struct mp_allocator {
    const mp_table *table; /* its functions */
    size_t default_align;  /* the alignment that 0 stands for; 0: MP_DEFAULT_ALIGN; or MP_NATURAL_ALIGN */
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

/* The functions of an allocator. A custom allocator has a constant table with struct_size set to sizeof(mp_table),
 * `alloc` and `free`; operations that it does not support are NULL. The functions below call the member of the same
 * name (mp_alloc: alloc), which must fulfil the contract documented there. Members can rely on the following: no
 * size is 0, every alignment is a power of two, no block is NULL, and a block is freed with exactly the size with
 * which it was allocated. */
struct mp_table {
    size_t struct_size; /* sizeof(mp_table); lets the table grow */
    const char *name;   /* may be NULL */
    mp_alloc_fn *alloc;
    mp_realloc_fn *realloc; /* may be NULL: mp_realloc then allocates, copies and frees */
    mp_free_fn *free;
    mp_destroy_fn *destroy;             /* this and all members below may be NULL */
    mp_alloc_between_fn *alloc_between; /* NULL: `alloc` is called with decreasing sizes */
    mp_reset_fn *reset;
    mp_trim_fn *trim;
    mp_owns_fn *owns;
    mp_largest_free_fn *largest_free;
    mp_stats_fn *stats;
    mp_check_fn *check;
    mp_each_fn *each;
    mp_render_fn *render; /* only in the library's own allocators; NULL in custom ones */
    mp_reserve_fn *reserve;
    mp_alloc_many_fn *alloc_many; /* NULL: mp_alloc_many calls `alloc` for each block; likewise free_many */
    mp_free_many_fn *free_many;
    mp_flush_fn *flush;
    mp_impossible_fn *impossible; /* reports a free or resize whose size or alignment no block can have */
    mp_may_free_fn *may_free;     /* NULL: any block may be freed */
    mp_damage_fn *damage; /* returns the address of a word between blocks that was overwritten and that a call would
                           * follow: a free or resize of `block`, which is live, or an allocation if `block` is
                           * NULL. NULL: none.
                           * Called by the guard of mp_checked_create */
};

/* Allocates a block of at least `size` bytes; with MP_ZERO, the block is zeroed.
 * As shared. NULL: MP_ERR_EXHAUSTED, MP_ERR_LIMIT, MP_ERR_OS, MP_ERR_UNSUPPORTED (this allocator never serves this
 * size or alignment), MP_ERR_INVALID (`allocator` is NULL, or the alignment is invalid). */
void *mp_alloc(mp_allocator *allocator, size_t size, size_t align, mp_flags flags);

/* Allocates a block for `count` objects of `size` bytes each; with MP_ZERO, zeroed like calloc. Free it with the
 * product as its size.
 * As shared. NULL: as mp_alloc; MP_ERR_UNSUPPORTED also if the product overflows. */
void *mp_alloc_array(mp_allocator *allocator, size_t count, size_t size, size_t align, mp_flags flags);

/* Resizes a block, in place or by moving it; the contents are kept up to the smaller size. If `block` is NULL,
 * allocates. With MP_ZERO, bytes beyond `old_size` are zeroed; with MP_IN_PLACE, the block is not moved, and
 * make_room is not called.
 * As shared. NULL: as mp_alloc, and the block is unchanged. Undefined if the block is not live, or was not allocated
 * by this allocator with old_size and align. */
void *mp_realloc(mp_allocator *allocator, void *block, size_t old_size, size_t new_size, size_t align,
                 mp_flags flags);

/* Frees a block.
 * As shared. Undefined if the block is not live, or was not allocated by this allocator with this size and
 * alignment. */
void mp_free(mp_allocator *allocator, void *block, size_t size, size_t align);

/* Returns whether mp_free would free a block; false if it would report misuse instead. The block is not accessed, so
 * any address may be passed. Guards that write to freed blocks call this first, so they can wrap guards that detect
 * misuse. As shared. */
bool mp_may_free(mp_allocator *allocator, void *block, size_t size, size_t align);

/* Allocates a block of at least `least` bytes and, if possible, about `preferred`; stores its size in `*got`. Pools
 * request chunks from their parents with this function. The block may be freed with any size from the one requested
 * up to `*got`. `got` may be NULL.
 * As shared. NULL: as mp_alloc for `least`. */
void *mp_alloc_between(mp_allocator *allocator, size_t least, size_t preferred, size_t align, size_t *got);

/* Destroys an allocator; does nothing for NULL and for allocators without `destroy`.
 * Alone. Undefined if it still has children, or if it or one of its blocks is used afterwards. */
void mp_destroy(mp_allocator *allocator);

/* Returns the name of the allocator; never NULL. Any thread. */
const char *mp_name(const mp_allocator *allocator);

/* Frees all blocks at once and keeps the chunks for reuse.
 * Alone. MP_ERR_UNSUPPORTED: sources, and guards around them. Undefined if a block is used afterwards, for example
 * by a child of this allocator. */
mp_error mp_reset(mp_allocator *allocator);

/* Returns chunks without live blocks to the parent; returns how many bytes that were. Free blocks that other threads
 * have cached from an MP_CACHED pool are kept (see mp_flush). As shared; alone for what is MP_LOCK_FREE, an
 * mp_remote_free, and the guards quarantine and tool_annotated, which free the blocks that they hold back first. */
size_t mp_trim(mp_allocator *allocator);

/* Grows a pool, if necessary, until it can serve `count` consecutive requests of this size without its parent. Call
 * it before time-critical code, or before a signal handler allocates. Linear in `count`.
 * As shared. MP_ERR_UNSUPPORTED: all allocators except mp_blocks and mp_classes; otherwise as mp_alloc. */
mp_error mp_reserve(mp_allocator *allocator, size_t size, size_t align, size_t count);

/* Allocates `count` blocks of one size and stores them in `blocks`; allocates all of them or none. The lock is
 * taken, or the shared list changed, once for many blocks.
 * As shared. Errors: as mp_alloc, and MP_ERR_INVALID if `blocks` is NULL. */
mp_error mp_alloc_many(mp_allocator *allocator, void **blocks, size_t count, size_t size, size_t align);

/* Frees `count` blocks in the same way.
 * As shared. Undefined if one of them is NULL, not live, not allocated by this allocator with this size and
 * alignment, or appears twice. */
void mp_free_many(mp_allocator *allocator, void *const *blocks, size_t count, size_t size, size_t align);

/* Returns the free blocks that this thread has cached to an MP_CACHED pool, so that other threads and mp_trim can
 * use them; does nothing for other allocators. As shared. */
void mp_flush(mp_allocator *allocator);

/* Returns whether an address lies in a chunk of this allocator; false if the allocator does not know. The address is
 * not read. As shared. */
bool mp_owns(const mp_allocator *allocator, const void *address);

/* Returns the largest size that would now be served without a request to the parent; MP_UNKNOWN if not known. As
 * shared. */
size_t mp_largest_free(const mp_allocator *allocator);

/* Statistics of an allocator and of its guards; MP_UNKNOWN for values that are not known. */
struct mp_stats {
    size_t struct_size;  /* sizeof(mp_stats); set it before the call */
    size_t chunks;       /* chunks allocated from the parent and not yet returned */
    size_t held;         /* bytes in these chunks */
    size_t live;         /* bytes in live blocks, rounded up to the sizes that the pool uses */
    size_t free;         /* bytes that can be handed out without a request to the parent */
    size_t largest_free; /* as mp_largest_free */
    size_t holes;        /* number of free pieces, in pools of blocks of any size */
    size_t live_blocks;  /* with a counting guard: live blocks */
    size_t live_bytes;   /* with a guard that counts bytes: bytes requested for live blocks */
    size_t peak_blocks;  /* maximum number of blocks live at a time */
    size_t peak_bytes;
    size_t total_blocks; /* all blocks handed out so far */
    size_t total_bytes;
    size_t failed;       /* failed requests */
    size_t left;         /* with a limiting guard: bytes or blocks left until the limit */
};

/* Fills `*out`, whose struct_size must be set. Linear in the free blocks.
 * As shared. MP_ERR_UNSUPPORTED: the allocator has no statistics; MP_ERR_INVALID: `out` is NULL or its struct_size
 * is not set. */
mp_error mp_get_stats(const mp_allocator *allocator, mp_stats *out);

/* Verifies every invariant of the allocator's data structures; mp_last_detail() says which is violated.
 * As shared. MP_OK also if the allocator cannot be checked; MP_ERR_BROKEN. */
mp_error mp_check(const mp_allocator *allocator);

/* Calls `visit` for every live block until it returns false. `visit` must not use this allocator.
 * Alone. MP_ERR_STOPPED: `visit` returned false; MP_ERR_UNSUPPORTED: the allocator does not know its live blocks. */
mp_error mp_each(mp_allocator *allocator, mp_visit_fn *visit, void *context);

#define MP_SVG 0   /* a self-contained SVG file */
#define MP_TEXT 1  /* for a terminal of 80 columns, in UTF-8 */
#define MP_ASCII 2 /* the same in ASCII only */

/* Receives a piece of a text; returns false to stop. */
typedef bool mp_write_fn(void *context, const char *text, size_t length);

/* Draws what the memory of the allocator is used for, chunk by chunk, and passes the text to `write` in pieces. The
 * title may be NULL. Uses heap memory for the duration of the call.
 * As shared. MP_ERR_UNSUPPORTED: the allocator does not support it; MP_ERR_STOPPED: `write` returned false;
 * MP_ERR_INVALID. */
mp_error mp_heap_map(const mp_allocator *allocator, uint32_t format, const char *title, mp_write_fn *write,
                     void *context);

/* ---- Sources: where memory comes from --------------------------------------------------------------------------- */

/* Returns the system's heap (malloc and free), which is the default parent. Any thread. Never destroyed. */
mp_allocator *mp_heap(void);

/* Returns a source of whole pages from the operating system; fresh pages are zero. Use it as a parent for pools. Any
 * thread. Never destroyed. */
mp_allocator *mp_pages(void);

/* Returns a source without memory: a parent for pools that must not grow. Any thread. Never destroyed. */
mp_allocator *mp_null_allocator(void);

/* Returns the number of bytes in a page. Any thread. */
size_t mp_page_size(void);

#define MP_HUGE_NONE 0
#define MP_HUGE_PREFERRED 1 /* large blocks on huge pages if the system has them */
#define MP_HUGE_REQUIRED 2  /* every block on huge pages that the administrator has reserved; fails if there are none */

#define MP_NUMA_ANY 0
#define MP_NUMA_BIND 1       /* only from the nodes in numa_nodes (bit n: node n) */
#define MP_NUMA_INTERLEAVE 2 /* from these nodes in turn (round robin) */

typedef struct mp_pages_options {
    size_t struct_size;
    bool guarded;   /* each block lies between two guard pages */
    bool populated; /* a block is backed by memory before it is handed out */
    uint32_t huge;
    uint32_t numa;
    uint64_t numa_nodes;
} mp_pages_options;

/* Creates a source of pages with options; with NULL options, it behaves as mp_pages.
 * Any thread may use it. NULL: MP_ERR_INVALID, MP_ERR_EXHAUSTED. */
mp_allocator *mp_tuned_pages_create(const mp_pages_options *options);

/* Reserves a range of `size` bytes of addresses, which is backed by memory as it is used. Chunks of one pool on it
 * are adjacent.
 * Any thread may use it. NULL: MP_ERR_OS, MP_ERR_UNSUPPORTED (`size` is 0 or exceeds the address space). */
mp_allocator *mp_reserved_region_create(size_t size);

/* Creates a source from the `size` bytes at `memory`; if less is left than a pool prefers, its chunk is all that is
 * left.
 * Any thread may use it. NULL: MP_ERR_INVALID. Undefined if the bytes are used otherwise before it is destroyed. */
mp_allocator *mp_buffer_create(void *memory, size_t size);

/* ---- Forking ----------------------------------------------------------------------------------------------------- */

/* Makes shared allocators usable in the child of a fork. The child has one thread: locks that other threads held
 * stay locked there, and their changes stay incomplete. After this call, all shared allocators of this library,
 * existing and future ones, are locked while the process forks (pthread_atfork), so the child can go on using them
 * whatever other threads were doing: allocate, free, start threads, reset, trim, destroy. Call it once or more,
 * before installing other handlers that wait for threads which use these allocators. Any thread. MP_ERR_OS,
 * MP_ERR_EXHAUSTED, MP_ERR_UNSUPPORTED (there is no fork).
 *
 *                        without this call, the child may use it           after this call, the child
 *     MP_LOCAL           if no other thread was in a function of it        the same
 *     MP_LOCKED, _TICKET if no other thread was in a function of it        has the whole pool
 *     MP_CACHED          if none was, and does not trim it                 has the pool; what other threads had cached
 *                                                                          is lost until a reset
 *     MP_LOCK_FREE       in any case; growing may wait for 0.1 s           has the whole pool
 *     mp_remote_free     if its owner has forked                           the same
 *     guards, sources    as `inner` or the parent; checked, quarantine and as `inner` or the parent
 *                        tool_annotated: if no other thread was in one
 *     mp_heap            as malloc, which C libraries hold for forks       the same
 *
 * Live blocks of other threads stay live in the child, and a checked pool reports them as leaks when it is destroyed
 * there. Counts of guards may be off by the requests that were in flight. */
mp_error mp_atfork(void);

/* ---- Misuse ------------------------------------------------------------------------------------------------------- */

#define MP_DOUBLE_FREE 1        /* the block was already freed; prevented */
#define MP_FOREIGN 2            /* no block of this pool begins at the address; prevented */
#define MP_INTERIOR 3           /* the address lies inside a block, which begins at `detail`; prevented */
#define MP_WRONG_LAYOUT 4       /* the block was allocated with another size or alignment: `detail` bytes; prevented */
#define MP_OVERFLOW 5           /* a write before or after the block, first at offset `detail` (signed) */
#define MP_WRITTEN_AFTER_FREE 6 /* a write to the freed block, first at offset `detail` */
#define MP_LEAK 7               /* `detail` blocks were live when the pool was destroyed or reset; this is the first */
#define MP_OVERLAP 8            /* a block about to be handed out overlaps the live block at `detail`; prevented */
#define MP_FORGED 9             /* an address about to be handed out is no block: a free one was written to; prevented */
#define MP_DAMAGED 10           /* overwritten memory of the pool at `detail`, which the call would read; prevented */

/* A detected misuse of a pool. Valid during the call only. */
typedef struct mp_misuse {
    size_t struct_size;
    const char *pool;    /* its name */
    const void *address; /* where the block begins, or the address that was passed as one */
    size_t size;         /* the size and alignment that were passed with it */
    size_t align;
    uint32_t kind;
    size_t detail;
    size_t more;         /* how many more were found in the same call; only this one is reported */
    const char *text;    /* a description of the misuse */
} mp_misuse;

/* Called without any lock held, on the thread that detected the misuse. When it returns, the program continues. */
typedef void mp_misuse_fn(void *context, const mp_misuse *misuse);

/* ---- Options of pools ------------------------------------------------------------------------------------------- */

/* Creates options in an expression: MP_OPTIONS(mp_blocks_options, .block_size = 64). Members that are not named are
 * zero, which means the default. In C++, fill a zeroed structure and set struct_size to its size. Structures may
 * grow in later versions: struct_size says which members the program knows. If a member that the library does not
 * know is not zero, the call fails with MP_ERR_UNSUPPORTED. */
#ifndef __cplusplus
#define MP_OPTIONS(type, ...) (&(const type){.struct_size = sizeof(type), __VA_ARGS__})
#endif

/* Which threads may use a pool at the same time. */
#define MP_LOCAL 0         /* one thread at a time */
#define MP_LOCKED 1        /* any number, with a lock that is not held during requests to the parent */
#define MP_CACHED 2        /* any number, each with a cache of free blocks: only mp_blocks, mp_classes */
#define MP_LOCK_FREE 3     /* any number, without a lock: only mp_blocks, mp_linear */
#define MP_LOCKED_TICKET 4 /* as MP_LOCKED, with a fair lock (first come, first served): for a bounded worst case */

/* What a pool or guard does when a request fails for lack of memory. */
#define MP_RETURN_NULL 0
#define MP_RETRY 1 /* calls make_room, and retries the request if it returns true */
#define MP_ABORT 2 /* ends the program with a message on stderr */

/* Called without any lock held, so it may free blocks of the same pool. */
typedef bool mp_make_room_fn(void *context, size_t size, size_t align);

typedef struct mp_out_of_memory {
    uint32_t action;
    mp_make_room_fn *make_room;
    void *context;
} mp_out_of_memory;

/* The options of every pool begin with these members:
 *
 *     size_t struct_size;             sizeof the structure; MP_OPTIONS sets it
 *     mp_allocator *parent;           where chunks come from; NULL: the heap
 *     uint32_t sharing;               one of the values above
 *     mp_out_of_memory out_of_memory;
 */

/* The options of pools without specific options. */
typedef struct mp_pool_options {
    size_t struct_size;
    mp_allocator *parent;
    uint32_t sharing;
    mp_out_of_memory out_of_memory;
    size_t capacity; /* bytes in the first chunk; 0: a page */
} mp_pool_options;

/* ---- Blocks of one size: allocate and free in a few instructions -------------------------------------------------- */

#define MP_LIFO 0            /* a list: the block freed last is handed out next; no overhead */
#define MP_MAGAZINE 1        /* a small array in front of lists: for many live blocks */
#define MP_ADDRESS_ORDERED 2 /* a small array in front of bitmaps: in address order, knows live blocks (mp_each) */

/* For programs under attack: everything that is known about blocks lies beside them, so no write to a block changes
 * which addresses are handed out, and invalid frees are reported and prevented. Blocks come in random order. With
 * MP_HARDENED, freed blocks are also erased, compared with zero before they are handed out again, and held back for a
 * while. To be complete, put the pool on mp_checked_create around mp_pages_create with guards, and mp_canary_create
 * around the pool: SECURITY.md says what each part detects. Both know live blocks (mp_each). They report misuse as a
 * checked pool does, except blocks that were never freed, and can be shared by MP_CACHED, without caches. */
#define MP_HARDENED_LIGHT 3
#define MP_HARDENED 4

typedef struct mp_blocks_options {
    size_t struct_size;
    mp_allocator *parent;
    uint32_t sharing;
    mp_out_of_memory out_of_memory;
    size_t block_size;       /* required; rounded up to a multiple of the alignment, and to a word */
    size_t block_align;      /* 0: the largest power of two up to 16 that divides block_size, at least that of a word */
    uint32_t free_list;      /* MP_LIFO, MP_MAGAZINE, MP_ADDRESS_ORDERED, MP_HARDENED_LIGHT or MP_HARDENED */
    size_t capacity;         /* blocks in the first chunk; 0: a page */
    size_t blocks_per_chunk; /* exact number of blocks in each chunk; 0: twice as many as in the chunk before */
    bool checked;            /* detects misuse with a live bit per block: see below; not with MP_CACHED, MP_LOCK_FREE */
    const char *name;        /* of a checked or hardened pool, for reports; read during the call only */
    mp_misuse_fn *on_misuse; /* of a checked or hardened pool; NULL: prints a message on stderr and ends the program */
    void *misuse_context;
} mp_blocks_options;

typedef struct mp_blocks {
    mp_allocator allocator; /* the pool as an allocator: &pool->allocator */
} mp_blocks;

/* Creates a pool of blocks of one size. No memory for blocks is requested before the first allocation. NULL:
 * MP_ERR_INVALID, MP_ERR_UNSUPPORTED (a combination of options that does not exist), MP_ERR_EXHAUSTED. Any thread. */
mp_blocks *mp_blocks_create(const mp_blocks_options *options);

/* Allocates a block. As shared. NULL: as mp_alloc. Undefined if `pool` is not such a pool, or is NULL. */
void *mp_blocks_alloc(mp_blocks *pool);

/* Frees a block.
 * As shared. Undefined if the block is not live or not of this pool, unless the pool is checked or hardened: it
 * reports blocks that are not live, addresses that are not blocks, and sizes that it does not serve, and does
 * nothing else; when a checked pool is destroyed, it reports blocks that were never freed. */
void mp_blocks_free(mp_blocks *pool, void *block);

/* A pool from which one thread allocates blocks and to which any thread frees them. */
typedef struct mp_remote_free {
    mp_allocator allocator; /* for the owner: one thread at a time */
} mp_remote_free;

/* Creates a pool of blocks of one size that is owned by one thread at a time. Only the owner uses the allocator; it
 * needs no atomic operations as long as it has free blocks. Options are those of mp_blocks_create, except sharing,
 * free_list and checked. NULL: as mp_blocks_create. Any thread. */
mp_remote_free *mp_remote_free_create(const mp_blocks_options *options);

/* Frees a block. The owner collects it when it has no other free block.
 * Any thread, at any time, even while the owner uses the pool. Undefined if the block is not live or not of this
 * pool. */
void mp_remote_free_return(mp_remote_free *pool, void *block);

/* ---- Blocks of several sizes ------------------------------------------------------------------------------------ */

/* The options of mp_classes. Larger blocks, and blocks with an alignment above 64, come from the parent, with a
 * record of 32 bytes in front; mp_reset and mp_destroy return them to the parent. sharing: MP_LOCAL, MP_LOCKED,
 * MP_LOCKED_TICKET, MP_CACHED. */
typedef struct mp_classes_options {
    size_t struct_size;
    mp_allocator *parent;
    uint32_t sharing;
    mp_out_of_memory out_of_memory;
    const size_t *sizes; /* the sizes of the classes, up to 64, each up to 32768; read during the call only */
    size_t size_count;   /* number of sizes; 0: every multiple of 16 up to 128, then four per doubling up to 32768 */
} mp_classes_options;

typedef struct mp_classes {
    mp_allocator allocator;
} mp_classes;

/* Like mp_blocks_create, mp_alloc and mp_free, but without the call through a table. The same holds for the pools
 * below. */
mp_classes *mp_classes_create(const mp_classes_options *options);
void *mp_classes_alloc(mp_classes *pool, size_t size, size_t align);
void mp_classes_free(mp_classes *pool, void *block, size_t size, size_t align);

/* ---- Arenas: blocks of any size, freed together ------------------------------------------------------------------- */

typedef struct mp_linear {
    mp_allocator allocator;
} mp_linear;

/* A bump arena: freeing the last block makes its memory available again, freeing any other block does nothing;
 * mp_reset frees all blocks. sharing: MP_LOCAL, MP_LOCKED, MP_LOCKED_TICKET, MP_LOCK_FREE. */
mp_linear *mp_linear_create(const mp_pool_options *options);
void *mp_linear_alloc(mp_linear *pool, size_t size, size_t align);
void mp_linear_free(mp_linear *pool, void *block, size_t size, size_t align);

typedef struct mp_stack {
    mp_allocator allocator;
} mp_stack;

/* A bump arena with marks to go back to. sharing: MP_LOCAL, MP_LOCKED, MP_LOCKED_TICKET. */
mp_stack *mp_stack_create(const mp_pool_options *options);
void *mp_stack_alloc(mp_stack *pool, size_t size, size_t align);
void mp_stack_free(mp_stack *pool, void *block, size_t size, size_t align);

/* A position of a stack. Its contents are private to the stack. */
typedef struct mp_mark {
    size_t words[6];
} mp_mark;

/* Stores the current position of an MP_LOCAL stack in `*mark`. As shared. MP_ERR_UNSUPPORTED, MP_ERR_INVALID. */
mp_error mp_stack_mark(mp_stack *pool, mp_mark *mark);

/* Frees all blocks allocated since a mark.
 * As shared. MP_ERR_UNSUPPORTED, MP_ERR_INVALID. Undefined if the mark is not of this stack, if it or an earlier one
 * was already released, if the stack was reset or trimmed since, or if a block that was allocated or resized since
 * is used afterwards. */
mp_error mp_stack_release(mp_stack *pool, const mp_mark *mark);

/* ---- Blocks of any size, freed in any order ----------------------------------------------------------------------- */

typedef struct mp_sign_post_options {
    size_t struct_size;
    mp_allocator *parent;
    uint32_t sharing;
    mp_out_of_memory out_of_memory;
    bool best_fit; /* uses the smallest free block that fits instead of the first one found */
    bool wiping;   /* zeroes freed bytes */
} mp_sign_post_options;

typedef struct mp_sign_post {
    mp_allocator allocator;
} mp_sign_post;

/* A pool with boundary tags and one free list: little overhead, linear search on allocation. sharing: MP_LOCAL,
 * MP_LOCKED, MP_LOCKED_TICKET. */
mp_sign_post *mp_sign_post_create(const mp_sign_post_options *options);
void *mp_sign_post_alloc(mp_sign_post *pool, size_t size, size_t align);
void mp_sign_post_free(mp_sign_post *pool, void *block, size_t size, size_t align);

typedef struct mp_tlsf_options {
    size_t struct_size;
    mp_allocator *parent;
    uint32_t sharing;
    mp_out_of_memory out_of_memory;
    bool without_quick_list; /* slower on average, with a better worst case */
} mp_tlsf_options;

typedef struct mp_tlsf {
    mp_allocator allocator;
} mp_tlsf;

/* Two-level segregated fit: allocates and frees any size in bounded time. sharing: MP_LOCAL, MP_LOCKED,
 * MP_LOCKED_TICKET. */
mp_tlsf *mp_tlsf_create(const mp_tlsf_options *options);
void *mp_tlsf_alloc(mp_tlsf *pool, size_t size, size_t align);
void mp_tlsf_free(mp_tlsf *pool, void *block, size_t size, size_t align);

typedef struct mp_buddy_options {
    size_t struct_size;
    mp_allocator *parent;
    uint32_t sharing;
    mp_out_of_memory out_of_memory;
    size_t least;       /* bytes in the smallest block: a power of two, at least two words */
    size_t largest;     /* bytes in the largest block: a power of two, at most 2^31 * least; both 0: default */
    size_t first_chunk; /* bytes in the first chunk; 0: default */
} mp_buddy_options;

typedef struct mp_buddy {
    mp_allocator allocator;
} mp_buddy;

/* A buddy allocator: blocks of powers of two, split and merged in logarithmic time. sharing: MP_LOCAL, MP_LOCKED,
 * MP_LOCKED_TICKET. */
mp_buddy *mp_buddy_create(const mp_buddy_options *options);
void *mp_buddy_alloc(mp_buddy *pool, size_t size, size_t align);
void mp_buddy_free(mp_buddy *pool, void *block, size_t size, size_t align);

/* ---- Guards: allocators around others, with one job each ------------------------------------------------------------ */

/* The options of guards. A guard wraps `inner` and forwards every call to it; guards can be nested in any order.
 * Queries (mp_get_stats, mp_owns) return the answer of `inner` plus what the guard has counted. mp_reset and mp_trim
 * reset and trim `inner` if it supports that. A guard has the sharing of `inner`. Destroying a guard does not
 * destroy `inner`. While a guard exists, use `inner` only through the guard, unless the guard's documentation says
 * otherwise.
 *
 * All functions that create guards return NULL for MP_ERR_INVALID, MP_ERR_UNSUPPORTED and MP_ERR_EXHAUSTED, and may
 * be called by any thread. */
typedef struct mp_guard_options {
    size_t struct_size;
    mp_allocator *inner; /* NULL: the heap */
    mp_out_of_memory out_of_memory;
    const char *name;        /* of guards that detect misuse, for reports; read during the call only */
    mp_misuse_fn *on_misuse; /* of guards that detect misuse; NULL: prints a message on stderr and ends the program */
    void *misuse_context;
    size_t hold; /* of guards that delay frees: max bytes held back; 0: 1 MiB */
} mp_guard_options;

/* Creates a guard that counts live blocks: live_blocks of mp_stats. */
mp_allocator *mp_counted_create(const mp_guard_options *options);

/* Creates a guard that counts live, peak and total blocks and bytes, and failures: all of mp_stats. */
mp_allocator *mp_counting_create(const mp_guard_options *options);

/* Creates a guard that detects and prevents double frees, foreign and interior addresses, and wrong sizes, and that
 * reports leaks when it is destroyed or reset. Its bookkeeping is in the heap. */
mp_allocator *mp_checked_create(const mp_guard_options *options);

/* Creates a guard that detects writes before or after a block when the block is freed or resized. Costs 32 bytes per
 * block, or twice the alignment if that is more. */
mp_allocator *mp_canary_create(const mp_guard_options *options);

/* Creates a guard that holds back up to 256 freed blocks, filled with a pattern, and detects writes to them. */
mp_allocator *mp_quarantine_create(const mp_guard_options *options);

/* Creates a guard that fills blocks with a pattern when they are handed out and when they are freed. */
mp_allocator *mp_poison_create(const mp_guard_options *options);

/* Creates a guard that zeroes blocks when they are freed, so that their contents cannot be read afterwards. */
mp_allocator *mp_zeroed_create(const mp_guard_options *options);

/* Creates a guard that reports every block to valgrind or AddressSanitizer, if the program runs under one of them:
 * they then report leaks, uses after free (as long as the block is one of the 256 held back) and overflows inside a
 * pool as they do for malloc. Requests some extra bytes per block from `inner`. */
mp_allocator *mp_tool_annotated_create(const mp_guard_options *options);

typedef struct mp_limit_options {
    size_t struct_size;
    mp_allocator *inner;
    mp_out_of_memory out_of_memory;
    size_t bytes;  /* set one of the two: max bytes live at a time, as requested; */
    size_t blocks; /* max blocks live at a time */
} mp_limit_options;

/* Creates a guard that refuses requests beyond a limit with MP_ERR_LIMIT. */
mp_allocator *mp_limit_create(const mp_limit_options *options);

typedef struct mp_fail_nth_options {
    size_t struct_size;
    mp_allocator *inner;
    mp_out_of_memory out_of_memory;
    size_t only;  /* set at most one of the three: only this request fails, counted from 1; */
    size_t every; /* every Nth request fails; */
    size_t after; /* all requests after the first N fail. If none is set, all requests fail */
} mp_fail_nth_options;

/* Creates a guard that makes requests fail, for testing. */
mp_allocator *mp_fail_nth_create(const mp_fail_nth_options *options);

#define MP_ALLOCATED 1 /* a block was handed out */
#define MP_GREW 2      /* a pool on this guard was given a chunk */
#define MP_RESIZED 3   /* a block of old_size at `from` is now one of `size` at `address` */
#define MP_FREED 4     /* a block is about to be freed */
#define MP_FAILED 5    /* a request failed with `error` */

/* An event in an allocator. Valid during the call only. */
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

/* Called without any lock held, on the thread that caused the event; it may allocate, for example from `inner`. */
typedef void mp_event_fn(void *context, const mp_event *event);

typedef struct mp_observe_options {
    size_t struct_size;
    mp_allocator *inner;
    mp_out_of_memory out_of_memory;
    mp_event_fn *on_event; /* required */
    void *event_context;
} mp_observe_options;

/* Creates a guard that calls on_event for every event. */
mp_allocator *mp_observe_create(const mp_observe_options *options);

typedef struct mp_pair_options {
    size_t struct_size;
    mp_allocator *inner;
    mp_out_of_memory out_of_memory;
    mp_allocator *other; /* NULL: the heap */
    size_t largest;      /* of mp_segregator_create: the largest size that `inner` serves */
} mp_pair_options;

/* Creates an allocator that tries `inner` first and `other` if that fails. `inner` must be able to recognise its own
 * blocks (mp_owns). Both may also be used directly. */
mp_allocator *mp_fallback_create(const mp_pair_options *options);

/* Creates an allocator that serves blocks of up to `largest` bytes from `inner` and larger ones from `other`. Both
 * may also be used directly. */
mp_allocator *mp_segregator_create(const mp_pair_options *options);

#ifdef __cplusplus
}
#endif

#endif
