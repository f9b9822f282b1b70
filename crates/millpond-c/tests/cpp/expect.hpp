// Common parts of test programs: a failed expectation prints its location and ends the program.
#ifndef EXPECT_HPP
#define EXPECT_HPP

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <millpond.hpp>

#define EXPECT(...)                                                                                         \
  do {                                                                                                      \
    if (!(__VA_ARGS__)) {                                                                                   \
      std::fprintf(stderr, "%s:%d: %s (%s)\n", __FILE__, __LINE__, #__VA_ARGS__, mp_last_detail());         \
      std::exit(1);                                                                                         \
    }                                                                                                       \
  } while (0)

inline bool is_aligned(const void* address, std::size_t align) {
  return reinterpret_cast<std::uintptr_t>(address) % align == 0;
}

/// A custom allocator, which counts live blocks and can refuse requests.
struct counting : millpond::custom<counting> {
  static constexpr const char* name = "counting";
  std::size_t pieces = 0;
  std::size_t bytes = 0;
  std::size_t left = static_cast<std::size_t>(-1);

  void* take(std::size_t size, std::size_t align, mp_flags flags) noexcept {
    if (left == 0) {
      mp_set_error(MP_ERR_LIMIT);
      return nullptr;
    }
    --left;
    void* const block = mp_alloc(mp_heap(), size, align, flags);
    if (block != nullptr) {
      ++pieces;
      bytes += size;
    }
    return block;
  }

  void give(void* block, std::size_t size, std::size_t align) noexcept {
    --pieces;
    bytes -= size;
    mp_free(mp_heap(), block, size, align);
  }
};

#endif
