// The list of free blocks inside boost::lockfree, with a loop over it: see src/lock_free.rs.

#include <cstddef>
#include <memory>

#if __has_include(<boost/lockfree/detail/freelist.hpp>)
#include <boost/lockfree/detail/freelist.hpp>

namespace {

struct alignas(64) Block {
    char bytes[64];
    Block() {}
};

using List = boost::lockfree::detail::freelist_stack<Block>;

} // namespace

extern "C" {

void *freelist_new(std::size_t blocks) { return new List(std::allocator<Block>(), blocks); }

void *freelist_take(void *list) { return static_cast<List *>(list)->construct<true, true>(); }

void freelist_give(void *list, void *block) {
    static_cast<List *>(list)->destruct<true>(static_cast<Block *>(block));
}

void freelist_pairs(void *list, std::size_t pairs) {
    auto &blocks = *static_cast<List *>(list);
    for (std::size_t i = 0; i != pairs; ++i) {
        Block *block = blocks.construct<true, true>();
        asm volatile("" : "+r"(block) : : "memory");
        blocks.destruct<true>(block);
    }
}
}
#else
extern "C" {

void *freelist_new(std::size_t) { return nullptr; }
void *freelist_take(void *) { return nullptr; }
void freelist_give(void *, void *) {}
void freelist_pairs(void *, std::size_t) {}
}
#endif
