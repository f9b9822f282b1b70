/* SQLite: runs the statements in a file. The pool comes in through SQLITE_CONFIG_MALLOC. */
#define HEADER 8
#include <sqlite3.h>

#include "pool.h"

static void *allocate(int size) { return pool_malloc((size_t)size); }
static void *resize(void *block, int size) { return pool_realloc(block, (size_t)size); }
static int size_of(void *block) { return block ? (int)pool_size(block) : 0; }
static int round_up(int size) { return (size + 7) & ~7; }
static int start(void *context) {
    (void)context;
    return SQLITE_OK;
}
static void stop(void *context) { (void)context; }

static int print(void *context, int count, char **values, char **names) {
    (void)context;
    (void)names;
    for (int at = 0; at < count; at++)
        printf("%s\n", values[at] ? values[at] : "");
    return 0;
}

int main(int count, char **arguments) {
    static const sqlite3_mem_methods methods = {allocate, pool_free, resize, size_of, round_up, start, stop, NULL};
    static char text[1 << 16];
    char *message = NULL;
    sqlite3 *database;
    FILE *file = count == 2 ? fopen(arguments[1], "r") : NULL;
    if (!file)
        return 2;
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    choose();
    if (is_changed && sqlite3_config(SQLITE_CONFIG_MALLOC, &methods))
        return 1;
    if (sqlite3_open(":memory:", &database) || sqlite3_exec(database, text, print, NULL, &message)) {
        fprintf(stderr, "%s\n", message ? message : "the database cannot be opened");
        return 1;
    }
    sqlite3_close(database);
    return 0;
}
