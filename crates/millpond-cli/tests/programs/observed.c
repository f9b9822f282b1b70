/* Usage: observed [COMMAND [LIBRARY]]. Names threads and moments, loads a library, keeps 64 MiB in use for a while, and
 * runs a command meanwhile. */
#define _GNU_SOURCE
#include "millpond_mark.h"
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static pthread_barrier_t named;

static void *work(void *name) {
    free(malloc(64));
    if (name)
        pthread_setname_np(pthread_self(), name);
    pthread_barrier_wait(&named);
    free(malloc(65));
    return NULL;
}

int main(int count, char **arguments) {
    pthread_t own, other, last;
    free(malloc(1));
    millpond_mark("load");
    pthread_barrier_init(&named, NULL, 3);
    pthread_create(&own, NULL, work, "by-itself");
    pthread_create(&other, NULL, work, NULL);
    pthread_setname_np(other, "by-another");
    pthread_barrier_wait(&named);
    pthread_join(own, NULL);
    pthread_join(other, NULL);
    char *volatile much = malloc(64 << 20);
    memset(much, 1, 64 << 20);
    if (count > 2 && !dlopen(arguments[2], RTLD_NOW))
        return 2;
    millpond_mark("wait");
    usleep(500000);
    if (count > 1 && system(arguments[1]))
        return 1;
    free(much);
    millpond_mark("end");
    free(malloc(2));
    return 7;
}
