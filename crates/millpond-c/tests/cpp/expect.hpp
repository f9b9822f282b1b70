// What test programs have in common: an expectation that fails ends the program and says where.
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

/// An allocator of the test's own, which counts what is live, and can refuse.
struct counting : mp_allocator {
  std::size_t pieces = 0;
  std::size_t bytes = 0;
  std::size_t left = static_cast<std::size_t>(-1);

  counting() noexcept : mp_allocator{table_of(), 0} {}

  static void* take(mp_allocator* self, std::size_t size, std::size_t align, mp_flags flags) {
    auto* const it = static_cast<counting*>(self);
    if (it->left == 0) {
      mp_set_error(MP_ERR_LIMIT);
      return nullptr;
    }
    --it->left;
    void* const block = mp_alloc(mp_heap(), size, align, flags);
    if (block != nullptr) {
      ++it->pieces;
      it->bytes += size;
    }
    return block;
  }

  static void give(mp_allocator* self, void* block, std::size_t size, std::size_t align) {
    auto* const it = static_cast<counting*>(self);
    --it->pieces;
    it->bytes -= size;
    mp_free(mp_heap(), block, size, align);
  }

  static const mp_table* table_of() noexcept {
    static const mp_table table = [] {
      mp_table it{};
      it.struct_size = sizeof it;
      it.name = "counting";
      it.alloc = take;
      it.free = give;
      return it;
    }();
    return &table;
  }
};

#endif
