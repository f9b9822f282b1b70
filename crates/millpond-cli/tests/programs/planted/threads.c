/* Messages from one thread to another, items that stay in their thread, and scratch memory of each. */
#include "planted.h"
#include <pthread.h>

enum { ROOM = 256, WORKERS = 3 };
static void *ring[ROOM];
static int head, tail;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

SITE static void *message(void) {
    void *block = malloc(96);
    return touch(block, 96);
}

static void *producer(void *unused) {
    for (int at = 0; at < amount; at++) {
        void *block = message();
        pthread_mutex_lock(&mutex);
        while (head - tail == ROOM)
            pthread_cond_wait(&changed, &mutex);
        ring[head++ % ROOM] = block;
        pthread_cond_broadcast(&changed);
        pthread_mutex_unlock(&mutex);
    }
    return unused;
}

static void *consumer(void *unused) {
    for (int at = 0; at < amount; at++) {
        pthread_mutex_lock(&mutex);
        while (head == tail)
            pthread_cond_wait(&changed, &mutex);
        void *block = ring[tail++ % ROOM];
        pthread_cond_broadcast(&changed);
        pthread_mutex_unlock(&mutex);
        free(block);
    }
    return unused;
}

SITE static void *item(void) {
    void *block = malloc(72);
    return touch(block, 72);
}

SITE static void *blob(int size) {
    void *block = malloc((size_t)size);
    return touch(block, (size_t)size);
}

SITE static int scratch(int number) {
    char *block = malloc(500);
    touch(block, 500);
    int sum = block[0] + number;
    free(block);
    return sum;
}

SITE static void *setup(int at) {
    void *block = malloc(100 + (size_t)at);
    return touch(block, 100 + (size_t)at);
}

static void *worker(void *argument) {
    void *items[200] = {0}, *blobs[150] = {0};
    unsigned random = 12345u + (unsigned)(size_t)argument + (unsigned)state;
    long sum = 0;
    for (int at = 0; at < amount; at++) {
        random = random * 1664525u + 1013904223u;
        int place = (int)(random >> 8) % 200;
        free(items[place]);
        items[place] = item();
        if (at % 2 == 0) {
            place = (int)(random >> 9) % 150;
            free(blobs[place]);
            blobs[place] = blob(16 + (int)(random >> 12) % 400);
        }
        sum += scratch(at);
    }
    for (int at = 0; at < 200; at++)
        free(items[at]);
    for (int at = 0; at < 150; at++)
        free(blobs[at]);
    return sum == 42 ? argument : NULL;
}

int main(int count, char **arguments) {
    start(count, arguments);
    void *settings[20];
    for (int at = 0; at < 20; at++)
        settings[at] = setup(at);
    pthread_t threads[2 + WORKERS];
    pthread_create(&threads[0], NULL, producer, NULL);
    pthread_create(&threads[1], NULL, consumer, NULL);
    for (size_t at = 0; at < WORKERS; at++)
        pthread_create(&threads[2 + at], NULL, worker, (void *)at);
    for (int at = 0; at < 2 + WORKERS; at++)
        pthread_join(threads[at], NULL);
    for (int at = 0; at < 20; at++)
        free(settings[at]);
    return 0;
}
