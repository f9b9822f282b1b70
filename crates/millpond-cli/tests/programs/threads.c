/* Usage: threads WAVES. Waves of eight short threads: each allocates three blocks and frees one, and the first thread of
 * the next wave frees the others. Each thread allocates again, in several rounds, while it ends. */
#include <pthread.h>
#include <stdlib.h>

enum { WIDTH = 8, ROUNDS = 3 };
static pthread_key_t key;
static void *blocks[WIDTH][2];

static void last_words(void *round) {
    free(malloc(333));
    if ((size_t)round < ROUNDS)
        pthread_setspecific(key, (char *)round + 1);
}

static void *work(void *number) {
    void **mine = blocks[(size_t)number];
    pthread_setspecific(key, (void *)1);
    mine[0] = malloc(331);
    mine[1] = malloc(332);
    free(malloc(330));
    return NULL;
}

int main(int count, char **arguments) {
    int waves = count > 1 ? atoi(arguments[1]) : 1;
    if (pthread_key_create(&key, last_words))
        return 1;
    for (int wave = 0; wave < waves; wave++) {
        pthread_t threads[WIDTH];
        for (size_t at = 0; at < WIDTH; at++)
            if (pthread_create(&threads[at], NULL, work, (void *)at))
                return 2;
        for (size_t at = 0; at < WIDTH; at++) {
            pthread_join(threads[at], NULL);
            free(blocks[at][0]);
            free(blocks[at][1]);
        }
    }
    return 0;
}
