#include <stdlib.h>

/* The buffer of site, which keeps its memory, with room for size bytes; NULL: there is no memory. It is not freed. */
static inline void *site_buffer(size_t size)
{
    static _Thread_local void *buffer;
    static _Thread_local size_t room;
    if (room < size || !buffer) {
        size_t larger = size < 4321 ? 4321 : size;
        free(buffer);
        buffer = malloc(larger);
        room = buffer ? larger : 0;
    }
    return buffer;
}
