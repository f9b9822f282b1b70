/* Three functions ask for memory through two others. */
#include <stdlib.h>

static void *kept[1000];

__attribute__((noinline)) void *take(size_t size) {
    void *volatile block = malloc(size);
    return block;
}

__attribute__((noinline)) void *item(size_t size) {
    void *volatile block = take(size);
    return block;
}

__attribute__((noinline)) void lists(void) {
    for (int i = 0; i < 1000; i++)
        kept[i] = item(100);
}

__attribute__((noinline)) void texts(void) {
    for (int i = 0; i < 2000; i++)
        free(item(30));
}

__attribute__((noinline)) void trees(void) {
    for (int i = 0; i < 500; i++)
        free(item(10));
}

int main(void) {
    lists();
    texts();
    trees();
    return 0;
}
