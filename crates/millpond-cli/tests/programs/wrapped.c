/* Succeeds if the library for LD_PRELOAD made from wrapper.c is loaded and sees every call. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

int main(void) {
    for (int at = 0; at < 30; at++)
        if (!malloc(1234))
            return 1;
    int (*calls)(void) = (int (*)(void))dlsym(RTLD_DEFAULT, "wrapper_calls");
    return calls && calls() == 30 && getppid() == 12345 ? 0 : 2;
}
