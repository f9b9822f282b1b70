// Owners: each destroys its allocator exactly once, even after moves, and has its methods.
#include <cstring>
#include <type_traits>
#include <utility>

#include "expect.hpp"

static_assert(!std::is_copy_constructible_v<millpond::tlsf> && !std::is_copy_assignable_v<millpond::tlsf>);
static_assert(std::is_nothrow_move_constructible_v<millpond::tlsf> && std::is_nothrow_move_assignable_v<millpond::tlsf>);
static_assert(std::is_convertible_v<millpond::tlsf, mp_allocator*> && sizeof(millpond::tlsf) == sizeof(void*));

/// Allocates and frees through the general interface, and calls all queries of an owner.
template <class Pool>
static void use(const char* name, typename Pool::options options = {}) {
  counting parent;
  {
    options.parent = &parent;
    Pool pool(options);
    EXPECT(pool && std::strcmp(pool.name(), name) == 0);
    void* const block = pool.alloc(40);
    EXPECT(block != nullptr && pool.owns(block) && !pool.owns(&pool) && parent.pieces >= 1);
    std::memset(block, 0xAB, 40);
    void* const zeros = pool.alloc(40, 8, MP_ZERO);
    EXPECT(static_cast<char*>(zeros)[0] == 0 && static_cast<char*>(zeros)[39] == 0);
    EXPECT(pool.stats().live >= 80 && pool.check() == MP_OK && pool.largest_free() > 0);
    pool.free(zeros, 40, 8);
    pool.free(block, 40);

    Pool moved = std::move(pool);
    EXPECT(!pool && moved && parent.pieces >= 1);
    Pool other(options);
    (void)other.alloc(40);
    other = std::move(moved);
    EXPECT(other && !moved);
    void* const again = mp_alloc(other, 40, 0, 0);
    EXPECT(again != nullptr);
    mp_free(other, again, 40, 0);
    EXPECT(other.reset() == MP_OK && other.trim() > 0 && parent.pieces == 0);
    (void)other.alloc(40);
  }
  EXPECT(parent.pieces == 0 && parent.bytes == 0);
}

static void sources() {
  millpond::reserved_region range(1 << 20);
  char memory[256];
  millpond::buffer buffer(memory, sizeof memory);
  EXPECT(buffer.alloc(100) != nullptr && buffer.alloc(200) == nullptr && mp_last_error() == MP_ERR_EXHAUSTED);

  millpond::tuned_pages::options options;
  options.guarded = true;
  millpond::tuned_pages pages(options);
  void* const page = pages.alloc(4096, 4096);
  EXPECT(page != nullptr);
  pages.free(page, 4096, 4096);

  // A pool on a pool on a range.
  millpond::tlsf::options on_range;
  on_range.parent = range;
  millpond::tlsf large(on_range);
  millpond::blocks::options on_large;
  on_large.parent = large;
  on_large.block_size = 48;
  millpond::blocks small(on_large);
  void* const block = mp_blocks_alloc(small.handle());
  EXPECT(small.owns(block));
  EXPECT(large.owns(block));
  mp_blocks_free(small.handle(), block);
}

static void failures() {
  millpond::blocks none(nullptr);
  EXPECT(!none && none.get() == nullptr);
  millpond::blocks::options options;  // without a size
  millpond::blocks refused(std::nothrow, options);
  EXPECT(!refused && mp_last_error() == MP_ERR_INVALID);
#if MILLPOND_HAS_EXCEPTIONS
  try {
    millpond::blocks thrown(options);
    EXPECT(false);
  } catch (const std::bad_alloc& error) {
    EXPECT(std::strcmp(error.what(), mp_strerror(MP_ERR_INVALID)) == 0);
    EXPECT(dynamic_cast<const millpond::error&>(error).code() == MP_ERR_INVALID);
  }
#endif
  options.block_size = 64;
  none = millpond::blocks(options);
  mp_allocator* const given_up = none.release();
  EXPECT(given_up != nullptr && !none);
  mp_destroy(given_up);
}

static void borrowed() {
  counting parent;
  millpond::ref it(&parent);
  void* const block = it.realloc(it.alloc(10), 10, 20);
  EXPECT(block != nullptr && std::strcmp(it.name(), "counting") == 0 && it.stats().live == MP_UNKNOWN);
  it.free(block, 20);
  EXPECT(parent.pieces == 0 && it.reset() == MP_ERR_UNSUPPORTED);

  // Live blocks, one by one.
  millpond::blocks::options options;
  options.block_size = 64;
  options.free_list = MP_ADDRESS_ORDERED;
  millpond::blocks pool(options);
  void* const one = pool.alloc(64);
  void* const two = pool.alloc(64);
  pool.free(one, 64);
  void* seen = nullptr;
  const mp_error walked = pool.each([&](void* live, std::size_t size) {
    EXPECT(seen == nullptr && size == 64);
    seen = live;
    return true;
  });
  EXPECT(walked == MP_OK && seen == two);
  EXPECT(pool.each([](void*, std::size_t) { return false; }) == MP_ERR_STOPPED);
}

/// A guard of each kind wraps its inner allocator and does not destroy it.
template <class Guard>
static void guard(typename Guard::options options = {}) {
  counting inner;
  {
    options.inner = &inner;
    Guard it(options);
    void* const block = it.alloc(100);
    EXPECT(block != nullptr && inner.pieces >= 1);
    it.free(block, 100);
  }
  EXPECT(inner.pieces == 0);
}

static void guards() {
  guard<millpond::counted>();
  guard<millpond::counting>();
  guard<millpond::checked>();
  guard<millpond::canary>();
  guard<millpond::quarantine>();
  guard<millpond::poison>();
  guard<millpond::zeroed>();
  guard<millpond::tool_annotated>();
  millpond::limit::options limited;
  limited.bytes = 150;
  guard<millpond::limit>(limited);
  millpond::fail_nth::options failing;
  failing.only = 2;
  guard<millpond::fail_nth>(failing);
  millpond::observe::options observed;
  observed.on_event = [](void*, const mp_event*) {};
  guard<millpond::observe>(observed);
  millpond::segregator::options apart;
  apart.largest = 1000;
  guard<millpond::segregator>(apart);

  millpond::tlsf first{millpond::tlsf::options()};
  millpond::fallback::options second;
  second.inner = first;
  millpond::fallback both(second);
  void* const block = both.alloc(100);
  EXPECT(first.owns(block));
  both.free(block, 100);

  limited.inner = first;
  millpond::limit small(limited);
  void* const most = small.alloc(150);
  EXPECT(most != nullptr && small.alloc(1) == nullptr && mp_last_error() == MP_ERR_LIMIT);
  small.free(most, 150);

  millpond::blocks::options of_remote_free;
  of_remote_free.block_size = 64;
  millpond::remote_free remote_free(of_remote_free);
  void* const post = remote_free.alloc(64);
  EXPECT(post != nullptr);
  remote_free.free(post, 64);
}

int main() {
  millpond::blocks::options of_blocks;
  of_blocks.block_size = 40;
  use<millpond::blocks>("blocks", of_blocks);
  of_blocks.free_list = MP_MAGAZINE;
  use<millpond::blocks>("blocks", of_blocks);
  of_blocks.sharing = MP_LOCKED;
  use<millpond::blocks>("blocks", of_blocks);
  use<millpond::classes>("classes");
  use<millpond::linear>("linear");
  use<millpond::stack>("stack");
  use<millpond::sign_post>("sign post");
  use<millpond::tlsf>("tlsf");
  use<millpond::buddy>("buddy");
  sources();
  guards();
  failures();
  borrowed();
  std::puts("owners: as promised");
}
