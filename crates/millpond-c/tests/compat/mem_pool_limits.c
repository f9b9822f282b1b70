/* What fits into a pool of 1024 bytes, twice. */
#include <stdio.h>
#include <string.h>

#include "mem_pool.h"

static int is_zero(const unsigned char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != 0)
            return 0;
    return 1;
}

int main(void)
{
    struct m_pool pool = {0};
    void *all[1024] = {0};
    void *more = &pool;
    int failed = 0;

    pool_destroy(&pool);
    if (pool_init(&pool) != 0)
        return 1;

    /* All of it in one piece, but not one byte more, twice. */
    for (int turn = 0; turn < 2; turn++) {
        failed += pool_alloc(&pool, &all[0], 1024, u8) != 0;
        failed += !is_zero(all[0], 1024);
        memset(all[0], 0xAB, 1024);
        failed += pool_alloc(&pool, &more, 1, u8) != -1 || more != &pool;
        const unsigned char *freed = all[0];
        pool_free(&all[0], 1024, &pool);
        failed += all[0] != NULL || !is_zero(freed, 1024);
    }
    printf("one piece: %d\n", failed);

    /* All of it in single bytes, freed in another order. */
    for (int turn = 0; turn < 2; turn++) {
        for (int i = 0; i < 1024; i++) {
            failed += pool_alloc(&pool, &all[i], 1, i8) != 0;
            failed += *(unsigned char *)all[i] != 0;
            *(unsigned char *)all[i] = (unsigned char)i;
        }
        failed += pool_alloc(&pool, &more, 1, i8) != -1;
        for (int i = 0; i < 1024; i++)
            failed += *(unsigned char *)all[i] != (unsigned char)i;
        for (int i = 0; i < 1024; i += 2)
            pool_free(&all[i], 1, &pool);
        failed += pool_alloc(&pool, &more, 513, ud) != -1;
        for (int i = 1023; i > 0; i -= 2)
            pool_free(&all[i], 1, &pool);
    }
    printf("single bytes: %d\n", failed);

    /* Various sizes, aligned for any type, whose sum is the whole pool. */
    static const size_t sizes[] = {8, 1, 100, 24, 3, 16, 512, 60, 300};
    enum { COUNT = sizeof sizes / sizeof *sizes };
    for (int i = 0; i < COUNT; i++) {
        failed += pool_alloc(&pool, &all[i], sizes[i], f64) != 0;
        failed += (size_t)all[i] % 16 != 0 || !is_zero(all[i], sizes[i]);
        memset(all[i], i + 1, sizes[i]);
    }
    failed += pool_alloc(&pool, &more, 1, i64) != -1;
    for (int i = 0; i < COUNT; i++) {
        unsigned char *freed = all[i];
        failed += freed[0] != i + 1 || freed[sizes[i] - 1] != i + 1;
        pool_free(&all[i], sizes[i], &pool);
        failed += !is_zero(freed, sizes[i]);
    }
    failed += pool_alloc(&pool, &all[0], 1024, s) != 0;
    pool_free(&all[0], 1024, &pool);
    printf("all kinds: %d\n", failed);

    /* Invalid arguments. */
    failed += pool_alloc(&pool, &more, 0, i32) != -1;
    failed += pool_alloc(&pool, &more, 1025, i32) != -1;
    failed += pool_alloc(&pool, NULL, 4, i32) != -1;
    failed += pool_alloc(NULL, &more, 4, i32) != -1;
    failed += pool_init(NULL) != -1;
    pool_free(&all[0], 4, &pool); /* freed already: nothing happens */
    pool_free(NULL, 4, &pool);
    pool_destroy(&pool);
    failed += pool_alloc(&pool, &more, 4, i32) != -1;
    pool_destroy(&pool);
    printf("nonsense: %d\n", failed);
    return failed != 0;
}
