#include <stdlib.h>

/* A buffer for site with room for 4321 bytes, which are enough nearly always; NULL: there is no memory. */
static inline void *site_begin(size_t *room)
{
    void *buffer = malloc(4321);
    *room = buffer ? 4321 : 0;
    return buffer;
}
