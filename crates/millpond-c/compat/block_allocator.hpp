/// Allocators on other allocators or on a buffer: the interface of lecture notes, implemented with Millpond. There are
/// blocks of one size and arenas, each also for many threads, with the prefix `Async`.
///
/// The same as in the notes: a block allocator makes as few and as small requests to its base as possible, chunks have
/// no header, and an allocator on a buffer never grows. Improved: blocks are carved from chunks as they are needed;
/// `owns` returns whether a pointer belongs to the allocator. Functions return null if there is no memory or an
/// argument is invalid.
#ifndef MILLPOND_BLOCK_ALLOCATOR_HPP
#define MILLPOND_BLOCK_ALLOCATOR_HPP

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <mutex>

#include "millpond.hpp"

/// The interface of allocators. A custom base has `alloc` and `free`, and `alloc_aligned` if it supports alignment.
class Allocator {
 public:
  virtual ~Allocator() = default;

  /// Allocates at least `size` bytes, aligned for any type that is not over-aligned.
  virtual void* alloc(std::size_t size) = 0;
  virtual void free(void* ptr) = 0;

  /// Allocates memory aligned to a power of two; freed like any other. The size is rounded up to a multiple of the
  /// alignment, so that the memory behind it is aligned too.
  virtual void* alloc_aligned(std::size_t size, std::size_t alignment) {
    const bool is_usual = alignment != 0 && (alignment & (alignment - 1)) == 0 && alignment <= alignof(std::max_align_t);
    if (!is_usual || size > static_cast<std::size_t>(-1) - alignment) return nullptr;
    return alloc((size + alignment - 1) & ~(alignment - 1));
  }
};

namespace block_allocator {

/// A base as a parent of Millpond's pools.
class Base : public millpond::custom<Base> {
 public:
  explicit Base(Allocator* base = nullptr) noexcept : base_(base) {}
  [[nodiscard]] Allocator* get() const noexcept { return base_; }

 private:
  friend millpond::custom<Base>;
  static constexpr const char* name = "base";

  void* take(std::size_t size, std::size_t align, mp_flags flags) noexcept {
    void* const memory = base_->alloc_aligned(size, align);
    if (memory == nullptr) {
      mp_set_error(MP_ERR_EXHAUSTED);
    } else if ((flags & MP_ZERO) != 0) {
      std::memset(memory, 0, size);
    }
    return memory;
  }

  void give(void* memory, std::size_t, std::size_t) noexcept { base_->free(memory); }

  Allocator* base_;
};

/// A lock for one thread.
struct NoLock {
  void lock() noexcept {}
  void unlock() noexcept {}
};

/// Blocks of one size. Free blocks form a linked list through themselves, new ones are carved from the newest chunk,
/// and the list of chunks is kept elsewhere, so a chunk consists only of its blocks.
template <class Lock>
class Blocks : public Allocator {
 public:
  Blocks() = default;
  Blocks(const Blocks&) = delete;
  Blocks& operator=(const Blocks&) = delete;
  ~Blocks() override { deinit(); }

  /// Initialises the allocator on a base, which must outlive it. Requests a chunk of `blocks_per_chunk` blocks whenever
  /// all blocks are in use.
  bool init(Allocator* base, std::size_t block_size, std::size_t alignment, unsigned int blocks_per_chunk) {
    deinit();
    if (base == nullptr || blocks_per_chunk == 0 || !shape(block_size, alignment) ||
        block_size_ > static_cast<std::size_t>(-1) / 2 / blocks_per_chunk) {
      return false;
    }
    base_ = base;
    blocks_per_chunk_ = blocks_per_chunk;
    return true;
  }

  /// Initialises the allocator on a buffer, from which it carves blocks. It never grows.
  bool init(void* buffer, std::size_t buffer_size, std::size_t block_size, std::size_t alignment) {
    deinit();
    if (buffer == nullptr || !shape(block_size, alignment)) return false;
    const std::uintptr_t start = reinterpret_cast<std::uintptr_t>(buffer);
    const std::size_t skipped = static_cast<std::size_t>(-start & (alignment_ - 1));
    if (buffer_size < skipped || (buffer_size - skipped) / block_size_ == 0) return false;
    buffer_ = static_cast<std::byte*>(buffer) + skipped;
    blocks_per_chunk_ = (buffer_size - skipped) / block_size_;
    cut(buffer_);
    return true;
  }

  /// Returns all chunks to the base, even if blocks are still in use. May be called several times or not at all.
  void deinit() {
    for (Chunk* chunk = chunks_; chunk != nullptr;) {
      Chunk* const older = chunk->older;
      base_->free(chunk->memory);
      mp_free(mp_heap(), chunk, sizeof(Chunk), alignof(Chunk));
      chunk = older;
    }
    chunks_ = nullptr;
    base_ = nullptr;
    buffer_ = nullptr;
    free_.forget();
    fresh_ = end_ = nullptr;
    block_size_ = 0;
  }

  /// Allocates a block, if the size fits.
  void* alloc(std::size_t size) final { return size <= block_size_ ? alloc_block() : nullptr; }
  void* alloc_aligned(std::size_t size, std::size_t alignment) final {
    return alignment != 0 && alignment <= alignment_ ? alloc(size) : nullptr;
  }
  void free(void* ptr) final { free_block(ptr); }

  /// Allocates a block: the one freed last, or a new one.
  void* alloc_block() {
    while (block_size_ != 0) {
      {
        const std::lock_guard<Lock> guard(lock_);
        if (void* const block = take()) return block;
      }
      if (!allocate_chunk()) break;
    }
    return nullptr;
  }

  /// Frees a block; does nothing for a null pointer.
  void free_block(void* ptr) {
    if (ptr == nullptr) return;
    const std::lock_guard<Lock> guard(lock_);
    free_.put(ptr, block_size_);
  }

  /// Returns whether a pointer points into a chunk.
  bool owns(const void* ptr) {
    const std::lock_guard<Lock> guard(lock_);
    bool is_ours = is_within(buffer_, ptr);
    for (const Chunk* chunk = chunks_; chunk != nullptr && !is_ours; chunk = chunk->older) {
      is_ours = is_within(static_cast<const std::byte*>(chunk->memory), ptr);
    }
    return is_ours;
  }

 private:
  /// The position of a chunk.
  struct Chunk {
    void* memory;
    Chunk* older;
  };

  /// Returns the rounded size of a block: a free block contains a pointer.
  bool shape(std::size_t size, std::size_t alignment) noexcept {
    if (size == 0 || alignment == 0 || (alignment & (alignment - 1)) != 0) return false;
    alignment_ = alignment < alignof(void*) ? alignof(void*) : alignment;
    if (size > static_cast<std::size_t>(-1) / 2 - alignment_) return false;
    block_size_ = ((size < sizeof(void*) ? sizeof(void*) : size) + alignment_ - 1) & ~(alignment_ - 1);
    return true;
  }

  void cut(void* memory) noexcept {
    fresh_ = static_cast<std::byte*>(memory);
    end_ = fresh_ + block_size_ * blocks_per_chunk_;
  }

  void* take() noexcept {
    if (void* const block = free_.take(block_size_)) return block;
    if (fresh_ == end_) return nullptr;
    return std::exchange(fresh_, fresh_ + block_size_);
  }

  /// Requests a chunk from the base, without holding the lock. If several threads do so, all chunks are used.
  bool allocate_chunk() {
    void* const memory =
        base_ == nullptr ? nullptr : base_->alloc_aligned(block_size_ * blocks_per_chunk_, alignment_);
    if (memory == nullptr) return false;
    void* const record = mp_alloc(mp_heap(), sizeof(Chunk), alignof(Chunk), 0);
    if (record == nullptr) {
      base_->free(memory);
      return false;
    }
    const std::lock_guard<Lock> guard(lock_);
    chunks_ = ::new (record) Chunk{memory, chunks_};
    while (fresh_ != end_) free_.put(std::exchange(fresh_, fresh_ + block_size_), block_size_);
    cut(memory);
    return true;
  }

  bool is_within(const std::byte* memory, const void* ptr) const noexcept {
    const auto offset = reinterpret_cast<std::uintptr_t>(ptr) - reinterpret_cast<std::uintptr_t>(memory);
    return memory != nullptr && offset < block_size_ * blocks_per_chunk_;
  }

  Allocator* base_ = nullptr;
  std::byte* buffer_ = nullptr;
  std::size_t block_size_ = 0;  // empty: not initialised
  std::size_t alignment_ = 0;
  std::size_t blocks_per_chunk_ = 0;
  millpond::free_cache free_;
  std::byte* fresh_ = nullptr;  // up to `end_`: the uncarved part of the newest chunk
  std::byte* end_ = nullptr;
  Chunk* chunks_ = nullptr;
  Lock lock_;
};

/// An arena: memory that is handed out from the front and freed all at once. Freeing a single piece does nothing.
template <std::uint32_t Sharing>
class Arena : public Allocator {
 public:
  Arena() = default;
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  /// Initialises the arena on a base, which must outlive it. The first chunk has `chunk_size` bytes, or as many as
  /// requested; each further one has twice as many.
  bool init(Allocator* base, std::size_t chunk_size) {
    deinit();
    if (base == nullptr || chunk_size == 0) return false;
    base_ = Base(base);
    millpond::linear::options options;
    options.parent = &base_;
    options.sharing = Sharing;
    options.capacity = chunk_size;
    arena_ = millpond::linear(std::nothrow, options);
    return static_cast<bool>(arena_);
  }

  /// Initialises the arena on a buffer, which it uses to the last byte. It never grows.
  bool init(void* buffer, std::size_t size) {
    deinit();
    if (buffer == nullptr || size == 0) return false;
    memory_ = buffer;
    size_ = size;
    buffer_ = millpond::buffer(std::nothrow, memory_, size_);
    return static_cast<bool>(buffer_);
  }

  /// Returns all chunks to the base. May be called several times or not at all.
  void deinit() {
    arena_ = nullptr;
    buffer_ = nullptr;
  }

  /// Frees everything and keeps the chunks. Must not be called while another thread uses the arena.
  void reset() {
    if (arena_) arena_.reset();
    if (buffer_) init(memory_, size_);
  }

  void* alloc(std::size_t size) final { return alloc_aligned(size, alignof(std::max_align_t)); }
  void* alloc_aligned(std::size_t size, std::size_t alignment) final {
    if (arena_) return arena_.alloc(size, alignment);
    return buffer_ ? buffer_.alloc(size, alignment) : nullptr;
  }
  void free(void*) final {}

 private:
  Base base_;
  void* memory_ = nullptr;
  std::size_t size_ = 0;
  millpond::linear arena_{nullptr};
  millpond::buffer buffer_{nullptr};
};

/// The part of an arena that is on a buffer.
template <std::uint32_t Sharing>
class Static : public Arena<Sharing> {
 public:
  bool init(void* buffer, std::size_t size) { return Arena<Sharing>::init(buffer, size); }
};

}  // namespace block_allocator

/// Blocks of one size, for one thread.
class BlockAllocator : public block_allocator::Blocks<block_allocator::NoLock> {};
/// The same for many threads, with a lock; several threads may use the base at the same time.
class AsyncBlockAllocator : public block_allocator::Blocks<std::mutex> {};

/// An arena on a base or a buffer, for one thread.
class LinearAllocator : public block_allocator::Arena<MP_LOCAL> {};
/// The same for many threads, without a lock; several threads may use the base at the same time.
class AsyncLinearAllocator : public block_allocator::Arena<MP_LOCK_FREE> {};

/// An arena on a buffer, for one thread.
class StaticAllocator : public block_allocator::Static<MP_LOCAL> {};
/// The same for many threads, without a lock.
class AsyncStaticAllocator : public block_allocator::Static<MP_LOCK_FREE> {};

#endif
