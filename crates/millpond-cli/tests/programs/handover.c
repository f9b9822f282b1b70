/* Two threads exchange blocks through shared places, so that most blocks are freed by the other one. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { PLACES = 64, ROUNDS = 200000 };
static _Atomic(void *) places[PLACES];

static void *work(void *argument) {
    unsigned state = (unsigned)(size_t)argument * 7919 + 1;
    for (int round = 0; round < ROUNDS; round++) {
        state = state * 1103515245 + 12345;
        free(atomic_exchange(&places[(state >> 8) % PLACES], malloc(1500 + (state >> 16) % 64)));
    }
    return NULL;
}

int main(void) {
    pthread_t threads[2];
    for (size_t at = 0; at < 2; at++)
        if (pthread_create(&threads[at], NULL, work, (void *)at))
            return 1;
    for (size_t at = 0; at < 2; at++)
        pthread_join(threads[at], NULL);
    for (int at = 0; at < PLACES; at++)
        free(atomic_load(&places[at]));
    return 0;
}
