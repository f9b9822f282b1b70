/* Executes itself three times, with one more argument each time. */
#include <stdlib.h>
#include <unistd.h>

int main(int count, char **arguments) {
    for (int at = 0; at < count * 10; at++)
        if (!malloc(800 + (size_t)count))
            return 1;
    if (count == 3)
        return 9;
    char *words[] = {arguments[0], "again", count == 2 ? "again" : NULL, NULL};
    execv("/proc/self/exe", words);
    return 2;
}
