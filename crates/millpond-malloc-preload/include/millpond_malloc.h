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

/* Returns the number of bytes from an address to the end of the live block in which it lies, or SIZE_MAX if it does not lie in
   the heap. In the mode "fast" every block counts as live; in the others an address in the heap but in no live block ends the
   program. */
size_t millpond_malloc_object_size(const void *address);

/* Ends the program if `size` bytes from an address on do not lie in one live block; the report names `function`. Other addresses
   than those of the heap are not checked. */
void millpond_malloc_check(const char *function, const void *address, size_t size);

#ifdef __cplusplus
}
#endif

#endif
