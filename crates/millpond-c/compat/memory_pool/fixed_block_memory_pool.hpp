/// A fixed number of blocks of one size in one buffer: the interface of a module for deterministic allocations, over
/// Millpond.
///
/// As before: the buffer is taken at construction and never grows; allocating and deallocating take constant time, and the
/// last block freed is the next one handed out. Gained: blocks are aligned for their size, and the buffer is cut as it is
/// used, so pages that nobody needs stay untouched. One thread at a time.
#ifndef MILLPOND_FIXED_BLOCK_MEMORY_POOL_HPP
#define MILLPOND_FIXED_BLOCK_MEMORY_POOL_HPP

#include <algorithm>
#include <cstddef>
#include <memory>
#include <new>
#include <stdexcept>

#include "millpond.hpp"

namespace memory_pool {

class FixedBlockMemoryPool {
 public:
  /// Takes memory for `capacity` blocks of `block_size` bytes, rounded up. `std::invalid_argument` if either is 0,
  /// `std::bad_alloc` if there is no memory.
  FixedBlockMemoryPool(std::size_t block_size, std::size_t capacity)
      : align_(align(block_size)),
        block_size_(stride(positive(block_size, "block_size must be > 0"))),
        capacity_(positive(capacity, "capacity must be > 0")),
        memory_(new std::byte[bytes(block_size_, capacity)]),
        buffer_(memory_.get(), bytes(block_size_, capacity)),
        blocks_(options()) {}

  FixedBlockMemoryPool(const FixedBlockMemoryPool&) = delete;
  FixedBlockMemoryPool& operator=(const FixedBlockMemoryPool&) = delete;

  /// The last block that was freed, or one that is fresh; `std::bad_alloc` if all are in use.
  [[nodiscard]] void* allocate() {
    void* const block = mp_blocks_alloc(blocks_.handle());
    if (block == nullptr) millpond::raise();
    return block;
  }

  /// Takes back a block, whose value the caller has destroyed. Nothing happens for a null pointer.
  void deallocate(void* block) noexcept { mp_blocks_free(blocks_.handle(), block); }

  /// Bytes per block: what was asked for, rounded up to a multiple of its alignment, and to a pointer.
  [[nodiscard]] std::size_t block_size() const noexcept { return block_size_; }

  /// How many blocks there are, free or not.
  [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }

 private:
  /// The alignment of a type of this size at most: the largest power of two that divides it, up to what `new` gives.
  static std::size_t align(std::size_t size) noexcept {
    const std::size_t lowest_bit = size & (~size + 1);
    return std::clamp<std::size_t>(lowest_bit, alignof(void*), __STDCPP_DEFAULT_NEW_ALIGNMENT__);
  }

  static std::size_t positive(std::size_t number, const char* message) {
    if (number == 0) {
#if MILLPOND_HAS_EXCEPTIONS
      throw std::invalid_argument(message);
#else
      std::fprintf(stderr, "FixedBlockMemoryPool: %s\n", message);
      std::abort();
#endif
    }
    return number;
  }

  /// Bytes that a block takes: a free one holds a pointer.
  static std::size_t stride(std::size_t size) noexcept {
    const std::size_t most = std::max<std::size_t>(size, sizeof(void*));
    return (most + align(size) - 1) / align(size) * align(size);
  }

  static std::size_t bytes(std::size_t each, std::size_t capacity) {
    if (each > static_cast<std::size_t>(-1) / 2 / capacity) {
      mp_set_error(MP_ERR_UNSUPPORTED);
      millpond::raise();
    }
    return each * capacity;
  }

  millpond::blocks::options options() noexcept {
    millpond::blocks::options options;
    options.parent = buffer_.get();
    options.block_size = block_size_;
    options.block_align = align_;
    options.capacity = capacity_;
    return options;
  }

  std::size_t align_;
  std::size_t block_size_;
  std::size_t capacity_;
  std::unique_ptr<std::byte[]> memory_;
  millpond::buffer buffer_;
  millpond::blocks blocks_;
};

}  // namespace memory_pool

#endif
