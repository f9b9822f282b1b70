/* Loops over malloc and free, for comparing allocators that are preloaded: loops NAME THREADS. Without arguments it prints the
   names. Each loop does the same work for any number of threads, which share it. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_THREADS = 64, SHARED = 4096 };

struct worker {
    pthread_t thread;
    int index, threads;
    uint64_t random;
};

static _Atomic(char *) shared[SHARED];
static pthread_barrier_t barrier;

static uint64_t next(struct worker *w) {
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    w->random ^= w->random << 17;
    return w->random;
}

/* Small sizes are frequent. */
static size_t size_of(uint64_t random, size_t most) {
    size_t bits = random & 7, size = (size_t)1 << (3 + bits);
    size += (random >> 8) % size;
    return size < most ? size : most;
}

static char *fresh(size_t size) {
    char *block = malloc(size);
    if (block == NULL)
        abort();
    block[0] = 1;
    block[size - 1] = 2;
    return block;
}

static long share(struct worker *w, long all) { return all / w->threads; }

static void pair(struct worker *w) {
    for (long i = share(w, 20000000); i > 0; i--)
        free(fresh(64));
}

static void batches(struct worker *w, int count, size_t size, int backwards) {
    char *blocks[1000];
    for (long i = share(w, 20000000) / count; i > 0; i--) {
        for (int k = 0; k < count; k++)
            blocks[k] = fresh(size);
        for (int k = 0; k < count; k++)
            free(blocks[backwards ? count - 1 - k : k]);
    }
}
static void lifo(struct worker *w) { batches(w, 1000, 48, 1); }
static void fifo(struct worker *w) { batches(w, 1000, 48, 0); }
static void bursts(struct worker *w) { batches(w, 20, 200, 0); }

/* Replaces random ones of many live blocks. */
static void replace(struct worker *w, long count, size_t most, long times) {
    char **blocks = calloc(count, sizeof *blocks);
    for (long i = share(w, times); i > 0; i--) {
        char **place = &blocks[next(w) % count];
        free(*place);
        *place = fresh(size_of(next(w), most));
    }
    for (long i = 0; i < count; i++)
        free(blocks[i]);
    free(blocks);
}
static void churn(struct worker *w) { replace(w, 20000 / w->threads, 64, 10000000); }
static void mixed(struct worker *w) { replace(w, 20000 / w->threads, 1 << 20, 6000000); }
static void aged(struct worker *w) { replace(w, 1000000 / w->threads, 256, 4000000); }

/* Threads exchange blocks through shared places: each frees what others allocated. */
static void exchange(struct worker *w) {
    for (long i = share(w, 6000000); i > 0; i--)
        free(atomic_exchange(&shared[next(w) % SHARED], fresh(size_of(next(w), 1 << 20))));
}

/* Threads in turn allocate a batch that the next thread frees. */
static void handover(struct worker *w) {
    enum { BATCH = 500 };
    static char *batches[MOST_THREADS][BATCH];
    for (long i = share(w, 6000000) / BATCH; i > 0; i--) {
        for (int k = 0; k < BATCH; k++)
            batches[w->index][k] = fresh(size_of(next(w), 512));
        pthread_barrier_wait(&barrier);
        for (int k = 0; k < BATCH; k++)
            free(batches[(w->index + 1) % w->threads][k]);
        pthread_barrier_wait(&barrier);
    }
}

/* Threads write often to small blocks of their own. */
static void writes(struct worker *w) {
    for (long i = share(w, 100000); i > 0; i--) {
        volatile char *block = fresh(8);
        for (int k = 0; k < 5000; k++)
            block[k & 7]++;
        free((char *)block);
    }
}

/* Blocks that grow step by step, as vectors and buffers do. */
static void grow(struct worker *w) {
    for (long i = share(w, 400000); i > 0; i--) {
        char *block = NULL;
        for (size_t size = 16; size <= 32768; size *= 2) {
            block = realloc(block, size);
            block[size - 1] = 1;
        }
        free(block);
    }
}

/* Texts that are built, copied and joined. */
static void strings(struct worker *w) {
    for (long i = share(w, 1500000); i > 0; i--) {
        char text[64];
        snprintf(text, sizeof text, "%lx", (unsigned long)next(w) >> (i & 31));
        char *one = strdup(text), *two = strdup(text + 1);
        char *both = malloc(strlen(one) + strlen(two) + 1);
        strcpy(both, one);
        strcat(both, two);
        free(one);
        free(two);
        free(both);
    }
}

struct node {
    struct node *left, *right;
    long key;
};

static struct node *build(int depth) {
    struct node *node = malloc(sizeof *node);
    node->key = depth;
    node->left = depth ? build(depth - 1) : NULL;
    node->right = depth ? build(depth - 1) : NULL;
    return node;
}

static void clear(struct node *node) {
    if (node == NULL)
        return;
    clear(node->left);
    clear(node->right);
    free(node);
}

static void trees(struct worker *w) {
    for (long i = share(w, 120); i > 0; i--)
        clear(build(15));
}

static void large(struct worker *w) {
    char *blocks[16] = {0};
    for (long i = share(w, 200000); i > 0; i--) {
        char **place = &blocks[next(w) % 16];
        free(*place);
        *place = fresh(100000 + next(w) % 2000000);
    }
    for (int k = 0; k < 16; k++)
        free(blocks[k]);
}

static void zeroed(struct worker *w) {
    for (long i = share(w, 2000000); i > 0; i--) {
        char *block = calloc(1 + next(w) % 16, 512);
        block[0]++;
        free(block);
    }
}

static void aligned(struct worker *w) {
    for (long i = share(w, 4000000); i > 0; i--) {
        void *block = NULL;
        if (posix_memalign(&block, (size_t)64 << (next(w) % 4), 1 + next(w) % 600) != 0)
            abort();
        free(block);
    }
}

static void *short_lived(void *unused) {
    (void)unused;
    char *blocks[200];
    for (int k = 0; k < 200; k++)
        blocks[k] = fresh(16 + k * 4);
    for (int k = 0; k < 200; k++)
        free(blocks[k]);
    return NULL;
}

/* Threads that live for a moment. */
static void threads(struct worker *w) {
    for (long i = share(w, 6000); i > 0; i--) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, short_lived, NULL) != 0)
            abort();
        pthread_join(thread, NULL);
    }
}

/* A heap that is built once, used, and freed. */
static void once(struct worker *w) {
    long count = share(w, 1500000);
    char **blocks = malloc(count * sizeof *blocks);
    for (long i = 0; i < count; i++)
        blocks[i] = fresh(size_of(next(w), 200));
    for (long i = 0; i < count; i++)
        free(blocks[i]);
    free(blocks);
}


static const struct {
    const char *name;
    void (*run)(struct worker *);
} LOOPS[] = {
    {"pair", pair},       {"lifo", lifo},         {"fifo", fifo},       {"bursts", bursts}, {"churn", churn},
    {"mixed", mixed},     {"aged", aged},         {"exchange", exchange}, {"handover", handover}, {"writes", writes},
    {"grow", grow},       {"strings", strings},   {"trees", trees},     {"large", large},   {"zeroed", zeroed},
    {"aligned", aligned}, {"threads", threads},   {"once", once},
};

static void (*chosen)(struct worker *);

static void *work(void *worker) {
    pthread_barrier_wait(&barrier);
    chosen(worker);
    return NULL;
}

int main(int count, char **words) {
    enum { COUNT = sizeof LOOPS / sizeof *LOOPS };
    static struct worker workers[MOST_THREADS];
    int threads = count > 2 ? atoi(words[2]) : 1;
    for (int i = 0; i < COUNT; i++) {
        if (count == 1)
            puts(LOOPS[i].name);
        else if (!strcmp(words[1], LOOPS[i].name))
            chosen = LOOPS[i].run;
    }
    if (count == 1)
        return 0;
    if (chosen == NULL || threads < 1 || threads > MOST_THREADS)
        return 2;
    pthread_barrier_init(&barrier, NULL, threads);
    for (int i = 0; i < threads; i++) {
        workers[i] = (struct worker){.index = i, .threads = threads, .random = 88172645463325252ull + i * 977};
        if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0)
            return 3;
    }
    for (int i = 0; i < threads; i++)
        pthread_join(workers[i].thread, NULL);
    for (int i = 0; i < SHARED; i++)
        free(shared[i]);
    return 0;
}
