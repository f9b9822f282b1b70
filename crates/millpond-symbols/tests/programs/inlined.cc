// Prints its mappings and, for an instruction in an inlined function, its address and the lines of the three calls that
// lead to it.
#include <cstdio>
#include <fstream>
#include <iostream>

static int lines[3];

namespace deep {
template <typename T> struct Inner {
    static inline __attribute__((always_inline)) T here(T value) {
        void *address;
#if defined(__x86_64__)
        lines[0] = __LINE__ + 1;
        asm volatile("lea 0(%%rip), %0" : "=r"(address));
#else
        lines[0] = __LINE__ + 1;
        asm volatile("adr %0, .+4" : "=r"(address));
#endif
        std::printf("address %lx\n", reinterpret_cast<unsigned long>(address));
        return value;
    }
};
} // namespace deep

static inline __attribute__((always_inline)) int middle(int value) {
    lines[1] = __LINE__ + 1;
    return deep::Inner<int>::here(value) + 1;
}

extern "C" __attribute__((noinline, visibility("default"))) int outermost(int value) {
    lines[2] = __LINE__ + 1;
    return middle(value) * 3;
}

int main(int argc, char **) {
    int result = outermost(argc);
    std::printf("lines %d %d %d\n", lines[0], lines[1], lines[2]);
    std::fflush(stdout);
    std::ifstream maps("/proc/self/maps");
    std::cout << maps.rdbuf();
    return result == 0;
}
