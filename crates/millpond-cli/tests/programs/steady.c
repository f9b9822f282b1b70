// Keeps 1,000 blocks of 100 bytes from one function, and 10 of 1 MB from another, and goes on allocating from a third, in
// two threads, until its standard input ends.
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

static void *kept[1010];

__attribute__((noinline)) void keeps_small(void) {
    for (int i = 0; i < 1000; i++) kept[i] = malloc(100);
}

__attribute__((noinline)) void keeps_large(void) {
    for (int i = 1000; i < 1010; i++) kept[i] = realloc(malloc(10), 1000000);
}

__attribute__((noinline)) void churns(void) {
    for (int i = 0; i < 1000; i++) free(malloc(32));
}

static void *thread(void *stop) {
    while (!*(volatile int *)stop) {
        churns();
        usleep(1000);
    }
    return 0;
}

int main(void) {
    static int stop;
    pthread_t other;
    keeps_small();
    keeps_large();
    pthread_create(&other, 0, thread, &stop);
    char ready = '\n';
    write(1, &ready, 1);
    for (char byte; read(0, &byte, 1) == 1;) churns();
    stop = 1;
    pthread_join(other, 0);
    return kept[7] == kept[8];
}
