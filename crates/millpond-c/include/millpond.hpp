/// Millpond for C++17: owning pool types, object pools, standard allocators, and memory resources on any pool.
///
///     millpond::object_pool<node> nodes;                  // create and destroy, inlined
///     millpond::resource<millpond::classes> memory;       // a std::pmr::memory_resource
///     std::pmr::vector<std::pmr::string> names{&memory};
///
/// Everything is built on `millpond.h`, which documents the pools, their options, and which threads may use what. Every
/// type here that owns an allocator converts to `mp_allocator*`, so it can be passed to every function there.
///
/// Errors are exceptions of type `millpond::error`, a `std::bad_alloc`. If exceptions are disabled, the program ends
/// with a message instead of throwing; use the overloads that take `std::nothrow` to handle failures.
#ifndef MILLPOND_HPP
#define MILLPOND_HPP

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

#include "millpond.h"

#if defined(__has_include)
#if __has_include(<memory_resource>)
#include <memory_resource>
#endif
#endif

// Memory resources are available if the standard library has them (libc++ since version 16).
#if defined(__cpp_lib_memory_resource)
#define MILLPOND_HAS_PMR 1
#include <exception>
#include <mutex>
#else
#define MILLPOND_HAS_PMR 0
#endif

#if defined(__cpp_exceptions)
#define MILLPOND_HAS_EXCEPTIONS 1
#else
#define MILLPOND_HAS_EXCEPTIONS 0
#endif

// Free blocks in this header's own lists are marked as inaccessible for AddressSanitizer.
#if defined(__SANITIZE_ADDRESS__)
#define MILLPOND_HAS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MILLPOND_HAS_ASAN 1
#endif
#endif
#if defined(MILLPOND_HAS_ASAN)
#include <sanitizer/asan_interface.h>
#endif

namespace millpond {

// ---- Errors --------------------------------------------------------------------------------------------------------

/// The reason why memory or a pool could not be allocated.
class error : public std::bad_alloc {
 public:
  explicit error(mp_error code) noexcept : code_(code) {}
  [[nodiscard]] mp_error code() const noexcept { return code_; }
  [[nodiscard]] const char* what() const noexcept override { return mp_strerror(code_); }

 private:
  mp_error code_;
};

// Keeps slow paths out of line.
#if defined(__GNUC__)
#define MILLPOND_NOINLINE __attribute__((noinline))
#elif defined(_MSC_VER)
#define MILLPOND_NOINLINE __declspec(noinline)
#else
#define MILLPOND_NOINLINE
#endif

/// Throws this thread's last error; ends the program with a message if exceptions are disabled.
[[noreturn]] MILLPOND_NOINLINE inline void raise() {
#if MILLPOND_HAS_EXCEPTIONS
  throw error(mp_last_error());
#else
  std::fprintf(stderr, "millpond: %s\n", mp_last_detail());
  std::abort();
#endif
}

// ---- Owners ----------------------------------------------------------------------------------------------------------

/// A non-owning reference to any allocator: a pointer with methods, of the size of a pointer.
class ref {
 public:
  ref(mp_allocator* allocator) noexcept : allocator_(allocator) {}

  [[nodiscard]] mp_allocator* get() const noexcept { return allocator_; }
  operator mp_allocator*() const noexcept { return allocator_; }

  /// Like `mp_alloc`, without its checks: the allocator must not be null.
  [[nodiscard]] void* alloc(std::size_t size, std::size_t align = 0, mp_flags flags = 0) const noexcept {
    return allocator_->table->alloc(allocator_, size, align, flags);
  }

  /// Like `mp_free`, without its checks: neither the allocator nor the block may be null.
  void free(void* block, std::size_t size, std::size_t align = 0) const noexcept {
    allocator_->table->free(allocator_, block, size, align);
  }

  [[nodiscard]] void* realloc(void* block, std::size_t old_size, std::size_t new_size, std::size_t align = 0,
                              mp_flags flags = 0) const noexcept {
    return mp_realloc(allocator_, block, old_size, new_size, align, flags);
  }

  [[nodiscard]] const char* name() const noexcept { return mp_name(allocator_); }
  [[nodiscard]] bool owns(const void* address) const noexcept { return mp_owns(allocator_, address); }
  [[nodiscard]] std::size_t largest_free() const noexcept { return mp_largest_free(allocator_); }
  mp_error check() const noexcept { return mp_check(allocator_); }
  mp_error reset() const noexcept { return mp_reset(allocator_); }
  std::size_t trim() const noexcept { return mp_trim(allocator_); }

  /// Returns statistics of the allocator; `MP_UNKNOWN` for values that it does not know.
  [[nodiscard]] mp_stats stats() const noexcept {
    mp_stats stats{};
    stats.struct_size = sizeof stats;
    mp_get_stats(allocator_, &stats);
    return stats;
  }

  /// Calls `visit(void* block, std::size_t size)` for each live block until it returns false. `visit` must not throw.
  template <class Visit>
  mp_error each(Visit visit) const noexcept {
    const auto call = [](void* context, void* block, std::size_t size) noexcept -> bool {
      return (*static_cast<Visit*>(context))(block, size);
    };
    return mp_each(allocator_, call, &visit);
  }

 protected:
  mp_allocator* allocator_;
};

/// The base class of custom allocators, which can be parents of pools: `struct mine : millpond::custom<mine>`, with
///
///     static constexpr const char* name = "mine";
///     void* take(std::size_t size, std::size_t align, mp_flags flags) noexcept;  // or null, after mp_set_error
///     void give(void* block, std::size_t size, std::size_t align) noexcept;
///
/// They implement `alloc` and `free` of `mp_table` and must fulfil its contract. Pools keep a pointer to the allocator,
/// so it must not be moved while it has children.
template <class Self>
class custom : public mp_allocator {
 protected:
  custom() noexcept : mp_allocator{functions(), 0} {}

 private:
  static const mp_table* functions() noexcept {
    static const mp_table table = [] {
      mp_table it{};
      it.struct_size = sizeof it;
      it.name = Self::name;
      it.alloc = [](mp_allocator* self, std::size_t size, std::size_t align, mp_flags flags) noexcept {
        return static_cast<Self*>(self)->take(size, align, flags);
      };
      it.free = [](mp_allocator* self, void* block, std::size_t size, std::size_t align) noexcept {
        static_cast<Self*>(self)->give(block, size, align);
      };
      return it;
    }();
    return &table;
  }
};

/// Options of the C interface, initialised to the defaults, with their size set.
template <class T>
struct options_of : T {
  options_of() noexcept : T{} { this->struct_size = sizeof(T); }
};

/// Owns an allocator created by a function of the C interface, and destroys it: `owner<mp_tlsf_create>`. Constructed
/// from the arguments of that function, or from options. Has the methods of `ref`. Can be moved; a moved-from owner is
/// empty.
template <auto Create>
class owner;

template <class Handle, class... Arguments, Handle* (*Create)(Arguments...)>
class owner<Create> : public ref {
  /// The options of the function, if these are its only parameter.
  template <class... A>
  struct takes {
    struct options {};
  };
  template <class T>
  struct takes<const T*> {
    using options = options_of<T>;
  };

 public:
  using options = typename takes<Arguments...>::options;

  /// Creates the allocator. Throws `error` if there is no memory or the arguments are invalid.
  explicit owner(Arguments... arguments) : owner(std::nothrow, arguments...) {
    if (allocator_ == nullptr) raise();
  }
  /// Creates the allocator from options, which are read and not kept. Throws as above.
  explicit owner(const options& given) : owner(&given) {}

  /// Creates the allocator; on failure, the owner is empty, and `mp_last_error()` returns the reason.
  owner(const std::nothrow_t&, Arguments... arguments) noexcept : ref(head(Create(arguments...))) {}
  owner(const std::nothrow_t&, const options& given) noexcept : owner(std::nothrow, &given) {}

  /// Creates an empty owner.
  owner() noexcept : ref(nullptr) {}
  owner(std::nullptr_t) noexcept : ref(nullptr) {}

  owner(owner&& other) noexcept : ref(other.release()) {}
  owner& operator=(owner&& other) noexcept {
    if (this != &other) mp_destroy(std::exchange(allocator_, other.release()));
    return *this;
  }
  ~owner() { mp_destroy(allocator_); }

  /// Returns whether the owner is not empty.
  explicit operator bool() const noexcept { return allocator_ != nullptr; }

  /// Returns the handle that the fast functions of the C interface take: `mp_tlsf_alloc(pool.handle(), 100, 8)`.
  [[nodiscard]] Handle* handle() const noexcept { return reinterpret_cast<Handle*>(allocator_); }

  /// Releases ownership: the caller destroys the allocator.
  [[nodiscard]] mp_allocator* release() noexcept { return std::exchange(allocator_, nullptr); }

 private:
  // Every handle begins with the allocator.
  static mp_allocator* head(Handle* handle) noexcept { return reinterpret_cast<mp_allocator*>(handle); }
};

using blocks = owner<mp_blocks_create>;
using classes = owner<mp_classes_create>;
using linear = owner<mp_linear_create>;
using stack = owner<mp_stack_create>;
using sign_post = owner<mp_sign_post_create>;
using tlsf = owner<mp_tlsf_create>;
using buddy = owner<mp_buddy_create>;

using remote_free = owner<mp_remote_free_create>;

using counted = owner<mp_counted_create>;
using counting = owner<mp_counting_create>;
using checked = owner<mp_checked_create>;
using canary = owner<mp_canary_create>;
using quarantine = owner<mp_quarantine_create>;
using poison = owner<mp_poison_create>;
using zeroed = owner<mp_zeroed_create>;
using tool_annotated = owner<mp_tool_annotated_create>;
using limit = owner<mp_limit_create>;
using fail_nth = owner<mp_fail_nth_create>;
using observe = owner<mp_observe_create>;
using fallback = owner<mp_fallback_create>;
using segregator = owner<mp_segregator_create>;

using tuned_pages = owner<mp_tuned_pages_create>;
using reserved_region = owner<mp_reserved_region_create>;
using buffer = owner<mp_buffer_create>;

// ---- Free caches ------------------------------------------------------------------------------------------------------

/// A list of free blocks of one size, linked through the blocks, last in, first out. The pools in this header keep
/// freed blocks here and reuse them without a call into the library. The underlying pool counts them as live. O(1).
class free_cache {
 public:
  free_cache() = default;
  free_cache(free_cache&& other) noexcept : first_(std::exchange(other.first_, nullptr)) {}
  free_cache& operator=(free_cache&& other) noexcept {
    first_ = std::exchange(other.first_, nullptr);
    return *this;
  }

  /// Removes and returns the block added last; null if the list is empty. `size`, here and below: the size of the
  /// blocks, at least one word.
  [[nodiscard]] void* take([[maybe_unused]] std::size_t size) noexcept {
    link* const block = first_;
    if (block != nullptr) {
#if defined(MILLPOND_HAS_ASAN)
      ASAN_UNPOISON_MEMORY_REGION(block, size);
#endif
      first_ = block->next;
    }
    return block;
  }

  /// Adds a free block, which must be aligned to a word.
  void put(void* block, [[maybe_unused]] std::size_t size) noexcept {
    first_ = ::new (block) link{first_};
#if defined(MILLPOND_HAS_ASAN)
    ASAN_POISON_MEMORY_REGION(block, size);
#endif
  }

  /// Empties the list, after the pool has already reclaimed all blocks.
  void forget() noexcept { first_ = nullptr; }

 private:
  struct link {
    link* next;
  };
  link* first_ = nullptr;
};

// ---- Objects ---------------------------------------------------------------------------------------------------------

namespace detail {

/// Constructs a T, with braces if it has no such constructor.
template <class T, class... A>
T* construct(void* place, A&&... arguments) {
  if constexpr (std::is_constructible_v<T, A...>) {
    return ::new (place) T(std::forward<A>(arguments)...);
  } else {
    return ::new (place) T{std::forward<A>(arguments)...};
  }
}

}  // namespace detail

/// A pool of objects of one type, for one thread by default, or for many with another sharing (such as `MP_CACHED`).
/// Objects that are still alive when the pool is destroyed are not destroyed; their memory is released. A checked pool
/// detects objects that are destroyed twice, were not created by it, or are still alive at the end: see `checked` in
/// millpond.h.
template <class T, std::uint32_t Sharing = MP_LOCAL, bool Checked = false>
class object_pool {
  /// Whether freed blocks are kept in a free cache.
  static constexpr bool has_free_cache = Sharing == MP_LOCAL && !Checked;

 public:
  using options = blocks::options;

  /// The deleter of the pointers that `make` returns.
  class deleter {
   public:
    explicit deleter(object_pool* pool = nullptr) noexcept : pool_(pool) {}
    void operator()(T* object) const noexcept { pool_->destroy(object); }

   private:
    object_pool* pool_;
  };
  using unique = std::unique_ptr<T, deleter>;

  /// Creates a pool on the heap or on another parent. Throws `error` if there is no memory.
  explicit object_pool(mp_allocator* parent = nullptr) : object_pool(on(parent)) {}

  /// Creates a pool with options; block size, alignment, sharing and `checked` are determined by the template
  /// arguments.
  explicit object_pool(options given) : blocks_(shaped(given)) {}

  object_pool(object_pool&&) noexcept = default;
  object_pool& operator=(object_pool&&) noexcept = default;

  /// Constructs an object. Throws `error` if there is no memory, and any exception of the constructor.
  template <class... A>
  [[nodiscard]] T* create(A&&... arguments) {
    void* place = at_hand();
    if (place == nullptr) place = fresh();
    return construct(place, std::forward<A>(arguments)...);
  }

  /// Constructs an object; returns null if there is no memory.
  template <class... A>
  [[nodiscard]] T* create(const std::nothrow_t&, A&&... arguments) {
    void* const place = allocate();
    return place == nullptr ? nullptr : construct(place, std::forward<A>(arguments)...);
  }

  /// Destroys an object created by `create`.
  void destroy(T* object) noexcept {
    object->~T();
    deallocate(object);
  }

  /// Constructs an object and returns a `unique_ptr` to it. The pool must not be moved or destroyed while it exists.
  template <class... A>
  [[nodiscard]] unique make(A&&... arguments) {
    return unique(create(std::forward<A>(arguments)...), deleter(this));
  }

  /// Allocates memory for an object; returns null if there is none.
  [[nodiscard]] void* allocate() noexcept {
    void* const block = at_hand();
    return block != nullptr ? block : mp_blocks_alloc(blocks_.handle());
  }

  /// Frees memory returned by `allocate`.
  void deallocate(void* block) noexcept {
    if constexpr (has_free_cache) {
      free_cache_.put(block, size);
    } else {
      mp_blocks_free(blocks_.handle(), block);
    }
  }

  /// Frees all objects without destroying them.
  void reset() noexcept {
    free_cache_.forget();
    blocks_.reset();
  }

  /// Returns chunks without objects to the parent; returns how many bytes that were. Linear in the free blocks.
  std::size_t trim() noexcept {
    give_back();
    return blocks_.trim();
  }

  /// Returns the number of live objects. Linear in the free blocks.
  [[nodiscard]] std::size_t live() noexcept {
    give_back();
    return blocks_.stats().live / size;
  }

  /// Returns the underlying pool, which counts cached free blocks as live.
  [[nodiscard]] const blocks& pool() const noexcept { return blocks_; }

 private:
  /// Bytes per block.
  static constexpr std::size_t align = alignof(T) < sizeof(void*) ? sizeof(void*) : alignof(T);
  static constexpr std::size_t size = (sizeof(T) + align - 1) / align * align;

  static options on(mp_allocator* parent) noexcept {
    options made;
    made.parent = parent;
    return made;
  }

  static options shaped(options given) noexcept {
    given.block_size = size;
    given.block_align = align;
    given.sharing = Sharing;
    given.checked = Checked;
    return given;
  }

  /// Returns a cached free block, or null.
  [[nodiscard]] void* at_hand() noexcept {
    if constexpr (has_free_cache) {
      return free_cache_.take(size);
    } else {
      return nullptr;
    }
  }

  /// Allocates a block from the underlying pool.
  [[nodiscard]] MILLPOND_NOINLINE void* fresh() {
    void* const block = mp_blocks_alloc(blocks_.handle());
    if (block == nullptr) raise();
    return block;
  }

  /// Constructs an object in a block; frees the block if the constructor throws.
  template <class... A>
  T* construct(void* place, A&&... arguments) {
    struct releaser {
      object_pool* pool;
      void* place;
      ~releaser() {
        if (place != nullptr) pool->deallocate(place);
      }
    } keep{this, place};
    T* const object = detail::construct<T>(place, std::forward<A>(arguments)...);
    keep.place = nullptr;
    return object;
  }

  void give_back() noexcept {
    while (void* const block = free_cache_.take(size)) mp_blocks_free(blocks_.handle(), block);
  }

  free_cache free_cache_;
  blocks blocks_;
};

/// A base class with an `operator new` that allocates from a pool of its own, for any number of threads: `class node :
/// public pooled<node>`. Objects of the class come from the pool; arrays, and objects of larger derived classes, come
/// from the global operator. The pool is created on first use and never destroyed, so objects may live in globals.
template <class T>
class pooled {
 public:
  static void* operator new(std::size_t size) { return take(size, __STDCPP_DEFAULT_NEW_ALIGNMENT__); }
  static void* operator new(std::size_t size, std::align_val_t align) {
    return take(size, static_cast<std::size_t>(align));
  }
  static void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
    return try_take(size, __STDCPP_DEFAULT_NEW_ALIGNMENT__);
  }
  static void* operator new(std::size_t size, std::align_val_t align, const std::nothrow_t&) noexcept {
    return try_take(size, static_cast<std::size_t>(align));
  }
  static void* operator new(std::size_t, void* place) noexcept { return place; }

  static void operator delete(void* object, std::size_t size) noexcept {
    give(object, size, __STDCPP_DEFAULT_NEW_ALIGNMENT__);
  }
  static void operator delete(void* object, std::size_t size, std::align_val_t align) noexcept {
    give(object, size, static_cast<std::size_t>(align));
  }

  // Called by a new-expression when a constructor throws; the size is not passed.
  static void operator delete(void* object, const std::nothrow_t&) noexcept {
    give_unsized(object, __STDCPP_DEFAULT_NEW_ALIGNMENT__);
  }
  static void operator delete(void* object, std::align_val_t align, const std::nothrow_t&) noexcept {
    give_unsized(object, static_cast<std::size_t>(align));
  }
  static void operator delete(void*, void*) noexcept {}

  /// Returns the pool, for statistics.
  [[nodiscard]] static ref pool() {
    static const ref pool{make().release()};
    return pool;
  }

 protected:
  pooled() = default;
  ~pooled() = default;
  pooled(const pooled&) = default;
  pooled& operator=(const pooled&) = default;

 private:
  static blocks make() {
    blocks::options options;
    options.block_size = sizeof(T);
    options.block_align = alignof(T);
    options.sharing = MP_CACHED;
    return blocks(options);
  }

  static constexpr bool is_over(std::size_t align) noexcept { return align > __STDCPP_DEFAULT_NEW_ALIGNMENT__; }

  /// Returns whether a block of the pool fits. An alignment up to the default is that of the type.
  static constexpr bool fits(std::size_t size, std::size_t align) noexcept {
    return size <= sizeof(T) && (!is_over(align) || align <= alignof(T));
  }

  static void* take(std::size_t size, std::size_t align) {
    if (!fits(size, align)) {
      return is_over(align) ? ::operator new(size, std::align_val_t(align)) : ::operator new(size);
    }
    void* const block = mp_blocks_alloc(handle());
    if (block == nullptr) raise();
    return block;
  }

  static void* try_take(std::size_t size, std::size_t align) noexcept {
    if (!fits(size, align)) {
      return is_over(align) ? ::operator new(size, std::align_val_t(align), std::nothrow)
                            : ::operator new(size, std::nothrow);
    }
    return mp_blocks_alloc(handle());
  }

  static void give(void* object, std::size_t size, std::size_t align) noexcept {
    if (fits(size, align)) {
      mp_blocks_free(handle(), object);
    } else if (is_over(align)) {
      ::operator delete(object, std::align_val_t(align));
    } else {
      ::operator delete(object);
    }
  }

  static void give_unsized(void* object, std::size_t align) noexcept {
    give(object, pool().owns(object) ? sizeof(T) : sizeof(T) + 1, align);
  }

  static mp_blocks* handle() { return reinterpret_cast<mp_blocks*>(pool().get()); }
};

// ---- Standard allocators ----------------------------------------------------------------------------------------------

/// A standard allocator on any allocator, which must outlive the containers. `Source` is `mp_allocator`, or any type
/// with `allocate(bytes, align)` and `deallocate(block, bytes, align)`, such as `resource`, whose calls are inlined.
///
/// The allocator propagates on move assignment and swap, but not on copy assignment.
template <class T, class Source = mp_allocator>
class allocator {
 public:
  using value_type = T;
  using propagate_on_container_move_assignment = std::true_type;
  using propagate_on_container_swap = std::true_type;

  allocator(Source* source) noexcept : source_(source) {}
  template <class U>
  allocator(const allocator<U, Source>& other) noexcept : source_(other.source()) {}

  [[nodiscard]] T* allocate(std::size_t count) {
    if (count > static_cast<std::size_t>(-1) / sizeof(T)) {
      mp_set_error(MP_ERR_UNSUPPORTED);
      raise();
    }
    const std::size_t size = count * sizeof(T);
    if constexpr (std::is_same_v<Source, mp_allocator>) {
      void* const block = ref(source_).alloc(size, alignof(T));
      if (block == nullptr) raise();
      return static_cast<T*>(block);
    } else {
      return static_cast<T*>(source_->allocate(size, alignof(T)));
    }
  }

  void deallocate(T* block, std::size_t count) noexcept {
    const std::size_t size = count * sizeof(T);
    if constexpr (std::is_same_v<Source, mp_allocator>) {
      ref(source_).free(block, size, alignof(T));
    } else {
      source_->deallocate(block, size, alignof(T));
    }
  }

  [[nodiscard]] Source* source() const noexcept { return source_; }

  template <class U>
  friend bool operator==(const allocator& one, const allocator<U, Source>& other) noexcept {
    return one.source() == other.source();
  }
  template <class U>
  friend bool operator!=(const allocator& one, const allocator<U, Source>& other) noexcept {
    return one.source() != other.source();
  }

 private:
  Source* source_;
};

// ---- Memory resources ------------------------------------------------------------------------------------------------
#if MILLPOND_HAS_PMR

/// A memory resource as a parent of pools, which it must outlive. `release` returns everything that was allocated
/// through it. Any thread may use it if any thread may use the resource.
///
/// Exceptions of the resource do not propagate through the pools: the call fails with `MP_ERR_EXHAUSTED`. To rethrow
/// the exception after the call, construct an `upstream::catcher` before it.
class upstream : public custom<upstream> {
 public:
  /// Keeps the last exception that resources throw on this thread while the catcher exists; if several exist, the
  /// innermost one keeps it.
  ///
  ///     millpond::upstream::catcher caught;
  ///     void* block = mp_tlsf_alloc(pool, 100, 8);
  ///     if (block == nullptr) caught.rethrow();
  class catcher {
   public:
#if MILLPOND_HAS_EXCEPTIONS
    catcher() noexcept : outer_(innermost) { innermost = this; }
    ~catcher() { innermost = outer_; }
    catcher(const catcher&) = delete;
    catcher& operator=(const catcher&) = delete;

    /// Rethrows the exception, if there is one and the last call failed because of it.
    void rethrow() {
      if (thrown_ != nullptr && mp_last_error() == MP_ERR_EXHAUSTED) {
        std::rethrow_exception(std::exchange(thrown_, nullptr));
      }
    }

   private:
    friend upstream;
    // A plain pointer, so that using it initialises no other thread-local of the program.
    static inline thread_local catcher* innermost = nullptr;
    std::exception_ptr thrown_{};
    catcher* outer_;
#else
    catcher() noexcept {}
    void rethrow() noexcept {}
#endif
  };

  explicit upstream(std::pmr::memory_resource* resource) noexcept : resource_(resource) {}
  upstream(const upstream&) = delete;
  upstream& operator=(const upstream&) = delete;
  ~upstream() { release(); }

  [[nodiscard]] std::pmr::memory_resource* resource() const noexcept { return resource_; }

  /// Returns all memory that is still allocated.
  void release() noexcept {
    while (last_ != nullptr) give(last_);
  }

 private:
  /// The header in front of each piece of memory.
  struct record {
    record* newer;
    record* older;
    std::size_t size;
    std::size_t align;
  };

  friend custom<upstream>;
  static constexpr const char* name = "memory resource";

  /// Returns the number of bytes in front of a piece: padding and the record, which ends where the piece begins.
  static constexpr std::size_t front(std::size_t align) noexcept {
    return (sizeof(record) + align - 1) / align * align;
  }

  void* take(std::size_t size, std::size_t align, mp_flags flags) noexcept {
    align = align < alignof(record) ? alignof(record) : align;
    const std::size_t before = front(align);
    void* const memory = size > static_cast<std::size_t>(-1) - before ? nullptr : ask(before + size, align);
    if (memory == nullptr) {
      mp_set_error(MP_ERR_EXHAUSTED);
      return nullptr;
    }
    std::byte* const block = static_cast<std::byte*>(memory) + before;
    if ((flags & MP_ZERO) != 0) {
      for (std::byte* at = block; at != block + size; ++at) *at = std::byte{0};
    }
    keep(::new (block - sizeof(record)) record{nullptr, nullptr, before + size, align});
    return block;
  }

  void* ask(std::size_t size, std::size_t align) noexcept {
#if MILLPOND_HAS_EXCEPTIONS
    try {
      return resource_->allocate(size, align);
    } catch (...) {
      if (catcher::innermost != nullptr) catcher::innermost->thrown_ = std::current_exception();
      return nullptr;
    }
#else
    return resource_->allocate(size, align);
#endif
  }

  void keep(record* piece) noexcept {
    const std::lock_guard<std::mutex> guard(mutex_);
    piece->older = last_;
    if (last_ != nullptr) last_->newer = piece;
    last_ = piece;
  }

  void give(record* piece) noexcept {
    {
      const std::lock_guard<std::mutex> guard(mutex_);
      (piece->newer != nullptr ? piece->newer->older : last_) = piece->older;
      if (piece->older != nullptr) piece->older->newer = piece->newer;
    }
    const std::size_t size = piece->size;
    const std::size_t align = piece->align;
    std::byte* const block = reinterpret_cast<std::byte*>(piece + 1);
    resource_->deallocate(block - front(align), size, align);
  }

  void give(void* block, std::size_t, std::size_t) noexcept { give(static_cast<record*>(block) - 1); }

  std::pmr::memory_resource* resource_;
  record* last_ = nullptr;
  std::mutex mutex_;
};

/// A memory resource on a borrowed allocator: a guard, a source, or a pool owned elsewhere. Equal to other borrowed
/// resources on the same allocator; without run-time type information, equal only to itself.
class borrowed_resource final : public std::pmr::memory_resource {
 public:
  explicit borrowed_resource(mp_allocator* allocator) noexcept : allocator_(allocator) {}

  [[nodiscard]] ref allocator() const noexcept { return allocator_; }

 private:
  void* do_allocate(std::size_t size, std::size_t align) override {
    upstream::catcher caught;
    void* const block = allocator_.alloc(size, align);
    if (block == nullptr) {
      caught.rethrow();
      raise();
    }
    return block;
  }
  void do_deallocate(void* block, std::size_t size, std::size_t align) override { allocator_.free(block, size, align); }
  [[nodiscard]] bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override {
#if defined(__cpp_rtti)
    const auto* const same = dynamic_cast<const borrowed_resource*>(&other);
    return same != nullptr && same->allocator_.get() == allocator_.get();
#else
    return this == &other;
#endif
  }

  ref allocator_;
};

namespace detail {

/// Returns the distance to the next default size class: 16 bytes up to 128, then four classes per doubling.
constexpr std::size_t usual_spacing(std::size_t size) noexcept {
  std::size_t power = 64;
  while (power * 2 <= size) power *= 2;
  return power / 4;
}

/// The cache of free blocks of a resource, which saves most calls to the pool. In general, it is empty.
template <class Pool>
class counter {
 public:
  counter(const Pool&, const typename Pool::options&) noexcept {}

  /// Returns whether the pool serves the request; otherwise the upstream resource does.
  static constexpr bool fits(std::size_t, std::size_t) noexcept { return true; }
  /// Takes a cached free block; null if there is none.
  static constexpr void* take(std::size_t, std::size_t) noexcept { return nullptr; }
  /// Caches a freed block; returns whether it did.
  static constexpr bool keep(void*, std::size_t, std::size_t) noexcept { return false; }
  static void* fresh(const Pool& pool, std::size_t size, std::size_t align) noexcept { return pool.alloc(size, align); }
  static void give(const Pool& pool, void* block, std::size_t size, std::size_t align) noexcept {
    pool.free(block, size, align);
  }
  /// Returns all cached blocks to the pool; returns whether there were any.
  static constexpr bool flush(const Pool&) noexcept { return false; }
  static void forget() noexcept {}
};

/// For blocks of one size: caches all free blocks, unless threads share the pool or it is checked.
template <>
class counter<blocks> {
 public:
  counter(const blocks& pool, const blocks::options& options) noexcept
      : most_(options.sharing == MP_LOCAL && !options.checked ? options.block_size : 0),
        align_(pool.get()->default_align),
        size_(options.block_size) {}

  [[nodiscard]] bool fits(std::size_t size, std::size_t align) const noexcept {
    return size <= size_ && align <= align_;
  }

  [[nodiscard]] void* take(std::size_t size, std::size_t align) noexcept {
    return has_free_cache(size, align) ? free_cache_.take(size_) : nullptr;
  }

  [[nodiscard]] bool keep(void* block, std::size_t size, std::size_t align) noexcept {
    const bool keeps = has_free_cache(size, align);
    if (keeps) free_cache_.put(block, size_);
    return keeps;
  }

  static void* fresh(const blocks& pool, std::size_t, std::size_t) noexcept { return mp_blocks_alloc(pool.handle()); }
  static void give(const blocks& pool, void* block, std::size_t, std::size_t) noexcept {
    mp_blocks_free(pool.handle(), block);
  }

  bool flush(const blocks& pool) noexcept {
    bool any = false;
    while (void* const block = free_cache_.take(size_)) {
      mp_blocks_free(pool.handle(), block);
      any = true;
    }
    return any;
  }

  void forget() noexcept { free_cache_.forget(); }

 private:
  /// Returns whether such blocks are cached; false for 0 bytes.
  [[nodiscard]] bool has_free_cache(std::size_t size, std::size_t align) const noexcept {
    return size - 1 < most_ && align <= align_;
  }

  std::size_t most_;
  std::size_t align_;
  free_cache free_cache_;
  std::size_t size_;
};

/// For blocks of several sizes: one free cache for each class of the pool up to 512 bytes, unless threads share the
/// pool. A cache holds at most 256 KiB; blocks freed beyond that go to the pool.
template <>
class counter<classes> {
 public:
  counter(const classes&, const classes::options& options) noexcept {
    if (options.sharing != MP_LOCAL) return;
    if (options.size_count == 0) {
      for (std::size_t size = 16; size <= largest; size += usual_spacing(size)) add(size);
    } else {
      for (std::size_t at = 0; at < options.size_count; ++at) add(round(options.sizes[at]));
    }
    // Each size maps to the next class that is large enough.
    for (std::size_t at = most_ / step; at-- > 1;) {
      if (class_of_[at - 1] == none) class_of_[at - 1] = class_of_[at];
    }
  }

  static constexpr bool fits(std::size_t, std::size_t) noexcept { return true; }

  [[nodiscard]] void* take(std::size_t size, std::size_t align) noexcept {
    if (!has_free_cache(size, align)) return nullptr;
    stack_of& its = free_cache_for(size);
    void* const block = its.blocks.take(its.size);
    its.room += block != nullptr;
    return block;
  }

  [[nodiscard]] bool keep(void* block, std::size_t size, std::size_t align) noexcept {
    if (!has_free_cache(size, align)) return false;
    stack_of& its = free_cache_for(size);
    if (its.room == 0) return false;
    --its.room;
    its.blocks.put(block, its.size);
    return true;
  }

  /// Requests the full size of the class, so that the block can be reused for every size of the class.
  [[nodiscard]] void* fresh(const classes& pool, std::size_t size, std::size_t align) noexcept {
    return has_free_cache(size, align) ? mp_classes_alloc(pool.handle(), free_cache_for(size).size, align_)
                                  : mp_classes_alloc(pool.handle(), size, align);
  }

  void give(const classes& pool, void* block, std::size_t size, std::size_t align) noexcept {
    if (has_free_cache(size, align)) {
      mp_classes_free(pool.handle(), block, free_cache_for(size).size, align_);
    } else {
      mp_classes_free(pool.handle(), block, size, align);
    }
  }

  bool flush(const classes& pool) noexcept {
    bool any = false;
    for (stack_of& each : free_caches_) {
      while (void* const block = each.blocks.take(each.size)) {
        mp_classes_free(pool.handle(), block, each.size, align_);
        ++each.room;
        any = true;
      }
    }
    return any;
  }

  void forget() noexcept {
    for (std::size_t at = 0; at < count_; ++at) {
      free_caches_[at].blocks.forget();
      free_caches_[at].room = most_bytes / free_caches_[at].size;
    }
  }

 private:
  static constexpr std::size_t step = sizeof(void*);
  static constexpr std::size_t largest = 512;
  static constexpr std::size_t most_bytes = 256 << 10;
  static constexpr unsigned char none = 0xFF;

  struct stack_of {
    free_cache blocks;
    std::size_t room = 0;  // how many more blocks fit
    std::size_t size = 0;  // bytes per block
  };

  static constexpr std::size_t round(std::size_t size) noexcept { return (size + 7) / 8 * 8; }

  static constexpr std::array<unsigned char, largest / step> all_none() noexcept {
    std::array<unsigned char, largest / step> all{};
    for (std::size_t at = 0; at < all.size(); ++at) all[at] = none;
    return all;
  }

  /// Adds a cache for a class.
  void add(std::size_t size) noexcept {
    if (size == 0 || size > largest || class_of_[size / step - 1] != none) return;
    class_of_[size / step - 1] = count_;
    free_caches_[count_].size = size;
    free_caches_[count_++].room = most_bytes / size;
    if (size > most_) most_ = size;
    const std::size_t lowest_bit = size & (~size + 1);
    if (lowest_bit < align_) align_ = lowest_bit;
  }

  /// Returns whether there is a cache for such blocks; false for 0 bytes.
  [[nodiscard]] bool has_free_cache(std::size_t size, std::size_t align) const noexcept {
    return size - 1 < most_ && align <= align_;
  }

  /// Returns the cache for a size. The remainder has no effect for a size with a cache; without it, compilers warn
  /// about sizes without one.
  [[nodiscard]] stack_of& free_cache_for(std::size_t size) noexcept {
    return free_caches_[class_of_[(size - 1) / step % class_of_.size()]];
  }

  std::size_t most_ = 0;    // bytes in the largest class with a cache
  std::size_t align_ = 16;  // alignment of all classes with a cache
  unsigned char count_ = 0;
  std::array<unsigned char, largest / step> class_of_ = all_none();  // by size in words, rounded up: index of the cache
  stack_of free_caches_[largest / 8];
};

}  // namespace detail

namespace detail {

/// The default size classes, up to the largest pooled block in a `std::pmr::pool_options`.
class standard_sizes {
 public:
  explicit standard_sizes(const std::pmr::pool_options& options) noexcept {
    const std::size_t asked = options.largest_required_pool_block;
    const std::size_t largest = asked == 0 || asked > 32768 ? 32768 : asked;
    std::size_t size = 0;
    do {
      size += usual_spacing(size);
      sizes_[count_++] = size;
    } while (size < largest);
  }

  /// Returns options that point into this object.
  [[nodiscard]] classes::options as_options() const noexcept {
    classes::options options;
    options.sizes = sizes_;
    options.size_count = count_;
    return options;
  }

 private:
  std::size_t sizes_[64] = {};
  std::size_t count_ = 0;
};

}  // namespace detail

/// A pool as a memory resource: `resource<classes>` for containers of any kind, `resource<blocks>` for nodes of one
/// size, `resource<linear>` for blocks that are freed all at once, and so on. For one thread, unless its options say
/// otherwise. A resource is equal only to itself.
///
/// Memory comes from another resource, as with the pools of `std::pmr`, or from the parent in the options. Requests
/// that are too large for `blocks` go to the same place. Exceptions of the upstream resource are passed on. Options,
/// and what they point to, are read by the constructor only, except that the parent and the misuse callback stay in
/// use.
template <class Pool>
class resource final : public std::pmr::memory_resource {
 public:
  using options = typename Pool::options;

  /// Creates a pool with default options on `upstream`. Throws `error` if there is no memory.
  explicit resource(std::pmr::memory_resource* upstream = std::pmr::get_default_resource())
      : resource(options(), upstream) {}

  /// Creates a pool with options. Throws `error` if there is no memory.
  explicit resource(const options& given, std::pmr::memory_resource* upstream = std::pmr::get_default_resource())
      : above_(upstream),
        named_(given.parent),
        upstream_(given.parent == nullptr ? upstream : &named_),
        pool_(on(given, upstream_)),
        counter_(pool_, given) {}

  /// Creates a pool of classes from `std::pmr::pool_options`: blocks of up to `largest_required_pool_block` bytes (0:
  /// 32 KiB, which is also the maximum) come from the pool, larger ones from `upstream`. Chunks double in size up to a
  /// limit of the pool; `max_blocks_per_chunk` is ignored.
  explicit resource(const std::pmr::pool_options& standard,
                    std::pmr::memory_resource* upstream = std::pmr::get_default_resource())
      : resource(detail::standard_sizes(standard).as_options(), upstream) {}

  resource(const resource&) = delete;
  resource& operator=(const resource&) = delete;

  /// Like `std::pmr::memory_resource::allocate`, inlined.
  [[nodiscard]] void* allocate(std::size_t size, std::size_t align = alignof(std::max_align_t)) {
    void* const block = counter_.take(size, align);
    return block != nullptr ? block : fresh(size, align);
  }

  /// Like `std::pmr::memory_resource::deallocate`, inlined.
  void deallocate(void* block, std::size_t size, std::size_t align = alignof(std::max_align_t)) noexcept {
    if (!counter_.keep(block, size, align)) give(block, size, align);
  }

  /// Returns all memory, even if it is still in use.
  void release() noexcept {
    counter_.forget();
    pool_.reset();
    pool_.trim();
    upstream_.release();
  }

  /// Returns chunks without live blocks to the parent; returns how many bytes that were. Linear in the free blocks. For
  /// one thread, unless its options say otherwise. A request for which there is no memory does the same before it
  /// fails.
  std::size_t trim() noexcept {
    counter_.flush(pool_);
    return pool_.trim();
  }

  [[nodiscard]] std::pmr::memory_resource* upstream_resource() const noexcept { return above_; }

  /// Returns the underlying pool, which counts cached free blocks as live.
  [[nodiscard]] const Pool& pool() const noexcept { return pool_; }

 private:
  static options on(options given, upstream& parent) noexcept {
    if (given.parent == nullptr) given.parent = &parent;
    return given;
  }

  /// Allocates a block that is not cached.
  [[nodiscard]] MILLPOND_NOINLINE void* fresh(std::size_t size, std::size_t align) {
    upstream::catcher caught;
    void* block = ask(size, align);
    if (block == nullptr && make_room()) block = ask(size, align);
    if (block == nullptr) {
      caught.rethrow();
      raise();
    }
    return block;
  }

  /// Returns the cached blocks to the pool, so that their memory can be used for other sizes; returns whether there
  /// were any.
  bool make_room() noexcept {
    if (!counter_.flush(pool_)) return false;
    pool_.trim();
    return true;
  }

  [[nodiscard]] void* ask(std::size_t size, std::size_t align) noexcept {
    return counter_.fits(size, align) ? counter_.fresh(pool_, size, align) : ref(&upstream_).alloc(size, align);
  }

  /// Frees a block that is not cached.
  MILLPOND_NOINLINE void give(void* block, std::size_t size, std::size_t align) noexcept {
    if (counter_.fits(size, align)) {
      counter_.give(pool_, block, size, align);
    } else {
      ref(&upstream_).free(block, size, align);
    }
  }

  void* do_allocate(std::size_t size, std::size_t align) override { return allocate(size, align); }
  void do_deallocate(void* block, std::size_t size, std::size_t align) override { deallocate(block, size, align); }
  [[nodiscard]] bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override {
    return this == &other;
  }

  std::pmr::memory_resource* above_;
  borrowed_resource named_;
  upstream upstream_;
  Pool pool_;
  detail::counter<Pool> counter_;
};

/// An arena that begins in a buffer of the caller, like `std::pmr::monotonic_buffer_resource`: `monotonic_resource
/// memory(buffer, sizeof buffer)`. Requests that do not fit are served from `upstream`, in chunks that double in size.
/// For one thread. Unlike the standard resource, it reuses the block that was freed last. After `release`, it begins in
/// the buffer again, as the standard resource does.
class monotonic_resource final : public std::pmr::memory_resource {
 public:
  /// Creates an arena. Throws `error` if there is no memory for the arena's bookkeeping, or no buffer.
  monotonic_resource(void* memory, std::size_t size,
                     std::pmr::memory_resource* upstream = std::pmr::get_default_resource())
      : above_(upstream),
        upstream_(upstream),
        first_(memory, size),
        both_(pair_of(first_, &upstream_)),
        pool_(sized(both_, size)) {}

  monotonic_resource(const monotonic_resource&) = delete;
  monotonic_resource& operator=(const monotonic_resource&) = delete;

  /// Returns all memory to `upstream`, even if it is still in use.
  void release() noexcept {
    pool_.reset();
    pool_.trim();
  }

  [[nodiscard]] std::pmr::memory_resource* upstream_resource() const noexcept { return above_; }
  [[nodiscard]] const linear& pool() const noexcept { return pool_; }

 private:
  static fallback::options pair_of(mp_allocator* first, mp_allocator* second) noexcept {
    fallback::options options;
    options.inner = first;
    options.other = second;
    return options;
  }

  static linear::options sized(mp_allocator* parent, std::size_t size) noexcept {
    linear::options options;
    options.parent = parent;
    options.capacity = size;
    return options;
  }

  void* do_allocate(std::size_t size, std::size_t align) override {
    upstream::catcher caught;
    void* const block = mp_linear_alloc(pool_.handle(), size, align);
    if (block == nullptr) {
      caught.rethrow();
      raise();
    }
    return block;
  }
  void do_deallocate(void* block, std::size_t size, std::size_t align) override {
    mp_linear_free(pool_.handle(), block, size, align);
  }
  [[nodiscard]] bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override {
    return this == &other;
  }

  std::pmr::memory_resource* above_;
  upstream upstream_;
  buffer first_;
  fallback both_;
  linear pool_;
};

#endif  // MILLPOND_HAS_PMR

}  // namespace millpond

#endif  // MILLPOND_HPP
