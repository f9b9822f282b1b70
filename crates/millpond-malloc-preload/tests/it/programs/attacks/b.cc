// Attacks with the sized and aligned operators of C++.
#include <new>

#include "attack.h"

struct small { char bytes[128]; };
struct large { char bytes[256 << 10]; };
struct alignas(64) aligned_small { char bytes[128]; };
struct alignas(4096) aligned_large { char bytes[256 << 10]; };

static void delete_type_size_mismatch(size_t) {
    delete (small *)(void *)new large;
    not_caught();
}

// Correct: must not end the program.
template <class T> static void aligned(size_t) {
    for (int times = 0; times < 100; times++)
        delete new T;
}

template <class T> static void aligned_wrong_size(size_t) {
    operator delete((void *)new T, sizeof(T) / 2, std::align_val_t(alignof(T)));
    not_caught();
}

// The alignment that the ordinary operator has, too.
static void min_align(size_t) {
    for (int times = 0; times < 100; times++)
        operator delete(operator new(100, std::align_val_t(16)), (size_t)100, std::align_val_t(16));
}

static const struct attack attacks[] = {
    {"delete_type_size_mismatch", delete_type_size_mismatch, 0},
    {"aligned_sized_delete_small", aligned<aligned_small>, 1},
    {"aligned_sized_delete_large", aligned<aligned_large>, 1},
    {"invalid_aligned_sized_delete_small", aligned_wrong_size<aligned_small>, 0},
    {"invalid_aligned_sized_delete_large", aligned_wrong_size<aligned_large>, 0},
    {"aligned_sized_delete_small_min_align", min_align, 1},
};

int main(int words, char **word) { return RUN(attacks); }
