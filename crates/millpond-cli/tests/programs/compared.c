// A program whose allocations are known, for comparisons: parse allocates as often as its argument says, and keeps a
// tenth; load always does the same.
#include <stdlib.h>

static void *volatile sink;

#ifdef PADDING
// Moves the functions below to other addresses.
__attribute__((noinline)) int padding(int number) {
    for (int i = 0; i < 100; i++) {
        number = number * 31 + i;
    }
    return number;
}
#endif

// Is inlined into parse.
static inline void *item(void) {
    return malloc(48);
}

__attribute__((noinline)) void parse(int count) {
    for (int i = 0; i < count; i++) {
        sink = item();
        if (i % 10 > 0) {
            free(sink);
        }
    }
}

__attribute__((noinline)) void load(void) {
    for (int i = 0; i < 500; i++) {
        sink = malloc(200);
        free(sink);
    }
}

int main(int count, char **arguments) {
#ifdef PADDING
    if (padding(count) == 7) {
        return 1;
    }
#endif
    load();
    parse(count > 1 ? atoi(arguments[1]) : 1000);
    load();
    return 0;
}
