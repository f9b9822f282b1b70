// Runs four threads of a worker that allocates a block, writes to it, sleeps and frees it; then deletes the lock and
// releases the page. Written for Windows, with any `pool`, `PoolAlloc` and `PoolFree`.
#ifndef FOUR_WORKERS_HPP
#define FOUR_WORKERS_HPP

#include <cstring>
#include <iostream>

DWORD WINAPI Worker(LPVOID) {
    for (int i = 0; i < 50; i++) {
        void* mem = PoolAlloc();
        if (mem) {
            memset(mem, 0xAB, BLOCK_SIZE);
            Sleep(1);
            PoolFree(mem);
        } else {
            std::cout << "Out of memory!\n";
        }
    }
    return 0;
}

static void FourWorkers() {
    HANDLE threads[4];
    for (int i = 0; i < 4; i++) {
        threads[i] = CreateThread(nullptr, 0, Worker, nullptr, 0, nullptr);
    }
    WaitForMultipleObjects(4, threads, TRUE, INFINITE);

    for (HANDLE t : threads)
        CloseHandle(t);

    DeleteCriticalSection(&pool.lock);
    VirtualFree(pool.memory, 0, MEM_RELEASE);
}

#endif
