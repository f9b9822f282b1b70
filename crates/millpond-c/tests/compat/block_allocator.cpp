// Block, linear and static allocators, on bases and on buffers; alone and with threads.
#include "block_allocator.hpp"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <set>
#include <thread>
#include <vector>

static std::atomic<int> failed;
#define CHECK(what) ((what) ? (void)0 : (void)(++failed, std::printf("line %d: %s\n", __LINE__, #what)))

// malloc as a base, which counts requests.
class Malloc : public Allocator {
 public:
  std::atomic<int> live{0};
  std::atomic<int> left{1000};
  std::multiset<std::size_t> sizes;

  void* alloc(std::size_t size) override { return alloc_aligned(size, alignof(std::max_align_t)); }
  void free(void* ptr) override {
    --live;
    std::free(ptr);
  }
  void* alloc_aligned(std::size_t size, std::size_t alignment) override {
    if (left-- <= 0) return nullptr;
    ++live;
    if (!quiet) sizes.insert(size);
    return std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
  }
  bool quiet = false;
};

// A base with only the required functions.
class Plain : public Allocator {
 public:
  void* alloc(std::size_t size) override { return std::malloc(size); }
  void free(void* ptr) override { std::free(ptr); }
};

static bool is_apart(void* one, void* other, std::size_t size) {
  const auto a = reinterpret_cast<std::uintptr_t>(one), b = reinterpret_cast<std::uintptr_t>(other);
  return (a > b ? a - b : b - a) >= size;
}

template <class T>
static void on_a_base() {
  Malloc base;
  T pool;
  CHECK(pool.alloc_block() == nullptr);
  CHECK(pool.init(&base, 24, 8, 5));
  std::vector<void*> all;
  for (int i = 0; i < 15; i++) all.push_back(pool.alloc_block());
  for (int i = 0; i < 15; i++) {
    CHECK(all[i] != nullptr && reinterpret_cast<std::uintptr_t>(all[i]) % 8 == 0 && pool.owns(all[i]));
    for (int j = 0; j < i; j++) CHECK(is_apart(all[i], all[j], 24));
  }
  // A chunk consists only of its blocks, and there are no more chunks than needed.
  CHECK(base.sizes.size() == 3 && base.sizes.count(5 * 24) == 3);
  CHECK(!pool.owns(&base) && !pool.owns(nullptr));

  pool.free_block(all[3]);
  pool.free(all[9]);
  pool.free(nullptr);
  CHECK(pool.alloc(24) == all[9] && pool.alloc(1) == all[3]);
  CHECK(pool.alloc(25) == nullptr && pool.alloc_aligned(8, 16) == nullptr && pool.alloc_aligned(8, 0) == nullptr);
  void* const more = pool.alloc_aligned(8, 8);
  CHECK(more != nullptr && base.live == 4);

  base.left = 0;
  for (int i = 0; i < 4; i++) CHECK(pool.alloc_block() != nullptr);
  CHECK(pool.alloc_block() == nullptr);
  pool.deinit();
  pool.deinit();
  CHECK(base.live == 0 && pool.alloc_block() == nullptr && !pool.owns(more));

  // Over-aligned, and again after the end.
  base.left = 1000;
  CHECK(pool.init(&base, 10, 128, 3));
  for (int i = 0; i < 7; i++) CHECK(reinterpret_cast<std::uintptr_t>(pool.alloc_block()) % 128 == 0);
  CHECK(base.sizes.count(3 * 128) == 3);
  CHECK(!pool.init(static_cast<Allocator*>(nullptr), 24, 8, 5) && base.live == 0);
  CHECK(!pool.init(&base, 0, 8, 5) && !pool.init(&base, 24, 12, 5) && !pool.init(&base, 24, 8, 0));
  CHECK(!pool.init(&base, static_cast<std::size_t>(-1) / 4, 8, 100));

  Plain plain;
  CHECK(pool.init(&plain, 8, 16, 2) && pool.alloc_block() != nullptr);
  CHECK(pool.init(&plain, 8, 32, 2) && pool.alloc_block() == nullptr);
}

template <class T>
static void on_a_buffer() {
  alignas(64) static char memory[1000];
  T pool;
  CHECK(pool.init(memory, sizeof memory, 64, 64));
  std::set<void*> all;
  while (void* block = pool.alloc_block()) {
    CHECK(block >= memory && static_cast<char*>(block) + 64 <= memory + sizeof memory && pool.owns(block));
    std::memset(block, 0xAB, 64);
    all.insert(block);
  }
  CHECK(all.size() == 15);
  for (void* block : all) pool.free_block(block);
  for (int i = 0; i < 15; i++) CHECK(all.count(pool.alloc_block()) == 1);
  CHECK(pool.alloc_block() == nullptr);

  // A buffer of exactly its blocks, and one that is not aligned.
  CHECK(pool.init(memory, 10 * 16, 16, 16));
  for (int i = 0; i < 10; i++) CHECK(pool.alloc_block() != nullptr);
  CHECK(pool.alloc_block() == nullptr);
  CHECK(pool.init(memory + 1, 64 + 64, 64, 64) && pool.alloc_block() == memory + 64 && pool.alloc_block() == nullptr);
  CHECK(!pool.init(memory, 63, 64, 64) && !pool.init(static_cast<void*>(nullptr), 640, 64, 64));
}

// A pool on a pool on a pool.
static void nested() {
  Malloc base;
  BlockAllocator pages, blocks;
  LinearAllocator arena;
  CHECK(pages.init(&base, 4096, 4096, 4) && blocks.init(&pages, 64, 64, 64) && arena.init(&pages, 4096));
  for (int i = 0; i < 130; i++) CHECK(blocks.alloc_block() != nullptr);
  CHECK(arena.alloc(1000) != nullptr);
  CHECK(base.live == 1);
  arena.deinit();
  blocks.deinit();
  pages.deinit();
  CHECK(base.live == 0);
}

template <class Linear, class Static>
static void arenas() {
  Malloc base;
  Linear arena;
  CHECK(arena.alloc(1) == nullptr);
  CHECK(arena.init(&base, 4096));
  void* last = nullptr;
  for (std::size_t i = 1; i < 200; i++) {
    void* const piece = arena.alloc_aligned(i, i % 2 == 0 ? 64 : 1);
    CHECK(piece != nullptr && (i % 2 != 0 || reinterpret_cast<std::uintptr_t>(piece) % 64 == 0));
    std::memset(piece, static_cast<int>(i), i);
    CHECK(last == nullptr || static_cast<unsigned char*>(last)[i - 2] == static_cast<unsigned char>(i - 1));
    arena.free(last);
    last = piece;
  }
  const int live = base.live;
  CHECK(live > 1);
  arena.reset();
  for (std::size_t i = 1; i < 200; i++) CHECK(arena.alloc_aligned(i, i % 2 == 0 ? 64 : 1) != nullptr);
  CHECK(base.live == live);
  arena.deinit();
  CHECK(base.live == 0 && arena.alloc(1) == nullptr);

  alignas(16) static char memory[256];
  Static fixed;
  for (int turn = 0; turn < 2; turn++) {
    CHECK(fixed.init(memory, sizeof memory));
    CHECK(fixed.alloc(96) == memory && fixed.alloc_aligned(160, 1) == memory + 96 && fixed.alloc_aligned(1, 1) == nullptr);
    fixed.reset();
    CHECK(fixed.alloc(256) == memory && fixed.alloc_aligned(1, 1) == nullptr);
  }
  CHECK(!fixed.init(nullptr, 10) && fixed.alloc(1) == nullptr);
}

// As the notes require: threads that allocate and free single blocks, random ones, and groups.
static void threads(Allocator& pool, int count) {
  std::vector<std::thread> all;
  std::atomic<int> waiting{count};
  for (int id = 0; id < count; id++) {
    all.emplace_back([&pool, &waiting, id] {
      --waiting;
      while (waiting > 0) std::this_thread::yield();
      std::mt19937 random(static_cast<unsigned>(id));
      std::vector<unsigned char*> mine;
      for (int i = 0; i < 20000; i++) {
        const bool gives = !mine.empty() && (mine.size() > 50 || random() % 2 == 0);
        if (gives) {
          std::swap(mine[random() % mine.size()], mine.back());
          CHECK(mine.back()[0] == id && mine.back()[31] == id);
          pool.free(mine.back());
          mine.pop_back();
        } else if (auto* const block = static_cast<unsigned char*>(pool.alloc(32))) {
          std::memset(block, id, 32);
          mine.push_back(block);
        }
      }
      for (unsigned char* block : mine) pool.free(block);
    });
  }
  for (std::thread& each : all) each.join();
}

// Blocks that threads share, on a base and on a buffer.
static void shared_blocks() {
  Malloc base;
  base.quiet = true;
  AsyncBlockAllocator shared;
  CHECK(shared.init(&base, 32, 16, 8));
  threads(shared, 4);
  static char memory[64 * 32];
  CHECK(shared.init(memory, sizeof memory, 32, 1));
  threads(shared, 4);
  CHECK(base.live == 0);
}

static void shared_arena() {
  Malloc base;
  base.quiet = true;
  base.left = 100000;
  AsyncLinearAllocator arena;
  CHECK(arena.init(&base, 4096));
  threads(arena, 4);
}

// With an argument, runs only what ThreadSanitizer supports: it does not see the library's own atomics.
int main(int count, char**) {
  shared_blocks();
  if (count == 1) {
    shared_arena();
    on_a_base<BlockAllocator>();
    on_a_base<AsyncBlockAllocator>();
    on_a_buffer<BlockAllocator>();
    on_a_buffer<AsyncBlockAllocator>();
    nested();
    arenas<LinearAllocator, StaticAllocator>();
    arenas<AsyncLinearAllocator, AsyncStaticAllocator>();
  }
  std::puts(failed == 0 ? "all as promised" : "not as promised");
  return failed != 0;
}
