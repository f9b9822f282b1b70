// What all attack programs share. A program misuses the heap in the way that its first argument names, and prints
// NOT_CAUGHT if it comes to its end and got what an attacker wants. Some use the heap as they may, and must end well.
#include <alloca.h>
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MEBIBYTE ((size_t)1 << 20)

static void not_caught(void) {
    puts("NOT_CAUGHT");
    fflush(stdout);
    _exit(0);
}

static void not_caught_if(int wrong) {
    if (wrong)
        not_caught();
}

// Allocates and frees a block this many times.
static void pairs(size_t size, int count) {
    while (count--)
        free(malloc(size));
}

static int has_byte(const unsigned char *start, size_t size, int byte) {
    for (size_t at = 0; at < size; at++)
        if (start[at] == byte)
            return 1;
    return 0;
}

static int is_zero(const unsigned char *start, size_t size) {
    for (size_t at = 0; at < size; at++)
        if (start[at])
            return 0;
    return 1;
}

struct attack {
    const char *name;
    void (*run)(size_t size);
    int correct; // 1: no misuse
};

// Runs the attack of this name, or lists all names.
static int run(const struct attack *attacks, size_t count, int words, char **word) {
    size_t size = words > 2 ? strtoul(word[2], NULL, 10) : 0;
    for (size_t at = 0; at < count; at++) {
        if (words < 2)
            printf("%s %s\n", attacks[at].name, attacks[at].correct ? "correct" : "misuse");
        else if (!strcmp(attacks[at].name, word[1])) {
            attacks[at].run(size);
            return 0;
        }
    }
    return words < 2 ? 0 : 2;
}

#define RUN(attacks) run(attacks, sizeof(attacks) / sizeof *(attacks), words, word)
