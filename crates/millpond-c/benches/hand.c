/* The list that everybody writes first: one load and a few stores, and chunks of 1,024 blocks that are never given back. */
#include <stdlib.h>

#include "hand.h"

struct node {
    struct node *next;
};

struct list {
    struct node *head;
    size_t size;
};

void *hand_create(size_t size) {
    struct list *list = calloc(1, sizeof *list);
    if (list)
        list->size = size;
    return list;
}

static __attribute__((noinline, cold)) void *grow(struct list *list) {
    char *chunk = malloc(1024 * list->size);
    if (!chunk)
        return NULL;
    for (int i = 1023; i > 0; i--) {
        struct node *node = (struct node *)(chunk + (size_t)i * list->size);
        node->next = list->head;
        list->head = node;
    }
    return chunk;
}

void *hand_alloc(void *pool) {
    struct list *list = pool;
    struct node *node = list->head;
    if (!node)
        return grow(list);
    list->head = node->next;
    return node;
}

void hand_free(void *pool, void *block) {
    struct list *list = pool;
    struct node *node = block;
    node->next = list->head;
    list->head = node;
}
