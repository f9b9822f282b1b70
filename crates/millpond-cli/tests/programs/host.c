/* Usage: host LIBRARY. Loads a library five times, calls it and unloads it. */
#include <dlfcn.h>
#include <stdlib.h>

int main(int count, char **arguments) {
    for (int at = 0; count > 1 && at < 5; at++) {
        void *library = dlopen(arguments[1], RTLD_NOW);
        void *(*work)(void) = library ? (void *(*)(void))dlsym(library, "plugin_work") : NULL;
        if (!work)
            return 1;
        free(work());
        if (at < 4 && dlclose(library))
            return 2;
    }
    return 0;
}
