/* Usage: crowd COUNT. Forks COUNT children, one after the other, each with 100 blocks. */
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int count, char **arguments) {
    for (int left = count > 1 ? atoi(arguments[1]) : 0; left > 0; left--) {
        if (!fork()) {
            for (int at = 0; at < 100; at++) {
                char *volatile block = malloc(50);
                *block = 1;
                free(block);
            }
            _exit(0);
        }
        wait(NULL);
    }
    return 0;
}
