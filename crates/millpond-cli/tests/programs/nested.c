/* Usage: nested [CHILD]. Allocates in functions that call each other, and says where each of them continues; with an
 * argument, also in a child. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define HERE(level) printf("%d %p\n", level, __builtin_return_address(0))

static void inner(int size) {
    HERE(0);
    free(malloc(size));
}

static void middle(int size) {
    HERE(1);
    char bytes[size % 7 + 100];
    bytes[0] = 0;
    inner(size + bytes[0]);
}

static void on_signal(int number) {
    inner(703);
}

int main(int count, char **arguments) {
    middle(701);
    signal(SIGUSR1, on_signal);
    raise(SIGUSR1);
    for (int at = 0; at < 1000; at++)
        free(malloc(702));
    fflush(stdout);
    if (count > 1) {
        pid_t child = fork();
        if (child == 0) {
            middle(704);
            fflush(stdout);
            _exit(0);
        }
        waitpid(child, NULL, 0);
    }
    return 0;
}
