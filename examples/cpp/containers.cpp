// Standard containers on a pool: pass them the address of a resource, and change nothing else.
//
//     c++ -std=c++17 containers.cpp $(pkg-config --cflags --libs millpond) -o containers
#include <iostream>
#include <map>
#include <memory_resource>
#include <millpond.hpp>
#include <string>
#include <string_view>
#include <vector>

int main() {
  // Blocks of several sizes, which come from the default resource in chunks.
  millpond::resource<millpond::classes> memory;

  std::pmr::map<std::pmr::string, std::pmr::vector<int>> lines{&memory};
  const std::string_view text =
      "every pool takes a parent allocator\nand is itself an allocator\nso every pool is a parent for another pool\n";
  int line = 1;
  std::pmr::string word{&memory};
  for (const char letter : text) {
    if (letter != ' ' && letter != '\n') {
      word += letter;
      continue;
    }
    lines[word].push_back(line);
    word.clear();
    if (letter == '\n') ++line;
  }

  for (const auto& [found, where] : lines) {
    if (where.size() < 2) continue;
    std::cout << found << ":";
    for (const int number : where) std::cout << ' ' << number;
    std::cout << '\n';
  }
}
