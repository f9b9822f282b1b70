/* Calls every function of the malloc family at least once; exits with a number if one of them fails. */
#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition) do { if (!(condition)) _Exit(__LINE__ & 127); } while (0)
#define ALIGNED(block, alignment) ((uintptr_t)(block) % (alignment) == 0)

static void *volatile kept;

static void *keep(void *block) { kept = block; return kept; }

int main(void) {
    errno = 77;
    char *a = keep(malloc(100));
    char *b = keep(calloc(3, 7));
    CHECK(a && b && b[0] == 0 && b[20] == 0 && errno == 77);
    memset(a, 5, 100);
    a = keep(realloc(a, 200000));
    CHECK(a && a[0] == 5 && a[99] == 5);
    a = keep(reallocarray(a, 10, 30));
    CHECK(a && a[99] == 5);
    void *c = keep(memalign(64, 10));
    void *d = keep(aligned_alloc(128, 256));
    void *e = NULL;
    CHECK(posix_memalign(&e, 4096, 5) == 0);
    void *f = keep(valloc(9));
    void *g = keep(pvalloc(10));
    CHECK(ALIGNED(c, 64) && ALIGNED(d, 128) && ALIGNED(e, 4096) && ALIGNED(f, 4096) && ALIGNED(g, 4096));
    CHECK(malloc_usable_size(c) >= 10);
    void *h = keep(realloc(NULL, 11));
    void *i = keep(reallocarray(NULL, 2, 6));
    void *j = keep(malloc(0));
    CHECK(h && i && j && errno == 77);

    /* A failing call leaves blocks unchanged and sets errno. */
    volatile size_t huge = PTRDIFF_MAX;
    CHECK(keep(malloc(huge)) == NULL && errno == ENOMEM);
    errno = 0;
    CHECK(keep(calloc(huge, 16)) == NULL && errno == ENOMEM);
    errno = 0;
    volatile size_t wraps = SIZE_MAX / 16 + 2; /* times 16 is 16, if nobody looks */
    CHECK(keep(reallocarray(h, wraps, 16)) == NULL && errno == ENOMEM);
    errno = 0;
    CHECK(keep(realloc(h, huge)) == NULL && errno == ENOMEM);
    errno = 77;
    void *unset = &unset;
    CHECK(posix_memalign(&unset, 3, 8) == EINVAL && unset == &unset && errno == 77);

    keep(realloc(j, 0)); /* frees */
    free(NULL);
    void *all[] = {a, b, c, d, e, f, g, h, i};
    for (size_t at = 0; at < sizeof all / sizeof *all; at++)
        free(all[at]);
    CHECK(errno == 77);
    return 42;
}
