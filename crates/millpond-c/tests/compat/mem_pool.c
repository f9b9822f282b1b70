/* Numbers, then a string in the same bytes. */
#include <stdio.h>
#include <string.h>
#include "mem_pool.h"

int main(void)
{
    struct m_pool pool = {0};
    /* Initialize the memory pool */
    if (pool_init(&pool) == -1) {
        fprintf(stderr, "memory pool init failed.\n");
        return -1;
    }

    /* Allocate memory for an array of 5 integers */
    int *ptr = NULL;
    if (pool_alloc(&pool, (void**)&ptr, 5 * sizeof(int), i32) == -1) {
        fprintf(stderr, "memory pool init failed.\n");
        pool_destroy(&pool);
        return -1;
    }

    /* Assign values to the allocated array */
    for (int i = 0; i < 5; i++)
        ptr[i] = i;

    /* Print the data */
    for (int i = 0; i < 5; i++)
        printf("int at index %d in the array is: %d\n", i, ptr[i]);

    /* Free the allocated integer array back to the pool */
    pool_free((void**)&ptr, 5 * sizeof(int), &pool);

    /* Now we can reuse the memory with other data */
    char *str = NULL;
    if (pool_alloc(&pool, (void**)&str, 5 * sizeof(char), i32) == -1) {
        fprintf(stderr, "memory pool init failed.\n");
        pool_destroy(&pool);
        return -1;
    }

    /* Assign a string to the allocated memory */
    strncpy(str, "ciao", 5);
    printf("we allocated a string of 5 bytes: %s\n", str);

    /* Free the string memory back to the pool */
    pool_free((void**)&str, 5 * sizeof(char), &pool);

    /* Clean up the memory pool */
    pool_destroy(&pool);
    return 0;
}
