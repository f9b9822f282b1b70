// Attacks for blocks of any size: what benchmarks of allocators call their security tests.
#include "attack.h"

static unsigned char bytes[2 << 20];

// Changes one byte at a distance from the start of a block, and frees the block.
static void change(size_t size, ptrdiff_t at) {
    volatile unsigned char *block = malloc(size);
    block[at] ^= 'A';
    free((void *)block);
    not_caught();
}

static void one_byte_overflow(size_t size) { change(size, size); }
static void overflow_by_32(size_t size) { change(size, size + 31); }
static void one_mbyte_overflow(size_t size) { change(size, size - 1 + MEBIBYTE); }
static void one_byte_underflow(size_t size) { change(size, -1); }
static void underflow_by_32(size_t size) { change(size, -32); }
static void one_mbyte_underflow(size_t size) { change(size, -(ptrdiff_t)MEBIBYTE); }

static void copy_behind(size_t size, size_t more) {
    memcpy(malloc(size), bytes, size + more);
    not_caught();
}

static void copy_in_front(size_t size, size_t more) {
    memcpy((char *)malloc(size) - more, bytes, more);
    not_caught();
}

static void memcpy_one_byte_overflow(size_t size) { copy_behind(size, 1); }
static void memcpy_overflow_by_32(size_t size) { copy_behind(size, 32); }
static void memcpy_one_mbyte_overflow(size_t size) { copy_behind(size, MEBIBYTE); }
static void memcpy_one_byte_underflow(size_t size) { copy_in_front(size, 1); }
static void memcpy_underflow_by_32(size_t size) { copy_in_front(size, 32); }
static void memcpy_one_mbyte_underflow(size_t size) { copy_in_front(size, MEBIBYTE); }

static void executable_heap(size_t size) {
    unsigned char *block = malloc(size);
    block[0] = 0xC3; // ret
    ((void (*)(void))(uintptr_t)block)();
    not_caught();
}

static void impossibly_large_malloc(size_t size) {
    (void)size;
    not_caught_if(malloc((size_t)-2) != NULL);
}

static void free_twice(size_t size, int between) {
    void *block = malloc(size);
    free(block);
    pairs(size, between);
    free(block);
    not_caught();
}

static void double_free(size_t size) { free_twice(size, 0); }
static void double_free_reuse(size_t size) { free_twice(size, 262144); }

static void double_free_delayed(size_t size) {
    static void *others[1024];
    void *block = malloc(size);
    for (int at = 0; at < 1024; at++)
        others[at] = malloc(size);
    free(block);
    for (int at = 0; at < 1024; at++)
        free(others[at]);
    free(block);
    not_caught();
}

static void double_free_interleaved(size_t size) {
    void *first = malloc(size), *second = malloc(size);
    free(first);
    free(second);
    free(first);
    not_caught();
}

static void double_free_single_reuse(size_t size) {
    void *old = malloc(size);
    free(old);
    void *new = malloc(size);
    free(old);
    free(new);
    not_caught();
}

static void free_invalid(void *block) {
    free(block);
    not_caught();
}

static void invalid_free(size_t size) {
    (void)size;
    free_invalid((void *)1);
}

static void invalid_free_alloca(size_t size) {
    free_invalid(alloca(size));
}

static void invalid_free_stack(size_t size) {
    (void)size;
    char block[64];
    free_invalid(block);
}

static void invalid_free_close(size_t size) { free_invalid((char *)malloc(size) + 4096); }
static void invalid_free_far(size_t size) { free_invalid((char *)malloc(size) + 1024 * MEBIBYTE); }
static void invalid_free_unaligned(size_t size) { free_invalid((char *)malloc(size) + 1); }
static void invalid_free_unaligned_multiple(size_t size) { free_invalid((char *)malloc(size) + 8); }

static void reuse(size_t size, size_t next) {
    void *block = malloc(size);
    uintptr_t address = (uintptr_t)block;
    free(block);
    not_caught_if(address == (uintptr_t)malloc(next));
}

static void malloc_reuse(size_t size) { reuse(size, size); }
static void malloc_reuse_downsize(size_t size) { reuse(size, size - 1); }

// The original compares a pointer with its copy: only the end of the program counts, and nothing is to be caught.
static void realloc_reuse(size_t size) {
    void *block = realloc(malloc(size), 2 * size);
    free(block);
    not_caught();
}

static void zero_size(int write, int release) {
    volatile char *block = malloc(0);
    char byte = 'A';
    if (write)
        *block = byte;
    else
        byte = *block;
    (void)byte;
    if (release)
        free((void *)block);
    not_caught();
}

static void read_zero_size(size_t size) { (void)size; zero_size(0, 0); }
static void read_zero_size_free(size_t size) { (void)size; zero_size(0, 1); }
static void write_zero_size(size_t size) { (void)size; zero_size(1, 0); }
static void write_zero_size_free(size_t size) { (void)size; zero_size(1, 1); }

static void write_free(size_t size, int then) {
    volatile char *block = malloc(size);
    free((void *)block);
    block[0] = 'A';
    pairs(size, then);
    not_caught();
}

static void write_after_free(size_t size) { write_free(size, 0); }
static void write_after_free_reuse(size_t size) { write_free(size, 262144); }

static void zero_after_free(size_t size) {
    unsigned char *block = malloc(size);
    memset(block, 'A', size);
    free(block);
    not_caught_if(has_byte(block, size, 'A'));
}

static void zero_on_malloc(size_t size) {
    for (int times = 0; times < 4096; times++) {
        unsigned char *block = malloc(size);
        not_caught_if(has_byte(block, size, 'A'));
        memset(block, 'A', size);
        free(block);
    }
}

#define ATTACK(name) {#name, name}

static const struct attack attacks[] = {
    ATTACK(one_byte_overflow), ATTACK(overflow_by_32), ATTACK(one_mbyte_overflow),
    ATTACK(one_byte_underflow), ATTACK(underflow_by_32), ATTACK(one_mbyte_underflow),
    ATTACK(memcpy_one_byte_overflow), ATTACK(memcpy_overflow_by_32), ATTACK(memcpy_one_mbyte_overflow),
    ATTACK(memcpy_one_byte_underflow), ATTACK(memcpy_underflow_by_32), ATTACK(memcpy_one_mbyte_underflow),
    ATTACK(executable_heap), ATTACK(impossibly_large_malloc),
    ATTACK(double_free), ATTACK(double_free_delayed), ATTACK(double_free_interleaved), ATTACK(double_free_reuse),
    ATTACK(double_free_single_reuse),
    ATTACK(invalid_free), ATTACK(invalid_free_alloca), ATTACK(invalid_free_stack), ATTACK(invalid_free_close),
    ATTACK(invalid_free_far), ATTACK(invalid_free_unaligned), ATTACK(invalid_free_unaligned_multiple),
    ATTACK(malloc_reuse), ATTACK(malloc_reuse_downsize), ATTACK(realloc_reuse),
    ATTACK(read_zero_size), ATTACK(read_zero_size_free), ATTACK(write_zero_size), ATTACK(write_zero_size_free),
    ATTACK(write_after_free), ATTACK(write_after_free_reuse), ATTACK(zero_after_free), ATTACK(zero_on_malloc),
};

int main(int words, char **word) { return RUN(attacks); }
