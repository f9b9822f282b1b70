/* Errors inside a pool that tools should detect: visible [leak | use | overflow]. */
#include "expect.h"

int main(int count, char **arguments) {
    const char *mode = count > 1 ? arguments[1] : "";
    mp_blocks *pool = mp_blocks_create(MP_OPTIONS(mp_blocks_options, .block_size = 128));
    mp_allocator *visible = mp_tool_annotated_create(MP_OPTIONS(mp_guard_options, .inner = &pool->allocator));
    EXPECT(pool && visible);
    volatile char *block = mp_alloc(visible, 64, 0, MP_ZERO);
    char *other = mp_alloc(visible, 64, 0, MP_ZERO);
    EXPECT(block && other && block[0] == 0);
    if (strcmp(mode, "overflow") == 0)
        block[64] = 1;
    mp_free(visible, (void *)block, 64, 0);
    if (strcmp(mode, "use") == 0)
        printf("%d\n", block[5]);
    if (strcmp(mode, "leak") == 0) {
        other = NULL; /* the pool is never destroyed, and there is no pointer to the block any more */
        return 0;
    }
    mp_free(visible, other, 64, 0);
    mp_destroy(visible);
    mp_destroy(&pool->allocator);
    return 0;
}
