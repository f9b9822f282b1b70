/* A word of the pool behind a block is overwritten. A checked guard around the pool detects that before anything
 * follows the word: nothing crashes, and no live block is handed out. */
#include "expect.h"
#include <unistd.h>

enum { COUNT = 16, VICTIM = 5 };

static int damaged;

static void hear(void *context, const mp_misuse *misuse) {
    (void)context;
    EXPECT(misuse->kind == MP_DAMAGED || misuse->kind == MP_OVERLAP || misuse->kind == MP_LEAK);
    damaged += misuse->kind == MP_DAMAGED;
}

static mp_allocator *pool(int kind) {
    switch (kind) {
    case 0:
        return &mp_tlsf_create(MP_OPTIONS(mp_tlsf_options, .without_quick_list = true))->allocator;
    case 1:
        return &mp_tlsf_create(NULL)->allocator;
    case 2:
        return &mp_sign_post_create(NULL)->allocator;
    default:
        return &mp_buddy_create(NULL)->allocator;
    }
}

/* Frees the block whose tag was overwritten, or that precedes a free one whose tag was overwritten; then allocates
 * more. */
static void play(int kind, size_t size, size_t forged, size_t at, bool free_first) {
    mp_allocator *inner = pool(kind);
    mp_allocator *guard = mp_checked_create(MP_OPTIONS(mp_guard_options, .inner = inner, .on_misuse = hear));
    unsigned char *blocks[COUNT];
    EXPECT(guard);
    for (int i = 0; i < COUNT; i++) {
        EXPECT((blocks[i] = mp_alloc(guard, size, 16, 0)));
        memset(blocks[i], 0x11, size);
    }
    unsigned char *low = blocks[VICTIM];
    int next = VICTIM;
    for (int i = 0; i < COUNT; i++) /* the block behind */
        if (blocks[i] > low && (next == VICTIM || blocks[i] < blocks[next]))
            next = i;
    if (next == VICTIM) {
        mp_destroy(guard);
        mp_destroy(inner);
        return;
    }
    if (free_first)
        mp_free(guard, blocks[next], size, 16);
    memcpy(low + size + at, &forged, sizeof forged);
    int freed = free_first ? VICTIM : next, before = damaged;
    mp_free(guard, blocks[freed], size, 16);
    bool is_live[COUNT];
    for (int i = 0; i < COUNT; i++)
        is_live[i] = i != freed && !(free_first && i == next);
    is_live[freed] = damaged != before;
    for (int n = 0; n < 12; n++) {
        unsigned char *block = mp_alloc(guard, size, 16, 0);
        for (int i = 0; block && i < COUNT; i++)
            EXPECT(!is_live[i] || block + size <= blocks[i] || blocks[i] + size <= block);
    }
    mp_check(inner);
    EXPECT(mp_reset(guard) == MP_OK && mp_check(guard) == MP_OK);
    mp_destroy(guard);
    mp_destroy(inner);
}

int main(void) {
    alarm(120); /* otherwise a circular list would never end */
    for (int kind = 0; kind < 4; kind++) {
        damaged = 0;
        for (size_t at = 0; at <= 16; at += 8)
            for (size_t forged = 0; forged < 0x1200; forged += forged <= 64 ? 1 : 29) {
                play(kind, kind == 3 ? 256 : 200, forged, at, false);
                play(kind, kind == 3 ? 256 : 200, forged, at, true);
            }
        EXPECT(damaged > 10);
    }
    return 0;
}
