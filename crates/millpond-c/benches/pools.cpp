// Measures object pools and memory resources against their peers in C++: all take turns, round by round, in one run.
// `pools.sh` compiles and runs it.
//
// Prints medians over the rounds, in nanoseconds per allocation with its deallocation, and the median of the ratios to
// the first contender, computed per round. With a file as argument, appends the same results to it as lines of CSV.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <functional>
#include <list>
#include <memory_resource>
#include <string>
#include <unordered_map>
#include <vector>

#include <boost/pool/pool.hpp>
#include <foonathan/memory/memory_pool.hpp>

#include "millpond.hpp"

namespace {

constexpr std::size_t rounds = 15;
constexpr std::size_t live = 1000;

/// An object of 64 bytes, of which one word is written, so that mainly the pool is measured.
struct object {
  std::uint64_t first;
  std::uint64_t rest[7];
  explicit object(std::uint64_t value) noexcept : first(value) {}
};

/// Prevents the compiler from removing the computation of a value, and from knowing what it points to.
template <class T>
void use(T& value) {
  asm volatile("" : "+r"(value) : : "memory");
}

struct boost_objects {
  boost::pool<> pool{sizeof(object)};
  object* create(std::uint64_t value) { return ::new (pool.malloc()) object(value); }
  void destroy(object* it) {
    it->~object();
    pool.free(it);
  }
};

struct foonathan_objects {
  foonathan::memory::memory_pool<> pool{sizeof(object), 1 << 16};
  object* create(std::uint64_t value) { return ::new (pool.allocate_node()) object(value); }
  void destroy(object* it) {
    it->~object();
    pool.deallocate_node(it);
  }
};

struct heap_objects {
  object* create(std::uint64_t value) { return new object(value); }
  void destroy(object* it) { delete it; }
};

/// A memory resource, called as containers do: through a pointer without its dynamic type.
struct resource_objects {
  std::pmr::memory_resource* resource;
  object* create(std::uint64_t value) {
    return ::new (resource->allocate(sizeof(object), alignof(object))) object(value);
  }
  void destroy(object* it) {
    it->~object();
    resource->deallocate(it, sizeof(object), alignof(object));
  }
};

/// One object at a time.
template <class Pool>
std::size_t pair(Pool& pool) {
  const std::size_t count = 200000;
  for (std::size_t i = 0; i < count; ++i) {
    object* it = pool.create(i);
    use(it);
    pool.destroy(it);
  }
  return count;
}

/// Many objects, destroyed in the order given by `step`: in reverse, or in the order of their creation.
template <class Pool>
std::size_t ordered(Pool& pool, bool backwards) {
  static object* all[live];
  const std::size_t turns = 200;
  for (std::size_t turn = 0; turn < turns; ++turn) {
    for (std::size_t i = 0; i < live; ++i) {
      all[i] = pool.create(i);
      use(all[i]);
    }
    for (std::size_t i = 0; i < live; ++i) pool.destroy(all[backwards ? live - 1 - i : i]);
  }
  return turns * live;
}

/// Repeatedly replaces one of many objects by a new one.
template <class Pool>
std::size_t churn(Pool& pool) {
  static object* all[live];
  const std::size_t count = 200000;
  for (std::size_t i = 0; i < live; ++i) all[i] = pool.create(i);
  std::uint32_t random = 1;
  for (std::size_t i = 0; i < count; ++i) {
    random = random * 1664525u + 1013904223u;
    object*& it = all[(random >> 8) % live];
    pool.destroy(it);
    it = pool.create(i);
    use(it);
  }
  for (std::size_t i = 0; i < live; ++i) pool.destroy(all[i]);
  return count + live;
}

/// A pool that is created, filled, and destroyed with its contents.
template <class Pool>
std::size_t filled() {
  const std::size_t count = 100000;
  Pool pool;
  for (std::size_t i = 0; i < count; ++i) {
    object* it = pool.create(i);
    use(it);
  }
  return count;
}

/// A list that grows and is destroyed.
std::size_t lists(std::pmr::memory_resource* resource) {
  const std::size_t turns = 100;
  for (std::size_t turn = 0; turn < turns; ++turn) {
    std::pmr::list<std::uint64_t> list{resource};
    for (std::size_t i = 0; i < live; ++i) list.push_back(i);
    use(resource);
  }
  return turns * live;
}

/// A map from numbers to strings, filled and emptied.
std::size_t maps(std::pmr::memory_resource* resource) {
  const std::size_t turns = 20;
  for (std::size_t turn = 0; turn < turns; ++turn) {
    std::pmr::unordered_map<std::uint64_t, std::pmr::string> map{resource};
    for (std::size_t i = 0; i < live; ++i) map.try_emplace(i, "a string that does not fit into the string itself");
    map.clear();
  }
  return turns * live;
}

struct contender {
  std::string name;
  std::function<std::size_t()> run;
  std::vector<double> times{};
};

/// The median and the quartiles.
std::array<double, 3> spread(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t last = values.size() - 1;
  return {values[values.size() / 2], values[last / 4], values[last * 3 / 4]};
}

/// The file for lines of CSV, if there is one.
std::FILE* csv = nullptr;

/// Runs all contenders in turn, and prints the results.
void compare(const char* mix, std::vector<contender> all) {
  for (std::size_t round = 0; round <= rounds; ++round) {
    for (contender& each : all) {
      const auto begin = std::chrono::steady_clock::now();
      const std::size_t count = each.run();
      const std::chrono::duration<double, std::nano> time = std::chrono::steady_clock::now() - begin;
      if (round != 0) each.times.push_back(time.count() / static_cast<double>(count));
    }
  }
  std::printf("%s\n", mix);
  for (const contender& each : all) {
    std::vector<double> ratios;
    for (std::size_t round = 0; round < rounds; ++round) ratios.push_back(each.times[round] / all[0].times[round]);
    const auto time = spread(each.times), ratio = spread(ratios);
    std::printf("  %-42s %8.2f %8.2f\n", each.name.c_str(), time[0], ratio[0]);
    if (csv)
      std::fprintf(csv, "cpp,cpp,\"%s\",\"%s\",time,ns,%.3f,%.3f,%.3f,%.3f,%.3f,%.3f,%zu\n", mix, each.name.c_str(), time[0],
                   time[1], time[2], ratio[0], ratio[1], ratio[2], rounds);
  }
}

/// The same for a mix of objects.
template <class Mix>
void compare_objects(const char* mix, Mix run) {
  millpond::object_pool<object> ours;
  boost_objects boost;
  foonathan_objects foonathan;
  heap_objects heap;
  compare(mix, {{"millpond::object_pool", [&] { return run(ours); }},
                {"boost::pool", [&] { return run(boost); }},
                {"foonathan::memory_pool", [&] { return run(foonathan); }},
                {"new and delete", [&] { return run(heap); }}});
}

/// A resource that returns the same bytes for every request, to measure the cost of two virtual calls.
class empty_resource final : public std::pmr::memory_resource {
  alignas(16) char bytes_[64];
  void* do_allocate(std::size_t, std::size_t) override { return bytes_; }
  void do_deallocate(void*, std::size_t, std::size_t) override {}
  bool do_is_equal(const memory_resource& other) const noexcept override { return this == &other; }
};

/// A resource that is called through its own type, as `millpond::allocator` does.
template <class Resource>
struct straight_objects {
  Resource& resource;
  object* create(std::uint64_t value) {
    return ::new (resource.allocate(sizeof(object), alignof(object))) object(value);
  }
  void destroy(object* it) {
    it->~object();
    resource.deallocate(it, sizeof(object), alignof(object));
  }
};

/// All memory resources.
struct resources {
  millpond::resource<millpond::classes> classes;
  std::pmr::unsynchronized_pool_resource standard;

  std::vector<contender> with(const std::function<std::size_t(std::pmr::memory_resource*)>& run) {
    return {{"std::pmr::unsynchronized_pool_resource", [=] { return run(&standard); }},
            {"std::pmr::new_delete_resource", [=] { return run(std::pmr::new_delete_resource()); }},
            {"millpond::resource<classes>", [=] { return run(&classes); }}};
  }
};

template <class Mix>
void compare_resources(const char* mix, Mix run) {
  resources all;
  millpond::blocks::options options;
  options.block_size = sizeof(object);
  millpond::resource<millpond::blocks> blocks{options};
  std::vector<contender> contenders = all.with([run](std::pmr::memory_resource* resource) {
    resource_objects objects{resource};
    use(objects.resource);
    return run(objects);
  });
  contenders.push_back({"millpond::resource<blocks>", [&] {
                          resource_objects objects{&blocks};
                          use(objects.resource);
                          return run(objects);
                        }});
  contenders.push_back({"millpond::resource, no virtual calls", [&] {
                          straight_objects<millpond::resource<millpond::blocks>> objects{blocks};
                          return run(objects);
                        }});
  empty_resource empty;
  contenders.push_back({"two virtual calls that do nothing", [&] {
                          resource_objects objects{&empty};
                          use(objects.resource);
                          return run(objects);
                        }});
  compare(mix, contenders);
}

/// A list with non-virtual calls, compared with virtual ones.
std::size_t straight_lists(millpond::resource<millpond::classes>& resource) {
  using source = millpond::resource<millpond::classes>;
  const std::size_t turns = 100;
  for (std::size_t turn = 0; turn < turns; ++turn) {
    std::list<std::uint64_t, millpond::allocator<std::uint64_t, source>> list{&resource};
    for (std::size_t i = 0; i < live; ++i) list.push_back(i);
  }
  return turns * live;
}

}  // namespace

int main(int count, char** arguments) {
  if (count > 1) csv = std::fopen(arguments[1], "a");
  compare_objects("objects: pair", [](auto& pool) { return pair(pool); });
  compare_objects("objects: lifo", [](auto& pool) { return ordered(pool, true); });
  compare_objects("objects: fifo", [](auto& pool) { return ordered(pool, false); });
  compare_objects("objects: churn", [](auto& pool) { return churn(pool); });
  compare("objects: a pool filled and dropped", {{"millpond::object_pool", filled<millpond::object_pool<object>>},
                                                 {"boost::pool", filled<boost_objects>},
                                                 {"foonathan::memory_pool", filled<foonathan_objects>}});
  compare_resources("resource: pair", [](auto& pool) { return pair(pool); });
  compare_resources("resource: lifo", [](auto& pool) { return ordered(pool, true); });
  compare_resources("resource: fifo", [](auto& pool) { return ordered(pool, false); });
  compare_resources("resource: churn", [](auto& pool) { return churn(pool); });
  resources containers;
  std::vector<contender> of_lists = containers.with(lists);
  of_lists.push_back({"std::list, millpond::allocator on that", [&] { return straight_lists(containers.classes); }});
  compare("std::pmr::list", of_lists);
  compare("std::pmr::unordered_map of strings", containers.with(maps));
  if (csv) std::fclose(csv);
}
