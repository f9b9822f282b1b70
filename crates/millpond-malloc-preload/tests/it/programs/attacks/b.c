// Attacks on small and large blocks, and what a careful program may expect of a malloc.
#include "attack.h"

enum { SMALL = 128, LARGE = 256 << 10 };

size_t millpond_malloc_object_size(const void *address) __attribute__((weak));
void free_sized(void *block, size_t size) __attribute__((weak));

static size_t object_size(const void *address) {
    not_caught_if(!millpond_malloc_object_size);
    return millpond_malloc_object_size(address);
}

static void offset(size_t size) {
    (void)size;
    for (size_t bytes = 1; bytes < 70000; bytes += bytes / 8 + 1) {
        char *first = malloc(bytes), *second = malloc(bytes);
        not_caught_if((uintptr_t)first % 16 || (uintptr_t)second % 16);
        not_caught_if(first < second ? second - first < (ptrdiff_t)bytes : first - second < (ptrdiff_t)bytes);
    }
}

#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
static void info(size_t size) {
    (void)size;
    struct mallinfo before = mallinfo();
    not_caught_if(!malloc(10 * MEBIBYTE) || mallinfo().uordblks <= before.uordblks);
}

static void info2(size_t size) {
    (void)size;
    struct mallinfo2 before = mallinfo2();
    not_caught_if(!malloc(10 * MEBIBYTE) || mallinfo2().uordblks <= before.uordblks);
}

static void information(size_t size) {
    (void)size;
    char *text = NULL;
    size_t length;
    FILE *file = open_memstream(&text, &length);
    not_caught_if(malloc_info(0, file));
    fclose(file);
    not_caught_if(strncmp(text, "<malloc version=\"", 17));
}

static void large_array_growth(size_t size) {
    (void)size;
    unsigned char *block = NULL;
    size_t length = 0;
    for (size_t next = 1; next < 64 * MEBIBYTE; next += next / 2 + 1) {
        block = realloc(block, next);
        not_caught_if(!block || (length && (block[0] != 1 || block[length - 1] != 1)));
        memset(block, 1, next);
        length = next;
    }
    free(block);
}

static void free_twice(size_t size) {
    void *block = malloc(size);
    free(block);
    free(block);
    not_caught();
}

static void free_twice_delayed(size_t size) {
    void *block = malloc(size), *other = malloc(size);
    free(block);
    free(other);
    free(block);
    not_caught();
}

static void free_unaligned(size_t size) {
    free((char *)malloc(size) + 1);
    not_caught();
}

static void read_free(size_t size) {
    unsigned char *block = malloc(size);
    memset(block, 'a', size);
    free(block);
    not_caught_if(has_byte(block, size, 'a'));
}

static void write_free(size_t size) {
    volatile char *block = malloc(size);
    free((void *)block);
    block[size / 2 + 1] = 'a';
    pairs(size, 100000);
    not_caught();
}

static void write_free_reuse(size_t size) {
    volatile char *block = malloc(size);
    free((void *)block);
    void *other = malloc(size);
    block[size / 2 + 1] = 'a';
    free(other);
    pairs(size, 100000);
    not_caught();
}

static void read_zero(size_t size) {
    (void)size;
    volatile char *block = malloc(0);
    (void)*block;
    not_caught();
}

static void write_zero(size_t size) {
    (void)size;
    volatile char *block = malloc(0);
    *block = 5;
    not_caught();
}

static void free_mapping(int protection) {
    free(malloc(16));
    free(mmap(NULL, 4096 * 16, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    not_caught();
}

static void free_protected(size_t size) { (void)size; free_mapping(PROT_NONE); }
static void free_unprotected(size_t size) { (void)size; free_mapping(PROT_READ | PROT_WRITE); }

static void free_beyond(size_t distance) {
    free((char *)malloc(16) + distance);
    not_caught();
}

static void read_new(size_t size) {
    unsigned char *block = malloc(size);
    memset(block, 'a', size);
    free(block);
    for (int times = 0; times < 1000; times++) {
        block = malloc(size);
        not_caught_if(!is_zero(block, size));
        memset(block, 'a', size);
        free(block);
    }
}

static void *wild(void) {
    // What an uninitialised pointer may hold: an address in which there are no blocks.
    return (void *)(uintptr_t)0x10;
}

static void free_wild(size_t size) { (void)size; free(wild()); not_caught(); }
static void realloc_wild(size_t size) { (void)size; not_caught_if(realloc(wild(), 16) != NULL); not_caught(); }
static void usable_wild(size_t size) { (void)size; malloc_usable_size(wild()); not_caught(); }

static void overflow(size_t size, size_t by) {
    volatile char *block = malloc(size);
    block[malloc_usable_size((void *)block) + by - 1] = 1;
    free((void *)block);
    not_caught();
}

static void overflow_1(size_t size) { overflow(size, 1); }
static void overflow_8(size_t size) { overflow(size, 8); }

static void string_overflow(size_t size) {
    (void)size;
    char *block = malloc(16);
    size_t usable = malloc_usable_size(block);
    memset(block, 'a', usable);
    not_caught_if(strlen(block) != usable);
}

static void free_wrong_size(size_t size) {
    void *block = malloc(size);
    not_caught_if(!free_sized);
    free_sized(block, size / 2);
    not_caught();
}

static void usable_inside(size_t size) {
    malloc_usable_size((char *)malloc(size) + 1);
    not_caught();
}

static void usable_invalid(size_t size) {
    malloc_usable_size((char *)malloc(size) + 16384);
    not_caught();
}

static void usable_free(size_t size) {
    void *block = malloc(size);
    free(block);
    malloc_usable_size(block);
    not_caught();
}

static void object(size_t size) {
    char *block = malloc(size);
    size_t found = object_size(block);
    not_caught_if(found < size || found != malloc_usable_size(block));
}

static void object_offset(size_t size) {
    char *block = malloc(size);
    size_t usable = malloc_usable_size(block);
    not_caught_if(object_size(block + 5) != usable - 5 || object_size(block + usable - 1) != 1);
}

static void object_zero(size_t size) {
    (void)size;
    not_caught_if(object_size(malloc(0)) != 0);
}

static void object_invalid(size_t size) {
    object_size((char *)malloc(size) + 16384);
    not_caught();
}

static void object_free(size_t size) {
    void *block = malloc(size);
    free(block);
    object_size(block);
    not_caught();
}

static void too_large(size_t size) {
    (void)size;
    not_caught_if(malloc((size_t)-8) || malloc((size_t)-8192) || malloc((size_t)PTRDIFF_MAX + 1));
}

static void realloc_init(size_t size) {
    (void)size;
    void *block = realloc(NULL, 16);
    not_caught_if(!block);
    block = realloc(block, 1000);
    not_caught_if(!block);
    free(block);
}

static void calloc_overflow(size_t size) {
    (void)size;
    not_caught_if(calloc(((size_t)1 << 63) + 1, 2) != NULL);
}

static void calloc_zeroed(size_t size) {
    (void)size;
    for (size_t bytes = 1; bytes < 300000; bytes += bytes / 2 + 1) {
        void *block = malloc(bytes);
        memset(block, 'a', bytes);
        free(block);
        not_caught_if(!is_zero(calloc(1, bytes), bytes));
    }
}

static void zero_different(size_t size) {
    (void)size;
    not_caught_if(malloc(0) == malloc(0));
}

static void no_reuse(size_t size) {
    (void)size;
    for (size_t bytes = 16; bytes < 300000; bytes *= 4) {
        void *block = malloc(bytes);
        uintptr_t address = (uintptr_t)block;
        free(block);
        not_caught_if((uintptr_t)malloc(bytes) == address);
    }
}

#define BOTH(run)                                                                                                      \
    static void run##_small(size_t size) { (void)size; run(SMALL); }                                                   \
    static void run##_large(size_t size) { (void)size; run(LARGE); }

BOTH(free_twice)
BOTH(free_twice_delayed)
BOTH(free_unaligned)
BOTH(read_free)
BOTH(write_free)
BOTH(write_free_reuse)
BOTH(read_new)
BOTH(overflow_1)
BOTH(overflow_8)
BOTH(free_wrong_size)

static void region(size_t size) { (void)size; free_beyond(16384); }
static void region_far(size_t size) { (void)size; free_beyond(1024 * MEBIBYTE); }
static void usable_inside_small(size_t size) { (void)size; usable_inside(SMALL); }
static void usable_invalid_small(size_t size) { (void)size; usable_invalid(SMALL); }
static void usable_free_small(size_t size) { (void)size; usable_free(SMALL); }
static void object_small(size_t size) { (void)size; object(SMALL); }
static void object_offset_small(size_t size) { (void)size; object_offset(SMALL); }
static void object_invalid_small(size_t size) { (void)size; object_invalid(SMALL); }
static void object_free_small(size_t size) { (void)size; object_free(SMALL); }

static const struct attack attacks[] = {
    {"offset", offset, 1}, {"mallinfo", info, 1}, {"mallinfo2", info2, 1}, {"malloc_info", information, 1},
    {"large_array_growth", large_array_growth, 1},
    {"double_free_large", free_twice_large}, {"double_free_large_delayed", free_twice_delayed_large},
    {"double_free_small", free_twice_small}, {"double_free_small_delayed", free_twice_delayed_small},
    {"unaligned_free_large", free_unaligned_large}, {"unaligned_free_small", free_unaligned_small},
    {"read_after_free_large", read_free_large}, {"read_after_free_small", read_free_small},
    {"write_after_free_large", write_free_large}, {"write_after_free_large_reuse", write_free_reuse_large},
    {"write_after_free_small", write_free_small}, {"write_after_free_small_reuse", write_free_reuse_small},
    {"read_zero_size", read_zero}, {"write_zero_size", write_zero},
    {"invalid_free_protected", free_protected}, {"invalid_free_unprotected", free_unprotected},
    {"invalid_free_small_region", region}, {"invalid_free_small_region_far", region_far},
    {"uninitialized_read_small", read_new_small}, {"uninitialized_read_large", read_new_large},
    {"uninitialized_free", free_wild}, {"uninitialized_realloc", realloc_wild},
    {"uninitialized_malloc_usable_size", usable_wild},
    {"overflow_large_1_byte", overflow_1_large}, {"overflow_large_8_byte", overflow_8_large},
    {"overflow_small_1_byte", overflow_1_small}, {"overflow_small_8_byte", overflow_8_small},
    {"string_overflow", string_overflow, 1},
    {"free_sized_small", free_wrong_size_small}, {"free_sized_large", free_wrong_size_large},
    {"unaligned_malloc_usable_size_small", usable_inside_small},
    {"invalid_malloc_usable_size_small", usable_invalid_small},
    {"invalid_malloc_usable_size_small_quarantine", usable_free_small},
    {"malloc_object_size", object_small, 1}, {"malloc_object_size_offset", object_offset_small, 1},
    {"malloc_object_size_zero", object_zero, 1},
    {"invalid_malloc_object_size_small", object_invalid_small},
    {"invalid_malloc_object_size_small_quarantine", object_free_small},
    {"impossibly_large_malloc", too_large, 1}, {"realloc_init", realloc_init, 1},
    {"calloc_overflow", calloc_overflow, 1}, {"calloc_zeroed", calloc_zeroed, 1},
    {"malloc_zero_different", zero_different, 1}, {"malloc_noreuse", no_reuse, 1},
};

int main(int words, char **word) { return RUN(attacks); }
