// Memory for a frame: everything allocated for a frame is freed at once at its end, in constant time. Also a limit,
// which throws when more is requested.
//
//     c++ -std=c++17 frames.cpp $(pkg-config --cflags --libs millpond) -o frames
#include <iostream>
#include <memory_resource>
#include <millpond.hpp>
#include <numeric>
#include <vector>

int main() {
  // An arena on the heap; a borrowed resource passes it to containers.
  millpond::linear arena{millpond::linear::options()};
  millpond::borrowed_resource memory{arena};
  for (int frame = 1; frame <= 3; ++frame) {
    {
      std::pmr::vector<int> visible{&memory};
      for (int i = 0; i < 1000 * frame; ++i) visible.push_back(i);
      std::cout << "frame " << frame << ": " << std::accumulate(visible.begin(), visible.end(), 0) << '\n';
    }
    arena.reset();
  }
  std::cout << "left in use: " << arena.stats().live << " bytes\n";

  // A buffer on the stack of fixed size: a request beyond it throws std::bad_alloc.
  alignas(16) char bytes[4096];
  millpond::buffer stack{bytes, sizeof bytes};
  millpond::tlsf::options options;
  options.parent = stack;
  millpond::tlsf pool{options};
  millpond::borrowed_resource small{pool};
  std::pmr::vector<std::pmr::vector<int>> rows{&small};
  try {
    for (;;) rows.emplace_back(10, 0);
  } catch (const std::bad_alloc& error) {
    std::cout << "full: " << error.what() << ", with more than 20 rows: " << std::boolalpha << (rows.size() > 20) << '\n';
  }
}
