/* The rules of the interface: blocks with the specified number of chunks, statistics, strategies, scopes,
 * reallocation in place. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "goo_pool_allocator.h"

static int failed;
#define CHECK(what) ((what) ? (void)0 : (void)(failed++, printf("line %d: %s\n", __LINE__, #what)))

static size_t chunks(GooPoolAllocator *pool, size_t *free_chunks)
{
    size_t total;
    goo_pool_get_stats(pool, free_chunks, &total);
    return total;
}

static int is_zero(const unsigned char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != 0)
            return 0;
    return 1;
}

/* A parent that fails after some requests, and records the requests. */
static int left;
static size_t last_size;
static void *(*system_alloc)(GooAllocator *, size_t, size_t, GooAllocOptions);
static void *limited_alloc(GooAllocator *self, size_t size, size_t alignment, GooAllocOptions options)
{
    last_size = size;
    return left-- > 0 ? system_alloc(self, size, alignment, options) : NULL;
}

static void sized(GooAllocator *parent)
{
    GooPoolAllocator *pool = goo_pool_allocator_create_sized(parent, 48, 16, 10);
    GooAllocator *it = &pool->allocator;
    void *all[25];
    size_t free_chunks;
    CHECK(chunks(pool, &free_chunks) == 10 && free_chunks == 10);
    for (int i = 0; i < 25; i++) {
        all[i] = it->alloc(it, 48, 16, GOO_ALLOC_DEFAULT);
        CHECK(all[i] != NULL && (uintptr_t)all[i] % 16 == 0);
        memset(all[i], i, 48);
        size_t total = chunks(pool, &free_chunks);
        CHECK(total == (size_t)(i / 10 + 1) * 10 && free_chunks == total - (size_t)i - 1);
    }
    for (int i = 0; i < 25; i++)
        CHECK(((unsigned char *)all[i])[47] == i);
    CHECK(it->stats.allocation_count == 25 && it->stats.bytes_allocated == 25 * 48);
    it->free(it, all[7], 48, 16);
    CHECK(it->alloc(it, 1, 1, GOO_ALLOC_ZERO) == all[7] && is_zero(all[7], 48));
    it->free(it, NULL, 48, 16);

    goo_pool_reset(pool);
    CHECK(chunks(pool, &free_chunks) == 30 && free_chunks == 30 && it->stats.allocation_count == 0);
    for (int i = 0; i < 30; i++)
        CHECK(it->alloc(it, 48, 8, GOO_ALLOC_DEFAULT) != NULL);
    CHECK(chunks(pool, &free_chunks) == 30 && free_chunks == 0);
    goo_pool_reset(NULL);

    /* Sizes that do not fit a chunk. */
    CHECK(it->alloc(it, 49, 16, GOO_ALLOC_DEFAULT) == NULL);
    CHECK(it->alloc(it, 48, 32, GOO_ALLOC_DEFAULT) == NULL);
    CHECK(it->stats.failed_allocations == 2);
    it->destroy(it);
}

static void reallocation(GooAllocator *parent)
{
    GooPoolAllocator *pool = goo_pool_allocator_create(parent, 64, 8, 4);
    GooAllocator *it = &pool->allocator;
    size_t free_chunks;
    CHECK(chunks(pool, &free_chunks) == 4 && free_chunks == 4);
    unsigned char *block = it->realloc(it, NULL, 0, 20, 8, GOO_ALLOC_DEFAULT);
    memset(block, 1, 64);
    CHECK(it->realloc(it, block, 20, 64, 8, GOO_ALLOC_ZERO) == block && block[19] == 1 && is_zero(block + 20, 44));
    CHECK(it->realloc(it, block, 64, 10, 8, GOO_ALLOC_DEFAULT) == block);
    CHECK(it->realloc(it, block, 10, 65, 8, GOO_ALLOC_DEFAULT) == NULL && block[0] == 1);
    CHECK(it->stats.bytes_allocated == 10 && it->stats.max_bytes_allocated == 64);
    CHECK(it->realloc(it, block, 10, 0, 8, GOO_ALLOC_DEFAULT) == NULL);
    CHECK(chunks(pool, &free_chunks) == 4 && free_chunks == 4);
    CHECK(it->stats.total_allocations == 1 && it->stats.total_frees == 1);
    it->destroy(it);
}

static void nonsense(GooAllocator *parent)
{
    CHECK(goo_pool_allocator_create(NULL, 64, 16, 10) == NULL);
    CHECK(goo_pool_allocator_create_sized(NULL, 64, 16, 10) == NULL);
    CHECK(goo_pool_allocator_create_sized(parent, 64, 16, 0) == NULL);
    CHECK(goo_pool_allocator_create(parent, 0, 16, 10) == NULL);
    CHECK(goo_pool_allocator_create(parent, 64, 24, 10) == NULL);
    GooPoolAllocator *pool = goo_pool_allocator_create(parent, 64, 16, 0);
    CHECK(pool != NULL && chunks(pool, NULL) >= 1);
    pool->allocator.destroy(&pool->allocator);
}

static int calls;
static void make_room(void)
{
    calls++;
    left = 1;
}

static void strategies(GooAllocator *parent)
{
    system_alloc = parent->alloc;
    parent->alloc = limited_alloc;
    left = 0;
    CHECK(goo_pool_allocator_create(parent, 64, 16, 10) == NULL);
    left = 1;
    CHECK(goo_pool_allocator_create(parent, 64, 16, 10) == NULL);
    left = 2;
    GooPoolAllocator *pool = goo_pool_allocator_create_sized(parent, 64, 16, 1);
    GooAllocator *it = &pool->allocator;
    CHECK(last_size == 64);
    CHECK(it->alloc(it, 64, 16, GOO_ALLOC_DEFAULT) != NULL);
    CHECK(it->alloc(it, 64, 16, GOO_ALLOC_DEFAULT) == NULL && it->stats.failed_allocations == 1);
    it->strategy = GOO_ALLOC_STRATEGY_RETRY;
    CHECK(it->alloc(it, 64, 16, GOO_ALLOC_DEFAULT) == NULL && calls == 0);
    it->out_of_mem_fn = make_room;
    CHECK(it->alloc(it, 64, 16, GOO_ALLOC_DEFAULT) != NULL && calls == 1);
    CHECK(it->alloc(it, 65, 16, GOO_ALLOC_DEFAULT) == NULL && calls == 1);
    it->strategy = GOO_ALLOC_STRATEGY_GC;
    CHECK(it->alloc(it, 64, 16, GOO_ALLOC_DEFAULT) == NULL && calls == 1);
    it->destroy(it);
    parent->alloc = system_alloc;
}

static void scopes(void)
{
    CHECK(goo_memory_init());
    GooAllocator *it = goo_get_default_allocator();
    {
        GOO_SCOPE_ALLOC(text, 200);
        strcpy(text, "freed at the end of the scope");
        CHECK(it->stats.allocation_count == 1 && it->stats.bytes_allocated >= 200);
    }
    CHECK(it->stats.allocation_count == 0 && it->stats.bytes_allocated == 0 && it->stats.total_frees == 1);
    {
        GOO_SCOPE_ALLOC(nothing, (size_t)-1);
        CHECK(nothing == NULL);
    }

    int *numbers = goo_alloc_zero(10 * sizeof *numbers);
    CHECK(is_zero((unsigned char *)numbers, 10 * sizeof *numbers));
    numbers[9] = 9;
    numbers = goo_realloc(numbers, 10 * sizeof *numbers, 1000 * sizeof *numbers);
    CHECK(numbers[9] == 9);
    goo_free(numbers, 1000 * sizeof *numbers);
    void *wide = goo_alloc_aligned(100, 256);
    CHECK((uintptr_t)wide % 256 == 0);
    goo_free_aligned(wide, 100, 256);
    void *page = it->alloc(it, 100, 8, GOO_ALLOC_PAGE);
    CHECK((uintptr_t)page % mp_page_size() == 0);
    it->free(it, page, 100, mp_page_size());
    CHECK(goo_get_alloc_stats(NULL).allocation_count == 0);
    CHECK(goo_get_alloc_stats(it).total_allocations == 4);

    goo_set_out_of_mem_handler(make_room);
    calls = 0;
    CHECK(goo_alloc((size_t)-1 / 4) == NULL && calls == 1);
    goo_memory_cleanup();
}

int main(void)
{
    GooAllocator *parent = goo_system_allocator_create();
    sized(parent);
    reallocation(parent);
    nonsense(parent);
    strategies(parent);
    scopes();
    GooAllocStats stats = goo_get_alloc_stats(parent);
    CHECK(stats.allocation_count == 0 && stats.bytes_allocated == 0);
    parent->destroy(parent);
    puts(failed == 0 ? "all as promised" : "not as promised");
    return failed != 0;
}
