/* A program with a wrapper of malloc and a pool of its own: its chunks need no other pool. */
#include "planted.h"

SITE static void *obtain(size_t size) {
    void *block = malloc(size);
    if (!block)
        abort();
    return touch(block, size);
}

struct cell {
    struct cell *next;
    char rest[56];
};

static struct cell *vacant;

SITE static void refill(void) {
    struct cell *cells = obtain(512 * sizeof *cells);
    for (int at = 0; at < 512; at++) {
        cells[at].next = vacant;
        vacant = &cells[at];
    }
}

static struct cell *take(void) {
    if (!vacant)
        refill();
    struct cell *cell = vacant;
    vacant = cell->next;
    return cell;
}

SITE static void entry(struct table *cache) {
    int at = below(cache->count);
    free(cache->slots[at]);
    cache->slots[at] = obtain(88);
}

SITE static void value(struct table *table) {
    static const size_t sizes[] = {24, 56, 160};
    int at = below(table->count);
    free(table->slots[at]);
    table->slots[at] = obtain(sizes[below(3)]);
}

SITE static void text(struct table *table) {
    int at = below(table->count);
    free(table->slots[at]);
    table->slots[at] = obtain(16 + (size_t)below(500));
}

SITE static void frame(struct table *table) {
    int at = below(table->count);
    free(table->slots[at]);
    table->slots[at] = obtain(300000 + (size_t)below(100));
}

SITE static void *option(int at) {
    void *block = obtain(20 + (size_t)at);
    return touch(block, 20);
}

int main(int count, char **arguments) {
    start(count, arguments);
    struct table cache = table_of(700), values = table_of(900), texts = table_of(800), frames = table_of(8);
    void *options[25];
    for (int at = 0; at < 25; at++)
        options[at] = option(at);
    struct cell *held = NULL;
    for (int at = 0; at < amount; at++) {
        struct cell *cell = take();
        cell->next = held;
        held = cell;
        if (at % 1000 == 999)
            while (held) {
                cell = held->next;
                held->next = vacant;
                vacant = held;
                held = cell;
            }
        entry(&cache);
        value(&values);
        text(&texts);
        if (at % 32 == 0)
            frame(&frames);
    }
    clear(&cache);
    clear(&values);
    clear(&texts);
    clear(&frames);
    for (int at = 0; at < 25; at++)
        free(options[at]);
    return 0;
}
