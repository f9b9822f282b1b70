/* A library for LD_PRELOAD: malloc of glibc with more memory. It adds a line to the file in PRELOADED_LOG when the program
   ends, and aborts at the start if PRELOADED_ABORTS is set. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <stdio.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *block, size_t size);
void *__libc_memalign(size_t align, size_t size);
void __libc_free(void *block);

static unsigned long calls;

void *malloc(size_t size) {
    calls++;
    return __libc_malloc(size);
}
void *calloc(size_t count, size_t size) { return __libc_calloc(count, size); }
void *realloc(void *block, size_t size) { return __libc_realloc(block, size); }
void free(void *block) { __libc_free(block); }
int posix_memalign(void **block, size_t align, size_t size) {
    *block = __libc_memalign(align, size);
    return *block == NULL ? ENOMEM : 0;
}
size_t malloc_usable_size(void *block) {
    size_t (*real)(void *) = (size_t (*)(void *))dlsym(RTLD_NEXT, "malloc_usable_size");
    return real(block);
}

static char ballast[32 << 20];

__attribute__((constructor)) static void start(void) {
    if (getenv("PRELOADED_ABORTS") != NULL)
        abort();
    memset(ballast, 1, sizeof ballast);
}
__attribute__((destructor)) static void end(void) {
    const char *path = getenv("PRELOADED_LOG");
    FILE *log = path == NULL ? NULL : fopen(path, "a");
    if (log != NULL) {
        fprintf(log, "%d\n", calls > 20000);
        fclose(log);
    }
}
