// Freed memory serves other sizes: phases of one size each, with everything freed in between, take no more memory from
// upstream in a resource for one thread than in one with a lock; with a cap on upstream, every size is served; `trim`
// returns memory.
#include "expect.hpp"

#if !MILLPOND_HAS_PMR
int main() { std::puts("phases: this standard library has no resources"); }
#else

#include <memory_resource>
#include <vector>

/// Counts allocated bytes, and refuses requests beyond a cap.
struct capped final : std::pmr::memory_resource {
  std::size_t now = 0;
  std::size_t peak = 0;
  std::size_t cap;
  explicit capped(std::size_t most = static_cast<std::size_t>(-1)) : cap(most) {}
  ~capped() override { EXPECT(now == 0); }
  void* do_allocate(std::size_t size, std::size_t align) override {
    if (size > cap - now) {
#if MILLPOND_HAS_EXCEPTIONS
      throw std::bad_alloc();
#else
      return nullptr;
#endif
    }
    now += size;
    if (now > peak) peak = now;
    return ::operator new(size, std::align_val_t(align));
  }
  void do_deallocate(void* block, std::size_t size, std::size_t align) override {
    now -= size;
    ::operator delete(block, std::align_val_t(align));
  }
  bool do_is_equal(const memory_resource& other) const noexcept override { return this == &other; }
};

constexpr std::size_t live = 800000;

static void phases(std::pmr::memory_resource& resource, std::size_t from, std::size_t to) {
  std::vector<void*> blocks;
  for (std::size_t size = from; size <= to; size += 8) {
    for (std::size_t i = 0; i < live / size; i++) blocks.push_back(resource.allocate(size, 8));
    for (void* each : blocks) resource.deallocate(each, size, 8);
    blocks.clear();
  }
}

static std::size_t peak(millpond::classes::options options, std::size_t from, std::size_t to) {
  capped source;
  millpond::resource<millpond::classes> resource(options, &source);
  phases(resource, from, to);
  EXPECT(resource.trim() > 0);
  EXPECT(source.now == 0);
  return source.peak;
}

int main() {
  millpond::classes::options here, locked;
  locked.sharing = MP_LOCKED;
  const std::size_t some[] = {40, 200, 1000, 24};
  for (const bool own_sizes : {false, true}) {
    if (own_sizes) {
      here.sizes = locked.sizes = some;
      here.size_count = locked.size_count = 4;
    }
    for (const auto& range : {std::pair<std::size_t, std::size_t>{136, 160}, {8, 512}, {264, 512}, {520, 1024}}) {
      const std::size_t taken = peak(here, range.first, range.second), behind_lock = peak(locked, range.first, range.second);
      EXPECT(taken <= behind_lock);
    }
  }
#if MILLPOND_HAS_EXCEPTIONS
  {
    capped bounded(4 * live);
    millpond::resource<millpond::classes> served(&bounded);
    for (int turn = 0; turn < 2; turn++) phases(served, 8, 512);
  }
#endif
  // Blocks of one size are returned too.
  capped source;
  millpond::blocks::options options;
  options.block_size = 64;
  millpond::resource<millpond::blocks> resource(options, &source);
  phases(resource, 8, 64);
  EXPECT(source.now >= live);
  EXPECT(resource.trim() >= live && source.now == 0);
  std::puts("phases: as promised");
}
#endif
