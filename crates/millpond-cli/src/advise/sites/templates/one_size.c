/* cc program.c $(pkg-config --cflags --libs millpond) */
#include <millpond.h>

/* A pool of blocks for site, or NULL: mp_last_detail() says why. Then mp_blocks_alloc(pool), mp_blocks_free(pool, block),
 * and in the end mp_destroy(&pool->allocator). */
static inline mp_blocks *site_pool(void)
{
    return mp_blocks_create(MP_OPTIONS(mp_blocks_options, .block_size = 4321));
}
