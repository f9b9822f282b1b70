/* Allocates until another thread kills the process at an arbitrary moment. */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static void *strike(void *unused) {
    usleep(50000);
    kill(getpid(), SIGKILL);
    return unused;
}

int main(void) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, strike, NULL))
        return 1;
    for (;;)
        free(malloc(902));
}
