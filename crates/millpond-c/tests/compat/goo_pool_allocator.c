/* The examples of the pool's description, unchanged, in one program. */
#include <stdio.h>
#include <string.h>

#include "goo_pool_allocator.h"

GooPoolAllocator* goo_pool_allocator_create(
    GooAllocator* parent, 
    size_t chunk_size, 
    size_t alignment, 
    size_t initial_capacity
);
GooPoolAllocator* goo_pool_allocator_create_sized(
    GooAllocator* parent, 
    size_t chunk_size, 
    size_t alignment, 
    size_t chunks_per_block
);
void goo_pool_reset(GooPoolAllocator* pool);
void goo_pool_get_stats(
    GooPoolAllocator* pool, 
    size_t* free_chunks, 
    size_t* total_chunks
);
void* pool_alloc(
    GooAllocator* self, 
    size_t size, 
    size_t alignment, 
    GooAllocOptions options
);
void* pool_realloc(
    GooAllocator* self, 
    void* ptr, 
    size_t old_size, 
    size_t new_size, 
    size_t alignment, 
    GooAllocOptions options
);
void pool_free(
    GooAllocator* self, 
    void* ptr, 
    size_t size, 
    size_t alignment
);
void pool_destroy(GooAllocator* self);

static void basic_usage(void)
{
// Create a system allocator as the parent
GooAllocator* system_alloc = goo_system_allocator_create();

// Create a pool allocator for objects of size 128 bytes with 16-byte alignment
// and an initial capacity of 1024 chunks
GooPoolAllocator* pool = goo_pool_allocator_create(system_alloc, 128, 16, 1024);

// Get the allocator interface
GooAllocator* pool_alloc = &pool->allocator;

// Allocate memory from the pool
void* ptr = pool_alloc->alloc(pool_alloc, 100, 16, GOO_ALLOC_ZERO);

// Use the memory...

// Free memory back to the pool
pool_alloc->free(pool_alloc, ptr, 100, 16);

// Get pool statistics
size_t free_chunks, total_chunks;
goo_pool_get_stats(pool, &free_chunks, &total_chunks);
printf("Pool usage: %zu/%zu chunks\n", total_chunks - free_chunks, total_chunks);

// Reset the pool (return all allocations to free list)
goo_pool_reset(pool);

// Destroy the pool when done
pool_alloc->destroy(pool_alloc);
system_alloc->destroy(system_alloc);
}

// Define a structure
typedef struct MyObject {
    int id;
    char name[32];
    double value;
} MyObject;

static void object_allocation(void)
{
GooAllocator* system_alloc = goo_system_allocator_create();
// Create a pool allocator for MyObject structures
GooPoolAllocator* obj_pool = goo_pool_allocator_create(
    system_alloc, sizeof(MyObject), 16, 100
);
GooAllocator* allocator = &obj_pool->allocator;

// Allocate an object
MyObject* obj = (MyObject*)allocator->alloc(
    allocator, sizeof(MyObject), 16, GOO_ALLOC_ZERO
);

// Initialize the object
obj->id = 42;
strcpy(obj->name, "Example");
obj->value = 3.14;

// Use the object...
printf("%d %s %.2f\n", obj->id, obj->name, obj->value);

// Free the object
allocator->free(allocator, obj, sizeof(MyObject), 16);

// Destroy the pool
allocator->destroy(allocator);
system_alloc->destroy(system_alloc);
}

int main(void)
{
    basic_usage();
    object_allocation();
    return 0;
}
