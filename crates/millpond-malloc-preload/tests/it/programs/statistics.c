// `write FORMAT`: writes statistics to standard output. `idle`: threads keep free blocks and sleep; prints the bytes in use before
// and after memory was returned. `refused`: asks for a format that does not exist.
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "millpond_malloc.h"

enum { THREADS = 50, BLOCKS = 400, SIZES = 20 };

static pthread_barrier_t filled, ended;

static void fill(void) {
    for (size_t size = 1; size <= SIZES; size++) {
        void *blocks[BLOCKS];
        for (int i = 0; i < BLOCKS; i++)
            blocks[i] = malloc(size * 48);
        for (int i = 0; i < BLOCKS; i++)
            free(blocks[i]);
    }
}

static void *sleeper(void *unused) {
    (void)unused;
    fill();
    pthread_barrier_wait(&filled);
    pthread_barrier_wait(&ended);
    return NULL;
}

static long used(void) {
    char text[8192];
    int ends[2];
    if (pipe(ends) != 0 || millpond_malloc_stats("json", ends[1]) != 0)
        exit(2);
    close(ends[1]);
    ssize_t count = read(ends[0], text, sizeof text - 1);
    close(ends[0]);
    if (count < 0)
        exit(3);
    text[count] = 0;
    char *place = strstr(text, "\"used\":");
    return place == NULL ? -1 : atol(place + 7);
}

int main(int count, char **words) {
    if (count > 2 && !strcmp(words[1], "write")) {
        void *volatile block = malloc(100);
        free(block);
        return millpond_malloc_stats(words[2], 1) != 0;
    }
    if (count > 1 && !strcmp(words[1], "refused")) {
        if (millpond_malloc_stats("yaml", 1) != -1 || errno != EINVAL)
            return 4;
        return millpond_malloc_stats("text", 999) != -1 || errno != EBADF;
    }
    pthread_t threads[THREADS];
    pthread_barrier_init(&filled, NULL, THREADS + 1);
    pthread_barrier_init(&ended, NULL, THREADS + 1);
    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, sleeper, NULL) != 0)
            return 5;
    pthread_barrier_wait(&filled);
    long before = used();
    millpond_malloc_trim();
    printf("%ld %ld\n", before, used());
    pthread_barrier_wait(&ended);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    return 0;
}
