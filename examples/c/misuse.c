/* A checked pool detects and prevents a double free, and reports blocks that were never freed. */
#include <millpond.h>
#include <stdio.h>

static void tell(void *context, const mp_misuse *misuse) {
    int *count = context;
    ++*count;
    printf("pool %s: %s\n", misuse->pool,
           misuse->kind == MP_DOUBLE_FREE ? "a block was freed twice"
           : misuse->kind == MP_LEAK      ? "a block was never freed"
                                           : "something else is wrong");
}

int main(void) {
    int count = 0;
    mp_blocks *pool = mp_blocks_create(MP_OPTIONS(mp_blocks_options, .block_size = 64, .checked = true, .name = "sessions",
                                                  .on_misuse = tell, .misuse_context = &count));
    if (!pool)
        return 1;
    void *session = mp_blocks_alloc(pool), *forgotten = mp_blocks_alloc(pool);
    mp_blocks_free(pool, session);
    mp_blocks_free(pool, session);
    mp_destroy(&pool->allocator);
    printf("%d mistakes, and the program is still whole%s\n", count, forgotten ? "" : "?");
    return 0;
}
