// Pools that are used before and after main by objects with static and thread storage duration, in any order of
// declaration: the first use of one does not run the initialiser of another.
#include "expect.hpp"

#if !MILLPOND_HAS_PMR
int main() { std::puts("globals: this standard library has no resources"); }
#else

#include <cstdlib>
#include <memory_resource>
#include <string>
#include <thread>
#include <vector>

struct item : millpond::pooled<item> {
  int value;
  explicit item(int its) : value(its) {}
};

struct early {
  item* held;
  early() : held(new item(1)) {}
  ~early() {
    delete held;
    delete new item(2);
  }
};

static millpond::object_pool<int, MP_CACHED> cached;
static early first;

static millpond::resource<millpond::classes>* memory() {
  static millpond::resource<millpond::classes> it;
  return &it;
}

struct user {
  std::pmr::vector<std::pmr::string> texts{memory()};
  user() { texts.emplace_back("a string that is longer than the small buffer"); }
  ~user() { EXPECT(texts.size() == 1 && texts[0].size() == 45); }
};
static user before_main;

// Declared after the users of resources: these are initialised when the thread first names one of them, not before
// `cached` exists.
static int initialised = 0;
static int* first_number() {
  ++initialised;
  return cached.create(7);
}
static thread_local int* number = first_number();
struct last_words {
  ~last_words() {
    cached.destroy(number);
    delete new item(3);
  }
};
static thread_local last_words words;

static void at_exit() {
  delete new item(4);
  cached.destroy(cached.create(1));
}

int main() {
  EXPECT(initialised == 0);
  std::atexit(at_exit);
  for (int turn = 0; turn < 3; turn++) {
    std::vector<std::thread> threads;
    for (int id = 0; id < 4; id++) {
      threads.emplace_back([] {
        (void)&words;
        std::vector<item*> items;
        for (int value = 0; value < 1000; value++) items.push_back(new item(value));
        for (int value = 0; value < 1000; value++) {
          EXPECT(items[static_cast<std::size_t>(value)]->value == value);
          delete items[static_cast<std::size_t>(value)];
        }
        EXPECT(*number == 7);
      });
    }
    for (std::thread& each : threads) each.join();
  }
  std::puts("globals: as promised");
}
#endif
