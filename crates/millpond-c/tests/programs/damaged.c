/* Pools whose free blocks were written to: every query terminates, and so do trim, map and reset; pools that keep
 * their lists in free blocks report that they are broken. Each query runs in a child, so that one that does not
 * terminate is detected. */
#include "expect.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

enum { KINDS = 10, WORDS = 5, BLOCKS = 100 };

static mp_allocator *make(int kind) {
    switch (kind) {
    case 0: return &mp_blocks_create(MP_OPTIONS(mp_blocks_options, .block_size = 64))->allocator;
    case 1: return &mp_blocks_create(MP_OPTIONS(mp_blocks_options, .block_size = 64, .sharing = MP_CACHED))->allocator;
    case 2: return &mp_remote_free_create(MP_OPTIONS(mp_blocks_options, .block_size = 64))->allocator;
    case 3: return &mp_classes_create(NULL)->allocator;
    case 4: return &mp_blocks_create(MP_OPTIONS(mp_blocks_options, .block_size = 64, .free_list = MP_MAGAZINE))->allocator;
    case 5: return &mp_blocks_create(MP_OPTIONS(mp_blocks_options, .block_size = 64, .free_list = MP_ADDRESS_ORDERED))->allocator;
    case 6: return &mp_blocks_create(MP_OPTIONS(mp_blocks_options, .block_size = 64, .sharing = MP_LOCK_FREE))->allocator;
    case 7: return &mp_tlsf_create(NULL)->allocator;
    case 8: return &mp_sign_post_create(NULL)->allocator;
    default: return &mp_buddy_create(NULL)->allocator;
    }
}

static bool take(void *context, const char *text, size_t length) {
    (void)context;
    return text != NULL && length < SIZE_MAX;
}

/* The result of a child: 0, or 1 if the pool reports that it is broken. */
static int ask(int kind, int word, int question) {
    mp_allocator *const pool = make(kind);
    size_t *blocks[BLOCKS];
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = mp_alloc(pool, 64, 8, 0);
        memset(blocks[i], 0, 64);
    }
    for (int i = 0; i < BLOCKS; i += 2) mp_free(pool, blocks[i], 64, 8);
    mp_flush(pool);
    for (int i = 0; i < BLOCKS; i += 2) {
        const size_t words[WORDS] = {(size_t)0xDFDFDFDFDFDFDFDF, (size_t)blocks[i], (size_t)blocks[(i + 50) % BLOCKS], 8, (size_t)blocks[i] + 3};
        for (int at = 0; at < 8; at++) blocks[i][at] = words[word];
    }
    mp_stats stats = {.struct_size = sizeof stats};
    switch (question) {
    case 0: return mp_check(pool) == MP_ERR_BROKEN && strlen(mp_last_detail()) > 10;
    case 1: return mp_get_stats(pool, &stats) != MP_OK;
    case 2: return mp_trim(pool) > (size_t)1 << 40;
    case 3: return mp_heap_map(pool, MP_TEXT, NULL, take, NULL) != MP_OK;
    case 4: return mp_largest_free(pool) == 12345;
    default: return mp_reset(pool) != MP_OK || mp_alloc(pool, 64, 8, 0) == NULL;
    }
}

int main(void) {
    for (int kind = 0; kind < KINDS; kind++)
        for (int word = 0; word < WORDS; word++)
            for (int question = 0; question < 6; question++) {
                const pid_t child = fork();
                if (child == 0) {
                    alarm(10);
                    _exit(ask(kind, word, question));
                }
                int status = 0;
                EXPECT(child > 0 && waitpid(child, &status, 0) == child);
                if (!WIFEXITED(status)) fprintf(stderr, "kind %d, word %d, question %d: signal %d\n", kind, word, question, WTERMSIG(status));
                EXPECT(WIFEXITED(status));
                /* Lists in free blocks with an invalid link: detected. */
                if (kind < 4 && word == 0 && question == 0) EXPECT(WEXITSTATUS(status) == 1);
                if (question != 0) EXPECT(WEXITSTATUS(status) == 0);
            }
    return 0;
}
