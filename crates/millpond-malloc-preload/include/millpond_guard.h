/* Checks the blocks that memcpy, memmove and memset access: include this after <string.h>, or compile with
   `-include millpond_guard.h`. A call that would leave the live block in which it begins, or that begins in a free one, ends the
   program, with a line that names it. Needs libmillpond_malloc.so at run time; without it nothing is checked. Blocks of the mode
   "full" are known to the byte, those of "checked" and "light" by their class; "fast" does not know which blocks are live. */
#ifndef MILLPOND_GUARD_H
#define MILLPOND_GUARD_H

#include <stddef.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

void millpond_malloc_check(const char *function, const void *address, size_t size) __attribute__((weak));

#ifdef __cplusplus
}
#endif

static inline void millpond_guard(const char *function, const void *address, size_t size) {
    if (millpond_malloc_check)
        millpond_malloc_check(function, address, size);
}

static inline void *millpond_guarded_memcpy(void *to, const void *from, size_t size) {
    millpond_guard("memcpy", to, size);
    millpond_guard("memcpy", from, size);
    return memcpy(to, from, size);
}

static inline void *millpond_guarded_memmove(void *to, const void *from, size_t size) {
    millpond_guard("memmove", to, size);
    millpond_guard("memmove", from, size);
    return memmove(to, from, size);
}

static inline void *millpond_guarded_memset(void *to, int byte, size_t size) {
    millpond_guard("memset", to, size);
    return memset(to, byte, size);
}

#undef memcpy
#undef memmove
#undef memset
#define memcpy(to, from, size) millpond_guarded_memcpy((to), (from), (size))
#define memmove(to, from, size) millpond_guarded_memmove((to), (from), (size))
#define memset(to, byte, size) millpond_guarded_memset((to), (byte), (size))

#endif
