// c++ -std=c++17 program.cpp $(pkg-config --cflags --libs millpond)
#include <millpond.hpp>

// Options of a pool of blocks for site: millpond::remote_free pool(site_options()); one thread allocates by
// pool.alloc(4321), any thread frees by mp_remote_free_return(pool.handle(), block).
inline millpond::remote_free::options site_options() {
  millpond::remote_free::options options;
  options.block_size = 4321;
  return options;
}
