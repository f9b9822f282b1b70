/* Allocates with many stacks while no file can be opened, and then in a child, where files can be opened again. */
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static void limit_files(rlim_t most) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = most;
    if (setrlimit(RLIMIT_NOFILE, &limit))
        exit(1);
}

static void nested(int depth, int path, int size) {
    if (depth == 0)
        free(malloc(size));
    else if (path & 1)
        nested(depth - 1, path >> 1, size);
    else
        nested(depth - 1, path >> 1, size);
}

int main(void) {
    nested(3, 0, 711);
    limit_files(0);
    for (int path = 0; path < 8192; path++)
        nested(13, path, 712);
    limit_files(64);
    pid_t child = fork();
    if (child == 0) {
        nested(3, 0, 713);
        _exit(0);
    }
    waitpid(child, NULL, 0);
    return 0;
}
