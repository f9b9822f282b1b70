/* A parent with 1000 blocks; a child that frees ten of them, makes 200 and forks a grandchild; the two exit in different
 * ways while the parent continues. */
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void *blocks[1000];

static void make(int count, size_t size) {
    for (int at = 0; at < count; at++)
        blocks[at] = malloc(size);
}

static int reap(pid_t child) {
    int status = -1;
    return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : 99;
}

int main(void) {
    make(1000, 501);
    pid_t child = fork();
    if (child == 0) {
        for (int at = 0; at < 10; at++)
            free(blocks[at]);
        make(200, 502);
        pid_t grandchild = fork();
        if (grandchild == 0) {
            make(20, 503);
            exit(5);
        }
        _exit(reap(grandchild) == 5 ? 6 : 98);
    }
    for (int at = 0; at < 1000; at++)
        free(blocks[at]);
    make(7, 504);
    return reap(child) == 6 ? 0 : 1;
}
