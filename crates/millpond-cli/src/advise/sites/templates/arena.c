/* cc program.c $(pkg-config --cflags --libs millpond) */
#include <millpond.h>

/* An arena for site, or NULL: mp_last_detail() says why. Then mp_linear_alloc(arena, size, 8), and in the end
 * mp_destroy(&arena->allocator), which frees all blocks. */
static inline mp_linear *site_arena(void)
{
    return mp_linear_create(MP_OPTIONS(mp_pool_options, 0));
}
