// Misuses the heap in the way that the argument names. Must not return.
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *volatile block;

static void *free_it(void *unused) {
    (void)unused;
    free(block);
    return NULL;
}

int main(int count, char **words) {
    const char *kind = count > 1 ? words[1] : "";
    size_t size = count > 2 ? strtoul(words[2], NULL, 10) : 64;
    int delay = count > 3 ? atoi(words[3]) : 0;
    block = malloc(size);
    memset(block, 1, size);
    fprintf(stderr, "block %p\n", (void *)block);
    if (!strcmp(kind, "double")) {
        static char *others[100000];
        for (int i = 0; i < delay; i++)
            others[i] = malloc(size);
        free(block);
        for (int i = 0; i < delay; i++)
            free(others[i]);
        free(block);
    } else if (!strcmp(kind, "thread")) {
        pthread_t thread;
        pthread_create(&thread, NULL, free_it, NULL);
        pthread_join(thread, NULL);
        free(block);
    } else if (!strcmp(kind, "interior")) {
        free(block + 16);
    } else if (!strcmp(kind, "unaligned")) {
        free(block + 1);
    } else if (!strcmp(kind, "middle")) {
        free(block + size / 2);
    } else if (!strcmp(kind, "never")) {
        free(block + ((size_t)1 << 30));
    } else if (!strcmp(kind, "realloc")) {
        free(block);
        block = realloc(block, size * 2);
    } else {
        return 2;
    }
    return 0;
}
