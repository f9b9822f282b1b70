// The misuses of the table in SECURITY.md, as far as they concern a malloc: each commits one, looks at what came of it, and prints
// one word. `prevented`: the call was refused, or the data were gone. `corrupted`: an address was handed out that another block
// has, or that the attacker chose, or data of another block. `undetected`: nothing happened that the program can see.
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIZE = 48, WORDS = SIZE / 8, TAKEN = 300 };

void free_sized(void *block, size_t size) __attribute__((weak));
void free_aligned_sized(void *block, size_t align, size_t size) __attribute__((weak));

// What forged links point to.
static uintptr_t target[64];

static uintptr_t *take(void) {
    uintptr_t *block = malloc(SIZE);
    memset(block, 0x55, SIZE);
    return block;
}

// Returns whether new blocks overlap one another, a live one or the target.
static int overlap(const void *live) {
    static char *blocks[TAKEN + 2];
    int count = 0;
    blocks[count++] = (char *)target;
    if (live != NULL)
        blocks[count++] = (char *)live;
    while (count < TAKEN) {
        char *block = malloc(SIZE);
        for (int at = 0; at < count; at++) {
            size_t length = at == 0 ? sizeof target : SIZE;
            if (block < blocks[at] + length && blocks[at] < block + SIZE)
                return 1;
        }
        blocks[count++] = block;
    }
    return 0;
}

static const char *judge(const void *live, const char *otherwise) {
    // Blocks that wait for their reuse come to it.
    for (int times = 0; times < 5000; times++)
        free(take());
    return overlap(live) ? "corrupted" : otherwise;
}

static const char *double_free(int others) {
    static void *blocks[500];
    void *block = take();
    for (int at = 0; at < others; at++)
        blocks[at] = take();
    free(block);
    for (int at = 0; at < others; at++)
        free(blocks[at]);
    free(block);
    return judge(NULL, "prevented");
}

static const char *double_free_0(void) { return double_free(0); }
static const char *double_free_1(void) { return double_free(1); }
static const char *double_free_64(void) { return double_free(64); }
static const char *double_free_500(void) { return double_free(500); }

static const char *interleaved(void) {
    void *block = take(), *other = take();
    free(block);
    free(other);
    free(block);
    return judge(NULL, "prevented");
}

static void *free_it(void *block) {
    free(block);
    return NULL;
}

static const char *by_another_thread(void) {
    pthread_t thread;
    void *block = take();
    free(block);
    pthread_create(&thread, NULL, free_it, block);
    pthread_join(thread, NULL);
    return judge(NULL, "prevented");
}

static const char *after_pairs(void) {
    void *block = take();
    free(block);
    for (int times = 0; times < 10000; times++)
        free(take());
    free(block);
    return judge(NULL, "prevented");
}

// The block is live again, for another part of the program, when it is freed.
static const char *after_reuse(void) {
    uintptr_t *block = take(), *again = NULL;
    free(block);
    for (int times = 0; times < TAKEN && again != block; times++)
        again = take();
    free(block);
    return again == block ? judge(again, "prevented") : judge(NULL, "prevented");
}

static const char *free_at(void *address) {
    free(address);
    return judge(NULL, "undetected");
}

static const char *inside(void) { return free_at((char *)take() + 16); }
static const char *odd(void) { return free_at((char *)take() + 1); }
static const char *on_the_stack(void) { uintptr_t words[8] = {0, 0x41}; return free_at(words + 2); }
static const char *of_a_static(void) { target[1] = 0x41; return free_at(target + 2); }
static const char *wild(void) { return free_at((void *)0x123456789ab0); }
static const char *never(void) { return free_at((char *)take() + 8192 - SIZE % 16); }

static const char *with(size_t align, size_t size) {
    void *block = take();
    if (free_sized == NULL)
        return "-";
    align == 16 ? free_sized(block, size) : free_aligned_sized(block, align, size);
    return judge(NULL, "undetected");
}

static const char *smaller(void) { return with(16, 8); }
static const char *larger(void) { return with(16, 400); }
static const char *impossible(void) { return with(16, SIZE_MAX / 4); }
static const char *other_alignment(void) { return with(64, SIZE); }

static const char *resize_free(void) {
    void *block = take();
    free(block);
    block = realloc(block, 4 * SIZE);
    return judge(NULL, "undetected");
}

static const char *overflow(int at, int bytes) {
    char *block = (char *)take();
    for (int byte = 0; byte < bytes; byte++)
        block[at + byte] ^= 0x41;
    free(block);
    return judge(NULL, "undetected");
}

static const char *overflow_1(void) { return overflow(SIZE, 1); }
static const char *overflow_8(void) { return overflow(SIZE, 8); }
static const char *overflow_200(void) { return overflow(SIZE, 200); }
static const char *overflow_jump(void) { return overflow(SIZE + 42, 1); }
static const char *underflow_1(void) { return overflow(-1, 1); }
static const char *underflow_8(void) { return overflow(-8, 8); }

static const char *forge(int blocks, int word) {
    uintptr_t *freed[40];
    for (int at = 0; at < blocks; at++)
        freed[at] = take();
    for (int at = 0; at < blocks; at++)
        free(freed[at]);
    for (int at = 0; at < blocks; at++)
        freed[at][word] = (uintptr_t)target;
    return judge(NULL, "undetected");
}

static const char *first_word(void) { return forge(1, 0); }
static const char *middle_word(void) { return forge(1, WORDS / 2); }
static const char *last_word(void) { return forge(1, WORDS - 1); }
static const char *forty_links(void) { return forge(40, 0); }

static const char *read_free(void) {
    uintptr_t *block = take();
    free(block);
    for (int word = 0; word < WORDS; word++)
        if (block[word] != 0)
            return "undetected";
    return "prevented";
}

static const char *stale(void) {
    for (int times = 0; times < TAKEN; times++)
        free(take());
    for (int times = 0; times < TAKEN; times++) {
        uintptr_t *block = malloc(SIZE);
        for (int word = 0; word < WORDS; word++)
            if (block[word] == 0x5555555555555555)
                return "corrupted";
    }
    return "prevented";
}

static const char *tag(int word) {
    uintptr_t *block = take(), *next = take();
    block[word] = 0x1001;
    free(block);
    free(next);
    return judge(NULL, "undetected");
}

static const char *tag_behind(void) { return tag(WORDS + 1); }
static const char *tag_in_front(void) { return tag(-1); }

static const char *too_much(void) {
    return malloc(SIZE_MAX - 100) || calloc(SIZE_MAX / 4, 8) || reallocarray(NULL, SIZE_MAX / 4, 8) ? "corrupted" : "prevented";
}

static const char *predictable_reuse(void) {
    void *block = take();
    free(block);
    return take() == block ? "undetected" : "prevented";
}

static const char *predictable_order(void) {
    ptrdiff_t distance = 0;
    char *last = NULL;
    for (int times = 0; times < 64; times++) {
        char *block = (char *)take();
        if (last != NULL && distance != 0 && block - last != distance)
            return "prevented";
        distance = last == NULL ? 0 : block - last;
        last = block;
    }
    return "undetected";
}

static const struct {
    const char *name;
    const char *(*commit)(void);
} misuses[] = {
    {"double free", double_free_0}, {"double free after 1 other", double_free_1},
    {"double free after 64 others", double_free_64}, {"double free after 500 others", double_free_500},
    {"double free, interleaved", interleaved}, {"double free by another thread", by_another_thread},
    {"double free after pairs", after_pairs}, {"double free after reuse", after_reuse},
    {"free inside a block", inside}, {"free at an odd address", odd},
    {"free of an address on the stack", on_the_stack}, {"free of a static", of_a_static},
    {"free of a wild address", wild}, {"free of a block never handed out", never},
    {"free with a smaller size", smaller}, {"free with a larger size", larger},
    {"free with an impossible size", impossible}, {"free with another alignment", other_alignment},
    {"resize of a freed block", resize_free},
    {"overflow by 1", overflow_1}, {"overflow by 8", overflow_8}, {"overflow by 200", overflow_200},
    {"overflow that jumps a redzone", overflow_jump}, {"underflow by 1", underflow_1}, {"underflow by 8", underflow_8},
    {"write after free, first word", first_word}, {"write after free, middle word", middle_word},
    {"write after free, last word", last_word}, {"forged links in forty freed blocks", forty_links},
    {"read after free", read_free}, {"stale data in a new block", stale},
    {"forged tag behind a block", tag_behind}, {"forged tag in front of a block", tag_in_front},
    {"request for more than exists", too_much}, {"predictable reuse", predictable_reuse},
    {"predictable order", predictable_order},
};

int main(int words, char **word) {
    for (size_t at = 0; at < sizeof misuses / sizeof *misuses; at++)
        if (words < 2)
            puts(misuses[at].name);
        else if (!strcmp(misuses[at].name, word[1])) {
            puts(misuses[at].commit());
            return 0;
        }
    return words < 2 ? 0 : 2;
}
