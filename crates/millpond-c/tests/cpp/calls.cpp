// The state of one call does not outlive it: options, and what they point to, are read during the call only; an
// exception of a resource propagates from the call in which it was thrown, or from none.
#include "expect.hpp"

#if !MILLPOND_HAS_PMR
int main() { std::puts("calls: this standard library has no resources"); }
#else

#include <cstring>
#include <functional>
#include <memory>
#include <memory_resource>
#include <stdexcept>
#include <string>
#include <vector>

/// A resource whose options are overwritten and freed before it is used.
template <class Pool>
static std::unique_ptr<millpond::resource<Pool>> of_options_that_are_gone(typename Pool::options filled) {
  const auto options = std::make_unique<typename Pool::options>(filled);
  auto made = std::make_unique<millpond::resource<Pool>>(*options);
  std::memset(static_cast<void*>(options.get()), 0x5A, sizeof *options);
  return made;
}

template <class Pool>
static void goes_on(millpond::resource<Pool>& resource) {
  for (int turn = 0; turn < 3; turn++) {
    void* const block = resource.allocate(20, 8);
    std::memset(block, 1, 20);
    void* const large = resource.allocate(90000, 8);
    std::memset(large, 1, 90000);
    resource.deallocate(block, 20, 8);
    resource.deallocate(resource.allocate(20, 8), 20, 8);
    resource.release();
  }
}

static void options_are_read_once() {
  millpond::classes::options of_classes;
  std::unique_ptr<millpond::resource<millpond::classes>> classes;
  {
    std::vector<std::size_t> sizes{24, 100, 1000};
    of_classes.sizes = sizes.data();
    of_classes.size_count = sizes.size();
    classes = of_options_that_are_gone<millpond::classes>(of_classes);
    std::memset(sizes.data(), 0x5A, sizes.size() * sizeof sizes[0]);
  }
  goes_on(*classes);

  millpond::blocks::options of_blocks;
  of_blocks.block_size = 24;
  std::unique_ptr<millpond::resource<millpond::blocks>> blocks;
  {
    std::string name = "a name that needs memory of its own, for a moment";
    of_blocks.checked = true;
    of_blocks.name = name.c_str();
    of_blocks.on_misuse = [](void*, const mp_misuse* misuse) noexcept { EXPECT(std::strncmp(misuse->pool, "a name", 6) == 0); };
    blocks = of_options_that_are_gone<millpond::blocks>(of_blocks);
    std::memset(&name[0], 0x5A, name.size());
  }
  goes_on(*blocks);

  goes_on(*of_options_that_are_gone<millpond::linear>({}));
  goes_on(*of_options_that_are_gone<millpond::stack>({}));
  goes_on(*of_options_that_are_gone<millpond::sign_post>({}));
  goes_on(*of_options_that_are_gone<millpond::tlsf>({}));
  goes_on(*of_options_that_are_gone<millpond::buddy>({}));
}

/// A resource on a parent also returns blocks that it allocates past its pool.
static void all_goes_back() {
  counting parent;
  {
    millpond::blocks::options options;
    options.block_size = 64;
    options.parent = &parent;
    millpond::resource<millpond::blocks> resource(options);
    (void)resource.allocate(64);
    (void)resource.allocate(5000);
    EXPECT(parent.pieces == 2);
    resource.release();
    EXPECT(parent.pieces == 0);
    (void)resource.allocate(5000);
  }
  EXPECT(parent.pieces == 0);
  {
    millpond::classes::options options;
    options.parent = &parent;
    millpond::resource<millpond::classes> resource(options);
    (void)resource.allocate(64);
    (void)resource.allocate(100000);
    EXPECT(parent.pieces == 2);
    resource.release();
    EXPECT(parent.pieces == 0);
    (void)resource.allocate(100000);
  }
  EXPECT(parent.pieces == 0);
}

#if MILLPOND_HAS_EXCEPTIONS
static int alive = 0;
struct device_lost : std::runtime_error {
  int number;
  explicit device_lost(int its) : std::runtime_error("a device has gone"), number(its) { ++alive; }
  device_lost(const device_lost& other) noexcept : std::runtime_error(other), number(other.number) { ++alive; }
  ~device_lost() override { --alive; }
};

struct broken final : std::pmr::memory_resource {
  int number;
  explicit broken(int its) : number(its) {}
  void* do_allocate(std::size_t, std::size_t) override { throw device_lost(number); }
  void do_deallocate(void*, std::size_t, std::size_t) override {}
  bool do_is_equal(const memory_resource& other) const noexcept override { return this == &other; }
};

/// Returns what a call throws: the number of the lost device, 0 for an error of Millpond, -1 for nothing.
template <class Ask>
static int outcome(Ask ask) {
  try {
    ask();
    return -1;
  } catch (const device_lost& error) {
    return error.number;
  } catch (const millpond::error& error) {
    return error.code() == MP_OK ? -2 : 0;
  }
}

static void exceptions_belong_to_their_call() {
  broken one(1), two(2);
  millpond::upstream up(&one);
  millpond::classes::options on_nothing;
  on_nothing.parent = mp_null_allocator();
  millpond::resource<millpond::classes> empty(on_nothing);

  // Through the interface for C, the exception is lost.
  EXPECT(mp_alloc(&up, 100, 8, 0) == nullptr && mp_last_error() == MP_ERR_EXHAUSTED && alive == 0);
  EXPECT(outcome([&] { (void)empty.allocate(8); }) == 0);

  // Unless there is a catcher.
  {
    millpond::upstream::catcher caught;
    EXPECT(mp_alloc(&up, 100, 8, 0) == nullptr && alive == 1);
    EXPECT(outcome([&] { (void)empty.allocate(8); }) == 0);
    EXPECT(mp_alloc(&up, 100, 8, 0) == nullptr);
    EXPECT(outcome([&] { caught.rethrow(); }) == 1 && alive == 0);
    EXPECT(outcome([&] { caught.rethrow(); }) == -1);
    // Another failure follows.
    EXPECT(mp_alloc(&up, 100, 8, 0) == nullptr && mp_alloc(&up, 100, 3, 0) == nullptr && mp_last_error() == MP_ERR_INVALID);
    EXPECT(outcome([&] { caught.rethrow(); }) == -1);
  }
  EXPECT(alive == 0);

  // Another allocator served the request: the exception is not reported, then or later.
  {
    millpond::tlsf::options of_first;
    of_first.parent = &up;
    millpond::tlsf first(of_first);
    millpond::fallback::options of_both;
    of_both.inner = first;
    millpond::fallback both(of_both);
    millpond::classes::options options;
    options.parent = both;
    millpond::resource<millpond::classes> served(options);
    EXPECT(outcome([&] { (void)served.allocate(64, 8); }) == -1 && alive == 0);
    EXPECT(outcome([&] { (void)empty.allocate(8); }) == 0);
  }

  // Each resource throws the exception of its own upstream; a resource on another throws that of the innermost.
  millpond::resource<millpond::tlsf> on_one(&one), on_two(&two);
  millpond::resource<millpond::classes> above(&on_two);
  for (int turn = 0; turn < 3; turn++) {
    EXPECT(outcome([&] { (void)on_one.allocate(8); }) == 1);
    EXPECT(outcome([&] { (void)on_two.allocate(8); }) == 2);
    EXPECT(outcome([&] { (void)above.allocate(8); }) == 2);
    EXPECT(outcome([&] { (void)above.allocate(100000); }) == 2);
    EXPECT(outcome([&] { (void)millpond::borrowed_resource(&up).allocate(8); }) == 1);
    EXPECT(outcome([&] { (void)millpond::borrowed_resource(mp_null_allocator()).allocate(8); }) == 0);
    EXPECT(alive == 0);
  }

  // A handler that makes room is user code: exceptions that it catches do not propagate from the call that called it.
  millpond::tlsf::options retries;
  retries.parent = mp_null_allocator();
  retries.out_of_memory.action = MP_RETRY;
  retries.out_of_memory.context = &on_one;
  retries.out_of_memory.make_room = [](void* context, std::size_t, std::size_t) noexcept -> bool {
    auto& other = *static_cast<millpond::resource<millpond::tlsf>*>(context);
    EXPECT(outcome([&] { (void)other.allocate(8); }) == 1);
    return false;
  };
  millpond::resource<millpond::tlsf> asks(retries);
  EXPECT(outcome([&] { (void)asks.allocate(8); }) == 0 && alive == 0);
}
#endif

/// The options of the standard's pools, and its arena that begins with a buffer.
static void as_the_standard_has_it() {
  std::pmr::pool_options options;
  options.largest_required_pool_block = 1000;
  counting below;
  millpond::borrowed_resource source(&below);
  {
    millpond::resource<millpond::classes> resource(options, &source);
    void* const small = resource.allocate(1000, 8);
    EXPECT(resource.pool().stats().live >= 1024);
    const std::size_t pieces = below.pieces;
    void* const large = resource.allocate(1025, 8);
    EXPECT(below.pieces == pieces + 1);
    resource.deallocate(large, 1025, 8);
    EXPECT(below.pieces == pieces);
    resource.deallocate(small, 1000, 8);
    for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{16}, std::size_t{17}, std::size_t{1000000}}) {
      options.largest_required_pool_block = size;
      millpond::resource<millpond::classes> other(options, &source);
      other.deallocate(other.allocate(40, 8), 40, 8);
    }
  }
  EXPECT(below.pieces == 0);

  alignas(16) unsigned char buffer[1000];
  const auto is_in_buffer = [&](const void* address) {
    return std::less_equal<const void*>()(buffer, address) && std::less<const void*>()(address, buffer + sizeof buffer);
  };
  {
    millpond::monotonic_resource arena(buffer, sizeof buffer, &source);
    for (int turn = 0; turn < 3; turn++) {
      std::pmr::vector<int> numbers(&arena);
      numbers.reserve(200);
      EXPECT(is_in_buffer(numbers.data()) && below.pieces == 0);
      std::pmr::vector<int> more(&arena);
      more.reserve(200);
      EXPECT(!is_in_buffer(more.data()) && below.pieces == 1);
      EXPECT(arena.upstream_resource() == &source);
      arena.release();
      EXPECT(below.pieces == 0);
    }
    (void)arena.allocate(5000);
  }
  EXPECT(below.pieces == 0);
  // The block freed last is reused.
  millpond::monotonic_resource arena(buffer, sizeof buffer);
  void* const last = arena.allocate(100);
  arena.deallocate(last, 100);
  EXPECT(arena.allocate(100) == last);
}

int main() {
  options_are_read_once();
  all_goes_back();
#if MILLPOND_HAS_EXCEPTIONS
  exceptions_belong_to_their_call();
#endif
  as_the_standard_has_it();
  std::puts("calls: as promised");
}
#endif
