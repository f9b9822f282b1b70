/* Requests whose blocks are freed together, beside sessions that end in any order, and a tree that lives to the end. */
#include "planted.h"

struct request {
    void *blocks[1200];
    int count;
};

SITE static void parse(struct request *request) {
    size_t size = 16 + (size_t)below(200);
    void *block = malloc(size);
    request->blocks[request->count++] = touch(block, size);
}

SITE static void argument(struct request *request) {
    void *block = malloc(48);
    request->blocks[request->count++] = touch(block, 48);
}

SITE static void session(struct table *table) {
    int at = below(table->count);
    free(table->slots[at]);
    table->slots[at] = touch(malloc(312), 312);
}

SITE static void *tree_node(void) {
    void *block = malloc(40);
    return touch(block, 40);
}

SITE static void *setting(int at) {
    size_t size = 10 + (size_t)at;
    void *block = malloc(size);
    return touch(block, size);
}

int main(int count, char **arguments) {
    start(count, arguments);
    struct table sessions = table_of(500), tree = table_of(amount / 2), settings = table_of(40);
    static struct request request;
    for (int at = 0; at < settings.count; at++)
        settings.slots[at] = setting(at);
    for (int at = 0; at < tree.count; at++)
        tree.slots[at] = tree_node();
    for (int done = 0; done < amount * 2;) {
        int parts = 50 + below(500);
        request.count = 0;
        for (int part = 0; part < parts; part++) {
            parse(&request);
            if (part % 2 == 0)
                argument(&request);
            if (part % 5 == 0)
                session(&sessions);
        }
        done += request.count;
        for (int at = 0; at < request.count; at++)
            free(request.blocks[at]);
    }
    clear(&sessions);
    clear(&tree);
    clear(&settings);
    return 0;
}
