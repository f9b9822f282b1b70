/* A custom allocator as a parent, pools as parents of pools, and options of other versions. */
#include "expect.h"

typedef struct counting {
    mp_allocator allocator;
    size_t live, calls, most;
} counting;

static void *count_alloc(mp_allocator *self, size_t size, size_t align, mp_flags flags) {
    counting *own = (counting *)self;
    EXPECT(size > 0 && align > 0 && (align & (align - 1)) == 0);
    if (own->live + size > own->most) {
        mp_set_error(MP_ERR_LIMIT);
        return NULL;
    }
    void *block;
    if (posix_memalign(&block, align < sizeof block ? sizeof block : align, size) != 0)
        return NULL;
    if (flags & MP_ZERO)
        memset(block, 0, size);
    own->live += size;
    own->calls++;
    return block;
}

static void count_free(mp_allocator *self, void *block, size_t size, size_t align) {
    (void)align;
    EXPECT(block);
    ((counting *)self)->live -= size;
    free(block);
}

static const mp_table counting_table = {
    .struct_size = sizeof(mp_table),
    .name = "counting",
    .alloc = count_alloc,
    .free = count_free,
};

static void a_table_of_ones_own(void) {
    counting own = {.allocator = {&counting_table, 0}, .most = 1 << 20};
    mp_blocks *pool = mp_blocks_create(MP_OPTIONS(mp_blocks_options, .block_size = 64, .parent = &own.allocator));
    mp_tlsf *child = mp_tlsf_create(MP_OPTIONS(mp_tlsf_options, .parent = &own.allocator));
    for (int i = 0; i < 1000; i++)
        EXPECT(mp_blocks_alloc(pool) && mp_tlsf_alloc(child, 100, 0));
    EXPECT(own.live >= 164000 && own.calls < 100);
    size_t count = 1000;
    while (mp_blocks_alloc(pool))
        count++;
    EXPECT(mp_last_error() == MP_ERR_LIMIT && count > 5000);
    mp_destroy(&child->allocator);
    EXPECT(mp_blocks_alloc(pool) && stats_of(&pool->allocator).live == 64 * (count + 1));
    mp_destroy(&pool->allocator);
    EXPECT(own.live == 0);
    EXPECT(strcmp(mp_name(&own.allocator), "counting") == 0);
    EXPECT(mp_reset(&own.allocator) == MP_ERR_UNSUPPORTED && mp_trim(&own.allocator) == 0);
    EXPECT(mp_largest_free(&own.allocator) == MP_UNKNOWN && mp_check(&own.allocator) == MP_OK);

    /* Functions missing in its table are implemented by allocating, copying and freeing, or are refused. */
    size_t got;
    char *block = mp_realloc(&own.allocator, NULL, 0, 10, 0, MP_ZERO);
    EXPECT(block && all(block, 10, 0));
    strcpy(block, "nine char");
    block = mp_realloc(&own.allocator, block, 10, 5000, 0, 0);
    EXPECT(block && strcmp(block, "nine char") == 0 && own.live == 5000);
    EXPECT(!mp_realloc(&own.allocator, block, 5000, 6000, 0, MP_IN_PLACE) && mp_last_error() == MP_ERR_UNSUPPORTED);
    mp_free(&own.allocator, block, 5000, 0);
    void *most = mp_alloc_between(&own.allocator, 100, (size_t)3 << 19, 0, &got);
    EXPECT(most && got == (size_t)3 << 18 && own.live == got);
    mp_free(&own.allocator, most, got, 0);
}

static void tables_that_lack_something(void) {
    mp_allocator none = {NULL, 0};
    EXPECT(!mp_alloc(&none, 1, 0, 0) && mp_last_error() == MP_ERR_INVALID);
    EXPECT(!mp_linear_create(MP_OPTIONS(mp_pool_options, .parent = &none)) && mp_last_error() == MP_ERR_INVALID);
    mp_table table = counting_table;
    table.struct_size = 0;
    mp_allocator unset = {&table, 0};
    EXPECT(!mp_linear_create(MP_OPTIONS(mp_pool_options, .parent = &unset)) && mp_last_error() == MP_ERR_INVALID);
    /* A table of an early version: it ends after `free`. */
    table.struct_size = offsetof(mp_table, destroy);
    table.reset = (mp_reset_fn *)abort;
    counting early = {.allocator = {&table, 0}, .most = 1 << 20};
    EXPECT(mp_reset(&early.allocator) == MP_ERR_UNSUPPORTED);
    mp_linear *arena = mp_linear_create(MP_OPTIONS(mp_pool_options, .parent = &early.allocator));
    EXPECT(arena && mp_linear_alloc(arena, 1000, 0));
    mp_destroy(&arena->allocator);
    EXPECT(early.live == 0);
}

static void pools_on_pools(void) {
    static char memory[100000];
    mp_allocator *buffer = mp_buffer_create(memory, sizeof memory);
    mp_buddy *buddy = mp_buddy_create(MP_OPTIONS(mp_buddy_options, .parent = buffer));
    mp_classes *classes = mp_classes_create(MP_OPTIONS(mp_classes_options, .parent = &buddy->allocator));
    mp_linear *linear = mp_linear_create(MP_OPTIONS(mp_pool_options, .parent = &classes->allocator));
    EXPECT(buffer && buddy && classes && linear);
    char *block = mp_linear_alloc(linear, 3000, 64);
    EXPECT(block >= memory && block < memory + sizeof memory && (uintptr_t)block % 64 == 0);
    EXPECT(mp_owns(buffer, block) && mp_owns(&buddy->allocator, block) && mp_owns(&linear->allocator, block));
    EXPECT(!mp_linear_alloc(linear, 200000, 0) && mp_last_error() != MP_OK);
    mp_destroy(&linear->allocator);
    mp_destroy(&classes->allocator);
    mp_destroy(&buddy->allocator);
    mp_destroy(buffer);
}

static void a_buffer_is_used_up(void) {
    static char memory[1000] __attribute__((aligned(64)));
    mp_allocator *buffer = mp_buffer_create(memory, sizeof memory);
    mp_blocks *pool = mp_blocks_create(MP_OPTIONS(mp_blocks_options, .block_size = 64, .parent = buffer));
    int count = 0;
    while (mp_blocks_alloc(pool))
        count++;
    EXPECT(count == 15 && mp_last_error() == MP_ERR_EXHAUSTED);
    mp_destroy(&pool->allocator);
    mp_destroy(buffer);
}

static void options_grow(void) {
    struct {
        mp_blocks_options known;
        size_t unknown;
    } later = {{.struct_size = sizeof later, .block_size = 64}, 0};
    mp_blocks *pool = mp_blocks_create(&later.known);
    EXPECT(pool);
    mp_destroy(&pool->allocator);
    later.unknown = 1;
    EXPECT(!mp_blocks_create(&later.known) && mp_last_error() == MP_ERR_UNSUPPORTED);
    mp_blocks_options earlier = {.struct_size = offsetof(mp_blocks_options, free_list), .block_size = 64, .free_list = 99};
    pool = mp_blocks_create(&earlier);
    EXPECT(pool);
    struct {
        size_t struct_size, chunks, sentinel;
    } few = {.struct_size = 2 * sizeof(size_t), .sentinel = 77};
    EXPECT(mp_get_stats(&pool->allocator, (mp_stats *)(void *)&few) == MP_OK && few.chunks == 0 && few.sentinel == 77);
    mp_destroy(&pool->allocator);
    earlier.struct_size = 0;
    EXPECT(!mp_blocks_create(&earlier) && mp_last_error() == MP_ERR_INVALID && !mp_blocks_create(NULL));
    mp_clear_error();
    EXPECT(mp_last_error() == MP_OK);
}

static void sizes_of_blocks(void) {
    static const struct {
        size_t size, align, block;
    } shapes[] = {{1, 0, 8}, {24, 0, 24}, {20, 0, 24}, {48, 0, 48}, {24, 16, 32}, {100, 64, 128}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        mp_blocks *pool = mp_blocks_create(
            MP_OPTIONS(mp_blocks_options, .block_size = shapes[i].size, .block_align = shapes[i].align));
        EXPECT(pool && mp_alloc(&pool->allocator, shapes[i].size, 0, 0));
        EXPECT(stats_of(&pool->allocator).live == shapes[i].block);
        mp_destroy(&pool->allocator);
    }
    mp_blocks *pool =
        mp_blocks_create(MP_OPTIONS(mp_blocks_options, .block_size = 64, .capacity = 7, .blocks_per_chunk = 7));
    for (int i = 0; i < 21; i++)
        EXPECT(mp_blocks_alloc(pool));
    mp_stats stats = stats_of(&pool->allocator);
    EXPECT(stats.chunks == 3 && stats.free == 0);
    mp_destroy(&pool->allocator);
}

static void room_in_advance(uint32_t sharing) {
    counting own = {.allocator = {&counting_table, 0}, .most = 1 << 20};
    mp_blocks *pool = mp_blocks_create(
        MP_OPTIONS(mp_blocks_options, .block_size = 64, .parent = &own.allocator, .sharing = sharing));
    EXPECT(pool && mp_reserve(&pool->allocator, 64, 0, 1000) == MP_OK && own.live >= 64000);
    size_t calls = own.calls;
    for (int i = 0; i < 1000; i++)
        EXPECT(mp_blocks_alloc(pool));
    EXPECT(own.calls == calls || sharing == MP_CACHED); /* a cache needs memory for itself */
    EXPECT(mp_reserve(&pool->allocator, 65, 0, 1) == MP_ERR_UNSUPPORTED);
    EXPECT(mp_reserve(&pool->allocator, 64, 0, 1 << 20) == MP_ERR_LIMIT);
    mp_destroy(&pool->allocator);
    EXPECT(own.live == 0 && mp_reserve(mp_heap(), 1, 0, 1) == MP_ERR_UNSUPPORTED);
}

/* All blocks or none, also where the table has no functions for many, and where the parent stops in between. */
static void many_at_once(mp_allocator *pool, counting *parent) {
    void *blocks[300];
    EXPECT(mp_alloc_many(pool, blocks, 300, 64, 0) == MP_OK && parent->live >= 300 * 64);
    for (int i = 0; i < 300; i++)
        memset(blocks[i], i, 64);
    for (int i = 0; i < 300; i++)
        EXPECT(all(blocks[i], 64, (unsigned char)i));
    mp_free_many(pool, blocks, 300, 64, 0);
    EXPECT(mp_alloc_many(pool, NULL, 0, 64, 0) == MP_OK && mp_alloc_many(pool, NULL, 1, 64, 0) == MP_ERR_INVALID);
    EXPECT(mp_alloc_many(pool, blocks, 300, 64, 3) == MP_ERR_INVALID);
    mp_free_many(pool, NULL, 0, 64, 0);
    mp_flush(pool);
    EXPECT(mp_check(pool) == MP_OK);
    size_t live = parent->live;
    parent->most = live + 100 * 64;
    static void *more[1 << 16];
    EXPECT(mp_alloc_many(pool, more, 1 << 16, 64, 0) == MP_ERR_LIMIT && mp_last_error() == MP_ERR_LIMIT);
    EXPECT(mp_alloc_many(pool, blocks, 100, 64, 0) == MP_OK);
    mp_free_many(pool, blocks, 100, 64, 0);
    parent->most = 1 << 20;
}

static void many_at_once_everywhere(void) {
    counting own = {.allocator = {&counting_table, 0}, .most = 1 << 20};
    many_at_once(&own.allocator, &own);
    for (uint32_t sharing = MP_LOCAL; sharing <= MP_LOCKED_TICKET; sharing++) {
        mp_blocks *pool = mp_blocks_create(
            MP_OPTIONS(mp_blocks_options, .block_size = 64, .parent = &own.allocator, .sharing = sharing));
        many_at_once(&pool->allocator, &own);
        mp_destroy(&pool->allocator);
    }
    mp_allocator *counted = mp_counting_create(MP_OPTIONS(mp_guard_options, .inner = &own.allocator));
    many_at_once(counted, &own);
    EXPECT(stats_of(counted).live_blocks == 0);
    mp_destroy(counted);
    EXPECT(own.live == 0 && mp_alloc_many(NULL, NULL, 0, 1, 0) == MP_ERR_INVALID);
}

/* A thread's cache holds blocks back from mp_trim until it is flushed. */
static void what_a_thread_keeps_is_flushed(void) {
    counting own = {.allocator = {&counting_table, 0}, .most = 1 << 20};
    mp_blocks *pool = mp_blocks_create(
        MP_OPTIONS(mp_blocks_options, .block_size = 64, .parent = &own.allocator, .sharing = MP_CACHED));
    void *blocks[500];
    EXPECT(mp_alloc_many(&pool->allocator, blocks, 500, 64, 0) == MP_OK);
    mp_free_many(&pool->allocator, blocks, 500, 64, 0);
    mp_flush(&pool->allocator);
    EXPECT(stats_of(&pool->allocator).live == 0 && mp_trim(&pool->allocator) >= 500 * 64);
    mp_destroy(&pool->allocator);
}

int main(void) {
    many_at_once_everywhere();
    what_a_thread_keeps_is_flushed();
    for (uint32_t sharing = MP_LOCAL; sharing <= MP_LOCKED_TICKET; sharing++)
        room_in_advance(sharing);
    a_table_of_ones_own();
    tables_that_lack_something();
    pools_on_pools();
    a_buffer_is_used_up();
    options_grow();
    sizes_of_blocks();
    return 0;
}
