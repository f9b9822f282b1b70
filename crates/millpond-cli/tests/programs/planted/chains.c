/* Buffers that grow by realloc: to one size, to any size, and one that grows for good. */
#include "planted.h"

/* Every record ends with 1,000 bytes or a little less. */
SITE static char *read_record(void) {
    char *record = NULL;
    for (size_t size = 16; size < 1024; size *= 2) {
        record = realloc(record, size);
        touch(record, size);
    }
    size_t end = 1000 - (size_t)below(8);
    record = realloc(record, end);
    return touch(record, end);
}

/* One at a time, which ends anywhere. */
SITE static int read_line(void) {
    size_t end = 40u << below(9);
    char *line = NULL;
    for (size_t size = 20; size < end; size *= 2) {
        line = realloc(line, size + (size_t)below(16));
        touch(line, size);
    }
    int first = line ? line[0] : 0;
    free(line);
    return first;
}

SITE static char *extend(char *journal, int lines) {
    size_t size = (size_t)lines * 64;
    journal = realloc(journal, size);
    return touch(journal, size);
}

SITE static void *name(void) {
    size_t size = 8 + (size_t)below(60);
    void *block = malloc(size);
    return touch(block, size);
}

int main(int count, char **arguments) {
    start(count, arguments);
    struct table records = table_of(100), names = table_of(amount);
    char *journal = NULL;
    int sum = 0;
    for (int at = 0; at < amount; at++) {
        if (at % 4 == 0) {
            int place = below(records.count);
            free(records.slots[place]);
            records.slots[place] = read_record();
        }
        if (at % 2 == 0)
            sum += read_line();
        if (at % 512 == 0)
            journal = extend(journal, at / 512 + 1);
        names.slots[at] = name();
    }
    clear(&records);
    clear(&names);
    free(journal);
    return sum == 42;
}
