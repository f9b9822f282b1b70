/* Usage: passes MODE [DIRECTORY]. Gives up system calls, rights or its root directory, and then becomes or starts itself,
 * with the mode "work". */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

#define ALLOW(name) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##name, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

/* Kills the process for all system calls except those that a dynamically linked program makes when it starts, forks and
 * ends; files can only be read, and only the limit of the stack can be asked for. */
static void enter_sandbox(void) {
    static struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        ALLOW(execve), ALLOW(brk), ALLOW(arch_prctl), ALLOW(mmap), ALLOW(munmap), ALLOW(access), ALLOW(newfstatat),
        ALLOW(fstat), ALLOW(read), ALLOW(pread64), ALLOW(close), ALLOW(mprotect), ALLOW(set_tid_address),
        ALLOW(set_robust_list), ALLOW(rseq), ALLOW(getrandom), ALLOW(write), ALLOW(exit_group),
        ALLOW(clone), ALLOW(wait4), ALLOW(execveat),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_prlimit64, 0, 4),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, RLIMIT_STACK, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, O_WRONLY | O_RDWR | O_CREAT, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
        _exit(9);
}

static void allocate(int size) {
    for (int at = 0; at < 20000; at++) {
        char *volatile block = malloc(size);
        *block = 1;
        free(block);
    }
}

static int waits_for(pid_t child) {
    int status = 0;
    waitpid(child, &status, 0);
    return status;
}

int main(int count, char **arguments) {
    const char *mode = count > 1 ? arguments[1] : "";
    char *again[] = {arguments[0], "work", NULL};
    int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    free(malloc(1));
    if (!strcmp(mode, "work")) {
        allocate(607);
        pid_t child = fork();
        if (!child) {
            allocate(608);
            exit(0);
        }
        if (waits_for(child))
            return 8;
        write(1, "done\n", 5);
        return 3;
    }
    if (!strcmp(mode, "filter") || !strcmp(mode, "child") || !strcmp(mode, "lost")) {
        enter_sandbox();
        for (int file = 3; !strcmp(mode, "lost") && file < 1024; file++)
            close(file);
    } else if (!strcmp(mode, "user")) {
        if (setgid(65534) || setuid(65534))
            return 9;
        fexecve(self, again, environ);
    } else if (!strcmp(mode, "both")) {
        if (setgid(65534) || setuid(65534))
            return 9;
        enter_sandbox();
        fexecve(self, again, environ);
    } else if (!strcmp(mode, "root")) {
        if (chroot(arguments[2]) || chdir("/"))
            return 9;
    }
    int forks = !strcmp(mode, "child") || !strcmp(mode, "lost") || !strcmp(mode, "root");
    pid_t child = forks ? fork() : 0;
    if (child)
        return waits_for(child) >> 8;
    execve(arguments[0], again, environ);
    _exit(9);
}
