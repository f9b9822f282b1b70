/// A fixed number of blocks of one size in one buffer: the interface of a module for deterministic allocations, over
/// Millpond.
///
/// As before: the buffer is taken at construction and never grows; allocating and deallocating take constant time, and the
/// last block freed is the next one handed out. Gained: blocks are aligned for their size, small ones are rounded up, and
/// the buffer is cut as it is used, so pages that nobody needs stay untouched. One thread at a time.
#ifndef MILLPOND_FIXED_BLOCK_MEMORY_POOL_HPP
#define MILLPOND_FIXED_BLOCK_MEMORY_POOL_HPP

#include <algorithm>
#include <cstddef>
#include <memory>
#include <new>

#include "millpond.hpp"

namespace memory_pool {

class FixedBlockMemoryPool {
 public:
  /// Takes memory for `capacity` blocks of `block_size` bytes; `std::bad_alloc` if there is none.
  FixedBlockMemoryPool(std::size_t block_size, std::size_t capacity)
      : block_size_(block_size),
        capacity_(capacity),
        memory_(capacity == 0 ? nullptr : new std::byte[bytes(block_size, capacity)]),
        buffer_(capacity == 0 ? &none_ : memory_.get(), bytes(block_size, capacity)),
        blocks_(wish()) {}

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

  /// Bytes per block, as asked for.
  [[nodiscard]] std::size_t block_size() const noexcept { return block_size_; }

  /// How many blocks there are, free or not.
  [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }

 private:
  /// The alignment of a type of this size at most: the largest power of two that divides it, up to what `new` gives.
  static std::size_t align(std::size_t size) noexcept {
    const std::size_t lowest_bit = size & (~size + 1);
    return std::clamp<std::size_t>(lowest_bit, alignof(void*), __STDCPP_DEFAULT_NEW_ALIGNMENT__);
  }

  /// Bytes that a block takes: a free one holds a pointer.
  static std::size_t stride(std::size_t size) noexcept {
    const std::size_t most = std::max<std::size_t>(size, sizeof(void*));
    return (most + align(size) - 1) / align(size) * align(size);
  }

  static std::size_t bytes(std::size_t size, std::size_t capacity) {
    const std::size_t each = stride(size);
    if (capacity != 0 && each > static_cast<std::size_t>(-1) / 2 / capacity) {
      mp_set_error(MP_ERR_UNSUPPORTED);
      millpond::raise();
    }
    return each * capacity;
  }

  millpond::blocks::options wish() noexcept {
    millpond::blocks::options wish;
    wish.parent = buffer_.get();
    wish.block_size = stride(block_size_);
    wish.block_align = align(block_size_);
    wish.capacity = capacity_;
    return wish;
  }

  std::size_t block_size_;
  std::size_t capacity_;
  std::byte none_{};
  std::unique_ptr<std::byte[]> memory_;
  millpond::buffer buffer_;
  millpond::blocks blocks_;
};

}  // namespace memory_pool

#endif
