// Pools of other libraries behind C calls, as a program in C would have to write them.
#include <boost/pool/pool.hpp>
#include <cstdlib>
#include <foonathan/memory/memory_pool.hpp>
#include <foonathan/memory/namespace_alias.hpp>

#include "hand.h"

using boost_pool = boost::pool<>;using foonathan_pool = memory::memory_pool<memory::node_pool>;

extern "C" void *boost_create(size_t size) { return new boost_pool(size, 1024, 1024); }
extern "C" void *boost_alloc(void *pool) { return static_cast<boost_pool *>(pool)->malloc(); }
extern "C" void boost_free(void *pool, void *block) { static_cast<boost_pool *>(pool)->free(block); }

extern "C" void boost_destroy(void *pool) { delete static_cast<boost_pool *>(pool); }

extern "C" void *foonathan_create(size_t size) { return new foonathan_pool(size, 1 << 16); }
extern "C" void *foonathan_alloc(void *pool) { return static_cast<foonathan_pool *>(pool)->allocate_node(); }
extern "C" void foonathan_free(void *pool, void *block) {
    static_cast<foonathan_pool *>(pool)->deallocate_node(block);
}
extern "C" void foonathan_destroy(void *pool) { delete static_cast<foonathan_pool *>(pool); }

struct sized {
    size_t size;
};
extern "C" void *libc_create(size_t size) { return new sized{size}; }
extern "C" void *libc_alloc(void *pool) { return std::malloc(static_cast<sized *>(pool)->size); }
extern "C" void libc_free(void *, void *block) { std::free(block); }
extern "C" void libc_destroy(void *pool) { delete static_cast<sized *>(pool); }
