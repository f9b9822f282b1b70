/* Usage: churn COUNT. Replaces one of 1,024 blocks COUNT times. */
#include <stdlib.h>

int main(int count, char **arguments) {
    static void *blocks[1024];
    unsigned random = 1;
    for (long left = count > 1 ? atol(arguments[1]) : 0; left > 0; left--) {
        random = random * 1664525 + 1013904223;
        void **place = &blocks[random >> 22];
        free(*place);
        *place = malloc(16 + (random >> 8) % 500);
    }
    return 5;
}
