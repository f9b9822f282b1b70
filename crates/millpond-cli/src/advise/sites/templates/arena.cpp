// c++ -std=c++17 program.cpp $(pkg-config --cflags --libs millpond)
#include <millpond.hpp>

// An arena for site: site_arena arena; it is a std::pmr::memory_resource: std::pmr::vector<int> values(&arena); its end
// frees all blocks.
using site_arena = millpond::resource<millpond::linear>;
