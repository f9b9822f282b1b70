/* Functions of libmillpond_malloc.so besides those of the C library. */
#ifndef MILLPOND_MALLOC_H
#define MILLPOND_MALLOC_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Writes statistics of the heap to a file descriptor, as "text", "json" or "prometheus". Returns 0, or -1 with errno: EINVAL if
   there is no such format, else the error of write(). Allocates nothing. */
int millpond_malloc_stats(const char *format, int file);

/* Returns free memory to the system: what the calling thread keeps, the full spare arrays of blocks of other threads, and all
   that is free in the heap. Returns the number of bytes. */
size_t millpond_malloc_trim(void);

/* Sets the time after which free memory that was not needed is returned to the system, in milliseconds. 0 returns it at the next
   opportunity. The default is 500, or MILLPOND_MALLOC_DECAY_MS. */
void millpond_malloc_set_decay(unsigned milliseconds);

#ifdef __cplusplus
}
#endif

#endif
