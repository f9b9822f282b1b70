/* Jansson: loads a document, changes it and writes it. The pool comes in through json_set_alloc_funcs. */
#define HEADER 8
#include <jansson.h>

#include "pool.h"

int main(int count, char **arguments) {
    size_t length = 0, members = 0;
    if (count != 2)
        return 2;
    choose();
    if (is_changed)
        json_set_alloc_funcs(pool_malloc, pool_free);
    for (int turn = 0; turn < 4; turn++) {
        json_error_t error;
        json_t *rows = json_load_file(arguments[1], 0, &error), *row;
        size_t at;
        if (!rows) {
            fprintf(stderr, "%s\n", error.text);
            return 1;
        }
        json_array_foreach(rows, at, row) {
            if (at % 3 == 0)
                json_object_set_new(row, "copy", json_deep_copy(row));
            members += json_object_size(row);
        }
        /* The text is freed as it was allocated. */
        char *text = json_dumps(rows, JSON_COMPACT);
        length += text ? strlen(text) : 0;
        if (is_changed)
            pool_free(text);
        else
            free(text);
        json_decref(rows);
    }
    printf("%zu %zu\n", length, members);
    return 0;
}
