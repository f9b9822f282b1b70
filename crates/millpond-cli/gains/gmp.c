/* GMP: the rows of Pascal's triangle. The pool comes in through mp_set_memory_functions. */
#include <gmp.h>

#include "pool.h"

#define ROWS 700

static void *allocate(size_t size) { return mp_classes_alloc(pool, size, 8); }
static void *resize(void *block, size_t old, size_t size) { return mp_realloc(&pool->allocator, block, old, size, 8, 0); }
static void release(void *block, size_t size) { mp_classes_free(pool, block, size, 8); }

int main(int count, char **arguments) {
    static mpz_t row[ROWS + 1], next[ROWS + 1];
    if (count != 2)
        return 2;
    choose();
    if (pool)
        mp_set_memory_functions(allocate, resize, release);
    unsigned long turns = strtoul(arguments[1], NULL, 10);
    for (unsigned long turn = 0; turn < turns; turn++) {
        mpz_init_set_ui(row[0], 1);
        for (int length = 1; length <= ROWS; length++) {
            for (int at = 0; at <= length; at++) {
                mpz_init(next[at]);
                if (at == 0 || at == length)
                    mpz_set_ui(next[at], 1);
                else
                    mpz_add(next[at], row[at - 1], row[at]);
            }
            for (int at = 0; at < length; at++)
                mpz_clear(row[at]);
            memcpy(row, next, sizeof row);
        }
        if (turn + 1 == turns)
            gmp_printf("%Zd\n", row[ROWS / 2]);
        for (int at = 0; at <= ROWS; at++)
            mpz_clear(row[at]);
    }
    return 0;
}
