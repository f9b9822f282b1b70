/* A server that never frees single blocks: each request has an arena, which is reset when the request is done. Memory comes
 * from a buffer; a request that needs more than is available is refused, and the server continues. */
#include <millpond.h>
#include <stdio.h>
#include <string.h>

static char memory[64 * 1024];

/* Splits a request into words, backwards. Frees nothing, on any path. */
static char *answer(mp_linear *arena, const char *request) {
    char *words = mp_linear_alloc(arena, strlen(request) + 1, 1);
    if (!words)
        return NULL;
    strcpy(words, request);
    char *text = mp_alloc(&arena->allocator, strlen(request) + 1, 1, MP_ZERO);
    if (!text)
        return NULL;
    for (char *space; (space = strrchr(words, ' ')); *space = '\0') {
        strcat(text, space + 1);
        strcat(text, " ");
    }
    return strcat(text, words);
}

int main(void) {
    static char huge[50 * 1024];
    memset(huge, 'x', sizeof huge - 1);
    const char *requests[] = {"pools of memory", huge, "that compose", "C for Millpond"};

    mp_allocator *buffer = mp_buffer_create(memory, sizeof memory);
    mp_linear *arena = mp_linear_create(MP_OPTIONS(mp_pool_options, .parent = buffer));
    if (!buffer || !arena)
        return 1;
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        const char *text = answer(arena, requests[i]);
        if (text)
            printf("%s\n", text);
        else
            printf("a request of %zu bytes is refused: %s\n", strlen(requests[i]), mp_last_detail());
        mp_reset(&arena->allocator);
    }
    mp_destroy(&arena->allocator);
    mp_destroy(buffer);
    return 0;
}
