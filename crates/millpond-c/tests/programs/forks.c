/* Children that are forked while other threads are using pools of every type: they allocate, free, start threads,
 * check, reset and trim, and none hangs. */
#define _GNU_SOURCE
#include "expect.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THREADS = 3, CHILDREN = 20, BLOCKS = 50, POOLS = 32 };

static mp_allocator *pools[POOLS];
static int pool_count;
static atomic_int stop;
static atomic_size_t rounds;

static void add(mp_allocator *pool) {
    EXPECT(pool != NULL && pool_count < POOLS);
    pools[pool_count++] = pool;
}

/* Allocates blocks of all sizes, fills, compares and frees them; returns whether all are intact. */
static bool use(mp_allocator *pool, size_t largest, size_t largest_bypass) {
    unsigned char *blocks[BLOCKS];
    size_t sizes[BLOCKS];
    bool well = true;
    for (int i = 0; i < BLOCKS; i++) {
        sizes[i] = i == 7 && largest_bypass != 0 ? largest_bypass : (size_t)i * largest / BLOCKS + 1;
        blocks[i] = mp_alloc(pool, sizes[i], 8, 0);
        if (blocks[i] == NULL) return false;
        memset(blocks[i], i, sizes[i]);
    }
    for (int i = 0; i < BLOCKS; i++) {
        for (size_t at = 0; at < sizes[i]; at++) well = well && blocks[i][at] == (unsigned char)i;
        mp_free(pool, blocks[i], sizes[i], 8);
    }
    return well;
}

static bool is_of_blocks(const mp_allocator *pool) { return strcmp(mp_name(pool), "blocks") == 0; }

static bool use_one(mp_allocator *pool) {
    const bool blocks = is_of_blocks(pool);
    return use(pool, blocks ? 96 : 200, blocks ? 0 : 50000);
}

static void *work(void *context) {
    (void)context;
    for (size_t turn = 0; !stop; turn++) {
        mp_allocator *const pool = pools[turn % (size_t)pool_count];
        EXPECT(use_one(pool));
        if (turn % 64 == 63) mp_flush(pool);
        /* Pools that are created and destroyed. */
        mp_tlsf *const other = mp_tlsf_create(MP_OPTIONS(mp_tlsf_options, .sharing = MP_LOCKED));
        EXPECT(other != NULL && use(&other->allocator, 300, 0));
        mp_destroy(&other->allocator);
        rounds++;
    }
    return NULL;
}

static void *work_in_child(void *context) {
    (void)context;
    for (int turn = 0; turn < 3; turn++) {
        for (int i = 0; i < pool_count; i++) {
            if (!use_one(pools[i])) return pools[i];
        }
    }
    return NULL;
}

static void child(int number) {
    alarm(20);
    if (work_in_child(NULL) != NULL) _exit(2);
    pthread_t threads[THREADS];
    const int count = number % 2 == 0 ? THREADS : 0;
    for (int i = 0; i < count; i++) {
        if (pthread_create(&threads[i], NULL, work_in_child, NULL) != 0) _exit(3);
    }
    for (int i = 0; i < count; i++) {
        void *broken = NULL;
        if (pthread_join(threads[i], &broken) != 0 || broken != NULL) _exit(4);
    }
    for (int i = 0; i < pool_count; i++) {
        if (mp_check(pools[i]) != MP_OK) _exit(5);
        mp_trim(pools[i]);
    }
    if (work_in_child(NULL) != NULL) _exit(6);
    for (int i = pool_count - 1; i >= 0; i--) {
        mp_stats stats = {.struct_size = sizeof stats};
        if (mp_get_stats(pools[i], &stats) != MP_OK) _exit(7);
        if (mp_reset(pools[i]) != MP_OK && mp_last_error() != MP_ERR_UNSUPPORTED) _exit(8);
    }
    if (work_in_child(NULL) != NULL) _exit(9);
    /* A child of the child. */
    const pid_t grandchild = fork();
    if (grandchild == 0) _exit(work_in_child(NULL) == NULL ? 0 : 10);
    int status = 0;
    if (waitpid(grandchild, &status, 0) != grandchild || status != 0) _exit(11);
    for (int i = pool_count - 1; i >= 0; i--) mp_destroy(pools[i]);
    _exit(0);
}

static void forgive(void *context, const mp_misuse *misuse) {
    (void)context;
    /* Blocks that other threads had live when the process forked are leaks in the child. */
    if (misuse->kind != MP_LEAK) _exit(12);
}

static mp_allocator *guarded(mp_allocator *(*create)(const mp_guard_options *), mp_allocator *inner) {
    return create(MP_OPTIONS(mp_guard_options, .inner = inner, .on_misuse = forgive));
}

int main(void) {
    EXPECT(mp_atfork() == MP_OK && mp_atfork() == MP_OK);
    const uint32_t ways[] = {MP_LOCKED, MP_LOCKED_TICKET, MP_CACHED};
    mp_allocator *inner[3];
    for (int i = 0; i < 3; i++) {
        mp_classes *const classes = mp_classes_create(MP_OPTIONS(mp_classes_options, .sharing = ways[i]));
        mp_blocks *const blocks =
            mp_blocks_create(MP_OPTIONS(mp_blocks_options, .block_size = 96, .block_align = 8, .sharing = ways[i]));
        mp_classes *const inside = mp_classes_create(MP_OPTIONS(mp_classes_options, .sharing = ways[i]));
        EXPECT(classes != NULL && blocks != NULL && inside != NULL);
        add(&classes->allocator);
        add(&blocks->allocator);
        inner[i] = &inside->allocator;
    }
    mp_tlsf *const tlsf = mp_tlsf_create(MP_OPTIONS(mp_tlsf_options, .sharing = MP_LOCKED));
    EXPECT(tlsf != NULL);
    /* A pool on a pool on a guard. */
    mp_allocator *const counting = mp_counting_create(MP_OPTIONS(mp_guard_options, .inner = &tlsf->allocator));
    mp_sign_post *const child_of_tlsf =
        mp_sign_post_create(MP_OPTIONS(mp_sign_post_options, .sharing = MP_LOCKED_TICKET, .parent = counting));
    mp_blocks *const lock_free =
        mp_blocks_create(MP_OPTIONS(mp_blocks_options, .block_size = 96, .block_align = 8, .sharing = MP_LOCK_FREE));
    mp_blocks *const marked = mp_blocks_create(MP_OPTIONS(mp_blocks_options, .block_size = 96, .block_align = 8,
                                                         .sharing = MP_LOCKED, .checked = true, .on_misuse = forgive));
    EXPECT(counting != NULL && child_of_tlsf != NULL && lock_free != NULL && marked != NULL);
    add(&child_of_tlsf->allocator);
    add(&lock_free->allocator);
    add(&marked->allocator);
    add(guarded(mp_checked_create, inner[0]));
    add(guarded(mp_quarantine_create, inner[1]));
    add(guarded(mp_checked_create, guarded(mp_quarantine_create, inner[2])));

    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) EXPECT(pthread_create(&threads[i], NULL, work, NULL) == 0);
    for (int number = 0; number < CHILDREN; number++) {
        for (const size_t before = rounds; rounds - before < 3;) sched_yield();
        const pid_t forked = fork();
        if (forked == 0) child(number);
        EXPECT(forked > 0);
        int status = 0;
        EXPECT(waitpid(forked, &status, 0) == forked);
        if (status != 0) fprintf(stderr, "child %d: status %x\n", number, (unsigned)status);
        EXPECT(status == 0);
    }
    stop = 1;
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    for (int i = 0; i < pool_count; i++) EXPECT(mp_check(pools[i]) == MP_OK);
    for (int i = pool_count - 1; i >= 0; i--) mp_destroy(pools[i]);
    return 0;
}
