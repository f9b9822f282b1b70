// Object pools, classes with an operator new of their own, and standard allocators.
#include <cstring>
#include <list>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "expect.hpp"

static int alive = 0;

struct tracked {
  int value;
  explicit tracked(int it) : value(it) { ++alive; }
  tracked(const tracked&) = delete;
  tracked& operator=(const tracked&) = delete;
  ~tracked() { --alive; }
};

struct pair {
  int one;
  pair* other;
};

struct tiny {
  char letter;
};

struct alignas(128) wide {
  char bytes[130];
};

static void pools() {
  counting parent;
  {
    millpond::object_pool<tracked> pool(&parent);
    EXPECT(parent.pieces == 0 && pool.live() == 0);
    tracked* const one = pool.create(1);
    tracked* const two = pool.create(2);
    EXPECT(one->value == 1 && two->value == 2 && one != two && alive == 2 && pool.live() == 2);
    pool.destroy(one);
    EXPECT(alive == 1 && pool.live() == 1);
    {
      const auto three = pool.make(3);
      const millpond::object_pool<tracked>::unique four(pool.create(4), millpond::object_pool<tracked>::deleter(&pool));
      EXPECT(three->value == 3 && alive == 3 && pool.live() == 3);
    }
    EXPECT(alive == 1 && pool.live() == 1 && two->value == 2);
    pool.destroy(two);
    EXPECT(pool.trim() > 0 && parent.pieces == 0);

    // The object destroyed last is created next.
    tracked* const first = pool.create(5);
    pool.destroy(first);
    EXPECT(pool.create(6) == first);
    first->~tracked();
    pool.reset();
    EXPECT(pool.live() == 0);

    millpond::object_pool<tracked> moved = std::move(pool);
    EXPECT(moved.create(7)->value == 7);
    moved.reset();
    --alive;
  }
  EXPECT(parent.pieces == 0 && alive == 0);

  millpond::object_pool<pair> pairs;
  pair* const inner = pairs.create(1, nullptr);  // an aggregate
  EXPECT(pairs.create(2, inner)->other == inner);

  millpond::object_pool<tiny> tinies;
  std::set<tiny*> seen;
  for (int i = 0; i < 1000; i++) seen.insert(tinies.create(tiny{'a'}));
  EXPECT(seen.size() == 1000 && tinies.live() == 1000);
  for (tiny* each : seen) tinies.destroy(each);
  EXPECT(tinies.live() == 0 && tinies.pool().check() == MP_OK);

  millpond::object_pool<wide> wides;
  for (int i = 0; i < 10; i++) EXPECT(is_aligned(wides.create(), 128));
}

/// As many objects as there is memory for; then a null pointer, or an exception.
static void exhaustion() {
  alignas(16) static char memory[10 * sizeof(tracked) * 2];
  millpond::buffer buffer(memory, sizeof memory);
  millpond::object_pool<tracked>::options options;
  options.parent = buffer;
  options.capacity = sizeof memory / 8;
  millpond::object_pool<tracked> pool(options);
  std::vector<tracked*> all;
  while (tracked* const it = pool.create(std::nothrow, 1)) all.push_back(it);
  EXPECT(all.size() == sizeof memory / 8 && mp_last_error() == MP_ERR_EXHAUSTED);
#if MILLPOND_HAS_EXCEPTIONS
  try {
    (void)pool.create(2);
    EXPECT(false);
  } catch (const std::bad_alloc&) {
  }
#endif
  for (tracked* each : all) pool.destroy(each);
  EXPECT(alive == 0 && pool.live() == 0);
}

#if MILLPOND_HAS_EXCEPTIONS
struct thrower {
  explicit thrower(bool throws) {
    if (throws) throw 42;
  }
  std::uint64_t words[3];
};

struct pooled_thrower : millpond::pooled<pooled_thrower> {
  explicit pooled_thrower(bool throws) {
    if (throws) throw 42;
  }
  std::uint64_t words[5];
};

/// A constructor that throws leaks nothing.
static void exceptions() {
  millpond::object_pool<thrower> pool;
  try {
    (void)pool.create(true);
    EXPECT(false);
  } catch (int) {
  }
  EXPECT(pool.live() == 0);

  for (const bool nothrow : {false, true}) {
    const std::size_t live = pooled_thrower::pool().stats().live;
    try {
      (void)(nothrow ? new (std::nothrow) pooled_thrower(true) : new pooled_thrower(true));
      EXPECT(false);
    } catch (int) {
    }
    EXPECT(pooled_thrower::pool().stats().live == live);
  }
  delete new pooled_thrower(false);
}
#endif

struct node : millpond::pooled<node> {
  std::uint64_t value = 7;
  node* next = nullptr;
  virtual ~node() = default;
};
struct larger_node : node {
  char more[100] = {};
};
struct alignas(64) wide_node : millpond::pooled<wide_node> {
  char bytes[64];
};
struct alignas(256) wider_node : wide_node {
  char more[512];
};

static bool is_pooled(const node* it) { return node::pool().owns(it); }

static void classes() {
  node* const one = new node;
  node* const two = new (std::nothrow) node;
  EXPECT(one->value == 7 && is_pooled(one) && is_pooled(two));
  node* const derived = new larger_node;  // from the global operator, and deleted through its base
  EXPECT(!is_pooled(derived));
  delete derived;
  node* const row = new node[3];
  EXPECT(!is_pooled(row) && row[2].value == 7);
  delete[] row;
  alignas(node) char place[sizeof(node)];
  node* const placed = new (place) node;
  placed->~node();
  delete two;
  delete one;

  wide_node* const wide = new wide_node;
  EXPECT(is_aligned(wide, 64) && wide_node::pool().owns(wide));
  delete wide;
  wide_node* const silent = new (std::nothrow) wide_node;
  EXPECT(is_aligned(silent, 64));
  delete silent;
  wider_node* const wider = new wider_node;
  EXPECT(is_aligned(wider, 256) && !wide_node::pool().owns(wider));
  delete wider;
  delete[] new wide_node[2];

  // Any thread may delete objects of another.
  std::vector<node*> all(1000);
  std::thread([&] {
    for (node*& each : all) each = new node;
  }).join();
  std::thread([&] {
    for (node* each : all) delete each;
  }).join();
}

template <class T>
using on_heap = millpond::allocator<T>;

static void containers() {
  counting parent;
  {
    millpond::tlsf::options options;
    options.parent = &parent;
    millpond::tlsf pool(options), other(options);
    std::vector<int, on_heap<int>> numbers(on_heap<int>{pool});
    for (int i = 0; i < 1000; i++) numbers.push_back(i);
    std::list<wide, on_heap<wide>> wides(on_heap<wide>{pool});
    EXPECT(is_aligned(&wides.emplace_back(), 128) && pool.owns(&wides.front()));
    std::map<int, int, std::less<>, on_heap<std::pair<const int, int>>> map(on_heap<std::pair<const int, int>>{pool});
    for (int i = 0; i < 100; i++) map[i] = i * i;
    std::unordered_map<int, int, std::hash<int>, std::equal_to<>, on_heap<std::pair<const int, int>>> hashed(
        on_heap<std::pair<const int, int>>{pool});
    for (int i = 0; i < 1000; i++) hashed[i] = i;
    std::basic_string<char, std::char_traits<char>, on_heap<char>> text("longer than what fits into a string itself",
                                                                       on_heap<char>{pool});
    EXPECT(pool.owns(numbers.data()) && pool.owns(text.data()) && pool.owns(&map.begin()->second));
    EXPECT(numbers[999] == 999 && map[9] == 81 && hashed[999] == 999);

    // Copy assignment keeps the allocator; move and swap propagate it.
    std::vector<int, on_heap<int>> elsewhere(on_heap<int>{other});
    elsewhere = numbers;
    EXPECT(other.owns(elsewhere.data()) && elsewhere == numbers);
    EXPECT(!(elsewhere.get_allocator() == numbers.get_allocator()) && elsewhere.get_allocator() != numbers.get_allocator());
    const int* const data = numbers.data();
    elsewhere = std::move(numbers);
    EXPECT(elsewhere.data() == data && pool.owns(elsewhere.data()));
    on_heap<char> rebound = elsewhere.get_allocator();
    EXPECT(rebound == elsewhere.get_allocator() && rebound.source() == pool.get());
#if MILLPOND_HAS_EXCEPTIONS
    try {
      (void)rebound.allocate(static_cast<std::size_t>(-1));
      EXPECT(false);
    } catch (const std::bad_alloc&) {
    }
    try {
      (void)on_heap<wide>(pool).allocate(static_cast<std::size_t>(-1) / 2);
      EXPECT(false);
    } catch (const std::bad_alloc&) {
    }
#endif
  }
  EXPECT(parent.pieces == 0);
}

static void shared() {
  millpond::object_pool<pair, MP_CACHED> pool;
  std::vector<std::thread> all;
  for (int id = 0; id < 4; id++) {
    all.emplace_back([&pool, id] {
      std::vector<pair*> mine;
      for (int i = 0; i < 5000; i++) {
        mine.push_back(pool.create(id, nullptr));
        if (i % 3 == 0) {
          EXPECT(mine[mine.size() / 2]->one == id);
          std::swap(mine[mine.size() / 2], mine.back());
          pool.destroy(mine.back());
          mine.pop_back();
        }
      }
      for (pair* each : mine) pool.destroy(each);
    });
  }
  for (std::thread& each : all) each.join();
  EXPECT(pool.pool().check() == MP_OK);
}

/// A checked pool is called every time: no free blocks are cached.
static void checked() {
  static std::uint32_t heard = 0;
  using checked_pool = millpond::object_pool<pair, MP_LOCAL, true>;
  checked_pool::options options;
  options.on_misuse = [](void*, const mp_misuse* misuse) { heard = misuse->kind; };
  {
    checked_pool pool(options);
    pair* const one = pool.create(1, nullptr);
    pool.destroy(one);
    EXPECT(heard == 0);
    pool.destroy(one);
    EXPECT(heard == MP_DOUBLE_FREE);
    pair elsewhere{};
    pool.destroy(&elsewhere);
    EXPECT(heard == MP_FOREIGN);
    (void)pool.create(2, nullptr);
  }
  EXPECT(heard == MP_LEAK);
}

int main() {
  pools();
  checked();
  exhaustion();
#if MILLPOND_HAS_EXCEPTIONS
  exceptions();
#endif
  classes();
  containers();
  shared();
  std::puts("objects: as promised");
}
