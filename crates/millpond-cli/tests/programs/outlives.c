/* Usage: outlives DIRECTORY. Leaves a child behind, which allocates until there is a file `stop`, and then says so. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int count, char **arguments) {
    if (count < 2 || chdir(arguments[1]))
        return 1;
    for (int at = 0; at < 100; at++)
        free(malloc(604));
    pid_t child = fork();
    if (child != 0)
        return child < 0;
    close(1);
    close(2);
    for (int seconds = 0; access("stop", F_OK) && seconds < 60000; seconds++) {
        for (int at = 0; at < 3000; at++)
            free(malloc(605));
        usleep(1000);
    }
    return creat("stopped", 0600) < 0;
}
