/* Starts itself through vfork and through posix_spawn; a child of vfork shares its parent's memory until it is another
 * program. */
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static int work(int count, size_t size) {
    for (int at = 0; at < count; at++)
        if (!malloc(size))
            return 1;
    return 0;
}

int main(int count, char **arguments) {
    if (count > 1)
        return work(70, strcmp(arguments[1], "vfork") ? 702 : 701);
    int status;
    char *self = "/proc/self/exe";
    pid_t child = vfork();
    if (child == 0) {
        /* 5000 events fill the window that the child writes for its parent. */
        for (int at = 0; at < 2500; at++)
            free(malloc(703));
        execl(self, arguments[0], "vfork", NULL);
        _exit(1);
    }
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
        return 2;
    char *words[] = {arguments[0], "spawn", NULL};
    if (posix_spawn(&child, self, NULL, NULL, words, environ) || waitpid(child, &status, 0) != child || status != 0)
        return 3;
    return work(7, 704);
}
