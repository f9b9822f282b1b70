/* Buffers that live for one call, beside blocks that do not. */
#include "planted.h"

SITE static int format_line(int number) {
    char *line = malloc(200);
    touch(line, 200);
    line[number % 100] = 7;
    int sum = line[0] + line[199];
    free(line);
    return sum;
}

/* Freed not by the next call, but after one other. */
SITE static int checksum(int number) {
    size_t size = 64 + (size_t)(number % 5) * 32;
    unsigned char *outer = malloc(size);
    touch(outer, size);
    int sum = format_line(number) + outer[0];
    free(outer);
    return sum;
}

SITE static void connection(struct table *table) {
    int at = below(table->count);
    free(table->slots[at]);
    table->slots[at] = touch(malloc(120), 120);
}

SITE static void *total(int size) {
    void *block = malloc((size_t)size);
    return touch(block, (size_t)size);
}

int main(int count, char **arguments) {
    start(count, arguments);
    struct table connections = table_of(400);
    void *totals[12];
    for (int at = 0; at < 12; at++)
        totals[at] = total(32 + at);
    int sum = 0;
    for (int at = 0; at < amount; at++) {
        sum += checksum(at);
        if (at % 3 == 0)
            sum += format_line(at);
        connection(&connections);
    }
    clear(&connections);
    for (int at = 0; at < 12; at++)
        free(totals[at]);
    return sum == 42;
}
