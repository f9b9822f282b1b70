// A library that allocates when it is loaded, when it is unloaded, and when it is asked to.
#include <stdlib.h>
#include <string.h>

static char *kept[100];

__attribute__((constructor)) static void begin(void) {
    for (int i = 0; i < 100; i++) {
        kept[i] = malloc(10 + i * 37);
        memset(kept[i], i, 10 + i * 37);
    }
}

__attribute__((destructor)) static void end(void) {
    for (int i = 0; i < 100; i++) {
        if (kept[i][9] != i)
            abort();
        free(kept[i]);
    }
    free(malloc(100));
}

void *make(size_t size) {
    return malloc(size);
}
