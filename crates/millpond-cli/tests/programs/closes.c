/* Closes every file descriptor, as daemons do, and opens a file, which gets the lowest number.
 * Its errno stays as it was. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

int main(void) {
    free(malloc(1));
    for (int number = 0; number < 4096; number++)
        close(number);
    errno = 77;
    for (int at = 0; at < 100000; at++)
        free(malloc(601));
    if (errno != 77)
        return 2;
    return open("/dev/null", O_RDONLY) == 0 && open("/dev/null", O_RDONLY) == 1 ? 0 : 1;
}
