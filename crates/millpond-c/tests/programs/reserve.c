/* An impossible reservation fails at once, sets the last error, and keeps nothing. */
#include "expect.h"

static const size_t NEVER[] = {SIZE_MAX, SIZE_MAX / 2, SIZE_MAX / 64, (size_t)1 << (sizeof(size_t) * 8 - 6)};

static void fails(mp_allocator *pool, size_t count) {
    const mp_error error = mp_reserve(pool, 64, 16, count);
    EXPECT(error != MP_OK && mp_last_error() == error);
    EXPECT(stats_of(pool).held == 0);
}

int main(void) {
    for (uint32_t free_list = 0; free_list < 3; free_list++) {
        mp_blocks *const poor =
            mp_blocks_create(MP_OPTIONS(mp_blocks_options, .block_size = 64, .free_list = free_list, .parent = mp_null_allocator()));
        mp_blocks *const rich = mp_blocks_create(MP_OPTIONS(mp_blocks_options, .block_size = 64, .free_list = free_list));
        EXPECT(poor != NULL && rich != NULL);
        for (size_t i = 0; i < sizeof NEVER / sizeof NEVER[0]; i++) {
            fails(&poor->allocator, NEVER[i]);
            fails(&rich->allocator, NEVER[i]);
        }
        fails(&poor->allocator, 1);
        EXPECT(mp_blocks_alloc(poor) == NULL);
        EXPECT(mp_reserve(&rich->allocator, 64, 16, 1000) == MP_OK && stats_of(&rich->allocator).free >= 64000);
        mp_destroy(&poor->allocator);
        mp_destroy(&rich->allocator);
    }
    mp_classes *const poor = mp_classes_create(MP_OPTIONS(mp_classes_options, .parent = mp_null_allocator()));
    mp_classes *const rich = mp_classes_create(NULL);
    EXPECT(poor != NULL && rich != NULL);
    for (size_t i = 0; i < sizeof NEVER / sizeof NEVER[0]; i++) {
        fails(&poor->allocator, NEVER[i]);
        fails(&rich->allocator, NEVER[i]);
    }
    EXPECT(mp_reserve(&poor->allocator, 100000, 0, 2) == MP_ERR_UNSUPPORTED);
    EXPECT(mp_reserve(&rich->allocator, 64, 0, 100) == MP_OK);
    mp_destroy(&poor->allocator);
    mp_destroy(&rich->allocator);
    return 0;
}
