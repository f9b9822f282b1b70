/* Starts itself, without an environment, in the way that its argument names; with "other" after that, with another library in
 * LD_PRELOAD. What it starts allocates, checks its arguments and ends with 4. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static char *words[] = {"self", "child", "2", "3", "4", "5", "6", "7", "8", "9", "10", NULL};

static int work(char **arguments) {
    for (int at = 1; words[at]; at++)
        if (strcmp(arguments[at], words[at]))
            return 1;
    for (int at = 0; at < 30; at++)
        if (!malloc(777))
            return 1;
    return 4;
}

static int ended(pid_t child) {
    int status;
    return waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : 2;
}

/* Returns whether the environment is the one made before the call. */
static int is_same(const char *preload) {
    const char *now = getenv("LD_PRELOAD");
    return preload ? now && !strcmp(now, preload) && !environ[1] : !now && (!environ || !environ[0]);
}

#define WORDS "self", "child", "2", "3", "4", "5", "6", "7", "8", "9", "10", NULL

int main(int count, char **arguments) {
    static char self[4096], command[8192];
    static char *none[] = {NULL};
    if (count == 11)
        return work(arguments);
    if (readlink("/proc/self/exe", self, sizeof self - 1) < 0)
        return 2;
    snprintf(command, sizeof command, "exec %s child 2 3 4 5 6 7 8 9 10", self);
    const char *way = arguments[1], *preload = count > 2 ? "libdl.so.2" : NULL;
    clearenv();
    if (preload)
        setenv("LD_PRELOAD", preload, 1);
    pid_t child;
    if (!strcmp(way, "execl"))
        execl(self, WORDS);
    if (!strcmp(way, "execlp"))
        execlp(self, WORDS);
    if (!strcmp(way, "execle"))
        execle(self, WORDS, none);
    if (!strcmp(way, "execv"))
        execv(self, words);
    if (!strcmp(way, "execve"))
        execve(self, words, none);
    if (!strcmp(way, "execvp"))
        execvp(self, words);
    if (!strcmp(way, "execvpe"))
        execvpe(self, words, none);
    if (!strcmp(way, "fexecve"))
        fexecve(open(self, O_RDONLY | O_CLOEXEC), words, none);
    if (!strcmp(way, "execveat"))
        execveat(AT_FDCWD, self, words, none, 0);
    if (!strcmp(way, "posix_spawn") && !posix_spawn(&child, self, NULL, NULL, words, none))
        return ended(child);
    if (!strcmp(way, "posix_spawnp") && !posix_spawnp(&child, self, NULL, NULL, words, none))
        return ended(child);
    if (!strcmp(way, "system")) {
        int status = system(command);
        return is_same(preload) && WIFEXITED(status) ? WEXITSTATUS(status) : 3;
    }
    if (!strcmp(way, "popen")) {
        FILE *stream = popen(command, "r");
        if (!stream || !is_same(preload))
            return 3;
        int status = pclose(stream);
        return WIFEXITED(status) ? WEXITSTATUS(status) : 3;
    }
    return 5;
}
