/* Allocates and frees some blocks, and keeps some until the end. */
#include <stdio.h>
#include <stdlib.h>

int main(void) {
    void *kept[1000];
    unsigned long sum = 0;
    for (int turn = 0; turn < 20; turn++) {
        for (int at = 0; at < 1000; at++) {
            char *block = malloc(16 + at % 7 * 24);
            if (block == NULL)
                return 2;
            block[0] = (char)at;
            sum += (unsigned char)block[0];
            if (turn > 0)
                free(kept[at]);
            kept[at] = block;
        }
    }
    for (int at = 0; at < 1000; at++)
        free(kept[at]);
    printf("%lu\n", sum);
    return 0;
}
