/* cc program.c $(pkg-config --cflags --libs millpond) */
#include <millpond.h>

/* A pool of blocks for site that any thread may use, or NULL: mp_last_detail() says why. Each thread caches free blocks.
 * Then mp_classes_alloc(pool, size, 8), mp_classes_free(pool, block, size, 8), and in the end
 * mp_destroy(&pool->allocator). */
static inline mp_classes *site_pool(void)
{
    static const size_t sizes[] = {24, 4321};
    return mp_classes_create(MP_OPTIONS(mp_classes_options, .sharing = MP_CACHED, .sizes = sizes,
                                        .size_count = sizeof sizes / sizeof *sizes));
}
