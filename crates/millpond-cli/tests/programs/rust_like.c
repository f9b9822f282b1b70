/* Has an allocator of its own under another name, as programs of Rust do, beside malloc. */
#include <stdlib.h>

static char memory[1 << 16];

void *_rjem_malloc(size_t size) {
    return memory + size % sizeof memory;
}

int main(void) {
    volatile char *own = _rjem_malloc(10);
    *own = 1;
    for (int at = 0; at < 5000; at++)
        free(malloc(10 + at % 50));
    return 0;
}
