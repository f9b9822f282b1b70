/* Usage: killed COUNT. Allocates COUNT blocks, and is killed. */
#include <signal.h>
#include <stdlib.h>

int main(int count, char **arguments) {
    for (int at = count > 1 ? atoi(arguments[1]) : 0; at > 0; at--)
        if (!malloc(901))
            return 1;
    raise(SIGKILL);
    return 2;
}
