/* cc program.c $(pkg-config --cflags --libs millpond) */
#include <millpond.h>

/* An arena for site, or NULL: mp_last_detail() says why. Then mp_linear_alloc(arena, size, 8); at the end of each phase
 * site_reset(arena), and in the end mp_destroy(&arena->allocator). */
static inline mp_linear *site_arena(void)
{
    return mp_linear_create(MP_OPTIONS(mp_pool_options, .capacity = 4321));
}

/* Frees all blocks. The arena keeps its memory for the next phase. */
static inline void site_reset(mp_linear *arena)
{
    mp_reset(&arena->allocator);
}
