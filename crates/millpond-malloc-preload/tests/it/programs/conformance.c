// What the C library's own tests, and those of other allocators, ask of a malloc. Prints each violation; exits with
// their number.
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int violations;

#define CHECK(condition) ((condition) ? 0 : (violations++, fprintf(stderr, "%s:%d: %s\n", __func__, __LINE__, #condition)))

// Hides a value from the compiler, which knows what malloc does.
static void *hide(void *value) {
    __asm__ volatile("" : "+r"(value));
    return value;
}

static size_t hidden(size_t value) {
    __asm__ volatile("" : "+r"(value));
    return value;
}

static void no_bytes(void) {
    void *blocks[] = {hide(malloc(0)), hide(malloc(0)), hide(calloc(0, 0)), hide(calloc(0, 1)), hide(calloc(1, 0)), hide(realloc(NULL, 0))};
    enum { COUNT = sizeof blocks / sizeof *blocks };
    for (int i = 0; i < COUNT; i++) {
        CHECK(blocks[i] != NULL);
        for (int j = 0; j < i; j++)
            CHECK(blocks[i] != blocks[j]);
    }
    for (int i = 0; i < COUNT; i++)
        free(blocks[i]);
    free(hide(NULL));
}

static void refuse(size_t size) {
    void *place = &violations, *small = hide(malloc(40));
    memset(small, 7, 40);
    free(hide(malloc(16)));
#define REFUSED(call) (errno = 0, CHECK(hide(call) == NULL), CHECK(errno == ENOMEM))
    REFUSED(malloc(size));
    REFUSED(calloc(1, size));
    REFUSED(calloc(size, 1));
    REFUSED(calloc(size / 2 + 1, 2));
    REFUSED(realloc(NULL, size));
    REFUSED(realloc(small, size));
    REFUSED(reallocarray(small, size / 4 + 1, 4));
    REFUSED(memalign(64, size));
    REFUSED(memalign(1 << 20, size));
    REFUSED(aligned_alloc(32, size));
    REFUSED(valloc(size));
    REFUSED(pvalloc(size));
    errno = 0;
    CHECK(posix_memalign(&place, 64, size) == ENOMEM);
    CHECK(place == &violations && errno == 0);
    for (int i = 0; i < 40; i++)
        CHECK(((char *)small)[i] == 7);
    free(small);
}

static void too_large(void) {
    refuse(hidden(SIZE_MAX));
    for (size_t less = 1; less < 16384; less = less * 3 + 1)
        refuse(hidden(SIZE_MAX - less));
    for (size_t top = 0x2000; top <= 0xffff; top += 0x1fff)
        refuse(hidden(top << 48 | 0xfff));
    refuse(hidden((size_t)PTRDIFF_MAX + 1));
    void *block = hide(malloc(8));
    errno = 0;
    // The product wraps to 8.
    CHECK(hide(reallocarray(block, hidden((size_t)INTPTR_MIN + 4), 2)) == NULL && errno == ENOMEM);
    CHECK(hide(calloc(hidden((size_t)INTPTR_MIN + 4), 2)) == NULL);
    free(block);
}

static void errno_is_kept(void) {
    for (size_t size = 1; size < (size_t)64 << 20; size *= 3) {
        errno = 1234;
        void *block = hide(malloc(size));
        CHECK(block != NULL && errno == 1234);
        memset(block, 1, size);
        free(block);
        CHECK(errno == 1234);
    }
    void *place;
    CHECK(posix_memalign(&place, 64, 100) == 0 && errno == 1234);
    free(place);
}

static void fill(unsigned char *block, size_t size, unsigned seed) {
    for (size_t i = 0; i < size; i += 1 + i / 64)
        block[i] = (unsigned char)(i * 31 + seed);
}

static int holds(const unsigned char *block, size_t size, unsigned seed) {
    for (size_t i = 0; i < size; i += 1 + i / 64)
        if (block[i] != (unsigned char)(i * 31 + seed))
            return 0;
    return 1;
}

static void resizing(void) {
    CHECK(hide(realloc(malloc(10), 0)) == NULL);
    void *block = hide(realloc(NULL, 24));
    fill(block, 24, 1);
    size_t known = 24;
    for (size_t size = 25; size < (size_t)40 << 20; size = size * 5 / 4 + 1) {
        block = hide(realloc(block, size));
        CHECK(block != NULL && holds(block, known, 1));
        fill(block, size, 1);
        known = size;
    }
    for (size_t size = known; size > 8; size = size * 3 / 5) {
        block = hide(realloc(block, size));
        CHECK(block != NULL && holds(block, size, 1));
    }
    free(block);
    for (size_t align = 1; align <= 4096; align *= 2) {
        unsigned char *aligned = hide(memalign(align, 100));
        CHECK((uintptr_t)aligned % align == 0);
        fill(aligned, 100, 2);
        static const size_t sizes[] = {200, 300, 250, 50};
        size_t before = 100;
        for (int i = 0; i < 4; i++) {
            aligned = hide(realloc(aligned, sizes[i]));
            CHECK(holds(aligned, before < sizes[i] ? before : sizes[i], 2));
            fill(aligned, sizes[i], 2);
            before = sizes[i];
        }
        free(aligned);
    }
}

static void zeroed(void) {
    for (size_t size = 1; size <= (size_t)4 << 20; size += 1 + size / 3) {
        unsigned char *dirty = hide(malloc(size));
        memset(dirty, 0xff, malloc_usable_size(dirty));
        free(dirty);
        unsigned char *clean = hide(calloc(1, size));
        size_t set = 0;
        for (size_t i = 0; i < size; i++)
            set += clean[i] != 0;
        CHECK(set == 0);
        free(clean);
    }
}

static void alignment(void) {
    for (size_t size = 0; size < 4096; size++) {
        void *block = hide(malloc(size));
        CHECK((uintptr_t)block % 16 == 0);
        free(block);
    }
    for (size_t align = 0; align <= 256; align++) {
        void *block = hide(memalign(align, 24));
        size_t power = 1;
        while (power < align)
            power *= 2;
        CHECK(block != NULL && (uintptr_t)block % power == 0);
        free(block);
    }
    for (size_t align = 8; align <= (size_t)1 << 28; align *= 2)
        for (size_t size = 8; size <= (size_t)64 << 20; size *= 64) {
            void *block = NULL;
            CHECK(posix_memalign(&block, align, size + 8) == 0);
            CHECK(block != NULL && (uintptr_t)block % align == 0);
            CHECK(malloc_usable_size(block) >= size + 8);
            memset(block, 1, size < 4096 ? size : 4096);
            free(block);
        }
    void *place = &violations;
    CHECK(posix_memalign(&place, 3, 8) == EINVAL && place == &violations);
    CHECK(posix_memalign(&place, 24, 8) == EINVAL && place == &violations);
    CHECK(posix_memalign(&place, 0, 8) == EINVAL && place == &violations);
    CHECK(posix_memalign(&place, 8, 0) == 0);
    free(place);
    errno = 0;
    CHECK(hide(aligned_alloc(hidden(24), 48)) == NULL && errno == EINVAL);
    place = hide(aligned_alloc(64, hidden(100)));
    CHECK(place != NULL && (uintptr_t)place % 64 == 0);
    free(place);
    place = hide(pvalloc(hidden(5000)));
    CHECK((uintptr_t)place % 4096 == 0 && malloc_usable_size(place) >= 8192);
    free(place);
    place = hide(valloc(hidden(1)));
    CHECK((uintptr_t)place % 4096 == 0);
    free(place);
}

static void usable(void) {
    CHECK(malloc_usable_size(NULL) == 0);
    for (size_t size = 0; size < (size_t)8 << 20; size = size * 9 / 8 + 1) {
        unsigned char *block = hide(malloc(size));
        size_t all = malloc_usable_size(block);
        CHECK(all >= size && (all >= 1 || size == 0));
        memset(block, 3, all);
        unsigned char *other = hide(malloc(size));
        memset(other, 4, malloc_usable_size(other));
        CHECK(malloc_usable_size(block) == all && (all == 0 || block[all - 1] == 3));
        free(other);
        free(block);
    }
}

static void strings_of_the_library(void) {
    char *text = NULL, *path = realpath("/", NULL), *copy = strdup("copy");
    CHECK(asprintf(&text, "%d", 42) == 2 && strcmp(text, "42") == 0);
    CHECK(path != NULL && copy != NULL);
    free(text);
    free(path);
    free(copy);
    char *stream = NULL;
    size_t length = 0;
    FILE *file = open_memstream(&stream, &length);
    for (int i = 0; i < 10000; i++)
        fprintf(file, "%d ", i);
    fclose(file);
    CHECK(length == strlen(stream));
    free(stream);
}

static void live_blocks_do_not_overlap(void) {
    enum { COUNT = 4000 };
    static unsigned char *blocks[COUNT];
    static size_t sizes[COUNT];
    unsigned random = 1;
    for (int step = 0; step < 200000; step++) {
        random = random * 1664525 + 1013904223;
        int i = (int)((random >> 8) % COUNT);
        if (blocks[i] != NULL)
            CHECK(holds(blocks[i], sizes[i], (unsigned)i));
        free(blocks[i]);
        random = random * 1664525 + 1013904223;
        size_t size = (random >> 8) % 700;
        if (random >> 28 == 0)
            size *= 300;
        blocks[i] = hide(malloc(size));
        sizes[i] = size;
        fill(blocks[i], size, (unsigned)i);
    }
    for (int i = 0; i < COUNT; i++)
        free(blocks[i]);
    CHECK(malloc_trim(0) == 0 || malloc_trim(0) == 0);
}

static void information(void) {
    struct mallinfo2 before = mallinfo2();
    void *block = hide(malloc((size_t)10 << 20));
    struct mallinfo2 after = mallinfo2();
    CHECK(after.uordblks >= before.uordblks + ((size_t)10 << 20));
    CHECK(after.arena >= after.uordblks);
    CHECK((unsigned)mallinfo().uordblks == (unsigned)mallinfo2().uordblks);
    free(block);
    CHECK(mallinfo2().uordblks < after.uordblks);
    char *text = NULL;
    size_t length = 0;
    FILE *file = open_memstream(&text, &length);
    CHECK(malloc_info(0, file) == 0 && malloc_info(1, file) != 0);
    fclose(file);
    CHECK(strncmp(text, "<malloc version=", 16) == 0 && strstr(text, "</malloc>") != NULL);
    free(text);
    errno = 1234;
    CHECK(mallopt(M_ARENA_MAX, 1) == 1 && mallopt(12345, 1) == 0 && errno == 1234);
}

int main(void) {
    information();
    no_bytes();
    too_large();
    errno_is_kept();
    resizing();
    zeroed();
    alignment();
    usable();
    strings_of_the_library();
    live_blocks_do_not_overlap();
    return violations > 100 ? 100 : violations;
}
