/* A server without a network: threads keep sessions of changing sizes, hand buffers to one another, and pause, so that
   the load is bounded. Usage: server SECONDS */
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { THREADS = 8, SESSIONS = 2000, PLACES = 512, PER_PAUSE = 200 };

static _Atomic(char *) places[PLACES];
static atomic_int stopped;

static uint64_t next(uint64_t *random) {
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    return *random;
}

/* Most are small, some have 200 KiB. */
static size_t size_of(uint64_t random) {
    size_t most = (size_t)16 << (random & 7);
    return random >> 8 & 255 ? 1 + (random >> 16) % most : 1 + (random >> 16) % 200000;
}

static char *fill(size_t size) {
    char *block = malloc(size);
    if (block == NULL)
        abort();
    memset(block, 1, size);
    return block;
}

static void *serve(void *argument) {
    uint64_t random = (uintptr_t)argument * 0x9e3779b97f4a7c15u;
    static _Thread_local char *sessions[SESSIONS];
    while (!atomic_load(&stopped)) {
        for (int i = 0; i < PER_PAUSE; i++) {
            uint64_t dice = next(&random);
            char **session = &sessions[dice % SESSIONS];
            if ((dice >> 32) % 8 == 0) {
                char *other = atomic_exchange(&places[(dice >> 40) % PLACES], *session);
                *session = NULL;
                free(other);
            } else if ((dice >> 32) % 8 == 1 && *session != NULL) {
                size_t size = size_of(next(&random));
                *session = realloc(*session, size);
                if (*session == NULL)
                    abort();
                memset(*session, 2, size);
            } else {
                free(*session);
                *session = fill(size_of(next(&random)));
            }
        }
        usleep(20000);
    }
    for (int i = 0; i < SESSIONS; i++)
        free(sessions[i]);
    return NULL;
}

int main(int count, char **words) {
    int seconds = count > 1 ? atoi(words[1]) : 60;
    pthread_t threads[THREADS];
    for (time_t end = time(NULL) + seconds; time(NULL) < end;) {
        /* Threads come and go, too. */
        atomic_store(&stopped, 0);
        for (uintptr_t i = 0; i < THREADS; i++)
            if (pthread_create(&threads[i], NULL, serve, (void *)(i + 1)) != 0)
                abort();
        sleep(20);
        atomic_store(&stopped, 1);
        for (int i = 0; i < THREADS; i++)
            pthread_join(threads[i], NULL);
    }
    return 0;
}
