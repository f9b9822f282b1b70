// c++ -std=c++17 program.cpp $(pkg-config --cflags --libs millpond)
#include <millpond.hpp>

// Options of a pool of blocks for site that any thread may use; each thread caches free blocks:
// millpond::resource<millpond::classes> pool(site_options()); it is a std::pmr::memory_resource.
inline millpond::classes::options site_options() {
  static constexpr std::size_t sizes[] = {24, 4321};
  millpond::classes::options options;
  options.sharing = MP_CACHED;
  options.sizes = sizes;
  options.size_count = sizeof sizes / sizeof *sizes;
  return options;
}
