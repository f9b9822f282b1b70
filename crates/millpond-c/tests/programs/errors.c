/* Every function that fails sets the last error, with a specific sentence; no function that succeeds changes it,
 * whatever failed inside it. */
#include "expect.h"

/* Sets an error that no call in this program causes. */
#define MARK() mp_set_error(99)
#define UNCHANGED(what)                        \
    do {                                       \
        MARK();                                \
        EXPECT(what);                          \
        EXPECT(mp_last_error() == 99);         \
    } while (0)
#define FAILS(what, error)                                                             \
    do {                                                                               \
        MARK();                                                                        \
        EXPECT(what);                                                                  \
        EXPECT(mp_last_error() == (error));                                            \
        EXPECT(strlen(mp_last_detail()) > 4 && strcmp(mp_last_detail(), mp_strerror(99)) != 0); \
    } while (0)

static bool stop(void *context, void *block, size_t size) {
    (void)context, (void)block, (void)size;
    return false;
}
static bool go_on(void *context, void *block, size_t size) {
    (void)context, (void)block, (void)size;
    return true;
}
static bool refuse(void *context, const char *text, size_t length) {
    (void)context, (void)text, (void)length;
    return false;
}
static bool accept(void *context, const char *text, size_t length) {
    (void)context, (void)text, (void)length;
    return true;
}

/* A parent that refuses everything above a page with an error. */
static void *small_only(mp_allocator *self, size_t size, size_t align, mp_flags flags) {
    (void)self;
    if (size > 4096) {
        mp_set_error(MP_ERR_LIMIT);
        return NULL;
    }
    return mp_alloc(mp_heap(), size, align, flags);
}
static void give(mp_allocator *self, void *block, size_t size, size_t align) {
    (void)self;
    mp_free(mp_heap(), block, size, align);
}
static const mp_table small_table = {.struct_size = sizeof(mp_table), .name = "small", .alloc = small_only, .free = give};

static void successes(void) {
    mp_allocator small = {.table = &small_table, .default_align = 0};
    /* The pool requests more than it gets, and gets less in the end; the second allocator is tried when the first
     * fails. */
    mp_tlsf *const tlsf = mp_tlsf_create(MP_OPTIONS(mp_tlsf_options, .parent = &small));
    mp_allocator *const both = mp_fallback_create(MP_OPTIONS(mp_pair_options, .inner = &tlsf->allocator));
    mp_classes *const classes = mp_classes_create(MP_OPTIONS(mp_classes_options, .parent = both, .sharing = MP_CACHED));
    mp_blocks *const blocks = mp_blocks_create(MP_OPTIONS(mp_blocks_options, .block_size = 1000, .parent = &small, .free_list = MP_ADDRESS_ORDERED));
    mp_linear *const linear = mp_linear_create(MP_OPTIONS(mp_pool_options, .parent = &small, .sharing = MP_LOCK_FREE));
    EXPECT(tlsf && both && classes && blocks && linear);
    for (int i = 0; i < 100; i++) {
        UNCHANGED(mp_tlsf_alloc(tlsf, 1000, 8) != NULL);
        UNCHANGED(mp_classes_alloc(classes, 1000, 8) != NULL);
        UNCHANGED(mp_alloc(&classes->allocator, 100000, 8, MP_ZERO) != NULL);
        UNCHANGED(mp_blocks_alloc(blocks) != NULL);
        UNCHANGED(mp_linear_alloc(linear, 1000, 8) != NULL);
    }
    size_t got = 0;
    UNCHANGED(mp_alloc_between(&small, 100, 100000, 8, &got) != NULL && got <= 4096);
    UNCHANGED(mp_alloc_between(both, 100, 1000000, 8, &got) != NULL);
    void *block = NULL;
    UNCHANGED((block = mp_alloc(both, 100, 8, 0)) != NULL);
    UNCHANGED((block = mp_realloc(both, block, 100, 50000, 8, 0)) != NULL);
    UNCHANGED((block = mp_realloc(both, block, 50000, 10, 8, 0)) != NULL);
    UNCHANGED((mp_free(both, block, 10, 8), true));
    UNCHANGED((mp_free(both, NULL, 10, 8), true));
    void *many[50];
    UNCHANGED(mp_alloc_many(&blocks->allocator, many, 50, 1000, 8) == MP_OK);
    UNCHANGED((mp_free_many(&blocks->allocator, many, 50, 1000, 8), true));
    UNCHANGED(mp_reserve(&blocks->allocator, 1000, 8, 20) == MP_OK);
    UNCHANGED(mp_each(&blocks->allocator, go_on, NULL) == MP_OK);
    UNCHANGED(mp_heap_map(&blocks->allocator, MP_TEXT, NULL, accept, NULL) == MP_OK);
    mp_stats stats = {.struct_size = sizeof stats};
    UNCHANGED(mp_get_stats(&classes->allocator, &stats) == MP_OK);
    UNCHANGED(mp_check(&classes->allocator) == MP_OK);
    UNCHANGED(mp_largest_free(&tlsf->allocator) != MP_UNKNOWN);
    UNCHANGED(!mp_owns(&tlsf->allocator, &stats));
    UNCHANGED((mp_flush(&classes->allocator), true));
    UNCHANGED((mp_trim(&classes->allocator), true));
    UNCHANGED(mp_reset(&classes->allocator) == MP_OK);
    UNCHANGED(mp_atfork() == MP_OK);
    mp_stack *const stack = mp_stack_create(NULL);
    mp_mark mark;
    UNCHANGED(mp_stack_mark(stack, &mark) == MP_OK && mp_stack_release(stack, &mark) == MP_OK);
    UNCHANGED((mp_destroy(&stack->allocator), mp_destroy(&linear->allocator), mp_destroy(&blocks->allocator), true));
    UNCHANGED((mp_destroy(&classes->allocator), mp_destroy(both), mp_destroy(&tlsf->allocator), true));
    UNCHANGED(mp_heap() != NULL && mp_pages() != NULL && mp_null_allocator() != NULL && mp_page_size() > 0 && mp_version() != 0);
    mp_allocator *source = NULL;
    UNCHANGED((source = mp_reserved_region_create(1 << 20)) != NULL);
    UNCHANGED((mp_destroy(source), true));
}

static void failures(void) {
    mp_allocator *const nothing = mp_null_allocator();
    FAILS(mp_alloc(nothing, 10, 8, 0) == NULL, MP_ERR_EXHAUSTED);
    FAILS(mp_alloc(NULL, 10, 8, 0) == NULL, MP_ERR_INVALID);
    FAILS(mp_alloc(mp_heap(), 10, 3, 0) == NULL, MP_ERR_INVALID);
    FAILS(mp_alloc(mp_heap(), SIZE_MAX, 8, 0) == NULL, MP_ERR_UNSUPPORTED);
    FAILS(mp_alloc_array(mp_heap(), SIZE_MAX, 8, 8, 0) == NULL, MP_ERR_UNSUPPORTED);
    FAILS(mp_alloc_between(nothing, 10, 20, 8, NULL) == NULL, MP_ERR_EXHAUSTED);
    FAILS(mp_realloc(nothing, NULL, 0, 10, 8, 0) == NULL, MP_ERR_EXHAUSTED);
    FAILS(mp_realloc(NULL, NULL, 0, 10, 8, 0) == NULL, MP_ERR_INVALID);
    mp_allocator *const limit = mp_limit_create(MP_OPTIONS(mp_limit_options, .bytes = 100));
    FAILS(mp_alloc(limit, 101, 8, 0) == NULL, MP_ERR_LIMIT);
    mp_tlsf *const on_limit = mp_tlsf_create(MP_OPTIONS(mp_tlsf_options, .parent = limit));
    FAILS(mp_tlsf_alloc(on_limit, 200, 8) == NULL, MP_ERR_LIMIT);
    FAILS(mp_alloc_many(limit, (void *[2]){NULL, NULL}, 2, 60, 8) == MP_ERR_LIMIT, MP_ERR_LIMIT);
    FAILS(mp_alloc_many(limit, NULL, 2, 60, 8) == MP_ERR_INVALID, MP_ERR_INVALID);
    FAILS(mp_reset(mp_heap()) == MP_ERR_UNSUPPORTED, MP_ERR_UNSUPPORTED);
    FAILS(mp_reset(NULL) == MP_ERR_INVALID, MP_ERR_INVALID);
    FAILS(mp_reserve(&on_limit->allocator, 10, 8, 1) == MP_ERR_UNSUPPORTED, MP_ERR_UNSUPPORTED);
    FAILS(mp_reserve(NULL, 10, 8, 1) == MP_ERR_INVALID, MP_ERR_INVALID);
    /* Impossible requests fail at once, and allocate nothing. */
    for (uint32_t free_list = MP_LIFO; free_list <= MP_ADDRESS_ORDERED; free_list++) {
        mp_blocks *const blocks = mp_blocks_create(MP_OPTIONS(mp_blocks_options, .block_size = 64, .free_list = free_list));
        MARK();
        EXPECT(mp_reserve(&blocks->allocator, 64, 0, SIZE_MAX / 2) != MP_OK && mp_last_error() != 99);
        EXPECT(stats_of(&blocks->allocator).held == 0);
        mp_destroy(&blocks->allocator);
    }
    mp_classes *const poor = mp_classes_create(MP_OPTIONS(mp_classes_options, .parent = nothing));
    EXPECT(mp_reserve(&poor->allocator, 64, 0, SIZE_MAX / 2) != MP_OK && mp_reserve(&poor->allocator, 64, 0, 1) != MP_OK);
    FAILS(mp_reserve(&poor->allocator, 100000, 0, 2) == MP_ERR_UNSUPPORTED, MP_ERR_UNSUPPORTED);
    mp_destroy(&poor->allocator);
    FAILS(mp_get_stats(mp_heap(), &(mp_stats){.struct_size = sizeof(mp_stats)}) == MP_ERR_UNSUPPORTED, MP_ERR_UNSUPPORTED);
    FAILS(mp_get_stats(limit, NULL) == MP_ERR_INVALID, MP_ERR_INVALID);
    FAILS(mp_get_stats(limit, &(mp_stats){.struct_size = 0}) == MP_ERR_INVALID, MP_ERR_INVALID);
    FAILS(mp_each(limit, go_on, NULL) == MP_ERR_UNSUPPORTED, MP_ERR_UNSUPPORTED);
    FAILS(mp_check(NULL) == MP_ERR_INVALID, MP_ERR_INVALID);
    FAILS(!mp_owns(NULL, limit), MP_ERR_INVALID);
    FAILS(mp_trim(NULL) == 0, MP_ERR_INVALID);
    FAILS(mp_largest_free(NULL) == MP_UNKNOWN, MP_ERR_INVALID);
    mp_blocks *const blocks = mp_blocks_create(MP_OPTIONS(mp_blocks_options, .block_size = 64, .free_list = MP_ADDRESS_ORDERED));
    EXPECT(mp_blocks_alloc(blocks) != NULL);
    FAILS(mp_each(&blocks->allocator, stop, NULL) == MP_ERR_STOPPED, MP_ERR_STOPPED);
    FAILS(mp_each(&blocks->allocator, NULL, NULL) == MP_ERR_INVALID, MP_ERR_INVALID);
    FAILS(mp_heap_map(&blocks->allocator, MP_TEXT, NULL, refuse, NULL) == MP_ERR_STOPPED, MP_ERR_STOPPED);
    FAILS(mp_heap_map(&blocks->allocator, 99, NULL, accept, NULL) == MP_ERR_INVALID, MP_ERR_INVALID);
    FAILS(mp_heap_map(mp_heap(), MP_TEXT, NULL, accept, NULL) == MP_ERR_UNSUPPORTED, MP_ERR_UNSUPPORTED);
    FAILS(mp_realloc(&blocks->allocator, mp_blocks_alloc(blocks), 64, 65, 0, MP_IN_PLACE) == NULL, MP_ERR_UNSUPPORTED);
    mp_stack *const locked = mp_stack_create(MP_OPTIONS(mp_pool_options, .sharing = MP_LOCKED));
    FAILS(mp_stack_mark(locked, &(mp_mark){{0}}) == MP_ERR_UNSUPPORTED, MP_ERR_UNSUPPORTED);
    FAILS(mp_stack_mark(NULL, &(mp_mark){{0}}) == MP_ERR_INVALID, MP_ERR_INVALID);
    /* Functions that create allocators. */
    FAILS(mp_blocks_create(NULL) == NULL, MP_ERR_INVALID);
    FAILS(mp_blocks_create(MP_OPTIONS(mp_blocks_options, .block_size = 8, .sharing = 77)) == NULL, MP_ERR_UNSUPPORTED);
    FAILS(mp_remote_free_create(NULL) == NULL, MP_ERR_INVALID);
    FAILS(mp_classes_create(MP_OPTIONS(mp_classes_options, .size_count = 1)) == NULL, MP_ERR_INVALID);
    FAILS(mp_linear_create(MP_OPTIONS(mp_pool_options, .sharing = MP_CACHED)) == NULL, MP_ERR_UNSUPPORTED);
    FAILS(mp_tlsf_create(&(mp_tlsf_options){.struct_size = 1}) == NULL, MP_ERR_INVALID);
    FAILS(mp_sign_post_create(MP_OPTIONS(mp_sign_post_options, .out_of_memory = {.action = MP_RETRY})) == NULL, MP_ERR_INVALID);
    FAILS(mp_buddy_create(MP_OPTIONS(mp_buddy_options, .least = 3)) == NULL, MP_ERR_INVALID);
    FAILS(mp_limit_create(NULL) == NULL, MP_ERR_INVALID);
    FAILS(mp_observe_create(NULL) == NULL, MP_ERR_INVALID);
    FAILS(mp_segregator_create(NULL) == NULL, MP_ERR_INVALID);
    FAILS(mp_fallback_create(NULL) == NULL, MP_ERR_UNSUPPORTED);
    FAILS(mp_fail_nth_create(MP_OPTIONS(mp_fail_nth_options, .only = 1, .every = 1)) == NULL, MP_ERR_INVALID);
    FAILS(mp_buffer_create(NULL, 10) == NULL, MP_ERR_INVALID);
    FAILS(mp_reserved_region_create(0) == NULL, MP_ERR_UNSUPPORTED);
    FAILS(mp_tuned_pages_create(MP_OPTIONS(mp_pages_options, .huge = 99)) == NULL, MP_ERR_INVALID);
    mp_clear_error();
    EXPECT(mp_last_error() == MP_OK);
    mp_destroy(&locked->allocator);
    mp_destroy(&blocks->allocator);
    mp_destroy(&on_limit->allocator);
    mp_destroy(limit);
}

int main(void) {
    successes();
    failures();
    return 0;
}
