/* Every guard, and the out-of-memory policies. */
#include "expect.h"

static mp_classes *pool_of_classes(void) {
    mp_classes *pool = mp_classes_create(NULL);
    EXPECT(pool);
    return pool;
}

static void counts(void) {
    mp_classes *pool = pool_of_classes();
    mp_allocator *counted = mp_counted_create(MP_OPTIONS(mp_guard_options, .inner = &pool->allocator));
    mp_allocator *stats = mp_counting_create(MP_OPTIONS(mp_guard_options, .inner = counted));
    EXPECT(counted && stats);
    void *block = mp_alloc(stats, 100, 0, 0), *other = mp_alloc(stats, 50, 0, 0);
    mp_free(stats, other, 50, 0);
    EXPECT(!mp_alloc(stats, SIZE_MAX / 4, 0, 0));
    mp_stats seen = stats_of(stats);
    EXPECT(seen.live_blocks == 1 && seen.live_bytes == 100 && seen.peak_blocks == 2 && seen.peak_bytes == 150);
    EXPECT(seen.total_blocks == 2 && seen.total_bytes == 150 && seen.failed == 1 && seen.left == MP_UNKNOWN);
    EXPECT(stats_of(counted).live_blocks == 1 && stats_of(counted).peak_blocks == MP_UNKNOWN);
    EXPECT(seen.held == stats_of(&pool->allocator).held && seen.held > 0);
    mp_free(stats, block, 100, 0);
    EXPECT(mp_reset(stats) == MP_OK && stats_of(stats).live_blocks == 0);
    mp_destroy(stats);
    mp_destroy(counted);
    mp_destroy(&pool->allocator);
    stats = mp_counting_create(NULL);
    EXPECT(mp_reset(stats) == MP_ERR_UNSUPPORTED);
    mp_destroy(stats);
}

static void limits(void) {
    mp_allocator *bytes = mp_limit_create(MP_OPTIONS(mp_limit_options, .bytes = 1000));
    void *block = mp_alloc(bytes, 900, 0, 0);
    EXPECT(block && !mp_alloc(bytes, 101, 0, 0) && mp_last_error() == MP_ERR_LIMIT && stats_of(bytes).left == 100);
    mp_free(bytes, block, 900, 0);
    mp_destroy(bytes);
    mp_allocator *blocks = mp_limit_create(MP_OPTIONS(mp_limit_options, .blocks = 1));
    block = mp_alloc(blocks, 900, 0, 0);
    EXPECT(block && !mp_alloc(blocks, 1, 0, 0) && mp_last_error() == MP_ERR_LIMIT);
    mp_free(blocks, block, 900, 0);
    mp_destroy(blocks);
    EXPECT(!mp_limit_create(NULL) && mp_last_error() == MP_ERR_INVALID);
    EXPECT(!mp_limit_create(MP_OPTIONS(mp_limit_options, .blocks = 1, .bytes = 1)));
}

/* A failing request of a pool to its parent loses nothing, whichever request it is. */
static void failures(void) {
    mp_allocator *one = mp_fail_nth_create(MP_OPTIONS(mp_fail_nth_options, .every = 2));
    EXPECT(one);
    void *block = mp_alloc(one, 1, 0, 0);
    EXPECT(block && !mp_alloc(one, 1, 0, 0));
    mp_free(one, block, 1, 0);
    mp_destroy(one);
    for (size_t nth = 1; nth < 8; nth++) {
        mp_allocator *checked = mp_checked_create(NULL);
        mp_allocator *failing = mp_fail_nth_create(MP_OPTIONS(mp_fail_nth_options, .inner = checked, .only = nth));
        mp_tlsf *pool = mp_tlsf_create(MP_OPTIONS(mp_tlsf_options, .parent = failing));
        for (size_t size = 1; size < 20000; size += 499) {
            void *block = mp_tlsf_alloc(pool, size, 0);
            if (block && size % 2 == 0)
                mp_tlsf_free(pool, block, size, 0);
        }
        EXPECT(mp_check(&pool->allocator) == MP_OK);
        mp_destroy(&pool->allocator);
        mp_destroy(failing);
        mp_destroy(checked);
    }
    EXPECT(!mp_fail_nth_create(MP_OPTIONS(mp_fail_nth_options, .only = 1, .every = 1)));
}

struct log {
    size_t kinds[6], bytes;
    const void *last;
};

static void note(void *context, const mp_event *event) {
    struct log *log = context;
    EXPECT(event->struct_size >= sizeof *event && event->kind < 6);
    log->kinds[event->kind]++;
    log->bytes += event->kind == MP_GREW ? event->size : 0;
    log->last = event->address;
}

static void events(void) {
    struct log log = {{0}, 0, NULL};
    mp_allocator *parent =
        mp_observe_create(MP_OPTIONS(mp_observe_options, .on_event = note, .event_context = &log));
    mp_blocks *pool = mp_blocks_create(MP_OPTIONS(mp_blocks_options, .block_size = 64, .parent = parent));
    EXPECT(parent && mp_blocks_alloc(pool));
    EXPECT(log.kinds[MP_GREW] == 1 && log.bytes == stats_of(&pool->allocator).held);
    mp_destroy(&pool->allocator);
    EXPECT(log.kinds[MP_FREED] == 1);
    char *block = mp_alloc(parent, 10, 0, 0);
    EXPECT(log.kinds[MP_ALLOCATED] == 1 && log.last == block);
    block = mp_realloc(parent, block, 10, 20, 0, 0);
    EXPECT(log.kinds[MP_RESIZED] == 1 && log.last == block);
    mp_free(parent, block, 20, 0);
    EXPECT(!mp_alloc(parent, SIZE_MAX / 4, 0, 0) && log.kinds[MP_FAILED] == 1);
    mp_destroy(parent);
    EXPECT(!mp_observe_create(NULL) && mp_last_error() == MP_ERR_INVALID);
}

static void pairs(void) {
    static char memory[128] __attribute__((aligned(16)));
    mp_allocator *few = mp_buffer_create(memory, sizeof memory);
    mp_allocator *fallback = mp_fallback_create(MP_OPTIONS(mp_pair_options, .inner = few));
    void *inside = mp_alloc(fallback, 100, 0, 0), *outside = mp_alloc(fallback, 100, 0, 0);
    EXPECT(inside && outside && mp_owns(few, inside) && !mp_owns(few, outside));
    EXPECT(!mp_realloc(fallback, inside, 100, 1000, 0, MP_IN_PLACE) && mp_last_error() == MP_ERR_UNSUPPORTED);
    EXPECT(strstr(mp_last_detail(), "without MP_IN_PLACE"));
    mp_free(fallback, outside, 100, 0);
    mp_free(fallback, inside, 100, 0);
    mp_destroy(fallback);
    mp_allocator *segregate = mp_segregator_create(MP_OPTIONS(mp_pair_options, .inner = few, .largest = 32));
    void *small = mp_alloc(segregate, 32, 0, 0), *large = mp_alloc(segregate, 33, 0, 0);
    EXPECT(small && large && mp_owns(few, small) && !mp_owns(few, large));
    large = mp_realloc(segregate, large, 33, 16, 0, 0);
    EXPECT(large && mp_owns(few, large));
    mp_free(segregate, large, 16, 0);
    mp_free(segregate, small, 32, 0);
    mp_destroy(segregate);
    EXPECT(!mp_fallback_create(NULL) && mp_last_error() == MP_ERR_UNSUPPORTED);
    EXPECT(!mp_segregator_create(NULL) && mp_last_error() == MP_ERR_INVALID);
    mp_destroy(few);
}

static void fills(void) {
    mp_stack *pool = mp_stack_create(NULL);
    mp_allocator *zeroed = mp_zeroed_create(MP_OPTIONS(mp_guard_options, .inner = &pool->allocator));
    mp_allocator *poison = mp_poison_create(MP_OPTIONS(mp_guard_options, .inner = &pool->allocator));
    unsigned char *block = mp_alloc(poison, 64, 0, 0), first = block[0];
    EXPECT(first != 0 && all(block, 64, first));
    mp_free(poison, block, 64, 0);
    block = mp_alloc(zeroed, 64, 0, 0);
    memset(block, 7, 64);
    mp_free(zeroed, block, 64, 0);
    EXPECT(all(block, 64, 0)); /* the stack's memory is still there */
    mp_destroy(zeroed);
    mp_destroy(poison);
    mp_destroy(&pool->allocator);
    EXPECT(!mp_zeroed_create(MP_OPTIONS(mp_guard_options, .on_misuse = (mp_misuse_fn *)abort)));
}

struct victim {
    mp_blocks *pool;
    void *spare;
    int asked;
};

static bool make_room(void *context, size_t size, size_t align) {
    struct victim *victim = context;
    EXPECT(size >= 1 && align >= 1);
    victim->asked++;
    if (!victim->spare)
        return false;
    mp_blocks_free(victim->pool, victim->spare);
    victim->spare = NULL;
    return true;
}

static void out_of_memory(void) {
    struct victim victim = {NULL, NULL, 0};
    mp_allocator *limit = mp_limit_create(MP_OPTIONS(mp_limit_options, .blocks = 1));
    victim.pool = mp_blocks_create(MP_OPTIONS(mp_blocks_options, .block_size = 2048, .blocks_per_chunk = 2, .parent = limit,
                                              .out_of_memory = {MP_RETRY, make_room, &victim}));
    victim.spare = mp_blocks_alloc(victim.pool);
    EXPECT(victim.spare && mp_blocks_alloc(victim.pool) && victim.asked == 0);
    EXPECT(mp_blocks_alloc(victim.pool) && victim.asked == 1);
    EXPECT(!mp_blocks_alloc(victim.pool) && victim.asked == 2 && mp_last_error() == MP_ERR_LIMIT);
    EXPECT(!mp_alloc(&victim.pool->allocator, 5000, 0, 0) && victim.asked == 2);
    mp_destroy(&victim.pool->allocator);
    mp_destroy(limit);
    EXPECT(!mp_linear_create(MP_OPTIONS(mp_pool_options, .out_of_memory = {MP_RETRY, NULL, NULL})));
    EXPECT(!mp_linear_create(MP_OPTIONS(mp_pool_options, .out_of_memory = {9, NULL, NULL})));
}

int main(void) {
    counts();
    limits();
    failures();
    events();
    pairs();
    fills();
    out_of_memory();
    return 0;
}
