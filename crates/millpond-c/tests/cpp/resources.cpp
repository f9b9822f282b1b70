// Every pool as a memory resource, tested against the requirements of the standard for resources and its own pools:
// memory from upstream and its return, release, equality, alignment, small and large sizes including 0, exceptions, and
// containers that are copied, moved and swapped between resources.
#include "expect.hpp"

#if !MILLPOND_HAS_PMR
int main() { std::puts("resources: this standard library has none"); }
#else

#include <algorithm>
#include <cstring>
#include <list>
#include <map>
#include <memory_resource>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

using std::pmr::memory_resource;

struct refused {
  int number;
};

/// A resource that records every allocation, and can refuse requests.
class upstream final : public memory_resource {
 public:
  struct piece {
    std::size_t size, align;
  };
  std::map<void*, piece> live;
  std::size_t requests = 0;
  std::size_t left = static_cast<std::size_t>(-1);
  ~upstream() override { EXPECT(live.empty()); }

 private:
  void* do_allocate(std::size_t size, std::size_t align) override {
    ++requests;
#if MILLPOND_HAS_EXCEPTIONS
    if (left == 0) throw refused{static_cast<int>(requests)};
    if (size > static_cast<std::size_t>(-1) / 4) throw std::bad_alloc();
#endif
    --left;
    void* const memory = ::operator new(size, std::align_val_t(align));
    EXPECT(live.emplace(memory, piece{size, align}).second);
    return memory;
  }
  void do_deallocate(void* memory, std::size_t size, std::size_t align) override {
    const auto found = live.find(memory);
    EXPECT(found != live.end() && found->second.size == size && found->second.align == align);
    live.erase(found);
    ::operator delete(memory, std::align_val_t(align));
  }
  bool do_is_equal(const memory_resource& other) const noexcept override { return this == &other; }
};

struct block {
  void* start;
  std::size_t size, align;
  unsigned char mark;
};

/// Allocates and frees at random, and checks that blocks are disjoint, aligned and not overwritten.
static void at_random(memory_resource& resource, std::size_t largest, std::size_t widest, unsigned seed, bool leaves) {
  std::mt19937 random(seed);
  std::vector<block> live;
  std::map<std::uintptr_t, std::uintptr_t> taken;  // where they begin and end
  for (int i = 0; i < 1000; i++) {
    if (live.size() < 100 && (live.empty() || random() % 5 < 3)) {
      const std::size_t align = std::size_t{1} << random() % (widest + 1);
      const std::size_t most = random() % 4 == 0 ? largest : std::min<std::size_t>(largest, 64);
      const std::size_t size = random() % (most + 1);
      void* const start = resource.allocate(size, align);
      EXPECT(start != nullptr && is_aligned(start, align));
      const auto begin = reinterpret_cast<std::uintptr_t>(start), end = begin + std::max<std::size_t>(size, 1);
      const auto next = taken.lower_bound(begin);
      EXPECT(next == taken.end() || end <= next->first);
      EXPECT(next == taken.begin() || std::prev(next)->second <= begin);
      taken.emplace(begin, end);
      live.push_back({start, size, align, static_cast<unsigned char>(i)});
      std::memset(start, static_cast<unsigned char>(i), size);
    } else {
      std::swap(live[random() % live.size()], live.back());
      const block it = live.back();
      live.pop_back();
      const auto* const bytes = static_cast<const unsigned char*>(it.start);
      EXPECT(std::all_of(bytes, bytes + it.size, [&](unsigned char byte) { return byte == it.mark; }));
      taken.erase(reinterpret_cast<std::uintptr_t>(it.start));
      resource.deallocate(it.start, it.size, it.align);
    }
  }
  for (const block& it : live) {
    if (!leaves) resource.deallocate(it.start, it.size, it.align);
  }
}

/// Requirements for a resource on any pool.
template <class Pool>
static void conforms(typename Pool::options options = {}, std::size_t largest = 20000, std::size_t widest = 8) {
  upstream source;
  {
    millpond::resource<Pool> resource(options, &source);
    EXPECT(resource.upstream_resource() == &source && source.requests == 0);

    // Equal only to itself.
    millpond::resource<Pool> other(options, &source);
    EXPECT(resource == resource && resource != other && resource.is_equal(resource) && !resource.is_equal(source));

    // Everything that is not over-aligned, including 0 bytes.
    memory_resource& base = resource;
    void* const none = base.allocate(0);
    void* const nothing = base.allocate(0, 1);
    EXPECT(none != nullptr && nothing != nullptr && none != nothing && !source.live.empty());
    base.deallocate(none, 0);
    base.deallocate(nothing, 0, 1);

    at_random(base, largest, widest, 1, false);
    at_random(base, largest, widest, 2, true);  // release returns the rest
    EXPECT(!source.live.empty());
    resource.release();
    EXPECT(source.live.empty());
    resource.release();
    at_random(base, largest, widest, 3, true);
    EXPECT(!source.live.empty());

    // Through the type itself, without a virtual call.
    void* const straight = resource.allocate(24, 8);
    base.deallocate(straight, 24, 8);
    void* const turned = base.allocate(24, 8);
    resource.deallocate(turned, 24, 8);
  }
  EXPECT(source.live.empty());
}

/// Uses a resource with containers of each kind, including nested ones.
static void fill(memory_resource& resource, bool (*owns)(void*, const void*), void* context) {
  std::pmr::vector<std::pmr::string> names(&resource);
  for (int i = 0; i < 300; i++) names.emplace_back("a name that does not fit into the string, number " + std::to_string(i));
  EXPECT(names[0].get_allocator().resource() == &resource && owns(context, names.data()) && owns(context, names[9].data()));
  std::pmr::list<int> list({1, 2, 3}, &resource);
  EXPECT(owns(context, &list.front()));
  std::pmr::unordered_map<int, std::pmr::string> map(&resource);
  for (int i = 0; i < 500; i++) map.try_emplace(i, names[static_cast<std::size_t>(i) % names.size()]);
  for (int i = 0; i < 500; i += 2) map.erase(i);
  EXPECT(map.size() == 250 && map.at(301) == names[1] && owns(context, map.at(301).data()));
  std::pmr::set<std::pmr::string> set(names.begin(), names.end(), &resource);
  EXPECT(set.size() == names.size());
}

/// Containers that are copied, moved and swapped.
static void containers() {
  upstream source;
  millpond::resource<millpond::classes> one(&source), two(&source);
  std::pmr::vector<std::pmr::string> here({"something long enough to need memory of its own", "short"}, &one);
  const void* const data = here.data();

  std::pmr::vector<std::pmr::string> there(here, &two);
  EXPECT(there == here && there.data() != data && there[0].get_allocator().resource() == &two);
  there = here;  // copy assignment keeps the resource
  EXPECT(there.get_allocator().resource() == &two);

  std::pmr::vector<std::pmr::string> stays(std::move(here));  // move construction propagates the resource
  EXPECT(stays.data() == data && stays.get_allocator().resource() == &one);
  there = std::move(stays);  // assigned by moving between resources: one by one
  EXPECT(there.data() != data && there.get_allocator().resource() == &two && there[1] == "short");
  std::pmr::vector<std::pmr::string> same({"a third string that needs memory of its own"}, &two);
  const void* const second = same.data();
  there = std::move(same);  // within one resource: as a whole
  EXPECT(there.data() == second);
  std::pmr::vector<std::pmr::string> swapped(&two);
  std::swap(swapped, there);
  EXPECT(swapped.data() == second && there.empty());

  std::pmr::list<int> from({1, 2, 3}, &one), into({4}, &one);
  into.splice(into.begin(), from);
  EXPECT(into.size() == 4 && from.empty());
  std::pmr::map<int, std::pmr::string> map({{1, "one, and enough more to need memory"}}, &one);
  auto handle = map.extract(1);
  map.insert(std::move(handle));
  EXPECT(map.size() == 1);

  // A copy uses the default resource, as the standard requires.
  std::pmr::vector<std::pmr::string> copy = swapped;
  EXPECT(copy.get_allocator().resource() == std::pmr::get_default_resource());
}

/// Blocks of one size: requests that fit are served from the pool, others from upstream, and all are returned.
static void blocks() {
  upstream source;
  {
    millpond::blocks::options options;
    options.block_size = 64;
    options.blocks_per_chunk = 100;
    millpond::resource<millpond::blocks> resource(options, &source);
    std::vector<void*> all;
    for (int i = 0; i < 100; i++) all.push_back(resource.allocate(static_cast<std::size_t>(i) % 64 + 1, 8));
    EXPECT(source.live.size() == 1 && source.requests == 1);
    void* const large = resource.allocate(65);
    EXPECT(source.live.size() == 2 && !resource.pool().owns(large));
    void* const wide = resource.allocate(64, 128);
    EXPECT(source.live.size() == 3 && is_aligned(wide, 128));
    resource.deallocate(large, 65);
    EXPECT(source.live.size() == 2);
    for (std::size_t i = 0; i < 100; i++) resource.deallocate(all[i], i % 64 + 1, 8);
    // The block freed last is reused first, whatever its size; the same number of blocks needs no more memory.
    EXPECT(resource.allocate(1, 1) == all[99]);
    for (int i = 0; i < 99; i++) (void)resource.allocate(64);
    EXPECT(source.requests == 3);
    resource.release();
    EXPECT(source.live.empty());

    // A parent in the options.
    counting parent;
    options.parent = &parent;
    millpond::resource<millpond::blocks> on_parent(options);
    (void)on_parent.allocate(64);
    EXPECT(parent.pieces == 1);
    on_parent.release();
    EXPECT(parent.pieces == 0);
  }
}

/// Freed memory is reused for every size: memory does not grow with the number of requests.
template <class Pool>
static void recycles() {
  upstream source;
  millpond::resource<Pool> resource(&source);
  for (std::size_t turn = 0; turn < 3; turn++) {
    const std::size_t before = source.requests;
    for (std::size_t size = 1; size <= 3000; size++) resource.deallocate(resource.allocate(size, 8), size, 8);
    EXPECT(turn == 0 || source.requests == before);
  }
}

#if MILLPOND_HAS_EXCEPTIONS
/// Exceptions of upstream propagate, whatever their type, and the resource remains usable.
template <class Pool>
static void throws(typename Pool::options options = {}) {
  upstream source;
  millpond::resource<Pool> resource(options, &source);
  for (const std::size_t size : {std::size_t{40}, std::size_t{30000}}) {
    std::vector<void*> all;
    source.left = 3;
    try {
      for (;;) all.push_back(resource.allocate(size, 8));
    } catch (const refused& error) {
      EXPECT(static_cast<std::size_t>(error.number) == source.requests);
    }
    source.left = static_cast<std::size_t>(-1);
    all.push_back(resource.allocate(size, 8));
    for (void* each : all) resource.deallocate(each, size, 8);
  }
  try {
    (void)resource.allocate(static_cast<std::size_t>(-1) / 2, 8);
    EXPECT(false);
  } catch (const std::bad_alloc&) {
  }

  // A bad_alloc from upstream, and one from Millpond.
  millpond::resource<Pool> on_nothing(options, std::pmr::null_memory_resource());
  try {
    (void)on_nothing.allocate(8);
    EXPECT(false);
  } catch (const std::bad_alloc& error) {
    EXPECT(dynamic_cast<const millpond::error*>(&error) == nullptr);
  }
  options.parent = mp_null_allocator();
  millpond::resource<Pool> on_less(options);
  try {
    (void)on_less.allocate(8);
    EXPECT(false);
  } catch (const millpond::error& error) {
    EXPECT(error.code() == MP_ERR_EXHAUSTED);
  }

  // A vector that cannot grow is unchanged.
  source.left = 4;
  std::pmr::vector<std::uint64_t> numbers(&resource);
  try {
    for (;;) numbers.push_back(numbers.size());
  } catch (const refused&) {
  }
  EXPECT(!numbers.empty() && numbers.back() == numbers.size() - 1);
  source.left = static_cast<std::size_t>(-1);
}
#endif

/// A borrowed allocator as a resource: equal to others on the same allocator.
static void borrowed() {
  millpond::tlsf pool{millpond::tlsf::options()}, another{millpond::tlsf::options()};
  millpond::borrowed_resource one(pool), same(pool), other(another);
#if defined(__cpp_rtti)
  EXPECT(one == same);
#endif
  EXPECT(one == one && one != other && one != *std::pmr::new_delete_resource());
  fill(one, [](void* context, const void* address) { return static_cast<millpond::tlsf*>(context)->owns(address); }, &pool);
  at_random(one, 20000, 8, 4, false);
  EXPECT(pool.stats().live == 0 && pool.check() == MP_OK);
#if MILLPOND_HAS_EXCEPTIONS
  millpond::borrowed_resource nothing(mp_null_allocator());
  try {
    (void)nothing.allocate(1);
    EXPECT(false);
  } catch (const millpond::error&) {
  }
#endif
}

/// A resource for many threads.
static void shared() {
  std::pmr::synchronized_pool_resource source;
  millpond::classes::options options;
  options.sharing = MP_CACHED;
  millpond::resource<millpond::classes> resource(options, &source);
  std::vector<std::thread> all;
  for (unsigned id = 0; id < 4; id++) all.emplace_back([&resource, id] { at_random(resource, 40000, 6, id, false); });
  for (std::thread& each : all) each.join();
  EXPECT(resource.pool().check() == MP_OK);
}

int main() {
  millpond::blocks::options of_blocks;
  of_blocks.block_size = 48;
  conforms<millpond::blocks>(of_blocks);
  for (const int sharing : {MP_LOCKED, MP_CACHED, MP_LOCK_FREE}) {
    of_blocks.sharing = static_cast<std::uint32_t>(sharing);
    conforms<millpond::blocks>(of_blocks);
  }
  conforms<millpond::classes>();
  millpond::classes::options of_classes;
  const std::size_t sizes[] = {24, 100, 1000};
  of_classes.sizes = sizes;
  of_classes.size_count = 3;
  conforms<millpond::classes>(of_classes);
  conforms<millpond::linear>();
  conforms<millpond::stack>();
  conforms<millpond::sign_post>();
  conforms<millpond::tlsf>();
  conforms<millpond::buddy>();

  upstream source;
  {
    millpond::resource<millpond::tlsf> resource(&source);
    fill(resource, [](void* context, const void* address) {
      return static_cast<millpond::resource<millpond::tlsf>*>(context)->pool().owns(address);
    }, &resource);
    millpond::resource<millpond::classes> classes(&source);
    fill(classes, [](void*, const void* address) { return address != nullptr; }, nullptr);
  }
  containers();
  blocks();
  recycles<millpond::classes>();
  recycles<millpond::tlsf>();
#if MILLPOND_HAS_EXCEPTIONS
  of_blocks.sharing = MP_LOCAL;
  throws<millpond::blocks>(of_blocks);
  throws<millpond::classes>();
  throws<millpond::tlsf>();
  throws<millpond::linear>();
#endif
  borrowed();
  shared();
  std::puts("resources: as promised");
}
#endif
