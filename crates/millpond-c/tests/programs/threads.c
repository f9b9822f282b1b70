/* Pools that threads share: four threads allocate, fill, compare and free. */
#include "expect.h"
#include <pthread.h>

enum { THREADS = 4, LIVE = 100, ROUNDS = 300 };

static void *work(void *pool) {
    unsigned char *blocks[LIVE] = {NULL};
    unsigned char mark = (unsigned char)((uintptr_t)&blocks >> 12 | 1);
    for (int round = 0; round < ROUNDS; round++)
        for (int i = 0; i < LIVE; i++) {
            if (blocks[i]) {
                EXPECT(all(blocks[i], 48, mark));
                mp_free(pool, blocks[i], 48, 0);
            }
            EXPECT((blocks[i] = mp_alloc(pool, 48, 0, 0)));
            memset(blocks[i], mark, 48);
        }
    for (int i = 0; i < LIVE; i++)
        mp_free(pool, blocks[i], 48, 0);
    /* Each thread has its own last error. */
    EXPECT(mp_last_error() == MP_OK && !mp_alloc(pool, 1, 3, 0) && mp_last_error() == MP_ERR_INVALID);
    return NULL;
}

static void share(mp_allocator *pool, size_t bytes) {
    EXPECT(pool);
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        EXPECT(pthread_create(&threads[i], NULL, work, pool) == 0);
    for (int i = 0; i < THREADS; i++)
        EXPECT(pthread_join(threads[i], NULL) == 0);
    EXPECT(mp_check(pool) == MP_OK && stats_of(pool).held >= bytes);
    mp_destroy(pool);
}

/* Blocks of one thread that others free. */
static void *give_back(void *context) {
    void **blocks = context;
    for (int i = 1; i <= LIVE; i++)
        mp_remote_free_return(blocks[0], blocks[i]);
    return NULL;
}

static void remote_free(void) {
    mp_remote_free *pool = mp_remote_free_create(MP_OPTIONS(mp_blocks_options, .block_size = 48));
    EXPECT(pool && !mp_remote_free_create(NULL) && mp_last_error() == MP_ERR_INVALID);
    void *blocks[THREADS][LIVE + 1];
    pthread_t threads[THREADS];
    for (int round = 0; round < 20; round++) {
        for (int thread = 0; thread < THREADS; thread++) {
            blocks[thread][0] = pool;
            for (int i = 1; i <= LIVE; i++)
                EXPECT((blocks[thread][i] = mp_alloc(&pool->allocator, 48, 0, 0)));
            EXPECT(pthread_create(&threads[thread], NULL, give_back, blocks[thread]) == 0);
        }
        for (int thread = 0; thread < THREADS; thread++)
            EXPECT(pthread_join(threads[thread], NULL) == 0);
        /* Freed blocks are reused: twenty rounds need no more memory than one, whose chunks double in size. */
        EXPECT(stats_of(&pool->allocator).held <= 4 * THREADS * LIVE * 48);
    }
    EXPECT(mp_reset(&pool->allocator) == MP_OK && stats_of(&pool->allocator).live == 0);
    EXPECT(mp_trim(&pool->allocator) > 0 && mp_alloc(&pool->allocator, 48, 0, 0));
    mp_destroy(&pool->allocator);
}

int main(void) {
    remote_free();
    for (uint32_t sharing = MP_LOCKED; sharing <= MP_LOCKED_TICKET; sharing++) {
        mp_blocks *blocks = mp_blocks_create(MP_OPTIONS(mp_blocks_options, .block_size = 48, .sharing = sharing));
        share(&blocks->allocator, 48 * LIVE);
    }
    mp_classes *classes = mp_classes_create(MP_OPTIONS(mp_classes_options, .sharing = MP_CACHED));
    share(&classes->allocator, 48 * LIVE);
    mp_tlsf *tlsf = mp_tlsf_create(MP_OPTIONS(mp_tlsf_options, .sharing = MP_LOCKED));
    share(&tlsf->allocator, 48 * LIVE);
    mp_linear *linear = mp_linear_create(MP_OPTIONS(mp_pool_options, .sharing = MP_LOCK_FREE));
    share(&linear->allocator, 48 * LIVE * THREADS);
    mp_stack *stack = mp_stack_create(MP_OPTIONS(mp_pool_options, .sharing = MP_LOCKED));
    mp_allocator *counting = mp_counting_create(MP_OPTIONS(mp_guard_options, .inner = &stack->allocator));
    share(counting, 48 * LIVE);
    mp_destroy(&stack->allocator);
    return 0;
}
