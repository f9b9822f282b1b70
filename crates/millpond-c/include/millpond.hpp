/// Millpond for C++17: pools that own themselves, pools of objects, standard allocators, and memory resources on any pool.
///
///     millpond::object_pool<node> nodes;                  // create and destroy, inlined
///     millpond::resource<millpond::classes> memory;       // a std::pmr::memory_resource
///     std::pmr::vector<std::pmr::string> names{&memory};
///
/// All of it stands on `millpond.h`, which says what pools there are, what their options mean, and who may use what from
/// which thread. Whatever owns an allocator here converts to `mp_allocator*`, so every function there takes it.
///
/// Errors are exceptions of type `millpond::error`, a `std::bad_alloc`. Without exceptions, the program ends with a message
/// where one would have been thrown; what takes `std::nothrow` then is the way to be told instead.
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

// Where the standard library has memory resources (libc++ has since version 16), so has this header.
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

// Blocks that wait in a header's own list are shown to AddressSanitizer as what they are: not to be touched.
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

/// Why there is no memory, or no pool.
class error : public std::bad_alloc {
 public:
  explicit error(mp_error code) noexcept : code_(code) {}
  [[nodiscard]] mp_error code() const noexcept { return code_; }
  [[nodiscard]] const char* what() const noexcept override { return mp_strerror(code_); }

 private:
  mp_error code_;
};

// What is called seldom stays out of the way.
#if defined(__GNUC__)
#define MILLPOND_NOINLINE __attribute__((noinline))
#elif defined(_MSC_VER)
#define MILLPOND_NOINLINE __declspec(noinline)
#else
#define MILLPOND_NOINLINE
#endif

/// Throws what this thread was told last; ends the program with it where there are no exceptions.
[[noreturn]] MILLPOND_NOINLINE inline void raise() {
#if MILLPOND_HAS_EXCEPTIONS
  throw error(mp_last_error());
#else
  std::fprintf(stderr, "millpond: %s\n", mp_last_detail());
  std::abort();
#endif
}

// ---- Owners ----------------------------------------------------------------------------------------------------------

/// An allocator of anybody's: a pointer with methods. It is as small, and owns as little.
class ref {
 public:
  ref(mp_allocator* allocator) noexcept : allocator_(allocator) {}

  [[nodiscard]] mp_allocator* get() const noexcept { return allocator_; }
  operator mp_allocator*() const noexcept { return allocator_; }

  /// As `mp_alloc`, by a shorter way: there is an allocator.
  [[nodiscard]] void* alloc(std::size_t size, std::size_t align = 0, mp_flags flags = 0) const noexcept {
    return allocator_->table->alloc(allocator_, size, align, flags);
  }

  /// As `mp_free`, by a shorter way: there is an allocator, and the block is not null.
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

  /// What the allocator holds; `MP_UNKNOWN` for what it does not say.
  [[nodiscard]] mp_stats stats() const noexcept {
    mp_stats stats{};
    stats.struct_size = sizeof stats;
    mp_get_stats(allocator_, &stats);
    return stats;
  }

  /// Calls `visit(void* block, std::size_t size)` for each live block, until it returns false. It must not throw.
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

/// An allocator of one's own, which pools can have as their parent: `struct mine : millpond::custom<mine>`, with
///
///     static constexpr const char* name = "mine";
///     void* take(std::size_t size, std::size_t align, mp_flags flags) noexcept;  // or null, after mp_set_error
///     void give(void* block, std::size_t size, std::size_t align) noexcept;
///
/// They are the `alloc` and the `free` of `mp_table`, and keep to what it says. Pools point at it: it stays where it is while
/// it has any.
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

/// Options of the C interface, all "as usual", with their size set.
template <class T>
struct options_of : T {
  options_of() noexcept : T{} { this->struct_size = sizeof(T); }
};

/// Owns what a function of the C interface makes, and destroys it: `owner<mp_tlsf_create>`. Made with that function's
/// arguments, or with options. It is a `ref`, so it has its methods. It can be moved; what it was moved from holds nothing.
template <auto Create>
class owner;

template <class Handle, class... Arguments, Handle* (*Create)(Arguments...)>
class owner<Create> : public ref {
  /// What the function takes, if that is options and nothing else.
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

  /// Throws `error` if there is no memory or the arguments make no sense.
  explicit owner(Arguments... arguments) : owner(std::nothrow, arguments...) {
    if (allocator_ == nullptr) raise();
  }
  /// The same with options, which are read and not kept.
  explicit owner(const options& options) : owner(&options) {}

  /// Holds nothing then; `mp_last_error()` says why.
  owner(const std::nothrow_t&, Arguments... arguments) noexcept : ref(head(Create(arguments...))) {}
  owner(const std::nothrow_t&, const options& options) noexcept : owner(std::nothrow, &options) {}

  /// Holds nothing, until something is assigned.
  owner() noexcept : ref(nullptr) {}
  owner(std::nullptr_t) noexcept : ref(nullptr) {}

  owner(owner&& other) noexcept : ref(other.release()) {}
  owner& operator=(owner&& other) noexcept {
    if (this != &other) mp_destroy(std::exchange(allocator_, other.release()));
    return *this;
  }
  ~owner() { mp_destroy(allocator_); }

  /// Whether it holds anything.
  explicit operator bool() const noexcept { return allocator_ != nullptr; }

  /// What the fast functions of the C interface take: `mp_tlsf_alloc(pool.handle(), 100, 8)`.
  [[nodiscard]] Handle* handle() const noexcept { return reinterpret_cast<Handle*>(allocator_); }

  /// Gives it up: the caller destroys it.
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

// ---- Free blocks at hand ---------------------------------------------------------------------------------------------

/// Free blocks of one size in a list through the blocks, the last one freed first. What makes the pools here fast: to them
/// go all blocks that are freed, and from them come all that are used again, without a call. To the pool behind, they are
/// live. O(1).
class free_cache {
 public:
  free_cache() = default;
  free_cache(free_cache&& other) noexcept : first_(std::exchange(other.first_, nullptr)) {}
  free_cache& operator=(free_cache&& other) noexcept {
    first_ = std::exchange(other.first_, nullptr);
    return *this;
  }

  /// The last block put here; null if there is none. `size`, here and below: that of the blocks, at least a word.
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

  /// Takes a free block, which is as aligned as a word.
  void put(void* block, [[maybe_unused]] std::size_t size) noexcept {
    first_ = ::new (block) link{first_};
#if defined(MILLPOND_HAS_ASAN)
    ASAN_POISON_MEMORY_REGION(block, size);
#endif
  }

  /// Forgets all blocks: their pool has them back already.
  void forget() noexcept { first_ = nullptr; }

 private:
  struct link {
    link* next;
  };
  link* first_ = nullptr;
};

// ---- Objects ---------------------------------------------------------------------------------------------------------

namespace detail {

/// Constructs a T, from a list in braces where it has no such constructor.
template <class T, class... A>
T* construct(void* place, A&&... arguments) {
  if constexpr (std::is_constructible_v<T, A...>) {
    return ::new (place) T(std::forward<A>(arguments)...);
  } else {
    return ::new (place) T{std::forward<A>(arguments)...};
  }
}

}  // namespace detail

/// A pool of objects of one type, for one thread; or, with another way of sharing (`MP_CACHED` for example), for many. What
/// still lives when the pool goes is not destroyed: its memory goes. A checked one finds what is destroyed twice, was not
/// created here, or is still alive in the end: see `checked` in millpond.h.
template <class T, std::uint32_t Sharing = MP_LOCAL, bool Checked = false>
class object_pool {
  /// Whether freed blocks are kept at hand.
  static constexpr bool has_shelf = Sharing == MP_LOCAL && !Checked;

 public:
  using options = blocks::options;

  /// Destroys what `make` made.
  class deleter {
   public:
    explicit deleter(object_pool* pool = nullptr) noexcept : pool_(pool) {}
    void operator()(T* object) const noexcept { pool_->destroy(object); }

   private:
    object_pool* pool_;
  };
  using unique = std::unique_ptr<T, deleter>;

  /// A pool on the heap, or on another parent. Throws `error` if there is no memory.
  explicit object_pool(mp_allocator* parent = nullptr) : object_pool(on(parent)) {}

  /// The same as wished; size, alignment, sharing and checks are what they are.
  explicit object_pool(options given) : blocks_(shaped(given)) {}

  object_pool(object_pool&&) noexcept = default;
  object_pool& operator=(object_pool&&) noexcept = default;

  /// Constructs an object. Throws `error` if there is no memory, and what the constructor throws.
  template <class... A>
  [[nodiscard]] T* create(A&&... arguments) {
    void* place = at_hand();
    if (place == nullptr) place = fresh();
    return construct(place, std::forward<A>(arguments)...);
  }

  /// Constructs an object; a null pointer if there is no memory.
  template <class... A>
  [[nodiscard]] T* create(const std::nothrow_t&, A&&... arguments) {
    void* const place = allocate();
    return place == nullptr ? nullptr : construct(place, std::forward<A>(arguments)...);
  }

  /// Destroys an object that `create` has made.
  void destroy(T* object) noexcept {
    object->~T();
    deallocate(object);
  }

  /// Constructs an object that destroys itself. The pool must stay where it is for as long.
  template <class... A>
  [[nodiscard]] unique make(A&&... arguments) {
    return unique(create(std::forward<A>(arguments)...), deleter(this));
  }

  /// Memory for an object; null if there is none.
  [[nodiscard]] void* allocate() noexcept {
    void* const block = at_hand();
    return block != nullptr ? block : mp_blocks_alloc(blocks_.handle());
  }

  /// Takes back memory that `allocate` gave.
  void deallocate(void* block) noexcept {
    if constexpr (has_shelf) {
      shelf_.put(block, size);
    } else {
      mp_blocks_free(blocks_.handle(), block);
    }
  }

  /// Takes everything back, and destroys nothing.
  void reset() noexcept {
    shelf_.forget();
    blocks_.reset();
  }

  /// Gives chunks without objects back to the parent; says how many bytes that were. Linear in the free blocks.
  std::size_t trim() noexcept {
    give_back();
    return blocks_.trim();
  }

  /// How many objects live. Linear in the free blocks.
  [[nodiscard]] std::size_t live() noexcept {
    give_back();
    return blocks_.stats().live / size;
  }

  /// The pool behind; blocks at hand are live to it.
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

  /// A block without a call, if there is one.
  [[nodiscard]] void* at_hand() noexcept {
    if constexpr (has_shelf) {
      return shelf_.take(size);
    } else {
      return nullptr;
    }
  }

  /// A block of the pool behind.
  [[nodiscard]] MILLPOND_NOINLINE void* fresh() {
    void* const block = mp_blocks_alloc(blocks_.handle());
    if (block == nullptr) raise();
    return block;
  }

  /// Constructs an object in a block, which goes back if that throws.
  template <class... A>
  T* construct(void* place, A&&... arguments) {
    struct keeper {
      object_pool* pool;
      void* place;
      ~keeper() {
        if (place != nullptr) pool->deallocate(place);
      }
    } keep{this, place};
    T* const object = detail::construct<T>(place, std::forward<A>(arguments)...);
    keep.place = nullptr;
    return object;
  }

  void give_back() noexcept {
    while (void* const block = shelf_.take(size)) mp_blocks_free(blocks_.handle(), block);
  }

  free_cache shelf_;
  blocks blocks_;
};

/// Gives a class an `operator new` on a pool of its own, for any number of threads: `class node : public pooled<node>`.
/// Objects of the class come from blocks; arrays, and objects of larger classes derived from it, from the global operator.
/// The pool is made when it is first used and stays until the end, so that objects may outlive anything.
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

  // What a new-expression calls when a constructor throws; it does not say the size.
  static void operator delete(void* object, const std::nothrow_t&) noexcept {
    give_unsized(object, __STDCPP_DEFAULT_NEW_ALIGNMENT__);
  }
  static void operator delete(void* object, std::align_val_t align, const std::nothrow_t&) noexcept {
    give_unsized(object, static_cast<std::size_t>(align));
  }
  static void operator delete(void*, void*) noexcept {}

  /// The pool, for its statistics.
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

  /// Whether a block serves it. An alignment that is not beyond the usual is that of the type.
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

/// A standard allocator on any allocator, which outlives what is in it. `Source` is `mp_allocator`, or anything else with
/// `allocate(bytes, align)` and `deallocate(block, bytes, align)`: a `resource`, to have its calls inlined.
///
/// Moved and swapped containers take their allocator along; assigned copies keep their own, as with `std::pmr`.
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

/// A memory resource as a parent of pools, which it outlives. It can give back everything that was taken through it. Any
/// thread may use it if any may use the resource.
///
/// An exception of the resource does not cross the pools. Whoever wants it says so before the call, with an
/// `upstream::catcher`; otherwise it ends there, and the call fails with `MP_ERR_EXHAUSTED`.
class upstream : public custom<upstream> {
 public:
  /// Keeps the last exception that resources throw to this thread while it exists; of several, the innermost one does.
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

    /// Throws the exception, if there is one and the last call failed because of it.
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

  /// Gives back everything that was taken and not given back.
  void release() noexcept {
    while (last_ != nullptr) give(last_);
  }

 private:
  /// What stands in front of each piece of memory.
  struct record {
    record* newer;
    record* older;
    std::size_t size;
    std::size_t align;
  };

  friend custom<upstream>;
  static constexpr const char* name = "memory resource";

  /// How many bytes are in front of a piece: the record, which ends where the piece begins.
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

/// An allocator of anybody's as a memory resource: a guard, a source, or a pool that somebody else owns. Equal to others on
/// the same allocator (without run-time type information, to itself alone).
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

/// How far the next of the usual sizes of classes is: 16 bytes up to 128, then there are four per doubling.
constexpr std::size_t usual_spacing(std::size_t size) noexcept {
  std::size_t power = 64;
  while (power * 2 <= size) power *= 2;
  return power / 4;
}

/// What a resource keeps at hand of its pool, so that most calls need none to the pool: in general, nothing.
template <class Pool>
class counter {
 public:
  counter(const Pool&, const typename Pool::options&) noexcept {}

  /// Whether the pool serves it; else the resource behind does.
  static constexpr bool fits(std::size_t, std::size_t) noexcept { return true; }
  /// Takes a block that is at hand; null if none is.
  static constexpr void* take(std::size_t, std::size_t) noexcept { return nullptr; }
  /// Keeps a block at hand, or says that it does not.
  static constexpr bool keep(void*, std::size_t, std::size_t) noexcept { return false; }
  static void* fresh(const Pool& pool, std::size_t size, std::size_t align) noexcept { return pool.alloc(size, align); }
  static void give(const Pool& pool, void* block, std::size_t size, std::size_t align) noexcept {
    pool.free(block, size, align);
  }
  /// Gives all blocks at hand back to the pool; says whether there were any.
  static constexpr bool flush(const Pool&) noexcept { return false; }
  static void forget() noexcept {}
};

/// Of blocks of one size: all that are free, unless threads share the pool or it is checked.
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
    return has_shelf(size, align) ? shelf_.take(size_) : nullptr;
  }

  [[nodiscard]] bool keep(void* block, std::size_t size, std::size_t align) noexcept {
    const bool keeps = has_shelf(size, align);
    if (keeps) shelf_.put(block, size_);
    return keeps;
  }

  static void* fresh(const blocks& pool, std::size_t, std::size_t) noexcept { return mp_blocks_alloc(pool.handle()); }
  static void give(const blocks& pool, void* block, std::size_t, std::size_t) noexcept {
    mp_blocks_free(pool.handle(), block);
  }

  bool flush(const blocks& pool) noexcept {
    bool any = false;
    while (void* const block = shelf_.take(size_)) {
      mp_blocks_free(pool.handle(), block);
      any = true;
    }
    return any;
  }

  void forget() noexcept { shelf_.forget(); }

 private:
  /// Whether it is kept; not if it is of no bytes.
  [[nodiscard]] bool has_shelf(std::size_t size, std::size_t align) const noexcept {
    return size - 1 < most_ && align <= align_;
  }

  std::size_t most_;
  std::size_t align_;
  free_cache shelf_;
  std::size_t size_;
};

/// Of blocks of several sizes: a shelf for each class of the pool up to 512 bytes, unless threads share the pool. A shelf holds
/// 256 KiB at most; what is freed beyond that goes to the pool.
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
    // Each size belongs to the next class that holds it.
    for (std::size_t at = most_ / step; at-- > 1;) {
      if (class_of_[at - 1] == none) class_of_[at - 1] = class_of_[at];
    }
  }

  static constexpr bool fits(std::size_t, std::size_t) noexcept { return true; }

  [[nodiscard]] void* take(std::size_t size, std::size_t align) noexcept {
    if (!has_shelf(size, align)) return nullptr;
    stack_of& its = shelf_for(size);
    void* const block = its.blocks.take(its.size);
    its.room += block != nullptr;
    return block;
  }

  [[nodiscard]] bool keep(void* block, std::size_t size, std::size_t align) noexcept {
    if (!has_shelf(size, align)) return false;
    stack_of& its = shelf_for(size);
    if (its.room == 0) return false;
    --its.room;
    its.blocks.put(block, its.size);
    return true;
  }

  /// A block is asked for as what its shelf has, so that it may be used again for all that belongs there.
  [[nodiscard]] void* fresh(const classes& pool, std::size_t size, std::size_t align) noexcept {
    return has_shelf(size, align) ? mp_classes_alloc(pool.handle(), shelf_for(size).size, align_)
                                  : mp_classes_alloc(pool.handle(), size, align);
  }

  void give(const classes& pool, void* block, std::size_t size, std::size_t align) noexcept {
    if (has_shelf(size, align)) {
      mp_classes_free(pool.handle(), block, shelf_for(size).size, align_);
    } else {
      mp_classes_free(pool.handle(), block, size, align);
    }
  }

  bool flush(const classes& pool) noexcept {
    bool any = false;
    for (stack_of& each : shelves_) {
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
      shelves_[at].blocks.forget();
      shelves_[at].room = most_bytes / shelves_[at].size;
    }
  }

 private:
  static constexpr std::size_t step = sizeof(void*);
  static constexpr std::size_t largest = 512;
  static constexpr std::size_t most_bytes = 256 << 10;
  static constexpr unsigned char none = 0xFF;

  struct stack_of {
    free_cache blocks;
    std::size_t room = 0;  // for how many more blocks
    std::size_t size = 0;  // bytes per block
  };

  static constexpr std::size_t round(std::size_t size) noexcept { return (size + 7) / 8 * 8; }

  static constexpr std::array<unsigned char, largest / step> all_none() noexcept {
    std::array<unsigned char, largest / step> all{};
    for (std::size_t at = 0; at < all.size(); ++at) all[at] = none;
    return all;
  }

  /// Gives a class its shelf.
  void add(std::size_t size) noexcept {
    if (size == 0 || size > largest || class_of_[size / step - 1] != none) return;
    class_of_[size / step - 1] = count_;
    shelves_[count_].size = size;
    shelves_[count_++].room = most_bytes / size;
    if (size > most_) most_ = size;
    const std::size_t lowest_bit = size & (~size + 1);
    if (lowest_bit < align_) align_ = lowest_bit;
  }

  /// Whether there is a shelf for it; not for no bytes.
  [[nodiscard]] bool has_shelf(std::size_t size, std::size_t align) const noexcept {
    return size - 1 < most_ && align <= align_;
  }

  /// The remainder changes nothing for a size that has a shelf; without it, compilers warn of sizes that have none.
  [[nodiscard]] stack_of& shelf_for(std::size_t size) noexcept {
    return shelves_[class_of_[(size - 1) / step % class_of_.size()]];
  }

  std::size_t most_ = 0;    // bytes of the largest class that has a shelf
  std::size_t align_ = 16;  // what all classes with a shelf are aligned to
  unsigned char count_ = 0;
  std::array<unsigned char, largest / step> class_of_ = all_none();  // by words, rounded up: the shelf for a size
  stack_of shelves_[largest / 8];
};

}  // namespace detail

namespace detail {

/// The usual sizes of classes, up to the largest block that the options of a pool of `std::pmr` ask for.
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

  /// Options that point here.
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

/// A pool as a memory resource: `resource<classes>` for containers of any kind, `resource<blocks>` for nodes of one size,
/// `resource<linear>` for what goes all at once, and so on. For one thread, unless its options say otherwise; no other
/// resource is equal to it.
///
/// Memory comes from another resource, as with the pools of `std::pmr`, and so does what is too large for `blocks`; an
/// exception that is thrown there is passed on. Or it comes from a parent that the options name. Options, and what they
/// point to, are read by the constructor only; of course the parent and the function that hears of misuse stay in use.
template <class Pool>
class resource final : public std::pmr::memory_resource {
 public:
  using options = typename Pool::options;

  /// A pool as usual, on `upstream`. Throws `error` if there is no memory.
  explicit resource(std::pmr::memory_resource* upstream = std::pmr::get_default_resource())
      : resource(options(), upstream) {}

  /// A pool as wished.
  explicit resource(const options& options, std::pmr::memory_resource* upstream = std::pmr::get_default_resource())
      : above_(upstream),
        named_(options.parent),
        upstream_(options.parent == nullptr ? upstream : &named_),
        pool_(on(options, upstream_)),
        counter_(pool_, options) {}

  /// A pool of classes with the options of the pools of `std::pmr`: blocks of up to `largest_required_pool_block` bytes (0: 32
  /// KiB; more than that counts as so much) come from the pool, larger ones from `upstream`. Chunks double up to a limit of the
  /// pool's own; `max_blocks_per_chunk` does not change it.
  explicit resource(const std::pmr::pool_options& options,
                    std::pmr::memory_resource* upstream = std::pmr::get_default_resource())
      : resource(detail::standard_sizes(options).as_options(), upstream) {}

  resource(const resource&) = delete;
  resource& operator=(const resource&) = delete;

  /// As `std::pmr::memory_resource::allocate`, inlined.
  [[nodiscard]] void* allocate(std::size_t size, std::size_t align = alignof(std::max_align_t)) {
    void* const block = counter_.take(size, align);
    return block != nullptr ? block : fresh(size, align);
  }

  /// As `std::pmr::memory_resource::deallocate`, inlined.
  void deallocate(void* block, std::size_t size, std::size_t align = alignof(std::max_align_t)) noexcept {
    if (!counter_.keep(block, size, align)) give(block, size, align);
  }

  /// Gives all memory back, whatever is still in use.
  void release() noexcept {
    counter_.forget();
    pool_.reset();
    pool_.trim();
    upstream_.release();
  }

  /// Gives chunks without live blocks back; says how many bytes that were. Linear in the free blocks. For one thread, unless
  /// its options say otherwise. A request that finds no memory does the same before it fails.
  std::size_t trim() noexcept {
    counter_.flush(pool_);
    return pool_.trim();
  }

  [[nodiscard]] std::pmr::memory_resource* upstream_resource() const noexcept { return above_; }

  /// The pool behind; blocks at hand are live to it.
  [[nodiscard]] const Pool& pool() const noexcept { return pool_; }

 private:
  static options on(options given, upstream& parent) noexcept {
    if (given.parent == nullptr) given.parent = &parent;
    return given;
  }

  /// A block that is not at hand.
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

  /// Gives up the blocks at hand, so that their memory can be used for other sizes; says whether there were any.
  bool make_room() noexcept {
    if (!counter_.flush(pool_)) return false;
    pool_.trim();
    return true;
  }

  [[nodiscard]] void* ask(std::size_t size, std::size_t align) noexcept {
    return counter_.fits(size, align) ? counter_.fresh(pool_, size, align) : ref(&upstream_).alloc(size, align);
  }

  /// Takes back a block that is not kept at hand.
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

/// An arena that begins with a buffer of the caller's, as `std::pmr::monotonic_buffer_resource`: `monotonic_resource memory(buffer,
/// sizeof buffer)`. What does not fit comes from `upstream`, in chunks that double. For one thread. Unlike the standard one, it
/// uses the block that was freed last again, and after `release` it begins with the buffer anew, as that one does.
class monotonic_resource final : public std::pmr::memory_resource {
 public:
  /// Throws `error` if there is no memory for the arena's own books, or no buffer.
  monotonic_resource(void* memory, std::size_t size,
                     std::pmr::memory_resource* upstream = std::pmr::get_default_resource())
      : above_(upstream),
        upstream_(upstream),
        first_(memory, size),
        both_(pair_of(first_, &upstream_)),
        pool_(sized(both_, size)) {}

  monotonic_resource(const monotonic_resource&) = delete;
  monotonic_resource& operator=(const monotonic_resource&) = delete;

  /// Gives all memory back to `upstream`, whatever is still in use.
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
