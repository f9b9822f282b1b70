/* A hand-written free list behind the same kind of call as Millpond, and other pools behind such a call. */
#ifndef HAND_H
#define HAND_H
#include <stddef.h>
#ifdef __cplusplus
extern "C" {
#endif

#define PEERS(each) each(hand) each(millpond) each(boost) each(foonathan) each(libc)

#define DECLARE(peer)            \
    void *peer##_create(size_t); \
    void *peer##_alloc(void *);  \
    void peer##_free(void *, void *); \
    void peer##_destroy(void *);
PEERS(DECLARE)

#ifdef __cplusplus
}
#endif
#endif
