// c++ -std=c++17 program.cpp $(pkg-config --cflags --libs millpond)
#include <millpond.hpp>

// Options of an arena for site: millpond::linear arena(site_options()); and as a std::pmr::memory_resource
// millpond::borrowed_resource memory(arena); at the end of each phase, arena.reset() frees all blocks and keeps the memory.
inline millpond::linear::options site_options() {
  millpond::linear::options options;
  options.capacity = 4321;
  return options;
}
