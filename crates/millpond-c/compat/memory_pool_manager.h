/* A page of 64 blocks of 64 bytes for many threads: the interface of a study of memory pools on Windows, over Millpond; with
 * Windows' own calls there, with pthreads elsewhere (posix/windows.h, so that its programs need not change). For C and C++.
 *
 * As before: the page is the program's to release, and the lock to delete, when all threads are done; a pool that has
 * nothing left returns a null pointer. Gained: blocks lie in ascending order, and the page is cut as it is used. */
#ifndef MILLPOND_MEMORY_POOL_MANAGER_H
#define MILLPOND_MEMORY_POOL_MANAGER_H

#ifdef _WIN32
#include <windows.h>
#else
#include "posix/windows.h"
#endif

#include <stdio.h>
#include <string.h>
#ifdef __cplusplus
#include <cstring>
#include <iostream>
#endif

#include "millpond.h"

#ifdef __cplusplus
constexpr SIZE_T PAGE_SIZE = 4096;
constexpr SIZE_T BLOCK_SIZE = 64;
constexpr SIZE_T NUM_BLOCKS = PAGE_SIZE / BLOCK_SIZE;
#define MILLPOND_MANAGER_NULL nullptr
#define MILLPOND_MANAGER_VARIABLE inline
#else
#undef PAGE_SIZE
#define PAGE_SIZE ((SIZE_T)4096)
#define BLOCK_SIZE ((SIZE_T)64)
#define NUM_BLOCKS (PAGE_SIZE / BLOCK_SIZE)
#define MILLPOND_MANAGER_NULL NULL
/* In C, each file that includes this header has a pool of its own. */
#define MILLPOND_MANAGER_VARIABLE static
#endif

struct MemoryPool {
  void* memory;           /* the page, from VirtualAlloc */
  mp_allocator* source;   /* the page, as what blocks come from */
  mp_blocks* blocks;
  CRITICAL_SECTION lock;  /* held while a block is taken or given back */
};
#ifndef __cplusplus
typedef struct MemoryPool MemoryPool;
#endif

MILLPOND_MANAGER_VARIABLE MemoryPool pool;

/* Readies the pool; false, and a line on the standard error stream, if there is no memory. For one thread, before others
 * begin; and again after the page was released, for a fresh one. */
static inline bool InitializePool(void) {
  mp_blocks_options options;
  if (pool.blocks != MILLPOND_MANAGER_NULL) mp_destroy(&pool.blocks->allocator);
  mp_destroy(pool.source);
  pool.blocks = MILLPOND_MANAGER_NULL;
  pool.source = MILLPOND_MANAGER_NULL;

  pool.memory = VirtualAlloc(MILLPOND_MANAGER_NULL, PAGE_SIZE, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
  if (pool.memory == MILLPOND_MANAGER_NULL) {
    fprintf(stderr, "VirtualAlloc failed: %lu\n", (unsigned long)GetLastError());
    return false;
  }
  InitializeCriticalSection(&pool.lock);

  memset(&options, 0, sizeof options);
  options.struct_size = sizeof options;
  options.block_size = BLOCK_SIZE;
  options.block_align = BLOCK_SIZE;
  options.capacity = NUM_BLOCKS;
  pool.source = mp_buffer_create(pool.memory, PAGE_SIZE);
  options.parent = pool.source;
  if (pool.source != MILLPOND_MANAGER_NULL) pool.blocks = mp_blocks_create(&options);
  if (pool.blocks == MILLPOND_MANAGER_NULL) fprintf(stderr, "no pool: %s\n", mp_last_detail());
  return pool.blocks != MILLPOND_MANAGER_NULL;
}

/* A block, or a null pointer if all are in use. Any thread. */
static inline void* PoolAlloc(void) {
  void* block;
  EnterCriticalSection(&pool.lock);
  block = mp_blocks_alloc(pool.blocks);
  LeaveCriticalSection(&pool.lock);
  return block;
}

/* Takes a block back; nothing happens for a null pointer. Any thread. */
static inline void PoolFree(void* block) {
  EnterCriticalSection(&pool.lock);
  mp_blocks_free(pool.blocks, block);
  LeaveCriticalSection(&pool.lock);
}

#endif
