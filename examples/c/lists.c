/* Nodes of a list in a pool of blocks, and the first hundred thousand squares in a bump arena. */
#include <millpond.h>
#include <stdio.h>

struct node {
    struct node *next;
    int value;
};

int main(void) {
    mp_blocks *pool = mp_blocks_create(MP_OPTIONS(mp_blocks_options, .block_size = sizeof(struct node)));
    mp_linear *arena = mp_linear_create(NULL);
    if (!pool || !arena) {
        fprintf(stderr, "lists: %s\n", mp_last_detail());
        return 1;
    }

    struct node *list = NULL;
    for (int value = 0; value < 1000; value++) {
        struct node *node = mp_blocks_alloc(pool);
        if (!node)
            return 1;
        *node = (struct node){list, value};
        list = node;
    }
    int sum = 0;
    while (list) {
        struct node *next = list->next;
        sum += list->value;
        mp_blocks_free(pool, list);
        list = next;
    }
    printf("sum of the list: %d\n", sum);

    size_t count = 100000;
    unsigned long long *squares = mp_linear_alloc(arena, count * sizeof *squares, 0);
    if (!squares)
        return 1;
    for (size_t i = 0; i < count; i++)
        squares[i] = (unsigned long long)i * i;
    printf("the last square: %llu\n", squares[count - 1]);
    mp_reset(&arena->allocator);

    mp_stats stats = {.struct_size = sizeof stats};
    mp_get_stats(&pool->allocator, &stats);
    printf("blocks live: %zu bytes of %zu\n", stats.live, stats.held);
    mp_destroy(&arena->allocator);
    mp_destroy(&pool->allocator);
    return 0;
}
