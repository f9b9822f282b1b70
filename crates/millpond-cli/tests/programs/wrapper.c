/* A library for LD_PRELOAD: prints a line when it is loaded, changes the result of getppid, and forwards malloc. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>
#include <unistd.h>

static int calls;

__attribute__((constructor)) static void begin(void) {
    if (write(1, "wrapper here\n", 13) != 13)
        _exit(98);
}

pid_t getppid(void) { return 12345; }

int wrapper_calls(void) { return calls; }

void *malloc(size_t size) {
    static void *(*next)(size_t);
    if (!next)
        next = (void *(*)(size_t))dlsym(RTLD_NEXT, "malloc");
    calls += size == 1234;
    return next(size);
}
