/* peak LIBRARY PROGRAM ARGS…: runs a program with a library preloaded (- for none), and prints its CPU time in microseconds and
   its peak resident memory in KiB. The program's own output is dropped. Linux reports a peak that is at least that of the process
   from which a program was started: here, of this small one. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static long microseconds(struct timeval time) { return time.tv_sec * 1000000 + time.tv_usec; }

int main(int count, char **words) {
    int status;
    struct rusage usage;
    if (count < 3)
        return 2;
    pid_t child = fork();
    if (child == 0) {
        int nowhere = open("/dev/null", O_RDWR);
        for (int file = 0; file < 3; file++)
            dup2(nowhere, file);
        if (strcmp(words[1], "-") != 0)
            setenv("LD_PRELOAD", words[1], 1);
        execvp(words[2], words + 2);
        _exit(127);
    }
    if (child < 0 || wait4(child, &status, 0, &usage) != child || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return 1;
    printf("%ld %ld\n", microseconds(usage.ru_utime) + microseconds(usage.ru_stime), usage.ru_maxrss);
    return 0;
}
