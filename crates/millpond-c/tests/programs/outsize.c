/* Classes and blocks larger than all of them: everything is returned to the parent when the pool is reset or
 * destroyed; blocks are resized within, across and above; and an alignment of 0 depends on the size. */
#include "expect.h"

static mp_classes *create(mp_allocator *parent, uint32_t sharing, const size_t *sizes, size_t count) {
    mp_classes *const pool = mp_classes_create(
        MP_OPTIONS(mp_classes_options, .parent = parent, .sharing = sharing, .sizes = sizes, .size_count = count));
    EXPECT(pool != NULL);
    return pool;
}

static void all_goes_back(uint32_t sharing) {
    mp_allocator *const parent = mp_counting_create(NULL);
    mp_classes *pool = create(parent, sharing, NULL, 0);
    void *last = NULL;
    for (int turn = 0; turn < 3; turn++) {
        for (int i = 0; i < 10; i++) {
            last = mp_alloc(&pool->allocator, 100000, 16, 0);
            EXPECT(last != NULL && mp_owns(&pool->allocator, last) && mp_owns(&pool->allocator, (char *)last + 99999));
            /* Small, but with an alignment above that of every class. */
            char *const wide = mp_alloc(&pool->allocator, 100, 256, 0);
            EXPECT(wide != NULL && (uintptr_t)wide % 256 == 0 && mp_owns(&pool->allocator, wide));
        }
        EXPECT(!mp_owns(&pool->allocator, &last));
        EXPECT(stats_of(&pool->allocator).live == 10 * 100100 && mp_check(&pool->allocator) == MP_OK);
        EXPECT(stats_of(&pool->allocator).held == stats_of(parent).live_bytes);
        mp_free(&pool->allocator, last, 100000, 16);
        EXPECT(stats_of(&pool->allocator).live == 10 * 100100 - 100000);
        EXPECT(mp_reset(&pool->allocator) == MP_OK && stats_of(parent).live_blocks == 0);
    }
    EXPECT(mp_alloc(&pool->allocator, 64, 8, 0) != NULL && mp_alloc(&pool->allocator, 64000, 8, 0) != NULL);
    EXPECT(mp_reset(&pool->allocator) == MP_OK && stats_of(parent).live_bytes < 64000);
    EXPECT(mp_trim(&pool->allocator) > 0 && stats_of(parent).live_blocks == 0);
    EXPECT(mp_alloc(&pool->allocator, 64000, 8, 0) != NULL);
    mp_destroy(&pool->allocator);
    EXPECT(stats_of(parent).live_blocks == 0);
    /* Chunks of a pool on this one are returned too. */
    pool = create(parent, sharing, NULL, 0);
    mp_tlsf *const child = mp_tlsf_create(MP_OPTIONS(mp_tlsf_options, .parent = &pool->allocator));
    for (int i = 0; i < 100; i++) EXPECT(mp_tlsf_alloc(child, 10000, 8) != NULL);
    mp_destroy(&child->allocator);
    EXPECT(stats_of(&pool->allocator).live == 0);
    size_t got = 0;
    EXPECT(mp_alloc_between(&pool->allocator, 50000, 80000, 64, &got) != NULL && got >= 50000);
    char *const between = mp_alloc_between(&pool->allocator, 100, 80000, 8, &got);
    EXPECT(between != NULL && got >= 100);
    memset(between, 1, got);
    mp_free(&pool->allocator, between, got, 8);
    mp_destroy(&pool->allocator);
    EXPECT(stats_of(parent).live_blocks == 0);
    mp_destroy(parent);
}

static void resizing(uint32_t sharing, size_t align) {
    mp_allocator *const parent = mp_counting_create(NULL);
    mp_classes *const pool = create(parent, sharing, NULL, 0);
    const size_t sizes[] = {10, 30000, 32768, 32769, 40000, 200000, 90000, 33000, 100, 50000, 7};
    size_t size = 5;
    unsigned char *block = mp_alloc(&pool->allocator, size, align, 0);
    EXPECT(block != NULL);
    memset(block, 7, size);
    for (size_t at = 0; at < sizeof sizes / sizeof *sizes; at++) {
        const size_t kept = size < sizes[at] ? size : sizes[at];
        void *const there = mp_realloc(&pool->allocator, block, size, sizes[at], align, MP_IN_PLACE | MP_ZERO);
        if (there == NULL) block = mp_realloc(&pool->allocator, block, size, sizes[at], align, MP_ZERO);
        EXPECT(block != NULL && all(block, kept, 7) && (align == 0 || (uintptr_t)block % align == 0));
        EXPECT(all(block + kept, sizes[at] - kept, 0));
        size = sizes[at];
        memset(block, 7, size);
        EXPECT(mp_check(&pool->allocator) == MP_OK && mp_owns(&pool->allocator, block));
    }
    mp_free(&pool->allocator, block, size, align);
    EXPECT(stats_of(&pool->allocator).live == 0);
    void *many[5];
    EXPECT(mp_alloc_many(&pool->allocator, many, 5, 70000, align) == MP_OK);
    EXPECT(stats_of(&pool->allocator).live == 5 * 70000);
    mp_free_many(&pool->allocator, many, 5, 70000, align);
    EXPECT(stats_of(&pool->allocator).live == 0);
    EXPECT(mp_reserve(&pool->allocator, 70000, align, 1) == MP_ERR_UNSUPPORTED);
    /* If refused, the block is unchanged. */
    block = mp_alloc(&pool->allocator, 70000, align, 0);
    memset(block, 9, 70000);
    EXPECT(mp_realloc(&pool->allocator, block, 70000, SIZE_MAX / 4, align, 0) == NULL);
    EXPECT(mp_realloc(&pool->allocator, block, 70000, SIZE_MAX - 64, align, 0) == NULL);
    EXPECT(mp_alloc(&pool->allocator, SIZE_MAX / 2 - 64, align, 0) == NULL);
    EXPECT(all(block, 70000, 9) && mp_check(&pool->allocator) == MP_OK);
    mp_destroy(&pool->allocator);
    EXPECT(stats_of(parent).live_blocks == 0);
    mp_destroy(parent);
}

/* Blocks of all sizes with an alignment of 0 take at most their class, and are freed into it. */
static void natural(uint32_t sharing, bool guarded) {
    const size_t sizes[] = {8, 16, 24, 40, 48, 56, 72, 80, 104, 112, 136, 144, 1000};
    mp_classes *const pool = create(NULL, sharing, sizes, sizeof sizes / sizeof *sizes);
    mp_allocator *const guard =
        guarded ? mp_checked_create(MP_OPTIONS(mp_guard_options, .inner = &pool->allocator)) : &pool->allocator;
    EXPECT(guard != NULL);
    for (size_t size = 1; size <= 160; size++) {
        unsigned char *block = mp_alloc(guard, size, 0, 0);
        EXPECT(block != NULL && (uintptr_t)block % (size > 128 || size % 16 == 0 ? 16 : 8) == 0);
        if (sharing == MP_LOCAL && (size == 24 || size == 40 || size == 56)) EXPECT(stats_of(&pool->allocator).live == size);
        memset(block, 5, size);
        /* To every other size, and back. */
        for (size_t other = 1; other <= 160; other += 3) {
            block = mp_realloc(guard, block, size, other, 0, 0);
            EXPECT(block != NULL && all(block, size < other ? size : other, 5));
            memset(block, 5, other);
            block = mp_realloc(guard, block, other, size, 0, 0);
            EXPECT(block != NULL && all(block, size < other ? size : other, 5));
            memset(block, 5, size);
        }
        mp_free(guard, block, size, 0);
        size_t got = 0;
        block = mp_alloc_between(guard, size, 4 * size, 0, &got);
        EXPECT(block != NULL && got >= size);
        mp_free(guard, block, got, 0);
        if (!guarded) {
            block = mp_classes_alloc(pool, size, 0);
            mp_free(&pool->allocator, block, size, 0);
            block = mp_alloc(&pool->allocator, size, 0, 0);
            mp_classes_free(pool, block, size, 0);
        }
        mp_flush(&pool->allocator);
        EXPECT(mp_check(guard) == MP_OK && stats_of(&pool->allocator).live == 0);
    }
    mp_classes_free(pool, NULL, 24, 0);
    if (guarded) mp_destroy(guard);
    mp_destroy(&pool->allocator);
}

static void arrays(void) {
    mp_tlsf *const pool = mp_tlsf_create(NULL);
    unsigned char *const zeros = mp_alloc_array(&pool->allocator, 10, 24, 8, MP_ZERO);
    EXPECT(zeros != NULL && all(zeros, 240, 0));
    mp_free(&pool->allocator, zeros, 240, 8);
    const size_t beyond[][2] = {{SIZE_MAX, 2}, {SIZE_MAX / 2 + 1, 2}, {(size_t)1 << (sizeof(size_t) * 4), (size_t)1 << (sizeof(size_t) * 4)}, {SIZE_MAX, SIZE_MAX}};
    for (size_t at = 0; at < sizeof beyond / sizeof *beyond; at++) {
        mp_clear_error();
        EXPECT(mp_alloc_array(&pool->allocator, beyond[at][0], beyond[at][1], 8, 0) == NULL);
        EXPECT(mp_last_error() == MP_ERR_UNSUPPORTED);
    }
    void *const none = mp_alloc_array(&pool->allocator, 0, 24, 8, 0);
    EXPECT(none != NULL);
    mp_free(&pool->allocator, none, 0, 8);
    EXPECT(mp_alloc_array(NULL, 1, 1, 8, 0) == NULL && mp_last_error() == MP_ERR_INVALID);
    EXPECT(stats_of(&pool->allocator).live == 0);
    mp_destroy(&pool->allocator);
}

int main(void) {
    const uint32_t ways[] = {MP_LOCAL, MP_LOCKED, MP_LOCKED_TICKET, MP_CACHED};
    const size_t aligns[] = {0, 1, 8, 16, 32, 64, 128, 4096};
    for (int way = 0; way < 4; way++) {
        all_goes_back(ways[way]);
        natural(ways[way], false);
        natural(ways[way], true);
        for (size_t at = 0; at < sizeof aligns / sizeof *aligns; at++) resizing(ways[way], aligns[at]);
    }
    arrays();
    return 0;
}
