/* Usage: starved [sandbox]. Allocates with many stacks while no file can be opened, because of a limit or in a sandbox,
 * in which also a thread does so, and then in a child, where files can be opened again unless there is a sandbox. */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void limit_files(rlim_t most) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = most;
    if (setrlimit(RLIMIT_NOFILE, &limit))
        exit(1);
}

/* Enters a sandbox where these calls end the process. */
static void enter_sandbox(void) {
    static struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_fallocate, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_sched_yield, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
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

static void *many(void *size) {
    for (int path = 0; path < 8192; path++)
        nested(13, path, (long)size);
    return NULL;
}

int main(int count, char **arguments) {
    pthread_t thread;
    nested(3, 0, 711);
    if (count > 1)
        enter_sandbox();
    else
        limit_files(0);
    many((void *)712);
    if (count > 1) {
        pthread_create(&thread, NULL, many, (void *)714);
        pthread_join(thread, NULL);
    } else {
        limit_files(64);
    }
    pid_t child = fork();
    if (child == 0) {
        nested(3, 0, 713);
        exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    return status != 0;
}
