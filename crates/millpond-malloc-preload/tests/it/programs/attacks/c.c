// Attacks on what a heap remembers of free blocks, by this thread and by another.
#include "attack.h"

enum { SIZE = 64, BLOCKS = 1000, ROUNDS = 100 };

static void *free_it(void *block) {
    free(block);
    return NULL;
}

static void remotely(void *block) {
    pthread_t thread;
    pthread_create(&thread, NULL, free_it, block);
    pthread_join(thread, NULL);
}

static void double_free_local(size_t size) {
    (void)size;
    void *block = malloc(SIZE);
    free(block);
    pairs(2 * SIZE, 10);
    free(block);
    not_caught();
}

static void double_free_remote(size_t size) {
    (void)size;
    void *block = malloc(SIZE);
    remotely(block);
    free(block);
    not_caught();
}

static void double_free_large(size_t size) {
    (void)size;
    void *block = malloc(10 * MEBIBYTE);
    free(block);
    free(block);
    not_caught();
}

// Writes to the first words of freed blocks, where a list of free blocks might be, and allocates again.
static void write_words(int remote) {
    static uintptr_t *blocks[BLOCKS];
    for (int round = 0; round < ROUNDS; round++) {
        for (int at = 0; at < BLOCKS; at++)
            blocks[at] = malloc(SIZE);
        for (int at = 0; at < BLOCKS; at++)
            if (remote && at % 100 == 0)
                remotely(blocks[at]);
            else
                free(blocks[at]);
        for (int at = 0; at < BLOCKS; at += 100)
            blocks[at][0] = blocks[at][1] = (uintptr_t)blocks;
    }
    not_caught();
}

static void list_words_local(size_t size) { (void)size; write_words(0); }
static void list_words_remote(size_t size) { (void)size; write_words(1); }

static void overrun_into_free(size_t size) {
    (void)size;
    static char *blocks[BLOCKS];
    for (int round = 0; round < ROUNDS; round++) {
        for (int at = 0; at < BLOCKS; at++)
            blocks[at] = malloc(SIZE);
        for (int at = 0; at < BLOCKS; at += 2)
            free(blocks[at]);
        for (int at = 1; at < BLOCKS; at += 2) {
            memset(blocks[at], 'A', SIZE + 32);
            free(blocks[at]);
        }
    }
    not_caught();
}

static const struct attack attacks[] = {
    {"double_free_local", double_free_local}, {"double_free_remote", double_free_remote},
    {"double_free_large", double_free_large}, {"list_words_local", list_words_local},
    {"list_words_remote", list_words_remote}, {"overrun_into_free", overrun_into_free},
};

int main(int words, char **word) { return RUN(attacks); }
