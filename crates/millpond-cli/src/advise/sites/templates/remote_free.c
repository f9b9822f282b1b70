/* cc program.c $(pkg-config --cflags --libs millpond) */
#include <millpond.h>

/* A pool of blocks for site, or NULL: mp_last_detail() says why. One thread allocates by
 * mp_alloc(&pool->allocator, 4321, 8, 0); any thread frees by mp_remote_free_return(pool, block). In the end
 * mp_destroy(&pool->allocator). */
static inline mp_remote_free *site_pool(void)
{
    return mp_remote_free_create(MP_OPTIONS(mp_blocks_options, .block_size = 4321));
}
