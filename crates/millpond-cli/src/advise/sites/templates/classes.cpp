// c++ -std=c++17 program.cpp $(pkg-config --cflags --libs millpond)
#include <millpond.hpp>

// Options of a pool of blocks for site: millpond::resource<millpond::classes> pool(site_options()); it is a
// std::pmr::memory_resource: std::pmr::vector<int> values(&pool);
inline millpond::classes::options site_options() {
  static constexpr std::size_t sizes[] = {24, 4321};
  millpond::classes::options options;
  options.sizes = sizes;
  options.size_count = sizeof sizes / sizeof *sizes;
  return options;
}
