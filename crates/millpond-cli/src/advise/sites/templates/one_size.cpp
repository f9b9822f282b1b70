// c++ -std=c++17 program.cpp $(pkg-config --cflags --libs millpond)
#include <millpond.hpp>

// Options of a pool of blocks for site: millpond::blocks pool(site_options()); then pool.alloc(4321) and
// pool.free(block, 4321). For values of one type, millpond::object_pool<T> does the same.
inline millpond::blocks::options site_options() {
  millpond::blocks::options options;
  options.block_size = 4321;
  return options;
}
