/// A page of 64 blocks of 64 bytes for many threads: the interface of a study of memory pools on Windows, over Millpond; with
/// Windows' own calls there, with pthreads elsewhere (`posix/windows.h`, so that its programs need not change).
///
/// As before: the page is the program's to release, and the lock to delete, when all threads are done; a pool that has
/// nothing left returns a null pointer. Gained: blocks lie in ascending order, and the page is cut as it is used.
#ifndef MILLPOND_MEMORY_POOL_MANAGER_H
#define MILLPOND_MEMORY_POOL_MANAGER_H

#ifdef _WIN32
#include <windows.h>
#else
#include "posix/windows.h"
#endif

#include <cstring>
#include <iostream>

#include "millpond.h"

constexpr SIZE_T PAGE_SIZE = 4096;
constexpr SIZE_T BLOCK_SIZE = 64;
constexpr SIZE_T NUM_BLOCKS = PAGE_SIZE / BLOCK_SIZE;

struct MemoryPool {
  void* memory;           // the page, from VirtualAlloc
  mp_allocator* source;   // the page, as what blocks come from
  mp_blocks* blocks;
  CRITICAL_SECTION lock;  // held while a block is taken or given back
};

inline MemoryPool pool;

/// Readies the pool; false, and a line on the standard error stream, if there is no memory. For one thread, before others
/// begin; and again after the page was released, for a fresh one.
inline bool InitializePool() {
  if (pool.blocks != nullptr) mp_destroy(&pool.blocks->allocator);
  mp_destroy(pool.source);
  pool.blocks = nullptr;
  pool.source = nullptr;

  pool.memory = VirtualAlloc(nullptr, PAGE_SIZE, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
  if (pool.memory == nullptr) {
    std::cerr << "VirtualAlloc failed: " << GetLastError() << "\n";
    return false;
  }
  InitializeCriticalSection(&pool.lock);

  mp_blocks_options options{};
  options.struct_size = sizeof options;
  options.block_size = BLOCK_SIZE;
  options.block_align = BLOCK_SIZE;
  options.capacity = NUM_BLOCKS;
  pool.source = mp_buffer_create(pool.memory, PAGE_SIZE);
  options.parent = pool.source;
  if (pool.source != nullptr) pool.blocks = mp_blocks_create(&options);
  if (pool.blocks == nullptr) std::cerr << "no pool: " << mp_last_detail() << "\n";
  return pool.blocks != nullptr;
}

/// A block, or a null pointer if all are in use. Any thread.
inline void* PoolAlloc() {
  EnterCriticalSection(&pool.lock);
  void* const block = mp_blocks_alloc(pool.blocks);
  LeaveCriticalSection(&pool.lock);
  return block;
}

/// Takes a block back; nothing happens for a null pointer. Any thread.
inline void PoolFree(void* block) {
  EnterCriticalSection(&pool.lock);
  mp_blocks_free(pool.blocks, block);
  LeaveCriticalSection(&pool.lock);
}

#endif
