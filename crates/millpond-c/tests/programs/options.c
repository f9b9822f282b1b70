/* Options, and what they point to, are read during the call only: each structure is in separate memory, which is
 * overwritten and freed before the allocator is used. */
#include "expect.h"

static char *text(const char *from) {
    char *const copy = malloc(strlen(from) + 1);
    return strcpy(copy, from);
}

/* Overwrites what was read, and frees it. */
static void gone(void *memory, size_t size) {
    memset(memory, 0x5A, size);
    free(memory);
}

/* Creates an allocator with options that are freed afterwards. */
#define MADE(create, type, ...)                                    \
    do {                                                           \
        type *const options = malloc(sizeof *options);             \
        *options = (type){.struct_size = sizeof(type), __VA_ARGS__}; \
        mp_allocator *const made = (mp_allocator *)create(options); \
        EXPECT(made != NULL);                                      \
        gone(options, sizeof *options);                            \
        works(made);                                               \
    } while (0)

static int heard;
static void hear(void *context, const mp_misuse *misuse) {
    EXPECT(context == &heard && strncmp(misuse->pool, "a name", 6) == 0 && strlen(misuse->pool) == 28);
    heard++;
}
static void see(void *context, const mp_event *event) {
    EXPECT(context == &heard && event->size != 0);
}
static bool no_room(void *context, size_t size, size_t align) {
    EXPECT(context == &heard && size != 0 && align != 0);
    return false;
}

static void works(mp_allocator *allocator) {
    for (int turn = 0; turn < 3; turn++) {
        void *blocks[20];
        for (int i = 0; i < 20; i++) {
            blocks[i] = mp_alloc(allocator, 20, 8, 0);
            EXPECT(blocks[i] != NULL);
            memset(blocks[i], i, 20);
        }
        for (int i = 0; i < 20; i++) {
            EXPECT(all(blocks[i], 20, (unsigned char)i));
            mp_free(allocator, blocks[i], 20, 8);
        }
        (void)mp_alloc(allocator, SIZE_MAX / 4, 8, 0);
        EXPECT(mp_check(allocator) == MP_OK && strlen(mp_name(allocator)) > 1);
        mp_stats stats = {.struct_size = sizeof stats};
        mp_get_stats(allocator, &stats);
        mp_reset(allocator);
        mp_trim(allocator);
    }
    mp_destroy(allocator);
}

static bool take(void *context, const char *piece, size_t length) {
    (void)context;
    return piece != NULL && length < 100000;
}

#define ROOM .out_of_memory = {.action = MP_RETRY, .make_room = no_room, .context = &heard}

int main(void) {
    for (uint32_t sharing = MP_LOCAL; sharing <= MP_LOCKED_TICKET; sharing++) {
        MADE(mp_blocks_create, mp_blocks_options, .block_size = 24, .sharing = sharing, ROOM);
        if (sharing == MP_LOCK_FREE) continue;
        size_t *const sizes = malloc(4 * sizeof *sizes);
        const size_t wanted[] = {1000, 24, 100, 24};
        memcpy(sizes, wanted, sizeof wanted);
        mp_classes *const classes =
            mp_classes_create(MP_OPTIONS(mp_classes_options, .sizes = sizes, .size_count = 4, .sharing = sharing));
        EXPECT(classes != NULL);
        gone(sizes, sizeof wanted);
        void *const large = mp_alloc(&classes->allocator, 5000, 8, 0);
        EXPECT(large != NULL && stats_of(&classes->allocator).live == 5000);
        works(&classes->allocator);
        if (sharing == MP_CACHED) continue;
        MADE(mp_linear_create, mp_pool_options, .sharing = sharing, ROOM);
        MADE(mp_stack_create, mp_pool_options, .sharing = sharing, ROOM);
        MADE(mp_sign_post_create, mp_sign_post_options, .sharing = sharing, ROOM);
        MADE(mp_tlsf_create, mp_tlsf_options, .sharing = sharing, ROOM);
        MADE(mp_buddy_create, mp_buddy_options, .sharing = sharing, ROOM);
    }
    MADE(mp_remote_free_create, mp_blocks_options, .block_size = 24);
    MADE(mp_counted_create, mp_guard_options, .inner = NULL);
    MADE(mp_counting_create, mp_guard_options, .inner = NULL);
    MADE(mp_poison_create, mp_guard_options, .inner = NULL);
    MADE(mp_zeroed_create, mp_guard_options, .inner = NULL);
    MADE(mp_limit_create, mp_limit_options, .bytes = 1 << 20);
    MADE(mp_fail_nth_create, mp_fail_nth_options, .only = 1 << 20);
    MADE(mp_observe_create, mp_observe_options, .on_event = see, .event_context = &heard);
    MADE(mp_segregator_create, mp_pair_options, .largest = 10);
    MADE(mp_tuned_pages_create, mp_pages_options, .populated = true);

    mp_allocator *(*const named[])(const mp_guard_options *) = {mp_checked_create, mp_canary_create, mp_quarantine_create};
    for (int i = 0; i < 4; i++) {
        char *const name = text("a name for one guard, or two");
        mp_allocator *made = NULL;
        if (i < 3) {
            made = named[i](MP_OPTIONS(mp_guard_options, .name = name, .on_misuse = hear, .misuse_context = &heard));
        } else {
            made = (mp_allocator *)mp_blocks_create(MP_OPTIONS(mp_blocks_options, .block_size = 24, .checked = true, .name = name,
                                                              .on_misuse = hear, .misuse_context = &heard));
        }
        EXPECT(made != NULL);
        gone(name, 29);
        if (i == 0 || i == 3) {
            void *const block = mp_alloc(made, 20, 8, 0);
            const int before = heard;
            mp_free(made, block, 20, 8);
            mp_free(made, block, 20, 8);
            EXPECT(heard == before + 1);
        }
        works(made);
    }

    char *const title = text("a title");
    mp_blocks *const blocks = mp_blocks_create(MP_OPTIONS(mp_blocks_options, .block_size = 24));
    EXPECT(mp_blocks_alloc(blocks) != NULL && mp_heap_map(&blocks->allocator, MP_SVG, title, take, NULL) == MP_OK);
    gone(title, 8);
    mp_destroy(&blocks->allocator);
    return 0;
}
