/* Lua: runs a script. The pool comes in through lua_newstate. */
#include <lua5.4/lauxlib.h>
#include <lua5.4/lua.h>
#include <lua5.4/lualib.h>

#include "pool.h"

static void *of_pool(void *context, void *block, size_t old, size_t size) {
    (void)context;
    if (!block)
        return size ? mp_classes_alloc(pool, size, 8) : NULL;
    if (size)
        return mp_realloc(&pool->allocator, block, old, size, 8, 0);
    mp_classes_free(pool, block, old, 8);
    return NULL;
}

int main(int count, char **arguments) {
    if (count != 2)
        return 2;
    choose();
    lua_State *state = pool ? lua_newstate(of_pool, NULL) : luaL_newstate();
    luaL_openlibs(state);
    if (luaL_dofile(state, arguments[1])) {
        fprintf(stderr, "%s\n", lua_tostring(state, -1));
        return 1;
    }
    lua_close(state);
    return 0;
}
