/* Python without its own pools: runs a script. The pool comes in through PyMem_SetAllocator. */
#define PY_SSIZE_T_CLEAN
#define HEADER 16
#include <Python.h>

#include "pool.h"

static void *allocate(void *context, size_t size) {
    (void)context;
    return pool_malloc(size ? size : 1);
}
static void *zeroed(void *context, size_t count, size_t size) {
    (void)context;
    return count && size ? pool_calloc(count, size) : pool_calloc(1, 1);
}
static void *resize(void *context, void *block, size_t size) {
    (void)context;
    return pool_realloc(block, size ? size : 1);
}
static void release(void *context, void *block) {
    (void)context;
    pool_free(block);
}

int main(int count, char **arguments) {
    PyMemAllocatorEx allocator = {NULL, allocate, zeroed, resize, release};
    PyPreConfig before;
    PyConfig config;
    if (count != 2)
        return 2;
    choose();
    PyPreConfig_InitIsolatedConfig(&before);
    before.allocator = PYMEM_ALLOCATOR_MALLOC;
    before.utf8_mode = 1;
    if (PyStatus_Exception(Py_PreInitialize(&before)))
        return 1;
    if (is_changed) {
        PyMem_SetAllocator(PYMEM_DOMAIN_MEM, &allocator);
        PyMem_SetAllocator(PYMEM_DOMAIN_OBJ, &allocator);
    }
    PyConfig_InitIsolatedConfig(&config);
    config.run_filename = Py_DecodeLocale(arguments[1], NULL);
    if (PyStatus_Exception(Py_InitializeFromConfig(&config)))
        return 1;
    return Py_RunMain();
}
