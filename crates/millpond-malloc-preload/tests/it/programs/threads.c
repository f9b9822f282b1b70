// Threads that allocate, free what others allocated, end and begin, while the process forks. Exits with 0 if no block
// changed while it was live and all children ended well.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THREADS = 4, SHARED = 512 };

static _Atomic(unsigned char *) shared[SHARED];
static _Atomic int stop, broken;
static pthread_key_t key;

static unsigned char *fresh(unsigned *random) {
    *random = *random * 1664525 + 1013904223;
    size_t size = 8 + (*random >> 8) % ((*random >> 28) ? 400 : 60000);
    unsigned char *block = malloc(size);
    memset(block, (int)(size & 0xff), size);
    memcpy(block, &size, sizeof size);
    return block;
}

static void check_and_free(unsigned char *block) {
    size_t size;
    if (block == NULL)
        return;
    memcpy(&size, block, sizeof size);
    for (size_t i = sizeof size; i < size; i++)
        if (block[i] != (size & 0xff))
            broken = 1;
    free(block);
}

static void at_end(void *block) {
    // Called when the heap may have noticed the end of the thread already.
    check_and_free(block);
    unsigned random = 7;
    check_and_free(fresh(&random));
}

static void *work(void *seed) {
    unsigned random = (unsigned)(uintptr_t)seed;
    pthread_setspecific(key, fresh(&random));
    for (int step = 0; step < 20000 && !stop; step++) {
        unsigned char *block = fresh(&random);
        check_and_free(atomic_exchange(&shared[(random >> 12) % SHARED], block));
    }
    return NULL;
}

static void *forever(void *seed) {
    for (uintptr_t round = 0; !stop; round++) {
        pthread_t thread;
        pthread_create(&thread, NULL, work, (void *)((uintptr_t)seed + round * 977));
        pthread_join(thread, NULL);
    }
    return NULL;
}

int main(int count, char **words) {
    int forks = count > 1 ? atoi(words[1]) : 50;
    pthread_key_create(&key, at_end);
    pthread_t threads[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, forever, (void *)(i + 1));
    for (int i = 0; i < forks; i++) {
        pid_t child = fork();
        if (child == 0) {
            unsigned random = (unsigned)i;
            for (size_t size = 8; size <= (size_t)2 << 20; size *= 2)
                free(malloc(size));
            for (int step = 0; step < 1000; step++)
                check_and_free(fresh(&random));
            _exit(broken);
        }
        int status;
        if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
            broken = 2;
    }
    stop = 1;
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < SHARED; i++)
        check_and_free(shared[i]);
    return broken;
}
