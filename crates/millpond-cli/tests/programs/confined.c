/* Usage: confined MODE [DIRECTORY]. Allocates, gives up system calls, rights or files, and allocates again. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int many = 200000;

static void *work(void *nothing) {
    for (int at = 0; at < many; at++) {
        char *volatile block = malloc(607);
        *block = 1;
        free(block);
    }
    return nothing;
}

/* A filter that answers `openat` in this way and allows everything else. */
static struct sock_fprog filter(unsigned action) {
    static struct sock_filter code[4];
    code[0] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    code[1] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 0, 1);
    code[2] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, action);
    code[3] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    return (struct sock_fprog){4, code};
}

static void in_a_thread(void) {
    pthread_t thread;
    pthread_create(&thread, NULL, work, NULL);
    pthread_join(thread, NULL);
}

int main(int count, char **arguments) {
    const char *mode = count > 1 ? arguments[1] : "";
    struct sock_fprog kill = filter(SECCOMP_RET_KILL_PROCESS), fail = filter(SECCOMP_RET_ERRNO | EPERM);
    free(malloc(1));
    if (!strcmp(mode, "strict")) {
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
        work(NULL);
        write(1, "done\n", 5);
        syscall(SYS_exit, 3);
    } else if (!strcmp(mode, "kill")) {
        kill = filter(SECCOMP_RET_KILL_PROCESS);
        if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &kill))
            return 9;
        work(NULL);
        in_a_thread();
    } else if (!strcmp(mode, "error")) {
        if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &fail))
            return 9;
        work(NULL);
    } else if (!strcmp(mode, "syscall")) {
        kill = filter(SECCOMP_RET_KILL_PROCESS);
        if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &kill))
            return 9;
        work(NULL);
    } else if (!strcmp(mode, "fork")) {
        kill = filter(SECCOMP_RET_KILL_PROCESS);
        int status = 0;
        if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &kill))
            return 9;
        if (!fork()) {
            work(NULL);
            exit(0);
        }
        wait(&status);
        if (status)
            return 8;
    } else if (!strcmp(mode, "few")) {
        kill = filter(SECCOMP_RET_KILL_PROCESS);
        many = 20;
        if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &kill))
            return 9;
        work(NULL);
    } else if (!strcmp(mode, "refused")) {
        /* The calls that libseccomp makes to learn what the system supports. */
        if (!syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, NULL) || errno != EFAULT)
            return 9;
        work(NULL);
    } else if (!strcmp(mode, "clock")) {
        if (prctl(PR_SET_TSC, PR_TSC_SIGSEGV, 0, 0, 0))
            return 9;
        work(NULL);
        if (!fork()) {
            work(NULL);
            execl(arguments[0], arguments[0], "", NULL);
        }
        wait(NULL);
    } else if (!strcmp(mode, "user")) {
        if (setgid(65534) || setuid(65534))
            return 9;
        work(NULL);
        in_a_thread();
    } else if (!strcmp(mode, "root")) {
        if (chroot(arguments[2]) || chdir("/"))
            return 9;
        work(NULL);
        in_a_thread();
    }
    write(1, "done\n", 5);
    return 3;
}
