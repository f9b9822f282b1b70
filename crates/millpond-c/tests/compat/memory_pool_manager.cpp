// Allocates a page to its last block, twice; then four threads share it. Written for Windows.
#include "memory_pool_manager.h"

#include "four_workers.hpp"

// One page has exactly 64 blocks of 64 bytes, all different and within the page.
static bool whole_page() {
    void* blocks[NUM_BLOCKS];
    for (SIZE_T i = 0; i < NUM_BLOCKS; i++) {
        blocks[i] = PoolAlloc();
        char* const base = static_cast<char*>(pool.memory);
        char* const block = static_cast<char*>(blocks[i]);
        if (block < base || block + BLOCK_SIZE > base + PAGE_SIZE || (block - base) % BLOCK_SIZE != 0) return false;
        for (SIZE_T j = 0; j < i; j++) {
            if (blocks[j] == block) return false;
        }
    }
    const bool is_exhausted = PoolAlloc() == nullptr;
    for (void* block : blocks) PoolFree(block);
    PoolFree(nullptr);
    return is_exhausted;
}

int main() {
    if (!InitializePool()) {
        return 1;
    }
    std::cout << NUM_BLOCKS << " blocks, then none: " << (whole_page() ? "yes" : "no") << "\n";
    std::cout << "again: " << (whole_page() ? "yes" : "no") << "\n";

    FourWorkers();
    std::cout << "All done.\n";
    return 0;
}
