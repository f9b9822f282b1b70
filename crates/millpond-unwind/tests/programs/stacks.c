/* Stacks of all kinds: each function calls `here` from somewhere. */
#define _GNU_SOURCE
#include <alloca.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

typedef void (*here_fn)(void);

static here_fn here;

/* Frames with a frame pointer, because their size varies. */
__attribute__((noinline)) static int varying(int depth)
{
    volatile char *bytes = alloca(16 + (depth * 40) % 300);
    bytes[0] = (char)depth;
    here();
    if (depth > 0)
        varying(depth - 1), varying(depth / 2);
    return bytes[0];
}

/* A stack that is aligned to more than the ABI says, with a frame pointer and a register for the arguments. */
__attribute__((noinline)) static int aligned(int depth, int size)
{
    _Alignas(64) volatile char line[64];
    volatile char *bytes = alloca(size);
    bytes[0] = line[0] = (char)depth;
    here();
    if (depth > 0)
        aligned(depth - 1, size + 8), varying(depth);
    return bytes[0] + line[0];
}

/* Frames of fixed size: only the addresses in the middle of the stack change. */
__attribute__((noinline)) static int fixed(int depth, int which)
{
    volatile int result = depth;
    if (depth == 0)
        here();
    else if (which & 1)
        result += fixed(depth - 1, which >> 1);
    else
        result -= fixed(depth - 1, which >> 1);
    return result;
}

void recursion(here_fn f)
{
    here = f;
    varying(7);
    aligned(6, 24);
    for (int round = 0; round < 3; round++)
        for (int which = 0; which < 256; which++)
            fixed(8, which);
}

__attribute__((noinline)) static int deep(int depth)
{
    volatile int result = depth;
    if (depth > 0)
        result += deep(depth - 1);
    else
        here();
    return result;
}

/* Calls `here` at this depth, with nothing else on the stack. */
void deeply(here_fn f, int depth)
{
    here = f;
    deep(depth);
}

/* Coroutines. */
static ucontext_t outside, inside[3];

__attribute__((noinline)) static int below(int which, int depth)
{
    volatile int result = which;
    here();
    swapcontext(&inside[which], &outside);
    here();
    if (depth > 0)
        result += below(which, depth - 1);
    return result;
}

static void coroutine(int which) { below(which, 20 + which); }

static void start(int which, char *stack, size_t size)
{
    getcontext(&inside[which]);
    inside[which].uc_stack.ss_sp = stack;
    inside[which].uc_stack.ss_size = size;
    inside[which].uc_link = &outside;
    makecontext(&inside[which], (void (*)(void))coroutine, 1, which);
}

static char *map(size_t size, int writable)
{
    int access = writable ? PROT_READ | PROT_WRITE : PROT_NONE;
    return mmap(NULL, size, access, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

void coroutines(here_fn f)
{
    here = f;
    char *stacks[3];
    for (int which = 0; which < 3; which++)
        start(which, stacks[which] = map(1 << 16, 1), 1 << 16);
    for (int round = 0; round < 20; round++)
        for (int which = 0; which < 3; which++)
            swapcontext(&outside, &inside[which]);
    /* A smaller stack in the place of one that was in use: its upper half is not mapped any more. */
    for (int round = 0; round < 8; round++) {
        start(0, stacks[0], 1 << 16);
        for (int turn = 0; turn < 5; turn++)
            swapcontext(&outside, &inside[0]);
        mprotect(stacks[0] + (1 << 15), 1 << 15, PROT_NONE);
        start(0, stacks[0], 1 << 15);
        for (int turn = 0; turn < 5; turn++)
            swapcontext(&outside, &inside[0]);
        mprotect(stacks[0] + (1 << 15), 1 << 15, PROT_READ | PROT_WRITE);
    }
    for (int which = 0; which < 3; which++)
        munmap(stacks[which], 1 << 16);
}

/* Signal handlers, on the same stack and on another. */
static sigjmp_buf away;

__attribute__((noinline)) static void handler(int number)
{
    volatile int copy = number;
    here();
    fixed(3, copy);
}

static void jumper(int number)
{
    handler(number);
    siglongjmp(away, 1);
}

static void install(int number, void (*function)(int), int flags)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = function;
    action.sa_flags = flags;
    sigaction(number, &action, NULL);
}

__attribute__((noinline)) static int raised(int depth)
{
    volatile int result = depth;
    if (depth > 0)
        result += raised(depth - 1);
    else
        raise(SIGUSR1);
    here();
    return result;
}

void handlers(here_fn f, int other_stack)
{
    here = f;
    stack_t stack = {.ss_sp = map(1 << 16, 1), .ss_size = 1 << 16};
    if (other_stack)
        sigaltstack(&stack, NULL);
    int flags = other_stack ? SA_ONSTACK : 0;
    install(SIGUSR1, handler, flags);
    for (int depth = 0; depth < 20; depth++)
        raised(depth % 5);
    install(SIGUSR1, jumper, flags);
    for (volatile int depth = 0; depth < 20; depth++)
        if (sigsetjmp(away, 1) == 0)
            raised(depth % 5);
    install(SIGUSR1, SIG_DFL, 0);
    stack.ss_flags = SS_DISABLE;
    sigaltstack(&stack, NULL);
    munmap(stack.ss_sp, 1 << 16);
}

/* The processor's trap flag: a signal after each instruction. */
static volatile long steps, jump_after;
static here_fn at_step;

static void trapped(int number)
{
    (void)number;
    steps++;
    at_step();
    if (jump_after && steps == jump_after)
        siglongjmp(away, 1);
}

/* Calls `inner` twice from one place: first as usual, then with a signal after each instruction, whose handler calls
   `outer`; after `limit` instructions, the handler jumps away. `room` bytes are left free on the stack between the two.
   Returns the number of instructions. */
__attribute__((noinline)) long stepwise(here_fn outer, here_fn inner, long limit, int other_stack, int room)
{
    static char memory[1 << 17];
    stack_t stack = {.ss_sp = memory, .ss_size = sizeof memory};
    if (other_stack)
        sigaltstack(&stack, NULL);
    at_step = outer;
    steps = 0;
    jump_after = limit;
    install(SIGTRAP, trapped, (other_stack ? SA_ONSTACK : 0) | SA_NODEFER);
    if (sigsetjmp(away, 1) == 0)
        for (volatile int pass = 0; pass < 2; pass++) {
            if (pass == 1) {
                volatile char *unused = alloca(room);
                unused[0] = 0;
                __asm__ volatile("pushfq; orl $0x100, (%%rsp); popfq" ::: "memory", "cc");
            }
            inner();
        }
    __asm__ volatile("pushfq; andl $~0x100, (%%rsp); popfq" ::: "memory", "cc");
    install(SIGTRAP, SIG_DFL, 0);
    stack.ss_flags = SS_DISABLE;
    sigaltstack(&stack, NULL);
    return steps;
}

/* Code with prologues, stubs of the linker, and the code that the kernel maps. */
void various(void)
{
    struct timespec time;
    here = NULL;
    clock_gettime(CLOCK_MONOTONIC, &time);
    volatile char *bytes = alloca(40 + (time.tv_nsec & 1));
    char text[40];
    snprintf(text, sizeof text, "%d %ld", getpid(), (long)time.tv_sec);
    bytes[0] = text[0];
    bytes[1] = (char)strtol(text, NULL, 10);
    free(malloc(100));
}

/* Children. */
int child(here_fn f, int shares_memory)
{
    here = f;
    here();
    fflush(NULL);
    pid_t pid = shares_memory ? vfork() : fork();
    if (pid == 0) {
        fixed(4, 5);
        fixed(4, 9);
        _exit(42);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    here();
    fixed(4, 5);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
