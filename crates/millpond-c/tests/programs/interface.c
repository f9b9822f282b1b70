/* Every pool through the general interface: the contract of each function in the header. */
#include "expect.h"

enum { COUNT = 60 };

static void blocks_keep_their_contents(mp_allocator *pool, size_t most) {
    void *blocks[COUNT];
    size_t sizes[COUNT];
    for (int i = 0; i < COUNT; i++) {
        sizes[i] = 1 + (size_t)i * 7 % most;
        blocks[i] = mp_alloc(pool, sizes[i], 0, i % 2 ? MP_ZERO : 0);
        EXPECT(blocks[i]);
        EXPECT(i % 2 == 0 || all(blocks[i], sizes[i], 0));
        memset(blocks[i], i, sizes[i]);
    }
    for (int i = 0; i < COUNT; i += 3) {
        size_t size = 1 + sizes[i] * 3 % most;
        size_t kept = size < sizes[i] ? size : sizes[i];
        blocks[i] = mp_realloc(pool, blocks[i], sizes[i], size, 0, MP_ZERO);
        EXPECT(blocks[i] && all(blocks[i], kept, (unsigned char)i));
        EXPECT(all((char *)blocks[i] + kept, size - kept, 0));
        memset(blocks[i], i, size);
        sizes[i] = size;
    }
    EXPECT(mp_check(pool) == MP_OK);
    for (int i = 0; i < COUNT; i++) {
        EXPECT(all(blocks[i], sizes[i], (unsigned char)i));
        mp_free(pool, blocks[i], sizes[i], 0);
    }
    EXPECT(mp_check(pool) == MP_OK);
}

static void questions_are_answered(mp_allocator *pool, size_t most) {
    char outside;
    char *block = mp_alloc(pool, most, 0, 0);
    EXPECT(block && mp_owns(pool, block) && !mp_owns(pool, &outside));
    mp_stats stats = stats_of(pool);
    EXPECT(stats.chunks >= 1 && stats.held >= stats.live && stats.live >= most);
    EXPECT(stats.peak_blocks == MP_UNKNOWN);
    mp_free(pool, block, most, 0);
    EXPECT(strlen(mp_name(pool)) > 0);
    EXPECT(mp_reset(pool) == MP_OK);
    mp_trim(pool);
    EXPECT(mp_check(pool) == MP_OK);
}

static void nonsense_is_refused(mp_allocator *pool) {
    EXPECT(!mp_alloc(pool, 8, 3, 0) && mp_last_error() == MP_ERR_INVALID);
    EXPECT(!mp_alloc(pool, SIZE_MAX, 0, 0) && mp_last_error() == MP_ERR_UNSUPPORTED);
    EXPECT(!mp_alloc(NULL, 8, 0, 0) && mp_last_error() == MP_ERR_INVALID);
    EXPECT(mp_reset(NULL) == MP_ERR_INVALID && mp_get_stats(pool, NULL) == MP_ERR_INVALID);
    mp_stats unset = {.struct_size = 0};
    EXPECT(mp_get_stats(pool, &unset) == MP_ERR_INVALID);
    mp_free(pool, NULL, 8, 0);
    mp_free(NULL, NULL, 8, 0);
    mp_destroy(NULL);
    void *nothing = mp_alloc(pool, 0, 0, 0), *more = mp_alloc(pool, 0, 0, 0);
    EXPECT(nothing && more && nothing != more);
    mp_free(pool, more, 0, 0);
    mp_free(pool, nothing, 0, 0);
}

static void try_out(mp_allocator *pool, size_t most) {
    EXPECT(pool);
    blocks_keep_their_contents(pool, most);
    nonsense_is_refused(pool);
    questions_are_answered(pool, most);
    mp_destroy(pool);
}

static void every_pool(mp_allocator *parent, uint32_t sharing) {
    bool locked = sharing == MP_LOCKED || sharing == MP_LOCKED_TICKET, local = sharing == MP_LOCAL;
#define OPTIONS(type, ...) MP_OPTIONS(type, .parent = parent, .sharing = sharing, __VA_ARGS__)
    for (uint32_t free_list = MP_LIFO; free_list <= MP_ADDRESS_ORDERED; free_list++)
        for (int checked = 0; checked <= (locked || local); checked++) {
            mp_blocks *pool = mp_blocks_create(
                OPTIONS(mp_blocks_options, .block_size = 100, .free_list = free_list, .checked = checked));
            if (local || locked || free_list == MP_LIFO)
                try_out(&pool->allocator, 100);
            else
                EXPECT(!pool && mp_last_error() == MP_ERR_UNSUPPORTED);
        }
    mp_linear *linear = mp_linear_create(OPTIONS(mp_pool_options, .capacity = 10000));
    if (sharing == MP_CACHED)
        EXPECT(!linear && mp_last_error() == MP_ERR_UNSUPPORTED);
    else
        try_out(&linear->allocator, 3000);
    mp_classes *classes = mp_classes_create(OPTIONS(mp_classes_options, .size_count = 0));
    if (sharing == MP_LOCK_FREE)
        EXPECT(!classes && mp_last_error() == MP_ERR_UNSUPPORTED);
    else
        try_out(&classes->allocator, 3000);
    if (!local && !locked)
        return;
    try_out(&mp_stack_create(OPTIONS(mp_pool_options, .capacity = 0))->allocator, 3000);
    try_out(&mp_sign_post_create(OPTIONS(mp_sign_post_options, .best_fit = locked))->allocator, 3000);
    try_out(&mp_tlsf_create(OPTIONS(mp_tlsf_options, .without_quick_list = locked))->allocator, 3000);
    try_out(&mp_buddy_create(OPTIONS(mp_buddy_options, .least = 0))->allocator, 3000);
}

/* The fast entry points, together with the general ones. Arenas do not reuse every freed block. */
static void fast_entry_points(uint32_t sharing) {
#define FAST(pool, most)                                                                                  \
    do {                                                                                                  \
        mp_##pool *it = mp_##pool##_create(MP_OPTIONS(mp_##pool##_options, .sharing = sharing));          \
        EXPECT(it);                                                                                       \
        void *block = mp_##pool##_alloc(it, 40, 32), *other = mp_alloc(&it->allocator, 40, 32, 0);        \
        EXPECT(block && (uintptr_t)block % 32 == 0 && other && other != block);                           \
        EXPECT(!mp_##pool##_alloc(it, 40, 24) && mp_last_error() == MP_ERR_INVALID);                      \
        mp_##pool##_free(it, other, 40, 32);                                                              \
        mp_free(&it->allocator, block, 40, 32);                                                           \
        mp_##pool##_free(it, NULL, 40, 32);                                                               \
        EXPECT(mp_check(&it->allocator) == MP_OK && stats_of(&it->allocator).live <= most);               \
        mp_destroy(&it->allocator);                                                                       \
    } while (0)
    typedef mp_pool_options mp_linear_options;
    typedef mp_pool_options mp_stack_options;
    FAST(classes, 0);
    FAST(linear, 99);
    FAST(stack, 99);
    FAST(sign_post, 0);
    FAST(tlsf, 0);
    FAST(buddy, 0);
}

static bool sum(void *context, void *block, size_t size) {
    *(size_t *)context += *(size_t *)block + size;
    return *(size_t *)block != 99;
}

static void live_blocks_are_shown(void) {
    for (int checked = 0; checked < 2; checked++) {
        mp_blocks *pool = mp_blocks_create(
            MP_OPTIONS(mp_blocks_options, .block_size = 16, .free_list = MP_ADDRESS_ORDERED, .checked = checked));
        size_t *blocks[3], total = 0;
        for (size_t i = 0; i < 3; i++) {
            EXPECT((blocks[i] = mp_blocks_alloc(pool)));
            *blocks[i] = 1000 * i;
        }
        mp_blocks_free(pool, blocks[1]);
        EXPECT(mp_each(&pool->allocator, sum, &total) == MP_OK && total == 2000 + 2 * 16);
        *blocks[0] = *blocks[2] = 99;
        EXPECT(mp_each(&pool->allocator, sum, &total) == MP_ERR_STOPPED);
        EXPECT(mp_each(&pool->allocator, NULL, NULL) == MP_ERR_INVALID);
        mp_blocks_free(pool, blocks[0]);
        mp_blocks_free(pool, blocks[2]);
        mp_destroy(&pool->allocator);
    }
    EXPECT(mp_each(mp_heap(), sum, NULL) == MP_ERR_UNSUPPORTED);
}

static void stacks_go_back(void) {
    mp_stack *stack = mp_stack_create(NULL), *shared = mp_stack_create(MP_OPTIONS(mp_pool_options, .sharing = MP_LOCKED));
    mp_mark outer, inner;
    char *kept = mp_stack_alloc(stack, 100, 0);
    EXPECT(kept && mp_stack_mark(stack, &outer) == MP_OK);
    size_t live = stats_of(&stack->allocator).live;
    char *gone = mp_stack_alloc(stack, 100, 0);
    EXPECT(gone && mp_stack_mark(stack, &inner) == MP_OK && mp_stack_alloc(stack, 100000, 0));
    EXPECT(mp_stack_release(stack, &inner) == MP_OK && mp_stack_release(stack, &outer) == MP_OK);
    EXPECT(stats_of(&stack->allocator).live == live && mp_stack_alloc(stack, 100, 0) == gone);
    EXPECT(mp_stack_mark(shared, &outer) == MP_ERR_UNSUPPORTED && mp_stack_mark(stack, NULL) == MP_ERR_INVALID);
    EXPECT(mp_stack_release(NULL, &outer) == MP_ERR_INVALID);
    mp_destroy(&stack->allocator);
    mp_destroy(&shared->allocator);
}

static bool collect(void *context, const char *text, size_t length) {
    char *all = context;
    if (strlen(all) + length >= 60000)
        return false;
    strncat(all, text, length);
    return true;
}

static bool refuse(void *context, const char *text, size_t length) {
    (void)context, (void)text, (void)length;
    return false;
}

/* The map of a guard is that of its inner allocator. */
static void pools_are_drawn(void) {
    static char text[60000];
    mp_tlsf *pool = mp_tlsf_create(NULL);
    mp_allocator *guard = mp_counted_create(MP_OPTIONS(mp_guard_options, .inner = &pool->allocator));
    EXPECT(mp_tlsf_alloc(pool, 1000, 0));
    EXPECT(mp_heap_map(guard, MP_SVG, "Meshes & names", collect, text) == MP_OK);
    EXPECT(strncmp(text, "<svg ", 5) == 0 && strstr(text, "Meshes &amp; names"));
    text[0] = '\0';
    EXPECT(mp_heap_map(&pool->allocator, MP_ASCII, NULL, collect, text) == MP_OK && strchr(text, '#'));
    EXPECT(mp_heap_map(guard, MP_TEXT, NULL, refuse, NULL) == MP_ERR_STOPPED);
    EXPECT(mp_heap_map(mp_heap(), MP_TEXT, NULL, refuse, NULL) == MP_ERR_UNSUPPORTED);
    EXPECT(mp_heap_map(guard, 9, NULL, refuse, NULL) == MP_ERR_INVALID && mp_heap_map(guard, 0, NULL, NULL, NULL) == MP_ERR_INVALID);
    mp_destroy(guard);
    mp_destroy(&pool->allocator);
}

int main(void) {
    EXPECT(mp_version() == MP_VERSION);
    EXPECT(mp_last_error() == MP_OK && strlen(mp_strerror(MP_ERR_LIMIT)) > 0 && strlen(mp_strerror(12345)) > 0);
    mp_allocator *reserved = mp_reserved_region_create((size_t)1 << 30);
    mp_allocator *tuned = mp_tuned_pages_create(MP_OPTIONS(mp_pages_options, .guarded = true));
    EXPECT(reserved && tuned && mp_page_size() >= 4096);
    mp_allocator *parents[] = {NULL, mp_pages(), reserved, tuned};
    for (size_t parent = 0; parent < sizeof parents / sizeof *parents; parent++)
        for (uint32_t sharing = MP_LOCAL; sharing <= MP_LOCKED_TICKET; sharing++)
            every_pool(parents[parent], sharing);
    mp_destroy(reserved);
    mp_destroy(tuned);
    fast_entry_points(MP_LOCAL);
    fast_entry_points(MP_LOCKED);
    fast_entry_points(MP_LOCKED_TICKET);
    live_blocks_are_shown();
    stacks_go_back();
    pools_are_drawn();
    EXPECT(!mp_tlsf_create(MP_OPTIONS(mp_tlsf_options, .sharing = 77)));
    EXPECT(!mp_buddy_create(MP_OPTIONS(mp_buddy_options, .least = 3, .largest = 64)));
    EXPECT(!mp_buffer_create(NULL, 10) && !mp_reserved_region_create(0));
    EXPECT(!mp_alloc(mp_null_allocator(), 1, 0, 0) && mp_last_error() == MP_ERR_EXHAUSTED);
    return 0;
}
