/// A fixed number of blocks of one size in one buffer: the interface of a module for deterministic allocations,
/// implemented with Millpond.
///
/// The same: the buffer is allocated at construction and never grows; allocating and deallocating take constant time,
/// and the block freed last is handed out next. Improved: blocks are aligned for their size, and are carved from the
/// buffer as they are needed, so unused pages are never touched. One thread at a time.
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
  /// Allocates memory for `capacity` blocks of `block_size` bytes, rounded up. Throws `std::invalid_argument` if either
  /// is 0, `std::bad_alloc` if there is no memory.
  FixedBlockMemoryPool(std::size_t block_size, std::size_t capacity)
      : align_(align(block_size)),
        block_size_(stride(positive(block_size, "block_size must be > 0"))),
        capacity_(positive(capacity, "capacity must be > 0")),
        memory_(new std::byte[bytes(block_size_, capacity)]),
        buffer_(memory_.get(), bytes(block_size_, capacity)),
        blocks_(options()) {}

  FixedBlockMemoryPool(const FixedBlockMemoryPool&) = delete;
  FixedBlockMemoryPool& operator=(const FixedBlockMemoryPool&) = delete;

  /// Returns the block freed last, or a new one. Throws `std::bad_alloc` if all are in use.
  [[nodiscard]] void* allocate() {
    void* const block = mp_blocks_alloc(blocks_.handle());
    if (block == nullptr) millpond::raise();
    return block;
  }

  /// Frees a block whose value the caller has destroyed; does nothing for a null pointer.
  void deallocate(void* block) noexcept { mp_blocks_free(blocks_.handle(), block); }

  /// Returns the bytes per block: the requested size, rounded up to a multiple of its alignment, and to a pointer.
  [[nodiscard]] std::size_t block_size() const noexcept { return block_size_; }

  /// Returns the number of blocks, free or not.
  [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }

 private:
  /// Returns the max alignment of a type of this size: the largest power of two that divides it, up to that of `new`.
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

  /// Returns the rounded size of a block: a free block contains a pointer.
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
