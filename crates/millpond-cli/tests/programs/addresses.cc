/* Allocates in all ways, and prints size, address and usable size of each block. */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

struct alignas(64) Wide {
    char bytes[6400];
};

static void say(size_t size, void *block) {
    printf("%zu %zu %zu\n", size, (size_t)block, malloc_usable_size(block));
}

int main() {
    setvbuf(stdout, NULL, _IONBF, 0);
    for (int at = 0; at < 200; at++) {
        size_t size = at % 2 ? 20000 + at : 10000 + 100 * at;
        void *block = malloc(size);
        say(size, block);
        if (at % 3 == 0)
            free(block);
    }
    say(1 << 20, malloc(1 << 20));
    say(6001, calloc(1, 6001));
    void *grown = malloc(6002);
    say(6002, grown);
    say(60003, realloc(grown, 60003));
    say(6004, memalign(4096, 6004));
    say(6464, aligned_alloc(64, 6464));
    void *block = NULL;
    if (posix_memalign(&block, 256, 6006) == 0)
        say(6006, block);
    say(6007, new char[6007]);
    say(sizeof(Wide), new Wide);
    return 0;
}
