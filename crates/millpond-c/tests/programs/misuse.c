/* Misuse is detected, reported, and mostly prevented. With an argument, what happens to a program without a
 * callback. */
#include "expect.h"

struct heard {
    int count;
    uint32_t kind;
    size_t detail;
    const void *address;
};

static void hear(void *context, const mp_misuse *misuse) {
    struct heard *heard = context;
    EXPECT(misuse->struct_size >= sizeof *misuse && strstr(misuse->text, misuse->pool));
    EXPECT(strcmp(misuse->pool, "test pool") == 0);
    heard->count++;
    heard->kind = misuse->kind;
    heard->detail = misuse->detail;
    heard->address = misuse->address;
}

#define HEARD(what, ...)                                                            \
    do {                                                                            \
        int before = heard.count;                                                   \
        __VA_ARGS__;                                                                \
        EXPECT(heard.count == before + 1 && heard.kind == (what));                 \
    } while (0)

static void blocks(uint32_t sharing, uint32_t free_list) {
    struct heard heard = {0, 0, 0, NULL};
    mp_blocks *pool = mp_blocks_create(MP_OPTIONS(mp_blocks_options, .block_size = 64, .checked = true, .sharing = sharing,
                                                  .free_list = free_list, .name = "test pool", .on_misuse = hear,
                                                  .misuse_context = &heard));
    EXPECT(pool);
    char *block = mp_blocks_alloc(pool), *other = mp_blocks_alloc(pool), foreign[64];
    mp_blocks_free(pool, NULL);
    mp_blocks_free(pool, block);
    HEARD(MP_DOUBLE_FREE, mp_blocks_free(pool, block));
    HEARD(MP_FOREIGN, mp_blocks_free(pool, foreign));
    HEARD(MP_INTERIOR, mp_blocks_free(pool, other + 8));
    EXPECT(heard.detail == (size_t)other);
    HEARD(MP_WRONG_LAYOUT, mp_free(&pool->allocator, other, 65, 0));
    EXPECT(heard.detail == 64 && mp_check(&pool->allocator) == MP_OK);
    EXPECT(mp_blocks_alloc(pool) == block || free_list != MP_LIFO);
    HEARD(MP_WRONG_LAYOUT, mp_free(&pool->allocator, other, 64, 3));
    HEARD(MP_WRONG_LAYOUT, mp_free(&pool->allocator, other, SIZE_MAX, 0));
    void *const many[] = {other};
    HEARD(MP_WRONG_LAYOUT, mp_free_many(&pool->allocator, many, 1, 64, 3));
    HEARD(MP_WRONG_LAYOUT, pool->allocator.table->free_many(&pool->allocator, many, 1, SIZE_MAX, 8));
    HEARD(MP_LEAK, mp_destroy(&pool->allocator));
    EXPECT(heard.detail == 2);
}

/* A hardened pool detects the same, and what is written to its free blocks is not followed. */
static void hardened(uint32_t sharing, uint32_t free_list) {
    struct heard heard = {0, 0, 0, NULL};
    mp_blocks *pool = mp_blocks_create(MP_OPTIONS(mp_blocks_options, .block_size = 64, .sharing = sharing,
                                                  .free_list = free_list, .name = "test pool", .on_misuse = hear,
                                                  .misuse_context = &heard));
    EXPECT(pool);
    char *block = mp_blocks_alloc(pool), *other = mp_blocks_alloc(pool), foreign[64];
    mp_blocks_free(pool, block);
    HEARD(MP_DOUBLE_FREE, mp_blocks_free(pool, block));
    HEARD(MP_FOREIGN, mp_blocks_free(pool, foreign));
    HEARD(MP_INTERIOR, mp_blocks_free(pool, other + 8));
    HEARD(MP_WRONG_LAYOUT, mp_free(&pool->allocator, other, 65, 0));
    EXPECT(mp_check(&pool->allocator) == MP_OK);
    *(void **)block = foreign;
    const int before = heard.count;
    for (int round = 0; round < 5000; round++) {
        char *next = mp_blocks_alloc(pool);
        EXPECT(next && next != other && next != foreign);
        mp_blocks_free(pool, next);
    }
    EXPECT(heard.count - before == (free_list == MP_HARDENED));
    EXPECT(heard.count == before || heard.kind == MP_WRITTEN_AFTER_FREE);
    mp_destroy(&pool->allocator);
    EXPECT(heard.count - before == (free_list == MP_HARDENED));
}

/* A word that is written to a freed block is not handed out as an address. */
static void forged(void) {
    static struct { char pad[64], admin[64]; } victim;
    struct heard heard = {0, 0, 0, NULL};
    mp_blocks *pool = mp_blocks_create(MP_OPTIONS(mp_blocks_options, .block_size = 64, .checked = true, .name = "test pool",
                                                  .on_misuse = hear, .misuse_context = &heard));
    char *live = mp_blocks_alloc(pool);
    for (int round = 0; round < 2; round++) {
        void **block = mp_blocks_alloc(pool), *next = NULL;
        mp_blocks_free(pool, block);
        block[0] = round ? live : victim.admin;
        EXPECT(mp_blocks_alloc(pool) == (void *)block);
        HEARD(round ? MP_OVERLAP : MP_FORGED, next = mp_blocks_alloc(pool));
        EXPECT(next && next != live && next != (void *)victim.admin && heard.address == (round ? live : victim.admin));
        mp_blocks_free(pool, next);
        mp_blocks_free(pool, block);
    }
    mp_blocks_free(pool, live);
    mp_destroy(&pool->allocator);
    EXPECT(heard.count == 2);
}

static void guards(void) {
    struct heard heard = {0, 0, 0, NULL};
    mp_guard_options watch = {.struct_size = sizeof watch, .name = "test pool", .on_misuse = hear, .misuse_context = &heard};
    mp_allocator *checked = mp_checked_create(&watch);
    char *block = mp_alloc(checked, 100, 0, 0), *leaked = mp_alloc(checked, 10, 0, 0);
    HEARD(MP_WRONG_LAYOUT, mp_free(checked, block, 50, 0));
    EXPECT(heard.detail == 100 && heard.address == block);
    HEARD(MP_INTERIOR, mp_free(checked, block + 16, 100, 0));
    mp_free(checked, block, 100, 0);
    HEARD(MP_DOUBLE_FREE, mp_free(checked, block, 100, 0));
    HEARD(MP_FOREIGN, mp_free(checked, &heard, 100, 0));
    HEARD(MP_WRONG_LAYOUT, mp_free(checked, leaked, 10, 3));
    HEARD(MP_WRONG_LAYOUT, mp_free(checked, leaked, SIZE_MAX, 0));
    HEARD(MP_WRONG_LAYOUT, mp_realloc(checked, leaked, SIZE_MAX, 20, 0, 0));
    HEARD(MP_LEAK, mp_destroy(checked));
    EXPECT(heard.detail == 1 && heard.address == leaked);
    mp_free(mp_heap(), leaked, 10, 0);

    mp_allocator *canary = mp_canary_create(&watch);
    block = mp_alloc(canary, 100, 0, 0);
    block[100] = 1;
    HEARD(MP_OVERFLOW, mp_free(canary, block, 100, 0));
    EXPECT(heard.detail == 100);
    mp_destroy(canary);

    mp_linear *arena = mp_linear_create(NULL);
    watch.inner = &arena->allocator;
    checked = mp_checked_create(&watch);
    mp_alloc(checked, 100, 0, 0);
    HEARD(MP_LEAK, mp_reset(checked));
    EXPECT(heard.detail == 1);
    mp_destroy(checked);

    mp_allocator *quarantine = mp_quarantine_create(&watch);
    block = mp_alloc(quarantine, 100, 0, 0);
    mp_free(quarantine, block, 100, 0);
    block[7] = 1;
    HEARD(MP_WRITTEN_AFTER_FREE, mp_destroy(quarantine));
    EXPECT(heard.detail == 7);
    mp_destroy(&arena->allocator);
}

/* A guard that writes to freed blocks may wrap one that detects misuse, because it calls may_free first. */
static void outside(void) {
    struct heard heard = {0, 0, 0, NULL};
    mp_guard_options watch = {.struct_size = sizeof watch, .name = "test pool", .on_misuse = hear, .misuse_context = &heard};
    mp_allocator *checked = mp_checked_create(&watch), *around[4];
    watch.inner = checked;
    around[0] = mp_quarantine_create(&watch);
    around[1] = mp_canary_create(&watch);
    watch.on_misuse = NULL;
    around[2] = mp_poison_create(&watch);
    around[3] = mp_zeroed_create(&watch);
    for (int i = 0; i < 4; i++) {
        char victim[256];
        memset(victim, 0x77, sizeof victim);
        EXPECT(!mp_may_free(around[i], victim + 128, 64, 0) && !mp_may_free(around[i], victim + 128, 64, 3));
        HEARD(MP_FOREIGN, mp_free(around[i], victim + 128, 64, 0));
        EXPECT(all(victim, sizeof victim, 0x77));
        char *block = mp_alloc(around[i], 64, 0, 0);
        memset(block, 0x77, 64);
        EXPECT(mp_may_free(around[i], block, 64, 0) && !mp_may_free(around[i], block + 16, 64, 0));
        HEARD(MP_INTERIOR, mp_free(around[i], block + 16, 32, 0));
        HEARD(MP_WRONG_LAYOUT, mp_free(around[i], block, 32, 0));
        EXPECT(all(block, 64, 0x77));
        mp_free(around[i], block, 64, 0);
        mp_destroy(around[i]);
    }
    EXPECT(mp_may_free(mp_heap(), &heard, 64, 0) && mp_may_free(checked, NULL, 64, 0));
    mp_destroy(checked);
}

int main(int count, char **arguments) {
    if (count > 1 && strcmp(arguments[1], "double free") == 0) {
        mp_blocks *pool =
            mp_blocks_create(MP_OPTIONS(mp_blocks_options, .block_size = 64, .checked = true, .name = "nodes"));
        void *block = mp_blocks_alloc(pool);
        mp_blocks_free(pool, block);
        mp_blocks_free(pool, block);
        return 0; /* not reached */
    }
    if (count > 1 && strcmp(arguments[1], "forged address") == 0) {
        static char victim[128];
        mp_blocks *pool =
            mp_blocks_create(MP_OPTIONS(mp_blocks_options, .block_size = 64, .checked = true, .name = "nodes"));
        void **block = mp_blocks_alloc(pool);
        mp_blocks_free(pool, block);
        block[0] = victim + 64;
        mp_blocks_alloc(pool);
        return mp_blocks_alloc(pool) == victim + 64; /* not reached */
    }
    if (count > 1) {
        mp_linear *arena = mp_linear_create(
            MP_OPTIONS(mp_pool_options, .parent = mp_null_allocator(), .out_of_memory = {MP_ABORT, NULL, NULL}));
        mp_linear_alloc(arena, 123, 0);
        return 0; /* not reached */
    }
    for (uint32_t free_list = MP_LIFO; free_list <= MP_ADDRESS_ORDERED; free_list++) {
        blocks(MP_LOCAL, free_list);
        blocks(MP_LOCKED, free_list);
    }
    for (uint32_t free_list = MP_HARDENED_LIGHT; free_list <= MP_HARDENED; free_list++) {
        hardened(MP_LOCAL, free_list);
        hardened(MP_LOCKED, free_list);
        hardened(MP_CACHED, free_list);
    }
    forged();
    guards();
    outside();
    EXPECT(!mp_blocks_create(MP_OPTIONS(mp_blocks_options, .block_size = 64, .on_misuse = hear)));
    EXPECT(!mp_remote_free_create(MP_OPTIONS(mp_blocks_options, .block_size = 64, .on_misuse = hear)));
    return 0;
}
