// `locked`: locks all memory, where the system permits it, and uses the heap. `decay`: frees a large heap and goes on with a small
// one. `exhaust`: allocates until there is no memory, frees all of it, and can allocate again. `reserved`: the address space that
// the heap reserves cannot be written to, so a system without overcommitment does not count it. `trim`: frees a large heap and
// asks for its memory to be returned. `mappings`: allocates 10 GB in large blocks, and prints the number of mappings.
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static long resident(void) {
    long pages = 0, all = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%ld %ld", &all, &pages) != 2)
        exit(3);
    fclose(file);
    return pages * 4;
}

struct node {
    struct node *next;
    char bytes[];
};

static struct node *allocate_list(size_t size, long most, long *count) {
    struct node *list = NULL;
    for (*count = 0; *count < most; ++*count) {
        struct node *node = malloc(size);
        if (node == NULL)
            break;
        memset(node, 1, size);
        node->next = list;
        list = node;
    }
    return list;
}

static void free_list(struct node *list) {
    while (list != NULL) {
        struct node *next = list->next;
        free(list);
        list = next;
    }
}

int main(int count, char **words) {
    long first, second;
    if (count > 1 && !strcmp(words[1], "exhaust")) {
        errno = 0;
        struct node *list = allocate_list(100000, 1000000, &first);
        if (first < 100 || (first < 1000000 && errno != ENOMEM))
            return 1;
        free_list(list);
        list = allocate_list(100000, first - first / 8, &second);
        free_list(list);
        return second < first - first / 8;
    }
    if (count > 1 && !strcmp(words[1], "locked")) {
        free(malloc(100));
        if (mlockall(MCL_CURRENT | MCL_FUTURE) != 0) {
            puts("memory cannot be locked");
            return 0;
        }
        // The address space that the heap reserves must not become memory.
        if (resident() > 200000)
            return 7;
        for (int round = 0; round < 3; round++)
            free_list(allocate_list(100000, 600, &first));
        malloc_trim(0);
        return first != 600;
    }
    if (count > 1 && !strcmp(words[1], "reserved")) {
        free(malloc(100));
        unsigned long start, end, writable = 0;
        char rights[8], line[512];
        FILE *file = fopen("/proc/self/maps", "r");
        while (file != NULL && fgets(line, sizeof line, file) != NULL)
            if (sscanf(line, "%lx-%lx %7s", &start, &end, rights) == 3 && rights[1] == 'w')
                writable += end - start;
        if (file == NULL || writable > 64ul << 20) {
            fprintf(stderr, "%lu bytes are writable\n", writable);
            return 8;
        }
        return fclose(file);
    }
    if (count > 1 && !strcmp(words[1], "mappings")) {
        for (int blocks = 0; blocks < 10000; blocks++) {
            char *volatile block = malloc(1000000);
            if (block == NULL)
                return 9;
            block[0] = block[999999] = 1;
        }
        int lines = 0;
        FILE *file = fopen("/proc/self/maps", "r");
        for (int byte; file != NULL && (byte = fgetc(file)) != EOF;)
            lines += byte == '\n';
        printf("%d\n", lines);
        return 0;
    }
    if (count > 1 && !strcmp(words[1], "decay")) {
        struct node *list = allocate_list(100000, 300, &first);
        long full = resident();
        free_list(list);
        for (int step = 0; step < 300; step++) {
            usleep(10000);
            free_list(allocate_list(50000, 3, &first));
        }
        if (resident() > full / 3) {
            fprintf(stderr, "%ld KiB of %ld KiB stay\n", resident(), full);
            return 6;
        }
        return 0;
    }
    for (size_t size = 24; size < 200000; size *= 7) {
        struct node *list = allocate_list(size, 100000000 / (long)size, &first);
        long full = resident();
        free_list(list);
        if (malloc_trim(0) != 1)
            return 4;
        if (resident() > full / 4) {
            fprintf(stderr, "size %zu: %ld KiB of %ld KiB stay\n", size, resident(), full);
            return 5;
        }
    }
    return 0;
}
