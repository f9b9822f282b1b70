/* Blocks that are never freed: some ever more of them, others loaded once. */
#include "planted.h"

static void *volatile lost;

SITE static void leak(void) {
    void *block = malloc(56);
    lost = touch(block, 56);
}

SITE static void history(void) {
    size_t size = 24 + (size_t)below(100);
    void *block = malloc(size);
    lost = touch(block, size);
}

/* The first thing that the program does, and kept to the end. */
SITE static void load_entry(void) {
    size_t size = 16 + (size_t)below(80);
    void *block = malloc(size);
    lost = touch(block, size);
}

SITE static void job(struct table *table) {
    int at = below(table->count);
    free(table->slots[at]);
    table->slots[at] = touch(malloc(144), 144);
}

/* A queue of random length: it grows, but it shrinks as well. */
SITE static void *ticket(void) {
    void *block = malloc(64);
    return touch(block, 64);
}

SITE static void *image(void) {
    size_t size = 1000000 + (size_t)below(100000);
    void *block = malloc(size);
    return touch(block, size);
}

int main(int count, char **arguments) {
    start(count, arguments);
    struct table jobs = table_of(600), images = table_of(4);
    for (int at = 0; at < amount / 2; at++)
        load_entry();
    void **tickets = malloc(4000 * sizeof *tickets);
    int waiting = 0;
    for (int at = 0; at < amount; at++) {
        job(&jobs);
        if (at % 4 == 0)
            leak();
        if (at % 5 == 0)
            history();
        if (waiting < 4000 && (waiting < 200 || below(2)))
            tickets[waiting++] = ticket();
        else {
            int last = below(waiting);
            free(tickets[last]);
            tickets[last] = tickets[--waiting];
        }
        if (at % 64 == 0) {
            int place = below(images.count);
            free(images.slots[place]);
            images.slots[place] = image();
        }
    }
    while (waiting > 0)
        free(tickets[--waiting]);
    free(tickets);
    clear(&jobs);
    clear(&images);
    return 0;
}
