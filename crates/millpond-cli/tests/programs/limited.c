/* Usage: limited COUNT. Limits its files to 100,000 bytes: writing more would end the process. */
#include <stdlib.h>
#include <sys/resource.h>

int main(int count, char **arguments) {
    struct rlimit limit = {100000, 100000};
    if (setrlimit(RLIMIT_FSIZE, &limit))
        return 1;
    for (int at = count > 1 ? atoi(arguments[1]) : 0; at > 0; at--)
        free(malloc(603));
    return 0;
}
