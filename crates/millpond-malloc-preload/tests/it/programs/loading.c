// `deepbind PLUGIN`: opens a library whose `malloc` is that of the C library, and frees and resizes its blocks here.
// `late LIBRARY`: opens the malloc itself while the program runs, and uses it.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *find(void *library, const char *name) {
    void *symbol = dlsym(library, name);
    if (symbol == NULL)
        exit(3);
    return symbol;
}

int main(int count, char **words) {
    if (count < 3)
        return 2;
    if (!strcmp(words[1], "nothing"))
        return 0;
    int deep = !strcmp(words[1], "deepbind");
    void *library = dlopen(words[2], RTLD_NOW | RTLD_LOCAL | (deep ? RTLD_DEEPBIND : 0));
    if (library == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        return 4;
    }
    if (deep) {
        void *(*make)(size_t) = (void *(*)(size_t))find(library, "make");
        for (size_t size = 1; size < (size_t)10 << 20; size *= 3) {
            char *block = make(size);
            memset(block, 5, size);
            if (malloc_usable_size(block) < size)
                return 5;
            block = realloc(block, size + 100);
            if (block[0] != 5 || block[size - 1] != 5)
                return 6;
            free(block);
            free(make(size));
        }
    } else {
        void *(*late_malloc)(size_t) = (void *(*)(size_t))find(library, "malloc");
        void (*late_free)(void *) = (void (*)(void *))find(library, "free");
        for (int i = 0; i < 100000; i++) {
            char *block = late_malloc((size_t)i % 5000);
            *block = 1;
            late_free(block);
        }
    }
    return dlclose(library) != 0;
}
