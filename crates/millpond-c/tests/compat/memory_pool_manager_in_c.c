/* The interface in C: all blocks of the page, none beyond them, and all of them again. */
#include "memory_pool_manager.h"

#include <stdio.h>

int main(void) {
    void *blocks[64];
    for (int turn = 0; turn < 2; turn++) {
        bool yes = turn != 0 || InitializePool();
        for (size_t i = 0; i < NUM_BLOCKS; i++) {
            blocks[i] = PoolAlloc();
            yes = yes && blocks[i] != NULL && (uintptr_t)blocks[i] % BLOCK_SIZE == 0;
            if (yes) memset(blocks[i], (int)i, BLOCK_SIZE);
        }
        yes = yes && PoolAlloc() == NULL;
        for (size_t i = 0; i < NUM_BLOCKS; i++) {
            yes = yes && *(unsigned char *)blocks[i] == i;
            PoolFree(blocks[i]);
        }
        PoolFree(NULL);
        printf(turn == 0 ? "64 blocks, then none: %s\n" : "again: %s\n", yes ? "yes" : "no");
    }
    mp_destroy(&pool.blocks->allocator);
    mp_destroy(pool.source);
    VirtualFree(pool.memory, 0, MEM_RELEASE);
    DeleteCriticalSection(&pool.lock);
    puts("All done.");
    return 0;
}
