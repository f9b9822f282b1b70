/* A page of 64 blocks of 64 bytes for many threads: the interface of a study of memory pools on Windows, implemented
 * with Millpond; with the calls of Windows there, with pthreads elsewhere (see posix/windows.h), so that programs
 * need not change. For C and C++.
 *
 * The same: the program releases the page and deletes the lock when all threads are done; a pool without free blocks
 * returns a null pointer. Improved: blocks are carved from the page in ascending order as they are needed. */
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
/* In C, each file that includes this header has its own pool. */
#define MILLPOND_MANAGER_VARIABLE static
#endif

struct MemoryPool {
  void* memory;           /* the page, from VirtualAlloc */
  mp_allocator* source;   /* the page as a source of blocks */
  mp_blocks* blocks;
  CRITICAL_SECTION lock;  /* held while a block is allocated or freed */
};
#ifndef __cplusplus
typedef struct MemoryPool MemoryPool;
#endif

MILLPOND_MANAGER_VARIABLE MemoryPool pool;

/* Initialises the pool; returns false and prints a line to stderr if there is no memory. Called by one thread before
 * others start, and again after the page was released, for a new one. */
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

/* Allocates a block; returns a null pointer if all are in use. Any thread. */
static inline void* PoolAlloc(void) {
  void* block;
  EnterCriticalSection(&pool.lock);
  block = mp_blocks_alloc(pool.blocks);
  LeaveCriticalSection(&pool.lock);
  return block;
}

/* Frees a block; does nothing for a null pointer. Any thread. */
static inline void PoolFree(void* block) {
  EnterCriticalSection(&pool.lock);
  mp_blocks_free(pool.blocks, block);
  LeaveCriticalSection(&pool.lock);
}

#endif
