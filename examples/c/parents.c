/* Every pool takes a parent and is itself an allocator. Here the first parent is an allocator of the program, which counts.
 * A limit, a pool of size classes and a pool of blocks are stacked on it; requests for chunks pass through all of them. */
#include <millpond.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A custom allocator: a table of functions, and a structure that starts with a pointer to it. */
typedef struct meter {
    mp_allocator allocator;
    size_t bytes;
} meter;

static void *meter_alloc(mp_allocator *self, size_t size, size_t align, mp_flags flags) {
    void *block = mp_alloc(mp_heap(), size, align, flags);
    if (block)
        ((meter *)self)->bytes += size;
    return block;
}

static void meter_free(mp_allocator *self, void *block, size_t size, size_t align) {
    mp_free(mp_heap(), block, size, align);
    ((meter *)self)->bytes -= size;
}

static const mp_table meter_table = {
    .struct_size = sizeof(mp_table),
    .name = "meter",
    .alloc = meter_alloc,
    .free = meter_free,
};

int main(void) {
    meter heap = {.allocator = {.table = &meter_table}};
    mp_allocator *limit = mp_limit_create(MP_OPTIONS(mp_limit_options, .inner = &heap.allocator, .bytes = 1 << 20));
    mp_classes *classes = mp_classes_create(MP_OPTIONS(mp_classes_options, .parent = limit));
    mp_blocks *nodes =
        mp_blocks_create(MP_OPTIONS(mp_blocks_options, .block_size = 48, .parent = &classes->allocator));
    if (!limit || !classes || !nodes)
        return 1;

    char *name = mp_classes_alloc(classes, 20, 1);
    if (!name)
        return 1;
    strcpy(name, "names and nodes");
    int count = 0;
    while (mp_blocks_alloc(nodes))
        count++;
    printf("%s: more than 10000 nodes: %s\n", name, count > 10000 ? "yes" : "no");
    printf("then: %s\n", mp_last_detail());
    printf("the heap gave less than a mebibyte: %s\n", heap.bytes <= 1 << 20 ? "yes" : "no");

    mp_destroy(&nodes->allocator);
    mp_destroy(&classes->allocator);
    mp_destroy(limit);
    printf("and has %zu bytes less than it gave\n", heap.bytes);
    return 0;
}
