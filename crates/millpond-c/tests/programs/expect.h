/* Common parts of test programs: a failed expectation prints its location and ends the program. */
#ifndef EXPECT_H
#define EXPECT_H
#define _POSIX_C_SOURCE 200809L
#include <millpond.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPECT(what)                                                                           \
    do {                                                                                       \
        if (!(what)) {                                                                         \
            fprintf(stderr, "%s:%d: %s (%s)\n", __FILE__, __LINE__, #what, mp_last_detail());  \
            exit(1);                                                                           \
        }                                                                                      \
    } while (0)

/* Returns whether `size` bytes are all `byte`. */
static inline bool all(const void *block, size_t size, unsigned char byte) {
    const unsigned char *bytes = block;
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != byte)
            return false;
    return true;
}

static inline mp_stats stats_of(const mp_allocator *allocator) {
    mp_stats stats = {.struct_size = sizeof stats};
    EXPECT(mp_get_stats(allocator, &stats) == MP_OK);
    return stats;
}
#endif
