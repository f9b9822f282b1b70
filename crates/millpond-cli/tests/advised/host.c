/* Runs a script of Lua with malloc, or with a pool of the block sizes SIZES if ALLOCATOR is "pool". */
#include <lua5.4/lauxlib.h>
#include <lua5.4/lua.h>
#include <lua5.4/lualib.h>
#include <millpond.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *of_malloc(void *pool, void *block, size_t old, size_t size) {
    (void)pool;
    (void)old;
    if (size)
        return realloc(block, size);
    free(block);
    return NULL;
}

static void *of_pool(void *context, void *block, size_t old, size_t size) {
    mp_classes *pool = context;
    if (!block)
        return size ? mp_classes_alloc(pool, size, 8) : NULL;
    if (size)
        return mp_realloc(&pool->allocator, block, old, size, 8, 0);
    mp_classes_free(pool, block, old, 8);
    return NULL;
}

int main(int count, char **arguments) {
    static const size_t sizes[] = {SIZES};
    const char *allocator = getenv("ALLOCATOR");
    mp_classes *pool = NULL;
    if (count != 2)
        return 2;
    if (allocator && !strcmp(allocator, "pool")) {
        pool = mp_classes_create(MP_OPTIONS(mp_classes_options, .sizes = sizes, .size_count = sizeof sizes / sizeof *sizes));
        if (!pool) {
            fprintf(stderr, "%s\n", mp_last_detail());
            return 1;
        }
    }
    lua_State *state = lua_newstate(pool ? of_pool : of_malloc, pool);
    luaL_openlibs(state);
    if (luaL_dofile(state, arguments[1])) {
        fprintf(stderr, "%s\n", lua_tostring(state, -1));
        return 1;
    }
    lua_close(state);
    if (pool)
        mp_destroy(&pool->allocator);
    return 0;
}
