/* MuJS: runs a script. The pool comes in through js_newstate. */
#define HEADER 16
#include <mujs.h>

#include "pool.h"

static void *of_pool(void *context, void *block, int size) {
    (void)context;
    if (size)
        return pool_realloc(block, (size_t)size);
    pool_free(block);
    return NULL;
}

static void print(js_State *state) {
    puts(js_tostring(state, 1));
    js_pushundefined(state);
}

int main(int count, char **arguments) {
    if (count != 2)
        return 2;
    choose();
    js_State *state = js_newstate(is_changed ? of_pool : NULL, NULL, JS_STRICT);
    js_newcfunction(state, print, "print", 1);
    js_setglobal(state, "print");
    if (js_dofile(state, arguments[1]))
        return 1;
    js_freestate(state);
    return 0;
}
