/* A simple hand-written free list: one load and a few stores, and chunks of 1,024 blocks. */
#include <stdlib.h>

#include "hand.h"

struct node {
    struct node *next;
};

struct list {
    struct node *head;
    size_t size;
    struct node *chunks;
};

void *hand_create(size_t size) {
    struct list *list = calloc(1, sizeof *list);
    if (list)
        list->size = size;
    return list;
}

static __attribute__((noinline, cold)) void *grow(struct list *list) {
    struct node *whole = malloc(sizeof *whole * 2 + 1024 * list->size);
    if (!whole)
        return NULL;
    whole->next = list->chunks;
    list->chunks = whole;
    char *chunk = (char *)(whole + 2);
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

void hand_destroy(void *pool) {
    struct list *list = pool;
    while (list->chunks) {
        struct node *chunk = list->chunks;
        list->chunks = chunk->next;
        free(chunk);
    }
    free(list);
}
