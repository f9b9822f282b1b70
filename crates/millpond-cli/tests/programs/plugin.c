/* A library to be loaded later, with memory for each thread. */
#include <stdlib.h>

static __thread int calls;

void *plugin_work(void) {
    calls++;
    void *block = malloc(1001);
    return block ? realloc(block, 1002) : NULL;
}
